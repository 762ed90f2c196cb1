//! The feature network of the built-in faces in training: one trunk, and a head for each of many factors of a portrait.
//!
//! A sample of the data is an image and, below it, one more row of pixels whose first numbers are the labels of its factors.

use super::accuracy;
use crate::Result;
use crate::data::faces::{FACTORS, Face, FactorKind};
use crate::graph::Tensor;
use crate::loss::classifier::cross_entropy;
use crate::nn::{FaceFeatures, Mode, Scope};
use crate::train::game::{Adam, Average, Batch, Game, Inference, Phase, Player, Schedule, Shown};
use crate::train::stream;

/// Factors that the features are to tell, by name. What a mirror image changes (turns, gazes, the side of the light) is not among them.
const TOLD: [&str; 26] = [
    "hair", "hair_colour", "beard", "glasses", "hat", "clothes", "backdrop", "earrings", "skin_tone", "age", "head_width",
    "hair_volume", "hair_shade", "eye_open", "smile", "mouth_open", "lipstick", "accent_hue", "clothes_hue", "clothes_value",
    "backdrop_hue", "backdrop_value", "light_contrast", "light_warmth", "pitch", "zoom",
];
/// A range is told by the quarter that a value lies in.
const PARTS: usize = 4;
/// Numbers of the row below an image.
const ROW: usize = FaceFeatures::SIZE * 3;

/// A factor that the features are to tell.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Its name in [`FACTORS`].
    pub name: &'static str,
    /// Classes to tell apart.
    pub classes: usize,
    at: usize,
    kind: FactorKind,
}

impl Head {
    /// All of them.
    pub fn all() -> Vec<Head> {
        let found = TOLD.iter().filter_map(|name| FACTORS.iter().position(|factor| factor.name == *name));
        let head = |at: usize| {
            let kind = FACTORS[at].kind;
            let classes = match kind {
                FactorKind::Class(names) => names.len(),
                FactorKind::Range(..) => PARTS,
            };
            Head { name: FACTORS[at].name, classes, at, kind }
        };
        found.map(head).collect()
    }

    /// The class of a portrait.
    pub fn label(&self, face: &Face) -> u32 {
        let value = face.labels()[self.at];
        match self.kind {
            FactorKind::Class(_) => value as u32,
            FactorKind::Range(from, to) => {
                let part = (value - from) / (to - from) * PARTS as f32;
                (part.max(0.0) as u32).min(PARTS as u32 - 1)
            }
        }
    }
}

/// The row of numbers that carries the labels of a portrait below its image.
pub fn label_row(heads: &[Head], face: &Face) -> [f32; ROW] {
    let mut row = [0.0; ROW];
    row.iter_mut().zip(heads).for_each(|(number, head)| *number = head.label(face) as f32);
    row
}

/// The game: it minimises the mean over factors of the cross-entropy in units of a guess; `classify` gives the logits of all heads, one
/// after the other. The rate goes to 0 over `kimg` thousand images.
pub fn features(batch: usize, kimg: f64) -> Game {
    let size = FaceFeatures::SIZE;
    let rate = Schedule::Linear(vec![(0.0, 0.0), (0.1 * kimg, 4e-3), (kimg, 0.0)]);
    let adam = Adam { lr: rate, ..Adam::new(0.0, 0.9, 0.99) };
    let heads = Head::all();
    let learn = Phase::new("learn", learn);
    Game {
        batch,
        sample: vec![size + 1, size, 3],
        networks: vec![Player {
            average: Some(Average { half_life_kimg: Schedule::Constant(2.0), ramp: 0.05 }),
            ..Player::new("F", "feature network", adam)
        }],
        batches: vec![Batch::new("portraits", stream::DATA_D)],
        phases: vec![learn],
        inference: Some(Inference {
            name: "classify".into(),
            inputs: vec![("images".into(), vec![size, size, 3])],
            output: vec![heads.iter().map(|head| head.classes).sum()],
            rows: 64,
            classes: 0,
            build: std::sync::Arc::new(move |p| {
                let (scope, images) = (p.network("F")?, p.given("images", &[size, size, 3]));
                let logits = logits(&scope, images, &heads, Mode::Eval);
                p.output(Tensor::concat(&logits, 1));
                Ok(())
            }),
        }),
        shown: vec![Shown::value("loss", "loss"), Shown::value("accuracy", "accuracy")],
        ..Game::default()
    }
}

fn logits<'g>(scope: &Scope<'g>, images: Tensor<'g>, heads: &[Head], mode: Mode) -> Vec<Tensor<'g>> {
    let features = FaceFeatures.features(scope, images, mode);
    heads.iter().map(|head| FaceFeatures.head(scope, head.name, features, head.classes)).collect()
}

fn learn(p: &mut crate::train::game::PhaseGraph<'_>) -> Result<()> {
    let (scope, heads, size, n) = (p.network("F")?, Head::all(), FaceFeatures::SIZE, p.rows());
    let portraits = p.batch("portraits");
    let images = portraits.slice(&[0; 4], [n, size, size, 3]);
    let labels = portraits.slice(&[0, size, 0, 0], [n, 1, size, 3]).reshape([n, ROW]);
    let each = logits(&scope, images, &heads, Mode::Train);
    let (mut loss, mut right) = (p.graph().constant(0.0, [1]), p.graph().constant(0.0, [1]));
    for (k, (head, logits)) in heads.iter().zip(each).enumerate() {
        let labels = labels.slice(&[0, k], [n, 1]).reshape([n]);
        let weight = 1.0 / heads.len() as f64;
        loss = loss + cross_entropy(logits, labels).mean_all().scale(weight / (head.classes as f64).ln());
        right = right + accuracy(logits, labels).scale(weight);
    }
    p.log("loss", loss);
    p.log("accuracy", right);
    p.keep_updates("F")?;
    p.minimise("F", loss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_factor_has_a_head_and_a_label_within_it() {
        let heads = Head::all();
        assert_eq!(heads.len(), TOLD.len(), "a name is misspelt");
        let mut seen: Vec<Vec<bool>> = heads.iter().map(|head| vec![false; head.classes]).collect();
        for k in 0..2000 {
            let face = Face::from_seed(5, k);
            let row = label_row(&heads, &face);
            heads.iter().enumerate().for_each(|(i, _)| seen[i][row[i] as usize] = true);
        }
        for (head, seen) in heads.iter().zip(seen) {
            assert!(seen.iter().all(|seen| *seen), "{}: {seen:?}", head.name);
        }
    }
}
