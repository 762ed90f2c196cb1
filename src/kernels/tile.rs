//! How a matrix product is cut into workgroups: the tiles of `shaders/shared/tile.wgsl`, and the one place that picks one.
//!
//! Convolutions are products too (`conv.rs`). Deliberately absent: measured choices; `tuning.rs` holds those.

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
    /// vec4s of rows of a thread: 1 or 2, or 4 beside one of columns.
    pub row_vecs: usize,
    /// vec4s of columns of a thread, 1 or 2.
    pub col_vecs: usize,
}

impl Tile {
    const fn new(rows: usize, cols: usize, depth: usize, row_vecs: usize, col_vecs: usize) -> Tile {
        Tile { rows, cols, depth, row_vecs, col_vecs }
    }

    /// The tiles worth trying, from wide to narrow.
    pub const ALL: [Tile; 11] = [
        Tile::new(128, 128, 8, 2, 2),
        Tile::new(128, 128, 8, 4, 1),
        Tile::new(128, 64, 8, 4, 1),
        Tile::new(128, 64, 8, 2, 1),
        Tile::new(64, 128, 8, 1, 2),
        Tile::new(64, 64, 8, 2, 2),
        Tile::new(64, 64, 16, 1, 1),
        Tile::new(128, 32, 8, 2, 1),
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

    /// What one multiplication of this tile costs a processor whose lanes hand on rows (`kernels::lanes`): each load is
    /// a loop over the lanes.
    fn cost_of_loads(&self) -> f64 {
        let (rows, cols) = (self.row_vecs as f64, self.col_vecs as f64);
        let staging = 2.0 / self.rows as f64 + 2.0 / self.cols as f64;
        1.0 + 4.0 * ((rows / 2.0 + 4.0 * cols) / (16.0 * rows * cols) + staging)
    }

    /// What one multiplication of this tile costs a GPU, in those of the widest tile: a narrow tile reads more for each.
    fn cost(&self) -> f64 {
        let reads = 1.0 / (4 * self.row_vecs) as f64 + 1.0 / (4 * self.col_vecs) as f64;
        let staging = 1.0 / self.rows as f64 + 1.0 / self.cols as f64;
        1.0 + 2.0 * reads + 16.0 * staging
    }
}

impl std::fmt::Display for Tile {
    /// `64x64x8 8x4`: the workgroup's and a thread's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{} {}x{}", self.rows, self.cols, self.depth, 4 * self.row_vecs, 4 * self.col_vecs)
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

/// Workgroups that a GPU of middling size runs side by side; fewer leave it partly idle.
pub const UNITS: usize = 128;
/// Devices that run fewer side by side are processors, where loads from the cache arrive at once.
const FEW_UNITS: usize = 64;
/// On a GPU a unit of depth takes a workgroup at least as long as this many multiplications, however small its tile: loads
/// take time to arrive.
const LATENCY: f64 = 6000.0;
/// A part of the depth is at least this long.
const LEAST_PART: usize = 128;
/// Most parts of the depth.
const MOST_PARTS: usize = 256;
/// What storing and summing one partial result costs, in multiplications: they wait for memory.
const PARTIAL: f64 = 40.0;

impl Schedule {
    /// `tile` with the depth in about `parts` parts, of whole stages each.
    pub fn new(product: &Product, tile: Tile, parts: usize) -> Schedule {
        let part = product.depth.div_ceil(parts.max(1)).next_multiple_of(tile.depth).max(tile.depth);
        Schedule { tile, part, parts: product.depth.div_ceil(part).max(1) }
    }

    /// The schedule of a product on any GPU: the least estimated time. Depends on the shape alone.
    pub fn pick(product: &Product) -> Schedule {
        Schedule::pick_on(product, UNITS)
    }

    /// The schedule of a product on a device that runs `units` workgroups side by side.
    pub fn pick_on(product: &Product, units: usize) -> Schedule {
        // Tall thread tiles are for lanes that hand on rows; on a GPU they have to be measured to be taken.
        let fits = |tile: &Tile| tile.row_vecs <= 2 || units < FEW_UNITS;
        let all = Tile::ALL.into_iter().filter(fits).map(|tile| Schedule::split_on(product, tile, units));
        let best = all.min_by(|a, b| a.estimate(product, units).total_cmp(&b.estimate(product, units)));
        best.unwrap_or_else(|| Schedule::new(product, Tile::ALL[0], 1))
    }

    /// `tile` with the depth in the number of parts that takes a GPU the least estimated time.
    pub fn split(product: &Product, tile: Tile) -> Schedule {
        Schedule::split_on(product, tile, UNITS)
    }

