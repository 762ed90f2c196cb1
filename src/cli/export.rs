//! `danskin export`: the network of a run for PyTorch and for whatever reads ONNX.

use super::args::ExportArgs;
use super::output;
use crate::export::TrainedNetwork;
use crate::train::checkpoint::{Checkpoint, NamedTensor, Values};
use crate::{Error, Result, files};
use prost::Message;
use std::path::Path;

/// Writes what is asked for.
///
/// # Errors
/// A run or checkpoint that can't be read; a network that it does not have; a file that is there already; an operation that ONNX has no
/// place for.
pub(super) fn export(args: &ExportArgs) -> Result<()> {
    let wanted = [("--safetensors", &args.safetensors), ("--onnx", &args.onnx)];
    wanted
        .iter()
        .filter_map(|(key, path)| Some((key, path.as_deref()?)))
        .try_for_each(|(key, path)| vacant(key, path))?;
    let network = args.network.as_ref().map(|name| name.to_lowercase());
    let trained = TrainedNetwork::open(&args.run, args.checkpoint.as_deref(), network.as_deref(), args.raw)?;
    trained.warnings.iter().for_each(output::warning);
    // Whatever can be refused is refused before anything is written.
    let model = args.onnx.as_ref().map(|path| Ok((path, trained.model()?))).transpose()?;
    let of = |key: &str| trained.about.get(key).map_or("", String::as_str);
    let what = format!("{} weights of the {} at {} kimg", of("weights"), of("kind"), of("kimg"));
    if let Some(path) = &args.safetensors {
        let weights = trained.weights();
        let count = weights.tensors.len();
        weights.save(path)?;
        output::line(format_args!("{}: {what}, {count} tensors", path.display()));
    }
    if let Some((path, model)) = model {
        files::write(path, "writing the model", &model.encode_to_vec())?;
        output::line(format_args!("{}: {what}; {}", path.display(), model.doc_string));
    }
    Ok(())
}

/// Refuses a file that is there.
///
/// # Errors
/// The file exists.
pub(super) fn vacant(key: &str, path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {
            Err(Error::setting("command line", key, path.display(), "is there already; name a new file, or remove it"))
        }
        Err(_) => Ok(()),
    }
}

/// Writes tensors beside what a command shows; the file is a safetensors file as checkpoints are.
///
/// # Errors
/// As [`Checkpoint::save`].
pub(super) fn save(path: &Path, tensors: Vec<NamedTensor>) -> Result<()> {
    Checkpoint { tensors, ..Checkpoint::default() }.save(path)?;
    output::line(path.display());
    Ok(())
}

/// Images `[n, H, W, C]` as PyTorch orders them, `[n, C, H, W]`.
pub(super) fn planes(name: &str, images: &[f32], [n, h, w, c]: [usize; 4]) -> NamedTensor {
    let pixels = h * w;
    let channel = |image: &[f32], k: usize| image.iter().skip(k).step_by(c).copied().collect::<Vec<f32>>();
    let images = images.chunks_exact(pixels * c).flat_map(|image| (0..c).flat_map(move |k| channel(image, k)));
    NamedTensor { name: name.into(), shape: vec![n, c, h, w], data: Values::F32(images.collect()) }
}
