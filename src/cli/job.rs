//! From arguments to jobs: everything a command can know before it opens a device.
//!
//! Deliberately absent: devices, and files of a new run before [`TrainJob::open_run`].

use super::args::{PlanArgs, SampleArgs, TrainArgs, TuningArgs};
use super::device::DeviceChoice;
use super::seeds::Seeds;
use crate::config::{Config, Grid};
use crate::device::Autotune;
use crate::kernels::Tuning as Schedules;
use crate::train::checkpoint::{self, Checkpoint, Latest};
use crate::train::run_folder::{RunFolder, TUNING};
use crate::train::{Feed, Measuring, Settings};
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
    /// The checkpoint whose weights it starts from.
    pub init: Option<Latest>,
    /// Sentences to show before starting.
    pub warnings: Vec<String>,
}

/// Where a run goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next free `<folder>/<name>-<n>`; see [`Config::run_name`].
    Next(PathBuf),
    /// Exactly this folder.
    Exactly(PathBuf),
    /// The folder of the run to go on with.
    Resume(PathBuf),
}

impl TrainJob {
    /// Layers and validates the configuration. Nothing is written yet.
    ///
    /// Errors: a setting or file that makes no sense; a run that can't be read; data whose classes are to be counted and can't be.
    pub fn prepare(args: &TrainArgs) -> Result<TrainJob> {
        let (place, (mut config, warnings)) = match (&args.resume, &args.out) {
            (Some(root), _) => {
                let config = RunFolder::find(root)?.config();
                (Place::Resume(root.clone()), Config::resume(&config, &args.overrides())?)
            }
            (None, out) => {
                let place = out.clone().map_or_else(|| Place::Next(RUNS.into()), Place::Exactly);
                (place, Config::load(&args.overrides())?)
            }
        };
        Feed::complete(&mut config)?;
        let init = args.init.as_deref().map(initial).transpose()?;
        Ok(TrainJob { config, device: args.device, place, init, warnings })
    }

    /// Thousands of images of a run that is to go on and has reached its length; nothing is touched then.
    ///
    /// Errors: a setting that makes no model; checkpoints that can't be read.
    pub fn finished(&self) -> Result<Option<f64>> {
        let Place::Resume(root) = &self.place else { return Ok(None) };
        let settings = Settings::new(&self.config)?;
        let end = settings.steps_in(self.config.train.kimg).saturating_mul(settings.game.batch as u64);
        let run = RunFolder::find(root)?;
        let folder = run.checkpoints();
        // By its name first: reading one takes time.
        if checkpoint::newest(&folder)?.is_none_or(|(images, _)| images < end) {
            return Ok(None);
        }
        let images = checkpoint::latest_good(&folder)?.images;
        // It may have been stopped before it had measured its last checkpoint.
        let measured = !Measuring::wanted(&self.config) || Measuring::has_measured(&run.metrics(), images as f64 / 1000.0)?;
        Ok((images >= end && measured).then_some(images as f64 / 1000.0))
    }

    /// How the device is to be tuned. A run that goes on takes the schedules it was started with, and no others, so that
    /// its numbers repeat whatever was measured since; `--tuning FILE` and `--autotune full` go before.
    ///
    /// Errors: schedules of the run that can't be read.
    pub fn tuning(&self, asked: &TuningArgs) -> Result<TuningArgs> {
        let kept = match &self.place {
            Place::Resume(root) => root.join(TUNING),
            _ => return Ok(asked.clone()),
        };
        let others = asked.tuning.is_some() || asked.autotune == Autotune::Full;
        if others || self.device == DeviceChoice::Host || !kept.is_file() {
            return Ok(asked.clone());
        }
        let text = std::fs::read_to_string(&kept).map_err(Error::io(&kept, "reading the schedules"))?;
        if let Err(reason) = Schedules::from_json(&text) {
            let way = "remove it to go on by those of this device, which agree within rounding";
            return Err(Error::checkpoint(kept, format!("{reason}; {way}")));
        }
        Ok(TuningArgs { autotune: Autotune::Off, tuning: Some(kept) })
    }

