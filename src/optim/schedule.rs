//! Values that change with training progress, computed in f64 on the host and sent to the device once per step.

/// Cosine from `start` to `end` while `t` goes from 0 to 1; `end` after that (R3GAN's burn-in).
pub fn cosine(start: f64, end: f64, t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    end + (start - end) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos())
}

/// The course of a number over training, by thousands of images seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Always this.
    Constant(f64),
    /// A [`cosine`] from the first to the second within so many thousand images; with a length of 0, the first.
    #[allow(missing_docs)] // The fields are the sentence.
    Cosine { from: f64, to: f64, kimg: f64 },
    /// `from`, times `factor` at each of the places `at` (thousands of images, in order) that is reached.
    #[allow(missing_docs)]
    Steps { from: f64, factor: f64, at: Vec<f64> },
    /// Straight lines through the points (thousands of images, value), in order; before the first and after the last, their values.
    /// No points are 0.
    Linear(Vec<(f64, f64)>),
}

impl Schedule {
    /// One cycle (Smith & Topin 2018, as Wong 2020 trains with): a line from 0 up to `peak` after `up` thousand images, and one from
    /// there down to `end` after `kimg`.
    pub fn triangle(peak: f64, end: f64, up: f64, kimg: f64) -> Schedule {
        Schedule::Linear(vec![(0.0, 0.0), (up, peak), (kimg, end)])
    }

    /// The number after `kimg` thousand images.
    pub fn at(&self, kimg: f64) -> f64 {
        match self {
            Schedule::Constant(value) => *value,
            &Schedule::Cosine { from, to, kimg: length } => {
                cosine(from, to, if length > 0.0 { kimg / length } else { 0.0 })
            }
            Schedule::Steps { from, factor, at } => {
                let reached = at.iter().filter(|place| kimg >= **place).count();
                from * factor.powi(reached as i32)
            }
            Schedule::Linear(points) => {
                let after = points.iter().position(|(place, _)| *place > kimg);
                match after {
                    Some(0) => points[0].1,
                    Some(i) => {
                        let ((a, from), (b, to)) = (points[i - 1], points[i]);
                        from + (to - from) * (kimg - a) / (b - a)
                    }
                    None => points.last().map_or(0.0, |(_, value)| *value),
                }
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
    fn steps_are_taken_where_they_lie() {
        let drops = Schedule::Steps { from: 0.1, factor: 0.1, at: vec![75.0, 90.0] };
        for (kimg, value) in [(0.0, 0.1), (74.999, 0.1), (75.0, 0.01), (89.0, 0.01), (90.0, 1e-3), (1e6, 1e-3)] {
            assert!((drops.at(kimg) - value).abs() < 1e-15, "{kimg}: {}", drops.at(kimg));
        }
        assert_eq!(Schedule::Steps { from: 0.1, factor: 0.1, at: vec![] }.at(9.0), 0.1);
    }

    #[test]
    fn lines_go_through_their_points() {
        let cycle = Schedule::triangle(0.2, 0.02, 40.0, 100.0);
        for (kimg, value) in
            [(0.0, 0.0), (10.0, 0.05), (40.0, 0.2), (70.0, 0.11), (99.0, 0.023), (100.0, 0.02), (200.0, 0.02)]
        {
            assert!((cycle.at(kimg) - value).abs() < 1e-15, "{kimg}: {}", cycle.at(kimg));
        }
        // Two points in one place are a jump.
        let jump = Schedule::Linear(vec![(2.0, 1.0), (5.0, 4.0), (5.0, 7.0), (6.0, 8.0)]);
        assert_eq!([0.0, 2.0, 4.0, 5.0, 5.5, 7.0].map(|kimg| jump.at(kimg)), [1.0, 1.0, 3.0, 7.0, 7.5, 8.0]);
        assert_eq!(Schedule::Linear(vec![]).at(3.0), 0.0);
    }

    #[test]
    fn half_of_the_average_is_forgotten_in_a_half_life() {
        let beta = ema_beta(50, 1_000_000, 1000.0, 0.05);
        assert!((beta.powi(20) - 0.5).abs() < 1e-12);
        assert_eq!(ema_beta(50, 0, 1000.0, 0.05), 0.0, "nothing seen yet: copy the weights");
    }
}
