//! The command line: arguments, the progress bar, and every printed line. The only room that prints.
//!
//! Exit codes: 0 done, 1 an error (one sentence on stderr), 2 a command line that can't be read, 130 left at once by a
//! second Ctrl-C.

pub mod args;
mod attack;
pub mod attack_args;
mod bench;
pub mod bench_args;
mod bench_table;
mod commands;
mod data;
pub mod data_args;
pub mod device;
mod eval;
mod eval_generator;
mod eval_modes;
mod export;
mod features;
mod images;
mod import;
pub mod interrupt;
pub mod job;
pub mod output;
mod plan_table;
pub mod progress;
mod project;
mod reproduce;
mod sample;
mod sample_job;
pub mod seeds;
mod startup;
mod tune;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Also the way of --help and --version; nothing is left to do where even this can't be printed.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Train(args) => commands::train(&args),
        Command::Eval(args) => eval::eval(&args),
        Command::Attack(args) => attack::attack(&args),
        Command::Reproduce(args) => reproduce::reproduce(&args),
        Command::Sample(args) => sample::sample(&args),
        Command::Project(args) => project::project(&args),
        Command::Config(args) => commands::config(&args),
        Command::Export(args) => export::export(&args),
        Command::Features(args) => features::features(&args),
        Command::Import(args) => import::import(&args),
        Command::Devices => commands::devices(),
        Command::Plan(args) => commands::plan(&args),
        Command::Tune(args) => tune::tune(&args),
        Command::Check(args) => commands::check(&args),
        Command::Data(command) => data::data(&command),
        Command::Bench(command) => bench::bench(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}
