//! `danskin eval`: how many images of a set the classifier of a run gets right, alone or in a discriminator. What it does with generators is
//! in `eval_generator`.

use super::args::EvalArgs;
use super::device::DeviceChoice;
use super::{commands, eval_generator, export, images, output, startup};
use crate::config::{Config, Task};
use crate::data::{self, DataSet};
use crate::robustness::TrainedModel;
use crate::train::checkpoint::{NamedTensor, Values};
use crate::train::run_folder::RunFolder;
use crate::train::{Judge, games};
use crate::{Error, Result};
use std::path::Path;

/// Images classified between two moves of the bar.
const AT_ONCE: usize = 512;
/// Images whose logits are saved.
const SAVED: usize = 256;
/// Images in a batch.
const BATCH: usize = 64;

/// Classifies every image of the set and prints the share that has its own label.
///
/// # Errors
/// A run that holds no classifier; a set without labels, or with more classes than the classifier knows; a device that fails.
pub fn eval(args: &EvalArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    args.save_logits.as_deref().map(|file| export::vacant("--save-logits", file)).transpose()?;
    let run = RunFolder::open(&args.run)?;
    let config = Config::read(&run.config())?;
    let tells = games::victim_of(&config)?.is_some_and(|victim| victim.classes() >= 2);
    let of_generator =
        args.metrics.is_some() || args.samples.is_some() || args.neighbours.is_some() || args.labels.is_some();
    if config.train.task == Task::Gan && (of_generator || !tells) {
        if let Some(file) = &args.save_logits {
            let hint = "a classifier gives logits, and here images are measured: leave it out";
            return Err(Error::setting("command line", "--save-logits", file.display(), hint));
        }
        return eval_generator::eval(args, &run, &config);
    }
    if of_generator {
        let hint = "measures generated images, and this run holds a classifier: leave it out";
        let key = if args.neighbours.is_some() { "--neighbours" } else { "--metrics, --samples or --labels" };
        return Err(Error::setting("command line", key, "is given", hint));
    }
    if !tells {
        let hint = "this run holds no classifier";
        return Err(Error::setting(args.run.display().to_string(), "train.task", config.train.task.name(), hint));
    }
    let model = TrainedModel::open(&args.run, args.checkpoint.as_deref())?;
    model.warnings.iter().for_each(output::warning);
    let d = &config.data;
    let (set, name) = images::load(&config, args.data.as_deref(), args.test, [d.size, d.channels], d.count)?;
    let (known, labels) = (model.classes(), images::labels(&set)?);
    if let Some(label) = labels.iter().find(|label| **label as usize >= known) {
        return Err(Error::data(&set.name, format!("has the label {label}, and the run knows {known} classes from 0")));
    }
    let device = startup::open(args.device, &args.tuning)?;
    let mut judge = model.judge(BATCH.min(set.count), &device)?;
    let bar = output::counter("images");
    let mut right = 0;
    for from in (0..set.count).step_by(AT_ONCE) {
        let until = set.count.min(from + AT_ONCE);
        let images: Vec<f32> = (from..until).flat_map(|k| data::floats(set.image(k))).collect();
        let said = judge.classes(&images)?;
        right += said.iter().zip(&labels[from..until]).filter(|(said, label)| said == label).count();
        output::count(&bar, until, set.count);
    }
    bar.finish_and_clear();
    if let Some(file) = &args.save_logits {
        save_logits(file, &set, labels, &mut judge)?;
    }
    let share = 100.0 * right as f64 / set.count as f64;
    output::line(format_args!("accuracy {share:.2} %: {right} of {} images of {name}", set.count));
    Ok(())
}

/// The first images, what the model says of them, and what they are.
fn save_logits(file: &Path, set: &DataSet, labels: &[u32], judge: &mut Judge) -> Result<()> {
    let count = set.count.min(SAVED);
    let images: Vec<f32> = (0..count).flat_map(|k| data::floats(set.image(k))).collect();
    let logits = judge.logits(&images)?;
    let shape = vec![count, logits.len() / count.max(1)];
    export::save(
        file,
        vec![
            export::planes("images", &images, [count, set.size, set.size, set.channels]),
            NamedTensor { name: "logits".into(), shape, data: Values::F32(logits) },
            NamedTensor { name: "labels".into(), shape: vec![count], data: Values::U32(labels[..count].to_vec()) },
        ],
    )
}
