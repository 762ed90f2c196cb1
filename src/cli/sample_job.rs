//! `danskin sample`, understood: which images, of which checkpoint, and the files they go into.

use super::args::SampleArgs;
use super::device::DeviceChoice;
use super::seeds::Seeds;
use crate::config::{Config, Grid};
use crate::grid::{FilmFormat, Notes};
use crate::train::checkpoint::{self, Latest};
use crate::train::run_folder::RunFolder;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Columns of a picture of all classes unless seeds are named.
const PER_CLASS: usize = 8;

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
    /// ψ of the truncation.
    pub trunc: Option<f64>,
    /// File of latents that take the place of seeds.
    pub latents: Option<PathBuf>,
    /// The picture of all of them.
    pub picture: Option<Picture>,
    /// Folder for one file per image.
    pub each: Option<PathBuf>,
}

/// Many images in one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// Side by side: at least as many cells as images.
    Still(Grid, PathBuf),
    /// A row per class, so many, of the same latents.
    Classes(u32, PathBuf),
    /// Each cell goes through `stops` images and back.
    Film {
        /// Where they are, if that is known: as many as there are images for.
        cells: Option<Grid>,
        /// Images that a cell goes through.
        stops: usize,
        /// Frames from one to the next.
        frames: usize,
        /// Frames per second.
        fps: u16,
        /// The file.
        path: PathBuf,
    },
}

impl SampleJob {
    /// Opens the run and settles what is drawn.
    ///
    /// Errors: no such run; no checkpoint that can be read; a grid too small for the seeds; a file that is there already.
    pub fn prepare(args: &SampleArgs) -> Result<SampleJob> {
        let run = RunFolder::open(&args.run)?;
        let config = Config::read(&run.config())?;
        let latest = match &args.checkpoint {
            Some(asked) => checkpoint::find(&run.checkpoints(), asked)?,
            None => checkpoint::best_or_latest(&run.checkpoints())?,
        };
        if args.classes && config.model.classes == 0 {
            let hint = "there is no class to draw a row of; leave --classes out";
            return Err(Error::setting(args.run.display().to_string(), "model.classes", 0, hint));
        }
        let usual = match (args.interpolate, args.classes) {
            (Some(stops), _) => stops as usize * args.grid.map_or(1, Grid::cells),
            (None, true) => PER_CLASS,
            (None, false) => args.grid.unwrap_or(config.sample.count).cells(),
        };
        let seeds = args.seeds.clone().unwrap_or_else(|| Seeds::first(usual));
        // With --each alone no picture is wanted.
        let wants_picture = args.each.is_none() || args.out.is_some() || args.grid.is_some();
        let picture = if wants_picture { Some(picture(args, &config, &seeds, &run, latest.images)?) } else { None };
        let (device, each, class, trunc) = (args.device, args.each.clone(), args.class, args.trunc);
        let latents = args.latents.clone();
        Ok(SampleJob { run, config, latest, device, seeds, class, trunc, latents, picture, each })
    }

    /// What every file says of itself.
    pub fn notes(&self) -> Notes {
        let of_file = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        about(&self.run, &self.config, self.latest.images)
            .with_some("latents", self.latents.as_ref().and_then(of_file))
            .with_some("truncation", self.trunc)
    }
}

/// What files say of the run they were drawn from.
pub(super) fn about(run: &RunFolder, config: &Config, images: u64) -> Notes {
    let name = run.root().file_name().map(|name| name.to_string_lossy().into_owned());
    Notes::NONE
        .with("Software", concat!("danskin ", env!("CARGO_PKG_VERSION")))
        .with_some("run", name)
        .with("preset", &config.preset)
        .with("kimg", kimg(images))
}

fn picture(args: &SampleArgs, config: &Config, seeds: &Seeds, run: &RunFolder, images: u64) -> Result<Picture> {
    let path = |what: &str| match &args.out {
        Some(path) => unused("--out", path).map(|()| path.clone()),
        None => Ok(free(&run.samples(), &format!("{what}-{}", stamp(images)))),
    };
    if let Some(stops) = args.interpolate {
        let (stops, frames, fps) = (stops as usize, args.frames as usize, args.fps);
        let cells = match args.latents {
            Some(_) => args.grid,
            None => Some(film_cells(args.grid, seeds.count(), stops, "--seeds")?),
        };
        return Ok(Picture::Film { cells, stops, frames, fps, path: path("film")? });
    }
    if let Some(film) = args.out.as_ref().filter(|path| !ends_in_png(path)) {
        return Err(refused("--out", &film.display().to_string(), "must end in .png where no film is asked for"));
    }
    if args.classes {
        fit(None, seeds.count() * config.model.classes as u128, "--seeds")?;
        return Ok(Picture::Classes(config.model.classes as u32, path("classes")?));
    }
    Ok(Picture::Still(fit(args.grid, seeds.count(), "--seeds")?, path("seeds")?))
}

/// The grid of a picture of so many images, which `source` asks for: the one that was named, or the squarest.
///
/// Errors: fewer cells than images; more images than a picture holds.
pub(super) fn fit(grid: Option<Grid>, images: u128, source: &str) -> Result<Grid> {
    match grid {
        Some(grid) if (grid.cells() as u128) < images => {
            let hint = format!("has {} cells for {images} {}", grid.cells(), source.trim_start_matches('-'));
            Err(refused("--grid", &grid.to_string(), &hint))
        }
        Some(grid) => Ok(grid),
        None => usize::try_from(images)
            .ok()
            .and_then(Grid::around)
            .ok_or_else(|| refused(source, &format!("({images} of them)"), "too many for one picture; use --each DIR")),
    }
}

/// The grid of a film: as many cells as there are images for, each of which goes through `stops`.
///
/// Errors: images that do not go round.
pub(super) fn film_cells(grid: Option<Grid>, images: u128, stops: usize, source: &str) -> Result<Grid> {
    let cells = images / stops as u128;
    let fits =
        cells > 0 && images.is_multiple_of(stops as u128) && grid.is_none_or(|grid| grid.cells() as u128 == cells);
    match fits {
        true => fit(grid, cells, source),
        false => {
            let cells = grid.map_or("each cell of the grid".into(), |grid| format!("each of {} cells", grid.cells()));
            let hint = format!("{cells} goes through --interpolate {stops} of them: give as many as that takes");
            Err(refused(source, &format!("({images} of them)"), &hint))
        }
    }
}

fn refused(key: &str, value: &str, hint: &str) -> Error {
    Error::setting("command line", key, value, hint)
}

/// Refuses a file that is there already.
pub(super) fn unused(key: &str, path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(refused(key, &path.display().to_string(), "is there already; name another, or remove it")),
        Err(_) => Ok(()),
    }
}

fn ends_in_png(path: &Path) -> bool {
    FilmFormat::of(path) == Ok(FilmFormat::Apng) && path.extension().is_some_and(|e| e.len() == "png".len())
}

/// Thousands of images as they are shown.
pub(super) fn kimg(images: u64) -> String {
    format!("{}.{:03}", images / 1000, images % 1000)
}

/// Thousands of images as file names have them.
fn stamp(images: u64) -> String {
    format!("{:06}.{:03}", images / 1000, images % 1000)
}

/// `NAME.png`, or with a number where that is taken.
fn free(folder: &Path, name: &str) -> PathBuf {
    let numbered = |k: u32| if k == 1 { format!("{name}.png") } else { format!("{name}-{k}.png") };
    (1..).map(|k| folder.join(numbered(k))).find(|path| !path.exists()).unwrap_or_else(|| folder.join(numbered(1)))
}
