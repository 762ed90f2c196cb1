//! Alarms of a run: what its numbers say about a training that goes wrong, with the likely cause and the setting to turn.
//!
//! Alarms are a function of the reports so far, so that a run which was killed and goes on tells what an unbroken one tells. Each is told
//! once, and again only after it had ceased. A loss of zero is no alarm where only differences mean anything (WGAN).

use super::stats::Report;
use crate::config::{Config, LossKind, Task};
use std::collections::BTreeMap;

/// Reports over which a state must last before it is told.
const LASTING: usize = 5;
/// Reports before anything can be called unusual.
const KNOWN: usize = 10;
/// Share of its value at equilibrium below which a discriminator's loss says that it errs no more.
const SATURATED: f64 = 0.05;
/// A gradient so many times its usual length is an explosion, and by the inverse square it has vanished.
const EXPLODED: f64 = 100.0;
/// Share of the reals' diversity, and of the highest seen in the run, below which samples have collapsed.
const COLLAPSED: f64 = 0.3;
/// Distance of averaged from trained weights, relative to the latter, at which the average shows another network.
const APART: f64 = 1.0;
/// Scale of losses at which 16 bits gain nothing.
const SCALE_FLOOR: f64 = 1.0;
/// Share of the run after which a classifier should have left chance.
const PATIENCE: f64 = 0.2;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// Which one: `collapse`, `saturation`, …
    pub kind: String,
    /// Thousands of images at which it was raised.
    pub kimg: f64,
    /// What it is, the likely cause, and what to turn.
    pub text: String,
}

/// What watches a run.
#[derive(Debug)]
pub struct Alarms {
    task: Task,
    loss: LossKind,
    classes: usize,
    /// Thousands of images of the whole run.
    end: f64,
    /// By scalar, every value so far that is a number.
    seen: BTreeMap<String, Vec<f64>>,
    /// Alarms that last.
    lasting: Vec<String>,
}

impl Alarms {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Alarms {
        Alarms {
            task: config.train.task,
            loss: config.loss.kind,
            classes: config.model.classes,
            end: config.train.kimg,
            seen: BTreeMap::new(),
            lasting: vec![],
        }
    }

    /// The alarms that a report raises. Reports come in order, each once.
    pub fn watch(&mut self, report: &Report) -> Vec<Alarm> {
        let found = self.look(report);
        for (name, value) in report.scalars.iter().filter(|(_, value)| value.is_finite()) {
            self.seen.entry(name.clone()).or_default().push(*value);
        }
        let new = found.iter().filter(|(kind, _)| !self.lasting.contains(kind));
        let alarms =
            new.map(|(kind, text)| Alarm { kind: kind.clone(), kimg: report.kimg, text: text.clone() }).collect();
        self.lasting = found.into_iter().map(|(kind, _)| kind).collect();
        alarms
    }

    /// What is wrong now, as (kind, text).
    fn look(&self, report: &Report) -> Vec<(String, String)> {
        let mut found: Vec<(String, String)> = vec![];
        let mut tell = |kind: &str, text: Option<String>| found.extend(text.map(|text| (kind.to_owned(), text)));
        match self.task {
            Task::Gan => {
                tell("saturation", self.saturation(report));
                tell("collapse", self.collapse(report));
                tell("lost modes", self.lost_modes(report));
            }
            Task::Classifier => tell("chance", self.chance(report)),
        }
        tell("average", average(report));
        for (name, &value) in &report.scalars {
            if let Some(network) = name.strip_suffix("_grad_norm") {
                let network = network.to_uppercase();
                tell(&format!("exploded {network}"), self.exploded(name, value, &network));
                tell(&format!("vanished {network}"), self.vanished(name, value, &network));
            }
            if name.ends_with("_loss_scale") && value <= SCALE_FLOOR {
                let text = format!(
                    "{name} has fallen to {value}: gradients keep overflowing in 16 bits; lower optim.lr, or start again with \
                     train.precision=f32"
                );
                tell(&format!("scale {name}"), Some(text));
            }
        }
        found
    }

