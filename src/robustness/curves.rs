//! Accuracy against the radius, and loss and accuracy against steps: an attack that is to be believed has monotone curves.

use super::suite::{AttackListener, Suite, share};
use crate::Result;
use crate::attack::{AttackOptions, Norm};

/// One radius.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpsPoint {
    /// In units of the images.
    pub eps: f64,
    /// Share of the images that are still right.
    pub accuracy: f64,
}

/// One number of steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPoint {
    /// Gradient steps.
    pub steps: u32,
    /// Share of the images that are still right.
    pub accuracy: f64,
    /// Mean margin: the largest logit of another class less the label's.
    pub margin: f64,
}

/// Steps of the curves' attack, which is PGD.
const STEPS: u32 = 20;

/// Accuracy under PGD from no change at all up to the radius at which nothing is right, each radius twice the one before beyond the
/// evaluation's own; a radius never counts for less than a smaller one.
///
/// # Errors
/// A device that fails.
pub fn against_eps(suite: &mut Suite, progress: AttackListener) -> Result<Vec<EpsPoint>> {
    let (own, options) = (suite.eps, suite.options.clone());
    suite.options = AttackOptions { steps: Some(STEPS), ..suite.model_options() };
    let mut attacker = suite.attacker(suite.attack("pgd")?)?;
    // Largest change that the box allows.
    let most = match suite.norm {
        Norm::Inf => 2.0,
        Norm::Two => 2.0 * (suite.examples().elems() as f64).sqrt(),
    };
    let mut standing = suite.clean.clone();
    let mut curve = vec![EpsPoint { eps: 0.0, accuracy: share(&standing) }];
    let mut eps = own / 4.0;
    while eps > 0.0 {
        suite.eps = eps;
        let trial = suite.run_on(&mut attacker, &standing, progress)?;
        let stopped = !trial.complete;
        standing = trial.robust;
        curve.push(EpsPoint { eps, accuracy: share(&standing) });
        if stopped || eps >= most || !standing.contains(&true) {
            break;
        }
        eps = (if eps < own { eps + own / 4.0 } else { 2.0 * eps }).min(most);
    }
    (suite.eps, suite.options) = (own, options);
    Ok(curve)
}

/// Accuracy and margin under PGD of 1, 2, 4, … steps of one length, at the evaluation's radius.
///
/// # Errors
/// A device that fails.
pub fn against_steps(suite: &mut Suite, most: u32, progress: AttackListener) -> Result<Vec<StepPoint>> {
    let options = suite.options.clone();
    let mut curve = vec![];
    let mut steps = 1;
    while steps <= most {
        // The same length for all, so that more steps reach further.
        let alpha = Some(2.5 * suite.eps / f64::from(most));
        suite.options = AttackOptions { steps: Some(steps), alpha, ..suite.model_options() };
        let mut attacker = suite.attacker(suite.attack("pgd")?)?;
        let trial = suite.run_on(&mut attacker, &suite.clean.clone(), progress)?;
        let margin = suite.margin(&trial.adversarial)?;
        curve.push(StepPoint { steps, accuracy: trial.accuracy(), margin });
        if !trial.complete {
            break;
        }
        steps *= 2;
    }
    suite.options = options;
    Ok(curve)
}

impl Suite<'_> {
    /// Mean over the images of the largest logit of another class less the label's.
    fn margin(&mut self, images: &[f32]) -> Result<f64> {
        let logits = self.logits(images)?;
        let (labels, classes) = (&self.examples().labels, logits.len() / self.examples().len());
        let margin = |(row, label): (&[f32], &u32)| match row {
            // One logit, whose sign should be the label's.
            [z] => f64::from(*z) * (1.0 - 2.0 * f64::from(*label)),
            row => {
                let others = row.iter().enumerate().filter(|(class, _)| *class != *label as usize);
                f64::from(others.fold(f32::MIN, |most, (_, z)| most.max(*z)) - row[*label as usize])
            }
        };
        let sum: f64 = logits.chunks(classes).zip(labels).map(margin).sum();
        Ok(sum / labels.len() as f64)
    }
}
