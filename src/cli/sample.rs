//! `danskin sample`: images of a run, as one picture, a film, or one file each; drawn and written a few at a time.

use super::args::SampleArgs;
use super::device::DeviceChoice;
use super::job::{Picture, SampleJob};
use super::sample_job::{film_cells, fit};
use super::{commands, export, output, startup};
use crate::config::{DataSource, Grid, Task};
use crate::data::toys::{self, Toy};
use crate::train::checkpoint::{NamedTensor, Values, read_foreign};
use crate::train::{Sampler, Settings, slerp, truncate};
use crate::{Error, Result, grid, metrics};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::Path;

/// Images drawn before they are written: memory stays at this many, however many are asked for.
const AT_ONCE: usize = 256;
/// Numbers of all images of a film: 1 GiB.
const FILM_NUMBERS: usize = 1 << 28;

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let mut job = SampleJob::prepare(args)?;
    check(&job)?;
    if let Some(file) = &args.save_latents {
        export::vacant("--save-latents", file)?;
        if let Some(Picture::Film { .. }) = &job.picture {
            let hint = "is for single images: leave out --interpolate, or --save-latents";
            return Err(Error::setting("command line", "--save-latents", file.display(), hint));
        }
    }
    job.latest.warnings.iter().for_each(output::warning);
    let device = startup::open(job.device, &args.tuning)?;
    let settings = Settings::new(&job.config)?;
    let mut sampler = Sampler::new(&settings, &job.latest.checkpoint, &job.latest.path, &device)?;
    let latents = job.latents.as_deref().map(|file| read_latents(file, &sampler)).transpose()?;
    let rows = latents.as_ref().map(|latents| latents.len() / sampler.latent());
    match (&mut job.picture, rows) {
        (Some(Picture::Still(cells, _)), Some(rows)) => *cells = fit(args.grid, rows as u128, "--latents")?,
        (Some(Picture::Film { cells, stops, .. }), Some(rows)) => {
            *cells = Some(film_cells(args.grid, rows as u128, *stops, "--latents")?);
        }
        _ => {}
    }
    if let Some(folder) = &job.each {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder for images"))?;
        let number = |k: usize| k as u64;
        match rows {
            Some(rows) => unwritten(folder, &mut (0..rows).map(number))?,
            None => unwritten(folder, &mut job.seeds.iter())?,
        }
    }
    let from = Source { job: &job, latents, rows };
    if let Some(Picture::Film { cells: Some(cells), stops, frames, fps, path }) = &job.picture {
        return film(&from, &mut sampler, *cells, [*stops, *frames], *fps, path);
    }
    let values = draw(&from, &mut sampler, job.picture.is_some() || args.save_latents.is_some())?;
    if let Some(file) = &args.save_latents {
        save_numbers(file, &from, &sampler, &values)?;
    }
    if !job.config.data.source.is_images() {
        return plot_points(&job, &values);
    }
    show(&from, &sampler, &values)
}

/// Refuses what can't be drawn, before a device is opened.
fn check(job: &SampleJob) -> Result<()> {
    if job.config.train.task == Task::Classifier {
        let hint = "this run holds a classifier, which draws nothing; count what it gets right with danskin eval";
        return Err(Error::setting(job.run.root().display().to_string(), "train.task", "classifier", hint));
    }
    let is_plane = !job.config.data.source.is_images();
    if let Some(folder) = job.each.as_ref().filter(|_| is_plane) {
        let hint = "this run makes points of the plane, shown in one plot; leave --each out";
        return Err(Error::setting("command line", "--each", folder.display(), hint));
    }
    if let Some(Picture::Film { stops, .. }) = job.picture.as_ref().filter(|_| is_plane) {
        let hint = "this run makes points of the plane, of which there is no film";
        return Err(Error::setting("command line", "--interpolate", stops, hint));
    }
    let largest = job.seeds.largest();
    if largest > u64::from(u32::MAX) {
        let hint = format!("must be at most {}", u32::MAX);
        return Err(Error::setting("command line", "--seeds", largest, hint));
    }
    Ok(())
}

/// Refuses a folder that holds an image of one of these numbers.
fn unwritten(folder: &Path, numbers: &mut dyn Iterator<Item = u64>) -> Result<()> {
    let listed = std::fs::read_dir(folder).map_err(Error::io(folder, "listing the folder for images"))?;
    let there: HashSet<_> = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let taken = |number: u64| Some(grid::single_name(number as usize)).filter(|name| there.contains(name));
    match numbers.filter(|_| !there.is_empty()).find_map(taken) {
        Some(name) => {
            let hint = "is there already; name another folder, or remove it";
            Err(Error::setting("command line", "--each", folder.join(name).display(), hint))
        }
        None => Ok(()),
    }
}

