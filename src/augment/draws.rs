//! The random numbers of an augmentation, as plain tensors: drawn on the device in training, given in tests.

use crate::graph::{Dist, Graph, Tensor};

/// Raw random numbers of so many images, a row each. Which column means what is the augmentation's to know.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'g> {
    /// Uniform on (0, 1), `[M, UNIFORM]`.
    pub uniform: Tensor<'g>,
    /// Standard normal, `[M, NORMAL]`.
    pub normal: Tensor<'g>,
    /// Standard normal, one per number of an image, `[M,H,W,C]`.
    pub noise: Tensor<'g>,
}

impl<'g> Draws<'g> {
    /// Uniform numbers per image.
    pub const UNIFORM: usize = 26;
    /// Normal numbers per image.
    pub const NORMAL: usize = 18;
    /// Random streams that [`Draws::new`] reads.
    pub const STREAMS: u32 = 3;

    /// Numbers of the streams `stream`, `stream + 1` and `stream + 2` for images of extents [M, H, W, C].
    pub fn new(graph: &'g Graph, stream: u32, images: [usize; 4]) -> Draws<'g> {
        Draws {
            uniform: graph.rand(Dist::Uniform, stream, [images[0], Draws::UNIFORM]),
            normal: graph.rand(Dist::Normal, stream + 1, [images[0], Draws::NORMAL]),
            noise: graph.rand(Dist::Normal, stream + 2, images),
        }
    }

    /// Images drawn for.
    pub(super) fn rows(&self) -> usize {
        self.uniform.dim(0)
    }

    /// Uniform number `column` of each image, `[M,1]`.
    pub(super) fn u(&self, column: usize) -> Tensor<'g> {
        self.uniform.slice(&[0, column], [self.rows(), 1])
    }

    /// Normal number `column` of each image, `[M,1]`.
    pub(super) fn n(&self, column: usize) -> Tensor<'g> {
        self.normal.slice(&[0, column], [self.rows(), 1])
    }

    /// `n` images from number `from` on.
    pub(super) fn part(&self, from: usize, n: usize) -> Draws<'g> {
        let cut = |t: Tensor<'g>| {
            let (mut start, mut shape) = (vec![0; t.shape().len()], t.shape().to_vec());
            (start[0], shape[0]) = (from, n);
            t.slice(&start, shape)
        };
        Draws { uniform: cut(self.uniform), normal: cut(self.normal), noise: cut(self.noise) }
    }
}