    fn split_on(product: &Product, tile: Tile, units: usize) -> Schedule {
        let most = (product.depth / LEAST_PART).clamp(1, MOST_PARTS);
        let parts = std::iter::successors(Some(1), |parts| Some(2 * parts)).take_while(|&parts| parts <= most);
        let all = parts.map(|parts| Schedule::new(product, tile, parts));
        let best = all.min_by(|a, b| a.estimate(product, units).total_cmp(&b.estimate(product, units)));
        best.unwrap_or_else(|| Schedule::new(product, tile, 1))
    }

    /// The schedules worth measuring, [`Schedule::pick`] first: at most `most`, two per tile, none estimated at more than
    /// three times the least, none that does not fit the device.
    pub fn candidates(product: &Product, most: usize, fits: impl Fn(&Schedule) -> bool) -> Vec<Schedule> {
        let picked = Schedule::pick(product);
        let parts: Vec<usize> = std::iter::successors(Some(1), |parts| Some(2 * parts))
            .take_while(|&parts| parts <= (product.depth / LEAST_PART).clamp(1, MOST_PARTS))
            .collect();
        let all = Tile::ALL.iter().flat_map(|&tile| parts.iter().map(move |&parts| (tile, parts)));
        let mut all: Vec<Schedule> = all.map(|(tile, parts)| Schedule::new(product, tile, parts)).collect();
        all.sort_by(|a, b| a.estimate(product, UNITS).total_cmp(&b.estimate(product, UNITS)));
        let bound = 3.0 * picked.estimate(product, UNITS);
        let mut kept = vec![picked];
        for schedule in all.into_iter().filter(|s| s.estimate(product, UNITS) <= bound && fits(s)) {
            let of_tile = kept.iter().filter(|k| k.tile == schedule.tile).count();
            if kept.len() < most && of_tile < 2 && !kept.contains(&schedule) {
                kept.push(schedule);
            }
        }
        kept
    }

    /// Time in multiplications of the widest tile, where up to `units` workgroups run as fast as one.
    fn estimate(&self, product: &Product, units: usize) -> f64 {
        let few = units < FEW_UNITS;
        let (latency, cost) = if few { (0.0, self.tile.cost_of_loads()) } else { (LATENCY, self.tile.cost()) };
        let units = units as f64;
        let waves = (self.workgroups(product) as f64 / units).max(1.0);
        let work = waves * (self.tile.rows * self.tile.cols) as f64 * cost;
        let partials = self.scratch(product.count * product.rows * product.cols) as f64;
        self.part as f64 * work.max(latency) + partials * PARTIAL / units
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
                assert!(s.part.is_multiple_of(s.tile.depth) && s.parts <= parts, "{s:?}");
                assert!(s.part * s.parts >= depth && s.part * (s.parts - 1) < depth, "{s:?} of {depth}");
            }
        }
    }

    #[test]
    fn candidates_are_few_and_different() {
        for (rows, cols, depth) in
            [(1, 1, 1), (64, 64, 1 << 16), (8192, 8192, 1024), (1 << 16, 16, 144), (300, 70, 999)]
        {
            let product = Product { count: 1, rows, cols, depth };
            let all = Schedule::candidates(&product, 8, |_| true);
            assert_eq!(all[0], Schedule::pick(&product));
            assert!((2..=8).contains(&all.len()), "{product:?}: {all:?}");
            for (i, a) in all.iter().enumerate() {
                assert!(all[..i].iter().all(|b| a != b) && all.iter().filter(|b| a.tile == b.tile).count() <= 2);
            }
            assert_eq!(Schedule::candidates(&product, 8, |_| false), all[..1]);
        }
    }

    #[test]
    fn narrow_products_get_narrow_tiles() {
        let pick = |rows, cols, depth| Schedule::pick(&Product { count: 1, rows, cols, depth });
        assert_eq!(pick(1 << 20, 16, 144).tile.cols, 16);
        assert_eq!(pick(8192, 8192, 1024).tile, Tile::ALL[0]);
        assert!(pick(64, 64, 1 << 16).parts > 16);
        assert_eq!(pick(64, 64, 64).tile.rows, 32);
        assert_eq!(pick(1 << 16, 64, 64).parts, 1);
        // Two cores are busy anyway: no partial sums, wide tiles.
        let on_cores = Schedule::pick_on(&Product { count: 1, rows: 512, cols: 512, depth: 512 }, 2);
        assert_eq!((on_cores.tile, on_cores.parts), (Tile::ALL[1], 1));
    }
}
