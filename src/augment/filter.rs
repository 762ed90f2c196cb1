//! Image-space filtering of Karras 2020: four bands of frequencies, each louder or quieter, at constant power.

use super::affine::{gate, power_of_two};
use super::draws::Draws;
use super::per_image;
use super::warp::mirrored;
use super::wavelet::{BANDS, bands};
use crate::graph::{FirSpec, Real, Tensor};

/// Expected power of the bands, from low to high frequencies: that of natural images.
const POWER: [f64; BANDS] = [10.0 / 13.0, 1.0 / 13.0, 1.0 / 13.0, 1.0 / 13.0];
/// Standard deviation of the binary logarithm of a band's gain.
const GAIN: f64 = 1.0;

/// Pixels that the filters reach on either side: images must be larger.
pub(super) const REACH: usize = 21;

/// A gain per band and image, each `[M,1]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bands<'g>([Tensor<'g>; BANDS]);

impl<'g> Bands<'g> {
    pub fn draw(d: &Draws<'g>, p: Tensor<'g>) -> Bands<'g> {
        let gains = [0, 1, 2, 3].map(|i| power_of_two(gate(p, d.u(18 + i)), d.n(13 + i), GAIN));
        // Whatever one band gains, all lose: expected power stays 1.
        let quieter = |(gain, power): (&Tensor<'g>, f64)| ((gain.square() - 1.0).scale(power) + 1.0).pow(-0.5);
        let one = d.u(18).scale(0.0) + 1.0;
        let all = gains.iter().zip(POWER).map(quieter).fold(one, |product, factor| product * factor);
        Bands(gains.map(|gain| gain * all))
    }

    /// `n` images from number `from` on.
    pub fn part(self, from: usize, n: usize) -> Bands<'g> {
        Bands(self.0.map(|gain| gain.slice(&[from, 0], [n, 1])))
    }

    /// x `[N,H,W,C]`, mirrored at its border, filtered along both axes.
    pub fn apply(&self, x: Tensor<'g>) -> Tensor<'g> {
        let [n, h, w, c] = [0, 1, 2, 3].map(|a| x.dim(a));
        let (wide, tall) = (w + 2 * REACH, h + 2 * REACH);
        // One axis at a time, the other one in the batch or in the channels.
        let across = mirrored(x, REACH).reshape([n, tall, wide, c]);
        let across = self.along(across.reshape([n * tall, 1, wide, c]), [n, tall, w, c]);
        self.along(across.reshape([n, 1, tall, w * c]), [n, h, w, c])
    }

    /// Rows x `[A,1,L,B]` with the gains of the images, as `shape`, without what the filters reach.
    fn along(&self, x: Tensor<'g>, shape: [usize; 4]) -> Tensor<'g> {
        let [a, long, b] = [x.dim(0), x.dim(2), x.dim(3)];
        let gains = self.0.map(per_image);
        let middle = x.slice(&[0, 0, REACH, 0], [a, 1, long - 2 * REACH, b]).reshape(shape);
        // The bands add up to x, so that the last one is what the others leave; equal gains are exact.
        let last = gains[BANDS - 1];
        let mut sum = middle * last;
        for (filter, gain) in bands().iter().zip(gains).take(BANDS - 1) {
            let taps = filter.iter().map(|v| Real(*v)).collect();
            let spec = FirSpec { taps, up: 1, down: 1, pad: [[REACH as i64; 2], [0; 2]], flip: true };
            // Along the axis of extent 1 the filter is its middle tap.
            let band = x.fir(spec).scale(1.0 / filter[REACH]).reshape(shape);
            sum = sum + band * (gain - last);
        }
        sum
    }
}
