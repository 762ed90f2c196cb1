//! Values that change with training progress, computed in f64 on the host and sent to the device once per step.

/// Cosine from `start` to `end` while `t` goes from 0 to 1; `end` after that (R3GAN's burn-in).
pub fn cosine(start: f64, end: f64, t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos())
}

/// The course of a number over training, by thousands of images seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always this.
    Constant(f64),
    /// A [`cosine`] from the first to the second within so many thousand images; with a length of 0, the first.
    #[allow(missing_docs)] // The fields are the sentence.
    Cosine { from: f64, to: f64, kimg: f64 },
}

impl Schedule {
    /// The number after `kimg` thousand images.
    pub fn at(&self, kimg: f64) -> f64 {
        match *self {
            Schedule::Constant(value) => value,
            Schedule::Cosine { from, to, kimg: length } => {
                cosine(from, to, if length > 0.0 { kimg / length } else { 0.0 })
            }
        }
    }
}

/// Weight of the old average after a step of `batch` images: ½ per `min(half_life, ramp · seen)` images (StyleGAN2).
/// A half-life of 0 turns averaging off.
pub fn ema_beta(batch: usize, seen: u64, half_life: f64, ramp: f64) -> f64 {
    let images = if ramp > 0.0 { half_life.min(ramp * seen as f64) } else { half_life };
    if images <= 0.0 { 0.0 } else { 0.5f64.powf(batch as f64 / images) }
}

/// Settings of Adam at one step.
#[derive(Clone, Copy, Debug)]
pub struct AdamSettings {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added outside the root.
    pub eps: f64,
}

impl AdamSettings {
    /// The eight scalars of `plan::Work::Adam`. `beta1_product` and `beta2_product` are the products of all β so far,
    /// this step's included: bias correction stays exact while β₂ follows a schedule.
    pub fn scalars(&self, beta1_product: f64, beta2_product: f64, ema_beta: f64) -> [f32; 8] {
        let correction = |product: f64| 1.0 / (1.0 - product);
        [
            self.lr as f32,
            self.beta1 as f32,
            self.beta2 as f32,
            self.eps as f32,
            correction(beta1_product) as f32,
            correction(beta2_product) as f32,
            ema_beta as f32,
            1.0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_ends_where_it_should() {
        assert_eq!(cosine(2.0, 0.2, 0.0), 2.0);
        assert!((cosine(2.0, 0.2, 0.5) - 1.1).abs() < 1e-12);
        assert!((cosine(2.0, 0.2, 7.0) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn schedules_follow_the_images_seen() {
        let course = Schedule::Cosine { from: 2.0, to: 0.2, kimg: 40.0 };
        let expected = [2.0, 0.2 + 0.9 * (1.0 + std::f64::consts::FRAC_1_SQRT_2), 1.1, 0.2, 0.2];
        for (kimg, value) in [0.0, 10.0, 20.0, 40.0, 90.0].into_iter().zip(expected) {
            assert!((course.at(kimg) - value).abs() < 1e-12, "{kimg}");
        }
        assert_eq!(Schedule::Cosine { from: 2.0, to: 0.2, kimg: 0.0 }.at(7.0), 2.0);
        assert_eq!(Schedule::Constant(3.0).at(7.0), 3.0);
    }

    #[test]
    fn half_of_the_average_is_forgotten_in_a_half_life() {
        let beta = ema_beta(50, 1_000_000, 1000.0, 0.05);
        assert!((beta.powi(20) - 0.5).abs() < 1e-12);
        assert_eq!(ema_beta(50, 0, 1000.0, 0.05), 0.0, "nothing seen yet: copy the weights");
    }
}
