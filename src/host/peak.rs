//! The most that the processor can do: fused multiply-adds out of registers, and copies and updates of memory, on all
//! cores.

use rayon::prelude::*;
use std::hint::black_box;

/// Links that each chain of [`multiply_add`] gets in a round.
const LINKS: usize = 1 << 14;

/// Runs `rounds` rounds of independent chains of multiply-adds on every thread of the pool it is called in, in the widest
/// vectors there are, and gives the floating-point operations that were done.
pub fn multiply_add(rounds: usize) -> u64 {
    let done = rayon::broadcast(|_| (0..rounds).map(|_| chains()).sum::<usize>());
    2 * done.into_iter().sum::<usize>() as u64
}

/// Multiply-adds of one round on this thread.
fn chains() -> usize {
    #[cfg(target_arch = "x86_64")]
    match super::simd::level() {
        // SAFETY: the level says that this machine has AVX-512, of which FMA is a part.
        super::simd::Level::Avx512 => return unsafe { avx512() },
        // SAFETY: both features were just found.
        super::simd::Level::Avx2 if is_x86_feature_detected!("fma") => return unsafe { avx2() },
        _ => {}
    }
    portable()
}

/// Twelve chains: enough to fill two units of four cycles each, few enough for sixteen registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512() -> usize {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps};
    let (m, c) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
    let mut x = [_mm512_set1_ps(black_box(1.0)); 12];
    for _ in 0..LINKS {
        for x in &mut x {
            *x = _mm512_fmadd_ps(*x, m, c);
        }
    }
    black_box(x.map(|x| _mm512_reduce_add_ps(x)));
    12 * 16 * LINKS
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2() -> usize {
    use std::arch::x86_64::{_mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let (m, c) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
    let mut x = [_mm256_set1_ps(black_box(1.0)); 12];
    for _ in 0..LINKS {
        for x in &mut x {
            *x = _mm256_fmadd_ps(*x, m, c);
        }
    }
    black_box(x.map(|x| _mm256_cvtss_f32(x)));
    12 * 8 * LINKS
}

/// What the baseline of the target has: fused where that is an instruction, a product and a sum elsewhere.
fn portable() -> usize {
    const LANES: usize = 4;
    let (m, c) = (black_box(0.5f32), black_box(0.25f32));
    let link = |x: [f32; LANES]| {
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        x.map(|x| if fused { x.mul_add(m, c) } else { x * m + c })
    };
    let mut x = [[black_box(1.0f32); LANES]; 8];
    for _ in 0..LINKS {
        for x in &mut x {
            *x = link(*x);
        }
    }
    black_box(x);
    8 * LANES * LINKS
}

/// Copies `from` to `to` of the same length, each thread of the pool a part of it.
pub fn copy(from: &[f32], to: &mut [f32]) {
    let part = to.len().div_ceil(rayon::current_num_threads()).max(1);
    to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// Multiplies every number by `factor` in its place, each thread of the pool a part of them.
pub fn update(values: &mut [f32], factor: f32) {
    let part = values.len().div_ceil(rayon::current_num_threads()).max(1);
    values.par_chunks_mut(part).for_each(|part| part.iter_mut().for_each(|v| *v *= factor));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiply_add_is_counted() {
        let threads = rayon::current_num_threads() as u64;
        let (one, three) = (multiply_add(1), multiply_add(3));
        assert_eq!(three, 3 * one);
        assert_eq!(one % (threads * 2 * LINKS as u64), 0);
    }

    #[test]
    fn copies_and_updates_are_whole() {
        let from: Vec<f32> = (0..1001).map(|i| i as f32).collect();
        let mut to = vec![-1.0; 1001];
        copy(&from, &mut to);
        assert_eq!(from, to);
        update(&mut to, 0.5);
        assert!(from.iter().zip(&to).all(|(from, to)| from * 0.5 == *to));
    }
}
