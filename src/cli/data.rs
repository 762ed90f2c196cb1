//! `danskin data`: what a set holds, and packing it.

use super::data_args::{DataCommand, DataForm, DataInfoArgs, DataPackArgs};
use super::output;
use crate::data::{self, Index, Source, Spec, Split, Survey};
use crate::{Error, Result, grid};
use std::fmt::Display;

/// Images on a contact sheet.
const SHEET: usize = 64;
/// Names shown of a long list.
const SHOWN: usize = 8;
/// Side of images where nothing says another.
const SIZE: usize = 64;

pub(super) fn data(command: &DataCommand) -> Result<()> {
    match command {
        DataCommand::Info(args) => info(args),
        DataCommand::Pack(args) => pack(args),
    }
}

fn spec(form: &DataForm) -> Spec {
    let (size, channels) = data::packed_form(&form.path).unwrap_or((SIZE, 3));
    let channels = if form.grey { 1 } else { channels };
    let split = if form.test { Split::Test } else { Split::Train };
    Spec { channels, split, ..Spec::new(Source::Path(form.path.clone()), form.size.unwrap_or(size)) }
}

/// Prints what a set holds, and draws its contact sheet.
///
/// # Errors
/// A path that is no data set; a sheet that exists or can't be written.
fn info(args: &DataInfoArgs) -> Result<()> {
    if let Some(sheet) = args.sheet.as_ref().filter(|sheet| sheet.exists()) {
        return Err(Error::data(sheet, "exists and is left as it is: choose another name"));
    }
    let bar = output::counter("images");
    let wanted = if args.sheet.is_some() { SHEET } else { 0 };
    let survey = data::survey(&spec(&args.form), wanted, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let survey = survey?;
    if let Some(path) = &args.sheet {
        draw(&survey).and_then(|sheet| grid::save(path, &sheet, &grid::Notes::NONE))?;
    }
    if args.json {
        let json = serde_json::to_string_pretty(&survey).map_err(|e| Error::data(&args.form.path, e.to_string()))?;
        output::line(json);
    } else {
        output::line(text(&survey));
    }
    Ok(())
}

fn draw(survey: &Survey) -> Result<image::RgbImage> {
    let tile = |(name, class, pixels): &(String, Option<String>, Vec<u8>)| {
        // Of a long path the end tells more.
        let mut lines = vec![name.rsplit('/').next().unwrap_or(name).to_owned()];
        lines.extend(class.clone());
        (pixels.clone(), lines)
    };
    let tiles: Vec<_> = survey.sheet.iter().map(tile).collect();
    grid::contact_sheet(&tiles, [survey.size, survey.size, survey.channels])
}

/// Several lines.
fn text(s: &Survey) -> String {
    let mut lines = vec![format!("{}: {}", s.name, s.kind)];
    let mut line = |title: &str, text: String| lines.push(format!("  {title:<11} {text}"));
    let left_out = if s.dropped > 0 { format!(", {} more are left out", s.dropped) } else { String::new() };
    line("images", format!("{}{left_out}", s.count));
    if s.dropped * 2 > s.listed {
        line("", "more than half can't be used: training refuses this set".into());
    }
    line("sizes", list(s.sizes.iter().map(|([w, h], n)| format!("{w}x{h}: {n}")), s.sizes.len()));
    let mut modes = list(s.modes.iter().map(|(mode, n)| format!("{mode}: {n}")), s.modes.len());
    for (n, what) in [(s.profiles, "with a colour profile"), (s.turned, "turned by EXIF")] {
        if n > 0 {
            modes += &format!("; {n} {what}");
        }
    }
    line("modes", modes);
    let classes = match s.classes.len() {
        0 => "none".into(),
        n => format!("{n}: {}", list(s.classes.iter().map(|(class, n)| format!("{class} {n}")), n)),
    };
    line("classes", classes);
    if let Some(test) = s.test {
        line("test part", format!("{test} images (--test)"));
    }
    let numbers = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
    let square = format!("at {0}x{0}", s.size);
    line(&square, format!("mean {}, standard deviation {} (of 0 to 1)", numbers(&s.mean), numbers(&s.std)));
    let [all, one] = [s.resident_bytes, s.streamed_bytes_per_batch_image].map(|n| output::bytes(n as u64));
    line("memory", format!("{all} resident, {one} per image of a batch streamed"));
    let duplicates = match s.duplicates {
        0 => "none".into(),
        n => format!("{n}: {}", list(s.duplicate_names.iter().map(|(a, b)| format!("{a} is {b}")), n)),
    };
    line("duplicates", duplicates);
    for (name, reason) in s.dropped_because.iter().take(SHOWN) {
        line("left out", format!("{name}: {reason}"));
    }
    if s.dropped > SHOWN {
        line("", format!("and {} more", s.dropped - SHOWN));
    }
    lines.join("\n")
}

/// The first few of `count` things.
fn list(things: impl Iterator<Item = impl Display>, count: usize) -> String {
    let mut text = things.take(SHOWN).map(|t| t.to_string()).collect::<Vec<_>>().join(", ");
    if count > SHOWN {
        text += &format!(" and {} more", count - SHOWN);
    }
    text
}

/// Packs a set.
///
/// # Errors
/// A path that is no data set; a file that exists or can't be written; a set of which more than half is bad.
fn pack(args: &DataPackArgs) -> Result<()> {
    let spec = spec(&args.form);
    let index = Index::new(&spec)?;
    let bar = output::counter("packing");
    let packed = data::pack(&index, spec.split, &args.out, &|done, total| output::count(&bar, done, total));
    bar.finish_and_clear();
    let packed = packed?;
    if packed.skipped.count > 0 {
        output::warning(format_args!("left out: {}", packed.skipped));
    }
    let (out, bytes) = (args.out.display(), output::bytes(packed.bytes));
    let (size, colour) = (spec.size, if spec.channels == 1 { "grey" } else { "colour" });
    output::line(format_args!("{out}: {} images of {size}x{size} in {colour}, {bytes}", packed.count));
    Ok(())
}
