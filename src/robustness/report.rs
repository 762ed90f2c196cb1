//! What an evaluation found, as one value; as CSV and JSON.

use super::curves::{EpsPoint, StepPoint};
use super::suite::{Suite, Trial, share};
use super::warnings::Findings;
use crate::attack::Norm;
use serde_json::{Value, json};

/// What attacks (columns) leave of models (rows), as shares.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// Above the columns.
    pub heads: Vec<String>,
    /// By model.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// Everything an evaluation has to say.
#[derive(Clone, Debug)]
pub struct RobustnessReport {
    /// Name of the model's run.
    pub model: String,
    /// Name of the images.
    pub data: String,
    /// How many.
    pub count: usize,
    /// Radius as it was written, and the norm of the ball.
    pub eps: String,
    /// The norm.
    pub norm: Norm,
    /// One line about the device.
    pub device: String,
    /// Share that is right without any attack.
    pub clean: f64,
    /// What each attack found, in order.
    pub trials: Vec<Trial>,
    /// Accuracy against the radius.
    pub against_eps: Vec<EpsPoint>,
    /// Accuracy and margin against steps.
    pub against_steps: Vec<StepPoint>,
    /// Accuracy of models (rows) on examples made for models (columns), where there are several: names, then shares.
    pub transfer: Vec<(String, Vec<f64>)>,
    /// What every attack leaves of every model, where there are several.
    pub matrix: Matrix,
    /// What is suspicious.
    pub warnings: Findings,
    /// A picture of examples: image, change, example, with what the model says, as PNG.
    pub picture: Option<Vec<u8>>,
}

impl RobustnessReport {
    /// Share of the images that no attack has changed: the mean over images of the minimum over attacks.
    pub fn worst(&self) -> f64 {
        let robust = |k: usize| self.trials.iter().all(|trial| trial.robust[k]);
        share(&(0..self.count).map(robust).collect::<Vec<bool>>())
    }

    /// The same after the first `attacks` of them.
    pub fn worst_of(&self, attacks: usize) -> f64 {
        let robust = |k: usize| self.trials[..attacks].iter().all(|trial| trial.robust[k]);
        share(&(0..self.count).map(robust).collect::<Vec<bool>>())
    }

    /// Rows of the table: what the columns of [`RobustnessReport::HEADS`] say of each attack.
    pub fn rows(&self) -> Vec<[String; 7]> {
        let row = |(i, trial): (usize, &Trial)| {
            let images = trial.attacked as u64;
            let per_image = if images > 0 { 1000.0 * trial.seconds / images as f64 } else { 0.0 };
            [
                trial.attack.clone() + if trial.complete { "" } else { " (stopped)" },
                format!("{}", trial.attacked),
                format!("{:.2}", 100.0 * trial.accuracy()),
                format!("{:.2}", 100.0 * self.worst_of(i + 1)),
                format!("{} + {}", trial.passes.0, trial.passes.1),
                format!("{}", trial.submissions),
                format!("{per_image:.2}"),
            ]
        };
        self.trials.iter().enumerate().map(row).collect()
    }

    /// What stands above the columns of [`RobustnessReport::rows`].
    pub const HEADS: [&'static str; 7] =
        ["attack", "images", "accuracy %", "worst case %", "passes per image", "submissions", "ms per image"];

    /// The table as CSV.
    pub fn csv(&self) -> String {
        let line = |cells: &[String]| cells.join(",") + "\n";
        let mut out = line(&RobustnessReport::HEADS.map(str::to_owned));
        out += &line(&[
            "none".into(),
            self.count.to_string(),
            format!("{:.2}", 100.0 * self.clean),
            format!("{:.2}", 100.0 * self.clean),
            "1 + 0".into(),
            String::new(),
            String::new(),
        ]);
        self.rows().iter().for_each(|row| out += &line(row));
        out
    }

    /// Everything as JSON.
    pub fn json(&self) -> Value {
        let trial = |trial: &Trial| {
            json!({
                "attack": trial.attack,
                "attacked": trial.attacked,
                "accuracy": trial.accuracy(),
                "forward_passes_per_image": trial.passes.0,
                "backward_passes_per_image": trial.passes.1,
                "submissions": trial.submissions,
                "seconds": trial.seconds,
                "complete": trial.complete,
            })
        };
        json!({
            "model": self.model,
            "data": self.data,
            "images": self.count,
            "eps": self.eps,
            "norm": if self.norm == Norm::Inf { "inf" } else { "2" },
            "device": self.device,
            "clean_accuracy": self.clean,
            "robust_accuracy": self.worst(),
            "attacks": self.trials.iter().map(trial).collect::<Vec<_>>(),
            "against_eps": self.against_eps.iter().map(|p| json!({ "eps": p.eps / 2.0, "accuracy": p.accuracy })).collect::<Vec<_>>(),
            "against_steps": self.against_steps.iter().map(|p| json!({ "steps": p.steps, "accuracy": p.accuracy, "margin": p.margin })).collect::<Vec<_>>(),
            "transfer": self.transfer.iter().map(|(name, row)| json!({ "model": name, "accuracy": row })).collect::<Vec<_>>(),
            "matrix": json!({
                "attacks": self.matrix.heads,
                "models": self.matrix.rows.iter().map(|(name, row)| json!({ "model": name, "accuracy": row })).collect::<Vec<_>>(),
            }),
            "warnings": self.warnings.0,
        })
    }

    /// A report without attacks yet.
    pub fn of(suite: &Suite, model: &str, data: &str, eps: &str, device: String) -> RobustnessReport {
        RobustnessReport {
            model: model.into(),
            data: data.into(),
            count: suite.examples().len(),
            eps: eps.into(),
            norm: suite.norm,
            device,
            clean: suite.accuracy(),
            trials: vec![],
            against_eps: vec![],
            against_steps: vec![],
            transfer: vec![],
            matrix: Matrix::default(),
            warnings: Findings::default(),
            picture: None,
        }
    }
}
