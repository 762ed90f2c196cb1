//! `danskin project`: the latents whose image is nearest to a given one, with a picture, a file of latents, and a film of the search.

use super::args::ProjectArgs;
use super::device::DeviceChoice;
use super::sample_job::{about, unused};
use super::{commands, interrupt, output, startup};
use crate::config::Config;
use crate::grid::{self, FilmFormat, Scale};
use crate::train::checkpoint::{self, Checkpoint, Latest, NamedTensor, Values};
use crate::train::games::{Projection, projection_of};
use crate::train::run_folder::RunFolder;
use crate::train::{Projected, Projector};
use crate::{Error, Result, data};
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Steps from one look at the search to the next, and so of a submission.
const LOOK: u32 = 20;
/// Frames of a film, or fewer of a short search.
const FRAMES: u32 = 120;

/// What a search is made from.
struct Project {
    run: RunFolder,
    config: Config,
    latest: Latest,
    search: Projection,
    /// The target, [H, W, C] in [-1, 1].
    image: Vec<f32>,
    /// Where the latents go.
    latents: PathBuf,
}

pub(super) fn project(args: &ProjectArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let project = prepare(args)?;
    project.latest.warnings.iter().for_each(output::warning);
    let device = startup::open(args.device, &args.tuning)?;
    let mut projector = Projector::new(&project.search, &device)?;
    projector.load(&project.latest.checkpoint, &project.latest.path)?;
    projector.begin(&project.image, args.class, args.seed, args.lr, args.steps)?;
    let (best, frames) = search(args, &project, &mut projector)?;
    let class = (project.search.classes > 0).then(|| projector.class_of(best.start, args.class));
    let notes = about(&project.run, &project.config, project.latest.images)
        .with_some("target", args.image.file_name().map(|name| name.to_string_lossy().into_owned()))
        .with_some("class", class)
        .with("loss", best.loss);
    grid::save(&args.out, &drawn(&project, &best.image)?, &notes)?;
    latents_file(&project, &best, class).save(&project.latents)?;
    if let Some(path) = &args.film {
        grid::film(path, &frames, args.fps, &notes)?;
    }
    tell(args, &project, &best, class);
    Ok(())
}

/// Everything that can be refused before a device is opened.
fn prepare(args: &ProjectArgs) -> Result<Project> {
    let refuse = |key: &str, value: String, hint: &str| Err(Error::setting("command line", key, value, hint));
    let run = RunFolder::open(&args.run)?;
    let config = Config::read(&run.config())?;
    let place = args.run.display().to_string();
    let Some(search) = projection_of(&config, args.starts as usize, args.prior)? else {
        let hint = "has no generator of images, whose latents could be searched";
        return Err(Error::setting(place, "train.task", format!("{:?}", config.train.task).to_lowercase(), hint));
    };
    let [size, _, channels] = search.sample[..] else {
        return Err(Error::setting(place, "data", format!("{:?}", search.sample), "are no images"));
    };
    match (args.class, search.classes) {
        (Some(class), 0) => return refuse("--class", class.to_string(), "this run knows no classes; leave it out"),
        (Some(class), known) if class as usize >= known => {
            return refuse("--class", class.to_string(), &format!("this run has the classes 0 to {}", known - 1));
        }
        _ => {}
    }
    let latents = args.latents.clone().unwrap_or_else(|| args.out.with_extension("safetensors"));
    new_file("--out", &args.out)?;
    new_file("--latents", &latents)?;
    if let Some(film) = &args.film {
        if let Err(reason) = FilmFormat::of(film) {
            return refuse("--film", film.display().to_string(), reason);
        }
        new_file("--film", film)?;
        if film == &args.out {
            return refuse("--film", film.display().to_string(), "is the file of --out too; name another");
        }
    }
    let latest = match &args.checkpoint {
        Some(asked) => checkpoint::find(&run.checkpoints(), asked)?,
        None => checkpoint::best_or_latest(&run.checkpoints())?,
    };
    let image = read_target(&args.image, size, channels)?;
    Ok(Project { run, config, latest, search, image, latents })
}

