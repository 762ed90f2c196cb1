//! Random tensors: Philox blocks as uniform or normal numbers.

use super::Scalar;
use crate::graph::Dist;
use crate::philox;

/// Element i is lane i%4 of block (i/4, step, stream, 0).
pub fn rand<T: Scalar>(dist: Dist, seed: u64, stream: u32, step: u32, out: &mut [T]) {
    for (i, out) in out.chunks_mut(4).enumerate() {
        let w = philox::block(seed, [i as u32, step, stream, 0]);
        let values = match dist {
            Dist::Uniform => w.map(philox::uniform),
            Dist::Normal => {
                let ([a, b], [c, d]) = (philox::normal_pair(w[0], w[1]), philox::normal_pair(w[2], w[3]));
                [a, b, c, d]
            }
        };
        out.iter_mut().zip(values).for_each(|(o, v)| *o = T::of(v));
    }
}
