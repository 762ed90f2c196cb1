//! A laboratory for attacks: a small trained network (`tests/goldens/attacks.py` made it) and attacks run on it stage by stage, node
//! by node, in f64.

use crate::goldens::{Golden, load};
use danskin::attack::{ADVERSARIAL, Attack, FOOLED, Scene, Stage, States};
use danskin::graph::{Dag, Graph, Op};
use danskin::host::{Rng, eval};
use danskin::nn::{Mode, Network, Scope, Sequential, SequentialNetwork};
use danskin::train::checkpoint::{Checkpoint, NamedTensor, Values};
use danskin::train::games::Victim;
use std::collections::HashMap;
use std::sync::Arc;

/// Extents of an image.
pub const SAMPLE: [usize; 3] = [12, 12, 1];
pub const ELEMS: usize = 144;
pub const CLASSES: usize = 10;

/// Its layers, as a configuration has them.
pub const LAYERS: &str = r#"
layers = [
    { type = "conv", out = 8, kernel = 3, padding = 1 },
    { type = "relu" },
    { type = "max_pool", kernel = 2 },
    { type = "conv", out = 16, kernel = 3, padding = 1 },
    { type = "relu" },
    { type = "max_pool", kernel = 2 },
    { type = "flatten" },
    { type = "linear", out = 10 },
]
"#;

/// The network, its weights, and images it gets right.
pub struct Lab {
    network: SequentialNetwork,
    golden: Golden,
    /// Images in [-1, 1], and their classes.
    pub images: Vec<f64>,
    pub labels: Vec<u32>,
    /// Classes that a targeted attack goes for.
    pub target: Option<Vec<u32>>,
    weights: HashMap<String, Vec<f64>>,
}

/// What an attack left: by name, and the examples after each run of a stage.
pub struct Run {
    pub memory: HashMap<String, Vec<f64>>,
    /// What was stored under the name that was asked for, after every run of a stage that stored it.
    pub path: Vec<Vec<f64>>,
}

impl Run {
    pub fn adversarial(&self) -> &[f64] {
        &self.memory[ADVERSARIAL]
    }

    /// Share of the examples that fool the network.
    pub fn success(&self) -> f64 {
        let fooled = &self.memory[FOOLED];
        fooled.iter().sum::<f64>() / fooled.len() as f64
    }
}

impl Lab {
    /// With the first `count` images.
    pub fn new(count: usize) -> Lab {
        let layers: Sequential = toml::from_str(LAYERS).unwrap();
        let network = layers.network(&SAMPLE, "lab").unwrap();
        let golden = load("attacks_model");
        let (shape, bytes) = golden.array("images");
        assert!(count <= shape[0]);
        let images = bytes[..count * ELEMS].iter().map(|b| (2.0 * b - 255.0) / 255.0).collect();
        let labels = golden.array("labels").1[..count].iter().map(|l| *l as u32).collect();
        let graph = Graph::new();
        let scope = Scope::new(&graph, "");
        network.forward(&scope, graph.input("x", [1, 12, 12, 1]), None, Mode::Eval);
        let weights = scope.params().iter().map(|spec| (spec.name.clone(), golden_tensor(&golden, spec))).collect();
        Lab { network, golden, images, labels, target: None, weights }
    }

    /// The network as the trainer's attacks know it.
    pub fn victim(&self) -> Victim {
        Victim { network: Arc::new(self.network.clone()), name: "C".into(), sample: SAMPLE.to_vec() }
    }