    /// Values of a scalar so far with that of this report, if there are at least `least`.
    fn history(&self, report: &Report, name: &str, least: usize) -> Option<Vec<f64>> {
        let mut values = self.seen.get(name).cloned().unwrap_or_default();
        values.push(report.scalar(name));
        (values.len() >= least && values.iter().all(|v| v.is_finite())).then_some(values)
    }

    fn saturation(&self, report: &Report) -> Option<String> {
        // Of a discriminator that can't tell reals from fakes.
        let equilibrium = match self.loss {
            LossKind::Ns => 2.0 * std::f64::consts::LN_2,
            LossKind::Rpgan => std::f64::consts::LN_2,
            LossKind::Hinge => 2.0,
            LossKind::Lsgan => 0.5,
            LossKind::Wgan => return None,
        };
        let values = self.history(report, "d_loss", KNOWN)?;
        let last = &values[values.len() - LASTING..];
        let share = last.iter().map(|v| v / equilibrium).fold(f64::MIN, f64::max);
        (share < SATURATED).then(|| {
            format!(
                "the discriminator tells reals from fakes almost without error (d_loss {:.3}, where guessing costs {equilibrium:.2}), so \
                 that the generator learns little from it: raise loss.r1_gamma, or lower optim.lr_d_scale or model.d_width; with few \
                 images it has learned them by heart",
                values[values.len() - 1]
            )
        })
    }

    fn collapse(&self, report: &Report) -> Option<String> {
        let values = self.history(report, "diversity", 2)?;
        let (now, best) = (values[values.len() - 1], values.iter().copied().fold(0.0, f64::max));
        (now < COLLAPSED && now < COLLAPSED * best.min(1.0)).then(|| {
            format!(
                "samples of different latents have become alike (their mean distance is {:.0} % of that of reals, it was {:.0} %): the \
                 generator has collapsed; go back to a checkpoint before, lower optim.lr, or use loss.kind=rpgan with loss.r1_gamma and \
                 loss.r2_gamma",
                100.0 * now,
                100.0 * best
            )
        })
    }

    fn lost_modes(&self, report: &Report) -> Option<String> {
        let values = self.history(report, "modes", 2)?;
        let (now, best) = (values[values.len() - 1], values.iter().copied().fold(0.0, f64::max));
        (now <= 0.5 * best && best >= 2.0).then(|| {
            format!(
                "the generator covers {now:.0} modes and has covered {best:.0}: it has collapsed; use loss.kind=rpgan with loss.r1_gamma and \
                 loss.r2_gamma, or lower optim.lr"
            )
        })
    }

    fn chance(&self, report: &Report) -> Option<String> {
        let guessing = (self.classes.max(2) as f64).ln();
        let values = self.history(report, "loss", KNOWN)?;
        let stays = values[values.len() - LASTING..].iter().all(|loss| *loss > 0.97 * guessing);
        (stays && report.kimg > PATIENCE * self.end).then(|| {
            format!(
                "the classifier guesses: its loss is {:.3}, that of equal odds {guessing:.3}; lower optim.lr, or let a defence's radius grow \
                 with defence.warmup_kimg",
                values[values.len() - 1]
            )
        })
    }

    fn exploded(&self, name: &str, value: f64, network: &str) -> Option<String> {
        let usual = median(self.seen.get(name).filter(|seen| seen.len() >= KNOWN)?);
        (value > EXPLODED * usual.max(f64::MIN_POSITIVE)).then(|| {
            format!(
                "the gradient of {network} is {value:.3e} long, and usually was {usual:.3e}: training is about to diverge; lower optim.lr, or \
                 raise the weight of a penalty (loss.r1_gamma, loss.gp_lambda)"
            )
        })
    }

