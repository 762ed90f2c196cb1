//! Looking images up elsewhere: mirrored borders, and warps without aliasing.

use super::affine::Lookup;
use super::per_image;
use super::wavelet::SYM6;
use crate::graph::{FirSpec, Graph, Real, Tensor};
use crate::nn::softmax::iota;

/// Pixels that the low-pass filter reaches on either side.
const REACH: usize = SYM6.len() / 4;

/// Numbers of rows `[1,H,1,1]` and of columns `[1,1,W,1]`.
pub(super) fn places(graph: &Graph, [h, w]: [usize; 2]) -> [Tensor<'_>; 2] {
    [iota(graph, h).reshape([1, h, 1, 1]), iota(graph, w).reshape([1, 1, w, 1])]
}

/// (row, column) of every pixel as the grid `[N,H,W,2]` of [`Tensor::sample`].
pub(super) fn grid<'g>(rows: Tensor<'g>, columns: Tensor<'g>, n: usize) -> Tensor<'g> {
    let [h, w] = [rows.dim(1), columns.dim(2)];
    let which = iota(rows.graph(), 2).reshape([1, 1, 1, 2]);
    let both = rows * (which.scale(-1.0) + 1.0) + columns * which;
    both.expand([n, h, w, 2])
}

/// Where the places 0, 1, … of a side with margins lie on the side itself, mirrored: −1 is 1, and `side` is `side` − 2.
fn back(at: Tensor<'_>, margin: usize, side: usize) -> Tensor<'_> {
    let last = (side - 1) as f64;
    ((at - margin as f64).abs().scale(-1.0) + last).abs().scale(-1.0) + last
}

/// x `[N,H,W,C]` with `margin` more pixels on every side, mirrored at the outermost ones, which are not repeated. `margin` is below H and W.
pub(super) fn mirrored(x: Tensor<'_>, margin: usize) -> Tensor<'_> {
    let [n, h, w] = [0, 1, 2].map(|a| x.dim(a));
    let [rows, columns] = places(x.graph(), [h + 2 * margin, w + 2 * margin]);
    x.sample(grid(back(rows, margin, h), back(columns, margin, w), n))
}

fn fir(up: usize, down: usize, pad: i64, after: i64, gain: f64, flip: bool) -> FirSpec {
    let total: f64 = SYM6.iter().sum();
    let taps = SYM6.iter().map(|v| Real(v * gain / total)).collect();
    FirSpec { taps, up, down, pad: [[pad, after]; 2], flip }
}

/// x `[N,H,W,C]` looked up through `map`, pixel by pixel: for flips, quarter turns and shifts by whole pixels, which copy pixels as they
/// are (of images whose sides differ by an odd number a quarter turn blends them). Beyond the border the image is mirrored once, and
/// black beyond that.
pub(super) fn copied<'g>(x: Tensor<'g>, map: &Lookup<'g>) -> Tensor<'g> {
    let sides = [x.dim(1), x.dim(2)];
    let [rows, columns] = places(x.graph(), sides);
    let middle = sides.map(|side| (side - 1) as f64 / 2.0);
    let at = map.along_y * (rows - middle[0]) + map.along_x * (columns - middle[1]) + map.middle;
    let coordinate = |axis: usize| {
        back(at.slice(&[0, 0, 0, axis], [x.dim(0), sides[0], sides[1], 1]) + middle[axis], 0, sides[axis])
    };
    x.sample(Tensor::concat(&[coordinate(0), coordinate(1)], 3))
}

/// x `[N,H,W,C]` looked up through `map`, bilinearly on a grid twice as fine that is filtered by a wavelet before and after
/// (Karras 2020, appendix B). Beyond the border the image is mirrored once, and black beyond that: the margin is the largest that the
/// published code chooses, so that no image depends on its neighbours in the batch. Images that the map leaves alone stay as they are.
pub(super) fn warped<'g>(x: Tensor<'g>, map: &Lookup<'g>) -> Tensor<'g> {
    let [h, w] = [x.dim(1), x.dim(2)];
    let margin = h.max(w) - 1;
    let fine = mirrored(x, margin).fir(fir(2, 1, SYM6.len() as i64 / 2, SYM6.len() as i64 / 2 - 1, 2.0, false));
    let looked_up = fine.sample(fine_grid(x.graph(), map, [h, w], [fine.dim(1), fine.dim(2)]));
    let coarse = looked_up.fir(fir(1, 2, -1, -1, 1.0, true));
    per_image(map.moves).select(coarse, x)
}

/// Where the fine grid of the output, with the reach of the filter on every side, is looked up in the fine image of extent `from`.
fn fine_grid<'g>(graph: &'g Graph, map: &Lookup<'g>, [h, w]: [usize; 2], from: [usize; 2]) -> Tensor<'g> {
    let out = [h, w].map(|side| 2 * (side + 2 * REACH));
    let [rows, columns] = places(graph, out);
    // Pixel j of the fine output lies (j + ½ − out/2)/2 pixels from the middle of the image; filters shift both ends by a quarter.
    let (y, x) = (rows + (1.0 - out[0] as f64 / 2.0), columns + (1.0 - out[1] as f64 / 2.0));
    let which = iota(graph, 2).reshape([1, 1, 1, 2]);
    let middle = |axis: usize| from[axis] as f64 / 2.0 - 1.0;
    let origin = map.middle.scale(2.0) + which.scale(middle(1) - middle(0)) + middle(0);
    map.along_x * x + map.along_y * y + origin
}
