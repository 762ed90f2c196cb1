//! What a feature network is, and the weights that one comes with.

use super::resize::resized;
use crate::graph::Tensor;
use crate::nn::Scope;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;

/// A trained network that turns images into features, by which sets of images are compared.
pub trait FeatureNetwork: Send + Sync {
    /// What tables and files call it: `faces`.
    fn name(&self) -> &str;

    /// What the Fréchet distance between its features is called. It is `FID` only for Inception-v3 with the weights of pytorch-fid;
    /// numbers of any other network can't be compared with published ones.
    fn distance(&self) -> &'static str {
        "FD"
    }

    /// Side of the square images it reads.
    fn size(&self) -> usize;

    /// Features of an image.
    fn dims(&self) -> usize;

    /// Images of a data set, `[N,H,H,C]` in [-1, 1] with one or three channels, as the network reads them: `[N,size,size,3]`. Unless a
    /// network comes with a rule of its own they are [`resized`], and grey ones get three equal channels.
    fn prepare<'g>(&self, images: Tensor<'g>) -> Tensor<'g> {
        let images = resized(images, self.size());
        let [n, h, w] = [0, 1, 2].map(|axis| images.dim(axis));
        images.expand([n, h, w, 3])
    }

    /// Prepared images `[N,size,size,3]` to features `[N,dims]`. Its parameters and running statistics are named in `scope`, which has no
    /// root: their names are those of [`FeatureNetwork::weights`].
    fn features<'g>(&self, scope: &Scope<'g>, images: Tensor<'g>) -> Tensor<'g>;

    /// Its weights.
    fn weights(&self) -> &Weights;
}

/// Tensors by name, in PyTorch's layouts.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Weights {
    /// The F32 tensors of a safetensors file.
    ///
    /// # Errors
    /// What is wrong with the bytes, as the end of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Weights, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| format!("is damaged or no safetensors file ({e})"))?;
        let tensors = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
        let tensors = tensors.map(|(name, view)| {
            (name, (view.shape().to_vec(), bytemuck::pod_collect_to_vec::<u8, f32>(view.data())))
        });
        Ok(Weights { tensors: tensors.collect() })
    }

    /// Tensors that were read elsewhere: name, shape, numbers.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Weights {
        Weights { tensors: tensors.into_iter().map(|(name, shape, values)| (name, (shape, values))).collect() }
    }

    /// The numbers of a tensor of this name and shape.
    ///
    /// # Errors
    /// What is missing, as a sentence.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<&[f32], String> {
        match self.tensors.get(name) {
            None => Err(format!("holds no tensor {name}")),
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(format!("{name} has shape {found:?}, the network needs {shape:?}")),
        }
    }
}
