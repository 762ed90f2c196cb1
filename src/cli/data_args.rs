//! The grammar of `danskin data`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `danskin data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Tell what a data set holds: sizes, modes, classes, statistics, duplicates, and what would be left out and why.
    Info(DataInfoArgs),
    /// Decode and resize every image once into one file that training starts from at once.
    Pack(DataPackArgs),
}

/// A data set and the form of its images.
#[derive(Debug, Args)]
pub struct DataForm {
    /// Folder, archive, IDX, CIFAR, NumPy or packed file.
    pub path: PathBuf,
    /// Side of the square images [default: a packed set's own, else 64].
    #[arg(long, value_name = "N")]
    pub size: Option<usize>,
    /// Grey images.
    #[arg(long)]
    pub grey: bool,
    /// The test part of a set that comes divided.
    #[arg(long)]
    pub test: bool,
}

/// `danskin data info`
#[derive(Debug, Args)]
pub struct DataInfoArgs {
    /// The set.
    #[command(flatten)]
    pub form: DataForm,
    /// Write a contact sheet of 64 images, evenly spread over the set.
    #[arg(long, value_name = "FILE.png")]
    pub sheet: Option<PathBuf>,
    /// JSON and not text.
    #[arg(long)]
    pub json: bool,
}

/// `danskin data pack`
#[derive(Debug, Args)]
pub struct DataPackArgs {
    /// The set.
    #[command(flatten)]
    pub form: DataForm,
    /// The file to write, such as photos64.danskin; it must not exist.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
