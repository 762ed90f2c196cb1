//! Images of any size as a network reads them: areas averaged where they shrink, pixels interpolated where they grow.

use crate::graph::Tensor;

/// The name under which a graph is fed [`resize_matrix`].
pub(super) fn leaf(from: usize, to: usize) -> String {
    format!("resize/{from}/{to}")
}

/// How `from` pixels of a row become `to`, as `[to, from]`.
///
/// To fewer pixels: the mean over the stretch from·[i/to, (i+1)/to] of a row whose pixels are 1 wide, each counted by the part of it that lies
/// within. To more: linear between the two nearest of the pixels' centres (`align_corners=False`); beyond the first and the last centre
/// the row goes on as it ends.
pub fn resize_matrix(from: usize, to: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; to * from];
    let scale = from as f64 / to as f64;
    for (i, row) in matrix.chunks_exact_mut(from.max(1)).enumerate() {
        if to < from {
            let (start, end) = (i as f64 * scale, (i + 1) as f64 * scale);
            for (j, weight) in row.iter_mut().enumerate() {
                let within = end.min((j + 1) as f64) - start.max(j as f64);
                *weight = within.max(0.0) / scale;
            }
        } else {
            let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
            let left = centre.floor() as usize;
            row[left] += 1.0 - centre.fract();
            row[(left + 1).min(from - 1)] += centre.fract();
        }
    }
    matrix
}

/// Square images `[N,H,H,C]` as `[N,size,size,C]`, by [`resize_matrix`] along both axes.
pub fn resized<'g>(images: Tensor<'g>, size: usize) -> Tensor<'g> {
    let [n, from, c] = [images.dim(0), images.dim(1), images.dim(3)];
    if from == size {
        return images;
    }
    let matrix = images.graph().input(&leaf(from, size), [size, from]);
    let along_last = |x: Tensor<'g>| x.reshape([n * x.dim(1) * x.dim(2), from]).matmul_t(false, matrix, true);
    // Columns last, then rows last.
    let wide = along_last(images.permute(&[0, 1, 3, 2])).reshape([n, from, c, size]);
    let square = along_last(wide.permute(&[0, 3, 2, 1])).reshape([n, size, c, size]);
    square.permute(&[0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows() {
        assert_eq!(resize_matrix(4, 2), [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]);
        let third = [2.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 1.0 / 3.0, 2.0 / 3.0];
        resize_matrix(3, 2).iter().zip(third).for_each(|(a, b)| assert!((a - b).abs() < 1e-15));
        assert_eq!(resize_matrix(2, 4), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(resize_matrix(3, 3), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        for (from, to) in [(28, 32), (64, 32), (48, 32), (33, 32), (8, 32), (256, 32), (32, 299), (1, 32)] {
            for row in resize_matrix(from, to).chunks(from) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{from} to {to}");
            }
        }
    }
}
