//! Philox4x32-10 (Salmon et al. 2011), the one source of random numbers: the same integers on every device.
//!
//! A block is a pure function of (seed, counter), so nothing needs to be kept or advanced: any element of any step can be
//! computed alone, which is what makes resumed runs exact. `shaders/random/` holds the WGSL twin.

/// Ten rounds of Philox4x32 on `counter` under `seed`: four independent words.
pub fn block(seed: u64, counter: [u32; 4]) -> [u32; 4] {
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    let mut c = counter;
    for _ in 0..10 {
        let a = u64::from(c[0]) * 0xD251_1F53;
        let b = u64::from(c[2]) * 0xCD9E_8D57;
        c = [(b >> 32) as u32 ^ c[1] ^ k0, b as u32, (a >> 32) as u32 ^ c[3] ^ k1, a as u32];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    c
}

/// A word as a uniform number in the open interval (0, 1), exact in f32: (top 23 bits + ½)·2⁻²³.
pub fn uniform(word: u32) -> f64 {
    (f64::from(word >> 9) + 0.5) * f64::powi(2.0, -23)
}

/// Two words as two independent standard normal numbers (Box–Muller).
pub fn normal_pair(a: u32, b: u32) -> [f64; 2] {
    let radius = (-2.0 * uniform(a).ln()).sqrt();
    let angle = std::f64::consts::TAU * uniform(b);
    [radius * angle.cos(), radius * angle.sin()]
}

/// Element `i` of (seed, stream, step) as a uniform number.
pub fn uniform_at(seed: u64, stream: u32, step: u32, i: u64) -> f64 {
    uniform(block(seed, [(i / 4) as u32, step, stream, 0])[(i % 4) as usize])
}

/// Element `i` of (seed, stream, step) as a standard normal number.
pub fn normal_at(seed: u64, stream: u32, step: u32, i: u64) -> f64 {
    let w = block(seed, [(i / 4) as u32, step, stream, 0]);
    let pair = if i % 4 < 2 { normal_pair(w[0], w[1]) } else { normal_pair(w[2], w[3]) };
    pair[(i % 2) as usize]
}

/// Where place `place` < `count` comes in the order of an epoch: a permutation of 0..count for every (seed, stream, epoch),
/// computed one place at a time. `count` is from 1 to 2³¹.
///
/// With b the smallest even number ≥ 2 such that 2ᵇ ≥ count, four Feistel rounds permute 0..2ᵇ; what falls outside of
/// 0..count goes through them again. Round keys are the words of block (epoch, 0, stream, 2).
/// `shaders/shared/draw.wgsl` holds the WGSL twin.
pub fn shuffled(seed: u64, stream: u32, epoch: u32, place: u32, count: u32) -> u32 {
    let keys = block(seed, [epoch, 0, stream, 2]);
    let count = count.max(1);
    let bits = u32::BITS - (count - 1).leading_zeros();
    let half = bits.div_ceil(2).max(1);
    let mask = (1 << half) - 1;
    let mut x = place % count;
    loop {
        let (mut l, mut r) = (x >> half, x & mask);
        for key in keys {
            (l, r) = (r, l ^ (mix(r ^ key) & mask));
        }
        x = l << half | r;
        if x < count {
            return x;
        }
    }
}

/// Rows and columns, each from 0 to 2·`most`, by which a word shifts an image: its halves as shares of 2·most + 1.
pub fn shift(word: u32, most: usize) -> [usize; 2] {
    [word >> 16, word & 0xffff].map(|half| (half as usize * (2 * most + 1)) >> 16)
}

/// Every bit of the result depends on every bit of `v`.
fn mix(mut v: u32) -> u32 {
    v ^= v >> 16;
    v = v.wrapping_mul(0x7feb_352d);
    v ^= v >> 15;
    v = v.wrapping_mul(0x846c_a68b);
    v ^ v >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds).
    #[test]
    fn known_answers() {
        assert_eq!(block(0, [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(block(u64::MAX, [u32::MAX; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            block(0x299f_31d0_a409_3822, [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn moments() {
        let n = 40_000;
        let z: Vec<f64> = (0..n).map(|i| normal_at(7, 1, 0, i)).collect();
        let mean = z.iter().sum::<f64>() / n as f64;
        let var = z.iter().map(|v| v * v).sum::<f64>() / n as f64 - mean * mean;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.03, "mean {mean} variance {var}");
    }
}
