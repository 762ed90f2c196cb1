//! How unlike each other samples are.

/// Mean Euclidean distance between two samples of `elems` numbers each; `None` for fewer than two.
pub fn mean_distance(samples: &[f32], elems: usize) -> Option<f64> {
    let rows: Vec<&[f32]> = samples.chunks_exact(elems.max(1)).collect();
    let pairs = rows.len() * rows.len().saturating_sub(1) / 2;
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let sum: f64 = rows.iter().enumerate().flat_map(|(i, a)| rows[..i].iter().map(move |b| distance(a, b))).sum();
    (pairs > 0).then(|| sum / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::mean_distance;

    #[test]
    fn distances_of_a_triangle() {
        // Sides 3, 4, 5.
        assert_eq!(mean_distance(&[0.0, 0.0, 3.0, 0.0, 0.0, 4.0], 2), Some(4.0));
        assert_eq!(mean_distance(&[1.0; 8], 2), Some(0.0));
        assert_eq!(mean_distance(&[1.0, 2.0], 2), None);
    }
}
