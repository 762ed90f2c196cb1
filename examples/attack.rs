//! A classifier and its adversary: projected gradient descent (PGD) against noise of the same size.

use danskin::attack::{self, Bounds, Norm};
use danskin::graph::Tensor;
use danskin::nn::{Init, Mode, Network, layers, network};
use danskin::train::game::{Adam, Phase, PhaseGraph, Value, When};
use danskin::train::{Feed, Settings, Trainer, games::Classifier, stream};
use danskin::{autodiff::grad, device::Device, loss::classifier::cross_entropy, optim::Schedule, philox::uniform_at};

/// Image `k`, 8x8: stripes somewhere under noise. Upright ones are class 0, lying ones class 1.
fn image(k: u64) -> impl Iterator<Item = f32> {
    let random = move |i: u64| uniform_at(k, 0, 0, i) as f32;
    let wave = move |i: u64| (1.5 * (if k % 2 == 1 { i / 8 } else { i % 8 }) as f32 + 6.3 * random(64)).sin();
    (0..64).map(move |i| 0.4 * wave(i) + random(i) - 0.5)
}

fn net() -> impl Network {
    network(&[8, 8, 1], &[2], 0, |scope, x, _labels, _mode| {
        let hidden = layers::linear(&scope.child("hidden"), x.reshape([x.dim(0), 64]), 64, Init::scaled(1.4, 64));
        layers::linear(&scope.child("logits"), hidden.relu(), 2, Init::scaled(1.0, 64))
    })
}

/// The classifier's loss on images `x`.
fn harm<'g>(p: &PhaseGraph<'g>, x: Tensor<'g>) -> danskin::Result<Tensor<'g>> {
    Ok(cross_entropy(net().forward(&p.network("C")?, x, None, Mode::Eval), p.labels("images")).mean_all())
}

fn main() -> danskin::Result<()> {
    let (network, adam) = (std::sync::Arc::new(net()), Adam::new(2e-3, 0.9, 0.999));
    // The built-in game learns; two phases of one's own stand behind it and, at its end, attack what it has learned.
    let mut game =
        Classifier { network, sample: vec![8, 8, 1], classes: 2, batch: 64, optimiser: adam.into(), average: None }
            .game();
    game.values = [("eps", 0.2), ("alpha", 0.05)].map(|(name, v)| Value::new(name, Schedule::Constant(v))).into();
    let start = Phase::new("start", |p| {
        let x = attack::start(Norm::Inf, p.batch("images"), p.value("eps"), Bounds::IMAGE, stream::ATTACK);
        p.log("clean", harm(p, p.batch("images"))?);
        p.log("noise", harm(p, x)?);
        p.share("x_adv", x); // stays on the device
        Ok(())
    });
    let step = Phase::new("step", |p| {
        let (x, x0) = (p.shared("x_adv", p.batch_shape()), p.batch("images"));
        let loss = harm(p, x)?;
        let uphill = grad(loss, &[x])[0];
        p.log("pgd", loss);
        p.share("x_adv", attack::step(Norm::Inf, x, x0, uphill, p.value("alpha"), p.value("eps"), Bounds::IMAGE));
        Ok(())
    });
    game.phases.extend([start, Phase { repeat: 11, ..step }].map(|phase| phase.when(When::last_of(400))));
    let images = Feed::from_fn(&[8, 8, 1], true, |first, n, _stream| {
        let all = || first..first + n as u64;
        Ok((all().flat_map(image).collect(), all().map(|k| (k % 2) as f32).collect()))
    });
    let mut trainer = Trainer::new(Settings::of(game), images, &Device::Host)?;
    (0..400).try_for_each(|_| trainer.iterate())?;
    let (clean, noise, pgd) = (trainer.latest("clean")?, trainer.latest("noise")?, trainer.latest("pgd")?);
    assert!(clean < 0.5 && noise - clean < 0.2 * (pgd - clean), "clean {clean}, noise {noise}, pgd {pgd}");
    println!("attack: loss {clean:.3} on images, {noise:.3} with noise, {pgd:.3} under PGD of the same size");
    Ok(())
}
