//! Small games whose phases are checked: every kind of model, loss, penalty, defence and adversary.

use super::{Case, feed};
use crate::Result;
use crate::augment::{AdaTransforms, DiffAugment};
use crate::loss;
use crate::nn::{
    Activation, BothHeads, ClassHead, Dcgan, Discriminator, Generator, Lenet5, Mlp, MnistCnn, Model, Network,
    PreactResnet18, R3gan, SnganResnet,
};
use crate::train::Game;
use crate::train::game::{Adam, Average, Schedule, Sgd};
use crate::train::games::{Adversary, Ascent, Classifier, Defence, Gan, GanAdversary, GanAugment, On, Strength};
use std::sync::Arc;

/// Classes of every game that tells or is told them.
pub(super) const CLASSES: usize = 3;

/// Biases before batch norm: their gradients are zero, and of rounding alone on any device.
const NOTHING: &[&str] = &["c1.bias", "c2.bias", "c_sc.bias"];

/// Small games, one of each kind of model, with every penalty that suits it.
pub fn games() -> Vec<(&'static str, Gan)> {
    let gamma = || Some(Schedule::Constant(1.0));
    let base = |model: Model, loss| Gan {
        sample: model.sample_shape(1)[1..].to_vec(),
        latent: model.latent(),
        classes: 0,
        generator: Arc::new(Generator::new(model.clone())),
        discriminator: Some(Arc::new(Discriminator::new(model))),
        batch: 4,
        accumulate: 1,
        loss,
        r1: None,
        r2: None,
        gp: None,
        n_critic: 1,
        penalty_every: 1,
        adversary: GanAdversary::Off,
        augment: GanAugment::Off,
        optimiser_g: Adam::new(2e-4, 0.5, 0.999).into(),
        optimiser_d: Adam::new(2e-4, 0.5, 0.999).into(),
        average: Average { half_life_kimg: Schedule::Constant(10.0), ramp: 0.05 },
    };
    let dcgan = |d_norm| Model::Dcgan(Dcgan { z: 16, ngf: 8, ndf: 8, d_norm, ..Dcgan::new(32) });
    let r3gan = Model::R3gan(R3gan { z: 16, widths: vec![32, 32, 16], blocks: vec![1; 3], ..R3gan::compact(16) });
    let sngan = Model::Sngan(SnganResnet { z: 16, ..SnganResnet::new(32, 8) });
    let pgd = |on| GanAdversary::Pgd(on, Ascent { steps: 2, eps: 0.06, alpha: 0.02 });
    let mlp = Model::Mlp(Mlp { z: 8, hidden: 32, layers: 2, activation: Activation::Leaky, sample: vec![2] });
    let free = GanAdversary::Free { eps: 0.06, replays: 2 };
    let dat = GanAdversary::Dat { on: On::Both, eps: 0.1 };
    let alr = GanAdversary::Alr { on: On::Both, weight: 10.0 };
    let diff = || GanAugment::Diff(DiffAugment::named(DiffAugment::POLICY).unwrap_or_default());
    let ada = |set: &str, strength| GanAugment::Pipe(AdaTransforms::named(set).unwrap_or_default(), strength);
    let steered = || Strength::Adaptive { target: 0.6, interval: 4, speed_kimg: 500.0 };
    let fixed = || Strength::Fixed(Schedule::Constant(0.5));
    vec![
        ("dcgan ns", Gan { adversary: pgd(On::Reals), ..base(dcgan(true), loss::GanLoss::Ns) }),
        ("dcgan hinge r1", Gan { r1: gamma(), penalty_every: 2, ..base(dcgan(false), loss::GanLoss::Hinge) }),
        ("r3gan rpgan r1 r2", Gan { r1: gamma(), r2: gamma(), ..base(r3gan.clone(), loss::GanLoss::Rpgan) }),
        ("dcgan ns diffaugment", Gan { augment: diff(), ..base(dcgan(true), loss::GanLoss::Ns) }),
        ("dcgan ns ada", Gan { augment: ada("bgcfnc", steered()), ..base(dcgan(true), loss::GanLoss::Ns) }),
        (
            "r3gan rpgan r1 r2 augmented",
            Gan { augment: ada("bgc", fixed()), r1: gamma(), r2: gamma(), ..base(r3gan, loss::GanLoss::Rpgan) },
        ),
        ("sngan hinge", base(sngan, loss::GanLoss::Hinge)),
        ("mlp wgan-gp", Gan { gp: gamma(), penalty_every: 2, ..base(mlp.clone(), loss::GanLoss::Wgan) }),
        ("mlp ns free", Gan { adversary: free, ..base(mlp.clone(), loss::GanLoss::Ns) }),
        ("mlp rpgan pgd both", Gan { adversary: pgd(On::Both), ..base(mlp.clone(), loss::GanLoss::Rpgan) }),
        ("mlp ns pgd latents", Gan { adversary: pgd(On::Latents), ..base(mlp.clone(), loss::GanLoss::Ns) }),
        ("mlp ns dat", Gan { adversary: dat, ..base(mlp.clone(), loss::GanLoss::Ns) }),
        ("mlp wgan alr", Gan { adversary: alr, ..base(mlp, loss::GanLoss::Wgan) }),
    ]
}

