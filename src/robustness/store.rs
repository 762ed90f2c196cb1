//! What an evaluation has found, on disk: an interrupted one goes on where it stopped.
//!
//! ```text
//! DIR/attack.json            what was asked for
//! DIR/examples/NAME.safetensors   what each attack found, as soon as it ended
//! ```

use super::examples::Examples;
use super::suite::Trial;
use crate::train::checkpoint::{Checkpoint, NamedTensor, Values};
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What an evaluation was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Folder of the run.
    pub run: PathBuf,
    /// Its checkpoint, where one was named.
    pub checkpoint: Option<String>,
    /// Images, where they are not those that the run learns from.
    pub data: Option<PathBuf>,
    /// Whether images are attacked that the run does not learn from.
    pub test: bool,
    /// How many images.
    pub count: usize,
    /// Names of the attacks, in order.
    pub attacks: Vec<String>,
    /// Radius as it was written: `8/255`.
    pub eps: String,
    /// `inf` or `2`.
    pub norm: String,
    /// Steps or queries.
    pub steps: Option<u32>,
    /// Length of a step as it was written.
    pub alpha: Option<String>,
    /// Times that attacks start.
    pub restarts: Option<u32>,
    /// Pixels that onepixel changes.
    #[serde(default)]
    pub pixels: Option<u32>,
    /// What attacks raise.
    pub loss: Option<String>,
    /// A class, or `least-likely`.
    pub target: Option<String>,
    /// Images per batch.
    pub batch: usize,
    /// Seed of random numbers.
    pub seed: u64,
}

/// The folder of an evaluation.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A new one; the folder may exist if it is empty.
    ///
    /// # Errors
    /// A folder that holds something; a disk that fails.
    pub fn create(root: &Path, plan: &Request) -> Result<Store> {
        let store = Store { root: root.into() };
        std::fs::create_dir_all(store.examples()).map_err(Error::io(root, "creating the folder"))?;
        let entries = std::fs::read_dir(root).map_err(Error::io(root, "reading the folder"))?;
        if entries.count() > 1 || store.plan_file().exists() {
            let hint = "is not empty; name a new folder, or go on with --resume";
            return Err(Error::setting("command line", "--out", root.display(), hint));
        }
        let text = serde_json::to_string_pretty(plan).map_err(|e| Error::Check(e.to_string()))?;
        files::write(&store.plan_file(), "writing what was asked for", text.as_bytes())?;
        Ok(store)
    }

    /// One that was interrupted, and what it was asked for.
    ///
    /// # Errors
    /// A folder that is none.
    pub fn open(root: &Path) -> Result<(Store, Request)> {
        let store = Store { root: root.into() };
        let refuse = |reason: String| Error::checkpoint(root, format!("holds no evaluation: {reason}"));
        let text = std::fs::read_to_string(store.plan_file()).map_err(|e| refuse(format!("attack.json: {e}")))?;
        let plan = serde_json::from_str(&text).map_err(|e| refuse(format!("attack.json: {e}")))?;
        Ok((store, plan))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn plan_file(&self) -> PathBuf {
        self.root.join("attack.json")
    }

    fn examples(&self) -> PathBuf {
        self.root.join("examples")
    }

    fn file(&self, attack: &str) -> PathBuf {
        self.examples().join(format!("{attack}.safetensors"))
    }

    /// Keeps what an attack found.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn write(&self, trial: &Trial, examples: &Examples) -> Result<()> {
        trial_file(trial, examples).save(&self.file(&trial.attack))
    }

    /// What an attack found before, if it ended.
    ///
    /// # Errors
    /// A file that is damaged, or of other images.
    pub fn read(&self, attack: &str, examples: &Examples) -> Result<Option<Trial>> {
        let path = self.file(attack);
        if !path.exists() {
            return Ok(None);
        }
        let file = Checkpoint::load(&path)?;
        let refuse = || Error::checkpoint(&path, "is not of these images: name another folder");
        let floats = |name: &str| match file.tensor(name).map(|t| &t.data) {
            Some(Values::F32(values)) => Ok(values.clone()),
            _ => Err(refuse()),
        };
        let words = |name: &str| match file.tensor(name).map(|t| &t.data) {
            Some(Values::U32(values)) => Ok(values.clone()),
            _ => Err(refuse()),
        };
        let number = |key: &str| file.meta.get(key).and_then(|text| text.parse::<f64>().ok()).ok_or_else(refuse);
        if words("labels")? != examples.labels {
            return Err(refuse());
        }
        Ok(Some(Trial {
            attack: attack.into(),
            adversarial: floats("adversarial")?,
            predicted: words("predicted")?,
            robust: words("robust")?.iter().map(|is| *is == 1).collect(),
            attacked: number("attacked")? as usize,
            sizes: floats("sizes")?,
            seconds: number("seconds")?,
            passes: (number("forward")? as u64, number("backward")? as u64),
            submissions: number("submissions")? as u64,
            complete: number("complete")? == 1.0,
        }))
    }
}

/// What an attack found, as tensors: `adversarial` `[n,h,w,c]` in [-1, 1], `labels`, `predicted` and `robust` `[n]`, `sizes` `[n]`.
pub fn trial_file(trial: &Trial, examples: &Examples) -> Checkpoint {
    let n = examples.len();
    let tensor = |name: &str, shape: Vec<usize>, data: Values| NamedTensor { name: name.into(), shape, data };
    let shape = [&[n], examples.sample.as_slice()].concat();
    let tensors = vec![
        tensor("adversarial", shape, Values::F32(trial.adversarial.clone())),
        tensor("labels", vec![n], Values::U32(examples.labels.clone())),
        tensor("predicted", vec![n], Values::U32(trial.predicted.clone())),
        tensor("robust", vec![n], Values::U32(trial.robust.iter().map(|is| u32::from(*is)).collect())),
        tensor("sizes", vec![n], Values::F32(trial.sizes.clone())),
    ];
    let meta = [
        ("attack", trial.attack.clone()),
        ("attacked", trial.attacked.to_string()),
        ("seconds", trial.seconds.to_string()),
        ("forward", trial.passes.0.to_string()),
        ("backward", trial.passes.1.to_string()),
        ("submissions", trial.submissions.to_string()),
        ("complete", u32::from(trial.complete).to_string()),
    ];
    Checkpoint { tensors, meta: meta.map(|(key, value)| (key.to_owned(), value)).into() }
}
