//! `danskin sample`: images of a run, as one picture or one file each, drawn and written a few at a time.

use super::args::SampleArgs;
use super::device::DeviceChoice;
use super::job::{self, SampleJob};
use super::{commands, export, output, startup};
use crate::config::{DataSource, Task};
use crate::data::toys::{self, Toy};
use crate::train::checkpoint::{NamedTensor, Values, read_foreign};
use crate::train::{Sampler, Settings};
use crate::{Error, Result, grid, metrics};
use rayon::prelude::*;
use std::path::Path;

/// Images drawn before they are written: memory stays at this many, however many are asked for.
const AT_ONCE: usize = 256;

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let mut job = SampleJob::prepare(args)?;
    if job.config.train.task == Task::Classifier {
        let hint = "this run holds a classifier, which draws nothing; count what it gets right with danskin eval";
        return Err(Error::setting(args.run.display().to_string(), "train.task", "classifier", hint));
    }
    let is_plane = !job.config.data.source.is_images();
    if let Some(folder) = job.each.as_ref().filter(|_| is_plane) {
        let hint = "this run makes points of the plane, shown in one plot; leave --each out";
        return Err(Error::setting("command line", "--each", folder.display(), hint));
    }
    let largest = job.seeds.largest();
    if largest > u64::from(u32::MAX) {
        let hint = format!("must be at most {}", u32::MAX);
        return Err(Error::setting("command line", "--seeds", largest, hint));
    }
    args.save_latents.as_deref().map(|file| export::vacant("--save-latents", file)).transpose()?;
    job.latest.warnings.iter().for_each(output::warning);
    let device = startup::open(job.device, &args.tuning)?;
    let settings = Settings::new(&job.config)?;
    let mut sampler = Sampler::new(&settings, &job.latest.checkpoint, &job.latest.path, &device)?;
    if let Some(folder) = &job.each {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder for images"))?;
    }
    let latents = job.latents.as_deref().map(|file| read_latents(file, &sampler)).transpose()?;
    if let (Some(latents), Some((cells, _))) = (&latents, &mut job.picture) {
        *cells = job::fit(args.grid, (latents.len() / sampler.latent()) as u128, "--latents")?;
    }
    let keep = job.picture.is_some() || args.save_latents.is_some();
    let values = draw(&job, &mut sampler, latents.as_deref(), keep)?;
    if let Some(file) = &args.save_latents {
        save_numbers(file, &job, &sampler, latents.as_deref(), &values)?;
    }
    if is_plane {
        return plot_points(&job, &values);
    }
    let [_, height, width, channels] = sampler.image_shape(1);
    if let Some((cells, path)) = &job.picture {
        let count = values.len() / (height * width * channels);
        grid::write(path, &values, [count, height, width, channels], cells.columns, grid::Scale::Auto)?;
        output::line(path.display());
    }
    if let Some(folder) = &job.each {
        let count = latents.map_or(job.seeds.count(), |latents| (latents.len() / sampler.latent().max(1)) as u128);
        output::line(format_args!("{count} images in {}", folder.display()));
    }
    Ok(())
}

/// Draws all images and writes those that are wanted singly; with `keep`, the values of all come back.
fn draw(job: &SampleJob, sampler: &mut Sampler, latents: Option<&[f32]>, keep: bool) -> Result<Vec<f32>> {
    let [_, height, width, channels] = sampler.image_shape(1);
    let extent = sampler.latent();
    let rows = latents.map(|latents| latents.len() / extent);
    let total = rows.unwrap_or(usize::try_from(job.seeds.count()).unwrap_or(usize::MAX));
    let bar = (total > AT_ONCE).then(|| output::counter("images"));
    let all: Box<dyn Iterator<Item = u32>> = match rows {
        Some(rows) => Box::new(0..rows as u32),
        None => Box::new(job.seeds.iter().map(|seed| seed as u32)),
    };
    let mut seeds = all;
    let (mut kept, mut done) = (vec![], 0);
    loop {
        let chunk: Vec<u32> = seeds.by_ref().take(AT_ONCE).collect();
        if chunk.is_empty() {
            break;
        }
        let given = latents.map(|all| &all[done * extent..(done + chunk.len()) * extent]);
        let values = sampler.draw(&chunk, given, job.class)?;
        if let Some(folder) = &job.each {
            let images = values.par_chunks_exact(height * width * channels).zip(&chunk);
            images.try_for_each(|(values, seed)| {
                grid::write_each(folder, values, [1, height, width, channels], *seed as usize).map(drop)
            })?;
        }
        if keep {
            kept.extend(values);
        }
        done += chunk.len();
        bar.iter().for_each(|bar| output::count(bar, done, total));
    }
    bar.iter().for_each(|bar| bar.finish_and_clear());
    Ok(kept)
}

/// Latents, classes and what was made of them, as numbers.
fn save_numbers(
    file: &Path,
    job: &SampleJob,
    sampler: &Sampler,
    latents: Option<&[f32]>,
    values: &[f32],
) -> Result<()> {
    let [_, height, width, channels] = sampler.image_shape(1);
    let count = values.len() / (height * width * channels);
    // Latents of a file are numbered from 0.
    let seeds: Vec<u32> = match latents {
        Some(_) => (0..count as u32).collect(),
        None => job.seeds.iter().map(|seed| seed as u32).collect(),
    };
    let mut tensors = vec![];
    for (name, given) in sampler.given(&seeds, job.class)? {
        let (shape, data) = match name.as_str() {
            "latents" => (vec![count, sampler.latent()], Values::F32(latents.map_or(given, <[f32]>::to_vec))),
            _ => (vec![count], Values::U32(given.iter().map(|class| *class as u32).collect())),
        };
        tensors.push(NamedTensor { name, shape, data });
    }
    tensors.push(if job.config.data.source.is_images() {
        export::planes("images", values, [count, height, width, channels])
    } else {
        NamedTensor { name: "points".into(), shape: vec![count, 2], data: Values::F32(values.to_vec()) }
    });
    export::save(file, tensors)
}

/// The latents of a file: as many rows as it has, each as long as the run's.
fn read_latents(file: &Path, sampler: &Sampler) -> Result<Vec<f32>> {
    let refuse = |reason: String| Err(Error::checkpoint(file, reason));
    let found = read_foreign(file)?;
    let z = sampler.latent();
    match found.tensors.into_iter().find(|t| t.name == "latents") {
        None => refuse(format!("holds no tensor `latents` of shape [n, {z}]")),
        Some(NamedTensor { shape, data: Values::F32(values), .. })
            if shape.len() == 2 && shape[1] == z && shape[0] > 0 =>
        {
            Ok(values)
        }
        Some(tensor) => refuse(format!("`latents` has shape {:?}, this run needs [n, {z}]", tensor.shape)),
    }
}

/// Generated points of a 2-D toy over real ones.
fn plot_points(job: &SampleJob, values: &[f32]) -> Result<()> {
    let toy = if job.config.data.source == DataSource::Ring8 { Toy::Ring8 } else { Toy::Grid25 };
    let real = toys::batch(toy, job.config.train.seed, 0, u32::MAX, values.len() / 2);
    if let Some((_, path)) = &job.picture {
        grid::save(path, &toys::plot(toy, &real, values, 512))?;
        output::line(path.display());
    }
    let modes = metrics::modes(toy, values);
    output::line(format_args!(
        "{} of {} modes, {:.1} % within 3 sigma",
        modes.covered,
        modes.total,
        100.0 * modes.high_quality
    ));
    Ok(())
}
