//! An attack alone, as other engines run it: PGD in the ∞-norm from the images themselves, on a discriminator that
//! normalises by the statistics of the batch and learns nothing.

use crate::attack::{self, Bounds, Norm};
use crate::autodiff::grad;
use crate::device::Device;
use crate::graph::Graph;
use crate::nn::{Mode, Scope};
use crate::optim::Flat;
use crate::philox;
use crate::plan::{ALIGN, Builder, Class, Element, Executor, Places, Region};
use crate::train::Settings;
use crate::{Error, Result};

/// The attack of a configuration, loaded on a device.
pub struct Pgd {
    /// The device with its two plans: the start, and a step.
    pub device: Box<dyn Executor>,
    /// What an attack runs.
    pub schedule: Vec<(usize, u32)>,
    x_adv: Region,
}

impl Pgd {
    /// Builds it for the discriminator, batch, radius, step and number of steps of `settings`.
    ///
    /// # Errors
    /// No attack steps; a model that does not fit the device.
    pub fn new(settings: &Settings, device: &Device) -> Result<Pgd> {
        if settings.attack_steps == 0 {
            return Err(Error::setting("command line", "attack.steps", 0, "must be at least 1 to measure an attack"));
        }
        let gan = &settings.gan;
        let shape = gan.model.sample_shape(gan.batch);
        let graph = Graph::new();
        let scope = Scope::new(&graph, "D");
        let (real, x) = (graph.input("real", &shape), graph.state("x_adv", &shape));
        let logits = gan.model.discriminator(&scope, x, Mode::Train);
        let gradient = grad(logits.scale(-1.0).softplus().sum_all(), &[x])[0];
        let (eps, alpha) = (graph.input("eps", [1]), graph.input("alpha", [1]));
        let next = attack::step(Norm::Inf, x, real, gradient, alpha, eps, Bounds::IMAGE);
        let step = graph.freeze(&[("x_adv".to_owned(), next)]);
        let start = graph.freeze(&[("x_adv".to_owned(), real)]);

        let mut b = Builder::new(device.options(settings.fuse));
        let flat = Flat::new(scope.params());
        let weights = b.buffer("D.param", flat.len, Element::F32, Class::Param);
        let scalars = b.buffer("scalars", 2 * ALIGN, Element::F32, Class::Scalar);
        let scalar = |i: usize| Region { offset: i * ALIGN, len: 1, ..scalars };
        let images = b.buffer("real", shape.elems(), Element::F32, Class::Input);
        let x_adv = b.buffer("x_adv", shape.elems(), Element::F32, Class::State);
        let mut leaves = Places::from([("real".to_owned(), images), ("x_adv".to_owned(), x_adv)]);
        leaves.extend([("eps".to_owned(), scalar(0)), ("alpha".to_owned(), scalar(1))]);
        leaves.extend(flat.entries.iter().map(|e| (e.spec.name.clone(), flat.region(weights, e))));
        let roots = Places::from([("x_adv".to_owned(), x_adv)]);
        let start = b.plan("attack_start", &start, &leaves, &roots)?;
        let step = b.plan("attack_step", &step, &leaves, &roots)?;
        let mut device = device.load(b.finish())?;
        device.write(weights, &flat.init(settings.seed))?;
        device.write(scalar(0), &[settings.attack_eps as f32])?;
        device.write(scalar(1), &[settings.attack_alpha as f32])?;
        let noise = |i: usize| (2.0 * philox::uniform_at(settings.seed, 0, 0, i as u64) - 1.0) as f32;
        device.write(images, &(0..images.len).map(noise).collect::<Vec<f32>>())?;
        Ok(Pgd { device, schedule: vec![(start, 1), (step, settings.attack_steps)], x_adv })
    }

    /// One attack, waited for.
    ///
    /// # Errors
    /// A device that fails.
    pub fn run(&mut self) -> Result<()> {
        self.device.run(&self.schedule)?;
        self.device.read(Region { len: 1, ..self.x_adv }).map(|_| ())
    }
}
