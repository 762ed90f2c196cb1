//! `danskin eval` of a run that makes images or points: how good they are, beside what reals make of reals.

use super::args::EvalArgs;
use super::{eval_modes, output, startup};
use crate::config::{Config, DataSource, MetricKind};
use crate::data::toys::Toy;
use crate::train::checkpoint::{self, Latest};
use crate::train::run_folder::RunFolder;
use crate::train::{EvalOptions, Evaluation, Measurement, Sampler, Settings};
use crate::{Error, Result, files, grid, metrics};
use std::path::Path;
use std::time::Instant;

/// Samples unless told.
const SAMPLES: usize = 2048;
/// Points by which modes are counted unless told.
const POINTS: usize = 2500;
/// Samples on a sheet of neighbours, neighbours of each, and samples in a row of it.
const SHEET: [usize; 3] = [24, 4, 2];

/// Measures the generator of a run and prints a table.
///
/// # Errors
/// A measure that is not known or does not suit the run; reals that can't be read; a device that fails.
pub(super) fn eval(args: &EvalArgs, run: &RunFolder, config: &Config) -> Result<()> {
    if args.test {
        let hint = "is for classifiers: the test part of a set that comes divided is always measured by";
        return Err(Error::setting("command line", "--test", "is given", hint));
    }
    let latest = match &args.checkpoint {
        Some(asked) => checkpoint::find(&run.checkpoints(), asked)?,
        None => checkpoint::best_or_latest(&run.checkpoints())?,
    };
    latest.warnings.iter().for_each(output::warning);
    match config.data.source {
        DataSource::Ring8 => points(args, config, &latest, Toy::Ring8),
        DataSource::Grid25 => points(args, config, &latest, Toy::Grid25),
        DataSource::Faces | DataSource::Path | DataSource::StackedMnist => images(args, config, &latest),
    }
}

/// Mode coverage of a run that makes points.
fn points(args: &EvalArgs, config: &Config, latest: &Latest, toy: Toy) -> Result<()> {
    let given = [("--metrics", args.metrics.is_some()), ("--data", args.data.is_some())];
    let given = given.into_iter().chain([("--neighbours", args.neighbours.is_some())]);
    if let Some((key, _)) = given.into_iter().find(|(_, is)| *is) {
        let hint = "is for images, and this run makes points: its modes are counted without it";
        return Err(Error::setting("command line", key, "is given", hint));
    }
    let device = startup::open(args.device, &args.tuning)?;
    let mut sampler = Sampler::new(&Settings::new(config)?, &latest.checkpoint, &latest.path, &device)?;
    let count = args.samples.map_or(POINTS, |count| count as usize);
    let found = metrics::modes(toy, &sampler.sample(&(0..count as u32).collect::<Vec<u32>>())?);
    let (covered, total, share) = (found.covered, found.total, 100.0 * found.high_quality);
    output::line(format_args!("{covered} of {total} modes, {share:.1} % of {count} samples within 3 sigma"));
    let numbers = [("modes", covered as f64), ("high_quality", found.high_quality), ("samples", count as f64)];
    write_json(args, numbers.map(|(name, value)| (name.to_owned(), value.into())))
}

