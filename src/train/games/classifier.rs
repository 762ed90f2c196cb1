//! A classifier: one network that learns the labels of a data set.

use crate::graph::Tensor;
use crate::loss::classifier::{cross_entropy, margin};
use crate::nn::{Mode, Network};
use crate::train::game::{Average, Batch, Game, Inference, Optimiser, Phase, Player, Shown};
use crate::train::stream;
use std::sync::Arc;

/// A classifier; [`Classifier::game`] makes a game of it.
#[derive(Clone)]
pub struct Classifier {
    /// Samples to logits `[N, classes]`.
    pub network: Arc<dyn Network>,
    /// Extents of a sample: [H, W, C].
    pub sample: Vec<usize>,
    /// Number of classes, at least 2.
    pub classes: usize,
    /// Samples per batch.
    pub batch: usize,
    /// How it learns.
    pub optimiser: Optimiser,
    /// Moving average of its weights, which [`Inference`] then uses.
    pub average: Option<Average>,
}

impl Classifier {
    /// The game: one phase that learns, and `classify`, which makes logits of images.
    pub fn game(&self) -> Game {
        let (learner, judge) = (self.clone(), self.clone());
        Game {
            batch: self.batch,
            sample: self.sample.clone(),
            classes: Some(self.classes),
            networks: vec![Player {
                average: self.average.clone(),
                ..Player::new("C", "classifier", self.optimiser.clone())
            }],
            batches: vec![Batch { name: "images".into(), stream: stream::DATA_D, labels: true }],
            values: vec![],
            phases: vec![Phase::new("learn", move |p| {
                let labels = p.labels("images");
                let logits = learner.network.forward(&p.network("C")?, p.batch("images"), None, Mode::Train);
                let loss = cross_entropy(logits, labels).mean_all();
                p.log("loss", loss);
                p.log("accuracy", accuracy(logits, labels));
                p.minimise("C", loss)?;
                p.keep_updates("C")
            })],
            loops: vec![],
            inference: Some(Inference {
                name: "classify".into(),
                inputs: vec![("images".to_owned() + " to classify", self.sample.clone())],
                output: vec![self.classes],
                rows: 64,
                classes: 0,
                build: Arc::new(move |p| {
                    let images = p.given("images to classify", &judge.sample);
                    let logits = judge.network.forward(&p.network("C")?, images, None, Mode::Eval);
                    p.output(logits);
                    Ok(())
                }),
            }),
            shown: vec![Shown::value("loss", "loss"), Shown::value("accuracy", "accuracy")],
        }
    }
}

/// Share of rows whose largest logit is the label's, as `[1]`; a tie counts half.
fn accuracy<'g>(logits: Tensor<'g>, labels: Tensor<'g>) -> Tensor<'g> {
    (margin(logits, labels).sign().scale(-0.5) + 0.5).mean_all()
}