/// Refuses what could not be written after the search: a file that is there already, or whose folder is not.
fn new_file(key: &str, path: &Path) -> Result<()> {
    unused(key, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(folder) => {
            let hint = format!("there is no folder {}; make it first", folder.display());
            Err(Error::setting("command line", key, path.display(), hint))
        }
        None => Ok(()),
    }
}

/// The image as the run has images; says what was done to it.
fn read_target(path: &Path, size: usize, channels: usize) -> Result<Vec<f32>> {
    let bytes = data::read_image(path, size, channels)?;
    if let Ok(given) = image::open(path) {
        let (width, height) = (given.width(), given.height());
        if (width as usize, height as usize) != (size, size) {
            let square = if width == height { "" } else { "its central square " };
            output::line(format_args!("{}: {width}x{height}, {square}resized to {size}x{size}", path.display()));
        }
        if given.color().has_color() != (channels == 3) {
            let (from, to) = if channels == 3 { ("grey", "colour") } else { ("colour", "grey") };
            output::line(format_args!("{}: {from}, made {to} as the run's images are", path.display()));
        }
    }
    Ok(data::floats(&bytes).collect())
}

/// Searches to the end, or to Ctrl-C: the best that was met, and the frames of the film where one is wanted.
fn search(args: &ProjectArgs, project: &Project, projector: &mut Projector) -> Result<(Projected, Vec<RgbImage>)> {
    let stop = interrupt::watch()?;
    let bar = output::counter("steps");
    let look = match args.film {
        Some(_) => args.steps.div_ceil(FRAMES),
        None => LOOK,
    };
    let mut frames = vec![];
    loop {
        let left = projector.advance(look)?;
        let best = projector.best()?;
        output::count(&bar, (args.steps - left) as usize, args.steps as usize);
        output::note(&bar, format!("loss {:.5}", best.loss));
        if args.film.is_some() {
            frames.push(drawn(project, &best.image)?);
        }
        if left == 0 || stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            if left > 0 {
                output::line(format_args!("stopped {left} steps before the end; this is the best so far"));
            }
            return Ok((best, frames));
        }
    }
}

/// The target, what was found, and found less target on grey.
fn drawn(project: &Project, found: &[f32]) -> Result<RgbImage> {
    let difference: Vec<f32> = found.iter().zip(&project.image).map(|(found, target)| found - target).collect();
    let images = [project.image.as_slice(), found, &difference].concat();
    let [height, width, channels] = project.search.sample[..] else {
        return Err(Error::Check("pictures are drawn of images".into()));
    };
    grid::image(&images, [3, height, width, channels], 3, Scale::Auto)
}

/// The latents as `danskin sample --latents` reads them.
fn latents_file(project: &Project, best: &Projected, class: Option<u32>) -> Checkpoint {
    let shape = vec![1, best.latents.len()];
    let latents = NamedTensor { name: "latents".into(), shape, data: Values::F32(best.latents.clone()) };
    let meta = [("loss", Some(best.loss.to_string())), ("class", class.map(|class| class.to_string()))];
    let meta = meta.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let run = ("run".to_owned(), project.run.root().display().to_string());
    Checkpoint { tensors: vec![latents], meta: meta.chain([run]).collect() }
}

/// What was found, in words.
fn tell(args: &ProjectArgs, project: &Project, best: &Projected, class: Option<u32>) {
    let squares: f64 = best.image.iter().zip(&project.image).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let error = 127.5 * (squares / best.image.len() as f64).sqrt();
    let length = best.latents.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>().sqrt();
    let typical = (best.latents.len() as f64).sqrt();
    output::line(format_args!(
        "pixels differ by {error:.1}/255 (root mean square); |z| {length:.2}, typical {typical:.2}; loss {:.5} from start {}",
        best.loss, best.start
    ));
    let told = class.map_or(String::new(), |class| format!(" --class {class}"));
    output::line(format_args!("{}  {}", args.out.display(), project.latents.display()));
    args.film.iter().for_each(|film| output::line(film.display()));
    output::line(format_args!(
        "danskin sample {} --latents {}{told} draws it again",
        args.run.display(),
        project.latents.display()
    ));
}
