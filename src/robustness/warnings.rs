//! Signs that an evaluation is not to be believed: gradients that are masked, outputs that are random or no logits (Carlini 2019; the
//! reference implementation of AutoAttack warns of the same).

use super::suite::{Suite, Trial};
use crate::Result;
use crate::attack::{ADVERSARIAL, FOOLED, frozen};
use crate::attack::{Attack, Ball, Norm, Scene, Stage};

/// Queries of one image that are compared.
const QUERIES: usize = 5;
/// How far their logits may differ, as a share of the largest.
const SPREAD: f32 = 1e-4;
/// Points of accuracy by which an attack without gradients may beat those with.
const POINTS: f64 = 0.002;

/// Sentences for people, in the order of their weight; none where nothing is suspicious.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings(pub Vec<String>);

/// What can be seen of the model itself: random outputs, probabilities instead of logits, gradients that vanish.
///
/// # Errors
/// A device that fails.
pub fn look(suite: &mut Suite) -> Result<Findings> {
    let mut found = vec![];
    let images = &suite.examples().images;
    let first = suite.logits(images)?;
    let largest = first.iter().fold(0.0f32, |most, z| most.max(z.abs())).max(1e-12);
    for _ in 1..QUERIES {
        let again = suite.logits(images)?;
        let apart = first.iter().zip(&again).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        if apart > SPREAD * largest {
            found.push(format!(
                "{QUERIES} queries of the same images differ by {:.2e} of the largest logit: the model draws random numbers; attack it with eotpgd",
                apart / largest
            ));
            break;
        }
    }
    let classes = first.len() / suite.examples().len();
    let sums_to_one = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < 1e-3;
    if classes > 1 && first.iter().all(|z| (0.0..=1.0).contains(z)) && first.chunks(classes).all(sums_to_one) {
        found.push("the outputs look like probabilities: attacks want logits, whose gradients do not vanish where the model is sure".into());
    }
    for (loss, count) in
        [("cross-entropy", suite.frozen(false)?), ("DLR", if classes > 2 { suite.frozen(true)? } else { 0.0 })]
    {
        if count > 0.0 {
            found.push(format!(
                "{:.1} % of the images have a zero gradient of the {loss}: attacks by gradients can't move them; look at square",
                100.0 * count
            ));
        }
    }
    Ok(Findings(found))
}

impl Findings {
    /// Adds what the attacks show together: one without gradients that beats those with, more steps or a larger ball that find less.
    pub fn compare(&mut self, trials: &[Trial], eps: f64, steps: Option<u32>, alpha: Option<f64>) {
        let of = |name: &str| trials.iter().find(|trial| trial.attack == name && trial.complete);
        if let Some(square) = of("square") {
            let with_gradients = |t: &&Trial| t.complete && !["square", "spsa", "noise"].contains(&t.attack.as_str());
            let best = trials.iter().filter(with_gradients).min_by(|a, b| a.accuracy().total_cmp(&b.accuracy()));
            if let Some(best) = best.filter(|best| best.accuracy() - square.accuracy() > POINTS) {
                self.0.push(format!(
                    "square, which sees no gradients, leaves {:.2} points less than the best attack that does ({}): gradients are masked",
                    100.0 * (best.accuracy() - square.accuracy()),
                    best.attack
                ));
            }
        }
        for (weak, strong) in [("noise", "fgsm"), ("fgsm", "pgd"), ("pgd", "apgd-t")] {
            if let (Some(w), Some(s)) = (of(weak), of(strong))
                && s.accuracy() > w.accuracy() + POINTS
            {
                self.0.push(format!(
                    "{strong} leaves {:.2} points more than {weak}, which should be weaker: do not believe either",
                    100.0 * (s.accuracy() - w.accuracy())
                ));
            }
        }
        if let (Some(steps), Some(alpha)) = (steps, alpha)
            && f64::from(steps) * alpha < eps * (1.0 - 1e-9)
        {
            self.0.push(format!("{steps} steps of {} can't reach the edge of the ball: take longer ones", alpha / 2.0));
        }
    }
}

impl Suite<'_> {
    /// Share of the images at which the loss has no gradient.
    fn frozen(&self, dlr: bool) -> Result<f64> {
        let loss = if dlr { crate::attack::Loss::Dlr } else { crate::attack::Loss::default_for(self.options.classes) };
        let stage = Stage::new("gradient", move |s: &Scene| {
            let logits = s.logits(s.images);
            let gradient = s.gradient(loss.each(s, logits), s.images);
            s.store(ADVERSARIAL, s.images);
            s.store(FOOLED, s.fooled(logits));
            s.store("frozen", frozen(gradient));
        });
        let look = Attack::new("gradient", Ball::Radius(Norm::Inf), vec![stage]);
        let mut attacker = self.attacker(look)?;
        let (examples, batch) = (self.examples(), attacker.batch());
        let whole = examples.len() / batch * batch;
        let mut share = 0.0;
        for from in (0..whole).step_by(batch) {
            let picked = examples.pick(&(from..from + batch).collect::<Vec<_>>());
            attacker.run(&picked.images, &picked.labels, None, 0.0, &mut |_| true)?;
            share += f64::from(attacker.kept("frozen")?[0]) * batch as f64 / whole as f64;
        }
        Ok(share)
    }
}
