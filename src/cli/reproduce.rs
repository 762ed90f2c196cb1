//! `danskin reproduce`: published results beside our own, by commands that could be typed. Whatever is done already is not done again.

use super::args::{Cli, Command, ReproduceArgs};
use super::{attack, commands, output};
use crate::page::{Chart, Series};
use crate::robustness::{REPRODUCTIONS, Reproduction, Variant};
use crate::{Error, Result, files};
use clap::Parser;
use std::path::Path;

/// Trains and attacks every network of a reproduction for every seed, and prints the table.
///
/// # Errors
/// A name that is none; whatever a command of it refuses.
pub fn reproduce(args: &ReproduceArgs) -> Result<()> {
    let Some(name) = &args.name else {
        for r in REPRODUCTIONS {
            output::line(format_args!("{:16} {}; {}", r.name, r.about, r.budget));
        }
        return Ok(());
    };
    let Some(reproduction) = REPRODUCTIONS.iter().find(|r| r.name == name) else {
        let names: Vec<&str> = REPRODUCTIONS.iter().map(|r| r.name).collect();
        return Err(Error::setting("command line", "reproduce", name, format!("must be one of {}", names.join(", "))));
    };
    let Some(data) = &args.data else {
        let hint = "name the folder of the MNIST files with --data PATH";
        return Err(Error::setting("command line", "--data", "is not set", hint));
    };
    let root = args.out.clone().unwrap_or_else(|| Path::new("runs/reproduce").join(name));
    std::fs::create_dir_all(&root).map_err(Error::io(&root, "creating the folder"))?;
    let config = root.join("config.toml");
    files::write(&config, "writing the configuration", reproduction.config.as_bytes())?;
    let mut rows = vec![];
    for variant in reproduction.variants {
        let mut results = vec![];
        for seed in 0..args.seeds {
            match one(args, reproduction, variant, &config, data, &root, seed)? {
                Some(result) => results.push(result),
                // Stopped by Ctrl-C: the same command goes on.
                None => return Ok(()),
            }
        }
        rows.push((variant, results));
    }
    let table = table(reproduction, &rows);
    output::line(&table);
    files::write(&root.join("table.md"), "writing the table", table.as_bytes())?;
    if reproduction.chart {
        let path = root.join("chart.svg");
        files::write(&path, "drawing the chart", chart(reproduction, &rows).as_bytes())?;
        output::line(path.display());
    }
    Ok(())
}

/// Clean accuracy and what each attack leaves, as shares.
type Accuracies = (f64, Vec<f64>);

/// One network of one seed; `None` where it was stopped.
fn one(
    args: &ReproduceArgs,
    reproduction: &Reproduction,
    variant: &Variant,
    config: &Path,
    data: &Path,
    root: &Path,
    seed: u32,
) -> Result<Option<Accuracies>> {
    let letters: String = variant.label.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let run = root.join(format!("{letters}-seed{seed}"));
    let tail = format!("--device {}", args.device);
    if !run.exists() {
        let words = format!("{} --seed {seed} {tail}", variant.train);
        call("train", &words, &[("--config", config), ("--data", data), ("--out", &run)], None)?;
    } else if newest_kimg(&run)?.is_none_or(|(at, end)| at < end) {
        call("train", &tail, &[("--resume", &run), ("--data", data)], None)?;
    }
    if newest_kimg(&run)?.is_none_or(|(at, end)| at < end) {
        return Ok(None);
    }
    let (mut clean, mut left) = (0.0, vec![]);
    for (number, (_, words)) in reproduction.attacks.iter().enumerate() {
        let folder = run.join("attacks").join(format!("reproduce-{number}"));
        let report = folder.join("report.json");
        if folder.exists() && !report.exists() {
            call("attack", &format!("--no-curves {tail}"), &[("--resume", &folder)], None)?;
        } else if !report.exists() {
            let words = format!("{words} --test --no-curves {tail}");
            call("attack", &words, &[("--data", data), ("--out", &folder)], Some(&run))?;
        }
        let text = std::fs::read_to_string(&report).map_err(Error::io(&report, "reading the report"))?;
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| Error::checkpoint(&report, format!("is damaged: {e}")))?;
        if json["attacks"].as_array().is_some_and(|all| all.iter().any(|one| one["complete"] != true)) {
            let _ = std::fs::remove_file(&report);
            return Ok(None);
        }
        clean = json["clean_accuracy"].as_f64().unwrap_or(0.0);
        left.push(json["robust_accuracy"].as_f64().unwrap_or(0.0));
    }
    Ok(Some((clean, left)))
}

/// Thousands of images that a run has seen at its newest checkpoint, and at its end.
fn newest_kimg(run: &Path) -> Result<Option<(f64, f64)>> {
    let folder = crate::train::run_folder::RunFolder::find(run)?;
    let end = crate::config::Config::read(&folder.config())?.train.kimg;
    let newest = crate::train::checkpoint::newest(&folder.checkpoints())?;
    Ok(newest.map(|(images, _)| (images as f64 / 1000.0, end)))
}

