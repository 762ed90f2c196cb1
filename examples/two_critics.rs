//! Three networks: one generator against two discriminators of different depths, on eight Gaussians in a ring. Everything of
//! the game is written here; only layers, losses and the toy's points come from the library.

use danskin::data::toys::Toy;
use danskin::device::Device;
use danskin::graph::{Dist, Tensor};
use danskin::loss::{GanLoss, r1_penalty};
use danskin::metrics;
use danskin::nn::{Init, Scope, layers};
use danskin::optim::Schedule::{Constant, Cosine};
use danskin::train::game::{Adam, Average, Batch, Game, Inference, Phase, PhaseGraph, Player};
use danskin::train::{Feed, Settings, Trainer, stream};

const LATENT: usize = 8;

/// A fully connected network of `hidden` layers.
fn mlp<'g>(scope: &Scope<'g>, mut x: Tensor<'g>, hidden: usize, out: usize) -> Tensor<'g> {
    for layer in 0..=hidden {
        let scope = scope.child(layer.to_string());
        let width = if layer < hidden { 64 } else { out };
        x = layers::bias(&scope, "bias", layers::linear(&scope, x, width, Init::scaled(1.4, x.dim(1))));
        if layer < hidden {
            x = x.leaky_relu(0.2);
        }
    }
    x
}

fn generate<'g>(p: &PhaseGraph<'g>, latents: Tensor<'g>) -> danskin::Result<Tensor<'g>> {
    Ok(mlp(&p.network("G")?, latents, 3, 2))
}

/// The two critics: name, and hidden layers.
const CRITICS: [(&str, usize); 2] = [("wide", 1), ("deep", 3)];

/// Both learn from one pass of the generator, each by its own loss and penalty.
fn judge(p: &mut PhaseGraph) -> danskin::Result<()> {
    let real = p.batch("real");
    let fake = generate(p, p.graph().rand(Dist::Normal, stream::Z_D, [p.rows(), LATENT]))?.detach();
    for (name, hidden) in CRITICS {
        let d = p.network(name)?;
        let (on_real, on_fake) = (mlp(&d, real, hidden, 1), mlp(&d, fake, hidden, 1));
        let loss = GanLoss::Rpgan.d_loss(on_real, on_fake);
        p.log(&format!("{name}_loss"), loss);
        p.minimise(name, loss + r1_penalty(on_real, real, 0.02))?;
    }
    Ok(())
}

/// The generator answers to both at once.
fn imitate(p: &mut PhaseGraph) -> danskin::Result<()> {
    let real = p.batch("real_g");
    let fake = generate(p, p.graph().rand(Dist::Normal, stream::Z_G, [p.rows(), LATENT]))?;
    let mut total = p.graph().constant(0.0, [1]);
    for (name, hidden) in CRITICS {
        let d = p.network(name)?;
        total = total + GanLoss::Rpgan.g_loss(mlp(&d, fake, hidden, 1), Some(mlp(&d, real, hidden, 1)));
    }
    p.log("g_loss", total);
    p.minimise("G", total)
}

fn main() -> danskin::Result<()> {
    // The rate falls over the 256 thousand points of 2000 iterations.
    let adam = Adam { lr: Cosine { from: 3e-3, to: 2e-5, kimg: 256.0 }, ..Adam::new(3e-3, 0.0, 0.99) };
    let average = Average { half_life_kimg: Constant(2.0), ramp: 0.1 };
    let game = Game {
        batch: 128,
        sample: vec![2],
        networks: vec![
            Player { average: Some(average), ..Player::new("G", "generator", adam.clone()) },
            Player::new("wide", "wide critic", adam.clone()),
            Player::new("deep", "deep critic", adam),
        ],
        batches: vec![Batch::new("real", stream::DATA_D), Batch::new("real_g", stream::DATA_G)],
        phases: vec![Phase::new("d", judge), Phase::new("g", imitate)],
        inference: Some(Inference::of_latents(LATENT, &[2], generate)),
        ..Game::default()
    };
    let mut trainer = Trainer::new(Settings::of(game), Feed::toy(Toy::Ring8), &Device::Host)?;
    for _ in 0..2000 {
        trainer.iterate()?;
    }
    let samples = trainer.sample(&(0..2500).collect::<Vec<u32>>())?;
    let modes = metrics::modes(Toy::Ring8, &samples);
    assert!(modes.covered == 8 && modes.high_quality > 0.05, "{modes}");
    let [wide, deep] = CRITICS.map(|(name, _)| trainer.latest(&format!("{name}_loss")));
    println!("two_critics: {modes}; losses of the critics {:.3} and {:.3}", wide?, deep?);
    Ok(())
}
