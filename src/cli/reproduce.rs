//! `danskin reproduce`: published results beside our own, by commands that could be typed. Whatever is done already is not done again.

use super::args::{Cli, Command, ReproduceArgs};
use super::{attack, commands, eval, output};
use crate::page::{Chart, Series};
use crate::robustness::{MeasuredBy, Reproduction, Variant, reproductions};
use crate::{Error, Result, files};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Folder of the classifier that counts modes.
const CLASSIFIER: &str = "classifier";

/// Trains and attacks every network of a reproduction for every seed, and prints the table.
///
/// # Errors
/// A name that is none; whatever a command of it refuses.
pub fn reproduce(args: &ReproduceArgs) -> Result<()> {
    let Some(name) = &args.name else {
        for r in reproductions() {
            output::line(format_args!("{:16} {}; {}", r.name, r.about, r.budget));
        }
        return Ok(());
    };
    let Some(reproduction) = reproductions().find(|r| r.name == name) else {
        let names: Vec<&str> = reproductions().map(|r| r.name).collect();
        return Err(Error::setting("command line", "reproduce", name, format!("must be one of {}", names.join(", "))));
    };
    let data = match (&args.data, reproduction.data) {
        (Some(path), "") => {
            let hint = format!("{name} is on data of the program's own: leave it out");
            return Err(Error::setting("command line", "--data", path.display(), hint));
        }
        (None, wanted) if !wanted.is_empty() => {
            let hint = format!("name {wanted} with --data PATH");
            return Err(Error::setting("command line", "--data", "is not set", hint));
        }
        (data, _) => data.as_deref(),
    };
    let root = args.out.clone().unwrap_or_else(|| Path::new("runs/reproduce").join(name));
    std::fs::create_dir_all(&root).map_err(Error::io(&root, "creating the folder"))?;
    let config = root.join("config.toml");
    files::write(&config, "writing the configuration", reproduction.config.as_bytes())?;
    if let MeasuredBy::Labelled { classifier, .. } = reproduction.measured
        && !train(&format!("{classifier} --seed 0"), &args.device.to_string(), &root.join(CLASSIFIER), data, None)?
    {
        return Ok(());
    }
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

/// The numbers of one network of one seed, a column each; `None` where it was stopped.
fn one(
    args: &ReproduceArgs,
    reproduction: &Reproduction,
    variant: &Variant,
    config: &Path,
    data: Option<&Path>,
    root: &Path,
    seed: u32,
) -> Result<Option<Vec<f64>>> {
    let letters: String = variant.label.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let run = root.join(format!("{letters}-seed{seed}"));
    let tail = format!("--device {}", args.device);
    let with_data = |mut paths: Vec<(&'static str, PathBuf)>| {
        paths.extend(data.map(|data| ("--data", data.to_owned())));
        paths
    };
    let words = format!("{} --seed {seed}", variant.train);
    if !train(&words, &args.device.to_string(), &run, data, Some(config))? {
        return Ok(None);
    }
    let attacks = match reproduction.measured {
        MeasuredBy::Attacks(attacks) => attacks,
        MeasuredBy::Samples(eval, columns) | MeasuredBy::Labelled { eval, columns, .. } => {
            let file = run.join("eval.json");
            if !file.exists() {
                let mut paths = with_data(vec![("--json", file.clone())]);
                if let MeasuredBy::Labelled { .. } = reproduction.measured {
                    paths.push(("--labels", root.join(CLASSIFIER)));
                }
                call("eval", &format!("{eval} {tail}"), &paths, Some(&run))?;
            }
            let json = read_json(&file)?;
            let number = |key| json[key].as_f64().ok_or_else(|| Error::checkpoint(&file, format!("holds no {key}")));
            return columns.iter().map(|c| Ok(c.factor * number(c.key)?)).collect::<Result<Vec<f64>>>().map(Some);
        }
    };
    let mut found = vec![];
    for (number, (_, words)) in attacks.iter().enumerate() {
        let folder = run.join("attacks").join(format!("reproduce-{number}"));
        let report = folder.join("report.json");
        if folder.exists() && !report.exists() {
            call("attack", &format!("--no-curves {tail}"), &[("--resume", folder.clone())], None)?;
        } else if !report.exists() {
            let words = format!("{words} --test --no-curves {tail}");
            call("attack", &words, &with_data(vec![("--out", folder.clone())]), Some(&run))?;
        }
        let json = read_json(&report)?;
        if json["attacks"].as_array().is_some_and(|all| all.iter().any(|one| one["complete"] != true)) {
            let _ = std::fs::remove_file(&report);
            return Ok(None);
        }
        if found.is_empty() {
            found.push(100.0 * json["clean_accuracy"].as_f64().unwrap_or(0.0));
        }
        found.push(100.0 * json["robust_accuracy"].as_f64().unwrap_or(0.0));
    }
    Ok(Some(found))
}

/// Trains a network, or goes on where that was stopped; whether it is trained to its end.
fn train(words: &str, device: &str, run: &Path, data: Option<&Path>, config: Option<&Path>) -> Result<bool> {
    let trained = || Ok::<bool, Error>(newest_kimg(run)?.is_some_and(|(at, end)| at >= end));
    let data = data.map(|data| ("--data", data.to_owned()));
    if !run.exists() {
        let mut paths = vec![("--out", run.to_owned())];
        paths.extend(config.map(|config| ("--config", config.to_owned())));
        paths.extend(data);
        call("train", &format!("{words} --device {device}"), &paths, None)?;
    } else if !trained()? {
        let paths: Vec<_> = [("--resume", run.to_owned())].into_iter().chain(data).collect();
        call("train", &format!("--device {device}"), &paths, None)?;
    }
    trained()
}

/// What a command has written.
fn read_json(file: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(file).map_err(Error::io(file, "reading what was measured"))?;
    serde_json::from_str(&text).map_err(|e| Error::checkpoint(file, format!("is damaged: {e}")))
}

/// Thousands of images that a run has seen at its newest checkpoint, and at its end.
fn newest_kimg(run: &Path) -> Result<Option<(f64, f64)>> {
    let folder = crate::train::run_folder::RunFolder::find(run)?;
    let end = crate::config::Config::read(&folder.config())?.train.kimg;
    let newest = crate::train::checkpoint::newest(&folder.checkpoints())?;
    Ok(newest.map(|(images, _)| (images as f64 / 1000.0, end)))
}

/// Says and does a command of this program; `paths` may hold spaces.
fn call(command: &str, words: &str, paths: &[(&str, PathBuf)], first: Option<&Path>) -> Result<()> {
    let mut all: Vec<std::ffi::OsString> = vec!["danskin".into(), command.into()];
    all.extend(first.map(|path| path.as_os_str().to_owned()));
    all.extend(words.split_whitespace().map(Into::into));
    paths.iter().for_each(|(key, path)| all.extend([(*key).into(), path.as_os_str().to_owned()]));
    let said: Vec<_> = all.iter().map(|word| word.to_string_lossy()).collect();
    output::line(format_args!("$ {}", said.join(" ")));
    match Cli::try_parse_from(&all).map(|cli| cli.command) {
        Ok(Command::Train(args)) => commands::train(&args),
        Ok(Command::Attack(args)) => attack::attack(&args),
        Ok(Command::Eval(args)) => eval::eval(&args),
        Ok(_) => Err(Error::Check(format!("{command} is no part of a reproduction"))),
        Err(usage) => Err(Error::Check(usage.to_string())),
    }
}

/// Mean and standard deviation.
fn spread(values: &[f64]) -> String {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    match values.len() {
        0 | 1 => format!("{mean:.2}"),
        _ => format!("{mean:.2} ± {:.2}", variance.sqrt()),
    }
}

/// What the columns of numbers are called.
fn heads(reproduction: &Reproduction) -> Vec<String> {
    match reproduction.measured {
        MeasuredBy::Samples(_, columns) | MeasuredBy::Labelled { columns, .. } => {
            columns.iter().map(|column| column.label.to_owned()).collect()
        }
        MeasuredBy::Attacks(attacks) => {
            let of_attacks = attacks.iter().map(|(label, _)| format!("{label} %"));
            ["clean %".to_owned()].into_iter().chain(of_attacks).collect()
        }
    }
}

/// The table as Markdown: a row per network, mean ± standard deviation over seeds, beside what was published.
fn table(reproduction: &Reproduction, rows: &[(&Variant, Vec<Vec<f64>>)]) -> String {
    let heads = heads(reproduction);
    let mut out =
        format!("{}\n\n| network | seeds | {} | published |\n|---|---|---|", reproduction.about, heads.join(" | "));
    out += &"---|".repeat(heads.len());
    for (variant, results) in rows {
        let of = |i: usize| spread(&results.iter().map(|numbers| numbers[i]).collect::<Vec<f64>>());
        let numbers: Vec<String> = (0..heads.len()).map(of).collect();
        let (label, published) = (variant.label, if variant.published.is_empty() { "–" } else { variant.published });
        out += &format!("\n| {label} | {} | {} | {published} |", results.len(), numbers.join(" | "));
    }
    out + "\n"
}

/// The first number against the second, a point per network.
fn chart(reproduction: &Reproduction, rows: &[(&Variant, Vec<Vec<f64>>)]) -> String {
    let point = |(variant, results): &(&Variant, Vec<Vec<f64>>)| {
        let mean = |i: usize| results.iter().map(|numbers| numbers[i]).sum::<f64>() / results.len().max(1) as f64;
        Series { name: variant.label.into(), points: vec![(mean(0), mean(1))] }
    };
    let heads = heads(reproduction);
    let svg = Chart {
        title: "Clean against robust accuracy".into(),
        x: "clean accuracy %".into(),
        y: format!("accuracy under {}", heads[1]),
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
        for r in reproductions() {
            for variant in r.variants {
                let words = format!("danskin train {} --seed 1", variant.train);
                assert!(Cli::try_parse_from(words.split_whitespace()).is_ok(), "{words}");
            }
            let measured = match r.measured {
                MeasuredBy::Attacks(attacks) => {
                    attacks.iter().map(|(_, words)| format!("danskin attack run {words} --test")).collect()
                }
                MeasuredBy::Samples(words, _) => vec![format!("danskin eval run {words} --json file.json")],
                MeasuredBy::Labelled { classifier, eval, .. } => vec![
                    format!("danskin train {classifier} --seed 0"),
                    format!("danskin eval run {eval} --labels classifier"),
                ],
            };
            for words in measured {
                assert!(Cli::try_parse_from(words.split_whitespace()).is_ok(), "{words}");
            }
            assert!(toml::from_str::<toml::Table>(r.config).is_ok(), "{}", r.name);
        }
    }

    #[test]
    fn spreads_are_means_with_deviations() {
        assert_eq!(spread(&[50.0]), "50.00");
        assert_eq!(spread(&[90.0, 92.0, 94.0]), "92.00 ± 2.00");
    }

    #[test]
    fn a_table_has_a_row_per_network() {
        let r = reproductions().next().unwrap();
        let rows: Vec<_> = r.variants.iter().map(|v| (v, vec![vec![99.0, 0.0, 0.0]])).collect();
        let text = table(r, &rows);
        assert!(text.contains("| fast | 1 | 99.00 | 0.00 | 0.00 | 98.5 / 88.8"), "{text}");
    }
}
