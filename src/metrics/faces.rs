//! The feature network that comes with the program, trained on its built-in faces (`danskin features`).

use super::feature_network::{FeatureNetwork, Weights};
use crate::graph::Tensor;
use crate::nn::{FaceFeatures, Mode, Scope};
use crate::{Error, Result};

/// `danskin features --out assets/features.safetensors` made it.
const WEIGHTS: &[u8] = include_bytes!("../../assets/features.safetensors");

/// 64 features of 32×32 RGB images, in which a dozen factors of portraits can be told.
pub struct Faces {
    weights: Weights,
}

impl Faces {
    /// The network with its weights.
    ///
    /// # Errors
    /// A program that was built from a damaged file.
    pub fn new() -> Result<Faces> {
        let weights = Weights::parse(WEIGHTS).map_err(|reason| Error::checkpoint("assets/features.safetensors", reason))?;
        Ok(Faces { weights })
    }
}

impl FeatureNetwork for Faces {
    fn name(&self) -> &str {
        "faces"
    }

    fn size(&self) -> usize {
        FaceFeatures::SIZE
    }

    fn dims(&self) -> usize {
        FaceFeatures::DIMS
    }

    fn features<'g>(&self, scope: &Scope<'g>, images: Tensor<'g>) -> Tensor<'g> {
        FaceFeatures.features(scope, images, Mode::Eval)
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }
}
