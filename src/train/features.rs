//! Making the feature network of the built-in faces: its data, its training, and what it can tell of faces it has not seen.

use super::checkpoint::{Checkpoint, NamedTensor};
use super::feed::Feed;
use super::games::features::{Head, features, label_row};
use super::settings::Settings;
use super::trainer::Trainer;
use crate::data::faces::{Face, render_batch};
use crate::data::{draw_index, floats};
use crate::device::Device;
use crate::nn::FaceFeatures;
use crate::{Result, philox};

/// Seed of the portraits it learns from: none that runs learn from unless they ask for it.
const POPULATION: u64 = 0xFACE;
/// Different portraits.
const COUNT: usize = 20_000;
/// Portraits of another population that it is judged by.
const HELD_OUT: usize = 2_000;
/// Images of a batch.
const BATCH: usize = 128;
/// The seed of its weights and of what it sees.
const SEED: u64 = 1;
/// Most pixels by which an image is shifted.
const SHIFT: usize = 3;

/// The feature network in training.
pub struct FeatureTraining {
    trainer: Trainer,
    end: u64,
}

/// What a head tells of faces that the network has not seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The factor.
    pub name: &'static str,
    /// Its classes.
    pub classes: usize,
    /// The share of faces whose class it tells.
    pub accuracy: f64,
    /// The share of faces of the most frequent class.
    pub guess: f64,
}

impl FeatureTraining {
    /// Renders the portraits and plans the training of so many thousand images.
    ///
    /// # Errors
    /// A device that fails.
    pub fn new(kimg: f64, device: &Device) -> Result<FeatureTraining> {
        let settings = Settings { seed: SEED, ..Settings::of(features(BATCH, kimg)) };
        let end = settings.steps_in(kimg);
        Ok(FeatureTraining { trainer: Trainer::new(settings, feed(COUNT), device)?, end })
    }

    /// One iteration; (done, in all).
    ///
    /// # Errors
    /// A device that fails.
    pub fn iterate(&mut self) -> Result<(u64, u64)> {
        self.trainer.iterate()?;
        Ok((self.trainer.step(), self.end))
    }

    /// A scalar of the last iteration: `loss`, `accuracy`.
    ///
    /// # Errors
    /// As [`Trainer::latest`].
    pub fn latest(&mut self, name: &str) -> Result<f32> {
        self.trainer.latest(name)
    }

    /// What the heads tell of faces of another population.
    ///
    /// # Errors
    /// A device that fails.
    pub fn judge(&mut self) -> Result<Vec<Told>> {
        let (heads, seed) = (Head::all(), POPULATION + 1);
        let images: Vec<f32> = floats(&render_batch(seed, 0, HELD_OUT, FaceFeatures::SIZE)).collect();
        let faces: Vec<Face> = (0..HELD_OUT).map(|k| Face::from_seed(seed, k as u64)).collect();
        let logits = self.trainer.infer(&[images])?;
        let width = logits.len() / HELD_OUT;
        let mut from = 0;
        let told = heads.iter().map(|head| {
            let mut counts = vec![0usize; head.classes];
            let mut right = 0;
            for (face, row) in faces.iter().zip(logits.chunks(width)) {
                let (row, label) = (&row[from..from + head.classes], head.label(face) as usize);
                counts[label] += 1;
                right += usize::from((0..head.classes).all(|k| k == label || row[k] < row[label]));
            }
            from += head.classes;
            let share = |count: usize| count as f64 / HELD_OUT as f64;
            let guess = share(counts.into_iter().max().unwrap_or(0));
            Told { name: head.name, classes: head.classes, accuracy: share(right), guess }
        });
        Ok(told.collect())
    }

    /// The trunk by averaged weights, under the names that `metrics` reads it by: a file of `danskin features`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn network(&mut self) -> Result<Checkpoint> {
        let state = self.trainer.checkpoint()?;
        let trunk = |name: &str| name.starts_with("conv") || name.starts_with("bn");
        let tensors = state.tensors.into_iter().filter_map(|tensor| {
            let running = tensor.name.contains(".running_");
            let name = match running {
                true => tensor.name.strip_prefix("F."),
                false => tensor.name.strip_prefix("ema.F."),
            };
            let name = name.filter(|name| trunk(name))?.to_owned();
            Some(NamedTensor { name, ..tensor })
        });
        let about = format!(
            "danskin features: {} thousand images of {COUNT} built-in faces, seed {SEED}",
            self.trainer.kimg()
        );
        Ok(Checkpoint { tensors: tensors.collect(), meta: [("about".to_owned(), about)].into() })
    }
}

/// Portraits with their labels, shifted, mirrored, and of changed brightness and contrast: a function of the place in the stream.
fn feed(count: usize) -> Feed {
    let (size, heads) = (FaceFeatures::SIZE, Head::all());
    let images = render_batch(POPULATION, 0, count, size);
    let rows: Vec<_> = (0..count).map(|k| label_row(&heads, &Face::from_seed(POPULATION, k as u64))).collect();
    Feed::from_fn(&[size + 1, size, 3], false, move |first, n, stream| {
        let bytes = size * size * 3;
        let mut samples = Vec::with_capacity(n * (bytes + size * 3));
        for place in first..first + n as u64 {
            let k = draw_index(SEED, stream, place, count);
            let words = philox::block(SEED, [place as u32, (place >> 32) as u32, stream, 4]);
            varied(&images[k * bytes..(k + 1) * bytes], size, words, &mut samples);
            samples.extend(rows[k]);
        }
        Ok((samples, vec![]))
    })
}

/// Adds an image as numbers in [-1, 1], changed as `words` say: shifted with its border drawn out, mirrored, scaled around grey by
/// 0.75 to 1.25, and made lighter or darker by at most 0.2.
fn varied(image: &[u8], size: usize, words: [u32; 4], out: &mut Vec<f32>) {
    let shift = philox::shift(words[0], SHIFT);
    let mirrored = words[1] >> 31 == 1;
    let contrast = (0.75 + 0.5 * philox::uniform(words[2])) as f32;
    let brightness = (0.4 * philox::uniform(words[3]) - 0.2) as f32;
    let at = |place: usize, shift: usize| (place + shift).saturating_sub(SHIFT).min(size - 1);
    for y in 0..size {
        for x in 0..size {
            let x = if mirrored { size - 1 - x } else { x };
            let pixel = (at(y, shift[0]) * size + at(x, shift[1])) * 3;
            let changed = |v: f32| (contrast * v + brightness).clamp(-1.0, 1.0);
            out.extend(floats(&image[pixel..pixel + 3]).map(changed));
        }
    }
}
