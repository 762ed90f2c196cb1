//! Features of images on a device: one plan, run batch by batch.

use super::Features;
use super::feature_network::FeatureNetwork;
use super::resize::{leaf, resize_matrix};
use crate::device::Device;
use crate::graph::{self, Dag, Graph, Op};
use crate::nn::{ParamSpec, Scope, StateSpec, layout};
use crate::plan::{Builder, Class, Element, Executor, Places, Program, Region};
use crate::{Error, Result};
use std::sync::Arc;

/// Names of what goes in and of what comes out.
const IMAGES: &str = "images";
const FEATURES: &str = "features";

/// A feature network on a device, for images of one size.
pub struct Extractor {
    network: Arc<dyn FeatureNetwork>,
    image: [usize; 3],
    device: Box<dyn Executor>,
    images: Region,
    features: Region,
}

/// The graph of features, and what it is fed beside images.
pub struct FeatureGraph {
    /// Inputs `images` and, where images are resized, matrices; root `features`.
    pub dag: Dag,
    /// Its parameters and running statistics by name, in the layout of the graph, and the matrices of [`resize_matrix`].
    pub feeds: Vec<(String, Vec<f32>)>,
}

impl FeatureGraph {
    /// The graph for `rows` images of the extents `image`.
    ///
    /// # Errors
    /// Weights that are not those of the network; images that it can't read.
    pub fn new(network: &dyn FeatureNetwork, image: [usize; 3], rows: usize) -> Result<FeatureGraph> {
        let (dag, params, states) = graph::checked(|| {
            let graph = Graph::new();
            let scope = Scope::new(&graph, "");
            let images = graph.input(IMAGES, [rows, image[0], image[1], image[2]]);
            let features = network.features(&scope, network.prepare(images));
            Ok((graph.freeze(&[(FEATURES.to_owned(), features)]), scope.params(), scope.states()))
        })?;
        let mut feeds = weights(network, &params, &states)?;
        for node in &dag.nodes {
            let Op::Input(name) = &node.op else { continue };
            let [to, from] = node.shape[..] else { continue };
            if **name == *leaf(from, to) {
                feeds.push((name.to_string(), resize_matrix(from, to).into_iter().map(|v| v as f32).collect()));
            }
        }
        Ok(FeatureGraph { dag, feeds })
    }
}

fn weights(
    network: &dyn FeatureNetwork,
    params: &[ParamSpec],
    states: &[StateSpec],
) -> Result<Vec<(String, Vec<f32>)>> {
    let refuse = |reason: String| Error::checkpoint(format!("feature network {}", network.name()), reason);
    let mut feeds = vec![];
    for param in params {
        let shape = layout::torch_shape(param.layout, &param.shape);
        let values = network.weights().tensor(&param.name, &shape).map_err(refuse)?;
        feeds.push((param.name.clone(), layout::from_torch(param.layout, &param.shape, values)));
    }
    for state in states {
        let values = network.weights().tensor(&state.name, &state.shape).map_err(refuse)?;
        feeds.push((state.name.clone(), values.to_vec()));
    }
    Ok(feeds)
}

impl Extractor {
    /// Plans the network for images of the extents [H, H, C].
    ///
    /// # Errors
    /// As [`FeatureGraph::new`]; a device that fails.
    pub fn new(network: Arc<dyn FeatureNetwork>, image: [usize; 3], device: &Device) -> Result<Extractor> {
        let graph = FeatureGraph::new(network.as_ref(), image, network.rows())?;
        let (dims, rows) = (network.dims(), network.rows());
        let plan = |device: &Device| -> Result<(Program, Vec<Region>)> {
            let mut b = Builder::new(device.options(true));
            let mut regions = vec![
                b.buffer(IMAGES, rows * image.iter().product::<usize>(), Element::F32, Class::Input),
                b.buffer(FEATURES, rows * dims, Element::F32, Class::Output),
            ];
            let mut leaves = Places::from([(IMAGES.to_owned(), regions[0])]);
            for (name, values) in &graph.feeds {
                let region = b.buffer(name, values.len(), Element::F32, Class::Param);
                leaves.insert(name.clone(), region);
                regions.push(region);
            }
            b.plan(FEATURES, &graph.dag, &leaves, &Places::from([(FEATURES.to_owned(), regions[1])]))?;
            Ok((b.finish(), regions))
        };
        let (device, (program, regions)) = device.tuned(|planned: &(Program, Vec<Region>)| &planned.0, plan)?;
        let mut device = device.load(program)?;
        for ((_, values), region) in graph.feeds.iter().zip(&regions[2..]) {
            device.write(*region, values)?;
        }
        Ok(Extractor { network, image, device, images: regions[0], features: regions[1] })
    }

    /// The network.
    pub fn network(&self) -> &dyn FeatureNetwork {
        self.network.as_ref()
    }

    /// Adds the features of images, NHWC in [-1, 1], to `found`: any number of them.
    ///
    /// # Errors
    /// Images that are cut short; a device that fails.
    pub fn extend(&mut self, found: &mut Features, images: &[f32]) -> Result<()> {
        let (elems, dims, rows) = (self.image.iter().product::<usize>(), self.network.dims(), self.network.rows());
        if !images.len().is_multiple_of(elems) {
            let reason = format!("{} numbers are no whole number of images of {:?}", images.len(), self.image);
            return Err(Error::Graph(reason));
        }
        found.dims = dims;
        for part in images.chunks(rows * elems) {
            let mut padded = part.to_vec();
            padded.resize(rows * elems, 0.0);
            self.device.write(self.images, &padded)?;
            self.device.run(&[(0, 1)])?;
            let features = self.device.read(self.features)?;
            found.values.extend_from_slice(&features[..part.len() / elems * dims]);
        }
        Ok(())
    }

    /// The features of images, NHWC in [-1, 1].
    ///
    /// # Errors
    /// As [`Extractor::extend`].
    pub fn features(&mut self, images: &[f32]) -> Result<Features> {
        let mut found = Features::default();
        self.extend(&mut found, images)?;
        Ok(found)
    }
}
