//! How a matrix product is cut into workgroups: the tiles of `shaders/shared/tile.wgsl`, and the one place that picks one.
//!
//! Convolutions are products too (`conv.rs`). Deliberately absent: measured choices; an autotuner replaces [`Schedule::pick`].

/// A tile of the tiled kernels. The threads of a workgroup stage one or two vec4s of each operand at a time, or half of
/// them stage one: `depth · side / 4` is ½, 1 or 2 times [`Tile::threads`] for both sides, and `depth` divides the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of a workgroup.
    pub rows: usize,
    /// Columns of a workgroup.
    pub cols: usize,
    /// Depth staged at a time.
    pub depth: usize,
    /// vec4s of rows of a thread, 1 or 2.
    pub row_vecs: usize,
    /// vec4s of columns of a thread, 1 or 2.
    pub col_vecs: usize,
}

impl Tile {
    const fn new(rows: usize, cols: usize, depth: usize, row_vecs: usize, col_vecs: usize) -> Tile {
        Tile { rows, cols, depth, row_vecs, col_vecs }
    }

    /// The tiles worth trying, from wide to narrow.
    pub const ALL: [Tile; 8] = [
        Tile::new(128, 128, 8, 2, 2),
        Tile::new(128, 64, 8, 2, 1),
        Tile::new(64, 128, 8, 1, 2),
        Tile::new(64, 64, 8, 2, 2),
        Tile::new(64, 64, 16, 1, 1),
        Tile::new(32, 32, 8, 1, 1),
        Tile::new(64, 16, 8, 1, 1),
        Tile::new(16, 64, 8, 1, 1),
    ];

    /// Invocations of a workgroup.
    pub fn threads(&self) -> usize {
        self.rows * self.cols / (16 * self.row_vecs * self.col_vecs)
    }

    /// The kernel's constants.
    pub fn overrides(&self) -> Vec<(&'static str, f64)> {
        let value = |v: usize| v as f64;
        vec![
            ("ROWS", value(self.rows)),
            ("COLS", value(self.cols)),
            ("DEPTH", value(self.depth)),
            ("ROW_VECS", value(self.row_vecs)),
            ("COL_VECS", value(self.col_vecs)),
        ]
    }

    /// What one multiplication of this tile costs, in those of the widest tile: a narrow tile reads more for each.
    fn cost(&self) -> f64 {
        let reads = 1.0 / (4 * self.row_vecs) as f64 + 1.0 / (4 * self.col_vecs) as f64;
        let staging = 1.0 / self.rows as f64 + 1.0 / self.cols as f64;
        1.0 + 2.0 * reads + 16.0 * staging
    }
}

/// `count` products [rows, depth]·[depth, cols] that one launch makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Product {
    /// Groups and phases of a convolution; 1 for a matrix product.
    pub count: usize,
    /// Rows of each.
    pub rows: usize,
    /// Columns of each.
    pub cols: usize,
    /// Length of the sums.
    pub depth: usize,
}

/// A tile, and how the depth is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// The tile.
    pub tile: Tile,
    /// Depth of a part: a multiple of the tile's.
    pub part: usize,
    /// Parts of the depth; with more than one, partial results are stored and summed by a second launch.
    pub parts: usize,
}

/// Threads that keep a large device busy; a product with fewer is split along its depth.
const BUSY: usize = 1 << 16;
/// A part of the depth is at least this long.
const LEAST_PART: usize = 128;

impl Schedule {
    /// `tile` with the depth in about `parts` parts, of whole stages each.
    pub fn new(product: &Product, tile: Tile, parts: usize) -> Schedule {
        let part = product.depth.div_ceil(parts.max(1)).next_multiple_of(tile.depth).max(tile.depth);
        Schedule { tile, part, parts: product.depth.div_ceil(part).max(1) }
    }

    /// The schedule of a product on any device: the least estimated time over [`Tile::ALL`]. Depends on the shape alone.
    pub fn pick(product: &Product) -> Schedule {
        let estimate = |tile: &Tile| {
            let schedule = Schedule::split(product, *tile);
            let [rows, cols] = schedule.tiles(product);
            let work = (rows * tile.rows * cols * tile.cols) as f64 * tile.cost();
            let threads = rows * cols * product.count * schedule.parts * tile.threads();
            // A device with idle threads takes as long as a busy one; a tile with more sums a thread needs fewer.
            let idle = (BUSY as f64 / (threads * tile.row_vecs * tile.col_vecs) as f64).max(1.0);
            work * idle
        };
        let best = Tile::ALL.into_iter().min_by(|a, b| estimate(a).total_cmp(&estimate(b)));
        Schedule::split(product, best.unwrap_or(Tile::ALL[4]))
    }

    /// `tile` with the depth split as far as it takes to keep a device busy.
    pub fn split(product: &Product, tile: Tile) -> Schedule {
        let whole = Schedule::new(product, tile, 1);
        let [rows, cols] = whole.tiles(product);
        let threads = rows * cols * product.count * tile.threads() * tile.row_vecs * tile.col_vecs;
        let parts = (BUSY / threads.max(1)).min(product.depth / LEAST_PART);
        Schedule::new(product, tile, parts)
    }

    /// Tiles along the rows and the columns of one product.
    pub fn tiles(&self, product: &Product) -> [usize; 2] {
        [product.rows.div_ceil(self.tile.rows), product.cols.div_ceil(self.tile.cols)]
    }

    /// Workgroups of the launch.
    pub fn workgroups(&self, product: &Product) -> usize {
        let [rows, cols] = self.tiles(product);
        rows * cols * product.count * self.parts
    }

    /// Elements of partial results for an output of `len`.
    pub fn scratch(&self, len: usize) -> usize {
        if self.parts > 1 { self.parts * len } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_portable_limits_and_their_own_rule() {
        for tile in Tile::ALL {
            let threads = tile.threads();
            assert!(threads <= 256 && threads.is_multiple_of(tile.depth), "{tile:?}");
            for side in [tile.rows, tile.cols] {
                let vecs = side * tile.depth / 4;
                assert!([threads / 2, threads, 2 * threads].contains(&vecs), "{tile:?}");
            }
            // Each side has a vec4 of padding a depth.
            assert!(16 * tile.depth * ((tile.rows + tile.cols) / 4 + 2) <= 16 << 10, "{tile:?}");
        }
    }

    #[test]
    fn parts_cover_the_depth_in_whole_stages() {
        for depth in [1, 7, 8, 127, 128, 129, 1000, 4096, 65_537] {
            for parts in [1, 2, 3, 8, 64] {
                let product = Product { count: 1, rows: 64, cols: 64, depth };
                let s = Schedule::new(&product, Tile::ALL[4], parts);
                assert!(s.part % s.tile.depth == 0 && s.parts <= parts, "{s:?}");
                assert!(s.part * s.parts >= depth && s.part * (s.parts - 1) < depth, "{s:?} of {depth}");
            }
        }
    }

    #[test]
    fn narrow_products_get_narrow_tiles() {
        let pick = |rows, cols, depth| Schedule::pick(&Product { count: 1, rows, cols, depth });
        assert_eq!(pick(1 << 20, 16, 144).tile.cols, 16);
        assert_eq!(pick(8192, 8192, 1024).tile, Tile::ALL[0]);
        assert!(pick(64, 64, 1 << 16).parts > 16);
        assert_eq!(pick(1 << 16, 64, 64).parts, 1);
    }
}
