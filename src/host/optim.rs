//! Adam with sanitised gradients and a moving average, over a network's flat buffers.

use super::Scalar;
use super::simd::multiversion;
use crate::plan::{ALIGN, LOSS_SCALE, LOSS_SCALE_STEPS};
use rayon::prelude::*;

/// Gradients are limited to ± this.
const LIMIT: f64 = 1e5;

/// The buffers that a step of Adam reads and writes.
pub struct Adam<'a, T> {
    pub weights: &'a mut [T],
    pub m: &'a mut [T],
    pub v: &'a mut [T],
    /// Empty where no average is kept.
    pub ema: &'a mut [T],
    /// Gradients that were not finite, added up by tensor.
    pub counters: &'a mut [u32],
}

impl<T: Scalar> Adam<'_, T> {
    /// One step. `scalars` = lr, β₁, β₂, ε, 1/(1−β₁ᵗ), 1/(1−β₂ᵗ), EMA β, gradient scale (0 leaves the step out); `owner` names the tensor of each block of
    /// [`ALIGN`] elements.
    pub fn step(self, scalars: &[T], grads: &[T], owner: &[u32]) {
        const TASK: usize = 128 * ALIGN;
        if scalars.get(7) == Some(&T::ZERO) {
            return;
        }
        let state = (self.weights.par_chunks_mut(TASK), self.m.par_chunks_mut(TASK), self.v.par_chunks_mut(TASK));
        let state = state.into_par_iter().zip(grads.par_chunks(TASK));
        let finite = if self.ema.is_empty() {
            state.map(|((p, m, v), g)| update(scalars, g, p, m, v)).reduce(|| true, |a, b| a && b)
        } else {
            let averaged = state.zip(self.ema.par_chunks_mut(TASK)).map(|(((p, m, v), g), ema)| {
                let finite = update(scalars, g, p, m, v);
                average(scalars, p, ema);
                finite
            });
            averaged.reduce(|| true, |a, b| a && b)
        };
        if !finite {
            for (g, &owner) in grads.chunks(ALIGN).zip(owner) {
                let bad = g.iter().filter(|g| !(**g * scalars[7]).is_finite()).count() as u32;
                if let Some(counter) = self.counters.get_mut(owner as usize) {
                    *counter = counter.wrapping_add(bad);
                }
            }
        }
    }
}

multiversion! {
    /// p −= lr·(m·c₁)/(√(v·c₂)+ε). Returns whether all gradients were finite.
    fn update<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T], v: &mut [T]) -> bool {
        let &[lr, b1, b2, eps, c1, c2, _, scale, ..] = scalars else { return true };
        let limit = T::of(LIMIT);
        let mut finite = true;
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * scale;
            finite &= g.is_finite();
            let g = if g > limit { limit } else { g };
            let g = if g < -limit { -limit } else { g };
            let g = if g.is_nan() { T::ZERO } else { g };
            *m = b1 * *m + (T::ONE - b1) * g;
            *v = b2 * *v + (T::ONE - b2) * g * g;
            *p = *p - lr * (*m * c1) / ((*v * c2).sqrt() + eps);
        }
        finite
    }

    /// ema = p + β(ema − p)
    fn average<T: Scalar>(scalars: &[T], p: &[T], ema: &mut [T]) {
        let beta = scalars[6];
        ema.iter_mut().zip(p).for_each(|(ema, &p)| *ema = p + beta * (*ema - p));
    }
}

/// [`crate::plan::Work::LossScale`]: `out` are its outputs after the state and Adam's scalars.
pub fn loss_scale<T: Scalar>(square: T, scalars: &[T], state: &mut [T], gated: &mut [T], out: [&mut [T]; 3]) {
    let of = |v: f32| T::of(f64::from(v));
    let two = of(2.0);
    let scale = if state[0] == T::ZERO { of(LOSS_SCALE) } else { state[0] };
    let [norm, used, left_out] = out;
    gated[..8].copy_from_slice(&scalars[..8]);
    gated[7] = scalars[7] / scale;
    used[0] = scale;
    if square.is_finite() {
        norm[0] = square / scale / scale;
        for i in 0..2 {
            let beta = scalars[1 + i];
            state[3 + i] = beta * state[3 + i] + (T::ONE - beta);
            gated[4 + i] = T::ONE / state[3 + i];
        }
        state[1] += T::ONE;
        if state[1] >= of(LOSS_SCALE_STEPS) {
            state[1] = T::ZERO;
            let doubled = two * scale;
            state[0] = if doubled > of(16_777_216.0) { of(16_777_216.0) } else { doubled };
        } else {
            state[0] = scale;
        }
    } else {
        norm[0] = T::ZERO;
        gated[7] = T::ZERO;
        let halved = scale / two;
        state[0] = if halved < T::ONE { T::ONE } else { halved };
        state[1] = T::ZERO;
        state[2] += T::ONE;
    }
    left_out[0] = state[2];
}
