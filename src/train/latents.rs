//! Latents as people move among them: towards the mean, and from one to another along the sphere.

/// The truncation trick where latents go straight into the generator: z ← z̄ + ψ·(z − z̄) row by row. Karras et al. (2019),
/// appendix B, state it for the mapped latents w of a network that has them, with their mean w̄; the z of all others are standard
/// normal, so that z̄ is 0. ψ = 1 changes nothing, ψ = 0 leaves the mean alone. (BigGAN's variant draws numbers beyond a threshold
/// again; it has no meaning for given latents, and jumps where the threshold moves.)
pub fn truncate(latents: &mut [f32], mean: &[f32], psi: f64) {
    for row in latents.chunks_mut(mean.len().max(1)) {
        for (z, &mean) in row.iter_mut().zip(mean) {
            *z = (f64::from(mean) + psi * (f64::from(*z) - f64::from(mean))) as f32;
        }
    }
}

/// Below this sine two directions count as parallel, or as opposite.
const PARALLEL: f64 = 1e-6;

/// The latents at `t` of the way from `a` to `b`: directions by spherical interpolation (Shoemake 1985), lengths linearly, so that
/// what lies between two typical latents is typical. Parallel ones are joined by a straight line; between opposite ones, where every
/// great circle is as short, the way leads over the coordinate axis that is farthest from both.
///
/// Lists of one length; `t` from 0 (`a`) to 1 (`b`).
pub fn slerp(a: &[f32], b: &[f32], t: f64) -> Vec<f32> {
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let (a, b) = (wide(a), wide(b));
    let (long_a, long_b) = (dot(&a, &a).sqrt(), dot(&b, &b).sqrt());
    let mix = |a: &[f64], b: &[f64], [p, q]: [f64; 2]| -> Vec<f32> {
        a.iter().zip(b).map(|(x, y)| (p * x + q * y) as f32).collect()
    };
    if t <= 0.0 || t >= 1.0 || long_a == 0.0 || long_b == 0.0 {
        let t = t.clamp(0.0, 1.0);
        return mix(&a, &b, [1.0 - t, t]);
    }
    let length = (1.0 - t) * long_a + t * long_b;
    let unit = |v: &[f64], long: f64| v.iter().map(|x| x / long).collect::<Vec<f64>>();
    let (u, v) = (unit(&a, long_a), unit(&b, long_b));
    let cosine = dot(&u, &v).clamp(-1.0, 1.0);
    // The part of v across u, whose length is the sine: exact for small angles too, where 1 − cos² is not.
    let across: Vec<f64> = v.iter().zip(&u).map(|(v, u)| v - cosine * u).collect();
    let sine = dot(&across, &across).sqrt();
    if sine < PARALLEL && cosine > 0.0 {
        return mix(&a, &b, [1.0 - t, t]);
    }
    let (angle, across) = match sine < PARALLEL {
        true => (std::f64::consts::PI, axis_across(&u)),
        false => (sine.atan2(cosine), unit(&across, sine)),
    };
    let (sin, cos) = (t * angle).sin_cos();
    mix(&u, &across, [length * cos, length * sin])
}

/// A unit vector across `u`: of the coordinate axis that it leans to least. In one dimension there is none, and it is 0.
fn axis_across(u: &[f64]) -> Vec<f64> {
    let least = (0..u.len()).min_by(|&i, &j| u[i].abs().total_cmp(&u[j].abs())).unwrap_or(0);
    let mut axis: Vec<f64> = u.iter().map(|x| -u[least] * x).collect();
    if let Some(x) = axis.get_mut(least) {
        *x += 1.0;
    }
    let long = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
    axis.iter().map(|x| if long > PARALLEL { x / long } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: &[f32], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        let close = got.iter().zip(want).all(|(g, w)| (f64::from(*g) - w).abs() < 1e-6);
        assert!(close, "{got:?}, not {want:?}");
    }

    #[test]
    fn directions_turn_evenly_and_lengths_change_evenly() {
        // A quarter turn in a plane: at a third of the way 30 degrees, and a length of 2 + 1/3.
        let (sin, cos) = 30f64.to_radians().sin_cos();
        let length = 2.0 + 1.0 / 3.0;
        near(&slerp(&[2.0, 0.0, 0.0], &[0.0, 0.0, 3.0], 1.0 / 3.0), &[length * cos, 0.0, length * sin]);
        let (a, b) = ([0.3, -1.2, 0.7], [1.1, 0.4, -0.2]);
        assert_eq!((slerp(&a, &b, 0.0), slerp(&a, &b, 1.0)), (a.to_vec(), b.to_vec()));
        // The same way from the other end.
        let back: Vec<f64> = slerp(&b, &a, 0.8).iter().map(|&x| f64::from(x)).collect();
        near(&slerp(&a, &b, 0.2), &back);
    }

    #[test]
    fn parallel_opposite_and_empty_ones_have_a_way_too() {
        near(&slerp(&[1.0, 2.0], &[3.0, 6.0], 0.5), &[2.0, 4.0]);
        near(&slerp(&[0.0, 0.0], &[2.0, 0.0], 0.25), &[0.5, 0.0]);
        // Opposite: half-way it lies across both, and as far out.
        let half = slerp(&[0.0, 2.0, 0.0], &[0.0, -2.0, 0.0], 0.5);
        let long: f32 = half.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((long - 2.0).abs() < 1e-6 && half[1].abs() < 1e-6, "{half:?}");
        // Almost parallel: nothing is divided by a sine of rounding.
        let near_by = slerp(&[1.0, 0.0], &[1.0, 1e-7], 0.5);
        assert!(near_by.iter().all(|x| x.is_finite()) && (near_by[0] - 1.0).abs() < 1e-6, "{near_by:?}");
        assert!(slerp(&[1.0], &[-1.0], 0.5)[0].abs() < 1e-6);
    }

    #[test]
    fn truncation_leads_to_the_mean() {
        let mut z = [2.0, -4.0, 0.0, 1.0];
        truncate(&mut z, &[0.0, 0.0], 0.5);
        assert_eq!(z, [1.0, -2.0, 0.0, 0.5]);
        truncate(&mut z, &[1.0, 1.0], 0.0);
        assert_eq!(z, [1.0; 4]);
    }
}
