//! An attack alone: PGD in the ∞-norm from the images themselves, on a discriminator that learns nothing. What engines are
//! compared by.

use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::nn::{Mode, Network};
use crate::optim::Schedule;
use crate::train::game::{Adam, Batch, Game, Phase, Player, Value};
use crate::train::stream;
use std::sync::Arc;

/// An attack on `discriminator` by `steps` steps of `alpha` within `eps`, in units of the samples. It normalises by the
/// statistics of the batch.
pub fn pgd(discriminator: Arc<dyn Network>, sample: &[usize], batch: usize, steps: u32, eps: f64, alpha: f64) -> Game {
    let constant = |name: &str, value| Value::new(name, Schedule::Constant(value));
    let start = Phase::new("attack_start", |p| {
        let real = p.batch("real");
        p.share("x_adv", real);
        Ok(())
    });
    let step = Phase::new("attack_step", move |p| {
        let (real, x) = (p.batch("real"), p.shared("x_adv", p.batch_shape()));
        let logits = discriminator.forward(&p.network("D")?, x, None, Mode::Train);
        let gradient = grad(logits.scale(-1.0).softplus().sum_all(), &[x])[0];
        let (eps, alpha) = (p.value("attack_eps"), p.value("attack_alpha"));
        p.share("x_adv", attack::step(Norm::Inf, x, real, gradient, alpha, eps, Bounds::IMAGE));
        Ok(())
    });
    Game {
        batch,
        sample: sample.to_vec(),
        classes: None,
        networks: vec![Player::new("D", "discriminator", Adam::new(0.0, 0.0, 0.0))],
        batches: vec![Batch { name: "real".into(), stream: stream::DATA_D, labels: false }],
        values: vec![constant("attack_eps", eps), constant("attack_alpha", alpha)],
        phases: vec![start, Phase { repeat: steps, ..step }],
        inference: None,
        shown: vec![],
    }
}
