//! A GAN of one's own: the networks, their loss, the phases and the data are all written here.

use danskin::device::Device;
use danskin::graph::{Dist, Tensor};
use danskin::loss::r1_penalty;
use danskin::nn::{Init, Scope, layers};
use danskin::philox::uniform_at;
use danskin::train::game::{Adam, Batch, Game, Inference, Phase, Player};
use danskin::train::{Feed, Settings, Trainer, stream};

/// Both networks: two hidden layers. The scope names their parameters, `G.0.weight` and so on.
fn mlp<'g>(scope: &Scope<'g>, x: Tensor<'g>, out: usize) -> Tensor<'g> {
    let layer = |name: &str, x: Tensor<'g>, width| {
        let scope = scope.child(name);
        layers::bias(&scope, "bias", layers::linear(&scope, x, width, Init::scaled(1.4, x.dim(1))))
    };
    let x = layer("0", x, 64).leaky_relu(0.2);
    layer("2", layer("1", x, 64).leaky_relu(0.2), out)
}

fn main() -> danskin::Result<()> {
    // A phase builds the graph of a loss and says who learns from it.
    let judge = Phase::new("d", |p| {
        let (g, d, real) = (p.network("G")?, p.network("D")?, p.batch("real"));
        let latents = p.graph().rand(Dist::Normal, stream::Z_D, [p.rows(), 2]);
        let (fake_score, score) = (mlp(&d, mlp(&g, latents, 2).detach(), 1), mlp(&d, real, 1));
        // One's own loss: a real should score 1 more than the fake beside it.
        let loss = (fake_score - score + 1.0).relu().mean_all();
        p.log("d_loss", loss);
        p.minimise("D", loss + r1_penalty(score, real, 0.1))
    });
    let imitate = Phase::new("g", |p| {
        let latents = p.graph().rand(Dist::Normal, stream::Z_G, [p.rows(), 2]);
        let fake = mlp(&p.network("G")?, latents, 2);
        p.minimise("G", -mlp(&p.network("D")?, fake, 1).mean_all())
    });
    let adam = Adam::new(1e-3, 0.0, 0.99);
    let game = Game {
        batch: 128,
        sample: vec![2],
        networks: vec![Player::new("G", "generator", adam.clone()), Player::new("D", "discriminator", adam)],
        batches: vec![Batch::new("real", stream::DATA_D)],
        phases: vec![judge, imitate],
        inference: Some(Inference::of_latents(2, &[2], |p, latents| Ok(mlp(&p.network("G")?, latents, 2)))),
        ..Game::default()
    };
    // Data: `n` points of a circle after the `first` ones.
    let circle = Feed::from_fn(&[2], false, |first, n, stream| {
        let angles = (first..first + n as u64).map(|i| std::f64::consts::TAU * uniform_at(1, stream, 0, i));
        Ok((angles.flat_map(|a| [a.cos() as f32, a.sin() as f32]).collect(), vec![]))
    });
    let mut trainer = Trainer::new(Settings::of(game), circle, &Device::Host)?;
    (0..3000).try_for_each(|_| trainer.iterate())?;
    let samples = trainer.sample(&(0..1000).collect::<Vec<u32>>())?; // one sample per seed
    let near = samples.chunks(2).filter(|p| (p[0].hypot(p[1]) - 1.0).abs() < 0.2).count();
    assert!(near > 800, "{near} of 1000 samples are near the circle");
    println!("own_gan: {near} of 1000 samples are near the circle; loss of D {:.3}", trainer.latest("d_loss")?);
    Ok(())
}
