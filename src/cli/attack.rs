//! `danskin attack`: how much of a classifier's accuracy attacks leave, as a table and a report; or one image, as a picture.

use super::attack_args::{self, AttackArgs};
use super::device::DeviceChoice;
use super::{commands, images, interrupt, output, startup};
use crate::attack::{AttackOptions, Norm, entries};
use crate::data;
use crate::device::Device;
use crate::grid;
use crate::robustness::{
    AUTO, AttackListener, Examples, Matrix, Request, RobustnessReport, Store, Suite, TrainedModel, Trial, against_eps,
    against_steps, auto, look, page, trial_file, triptych,
};
use crate::train::run_folder::RunFolder;
use crate::{Error, Result, files};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Most steps of the curve against steps.
const CURVE: u32 = 64;
/// Examples in the report's picture.
const SHOWN: usize = 6;

/// Attacks a run, or one image.
///
/// # Errors
/// Words that make no sense; a run that holds nothing to attack; data that does not fit it; a device or a disk that fails.
pub fn attack(args: &AttackArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    if args.list {
        entries().for_each(|entry| output::line(format_args!("{:10} {}", entry.name, entry.about)));
        output::line(format_args!(
            "{:10} {}: each attacks what those before it left standing",
            "auto",
            AUTO.join(", ")
        ));
        return Ok(());
    }
    let (store, request) = match &args.resume {
        Some(folder) => Store::open(folder).map(|(store, request)| (Some(store), request))?,
        None => (None, args.request()),
    };
    let model = TrainedModel::open(&request.run, request.checkpoint.as_deref())?;
    model.warnings.iter().for_each(output::warning);
    let names = names(&request, &model)?;
    match &args.image {
        Some(image) => picture(args, &request, &model, &names, image),
        None => evaluate(args, &request, &model, &names, store),
    }
}

/// The attacks that are asked for, each of which can be made for the model.
fn names(request: &Request, model: &TrainedModel) -> Result<Vec<String>> {
    let options = AttackOptions { targeted: request.target.is_some(), ..options(request, model)? };
    let single = |name: &String| if name == "auto" { AUTO.map(str::to_owned).to_vec() } else { vec![name.clone()] };
    for name in request.attacks.iter().flat_map(single) {
        crate::attack::named(&name, &options)?;
    }
    Ok(request.attacks.clone())
}

fn options(request: &Request, model: &TrainedModel) -> Result<AttackOptions> {
    let norm = attack_args::norm(&request.norm)?;
    let alpha = request.alpha.as_deref().map(|text| attack_args::length("--alpha", text, norm)).transpose()?;
    let loss = attack_args::loss(request.loss.as_deref())?;
    let (steps, restarts, pixels) = (request.steps, request.restarts, request.pixels);
    Ok(AttackOptions { norm: Some(norm), alpha, loss, steps, restarts, pixels, ..model.options() })
}

fn suite<'a>(
    request: &Request,
    model: &'a TrainedModel,
    examples: &'a Examples,
    device: &'a Device,
) -> Result<Suite<'a>> {
    let mut suite = Suite::new(model, examples, device, request.batch)?;
    suite.norm = attack_args::norm(&request.norm)?;
    suite.eps = attack_args::length("--eps", &request.eps, suite.norm)?;
    suite.options = options(request, model)?;
    suite.seed = request.seed;
    if let Some(text) = &request.target {
        suite.aim(text)?;
    }
    Ok(suite)
}

fn evaluate(
    args: &AttackArgs,
    request: &Request,
    model: &TrainedModel,
    names: &[String],
    store: Option<Store>,
) -> Result<()> {
    attack_args::length("--eps", &request.eps, attack_args::norm(&request.norm)?)?;
    let (examples, name) = pictures(request, model)?;
    let device = startup::open(args.device, &args.tuning)?;
    let mut suite = suite(request, model, &examples, &device)?;
    let out = match &store {
        Some(store) => store.root().to_owned(),
        None => args.out.clone().map_or_else(|| next_folder(&request.run), Ok)?,
    };
    let store = store.map_or_else(|| Store::create(&out, request), Ok)?;
    let mut report = RobustnessReport::of(&suite, &model.name, &name, &request.eps, device.describe());
    output::line(format_args!(
        "{}: {} images of {name}, {:.2} % right",
        model.name,
        examples.len(),
        100.0 * report.clean
    ));
    let stop = interrupt::watch()?;
    report.trials = trials(&mut suite, names, &store, &stop)?;
    table(&report);
    if !stop.load(Ordering::Relaxed) {
        extras(args, &mut suite, &mut report, &stop)?;
    }
    report.warnings.compare(&report.trials, suite.eps, request.steps, suite.options.alpha);
    if !args.transfer.is_empty() && !stop.load(Ordering::Relaxed) {
        let bar = output::attack_bar("transfer");
        let progress = &mut |attack: &str, done: f64, total: usize| {
            bar.set_message(format!("transfer, {attack}"));
            output::attacked(&bar, done, total);
            !stop.load(Ordering::Relaxed)
        };
        report.transfer = transfer(args, request, model, &mut suite, &report, progress)?;
        report.matrix = matrix(args, request, model, &examples, &device, &report, progress)?;
        bar.finish_and_clear();
    }
    report.picture = shown(&mut suite, &report)?;
    report.warnings.0.iter().for_each(output::warning);
    write(&out, &report)?;
    if let Some(folder) = &args.save {
        save(folder, &report, &examples)?;
    }
    if stop.load(Ordering::Relaxed) {
        output::line(format_args!("stopped; go on with danskin attack --resume {}", out.display()));
    }
    output::line(format_args!("{}", out.join("report.html").display()));
    Ok(())
}

