//! What augmentation does to images: a game without networks, whose inference shows eight portraits through each set of transforms.
//! `augment PATH` writes the rows as a picture.

use danskin::augment::{AdaPipe, AdaTransforms, DiffAugment, Draws};
use danskin::data::faces::render_batch;
use danskin::device::Device;
use danskin::grid::{Scale, write};
use danskin::train::game::{Game, Inference};
use danskin::train::{Feed, Settings, Trainer};
use std::path::Path;
use std::sync::Arc;

const SIDE: usize = 64;
const COUNT: usize = 8;
const SHAPE: [usize; 4] = [COUNT, SIDE, SIDE, 3];

/// Images through DiffAugment, or through a set of the pipe of ADA with every transform on for every image.
fn augmented(images: &[f32], name: &'static str) -> danskin::Result<Vec<f32>> {
    let inference = Inference {
        name: "augment".into(),
        inputs: vec![("images".into(), SHAPE[1..].to_vec())],
        output: SHAPE[1..].to_vec(),
        rows: COUNT,
        classes: 0,
        build: Arc::new(move |p| {
            let x = p.given("images", &SHAPE[1..]);
            // Numbers of random stream 1 and the two behind it.
            let draws = Draws::new(p.graph(), 1, SHAPE);
            let shown = match AdaTransforms::named(name) {
                Some(on) => AdaPipe::new(on, draws, p.graph().constant(1.0, [1]), [SIDE; 2]).apply(x),
                None => DiffAugment::named(DiffAugment::POLICY).unwrap_or_default().apply(x, &draws, 0),
            };
            p.output(shown);
            Ok(())
        }),
    };
    let game = Game { batch: COUNT, sample: SHAPE[1..].to_vec(), inference: Some(inference), ..Game::default() };
    let mut trainer = Trainer::new(Settings::of(game.clone()), Feed::none(&game), &Device::Host)?;
    trainer.infer(&[images.to_vec()])
}

fn main() -> danskin::Result<()> {
    let images: Vec<f32> = render_batch(0, 0, COUNT, SIDE).iter().map(|byte| f32::from(*byte) / 127.5 - 1.0).collect();
    let names = ["blit", "geom", "color", "filter", "noise", "cutout", "bgc", "diffaugment"];
    let mut rows = images.clone();
    for name in names {
        let seen = augmented(&images, name)?;
        assert!(seen.iter().all(|v| v.is_finite()) && seen != images, "{name} changed nothing");
        rows.extend(seen);
    }
    if let Some(path) = std::env::args().nth(1) {
        write(
            Path::new(&path),
            &rows,
            [rows.len() / SHAPE[1..].iter().product::<usize>(), SIDE, SIDE, 3],
            COUNT,
            Scale::Times(1),
        )?;
    }
    println!("augment: {COUNT} portraits as they are, then through {}", names.join(", "));
    Ok(())
}
