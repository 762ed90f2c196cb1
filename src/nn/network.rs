//! A network as its users see it: something that maps a tensor to a tensor and names its parameters.

use super::{Mode, Scope};
use crate::graph::Tensor;

/// A network. Implement it for networks of your own; every game takes any of them.
pub trait Network: Send + Sync {
    /// The output for a batch `x` [N, …]; parameters and state are made in `scope`. `labels` are class numbers `[N]` where the
    /// game has classes.
    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g>;
}

/// The generator of a model.
pub struct Generator(pub super::Model);
/// The discriminator of a model.
pub struct Discriminator(pub super::Model);

impl Network for Generator {
    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        self.0.generator(scope, x, mode)
    }
}
impl Network for Discriminator {
    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, _: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        self.0.discriminator(scope, x, mode)
    }
}