/// The images that are attacked, and what they are called.
fn pictures(request: &Request, model: &TrainedModel) -> Result<(Examples, String)> {
    let [size, _, channels] = model.victim.sample[..] else {
        return Err(Error::setting(&model.name, "model", format!("{:?}", model.victim.sample), "does not take images"));
    };
    let form = [size, channels];
    let (set, name) = images::load(&model.config, request.data.as_deref(), request.test, form, request.count)?;
    Ok((Examples::of(&set, request.count, model.only_class(), model.classes())?, name))
}

/// Every attack in turn, behind a bar.
fn trials(suite: &mut Suite, names: &[String], store: &Store, stop: &AtomicBool) -> Result<Vec<Trial>> {
    let mut trials: Vec<Trial> = vec![];
    for name in names {
        let bar = output::attack_bar(name);
        let progress = &mut |attack: &str, done: f64, total: usize| {
            bar.set_message(attack.to_owned());
            output::attacked(&bar, done, total);
            !stop.load(Ordering::Relaxed)
        };
        let found = if name == "auto" {
            auto(suite, Some(store), progress)?
        } else {
            let standing = suite.clean.clone();
            vec![suite.run(name, &standing, Some(store), progress)?]
        };
        bar.finish_and_clear();
        trials.extend(found);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(trials)
}

/// What the attacks left, on the terminal.
fn table(report: &RobustnessReport) {
    let rows: Vec<[String; 7]> =
        [RobustnessReport::HEADS.map(str::to_owned)].into_iter().chain(report.rows()).collect();
    let wide = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(wide);
    for row in &rows {
        let cell = |(i, text): (usize, &String)| {
            if i == 0 { format!("{text:<0$}", widths[i]) } else { format!("{text:>0$}", widths[i]) }
        };
        output::line(row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  "));
    }
    output::line(format_args!("robust accuracy {:.2} %, clean {:.2} %", 100.0 * report.worst(), 100.0 * report.clean));
}

/// Curves, and what is suspicious about the model.
fn extras(args: &AttackArgs, suite: &mut Suite, report: &mut RobustnessReport, stop: &AtomicBool) -> Result<()> {
    report.warnings = look(suite)?;
    if args.no_curves || suite.target.is_some() || suite.eps == 0.0 {
        return Ok(());
    }
    let bar = output::attack_bar("curves");
    let progress = &mut |_: &str, done: f64, total: usize| {
        output::attacked(&bar, done, total);
        !stop.load(Ordering::Relaxed)
    };
    report.against_eps = against_eps(suite, progress)?;
    if !stop.load(Ordering::Relaxed) {
        report.against_steps = against_steps(suite, CURVE, progress)?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Accuracy of every model on the examples made for every model, by the strongest attack named; nothing where it was stopped.
fn transfer(
    args: &AttackArgs,
    request: &Request,
    model: &TrainedModel,
    suite: &mut Suite,
    report: &RobustnessReport,
    progress: AttackListener,
) -> Result<Vec<(String, Vec<f64>)>> {
    let strongest = report.trials.iter().min_by(|a, b| a.accuracy().total_cmp(&b.accuracy()));
    let Some(trial) = strongest else { return Ok(vec![]) };
    let (examples, device) = (suite.examples(), startup::open(args.device, &args.tuning)?);
    let others = args.transfer.iter().map(|run| TrainedModel::open(run, None)).collect::<Result<Vec<_>>>()?;
    let mut made = vec![trial.adversarial.clone()];
    for other in &others {
        let mut theirs = self::suite(request, other, examples, &device)?;
        let standing = theirs.clean.clone();
        let theirs = theirs.run(&trial.attack, &standing, None, progress)?;
        if !theirs.complete {
            return Ok(vec![]);
        }
        made.push(theirs.adversarial);
    }
    let mut rows = vec![];
    for judged in std::iter::once(model).chain(&others) {
        let mut judge = judged.judge(request.batch.min(examples.len()), &device)?;
        let right = |said: Vec<u32>| {
            let right = said.iter().zip(&examples.labels).filter(|(said, label)| said == label).count();
            right as f64 / examples.len() as f64
        };
        let row = made.iter().map(|made| judge.classes(made).map(right)).collect::<Result<Vec<f64>>>()?;
        rows.push((judged.name.clone(), row));
    }
    Ok(rows)
}

/// What every attack leaves of every model, with PGD in the norm that no attack named has, and the worst case of each model; nothing where
/// it was stopped.
fn matrix(
    args: &AttackArgs,
    request: &Request,
    model: &TrainedModel,
    examples: &Examples,
    device: &Device,
    report: &RobustnessReport,
    progress: AttackListener,
) -> Result<Matrix> {
    let names: Vec<String> = report.trials.iter().map(|trial| trial.attack.clone()).collect();
    let other = match report.norm {
        Norm::Inf => Norm::Two,
        Norm::Two => Norm::Inf,
    };
    // Of the other ball, the radius at which most of its volume lies as far from the image: a corner's length, or an edge's.
    let own = attack_args::length("--eps", &request.eps, report.norm)?;
    let side = (examples.elems() as f64).sqrt();
    let eps = if other == Norm::Two { 0.25 * own * side } else { 4.0 * own / side };
    let unseen = format!("pgd, {}-norm {:.3}", if other == Norm::Two { "2" } else { "inf" }, eps / 2.0);
    let others = args.transfer.iter().map(|run| TrainedModel::open(run, None)).collect::<Result<Vec<_>>>()?;
    let mut rows = vec![];
    for judged in std::iter::once(model).chain(&others) {
        let mut suite = self::suite(request, judged, examples, device)?;
        let (mut row, mut worst) = (vec![suite.accuracy()], suite.clean.clone());
        let mut whole = true;
        let mut add = |trial: &Trial| {
            whole &= trial.complete;
            worst.iter_mut().zip(&trial.robust).for_each(|(worst, robust)| *worst &= robust);
            row.push(trial.accuracy());
        };
        for (name, known) in names.iter().zip(&report.trials) {
            // The first model's are known.
            let standing = suite.clean.clone();
            match judged.name == model.name {
                true => add(known),
                false => add(&suite.run(name, &standing, None, progress)?),
            }
        }
        (suite.norm, suite.eps) = (other, eps);
        suite.options.alpha = None;
        let standing = suite.clean.clone();
        add(&suite.run("pgd", &standing, None, progress)?);
        if !whole {
            return Ok(Matrix::default());
        }
        row.push(worst.iter().filter(|is| **is).count() as f64 / examples.len() as f64);
        rows.push((judged.name.clone(), row));
    }
    let heads = [vec!["none".to_owned()], names, vec![unseen, "worst case".to_owned()]].concat();
    Ok(Matrix { heads, rows })
}

/// A few examples that fool the model, with what it says of them.
fn shown(suite: &mut Suite, report: &RobustnessReport) -> Result<Option<Vec<u8>>> {
    let Some(trial) = report.trials.iter().min_by(|a, b| a.accuracy().total_cmp(&b.accuracy())) else {
        return Ok(None);
    };
    let examples = suite.examples();
    let fooled = |k: &usize| suite.clean[*k] && !trial.robust[*k];
    let numbers: Vec<usize> = (0..examples.len()).filter(fooled).take(SHOWN).collect();
    if numbers.is_empty() {
        return Ok(None);
    }
    let images = examples.pick(&numbers).images;
    let elems = examples.elems();
    let adversarial: Vec<f32> =
        numbers.iter().flat_map(|k| trial.adversarial[k * elems..(k + 1) * elems].iter().copied()).collect();
    grid::png_of(&drawn(suite, &images, &adversarial)?).map(Some)
}

/// Images and examples with captions.
fn drawn(suite: &mut Suite, images: &[f32], adversarial: &[f32]) -> Result<image::RgbImage> {
    let examples = suite.examples();
    let [before, after] = [suite.logits(images)?, suite.logits(adversarial)?].map(|logits| said(&logits, examples));
    let captions: Vec<[String; 2]> = before.into_iter().zip(after).map(|(a, b)| [a, b]).collect();
    let [h, w, c] = examples.sample[..] else { return Err(Error::Check("pictures are drawn of images".into())) };
    triptych(images, adversarial, [h, w, c], &captions)
}

/// What a model says of images: the class, and how sure it is.
fn said(logits: &[f32], examples: &Examples) -> Vec<String> {
    logits
        .chunks(examples.logits)
        .map(|row| {
            if let [logit] = row {
                let real = 100.0 / (1.0 + (-logit).exp());
                return if *logit > 0.0 {
                    format!("real ({real:.0} %)")
                } else {
                    format!("fake ({:.0} %)", 100.0 - real)
                };
            }
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
            let sum: f32 = row.iter().map(|z| (z - row[best]).exp()).sum();
            format!("{} ({:.0} %)", examples.name(best as u32), 100.0 / sum)
        })
        .collect()
}

/// The next free folder RUN/attacks/N.
fn next_folder(run: &Path) -> Result<PathBuf> {
    let root = RunFolder::open(run)?.root().join("attacks");
    let free = (1..).map(|number: u32| root.join(number.to_string())).find(|folder| !folder.exists());
    free.ok_or_else(|| Error::setting("command line", "--out", root.display(), "has no room: name a folder"))
}

fn write(out: &Path, report: &RobustnessReport) -> Result<()> {
    let json = serde_json::to_string_pretty(&report.json()).map_err(|e| Error::Check(e.to_string()))?;
    files::write(&out.join("report.json"), "writing the report", json.as_bytes())?;
    files::write(&out.join("attacks.csv"), "writing the table", report.csv().as_bytes())?;
    files::write(&out.join("report.html"), "writing the report", page(report).as_bytes())
}

/// The examples of the strongest attack, singly and together.
fn save(folder: &Path, report: &RobustnessReport, examples: &Examples) -> Result<()> {
    let Some(trial) = report.trials.iter().min_by(|a, b| a.accuracy().total_cmp(&b.accuracy())) else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "creating the folder for images"))?;
    let shape = [examples.len(), examples.sample[0], examples.sample[1], examples.sample[2]];
    grid::write_each(folder, &trial.adversarial, shape, 0)?;
    trial_file(trial, examples).save(&folder.join("adversarial.safetensors"))?;
    output::line(format_args!("{} images of {} in {}", examples.len(), trial.attack, folder.display()));
    Ok(())
}

/// One image, what changed, and the example.
fn picture(args: &AttackArgs, request: &Request, model: &TrainedModel, names: &[String], file: &Path) -> Result<()> {
    let [size, _, channels] = model.victim.sample[..] else {
        return Err(Error::setting(&model.name, "model", format!("{:?}", model.victim.sample), "does not take images"));
    };
    let out = args.out.clone().unwrap_or_else(|| file.with_extension("attacked.png"));
    if out.extension().is_none_or(|e| !e.eq_ignore_ascii_case("png")) {
        return Err(Error::setting("command line", "--out", out.display(), "must end in .png"));
    }
    let bytes = data::read_image(file, size, channels)?;
    let device = startup::open(args.device, &args.tuning)?;
    let known = Examples {
        images: data::floats(&bytes).collect(),
        labels: vec![args.label.unwrap_or(0)],
        sample: model.victim.sample.clone(),
        names: vec![],
        logits: model.classes(),
    };
    let label = match args.label {
        Some(label) if label as usize >= model.classes().max(2) => {
            let hint = format!("the model knows {} classes from 0", model.classes());
            return Err(Error::setting("command line", "--label", label, hint));
        }
        Some(label) => label,
        None => model.only_class().map_or_else(|| first_class(model, &known, &device), Ok)?,
    };
    let examples = Examples { labels: vec![label], ..known };
    let mut suite = suite(request, model, &examples, &device)?;
    // An image that is wrong already is shown as it is.
    let name = names.last().map_or("pgd", String::as_str);
    let standing = suite.clean.clone();
    let trial = match name {
        "auto" => auto(&mut suite, None, &mut |_, _, _| true)?.into_iter().find(|trial| !trial.robust[0]),
        name => Some(suite.run(name, &standing, None, &mut |_, _, _| true)?),
    };
    let adversarial = trial.map_or_else(|| examples.images.clone(), |trial| trial.adversarial);
    let page = drawn(&mut suite, &examples.images, &adversarial)?;
    grid::save(&out, &page, &grid::Notes::NONE)?;
    output::line(out.display());
    Ok(())
}

fn first_class(model: &TrainedModel, examples: &Examples, device: &Device) -> Result<u32> {
    Ok(model.judge(1, device)?.classes(&examples.images)?[0])
}
