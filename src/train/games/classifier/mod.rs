//! A classifier: one network that learns the labels of a data set, and perhaps to withstand attacks.

mod defence;

pub use defence::{Adversary, Defence};

use crate::Result;
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
    /// How it is trained to withstand attacks.
    pub defence: Defence,
    /// Thousands of images over which the defence's radius grows from 0; 0 begins with all of it.
    pub warmup_kimg: f64,
}

impl Classifier {
    /// A classifier without a moving average and without a defence.
    pub fn new(
        network: Arc<dyn Network>,
        sample: &[usize],
        classes: usize,
        batch: usize,
        optimiser: impl Into<Optimiser>,
    ) -> Classifier {
        let (sample, optimiser, defence) = (sample.to_vec(), optimiser.into(), Defence::None);
        Classifier { network, sample, classes, batch, optimiser, average: None, defence, warmup_kimg: 0.0 }
    }

    /// The game: an attack on the batch where there is a defence, a phase that learns, and `classify`, which makes logits of images.
    ///
    /// # Errors
    /// An attack that the classifier does not suit.
    pub fn game(&self) -> Result<Game> {
        let (learner, judge) = (self.clone(), self.clone());
        let (mut phases, loops, values) = self.before()?;
        let learn = Phase::new("learn", move |p| learner.learn(p));
        phases.push(Phase { repeat: self.replays(), ..learn });
        let shown =
            [("loss", true), ("accuracy", self.logs_clean()), ("robust_accuracy", self.defence != Defence::None)];
        Ok(Game {
            batch: self.batch,
            accumulate: 1,
            sample: self.sample.clone(),
            classes: Some(self.classes),
            networks: vec![Player {
                average: self.average.clone(),
                ..Player::new("C", "classifier", self.optimiser.clone())
            }],
            batches: vec![Batch { name: "images".into(), stream: stream::DATA_D, labels: true }],
            values,
            phases,
            loops,
            inference: Some(Inference {
                name: "classify".into(),
                inputs: vec![("images to classify".into(), self.sample.clone())],
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
            shown: shown
                .iter()
                .filter(|(_, is)| *is)
                .map(|(name, _)| Shown::value(&name.replace('_', " "), name))
                .collect(),
        })
    }

    /// Whether the accuracy on images as they are is known without a pass of its own.
    fn logs_clean(&self) -> bool {
        !matches!(self.defence, Defence::Fast(_) | Defence::Free { .. })
    }
}