fn images(args: &EvalArgs, config: &Config, latest: &Latest) -> Result<()> {
    let (modes, metrics) = match args.metrics.as_deref() {
        Some(text) => asked(text)?,
        None => (false, config.eval.metrics.clone()),
    };
    if args.labels.is_some() && !modes {
        return Err(Error::setting("command line", "--labels", "is given", "is read only with --metrics modes"));
    }
    let mut numbers = serde_json::Map::new();
    if modes {
        numbers.extend(eval_modes::eval(args, config, latest)?);
    }
    if metrics.is_empty() {
        return write_json(args, numbers);
    }
    let samples = args.samples.map_or(SAMPLES, |samples| samples as usize);
    let options = EvalOptions { metrics, samples, data: args.data.clone(), features: args.features.clone() };
    let device = startup::open(args.device, &args.tuning)?;
    let from = Instant::now();
    let bar = output::counter("reals");
    let evaluation = Evaluation::new(config, &options, &device, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let mut evaluation = evaluation?;
    evaluation.warnings.iter().for_each(output::warning);
    let loaded = from.elapsed().as_secs_f64();
    let from = Instant::now();
    let measured = evaluation.measure(&latest.checkpoint, &latest.path)?;
    let seconds = from.elapsed().as_secs_f64();
    let measured = Measurement { kimg: latest.images as f64 / 1000.0, seconds, ..measured };
    let (file, samples) = (latest.path.display(), measured.samples.unwrap_or(0));
    output::line(format_args!(
        "{file}: {samples} samples, features \"{}\", {loaded:.1} s for the reals and {seconds:.1} s for the samples",
        measured.features.as_deref().unwrap_or_default()
    ));
    table(&evaluation, &measured);
    if let Ok(serde_json::Value::Object(found)) = serde_json::to_value(&measured) {
        numbers.extend(found);
    }
    write_json(args, numbers)?;
    match &args.neighbours {
        Some(path) => sheet(&mut evaluation, latest, path),
        None => Ok(()),
    }
}

/// Writes what was measured where a file was asked for.
fn write_json(args: &EvalArgs, numbers: impl IntoIterator<Item = (String, serde_json::Value)>) -> Result<()> {
    let Some(path) = &args.json else { return Ok(()) };
    let object: serde_json::Map<_, _> = numbers.into_iter().collect();
    let text = serde_json::Value::Object(object).to_string() + "\n";
    files::write(path, "writing what was measured", text.as_bytes())
}

/// What `modes,fd,kid` names: whether modes, and which measures.
fn asked(text: &str) -> Result<(bool, Vec<MetricKind>)> {
    let all = [MetricKind::Fd, MetricKind::Kid, MetricKind::Pr];
    let (mut modes, mut found) = (false, vec![]);
    for word in text.split(',').map(str::trim) {
        match all.into_iter().find(|metric| metric.name() == word) {
            Some(metric) if !found.contains(&metric) => found.push(metric),
            Some(_) => {}
            None if word == "modes" => modes = true,
            None => {
                let hint = format!("must be a list of some of {}, modes", MetricKind::NAMES.join(", "));
                return Err(Error::setting("command line", "--metrics", text, hint));
            }
        }
    }
    Ok((modes, found))
}

/// A row per measure: the fakes against what was learned from, against what was not, and reals against reals.
fn table(evaluation: &Evaluation, m: &Measurement) {
    let (distance, reals, others) = evaluation.names();
    let held_out = m.fd_held_out.is_some() || m.kid_held_out.is_some();
    let row = |name: &str, digits: usize, value: Option<f64>, other: Option<f64>, floor: Option<f64>| {
        let Some(value) = value else { return };
        let number = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"));
        let other = if held_out { format!("{:>14}", number(other)) } else { String::new() };
        output::line(format_args!("{name:<12}{value:>12.digits$}{other}{:>12}", number(floor)));
    };
    let head = if held_out { format!("{:>14}", "held out") } else { String::new() };
    output::line(format_args!("{:<12}{:>12}{head}{:>12}", "", "samples", "floor"));
    row(distance, 3, m.fd, m.fd_held_out, m.fd_floor);
    row("KID", 5, m.kid, m.kid_held_out, m.kid_floor);
    row("precision", 3, m.precision, None, m.precision_floor);
    row("recall", 3, m.recall, None, m.recall_floor);
    if let Some(gap) = m.fd.zip(m.fd_held_out).map(|(fd, other)| other - fd) {
        output::line(format_args!(
            "gap {gap:+.3}: a generator that copies is nearer to what it learns from than to what it does not"
        ));
    }
    output::line(format_args!("samples: against {reals}; floor: {others} against {reals}"));
}

/// The picture of samples beside their nearest images of the data.
fn sheet(evaluation: &mut Evaluation, latest: &Latest, path: &Path) -> Result<()> {
    let [count, nearest, per_row] = SHEET;
    let bar = output::counter("images of the data");
    let found = evaluation.neighbours(&latest.checkpoint, &latest.path, [count, nearest], &|done, total| {
        output::count(&bar, done, total);
    });
    bar.finish_and_clear();
    let found = found?;
    // A blank image between the groups of a row.
    let shape = evaluation.image_shape(1);
    let elems: usize = shape.iter().product();
    let (mut images, mut cells) = (vec![], 0);
    for (k, group) in found.chunks((1 + nearest) * elems).enumerate() {
        images.extend_from_slice(group);
        cells += 1 + nearest;
        if k % per_row + 1 < per_row {
            images.extend(vec![1.0; elems]);
            cells += 1;
        }
    }
    let columns = per_row * (2 + nearest) - 1;
    grid::write(path, &images, [cells, shape[1], shape[2], shape[3]], columns, grid::Scale::Auto)?;
    output::line(format_args!(
        "{}: {count} samples, each before its {nearest} nearest images of the data",
        path.display()
    ));
    Ok(())
}
