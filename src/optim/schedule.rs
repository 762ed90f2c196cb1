//! Values that change with training progress, computed in f64 on the host and sent to the device once a step.

/// Cosine from `start` to `end` while `t` goes from 0 to 1; `end` after that (R3GAN's burn-in).
pub fn cosine(start: f64, end: f64, t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos())
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
    fn half_of_the_average_is_forgotten_in_a_half_life() {
        let beta = ema_beta(50, 1_000_000, 1000.0, 0.05);
        assert!((beta.powi(20) - 0.5).abs() < 1e-12);
        assert_eq!(ema_beta(50, 0, 1000.0, 0.05), 0.0, "nothing seen yet: copy the weights");
    }
}