/// What images are drawn from.
struct Source<'a> {
    job: &'a SampleJob,
    /// In place of those of seeds …
    latents: Option<Vec<f32>>,
    /// … so many rows.
    rows: Option<usize>,
}

impl Source<'_> {
    /// How many rows of latents there are.
    fn count(&self) -> usize {
        self.rows.unwrap_or(usize::try_from(self.job.seeds.count()).unwrap_or(usize::MAX))
    }

    /// The numbers of all images: seeds, or places in the file of latents.
    fn numbers(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self.rows {
            Some(rows) => Box::new(0..rows as u32),
            None => Box::new(self.job.seeds.iter().map(|seed| seed as u32)),
        }
    }

    /// The truncated latents of these images, the first of which is in place `from`.
    fn latents(&self, sampler: &Sampler, numbers: &[u32], from: usize) -> Vec<f32> {
        let z = sampler.latent();
        let mut latents = match &self.latents {
            Some(all) => all[from * z..(from + numbers.len()) * z].to_vec(),
            None => sampler.latents(numbers),
        };
        if let Some(psi) = self.job.trunc {
            truncate(&mut latents, &sampler.mean_latent(), psi);
        }
        latents
    }

    /// The class of an image, where the run knows classes and none is named: they take turns.
    fn class(&self, sampler: &Sampler, number: u32) -> Result<u32> {
        match (self.job.class, sampler.classes()) {
            (Some(class), 0) => {
                let hint = "this run knows no classes; leave it out";
                Err(Error::setting("command line", "--class", class, hint))
            }
            (Some(class), known) if class as usize >= known => {
                let hint = format!("this run has the classes 0 to {}", known - 1);
                Err(Error::setting("command line", "--class", class, hint))
            }
            (class, known) => Ok(class.unwrap_or(number % known.max(1) as u32)),
        }
    }
}

/// Draws all images and writes those that are wanted singly; with `keep`, the values of all come back.
fn draw(from: &Source, sampler: &mut Sampler, keep: bool) -> Result<Vec<f32>> {
    let job = from.job;
    let [_, height, width, channels] = sampler.image_shape(1);
    let classes = if let Some(Picture::Classes(classes, _)) = &job.picture { *classes } else { 1 };
    let total = from.count().saturating_mul(classes as usize);
    let bar = (total > AT_ONCE).then(|| output::counter("images"));
    let (mut kept, mut done) = (vec![], 0);
    for row in 0..classes {
        let (mut numbers, mut at) = (from.numbers(), 0);
        loop {
            let chunk: Vec<u32> = numbers.by_ref().take(AT_ONCE).collect();
            if chunk.is_empty() {
                break;
            }
            let class = |number: &u32| if classes > 1 { Ok(row) } else { from.class(sampler, *number) };
            let told = chunk.iter().map(class).collect::<Result<Vec<u32>>>()?;
            let values = sampler.draw_rows(&from.latents(sampler, &chunk, at), &told)?;
            if let Some(folder) = &job.each {
                let knows = sampler.classes() > 0;
                let images = values.par_chunks_exact(height * width * channels).zip(&chunk).zip(&told);
                images.try_for_each(|((values, number), class)| {
                    let notes = job.notes();
                    let notes =
                        if from.rows.is_some() { notes.with("row", number) } else { notes.with("seeds", number) };
                    let notes = notes.with_some("class", knows.then_some(class));
                    let path = folder.join(grid::single_name(*number as usize));
                    grid::write_single(&path, values, [height, width, channels], &notes)
                })?;
            }
            if keep {
                kept.extend(values);
            }
            at += chunk.len();
            done += chunk.len();
            bar.iter().for_each(|bar| output::count(bar, done, total));
        }
    }
    bar.iter().for_each(|bar| bar.finish_and_clear());
    Ok(kept)
}

/// The notes of a picture of many images.
fn notes(from: &Source) -> grid::Notes {
    let notes = from.job.notes();
    let notes = if from.rows.is_none() { notes.with("seeds", &from.job.seeds) } else { notes };
    notes.with_some("class", from.job.class)
}