    fn vanished(&self, name: &str, value: f64, network: &str) -> Option<String> {
        let usual = median(self.seen.get(name).filter(|seen| seen.len() >= KNOWN)?);
        (value < usual / (EXPLODED * EXPLODED)).then(|| {
            format!(
                "the gradient of {network} is {value:.3e} long, and usually was {usual:.3e}: it learns no more; the other network has won (see \
                 d_loss), or activations are saturated: start again with a lower optim.lr"
            )
        })
    }
}

fn average(report: &Report) -> Option<String> {
    let gap = report.scalar("average_gap");
    (gap > APART).then(|| {
        format!(
            "averaged weights lie {gap:.2} times the length of the trained ones away from them, so that samples show another network than \
             the one in training: shorten ema.half_life_kimg, or lower optim.lr"
        )
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn alarms(set: &[&str]) -> Alarms {
        let set = set.iter().map(|word| (*word).to_owned()).collect();
        Alarms::new(&Config::load(&Overrides { set, ..Overrides::default() }).unwrap().0)
    }

    /// Kinds raised by rows of scalars, a thousand images apart.
    fn kinds(alarms: &mut Alarms, rows: &[&[(&str, f64)]]) -> Vec<String> {
        let mut kinds = vec![];
        for (i, row) in rows.iter().enumerate() {
            let scalars = row.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let report = Report { kimg: i as f64, scalars, ..Report::default() };
            kinds.extend(alarms.watch(&report).into_iter().map(|alarm| alarm.kind));
        }
        kinds
    }

    #[test]
    fn a_discriminator_that_errs_no_more_is_told_once_and_again_after_it_erred() {
        let (wins, errs): (&[_], &[_]) = (&[("d_loss", 0.001)], &[("d_loss", 1.2)]);
        let rows = [vec![wins; 20], vec![errs; 3], vec![wins; 20]].concat();
        assert_eq!(kinds(&mut alarms(&[]), &rows), ["saturation", "saturation"]);
        assert_eq!(kinds(&mut alarms(&["loss.kind=wgan"]), &rows), [""; 0], "only differences mean anything");
    }

    #[test]
    fn samples_that_become_alike_are_told_and_an_untrained_generator_is_not() {
        let row = |value: f64| vec![("diversity", value)];
        let of = |values: &[f64]| {
            let rows: Vec<_> = values.iter().map(|v| row(*v)).collect();
            kinds(&mut alarms(&[]), &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        assert_eq!(of(&[0.02, 0.05, 0.4, 0.9, 0.85]), [""; 0]);
        assert_eq!(of(&[0.02, 0.05, 0.4, 0.9, 0.2]), ["collapse"]);
    }

    #[test]
    fn gradients_that_explode_or_vanish_are_told_by_network() {
        let usual: &[_] = &[("d_grad_norm", 2.0), ("g_grad_norm", 0.5)];
        let broken: &[_] = &[("d_grad_norm", 900.0), ("g_grad_norm", 1e-6)];
        assert_eq!(kinds(&mut alarms(&[]), &[vec![usual; 12], vec![broken]].concat()), ["exploded D", "vanished G"]);
        assert_eq!(kinds(&mut alarms(&[]), &[vec![usual; 3], vec![broken]].concat()), [""; 0], "nothing is usual yet");
    }

    #[test]
    fn a_classifier_at_chance_a_scale_at_its_floor_an_average_of_another_network() {
        let guesses: &[_] = &[("loss", 2.303)];
        let mut watched = Alarms { task: Task::Classifier, classes: 10, end: 20.0, ..alarms(&[]) };
        assert_eq!(kinds(&mut watched, &[guesses; 12]), ["chance"]);
        let floor: &[_] = &[("d_loss_scale", 1.0), ("average_gap", 1.5)];
        assert_eq!(kinds(&mut alarms(&[]), &[floor]), ["average", "scale d_loss_scale"]);
    }
}
