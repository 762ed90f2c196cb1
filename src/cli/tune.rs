//! `danskin tune`: measures the schedules of a preset's products, shows them, and exports them.

use super::args::{TuneArgs, TuningArgs};
use super::commands::devices;
use super::device::DeviceChoice;
use super::{output, startup};
use crate::config::Config;
use crate::device::{Autotune, Device};
use crate::train::{Assembly, Feed, Resident, Settings};
use crate::{Error, Result};

/// Measures all shapes of a preset again and prints a line each.
///
/// # Errors
/// A configuration that makes no model; a device without schedules; a file that can't be written.
pub fn tune(args: &TuneArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return devices();
    }
    let (mut config, warnings) = Config::load(&args.settings.overrides())?;
    Feed::complete(&mut config)?;
    warnings.iter().for_each(output::warning);
    let settings = Settings::new(&config)?;
    let device = startup::open(args.device, &TuningArgs { autotune: Autotune::Full, tuning: None })?;
    if matches!(device, Device::Host) {
        let hint = "the host has no schedules to measure; name a GPU (danskin devices lists them)";
        return Err(Error::setting("command line", "--device", args.device, hint));
    }
    let resident = Resident::of(&config, &settings.game);
    let plan = |device: &Device| settings.plan(resident, device.options(settings.fuse));
    let (device, assembly) = device.tuned(|assembly: &Assembly| &assembly.program, plan)?;
    let Device::Gpu(gpu) = &device else { return Ok(()) };
    let tuning = gpu.tuning().only(assembly.program.plans.iter().flat_map(|plan| &plan.steps));
    for (bucket, choice) in tuning.iter() {
        let (tile, parts) = (&choice.tile, choice.parts);
        output::line(format_args!("{bucket:<52} tile {tile:<15} {parts:>3} parts {:>10.3} ms", choice.ms));
    }
    if let Some(path) = &args.export {
        let text = tuning.to_json(&gpu.facts().key());
        crate::cache::replace(path, text.as_bytes()).map_err(Error::io(path, "writing the schedules"))?;
        output::line(path.display());
    }
    Ok(())
}
