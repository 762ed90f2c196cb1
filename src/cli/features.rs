//! `danskin features`: trains the feature network of the built-in faces, and says what it can tell of faces it has not seen.

use super::args::FeaturesArgs;
use super::device::DeviceChoice;
use super::{commands, output, startup};
use crate::train::FeatureTraining;
use crate::{Error, Result};
use std::time::Instant;

/// Trains, judges and writes the network.
///
/// # Errors
/// A file that is there already or can't be written; a device that fails.
pub fn features(args: &FeaturesArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let refuse = |key: &str, value: String, hint: &str| Err(Error::setting("command line", key, value, hint));
    if args.out.exists() {
        return refuse("--out", args.out.display().to_string(), "is there already; name a new file");
    }
    if !(args.kimg >= 1.0 && args.kimg <= 1e6) {
        return refuse("--kimg", args.kimg.to_string(), "must be from 1 to 1000000");
    }
    let device = startup::open(args.device, &args.tuning)?;
    output::line("rendering portraits");
    let start = Instant::now();
    let mut training = FeatureTraining::new(args.kimg, &device)?;
    let bar = output::counter("iterations");
    loop {
        let (done, end) = training.iterate()?;
        output::count(&bar, done as usize, end as usize);
        if done % 200 == 0 || done == end {
            let (loss, accuracy) = (training.latest("loss")?, training.latest("accuracy")?);
            let seconds = start.elapsed().as_secs_f64();
            bar.suspend(|| {
                output::line(format_args!("{done} of {end}: loss {loss:.3}, accuracy {accuracy:.3}, {seconds:.0} s"));
            });
        }
        if done >= end {
            break;
        }
    }
    bar.finish_and_clear();
    output::line(format_args!("{:<16}{:>8}{:>10}{:>10}", "factor", "classes", "accuracy", "guess"));
    for told in training.judge()? {
        let (accuracy, guess) = (100.0 * told.accuracy, 100.0 * told.guess);
        output::line(format_args!("{:<16}{:>8}{accuracy:>8.1} %{guess:>8.1} %", told.name, told.classes));
    }
    training.network()?.save(&args.out)?;
    output::line(format_args!("{} after {:.0} s", args.out.display(), start.elapsed().as_secs_f64()));
    Ok(())
}
