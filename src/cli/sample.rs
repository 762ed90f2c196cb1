//! `danskin sample`: images of a run, as one picture or one file each, drawn and written a few at a time.

use super::args::SampleArgs;
use super::device::DeviceChoice;
use super::job::SampleJob;
use super::{commands, output, startup};
use crate::config::Source;
use crate::data::toys::{self, Toy};
use crate::train::{Sampler, Settings};
use crate::{Error, Result, grid, metrics};
use rayon::prelude::*;

/// Images drawn before they are written: memory stays at this many, however many are asked for.
const AT_ONCE: usize = 256;

pub(super) fn sample(args: &SampleArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let job = SampleJob::prepare(args)?;
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
    job.latest.warnings.iter().for_each(output::warning);
    let device = startup::open(job.device, &args.tuning)?;
    let settings = Settings::new(&job.config)?;
    let mut sampler = Sampler::new(&settings, &job.latest.checkpoint, &job.latest.path, &device)?;
    if let Some(folder) = &job.each {
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder for images"))?;
    }
    let values = draw(&job, &mut sampler)?;
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
        output::line(format_args!("{} images in {}", job.seeds.count(), folder.display()));
    }
    Ok(())
}

/// Draws all images and writes those that are wanted singly; the values of all come back where a picture is wanted.
fn draw(job: &SampleJob, sampler: &mut Sampler) -> Result<Vec<f32>> {
    let [_, height, width, channels] = sampler.image_shape(1);
    let total = usize::try_from(job.seeds.count()).unwrap_or(usize::MAX);
    let bar = (total > AT_ONCE).then(|| output::counter("images"));
    let mut seeds = job.seeds.iter().map(|seed| seed as u32);
    let (mut kept, mut done) = (vec![], 0);
    loop {
        let chunk: Vec<u32> = seeds.by_ref().take(AT_ONCE).collect();
        if chunk.is_empty() {
            break;
        }
        let values = sampler.sample(&chunk)?;
        if let Some(folder) = &job.each {
            let images = values.par_chunks_exact(height * width * channels).zip(&chunk);
            images.try_for_each(|(values, seed)| {
                grid::write_each(folder, values, [1, height, width, channels], *seed as usize).map(drop)
            })?;
        }
        if job.picture.is_some() {
            kept.extend(values);
        }
        done += chunk.len();
        bar.iter().for_each(|bar| output::count(bar, done, total));
    }
    bar.iter().for_each(|bar| bar.finish_and_clear());
    Ok(kept)
}

/// Generated points of a 2-D toy over real ones.
fn plot_points(job: &SampleJob, values: &[f32]) -> Result<()> {
    let toy = if job.config.data.source == Source::Ring8 { Toy::Ring8 } else { Toy::Grid25 };
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
