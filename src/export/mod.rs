//! What was trained leaves the house: the weights of a run's network under PyTorch's names, and the network itself as an ONNX model.
//!
//! Both start from a [`TrainedNetwork`]: a network of a run's configuration with the tensors that a checkpoint holds for it.

pub mod onnx;

use crate::config::{Config, Task};
use crate::graph::Graph;
use crate::nn::layout::{from_torch, torch_shape};
use crate::nn::{Mode, Network, ParamSpec, Scope, StateSpec};
use crate::train::checkpoint::{self, Checkpoint, NamedTensor, Values};
use crate::train::games;
use crate::train::run_folder::RunFolder;
use crate::{Error, Result};
use onnx::Port;
use onnx::proto::ModelProto;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Metadata: which network of the game it is, such as `G`. `danskin import` reads it.
pub const NETWORK: &str = "network";

/// A network of a run with its weights.
pub struct TrainedNetwork {
    /// Its name in the game: `G`, `D` or `C`.
    pub name: String,
    /// Itself.
    pub network: Arc<dyn Network>,
    /// Its parameters, running statistics and what else it reads: PyTorch's names, without that of the network, and layouts.
    pub tensors: Vec<NamedTensor>,
    /// Where it comes from: run, settings, thousands of images, version of the program.
    pub about: BTreeMap<String, String>,
    /// Sentences about checkpoints that were passed over.
    pub warnings: Vec<String>,
    params: Vec<ParamSpec>,
    states: Vec<StateSpec>,
}

impl TrainedNetwork {
    /// The network of a run that `asked` names (`g`, `d`, `c`; the generator or the classifier unless given), by a checkpoint as
    /// `danskin sample` finds it, else the best or the newest; with averaged weights where there are any, or with the `last` ones.
    ///
    /// # Errors
    /// A folder that is no run; a checkpoint that is not there, or of another model; a network that the run does not have.
    pub fn open(run: &Path, checkpoint: Option<&str>, asked: Option<&str>, last: bool) -> Result<TrainedNetwork> {
        let folder = RunFolder::open(run)?;
        let config = Config::read(&folder.config())?;
        let mut networks = games::networks_of(&config)?;
        let names: Vec<String> = networks.iter().map(|(name, _)| name.to_lowercase()).collect();
        let position = asked.map_or(Some(0), |asked| names.iter().position(|name| name == asked));
        let Some(position) = position else {
            let hint = format!("this run has {}", names.join(" and "));
            return Err(Error::setting("command line", "--network", asked.unwrap_or_default(), hint));
        };
        let (name, network) = networks.swap_remove(position);
        let found = match checkpoint {
            Some(asked) => checkpoint::find(&folder.checkpoints(), asked)?,
            None => checkpoint::best_or_latest(&folder.checkpoints())?,
        };
        let (params, states) = read_by(&*network, &name)?;
        let shapes = params
            .iter()
            .map(|spec| (&spec.name, torch_shape(spec.layout, &spec.shape)))
            .chain(states.iter().map(|spec| (&spec.name, spec.shape.clone())));
        let averaged = |name: &str| found.checkpoint.tensor(&format!("ema.{name}")).filter(|_| !last);
        let mut tensors = vec![];
        for (full, shape) in shapes {
            let refuse = |reason: String| Error::checkpoint(&found.path, reason);
            let Some(tensor) = averaged(full).or_else(|| found.checkpoint.tensor(full)) else {
                return Err(refuse(format!("holds no tensor {full}: is it a checkpoint of this model?")));
            };
            if tensor.shape != *shape {
                let found = &tensor.shape;
                return Err(refuse(format!("{full} has shape {found:?}, this model needs {shape}")));
            }
            let name = full[name.len() + 1..].to_owned();
            tensors.push(NamedTensor { name, ..tensor.clone() });
        }
        let has_average = params.iter().any(|spec| averaged(&spec.name).is_some());
        let about = about(run, &config, &name, &*network, found.images, has_average);
        Ok(TrainedNetwork { name, network, tensors, about, warnings: found.warnings, params, states })
    }

