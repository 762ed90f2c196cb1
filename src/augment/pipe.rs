//! The augmentation pipe of Karras 2020 (ADA): every transform fires for each image by itself, with probability p.

use super::affine::{self, Lookup};
use super::colour::Colour;
use super::draws::Draws;
use super::filter::{self, Bands};
use super::{corrupt, warp};
use crate::graph::Tensor;

/// Which groups of transforms are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdaTransforms {
    /// Flips left to right, quarter turns, shifts by whole pixels.
    pub blit: bool,
    /// Scales, turns and shifts of any size.
    pub geom: bool,
    /// Brightness, contrast, luma flip, hue, saturation.
    pub color: bool,
    /// Bands of frequencies made louder or quieter.
    pub filter: bool,
    /// Added noise.
    pub noise: bool,
    /// A rectangle of zeros.
    pub cutout: bool,
}

impl AdaTransforms {
    /// The sets by their published names.
    pub const NAMES: [&'static str; 11] =
        ["blit", "geom", "color", "filter", "noise", "cutout", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"];

    /// The set of a name of [`AdaTransforms::NAMES`]: one group, or as many as there are letters.
    pub fn named(name: &str) -> Option<AdaTransforms> {
        if !AdaTransforms::NAMES.contains(&name) {
            return None;
        }
        let groups = ["blit", "geom", "color", "filter", "noise", "cutout"];
        let has = |i: usize| name == groups[i] || (!groups.contains(&name) && i < name.len());
        Some(AdaTransforms { blit: has(0), geom: has(1), color: has(2), filter: has(3), noise: has(4), cutout: has(5) })
    }

    /// The least side of images it is for.
    pub fn least_side(&self) -> usize {
        if self.filter { filter::REACH + 1 } else { 2 }
    }
}

/// The pipe with what was drawn for so many images: parts of it are applied to as many.
#[derive(Clone, Copy, Debug)]
pub struct AdaPipe<'g> {
    on: AdaTransforms,
    draws: Draws<'g>,
    p: Tensor<'g>,
    map: Option<Lookup<'g>>,
    colour: Option<Colour<'g>>,
    bands: Option<Bands<'g>>,
}

impl<'g> AdaPipe<'g> {
    /// What `draws` mean at probability `p` (`[1]`) for images of H × W. Angles are uniform: a turn is the direction of two normal numbers.
    pub fn new(on: AdaTransforms, draws: Draws<'g>, p: Tensor<'g>, size: [usize; 2]) -> AdaPipe<'g> {
        AdaPipe {
            on,
            draws,
            p,
            map: affine::draw(&on, &draws, p, size),
            colour: on.color.then(|| Colour::draw(&draws, p)),
            bands: on.filter.then(|| Bands::draw(&draws, p)),
        }
    }

    /// The pipe of `n` images from number `from` on.
    pub fn part(&self, from: usize, n: usize) -> AdaPipe<'g> {
        AdaPipe {
            draws: self.draws.part(from, n),
            map: self.map.map(|map| map.part(from, n)),
            colour: self.colour.map(|colour| colour.part(from, n)),
            bands: self.bands.map(|bands| bands.part(from, n)),
            ..*self
        }
    }

    /// x `[N,H,W,C]` augmented, an image per row that was drawn. Where nothing fires for an image it stays as it is, bit for bit.
    ///
    /// # Panics
    /// If the images are smaller than [`AdaTransforms::least_side`].
    pub fn apply(&self, x: Tensor<'g>) -> Tensor<'g> {
        let mut x = x;
        if let Some(map) = &self.map {
            x = if self.on.geom { warp::warped(x, map) } else { warp::copied(x, map) };
        }
        if let Some(colour) = &self.colour {
            x = colour.apply(x);
        }
        if let Some(bands) = &self.bands {
            x = bands.apply(x);
        }
        if self.on.noise {
            x = corrupt::noisy(x, &self.draws, self.p);
        }
        if self.on.cutout {
            x = corrupt::cut_out(x, &self.draws, self.p);
        }
        x
    }
}