/// Says and does a command of this program; `paths` may hold spaces.
fn call(command: &str, words: &str, paths: &[(&str, &Path)], first: Option<&Path>) -> Result<()> {
    let mut all: Vec<std::ffi::OsString> = vec!["danskin".into(), command.into()];
    all.extend(first.map(|path| path.as_os_str().to_owned()));
    all.extend(words.split_whitespace().map(Into::into));
    paths.iter().for_each(|(key, path)| all.extend([(*key).into(), path.as_os_str().to_owned()]));
    let said: Vec<_> = all.iter().map(|word| word.to_string_lossy()).collect();
    output::line(format_args!("$ {}", said.join(" ")));
    match Cli::try_parse_from(&all).map(|cli| cli.command) {
        Ok(Command::Train(args)) => commands::train(&args),
        Ok(Command::Attack(args)) => attack::attack(&args),
        Ok(_) => Err(Error::Check(format!("{command} is no part of a reproduction"))),
        Err(usage) => Err(Error::Check(usage.to_string())),
    }
}

/// Mean and standard deviation in per cent.
fn spread(values: &[f64]) -> String {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    match values.len() {
        0 | 1 => format!("{:.2}", 100.0 * mean),
        _ => format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * variance.sqrt()),
    }
}

/// The table as Markdown: a row per network, mean ± standard deviation over seeds, beside what was published.
fn table(reproduction: &Reproduction, rows: &[(&Variant, Vec<Accuracies>)]) -> String {
    let attacks: Vec<&str> = reproduction.attacks.iter().map(|(label, _)| *label).collect();
    let mut out = format!(
        "{}\n\n| network | seeds | clean % | {} % | published % |\n|---|---|---|",
        reproduction.about,
        attacks.join(" % | ")
    );
    out += &"---|".repeat(attacks.len() + 1);
    for (variant, results) in rows {
        let clean: Vec<f64> = results.iter().map(|(clean, _)| *clean).collect();
        let of = |i: usize| spread(&results.iter().map(|(_, left)| left[i]).collect::<Vec<f64>>());
        let left: Vec<String> = (0..attacks.len()).map(of).collect();
        let (label, published) = (variant.label, if variant.published.is_empty() { "–" } else { variant.published });
        out += &format!("\n| {label} | {} | {} | {} | {published} |", results.len(), spread(&clean), left.join(" | "));
    }
    out + "\n"
}

/// Clean accuracy against what the first attack leaves, a point per network.
fn chart(reproduction: &Reproduction, rows: &[(&Variant, Vec<Accuracies>)]) -> String {
    let point = |(variant, results): &(&Variant, Vec<Accuracies>)| {
        let mean = |of: &dyn Fn(&Accuracies) -> f64| results.iter().map(of).sum::<f64>() / results.len().max(1) as f64;
        let (x, y) = (100.0 * mean(&|r| r.0), 100.0 * mean(&|r| r.1.first().copied().unwrap_or(0.0)));
        Series { name: variant.label.into(), points: vec![(x, y)] }
    };
    let svg = Chart {
        title: "Clean against robust accuracy".into(),
        x: "clean accuracy %".into(),
        y: format!("accuracy % under {}", reproduction.attacks[0].0),
        series: rows.iter().map(point).collect(),
        range: Some((0.0, 100.0)),
    }
    .svg();
    svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"12\" ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_every_reproduction_can_be_typed() {
        for r in REPRODUCTIONS {
            for variant in r.variants {
                let words = format!("danskin train {} --seed 1", variant.train);
                assert!(Cli::try_parse_from(words.split_whitespace()).is_ok(), "{words}");
            }
            for (_, words) in r.attacks {
                let words = format!("danskin attack run {words} --test");
                assert!(Cli::try_parse_from(words.split_whitespace()).is_ok(), "{words}");
            }
            assert!(toml::from_str::<toml::Table>(r.config).is_ok(), "{}", r.name);
        }
    }

    #[test]
    fn spreads_are_means_with_deviations() {
        assert_eq!(spread(&[0.5]), "50.00");
        assert_eq!(spread(&[0.9, 0.92, 0.94]), "92.00 ± 2.00");
    }

    #[test]
    fn a_table_has_a_row_per_network() {
        let r = &REPRODUCTIONS[0];
        let rows: Vec<_> = r.variants.iter().map(|v| (v, vec![(0.99, vec![0.0, 0.0])])).collect();
        let text = table(r, &rows);
        assert!(text.contains("| fast | 1 | 99.00 | 0.00 | 0.00 | 98.5 / 88.8"), "{text}");
    }
}
