//! Images of one's own: an array of bytes and their labels, a small network, and the built-in game that trains a classifier.

use danskin::data::DataSet;
use danskin::device::Device;
use danskin::nn::{Init, layers, network};
use danskin::philox::uniform_at;
use danskin::train::game::Adam;
use danskin::train::games::Classifier;
use danskin::train::{Feed, Settings, Trainer};
use std::sync::Arc;

const SIDE: usize = 8;

/// A grey image that is brighter in one of its quarters, the class; the rest is noise.
fn image(class: u32, seed: u64) -> Vec<u8> {
    let quarter = |i: usize| (i / SIDE / (SIDE / 2) * 2 + i % SIDE / (SIDE / 2)) as u32;
    let shade = |i: usize| 160.0 * uniform_at(seed, 0, 0, i as u64) + if quarter(i) == class { 90.0 } else { 0.0 };
    (0..SIDE * SIDE).map(|i| shade(i) as u8).collect()
}

fn main() -> danskin::Result<()> {
    // Yours may come from anywhere: bytes [count, height, width, channels] and one label each.
    let labels: Vec<u32> = (0..1000).map(|k| k % 4).collect();
    let images: Vec<u8> = (0..1000).flat_map(|k| image(k % 4, k.into())).collect();
    let data = DataSet::from_images("quarters", images, Some(labels), [SIDE, SIDE, 1])?;

    // A convolution, then one logit per class. Every name here becomes the name of a parameter in checkpoints.
    let small = network(&[SIDE, SIDE, 1], &[4], 0, |scope, x, _labels, _mode| {
        let shape = layers::Conv { channels: 8, kernel: 4, stride: 2, pad: 1, groups: 1 };
        let conv = layers::conv(&scope.child("conv"), x, shape, Init::scaled(1.4, 16));
        let x = layers::bias(&scope.child("conv"), "bias", conv).relu();
        let x = x.reshape([x.dim(0), x.dim(1) * x.dim(2) * x.dim(3)]);
        layers::linear(&scope.child("logits"), x, 4, Init::scaled(1.0, x.dim(1)))
    });
    let game = Classifier::new(Arc::new(small), &[SIDE, SIDE, 1], 4, 64, Adam::new(2e-3, 0.9, 0.999)).game()?;
    let mut trainer = Trainer::new(Settings::of(game), Feed::from_set(data, false), &Device::Host)?;
    for _ in 0..300 {
        trainer.iterate()?;
    }
    let accuracy = trainer.latest("accuracy")?;

    // Images it has not seen, in [-1, 1] as networks see them.
    let new: Vec<u8> = (0..8).flat_map(|k| image(k % 4, 5000 + u64::from(k))).collect();
    let logits = trainer.infer(&[new.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect()])?;
    let best = |row: &[f32]| (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
    let classes: Vec<usize> = logits.chunks(4).map(best).collect();
    assert!(accuracy > 0.9 && classes == [0, 1, 2, 3, 0, 1, 2, 3], "accuracy {accuracy}, classes {classes:?}");
    println!(
        "own_data: accuracy {accuracy:.3}; new images of the classes 0 1 2 3 0 1 2 3 were told apart: {classes:?}"
    );
    Ok(())
}