    /// The weights as a safetensors file that PyTorch loads with `load_state_dict`.
    pub fn weights(&self) -> Checkpoint {
        Checkpoint { tensors: self.tensors.clone(), meta: self.about.clone() }
    }

    /// What goes into the network: `latents` or `images` (`points` of the plane), and `classes` where it is told of them.
    pub fn inputs(&self) -> Vec<Port> {
        let name = if self.name == "G" { "latents" } else { samples(&self.network.input()) };
        let mut inputs = vec![Port::floats(name, &self.network.input())];
        inputs.extend((self.network.classes() > 0).then(|| Port::classes("classes")));
        inputs
    }

    /// What comes out of it: `images`, or `logits`.
    pub fn output(&self) -> Port {
        let output = self.network.output();
        Port::floats(if self.name == "G" { samples(&output) } else { "logits" }, &output)
    }

    /// The network as an ONNX model.
    ///
    /// # Errors
    /// As [`onnx::model`].
    pub fn model(&self) -> Result<ModelProto> {
        onnx::model(
            &self.name,
            &self.inputs(),
            &self.output(),
            &|graph, inputs| {
                let scope = Scope::new(graph, &self.name);
                Ok(self.network.forward(&scope, inputs[0], inputs.get(1).copied(), Mode::Eval))
            },
            &self.feeds(),
            &self.about,
        )
    }

    /// Parameters and states by their full names, in this engine's layouts.
    fn feeds(&self) -> HashMap<String, Vec<f64>> {
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let floats = |tensor: &NamedTensor| match &tensor.data {
            Values::F32(values) => values.clone(),
            Values::U32(values) => values.iter().map(|v| *v as f32).collect(),
        };
        let params =
            self.params.iter().zip(&self.tensors).map(|(spec, tensor)| {
                (spec.name.clone(), wide(&from_torch(spec.layout, &spec.shape, &floats(tensor))))
            });
        let states = self.states.iter().zip(&self.tensors[self.params.len()..]);
        params.chain(states.map(|(spec, tensor)| (spec.name.clone(), wide(&floats(tensor))))).collect()
    }
}

/// What samples of these extents are called.
fn samples(sample: &[usize]) -> &'static str {
    if sample.len() == 3 { "images" } else { "points" }
}

/// Parameters and states that a network reads when it is used.
fn read_by(network: &dyn Network, name: &str) -> Result<(Vec<ParamSpec>, Vec<StateSpec>)> {
    crate::graph::checked(|| {
        let graph = Graph::new();
        let scope = Scope::new(&graph, name);
        let x = graph.input("x", [&[2], network.input().as_slice()].concat());
        let labels = (network.classes() > 0).then(|| graph.input("classes", [2]));
        network.forward(&scope, x, labels, Mode::Eval);
        Ok((scope.params(), scope.states()))
    })
}

fn about(
    run: &Path,
    config: &Config,
    name: &str,
    network: &dyn Network,
    images: u64,
    averaged: bool,
) -> BTreeMap<String, String> {
    let task = match (config.train.task, name) {
        (Task::Classifier, _) => "classifier",
        (Task::Gan, "G") => "generator",
        _ => "discriminator",
    };
    let run = run.canonicalize().unwrap_or_else(|_| run.into());
    let run = run.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let entries = [
        (NETWORK, name.to_owned()),
        ("kind", format!("{} {task}", config.model.kind.name())),
        ("run", run),
        ("weights", if averaged { "averaged" } else { "last" }.to_owned()),
        ("kimg", format!("{}.{:03}", images / 1000, images % 1000)),
        ("input", format!("{:?}", network.input())),
        ("output", format!("{:?}", network.output())),
        ("classes", network.classes().to_string()),
        ("program", concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("config", config.to_toml()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
