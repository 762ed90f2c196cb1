//! A classifier and its adversary: projected gradient descent (PGD) against noise of the same size.

use danskin::attack::{AttackOptions, named};
use danskin::device::Device;
use danskin::nn::{Init, layers, network};
use danskin::philox::uniform_at;
use danskin::train::game::Adam;
use danskin::train::games::{Classifier, Victim};
use danskin::train::{Attacker, Feed, Settings, Trainer};
use std::{path::Path, sync::Arc};

/// Image `k`, 8x8: stripes somewhere under noise. Upright ones are class 0, lying ones class 1.
fn image(k: u64) -> impl Iterator<Item = f32> {
    let random = move |i: u64| uniform_at(k, 0, 0, i) as f32;
    let wave = move |i: u64| (1.5 * (if k % 2 == 1 { i / 8 } else { i % 8 }) as f32 + 6.3 * random(64)).sin();
    (0..64).map(move |i| (0.4 * wave(i) + random(i) - 0.5).clamp(-1.0, 1.0))
}

fn main() -> danskin::Result<()> {
    let net = network(&[8, 8, 1], &[2], 0, |scope, x, _labels, _mode| {
        let hidden = layers::linear(&scope.child("hidden"), x.reshape([x.dim(0), 64]), 64, Init::scaled(1.4, 64));
        layers::linear(&scope.child("logits"), hidden.relu(), 2, Init::scaled(1.0, 64))
    });
    let (network, sample) = (Arc::new(net), vec![8, 8, 1]);
    let game = Classifier::new(network.clone(), &sample, 2, 64, Adam::new(2e-3, 0.9, 0.999)).game()?;
    let images = Feed::from_fn(&sample, true, |first, n, _stream| {
        let all = || first..first + n as u64;
        Ok((all().flat_map(image).collect(), all().map(|k| (k % 2) as f32).collect()))
    });
    let mut trainer = Trainer::new(Settings::of(game), images, &Device::Host)?;
    (0..400).try_for_each(|_| trainer.iterate())?;

    // Images it has not seen, and what attacks within 0.2 of them leave of its accuracy; a whole attack is one submission.
    let fresh: Vec<u64> = (1_000_000..1_000_256).collect();
    let images: Vec<f32> = fresh.iter().flat_map(|&k| image(k)).collect();
    let labels: Vec<u32> = fresh.iter().map(|k| (k % 2) as u32).collect();
    let weights = trainer.checkpoint()?;
    let accuracy = |name: &str, eps: f64| -> danskin::Result<f64> {
        let options = AttackOptions { classes: 2, sample: sample.clone(), steps: Some(20), ..AttackOptions::default() };
        let victim = Victim { network: network.clone(), name: "C".into(), sample: sample.clone() };
        let mut attacker = Attacker::new(named(name, &options)?, &victim, 64, false, 0, &Device::Host)?;
        attacker.load(&weights, Path::new("weights in memory"))?;
        let found = attacker.run(&images, &labels, None, eps, &mut |_| true)?;
        Ok(found.fooled.iter().filter(|fooled| !**fooled).count() as f64 / labels.len() as f64)
    };
    let (clean, noise, pgd) = (accuracy("noise", 0.0)?, accuracy("noise", 0.2)?, accuracy("pgd", 0.2)?);
    assert!(clean > 0.8 && noise > clean - 0.1 && pgd < clean - 0.2, "clean {clean}, noise {noise}, pgd {pgd}");
    println!("attack: accuracy {clean:.3} on images, {noise:.3} with noise, {pgd:.3} under PGD of the same size");
    Ok(())
}
