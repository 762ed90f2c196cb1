//! The built-in data set: portraits of people who do not exist, drawn from some fifty labelled factors.
//!
//! A face is a depth image of a head with everything on it, layer over layer (`head`, `eyes`, `mouth`, `hair`, `wear`,
//! `clothes`, `backdrop`), lit afterwards by a key light with cast shadows, ambient light with occlusion and the red bleed
//! of skin (`light`). There are no assets and no learned parts: image `i` of a seed is a pure function of the two, so the
//! set is as large as wanted, needs no download, and comes with its true factors as labels.
//!
//! Deliberately absent: ray tracing and hidden geometry. A head may turn about 20° either way; profiles are out of reach.

mod backdrop;
mod canvas;
mod clothes;
mod eyes;
mod factors;
mod hair;
mod hair_shape;
mod head;
mod light;
mod maths;
mod mouth;
mod palette;
mod rig;
mod sample;
#[cfg(test)]
mod tests;
mod wear;

pub use factors::{
    Backdrop, Beard, Clothes, Earrings, EyeColour, FACTORS, Face, Factor, FactorKind, Glasses, HairColour, HairStyle,
    Hat,
};

use std::sync::LazyLock;

use rayon::prelude::*;

use self::backdrop::Scene;
use self::canvas::Texel;
use self::light::Lights;
use self::maths::{Rgb, lattice};
use self::rig::Rig;

/// Smallest and largest side of a portrait in pixels; other sizes are rendered at the nearer of the two.
pub const SIZES: std::ops::RangeInclusive<usize> = 8..=256;

impl Face {
    /// Face `index` of the set that `seed` names: always the same one.
    pub fn from_seed(seed: u64, index: u64) -> Face {
        sample::draw(seed, index)
    }

    /// The portrait, `size` × `size` pixels of sRGB red, green, blue, rows from the top; `size` is clamped to [`SIZES`].
    pub fn render(&self, size: usize) -> Vec<u8> {
        let size = size.clamp(*SIZES.start(), *SIZES.end());
        // Two samples per pixel each way; more for thumbnails, whose features are finer than their pixels.
        let fine = 64usize.div_ceil(size).max(2);
        let side = size * fine;
        let scene = Scene::new(self);
        let rig = Rig::new(self, side);
        let canvas = paint(&rig, &scene, side);
        let lit = Lights::new(self, scene.ambient()).shade(&canvas, side, rig.step);
        develop(&lit, size, fine, self.grain)
    }
}

/// Faces `first` to `first + count − 1` of `seed`, one after the other, each as [`Face::render`] gives it; on all cores,
/// with the same bytes for any number of them.
pub fn render_batch(seed: u64, first: u64, count: usize, size: usize) -> Vec<u8> {
    let size = size.clamp(*SIZES.start(), *SIZES.end());
    let mut out = vec![0; count * size * size * 3];
    out.par_chunks_mut(size * size * 3).enumerate().for_each(|(i, image)| {
        image.copy_from_slice(&Face::from_seed(seed, first.wrapping_add(i as u64)).render(size));
    });
    out
}

/// All layers of all samples, from back to front.
fn paint(rig: &Rig, scene: &Scene, side: usize) -> Vec<Texel> {
    let to_frame = |i: usize| (2 * i + 1) as f32 / side as f32 - 1.0;
    let mut canvas = Vec::with_capacity(side * side);
    for row in 0..side {
        for column in 0..side {
            let spot = rig.spot(to_frame(column), -to_frame(row));
            let skull = rig.shell(spot.head, 0.0, 0.0);
            let hidden = skull.depth_in > rig.step || clothes::hides(rig, spot);
            let mut texel = if hidden { Texel::VOID } else { scene.at(spot.frame) };
            // What the head hides needs no drawing.
            if skull.depth_in < rig.step {
                hair::lay_back(rig, spot, &mut texel);
                clothes::lay(rig, spot, &mut texel);
                hair::lay_gathered(rig, spot, &mut texel);
                head::lay_long_beard(rig, spot, &mut texel);
                head::lay_ears(rig, spot, &mut texel);
            }
            head::lay(rig, spot, &skull, &mut texel);
            wear::lay_glasses(rig, spot, &skull, &mut texel);
            hair::lay_front(rig, spot, &skull, &mut texel);
            wear::lay_hat(rig, spot, &mut texel);
            canvas.push(texel);
        }
    }
    canvas
}

/// Film response and sRGB encoding of linear light 0..4 in steps of 1/1024.
static FILM: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..4096)
        .map(|i| {
            let light = i as f32 / 1024.0;
            // A soft shoulder: highlights roll off instead of clipping.
            let film = if light < 0.6 { light } else { 0.6 + 0.4 * (1.0 - (-(light - 0.6) / 0.4).exp()) };
            let code = if film <= 0.003_130_8 { 12.92 * film } else { 1.055 * film.powf(1.0 / 2.4) - 0.055 };
            255.0 * code
        })
        .collect()
});

/// Averages samples to pixels and makes bytes of them, with a slight vignette and sensor noise.
fn develop(lit: &[Rgb], size: usize, fine: usize, grain: u32) -> Vec<u8> {
    let side = size * fine;
    let weight = 1.0 / (fine * fine) as f32;
    let centre = 0.5 * (size as f32 - 1.0);
    let mut out = Vec::with_capacity(size * size * 3);
    for y in 0..size {
        for x in 0..size {
            let mut sum = [0.0f32; 3];
            for row in y * fine..(y + 1) * fine {
                for sample in &lit[row * side + x * fine..row * side + (x + 1) * fine] {
                    for (s, c) in sum.iter_mut().zip(sample) {
                        *s += c;
                    }
                }
            }
            let (dx, dy) = ((x as f32 - centre) / size as f32, (y as f32 - centre) / size as f32);
            let gain = weight * (1.0 - 0.25 * (dx * dx + dy * dy));
            let noise = 3.0 * (lattice(x as i32, y as i32, grain) - 0.5);
            for s in sum {
                let at = (s * gain * 1024.0).clamp(0.0, 4094.0);
                let (low, high) = (FILM[at as usize], FILM[at as usize + 1]);
                out.push((low + (high - low) * at.fract() + noise + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
    }
    out
}
