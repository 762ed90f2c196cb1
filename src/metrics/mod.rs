//! Measures of what was learned: mode coverage of points, and distances between sets of images by the features of a network.
//!
//! A [`FeatureNetwork`] says how images become features; an [`Extractor`] computes them on a device, and [`Pairs`] compares them
//! there, two by two. Statistics are made of them in f64 on the host: [`frechet()`], [`kid()`], [`precision_recall()`].
//!
//! May use `graph`, `nn`, `plan`, `device`, `data`, `philox`. Deliberately absent: runs, checkpoints, printing.

mod diversity;
mod extractor;
mod faces;
mod feature_network;
mod frechet;
mod inception;
mod kid;
mod modes;
mod pairs;
mod precision_recall;
mod resize;
mod stacked;

pub use diversity::mean_distance;
pub use extractor::{Extractor, FeatureGraph};
pub use faces::Faces;
pub use feature_network::{FeatureNetwork, Weights};
pub use frechet::{Gaussian, frechet};
pub use inception::InceptionV3;
pub use kid::{Kid, SUBSETS, kid};
pub use modes::{Modes, modes};
pub use pairs::Pairs;
pub use precision_recall::{NEIGHBOURS, PrecisionRecall, precision_recall};
pub use resize::{resize_matrix, resized};
pub use stacked::{StackedModes, stacked_modes};

/// Features of some images, `[count, dims]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Row after row.
    pub values: Vec<f32>,
    /// Length of a row.
    pub dims: usize,
}

impl Features {
    /// How many images.
    pub fn count(&self) -> usize {
        self.values.len() / self.dims.max(1)
    }

    /// The features of image `k`.
    pub fn row(&self, k: usize) -> &[f32] {
        &self.values[k * self.dims..(k + 1) * self.dims]
    }
}