    /// Makes or opens the run folder and locks it; for a run that goes on, with its newest good checkpoint, or without
    /// one where it was stopped before the first and starts anew. Call it after the device is there, so that a failure
    /// to find one leaves no empty run behind.
    ///
    /// Errors: [`Error::Io`]; a folder in use; no checkpoint that can be read.
    pub fn open_run(&self) -> Result<(RunFolder, Option<Latest>)> {
        match &self.place {
            Place::Next(runs) => Ok((RunFolder::create(runs, &self.config)?, None)),
            Place::Exactly(root) => Ok((RunFolder::create_at(root, &self.config)?, None)),
            Place::Resume(root) => {
                let run = RunFolder::open_to_train(root)?;
                if run.begin_anew()? {
                    run.write_config(&self.config)?;
                    return Ok((run, None));
                }
                let latest = checkpoint::latest_good(&run.checkpoints())?;
                Ok((run, Some(latest)))
            }
        }
    }
}

/// The newest good checkpoint of a run, or the one in this file.
fn initial(path: &Path) -> Result<Latest> {
    if path.is_dir() || !path.exists() {
        return checkpoint::latest_good(&RunFolder::open(path)?.checkpoints());
    }
    let images = checkpoint::images_of(path).unwrap_or(0);
    Ok(Latest { path: path.into(), images, checkpoint: Checkpoint::load(path)?, warnings: vec![] })
}

/// `danskin sample`, understood.
#[derive(Debug)]
pub struct SampleJob {
    /// The run it draws from.
    pub run: RunFolder,
    /// Its configuration.
    pub config: Config,
    /// The checkpoint: the one asked for, the best where the run marked one, or the newest good one.
    pub latest: Latest,
    /// Which device to open.
    pub device: DeviceChoice,
    /// Which images, in order.
    pub seeds: Seeds,
    /// The only class to draw.
    pub class: Option<u32>,
    /// File of latents that take the place of seeds.
    pub latents: Option<PathBuf>,
    /// The picture of all of them, and where it goes: at least as many cells as seeds.
    pub picture: Option<(Grid, PathBuf)>,
    /// Folder for one file per image.
    pub each: Option<PathBuf>,
}

impl SampleJob {
    /// Opens the run and settles what is drawn.
    ///
    /// Errors: no such run; no checkpoint that can be read; a grid too small for the seeds.
    pub fn prepare(args: &SampleArgs) -> Result<SampleJob> {
        let run = RunFolder::open(&args.run)?;
        let config = Config::read(&run.config())?;
        let latest = match &args.checkpoint {
            Some(asked) => checkpoint::find(&run.checkpoints(), asked)?,
            None => checkpoint::best_or_latest(&run.checkpoints())?,
        };
        let seeds = match &args.seeds {
            Some(seeds) => seeds.clone(),
            None => Seeds::first(args.grid.unwrap_or(config.sample.count).cells()),
        };
        // With --each alone no picture is wanted.
        let wants_picture = args.each.is_none() || args.out.is_some() || args.grid.is_some();
        let picture = match wants_picture {
            true => Some((
                fit(args.grid, seeds.count(), "--seeds")?,
                picture_path(args.out.as_deref(), &run, latest.images),
            )),
            false => None,
        };
        let (device, each, class, latents) = (args.device, args.each.clone(), args.class, args.latents.clone());
        Ok(SampleJob { run, config, latest, device, seeds, class, latents, picture, each })
    }
}

/// The grid of a picture of so many images, which `source` asks for: the one that was named, or the squarest.
///
/// Errors: fewer cells than images; more images than a picture holds.
pub(super) fn fit(grid: Option<Grid>, images: u128, source: &str) -> Result<Grid> {
    let refuse = |key, value, hint| Err(Error::setting("command line", key, value, hint));
    match grid {
        Some(grid) if (grid.cells() as u128) < images => {
            let hint = format!("has {} cells for {images} {}", grid.cells(), source.trim_start_matches('-'));
            refuse("--grid", grid.to_string(), hint)
        }
        Some(grid) => Ok(grid),
        None => match usize::try_from(images).ok().and_then(Grid::around) {
            Some(grid) => Ok(grid),
            None => refuse(source, format!("({images} of them)"), "too many for one picture; use --each DIR".into()),
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
        let (mut config, warnings) = Config::load(&args.settings.overrides())?;
        Feed::complete(&mut config)?;
        Ok(PlanJob { config, phase: args.phase.clone(), json: args.json, warnings })
    }
}
