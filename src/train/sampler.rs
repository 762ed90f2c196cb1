//! Samples from a checkpoint: the averaged generator alone, without anything that trains.

use super::checkpoint::{Checkpoint, NamedTensor, Values};
use super::phases;
use super::samples::latents;
use super::settings::Settings;
use crate::device::Device;
use crate::nn::{StateSpec, layout};
use crate::optim::Flat;
use crate::plan::{Builder, Class, Element, Executor, Places, Program, Region};
use crate::{Error, Result};
use std::path::Path;

/// Images the plan makes at once.
const AT_ONCE: usize = 16;

/// A trained generator on a device.
pub struct Sampler {
    settings: Settings,
    device: Box<dyn Executor>,
    latents: Region,
    images: Region,
}

impl Sampler {
    /// Loads the averaged generator of a checkpoint; `place` is its file.
    ///
    /// # Errors
    /// A checkpoint of another model; a device that fails.
    pub fn new(settings: &Settings, checkpoint: &Checkpoint, place: &Path, device: &Device) -> Result<Sampler> {
        let (device, layout) =
            device.tuned(|layout: &Layout| &layout.program, |device| Layout::new(settings, device))?;
        let Layout { program, weights, latents, images, states, flat } = layout;
        let mut device = device.load(program)?;
        for entry in &flat.entries {
            let shape = layout::torch_shape(entry.spec.layout, &entry.spec.shape);
            let values = tensor(checkpoint, place, &format!("ema.{}", entry.spec.name), &shape)?;
            let values = layout::from_torch(entry.spec.layout, &entry.spec.shape, values);
            device.write(flat.region(weights, entry), &values)?;
        }
        for (state, region) in &states {
            device.write(*region, tensor(checkpoint, place, &state.name, &state.shape)?)?;
        }
        Ok(Sampler { settings: settings.clone(), device, latents, images })
    }

    /// One sample a seed: NHWC images in [-1, 1], or points.
    ///
    /// # Errors
    /// A device that fails.
    pub fn sample(&mut self, seeds: &[u32]) -> Result<Vec<f32>> {
        let per_image = self.images.len / AT_ONCE;
        let mut images = Vec::with_capacity(seeds.len() * per_image);
        for chunk in seeds.chunks(AT_ONCE) {
            let mut z = latents(self.settings.seed, self.settings.gan.z, chunk);
            z.resize(self.latents.len, 0.0);
            self.device.write(self.latents, &z)?;
            self.device.run(&[(0, 1)])?;
            images.extend_from_slice(&self.device.read(self.images)?[..chunk.len() * per_image]);
        }
        Ok(images)
    }

    /// [n, h, w, c] of `count` samples; [n, 2, 1, 1] for points.
    pub fn image_shape(&self, count: usize) -> [usize; 4] {
        let sample = &self.settings.gan.sample;
        let extent = |i: usize| sample.get(i).copied().unwrap_or(1);
        [count, extent(0), extent(1), extent(2)]
    }
}

/// The program of the averaged generator, and where things lie in it.
struct Layout {
    program: Program,
    weights: Region,
    latents: Region,
    images: Region,
    states: Vec<(StateSpec, Region)>,
    flat: Flat,
}

impl Layout {
    fn new(settings: &Settings, device: &Device) -> Result<Layout> {
        let spec = &settings.gan;
        let phase = phases::sample(spec, AT_ONCE);
        let mut b = Builder::new(device.options(settings.fuse));
        let flat = Flat::new(phase.g_params.clone());
        let weights = b.buffer("G.ema", flat.len, Element::F32, Class::Ema);
        let latents = b.buffer("latents", AT_ONCE * spec.z, Element::F32, Class::Input);
        let elems = AT_ONCE * spec.sample.iter().product::<usize>();
        let images = b.buffer("images", elems, Element::F32, Class::Output);
        let mut leaves = Places::from([("latents".to_owned(), latents)]);
        leaves.extend(flat.entries.iter().map(|entry| (entry.spec.name.clone(), flat.region(weights, entry))));
        let mut states = vec![];
        for state in &phase.states {
            let region = b.buffer(&state.name, state.shape.elems(), Element::F32, Class::State);
            leaves.insert(state.name.clone(), region);
            states.push((state.clone(), region));
        }
        b.plan("sample", &phase.dag, &leaves, &Places::from([("images".to_owned(), images)]))?;
        Ok(Layout { program: b.finish(), weights, latents, images, states, flat })
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
