//! Losses: functions of tensors that return `[1]` (GAN losses and penalties, means over the batch) or `[N,1]` (classifier
//! losses, one number per example: the caller takes the mean, or the sum where the raw input gradient matters).
//!
//! Uses `graph`, `autodiff`, `error`, and rows of scores from `nn`. Deliberately absent: networks, schedules, devices.

pub mod classifier;
mod distance;
mod gan;
mod penalty;

pub use distance::{FeatureMaps, image_distance, pixel_distance, untypical};
pub use gan::GanLoss;
pub use penalty::{
    Coefficient, Lipschitz, PathLength, gradient_penalty, lipschitz_penalty, path_length, r1_penalty, r2_penalty,
};
