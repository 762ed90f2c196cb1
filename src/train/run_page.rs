//! `report.html` of a run: one page that needs nothing beside it, made of the files of its folder, so that it can be made again at any
//! time. Curves, samples over time with a slider, measures, alarms, the configuration, throughput.

use super::alarms::Alarms;
use super::measurement::{self, Measurement};
use super::run_folder::RunFolder;
use super::stats::{self, Report};
use crate::config::Config;
use crate::page::{Chart, Series, escape, head, png_address, short};
use crate::{Error, Result, files};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The most pictures of one page, and the bytes that they may have together: of more, some are left out evenly.
const PICTURES: usize = 48;
const PICTURE_BYTES: u64 = 8 << 20;

/// A chart of several lines.
type Group = (&'static str, &'static str, fn(&str) -> bool);

/// Charts of several lines: title, what stands beside it, and which scalars.
const GROUPS: &[Group] = &[
    ("Losses", "loss", |name| name == "loss" || name.ends_with("_loss")),
    ("What the discriminator says", "mean logit", |name| matches!(name, "d_real" | "d_fake")),
    ("Lengths of gradients", "log10", |name| name.ends_with("_grad_norm")),
    ("Accuracy", "share", |name| name.ends_with("accuracy")),
];

/// Scalars whose names don't say what they are.
const TITLES: &[(&str, &str)] = &[
    ("diversity", "Distance between samples, as a share of that between reals"),
    ("average_gap", "Distance of averaged from trained weights, relative"),
    ("modes", "Modes covered"),
    ("high_quality", "Share of samples within 3σ of a mode"),
];

/// Writes the page of a run. A run that goes on writes it again.
///
/// # Errors
/// Files of the run that can't be read; a disk that fails.
pub fn write(run: &RunFolder, config: &Config, device: &str) -> Result<PathBuf> {
    let path = run.root().join("report.html");
    files::write(&path, "writing the page of the run", page(run, config, device)?.as_bytes())?;
    Ok(path)
}

fn page(run: &RunFolder, config: &Config, device: &str) -> Result<String> {
    let reports = stats::read(&run.stats())?;
    let name = run.root().file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
    let mut out = head(&name);
    let _ = write!(out, "<h1>{}</h1>", escape(&name));
    if let Some(last) = reports.last() {
        let _ = write!(
            out,
            "<p>{} of {} thousand images, on {}. {} per second ({} s per thousand); {:.0} MiB of device memory.</p>",
            short(last.kimg),
            short(config.train.kimg),
            escape(device),
            short(median(reports.iter().map(|r| r.img_per_s))),
            short(median(reports.iter().map(|r| r.sec_per_kimg))),
            last.memory as f64 / f64::from(1 << 20)
        );
    }
    alarms(&mut out, config, &reports);
    pictures(&mut out, &run.samples())?;
    out += "<div class=\"charts\">";
    measures(run)?.iter().chain(&curves(&reports)).for_each(|chart| out += &chart.svg());
    out += "</div>";
    let text = read(&run.config())?;
    let _ =
        write!(out, "<details><summary>Configuration</summary><pre>{}</pre></details></body></html>", escape(&text));
    Ok(out)
}

