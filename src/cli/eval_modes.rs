//! `danskin eval --metrics modes`: how many of the thousand modes of Stacked-MNIST a generator makes, read by a classifier of digits.

use super::args::EvalArgs;
use super::{output, startup};
use crate::config::{Config, DataSource, Task};
use crate::data::{self, DataSet, Index, Spec, Split, floats};
use crate::metrics::{StackedModes, stacked_modes};
use crate::robustness::TrainedModel;
use crate::train::checkpoint::Latest;
use crate::train::{Feed, Judge, Sampler, Settings};
use crate::{Error, Result, grid};
use std::path::{Path, PathBuf};

/// Samples unless told: 26 a mode, as in the literature.
const SAMPLES: usize = 26_000;
/// Images that are in memory at once as numbers.
const AT_ONCE: usize = 250;
/// Side of the stacked images.
const SIDE: usize = 32;

/// Counts modes of samples and, beside them, of the data.
///
/// # Errors
/// A run of other images; a classifier that does not read digits; a device that fails.
pub(super) fn eval(args: &EvalArgs, config: &Config, latest: &Latest) -> Result<()> {
    let refuse = |key: &str, value: String, hint: &str| Err(Error::setting("command line", key, value, hint));
    if config.data.source != DataSource::StackedMnist || config.data.size != SIDE {
        return refuse("--metrics", "modes".into(), "is for runs on stacked-mnist at 32x32");
    }
    let Some(labels) = &args.labels else {
        return refuse("--labels", "is not set".into(), "name a run of the preset mnist, whose classifier reads the digits");
    };
    let mut config = config.clone();
    config.data.path = args.data.clone().or(config.data.path);
    let Some(path) = config.data.path.clone() else {
        return Err(Error::setting(config.place("data.path"), "data.path", "is not set", "give --data PATH"));
    };
    let reader = Reader::open(labels)?;
    let device = startup::open(args.device, &args.tuning)?;
    let mut judge = reader.model.judge(AT_ONCE, &device)?;
    let (shares, accuracy) = (reader.shares(&path)?, reader.accuracy(&path, &mut judge)?);
    output::line(format_args!(
        "digits are read by {}: {:.2} % of {} test digits",
        reader.model.name,
        100.0 * accuracy.0 as f64 / accuracy.1 as f64,
        accuracy.1
    ));
    let count = args.samples.map_or(SAMPLES, |samples| samples as usize);
    let mut sampler = Sampler::new(&Settings::new(&config)?, &latest.checkpoint, &latest.path, &device)?;
    let fakes = reader.modes(count, &shares, &mut judge, "samples", &mut |from, until| {
        let values = sampler.sample(&(from as u32..until as u32).collect::<Vec<u32>>())?;
        Ok(floats(&values.into_iter().map(grid::quantise).collect::<Vec<u8>>()).collect())
    })?;
    output::line(format_args!("{count} samples: {fakes}"));
    config.data.count = count;
    let set = Index::new(&Spec::new(Feed::source(&config)?, SIDE))?;
    let reals = reader.modes(count, &shares, &mut judge, "reals", &mut |from, until| {
        let loaded = set.some(&(from..until).collect::<Vec<usize>>(), &|_, _| {})?;
        Ok(floats(&loaded.images).collect())
    })?;
    output::line(format_args!("as many of the data: {reals}"));
    Ok(())
}

/// A classifier of digits.
struct Reader {
    model: TrainedModel,
    /// Side of the digits it reads.
    side: usize,
}

impl Reader {
    fn open(run: &Path) -> Result<Reader> {
        let model = TrainedModel::open(run, None)?;
        model.warnings.iter().for_each(output::warning);
        let data = &model.config.data;
        let reads = model.config.train.task == Task::Classifier && model.classes() == 10 && data.channels == 1;
        if !reads || ![28, SIDE].contains(&data.size) {
            let hint = "must be a run of a classifier of ten digits, grey, at 28 or 32: danskin train mnist --data mnist/";
            return Err(Error::setting("command line", "--labels", run.display(), hint));
        }
        Ok(Reader { side: data.size, model })
    }

    fn digits(&self, path: &Path, split: Split) -> Result<DataSet> {
        let source = data::Source::Path(PathBuf::from(path));
        data::load(&Spec { channels: 1, split, ..Spec::new(source, self.side) }, &|_, _| {})
    }

    /// The share of each digit in the data.
    fn shares(&self, path: &Path) -> Result<[f64; 10]> {
        let set = self.digits(path, Split::Train)?;
        let Some(labels) = &set.labels else { return Err(Error::data(path, "its digits have no labels")) };
        let mut shares = [0.0; 10];
        for label in labels {
            shares[*label as usize % 10] += 1.0 / labels.len() as f64;
        }
        Ok(shares)
    }

    /// Test digits that are read right, of how many.
    fn accuracy(&self, path: &Path, judge: &mut Judge) -> Result<(usize, usize)> {
        let set = self.digits(path, Split::Test)?;
        let Some(labels) = &set.labels else { return Err(Error::data(path, "its test digits have no labels")) };
        let mut right = 0;
        for (part, labels) in set.images.chunks(AT_ONCE * self.side * self.side).zip(labels.chunks(AT_ONCE)) {
            let said = judge.classes(&floats(part).collect::<Vec<f32>>())?;
            right += said.iter().zip(labels).filter(|(said, label)| said == label).count();
        }
        Ok((right, set.count))
    }

    /// Modes of `count` stacked images; `images` gives those from one number up to another, in [-1, 1].
    fn modes(
        &self,
        count: usize,
        shares: &[f64; 10],
        judge: &mut Judge,
        what: &str,
        images: &mut dyn FnMut(usize, usize) -> Result<Vec<f32>>,
    ) -> Result<StackedModes> {
        let bar = output::counter(what);
        let mut digits: Vec<[u32; 3]> = Vec::with_capacity(count);
        for from in (0..count).step_by(AT_ONCE) {
            let until = count.min(from + AT_ONCE);
            let stacks = images(from, until)?;
            let [red, green, blue] = [0, 1, 2].map(|channel| judge.classes(&self.channel(&stacks, channel)));
            let (red, green, blue) = (red?, green?, blue?);
            digits.extend((0..until - from).map(|k| [red[k], green[k], blue[k]]));
            output::count(&bar, until, count);
        }
        bar.finish_and_clear();
        Ok(stacked_modes(digits, shares))
    }

    /// One colour of stacked images, without the frame where the classifier reads 28×28.
    fn channel(&self, stacks: &[f32], channel: usize) -> Vec<f32> {
        let frame = (SIDE - self.side) / 2;
        let inside = frame..frame + self.side;
        let rows = stacks.chunks(SIDE * 3).enumerate().filter(|(row, _)| inside.contains(&(row % SIDE)));
        rows.flat_map(|(_, row)| inside.clone().map(move |x| row[x * 3 + channel])).collect()
    }
}
