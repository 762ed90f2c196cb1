//! `danskin import`: a run that has not started yet, made of the tensors of another program.

use super::args::ImportArgs;
use super::device::DeviceChoice;
use super::{commands, output, startup};
use crate::Result;
use crate::config::Config;
use crate::export::NETWORK;
use crate::train::checkpoint::{Checkpoint, NamedTensor, VERSION_KEY, read_foreign};
use crate::train::game::Player;
use crate::train::run_folder::RunFolder;
use crate::train::{Feed, Game, Settings, Trainer};

/// Makes the run folder. It can be drawn from, gone on with, or named by `--init`.
///
/// # Errors
/// A configuration that makes no model; a file that can't be read, or whose tensors are not those of the model; a folder
/// that holds something.
pub fn import(args: &ImportArgs) -> Result<()> {
    if args.device == DeviceChoice::List {
        return commands::devices();
    }
    let mut config = Config::layered(&args.settings.overrides())?;
    config.validate_without_data()?.iter().for_each(output::warning);
    if !config.data.source.needs_path() || config.data.path.is_some() {
        Feed::complete(&mut config)?;
    }
    let found = read_foreign(&args.file)?;
    if !found.left_out.is_empty() {
        let (file, names) = (args.file.display(), found.left_out.join(", "));
        output::warning(format_args!("{file}: left out, being no floats: {names}"));
    }
    let (count, mut state) = (found.tensors.len(), Checkpoint { tensors: found.tensors, ..Checkpoint::default() });
    let settings = Settings::new(&config)?;
    // What `danskin export` wrote says which network it is.
    let ours = found.meta.get(VERSION_KEY).and_then(|_| found.meta.get(NETWORK));
    let exported = ours.map(String::as_str).filter(|name| settings.game.networks.iter().any(|n| n.name == *name));
    under_network(&mut state, &settings.game, exported);
    let device = startup::open(args.device, &args.tuning)?;
    // No step is made.
    let feed = Feed::none(&settings.game);
    let mut trainer = Trainer::new(settings, feed, &device)?;
    if exported.is_some() {
        let fresh = trainer.checkpoint()?;
        for title in complete(&mut state, &trainer.settings().game, fresh) {
            let file = args.file.display();
            output::warning(format_args!("{file}: holds no {title}; the run gets an untrained one"));
        }
    }
    trainer.init_from(&state, &args.file)?;
    let first = trainer.first_checkpoint()?;
    let run = RunFolder::create_at(&args.out, &config)?;
    if let Err(error) = first.save(&run.checkpoint(0)) {
        // Without its checkpoint the folder would be a run that starts from other weights.
        let _ = std::fs::remove_file(run.config());
        return Err(error);
    }
    let out = args.out.display();
    output::line(format_args!("{out}: {count} tensors of {}", args.file.display()));
    let game = &trainer.settings().game;
    let draws = game.inference.as_ref().is_some_and(|i| i.inputs.iter().any(|(name, _)| name == "latents"));
    let used = if draws { "draw from it: danskin sample" } else { "count what it gets right: danskin eval" };
    // The run learns from wherever its data lies, which it may be told later.
    let data = if config.data.source.needs_path() && config.data.path.is_none() { " --data PATH" } else { "" };
    let trained =
        if game.phases.is_empty() { String::new() } else { format!("; train it: danskin train --resume {out}{data}") };
    output::line(format_args!("{used} {out}{trained}"));
    Ok(())
}

/// A file of one network alone need not say which: `main.0.weight` is `G.main.0.weight` where the game has a generator alone, or the
/// file was `exported` as one.
fn under_network(state: &mut Checkpoint, game: &Game, exported: Option<&str>) {
    let meant = |n: &&Player| !n.name.is_empty() && exported.is_none_or(|name| name == n.name);
    if let [only] = game.networks.iter().filter(meant).collect::<Vec<_>>()[..] {
        let prefix = format!("{}.", only.name);
        let named = |name: &str| name.trim_start_matches("ema.").starts_with(&prefix);
        if state.tensors.iter().all(|t| !named(&t.name)) {
            state.tensors.iter_mut().for_each(|t| t.name.insert_str(0, &prefix));
        }
    }
    average_as_weights(state);
}

/// Takes the networks that are not in a file as they are at the start, and returns their titles.
fn complete(state: &mut Checkpoint, game: &Game, fresh: Checkpoint) -> Vec<String> {
    let of = |name: &str, player: &Player| name.trim_start_matches("ema.").starts_with(&format!("{}.", player.name));
    let missing: Vec<&Player> =
        game.networks.iter().filter(|player| !state.tensors.iter().any(|t| of(&t.name, player))).collect();
    let taken = fresh.tensors.into_iter().filter(|t| missing.iter().any(|player| of(&t.name, player)));
    state.tensors.extend(taken);
    missing.iter().map(|player| player.title.clone()).collect()
}

/// Where a file has no averaged weights, the weights are their own average.
fn average_as_weights(state: &mut Checkpoint) {
    let weights = state.tensors.iter().filter(|t| !t.name.starts_with("ema."));
    let missing: Vec<_> = weights
        .map(|t| (format!("ema.{}", t.name), t))
        .filter(|(name, _)| state.tensor(name).is_none())
        .map(|(name, t)| NamedTensor { name, ..t.clone() })
        .collect();
    state.tensors.extend(missing);
}