/// Text of a file that may be missing.
fn read(path: &Path) -> Result<String> {
    if !path.exists() {
        return Ok(String::new());
    }
    std::fs::read_to_string(path).map_err(Error::io(path, "reading a file of the run"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn alarms(out: &mut String, config: &Config, reports: &[Report]) {
    let mut watching = Alarms::new(config);
    for alarm in reports.iter().flat_map(|report| watching.watch(report)) {
        let _ = write!(out, "<p class=\"warn\">At {} kimg: {}.</p>", short(alarm.kimg), escape(&alarm.text));
    }
}

/// Every grid, one of them shown, chosen by a slider; the newest where scripts are off. Reals below.
fn pictures(out: &mut String, folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder, "reading the samples"))?;
    let mut all: Vec<(String, PathBuf, u64)> = entries
        .flatten()
        .filter_map(|entry| {
            let kimg = entry.file_name().to_str()?.strip_suffix(".png")?.to_owned();
            let bytes = entry.metadata().ok()?.len();
            kimg.parse::<f64>().ok().map(|_| (kimg, entry.path(), bytes))
        })
        .collect();
    all.sort();
    let kept = thinned(&all);
    if !kept.is_empty() {
        out.push_str("<h2>Samples of the same latents, by averaged weights</h2>");
        let last = kept.len() - 1;
        let _ = write!(
            out,
            "<p><input type=\"range\" id=\"when\" min=\"0\" max=\"{last}\" value=\"{last}\" aria-label=\"which grid\"> \
             <output id=\"kimg\"></output></p><div id=\"grids\">"
        );
        for (i, (kimg, path, _)) in kept.iter().enumerate() {
            let png = std::fs::read(path).map_err(Error::io(path, "reading a grid"))?;
            let hidden = if i == last { "" } else { " hidden" };
            let kimg = kimg.parse::<f64>().unwrap_or(0.0);
            let _ = write!(out, "<img{hidden} alt=\"{kimg} thousand images\" src=\"{}\">", png_address(&png));
        }
        out.push_str(
            "</div><script>{const s=document.getElementById('when'),g=document.querySelectorAll('#grids img'),\
             o=document.getElementById('kimg');const f=()=>{g.forEach((e,i)=>{e.hidden=i!=s.value});o.textContent=g[s.value].alt};\
             s.oninput=f;f()}</script>",
        );
    }
    let reals = folder.join("reals.png");
    if reals.exists() {
        let png = std::fs::read(&reals).map_err(Error::io(&reals, "reading the reals"))?;
        let _ = write!(
            out,
            "<details open><summary>Reals</summary><img alt=\"Reals\" src=\"{}\"></details>",
            png_address(&png)
        );
    }
    Ok(())
}

/// As many pictures as a page may have: the first, the last, and others evenly between them.
fn thinned<T: Clone>(all: &[(T, PathBuf, u64)]) -> Vec<(T, PathBuf, u64)> {
    let mut count = all.len().min(PICTURES);
    loop {
        let place = |i: usize| i * (all.len() - 1) / (count.max(2) - 1);
        let kept: Vec<_> = match count {
            0 => vec![],
            1 => vec![all[all.len() - 1].clone()],
            _ => (0..count).map(|i| all[place(i)].clone()).collect(),
        };
        if count <= 1 || kept.iter().map(|(_, _, bytes)| bytes).sum::<u64>() <= PICTURE_BYTES {
            return kept;
        }
        count -= 1;
    }
}

/// Charts of what was logged.
fn curves(reports: &[Report]) -> Vec<Chart> {
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for report in reports {
        for (name, value) in &report.scalars {
            lines.entry(name).or_default().push((report.kimg, *value));
        }
    }
    let mut charts = vec![];
    for (title, y, belongs) in GROUPS {
        let names: Vec<&str> = lines.keys().copied().filter(|name| belongs(name)).collect();
        let series: Vec<Series> = names
            .iter()
            .filter_map(|name| {
                let points = lines.remove(name)?;
                let logarithmic = *y == "log10";
                let point = |(x, v): (f64, f64)| (x, if logarithmic { v.log10() } else { v });
                Some(Series { name: (*name).into(), points: points.into_iter().map(point).collect() })
            })
            .collect();
        if !series.is_empty() {
            charts.push(chart(title, y, series));
        }
    }
    for (name, points) in lines {
        let title = TITLES.iter().find(|(scalar, _)| *scalar == name).map_or(name, |(_, title)| title);
        charts.push(chart(title, "", vec![Series { name: name.into(), points }]));
    }
    let speed = reports.iter().map(|r| (r.kimg, r.img_per_s)).collect();
    charts.push(chart("Images per second", "", vec![Series { name: "images per second".into(), points: speed }]));
    charts
}

/// Charts of what was measured of checkpoints: accuracies of a classifier; distances of a generator, beside those of reals from reals.
fn measures(run: &RunFolder) -> Result<Vec<Chart>> {
    let all = measurement::read(&run.metrics())?;
    type Line = (&'static str, fn(&Measurement) -> Option<f64>);
    type Lines = (&'static str, Option<(f64, f64)>, &'static [Line]);
    let groups: [Lines; 4] = [
        (
            "Fréchet distance",
            None,
            &[
                ("to its own reals", |m| m.fd),
                ("to other reals", |m| m.fd_held_out),
                ("reals to reals", |m| m.fd_floor),
            ],
        ),
        ("KID", None, &[("to its own reals", |m| m.kid), ("reals to reals", |m| m.kid_floor)]),
        (
            "Precision and recall",
            Some((0.0, 1.0)),
            &[
                ("precision", |m| m.precision),
                ("recall", |m| m.recall),
                ("precision of reals", |m| m.precision_floor),
                ("recall of reals", |m| m.recall_floor),
            ],
        ),
        ("Accuracy of checkpoints", Some((0.0, 1.0)), &[("clean", |m| m.clean), ("robust", |m| m.robust)]),
    ];
    let charts = groups.into_iter().filter_map(|(title, range, lines)| {
        let line = |(name, of): &Line| Series {
            name: (*name).into(),
            points: all.iter().filter_map(|m| Some((m.kimg, of(m)?))).collect(),
        };
        let series: Vec<Series> = lines.iter().map(line).filter(|series| !series.points.is_empty()).collect();
        (!series.is_empty()).then(|| Chart { range, ..chart(title, "", series) })
    });
    Ok(charts.collect())
}

fn chart(title: &str, y: &str, series: Vec<Series>) -> Chart {
    Chart { title: title.into(), x: "thousand images".into(), y: y.into(), series, range: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_thinned_evenly_and_keep_the_first_and_the_last() {
        let all = |count: u64, bytes: u64| -> Vec<(u64, PathBuf, u64)> {
            (0..count).map(|i| (i, PathBuf::new(), bytes)).collect()
        };
        let numbers = |kept: Vec<(u64, PathBuf, u64)>| kept.into_iter().map(|(i, ..)| i).collect::<Vec<u64>>();
        assert_eq!(numbers(thinned(&all(3, 10))), [0, 1, 2]);
        assert_eq!(numbers(thinned(&all(0, 10))), [0; 0]);
        let kept = numbers(thinned(&all(1000, 10)));
        assert_eq!((kept.len(), kept[0], kept[PICTURES - 1]), (PICTURES, 0, 999));
        assert_eq!(numbers(thinned(&all(9, PICTURE_BYTES / 3))), [0, 4, 8]);
        assert_eq!(numbers(thinned(&all(9, PICTURE_BYTES + 1))), [8]);
    }
}