    /// Its weights as a checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        let names = self.weights.keys();
        let tensors = names.map(|name| {
            let (shape, data) = self.golden.array(name);
            let data = Values::F32(data.iter().map(|v| *v as f32).collect());
            NamedTensor { name: format!("C.{name}"), shape: shape.clone(), data }
        });
        Checkpoint { tensors: tensors.collect(), meta: Default::default() }
    }

    /// Images as the trainer's attacks take them.
    pub fn images_f32(&self) -> Vec<f32> {
        self.images.iter().map(|v| *v as f32).collect()
    }

    /// Logits of images, row after row.
    pub fn logits(&self, images: &[f64]) -> Vec<f64> {
        let graph = Graph::new();
        let x = graph.input("images", [&[images.len() / ELEMS], SAMPLE.as_slice()].concat());
        let logits = self.network.forward(&Scope::new(&graph, ""), x, None, Mode::Eval);
        let mut feeds = self.weights.clone();
        feeds.insert("images".into(), images.to_vec());
        eval::<f64>(&graph.freeze(&[("y".into(), logits)]), &feeds, Rng::default()).unwrap().remove("y").unwrap()
    }

    /// Largest logit of another class less the label's, of each image: positive where it is misclassified.
    pub fn margins(&self, images: &[f64]) -> Vec<f64> {
        let margin = |(row, label): (&[f64], &u32)| {
            let others = row.iter().enumerate().filter(|(class, _)| *class != *label as usize);
            others.map(|(_, z)| *z).fold(f64::MIN, f64::max) - row[*label as usize]
        };
        self.logits(images).chunks(CLASSES).zip(&self.labels).map(margin).collect()
    }

    /// The class of the largest logit of each image.
    pub fn classes(&self, images: &[f64]) -> Vec<u32> {
        let largest = |row: &[f64]| (0..CLASSES).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u32;
        self.logits(images).chunks(CLASSES).map(largest).collect()
    }

    /// Runs an attack within `eps`, keeping what it stores under `watch` after each run of a stage.
    pub fn run(&self, attack: &Attack, eps: f64, seed: u64, watch: &str) -> Run {
        let dags: Vec<Dag> = attack.stages.iter().map(|stage| self.stage(stage)).collect();
        let mut feeds = self.weights.clone();
        let numbers = |labels: &[u32]| labels.iter().map(|l| f64::from(*l)).collect::<Vec<_>>();
        feeds.insert("images".into(), self.images.clone());
        feeds.insert("labels".into(), numbers(&self.labels));
        feeds.insert("eps".into(), vec![eps]);
        feeds.extend(self.target.iter().map(|target| ("target".to_owned(), numbers(target))));
        let moves = moves_on(attack, &dags.iter().map(draws).collect::<Vec<_>>());
        let (mut round, mut path, mut memory) = (0, vec![], HashMap::new());
        for (stage, times) in attack.schedule() {
            for _ in 0..times {
                let stored = eval::<f64>(&dags[stage], &feeds, Rng { seed, step: 0, round }).unwrap();
                path.extend(stored.get(watch).cloned());
                memory.extend(stored.clone());
                feeds.extend(stored);
                round += u32::from(moves[stage]);
            }
        }
        Run { memory, path }
    }

    /// Whether any stage of an attack draws random numbers.
    pub fn draws(&self, attack: &Attack) -> bool {
        attack.stages.iter().any(|stage| draws(&self.stage(stage)))
    }

    fn stage(&self, stage: &Stage) -> Dag {
        let (graph, n) = (Graph::new(), self.labels.len());
        let scope = Scope::new(&graph, "");
        let images = graph.input("images", [&[n], SAMPLE.as_slice()].concat());
        let model = |x| self.network.forward(&scope, x, None, Mode::Eval);
        let memory = States::new(&graph);
        let target = self.target.as_ref().map(|_| graph.input("target", [n]));
        let scene = Scene::new(images, graph.input("labels", [n]), graph.input("eps", [1]), 1000, &model, &memory);
        stage.run(&scene.towards(target));
        graph.freeze(&memory.stored())
    }
}

/// As a program counts rounds: after each run of what draws and runs several times in a row; in a group that runs several times and holds
/// nothing of that kind, after its last that draws.
fn moves_on(attack: &Attack, draws: &[bool]) -> Vec<bool> {
    let mut moves: Vec<bool> =
        attack.stages.iter().zip(draws).map(|(stage, draws)| *draws && stage.repeat > 1).collect();
    type Group = (fn(&Stage) -> bool, u32);
    let groups: [Group; 2] = [(|stage| stage.looped, attack.times), (|stage| stage.restarted, attack.restarts)];
    for (inside, _) in groups.into_iter().filter(|(_, times)| *times > 1) {
        let of_group = |k: &usize| inside(&attack.stages[*k]);
        if !(0..moves.len()).filter(of_group).any(|k| moves[k]) {
            (0..moves.len()).rev().filter(of_group).find(|k| draws[*k]).into_iter().for_each(|k| moves[k] = true);
        }
    }
    moves
}

fn draws(dag: &Dag) -> bool {
    dag.nodes.iter().any(|node| matches!(node.op, Op::Rand { .. }))
}

fn golden_tensor(golden: &Golden, spec: &danskin::nn::ParamSpec) -> Vec<f64> {
    let (shape, data) = golden.array(&spec.name);
    assert_eq!(*shape, danskin::nn::layout::torch_shape(spec.layout, &spec.shape).to_vec(), "{}", spec.name);
    let data: Vec<f32> = data.iter().map(|v| *v as f32).collect();
    danskin::nn::layout::from_torch(spec.layout, &spec.shape, &data).into_iter().map(f64::from).collect()
}
