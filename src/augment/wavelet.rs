//! Wavelet filters (Daubechies' symlets) and what the pipe of Karras 2020 makes of them.

/// The low-pass filter of the symlet with 6 vanishing moments.
pub(super) const SYM6: [f64; 12] = [
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
];

/// The low-pass filter of the symlet with 2 vanishing moments.
const SYM2: [f64; 4] = [-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025];

/// Frequency bands of [`bands`].
pub(super) const BANDS: usize = 4;

fn convolved(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.len() + b.len() - 1];
    a.iter().enumerate().for_each(|(i, a)| b.iter().enumerate().for_each(|(j, b)| out[i + j] += a * b));
    out
}

/// Filters of [`BANDS`] neighbouring octaves from low to high frequencies, of one length, symmetric; they add up to a single 1.
pub(super) fn bands() -> Vec<Vec<f64>> {
    let squared = |h: &[f64]| {
        let back: Vec<f64> = h.iter().rev().copied().collect();
        convolved(h, &back).into_iter().map(|v| v / 2.0).collect::<Vec<f64>>()
    };
    let high: Vec<f64> = SYM2.iter().enumerate().map(|(i, v)| if i % 2 == 0 { *v } else { -v }).collect();
    let (low, high) = (squared(&SYM2), squared(&high));
    let mut bank = vec![vec![0.0]; BANDS];
    bank[0][0] = 1.0;
    for i in 1..BANDS {
        for filter in &mut bank {
            let mut spread: Vec<f64> = filter.iter().flat_map(|v| [*v, 0.0]).collect();
            spread.pop();
            *filter = convolved(&spread, &low);
        }
        let from = (bank[i].len() - high.len()) / 2;
        high.iter().enumerate().for_each(|(k, v)| bank[i][from + k] += v);
    }
    bank
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shifted by 2, an orthogonal filter is at right angles to itself.
    #[test]
    fn filters_are_orthogonal() {
        for h in [&SYM6[..], &SYM2] {
            assert!((h.iter().sum::<f64>() - 2f64.sqrt()).abs() < 1e-9);
            for shift in (0..h.len()).step_by(2) {
                let product: f64 = h.iter().zip(&h[shift..]).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(shift == 0))).abs() < 1e-9, "{shift}: {product}");
            }
        }
    }

    #[test]
    fn bands_add_up_to_the_whole() {
        let bank = bands();
        let middle = bank[0].len() / 2;
        assert_eq!((bank.len(), bank[0].len()), (4, 43));
        for t in 0..bank[0].len() {
            let sum: f64 = bank.iter().map(|filter| filter[t]).sum();
            // The taps are given with twelve digits that count.
            assert!((sum - f64::from(u8::from(t == middle))).abs() < 1e-11, "{t}: {sum}");
            assert!(bank.iter().all(|f| (f[t] - f[2 * middle - t]).abs() < 1e-12), "{t}");
        }
        assert!(bank.iter().all(|filter| filter[middle] > 0.05));
    }
}
