//! Samples from a checkpoint: the averaged generator alone, without anything that trains.

use super::checkpoint::{Checkpoint, NamedTensor, Values};
use super::game::{self, Inference};
use super::samples::{given, parts};
use super::settings::Settings;
use crate::device::Device;
use crate::nn::{StateSpec, layout};
use crate::optim::Flat;
use crate::plan::{Builder, Class, Element, Executor, Places, Program, Region};
use crate::{Error, Result};
use std::path::Path;

/// The inference of a trained game on a device.
pub struct Sampler {
    inference: Inference,
    seed: u64,
    device: Box<dyn Executor>,
    inputs: Vec<Region>,
    output: Region,
    /// See [`Layout`].
    networks: Vec<(Flat, Region, &'static str)>,
    states: Vec<(StateSpec, Region)>,
}

impl Sampler {
    /// Loads the averaged networks of a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A game without inference; a checkpoint of another model; a device that fails.
    pub fn new(settings: &Settings, checkpoint: &Checkpoint, place: &Path, device: &Device) -> Result<Sampler> {
        let mut sampler = Sampler::planned(settings, device)?;
        sampler.load(checkpoint, place)?;
        Ok(sampler)
    }

    /// One without weights: [`Sampler::load`] brings them.
    ///
    /// # Errors
    /// A game without inference; a device that fails.
    pub fn planned(settings: &Settings, device: &Device) -> Result<Sampler> {
        let Some(inference) = &settings.game.inference else {
            return Err(Error::Training("this game makes no samples".into()));
        };
        let (device, layout) =
            device.tuned(|layout: &Layout| &layout.program, |device| Layout::new(settings, inference, device))?;
        let Layout { program, networks, inputs, output, states } = layout;
        let device = device.load(program)?;
        Ok(Sampler { inference: inference.clone(), seed: settings.seed, device, inputs, output, networks, states })
    }

    /// Takes the averaged networks of a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A checkpoint of another model; a device that fails.
    pub fn load(&mut self, checkpoint: &Checkpoint, place: &Path) -> Result<()> {
        for (flat, weights, prefix) in &self.networks {
            for entry in &flat.entries {
                let shape = layout::torch_shape(entry.spec.layout, &entry.spec.shape);
                let values = tensor(checkpoint, place, &format!("{prefix}{}", entry.spec.name), &shape)?;
                let values = layout::from_torch(entry.spec.layout, &entry.spec.shape, values);
                self.device.write(flat.region(*weights, entry), &values)?;
            }
        }
        for (state, region) in &self.states {
            self.device.write(*region, tensor(checkpoint, place, &state.name, &state.shape)?)?;
        }
        Ok(())
    }

    /// One sample per seed: NHWC images in [-1, 1], or points.
    ///
    /// # Errors
    /// A device that fails; an inference that is not of latents.
    pub fn sample(&mut self, seeds: &[u32]) -> Result<Vec<f32>> {
        self.draw(seeds, None, None)
    }

    /// One sample per seed, by `latents` [n, latent] instead of the seeds' own where they are given, and of one class where one
    /// is named: otherwise classes take turns.
    ///
    /// # Errors
    /// As [`Sampler::sample`]; a class that the game does not have; latents of another length.
    pub fn draw(&mut self, seeds: &[u32], latents: Option<&[f32]>, class: Option<u32>) -> Result<Vec<f32>> {
        if let Some(class) = class.filter(|&class| class as usize >= self.inference.classes) {
            let hint = match self.inference.classes {
                0 => "this run knows no classes; leave it out".to_owned(),
                n => format!("this run has the classes 0 to {}", n - 1),
            };
            return Err(Error::setting("command line", "--class", class, hint));
        }
        let z = self.latent();
        if let Some(latents) = latents.filter(|latents| latents.len() != seeds.len() * z) {
            let (found, wanted) = (latents.len(), seeds.len() * z);
            return Err(Error::Training(format!(
                "{found} latent numbers for {} samples: must be {wanted}",
                seeds.len()
            )));
        }
        let mut samples = Vec::with_capacity(seeds.len() * self.per_row());
        for (i, chunk) in seeds.chunks(self.inference.rows).enumerate() {
            let mut values = given(&self.inference, self.seed, chunk, class)?;
            if let Some(latents) = latents {
                let from = i * self.inference.rows * z;
                values[0][..chunk.len() * z].copy_from_slice(&latents[from..from + chunk.len() * z]);
            }
            samples.extend(self.run(&values, chunk.len())?);
        }
        Ok(samples)
    }