/// DCGAN whose discriminator has both heads.
fn robgan() -> Result<Game> {
    let model = Model::Dcgan(Dcgan { z: 16, ngf: 4, ndf: 4, d_norm: true, ..Dcgan::new(32) });
    let (_, plain) = games().remove(0);
    let gan = Gan {
        generator: Arc::new(Generator::conditional(model.clone(), CLASSES, 8)),
        discriminator: Some(Arc::new(BothHeads(ClassHead::new(model, CLASSES)))),
        classes: CLASSES,
        adversary: GanAdversary::RobGan(Ascent { steps: 2, eps: 0.06, alpha: 0.02 }),
        ..plain
    };
    Ok(Gan { latent: 16, ..gan }.game())
}

/// Every network that tells classes, every defence once.
fn classifiers() -> Result<Vec<(&'static str, Game)>> {
    let adversary = || Adversary { eps: 0.06, steps: 2, alpha: None };
    let mnist = MnistCnn { width: 4, ..MnistCnn::new([11, 10, 1], CLASSES) };
    let lenet = Lenet5 { width: 3, ..Lenet5::new([12, 12, 3], CLASSES) };
    let resnet = PreactResnet18 { width: 4, ..PreactResnet18::new([16, 16, 3], CLASSES) };
    let trunk = Model::R3gan(R3gan { z: 16, widths: vec![16, 16, 8], blocks: vec![1; 3], ..R3gan::compact(16) });
    let head: Arc<dyn Network> = Arc::new(ClassHead::new(trunk, CLASSES));
    let (mnist, lenet, resnet): (Arc<dyn Network>, Arc<dyn Network>, Arc<dyn Network>) =
        (Arc::new(mnist), Arc::new(lenet), Arc::new(resnet));
    let nesterov = Sgd { nesterov: true, weight_decay: 5e-4, ..Sgd::new(0.1, 0.9) };
    let games = [
        ("mnist-cnn pgd", &mnist, Defence::Pgd(adversary())),
        ("mnist-cnn fast", &mnist, Defence::Fast(adversary())),
        ("lenet5 mart", &lenet, Defence::Mart(adversary(), 5.0)),
        ("lenet5 awp", &lenet, Defence::Awp(adversary(), 0.01)),
        ("class head of r3gan free", &head, Defence::Free { eps: 0.06, replays: 2 }),
        ("preact-resnet18 trades", &resnet, Defence::Trades(adversary(), 6.0)),
    ];
    games
        .into_iter()
        .map(|(name, network, defence)| {
            let plain = Classifier::new(network.clone(), &network.input(), CLASSES, 4, nesterov.clone());
            Ok((name, Classifier { defence, ..plain }.game()?))
        })
        .collect()
}

/// Every phase of every game, and its inference.
pub(super) fn cases() -> Result<Vec<Case>> {
    let gans = games().into_iter().map(|(name, gan)| (name, gan.game()));
    let games = gans.chain([("dcgan robgan", robgan()?)]).chain(classifiers()?);
    let mut cases = vec![];
    for (name, mut game) in games {
        let batch = game.batch;
        game.inference.iter_mut().for_each(|i| i.rows = batch);
        for mut built in game.graphs(false)? {
            built.dag.roots.retain(|(root, _)| {
                !NOTHING
                    .iter()
                    .any(|end| name.starts_with("sngan") && root.starts_with("grad/G.") && root.ends_with(end))
            });
            let feeds = feed(&built.dag);
            cases.push(Case { name: format!("{name} {}", built.name), kind: None, dag: built.dag, feeds });
        }
    }
    Ok(cases)
}