/// Writes the picture, and says what was written.
fn show(from: &Source, sampler: &Sampler, values: &[f32]) -> Result<()> {
    let job = from.job;
    let shape = sampler.image_shape(values.len() / sampler.image_shape(1).iter().product::<usize>());
    let (columns, path, notes) = match &job.picture {
        Some(Picture::Still(cells, path)) => (cells.columns, Some(path), notes(from)),
        Some(Picture::Classes(classes, path)) => {
            let every = format!("0-{}, a row each", classes.saturating_sub(1));
            (from.count(), Some(path), notes(from).with("class", every))
        }
        _ => (0, None, grid::Notes::NONE),
    };
    if let Some(path) = path {
        grid::save(path, &grid::image(values, shape, columns, grid::Scale::Auto)?, &notes)?;
        output::line(path.display());
    }
    if let Some(folder) = &job.each {
        let count = from.rows.map_or(job.seeds.count(), |rows| rows as u128);
        output::line(format_args!("{count} images in {}", folder.display()));
    }
    Ok(())
}

/// Draws and writes a film: in each cell, `stops` images and back to the first, `steps` frames from one to the next.
fn film(
    from: &Source,
    sampler: &mut Sampler,
    cells: Grid,
    [stops, steps]: [usize; 2],
    fps: u16,
    path: &Path,
) -> Result<()> {
    let (z, cell_count, frame_count) = (sampler.latent(), from.count() / stops, stops * steps);
    let image: usize = sampler.image_shape(1).iter().product();
    if cell_count.saturating_mul(frame_count).saturating_mul(image) > FILM_NUMBERS {
        let hint = format!("{frame_count} frames of {cell_count} images are too many for one film; ask for fewer");
        return Err(Error::setting("command line", "--frames", steps, hint));
    }
    let numbers: Vec<u32> = from.numbers().collect();
    let ends = from.latents(sampler, &numbers, 0);
    let class = |cell: usize| from.class(sampler, cell as u32);
    let classes = (0..cell_count).map(class).collect::<Result<Vec<u32>>>()?;
    let bar = output::counter("frames");
    let mut frames = Vec::with_capacity(frame_count);
    // So many frames that a batch of the device is full.
    let together = sampler.rows().div_ceil(cell_count);
    for first in (0..frame_count).step_by(together) {
        let part = first..frame_count.min(first + together);
        let mut latents = Vec::with_capacity(part.len() * cell_count * z);
        for frame in part.clone() {
            let (stop, t) = (frame / steps, (frame % steps) as f64 / steps as f64);
            for cell in 0..cell_count {
                let end = |k: usize| &ends[(cell * stops + k % stops) * z..][..z];
                latents.extend(slerp(end(stop), end(stop + 1), t));
            }
        }
        let values = sampler.draw_rows(&latents, &classes.repeat(part.len()))?;
        for values in values.chunks_exact(cell_count * image) {
            frames.push(grid::image(values, sampler.image_shape(cell_count), cells.columns, grid::Scale::Auto)?);
        }
        output::count(&bar, frames.len(), frame_count);
    }
    bar.finish_and_clear();
    grid::film(path, &frames, fps, &notes(from).with("interpolation", format!("{stops} stops, {steps} frames each")))?;
    output::line(path.display());
    Ok(())
}

/// Latents, classes and what was made of them, as numbers.
fn save_numbers(file: &Path, from: &Source, sampler: &Sampler, values: &[f32]) -> Result<()> {
    let [_, height, width, channels] = sampler.image_shape(1);
    let count = values.len() / (height * width * channels);
    let numbers: Vec<u32> = from.numbers().collect();
    // A row per class has the same latents in each.
    let rows = if let Some(Picture::Classes(classes, _)) = &from.job.picture { *classes } else { 1 };
    let latents = from.latents(sampler, &numbers, 0).repeat(rows as usize);
    let latents =
        NamedTensor { name: "latents".into(), shape: vec![count, sampler.latent()], data: Values::F32(latents) };
    let mut tensors = vec![latents];
    if sampler.classes() > 0 {
        let class = |(row, number): (u32, u32)| if rows > 1 { Ok(row) } else { from.class(sampler, number) };
        let each = (0..rows).flat_map(|row| numbers.iter().map(move |number| (row, *number)));
        let told = each.map(class).collect::<Result<Vec<u32>>>()?;
        tensors.push(NamedTensor { name: "classes".into(), shape: vec![count], data: Values::U32(told) });
    }
    tensors.push(if from.job.config.data.source.is_images() {
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
    if let Some(Picture::Still(_, path)) = &job.picture {
        grid::save(path, &toys::plot(toy, &real, values, 512), &job.notes().with("seeds", &job.seeds))?;
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
