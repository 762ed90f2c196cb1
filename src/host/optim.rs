//! Optimisers with sanitised gradients and a moving average, over a network's flat buffers.

use super::Scalar;
use super::simd::multiversion;
use crate::plan::{ALIGN, LOSS_SCALE, LOSS_SCALE_STEPS, OPTIMISER_SCALARS, WeightDecay};
use rayon::prelude::*;

/// Gradients are limited to ± this.
const LIMIT: f64 = 1e5;

/// Elements that one task updates.
const TASK: usize = 128 * ALIGN;

/// What every optimiser reads and writes beside its moments.
pub struct Learning<'a, T> {
    /// See [`crate::plan::Work::Adam`] and [`crate::plan::Work::Sgd`].
    pub scalars: &'a [T],
    pub grads: &'a [T],
    /// The tensor of each block of [`ALIGN`] elements.
    pub owner: &'a [u32],
    pub weights: &'a mut [T],
    /// Empty where no average is kept.
    pub ema: &'a mut [T],
    /// Gradients that were not finite, added up by tensor.
    pub counters: &'a mut [u32],
}

impl<T: Scalar> Learning<'_, T> {
    /// One step of Adam with its moments.
    pub fn adam(self, decay: WeightDecay, m: &mut [T], v: &mut [T]) {
        let moments = m.par_chunks_mut(TASK).zip(v.par_chunks_mut(TASK));
        self.step(moments, |scalars, g, p, (m, v)| match decay {
            WeightDecay::Off => adam(scalars, g, p, m, v),
            WeightDecay::L2 => adam_l2(scalars, g, p, m, v),
            WeightDecay::Decoupled => adam_decoupled(scalars, g, p, m, v),
        });
    }

    /// One step of gradient descent with its momentum buffer.
    pub fn sgd(self, nesterov: bool, m: &mut [T]) {
        self.step(m.par_chunks_mut(TASK), |scalars, g, p, m| match nesterov {
            false => sgd(scalars, g, p, m),
            true => sgd_nesterov(scalars, g, p, m),
        });
    }

    /// `update` of (scalars, gradients, weights, moments), task by task, says whether all gradients were finite.
    fn step<S: Send>(
        self,
        moments: impl IndexedParallelIterator<Item = S>,
        update: impl Fn(&[T], &[T], &mut [T], S) -> bool + Sync,
    ) {
        let Learning { scalars, grads, owner, weights, ema, counters } = self;
        if scalars.get(7) == Some(&T::ZERO) {
            return;
        }
        let state = weights.par_chunks_mut(TASK).zip(grads.par_chunks(TASK)).zip(moments);
        let finite = if ema.is_empty() {
            state.map(|((p, g), moments)| update(scalars, g, p, moments)).reduce(|| true, |a, b| a && b)
        } else {
            let averaged = state.zip(ema.par_chunks_mut(TASK)).map(|(((p, g), moments), ema)| {
                let finite = update(scalars, g, p, moments);
                average(scalars, p, ema);
                finite
            });
            averaged.reduce(|| true, |a, b| a && b)
        };
        if !finite {
            for (g, &owner) in grads.chunks(ALIGN).zip(owner) {
                let bad = g.iter().filter(|g| !(**g * scalars[7]).is_finite()).count() as u32;
                if let Some(counter) = counters.get_mut(owner as usize) {
                    *counter = counter.wrapping_add(bad);
                }
            }
        }
    }
}

/// Limits a gradient; 0 for what is no number.
#[inline(always)]
fn sanitised<T: Scalar>(g: T) -> T {
    let limit = T::of(LIMIT);
    let g = if g > limit { limit } else { g };
    let g = if g < -limit { -limit } else { g };
    if g.is_nan() { T::ZERO } else { g }
}

/// Adam over one task: `gradient` of (g, w, decay) and `kept` of (w, decay) are how weights decay. Returns whether all
/// gradients were finite.
#[inline(always)]
fn adam_by<T: Scalar>(
    scalars: &[T],
    g: &[T],
    p: &mut [T],
    (m, v): (&mut [T], &mut [T]),
    gradient: impl Fn(T, T, T) -> T,
    kept: impl Fn(T, T) -> T,
) -> bool {
    let &[lr, b1, b2, eps, c1, c2, _, scale, decay, ..] = scalars else { return true };
    let mut finite = true;
    for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
        let g = g * scale;
        finite &= g.is_finite();
        let g = gradient(sanitised(g), *p, decay);
        *m = b1 * *m + (T::ONE - b1) * g;
        *v = b2 * *v + (T::ONE - b2) * g * g;
        *p = kept(*p, decay) - lr * (*m * c1) / ((*v * c2).sqrt() + eps);
    }
    finite
}

/// Gradient descent over one task; `direction` of (g, m, μ) is where the weights go. Returns whether all gradients were finite.
#[inline(always)]
fn sgd_by<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T], direction: impl Fn(T, T, T) -> T) -> bool {
    let &[lr, momentum, _, _, _, _, _, scale, decay, ..] = scalars else { return true };
    let mut finite = true;
    for ((p, m), &g) in p.iter_mut().zip(m).zip(g) {
        let g = g * scale;
        finite &= g.is_finite();
        let g = sanitised(g) + decay * *p;
        *m = momentum * *m + g;
        *p = *p - lr * direction(g, *m, momentum);
    }
    finite
}

multiversion! {
    /// p −= lr·(m·c₁)/(√(v·c₂)+ε)
    fn adam<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T], v: &mut [T]) -> bool {
        adam_by(scalars, g, p, (m, v), |g, _, _| g, |w, _| w)
    }

    /// g + λ·p in the place of g
    fn adam_l2<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T], v: &mut [T]) -> bool {
        adam_by(scalars, g, p, (m, v), |g, w, decay| g + decay * w, |w, _| w)
    }

    /// (1 − lr·λ)·p in the place of p
    fn adam_decoupled<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T], v: &mut [T]) -> bool {
        adam_by(scalars, g, p, (m, v), |g, _, _| g, |w, decay| w * decay)
    }

    /// p −= lr·m
    fn sgd<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T]) -> bool {
        sgd_by(scalars, g, p, m, |_, m, _| m)
    }

    /// p −= lr·(g + μ·m)
    fn sgd_nesterov<T: Scalar>(scalars: &[T], g: &[T], p: &mut [T], m: &mut [T]) -> bool {
        sgd_by(scalars, g, p, m, |g, m, momentum| g + momentum * m)
    }

    /// ema = p + β(ema − p)
    fn average<T: Scalar>(scalars: &[T], p: &[T], ema: &mut [T]) {
        let beta = scalars[6];
        ema.iter_mut().zip(p).for_each(|(ema, &p)| *ema = p + beta * (*ema - p));
    }
}

/// [`crate::plan::Work::LossScale`]: `out` are its outputs after the state and the optimiser's scalars.
pub fn loss_scale<T: Scalar>(square: T, scalars: &[T], state: &mut [T], gated: &mut [T], out: [&mut [T]; 3]) {
    let of = |v: f32| T::of(f64::from(v));
    let two = of(2.0);
    let scale = if state[0] == T::ZERO { of(LOSS_SCALE) } else { state[0] };
    let [norm, used, left_out] = out;
    gated[..OPTIMISER_SCALARS].copy_from_slice(&scalars[..OPTIMISER_SCALARS]);
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