    /// What is given for these seeds, and this class where one is named: each input by name, row after row.
    ///
    /// # Errors
    /// An inference that is not of latents.
    pub fn given(&self, seeds: &[u32], class: Option<u32>) -> Result<Vec<(String, Vec<f32>)>> {
        let inputs = &self.inference.inputs;
        let mut all: Vec<(String, Vec<f32>)> = inputs.iter().map(|(name, _)| (name.clone(), vec![])).collect();
        for chunk in seeds.chunks(self.inference.rows) {
            let values = given(&self.inference, self.seed, chunk, class)?;
            for ((all, (_, row)), values) in all.iter_mut().zip(inputs).zip(values) {
                all.1.extend_from_slice(&values[..chunk.len() * row.iter().product::<usize>()]);
            }
        }
        Ok(all)
    }

    /// Latent numbers per sample.
    pub fn latent(&self) -> usize {
        self.inference.inputs.first().map_or(0, |(_, extents)| extents.iter().product())
    }

    /// The output for any number of rows: `values` holds one list per input, in the order of [`Inference::inputs`].
    ///
    /// # Errors
    /// Lists of other lengths; a device that fails.
    pub fn infer(&mut self, values: &[Vec<f32>]) -> Result<Vec<f32>> {
        let mut outputs = vec![];
        for (count, part) in parts(&self.inference, values)? {
            outputs.extend(self.run(&part, count)?);
        }
        Ok(outputs)
    }

    fn run(&mut self, values: &[Vec<f32>], rows: usize) -> Result<Vec<f32>> {
        for (region, values) in self.inputs.iter().zip(values) {
            self.device.write(*region, values)?;
        }
        self.device.run(&[(0, 1)])?;
        let mut output = self.device.read(self.output)?;
        output.truncate(rows * self.per_row());
        Ok(output)
    }

    fn per_row(&self) -> usize {
        self.inference.output.iter().product()
    }

    /// Rows that the device makes at once.
    pub fn rows(&self) -> usize {
        self.inference.rows
    }

    /// [n, h, w, c] of `count` samples; [n, 2, 1, 1] for points.
    pub fn image_shape(&self, count: usize) -> [usize; 4] {
        let extent = |i: usize| self.inference.output.get(i).copied().unwrap_or(1);
        [count, extent(0), extent(1), extent(2)]
    }
}

/// The program of an inference, and where things lie in it.
struct Layout {
    program: Program,
    /// Tensors, where their buffer is, and what their names begin with in a checkpoint.
    networks: Vec<(Flat, Region, &'static str)>,
    inputs: Vec<Region>,
    output: Region,
    states: Vec<(StateSpec, Region)>,
}

impl Layout {
    fn new(settings: &Settings, inference: &Inference, device: &Device) -> Result<Layout> {
        let game = &settings.game;
        let built = game.build(&inference.name, &inference.build, inference.rows, false)?;
        let mut b = Builder::new(device.options(settings.fuse));
        let mut leaves = Places::new();
        let mut networks = vec![];
        for (player, params) in game.networks.iter().zip(&built.params).filter(|(_, params)| !params.is_empty()) {
            let flat = Flat::new(params.clone());
            let prefix = if player.average.is_some() { "ema." } else { "" };
            let weights = b.buffer(&format!("{prefix}{}", player.name), flat.len, Element::F32, Class::Ema);
            leaves.extend(flat.entries.iter().map(|e| (e.spec.name.clone(), flat.region(weights, e))));
            networks.push((flat, weights, prefix));
        }
        let mut inputs = vec![];
        for (name, extents) in &inference.inputs {
            let len = inference.rows * extents.iter().product::<usize>();
            let region = b.buffer(name, len, Element::F32, Class::Input);
            leaves.insert(game::given_leaf(name), region);
            inputs.push(region);
        }
        let len = inference.rows * inference.output.iter().product::<usize>();
        let output = b.buffer("output", len, Element::F32, Class::Output);
        let mut states = vec![];
        for state in &built.states {
            let region = b.buffer(&state.name, state.shape.elems(), Element::F32, Class::State);
            leaves.insert(state.name.clone(), region);
            states.push((state.clone(), region));
        }
        b.plan(&inference.name, &built.dag, &leaves, &Places::from([(game::OUTPUT.to_owned(), output)]))?;
        Ok(Layout { program: b.finish(), networks, inputs, output, states })
    }
}

/// The numbers of an F32 tensor of this name and shape.
///
/// # Errors
/// A checkpoint that has no such tensor.
pub(super) fn tensor<'a>(state: &'a Checkpoint, place: &Path, name: &str, shape: &[usize]) -> Result<&'a [f32]> {
    let refuse = |reason: String| Err(Error::checkpoint(place, reason));
    match state.tensor(name) {
        None => refuse(format!("holds no tensor {name}: is it a checkpoint of this model?")),
        Some(NamedTensor { shape: found, data: Values::F32(values), .. }) if found == shape => Ok(values),
        Some(NamedTensor { shape: found, data: Values::F32(_), .. }) => {
            refuse(format!("{name} has shape {found:?}, this model needs {shape:?}"))
        }
        Some(_) => refuse(format!("{name} is not of type f32")),
    }
}
