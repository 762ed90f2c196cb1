//! From arguments to jobs: everything a command can know before it opens a device.
//!
//! Deliberately absent: devices, and files of a new run before [`TrainJob::open_run`].

use super::args::{PlanArgs, SampleArgs, TrainArgs};
use super::device::DeviceChoice;
use crate::config::{Config, Grid};
use crate::train::checkpoint::{self, Latest};
use crate::train::run_folder::RunFolder;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folder of runs unless `--out` names another place.
const RUNS: &str = "runs";

/// `danskin train`, understood.
#[derive(Debug)]
pub struct TrainJob {
    /// Everything in force, validated.
    pub config: Config,
    /// Which device to open.
    pub device: DeviceChoice,
    /// Where the run goes.
    pub place: Place,
    /// Sentences to show before starting.
    pub warnings: Vec<String>,
}

/// Where a run goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next free `<folder>/<preset>-<n>`.
    Next(PathBuf),
    /// Exactly this folder.
    Exactly(PathBuf),
    /// The folder of the run to go on with.
    Resume(PathBuf),
}

impl TrainJob {
    /// Layers and validates the configuration. Nothing is written yet.
    ///
    /// Errors: a setting or file that makes no sense; a run that can't be read.
    pub fn prepare(args: &TrainArgs) -> Result<TrainJob> {
        let (place, (config, warnings)) = match (&args.resume, &args.out) {
            (Some(root), _) => {
                let config = RunFolder::open(root)?.config();
                (Place::Resume(root.clone()), Config::resume(&config, &args.settings.set, args.kimg)?)
            }
            (None, out) => {
                let place = out.clone().map_or_else(|| Place::Next(RUNS.into()), Place::Exactly);
                let overrides =
                    crate::config::Overrides { kimg: args.kimg, seed: args.seed, ..args.settings.overrides() };
                (place, Config::load(&overrides)?)
            }
        };
        Ok(TrainJob { config, device: args.device, place, warnings })
    }

    /// Makes or opens the run folder and locks it; for a run that goes on, with its newest good checkpoint. Call it
    /// after the device is there, so that a failure to find one leaves no empty run behind.
    ///
    /// Errors: [`Error::Io`]; a folder in use; no checkpoint that can be read.
    pub fn open_run(&self) -> Result<(RunFolder, Option<Latest>)> {
        match &self.place {
            Place::Next(runs) => Ok((RunFolder::create(runs, &self.config)?, None)),
            Place::Exactly(root) => Ok((RunFolder::create_at(root, &self.config)?, None)),
            Place::Resume(root) => {
                let run = RunFolder::open_to_train(root)?;
                let latest = checkpoint::latest_good(&run.checkpoints())?;
                Ok((run, Some(latest)))
            }
        }
    }
}

/// `danskin sample`, understood.
#[derive(Debug)]
pub struct SampleJob {
    /// The run it draws from.
    pub run: RunFolder,
    /// Its configuration.
    pub config: Config,
    /// Its newest good checkpoint.
    pub latest: Latest,
    /// Which device to open.
    pub device: DeviceChoice,
    /// Which images, in order.
    pub seeds: Vec<u64>,
    /// The picture of all of them, and where it goes: at least as many cells as seeds.
    pub picture: Option<(Grid, PathBuf)>,
    /// Folder for one file an image.
    pub each: Option<PathBuf>,
}

impl SampleJob {
    /// Opens the run and settles what is drawn.
    ///
    /// Errors: no such run; no checkpoint that can be read; a grid too small for the seeds.
    pub fn prepare(args: &SampleArgs) -> Result<SampleJob> {
        let run = RunFolder::open(&args.run)?;
        let config = Config::read(&run.config())?;
        let latest = checkpoint::latest_good(&run.checkpoints())?;
        let seeds = match &args.seeds {
            Some(seeds) => seeds.0.clone(),
            None => (0..args.grid.unwrap_or(config.sample.count).cells() as u64).collect(),
        };
        // With --each alone no picture is wanted.
        let wants_picture = args.each.is_none() || args.out.is_some() || args.grid.is_some();
        let picture = match wants_picture {
            true => Some((fit(args.grid, seeds.len())?, picture_path(args.out.as_deref(), &run, latest.images))),
            false => None,
        };
        Ok(SampleJob { run, config, latest, device: args.device, seeds, picture, each: args.each.clone() })
    }
}

fn fit(grid: Option<Grid>, seeds: usize) -> Result<Grid> {
    let refuse = |key, value, hint| Err(Error::setting("command line", key, value, hint));
    match grid {
        Some(grid) if grid.cells() < seeds => {
            refuse("--grid", grid.to_string(), format!("has {} cells for {seeds} seeds", grid.cells()))
        }
        Some(grid) => Ok(grid),
        None => match Grid::around(seeds) {
            Some(grid) => Ok(grid),
            None => refuse("--seeds", format!("({seeds} of them)"), "too many for one picture; use --each DIR".into()),
        },
    }
}

fn picture_path(out: Option<&Path>, run: &RunFolder, images: u64) -> PathBuf {
    let named = || run.samples().join(format!("seeds-{:06}.{:03}.png", images / 1000, images % 1000));
    out.map_or_else(named, Path::to_path_buf)
}

/// `danskin plan`, understood.
#[derive(Debug)]
pub struct PlanJob {
    /// Everything in force, validated.
    pub config: Config,
    /// Only this phase.
    pub phase: Option<String>,
    /// JSON and not a table.
    pub json: bool,
    /// Sentences to show first.
    pub warnings: Vec<String>,
}

impl PlanJob {
    /// Layers and validates the configuration.
    ///
    /// Errors: a setting or file that makes no sense.
    pub fn prepare(args: &PlanArgs) -> Result<PlanJob> {
        let (config, warnings) = Config::load(&args.settings.overrides())?;
        Ok(PlanJob { config, phase: args.phase.clone(), json: args.json, warnings })
    }
}
