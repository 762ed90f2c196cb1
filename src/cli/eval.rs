//! `danskin eval`: how many images of a set the classifier of a run gets right, alone or in a discriminator.

use super::args::EvalArgs;
use super::device::DeviceChoice;
use super::{commands, output, startup};
use crate::config::Config;
use crate::data::{self, Spec, Split};
use crate::robustness::TrainedModel;
use crate::train::run_folder::RunFolder;
use crate::train::{Feed, games};
use crate::{Error, Result};

/// Images classified between two moves of the bar.
const AT_ONCE: usize = 512;
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
    let run = RunFolder::open(&args.run)?;
    let config = Config::read(&run.config())?;
    if games::victim_of(&config)?.is_none_or(|victim| victim.classes() < 2) {
        let hint = "this run holds no classifier; draw from it with danskin sample";
        return Err(Error::setting(args.run.display().to_string(), "train.task", config.train.task.name(), hint));
    }
    let model = TrainedModel::open(&args.run, args.checkpoint.as_deref())?;
    model.warnings.iter().for_each(output::warning);
    let source = match &args.data {
        Some(path) => data::Source::Path(path.clone()),
        None => Feed::source(&config)?,
    };
    let split = if args.test { Split::Test } else { Split::Train };
    let spec = Spec { channels: config.data.channels, split, ..Spec::new(source, config.data.size) };
    let bar = output::counter("data");
    let set = data::load(&spec, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let set = set?;
    let known = model.classes();
    let Some(labels) = &set.labels else {
        return Err(Error::data(&set.name, "its images have no labels to compare with"));
    };
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
    let share = 100.0 * right as f64 / set.count as f64;
    output::line(format_args!("accuracy {share:.2} %: {right} of {} images of {}", set.count, set.name));
    Ok(())
}
