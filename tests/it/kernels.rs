//! Every kernel against plain f64 references at awkward shapes: 1, 63/64/65, primes, empty tails, many axes.

use crate::harness::{Case, Data, floats, run};
use danskin::graph::Shape;
use danskin::plan::Work;

/// Deterministic numbers in (−1, 1), different for every `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (2.0 * danskin::philox::uniform_at(seed, 0, 0, i) - 1.0) as f32).collect()
}

#[test]
fn pad() {
    type Row = (&'static [usize], &'static [usize], &'static [usize]);
    let table: [Row; 7] = [
        (&[1], &[1], &[0]),
        (&[63], &[131], &[65]),
        (&[3, 5], &[3, 7], &[0, 1]),
        (&[2, 1, 4], &[3, 1, 4], &[1, 0, 0]),
        (&[2, 3, 4, 5], &[2, 5, 7, 5], &[0, 1, 2, 0]),
        (&[1, 2, 3, 2, 1], &[2, 3, 4, 3, 2], &[1, 1, 0, 1, 1]),
        (&[257, 300], &[300, 301], &[40, 0]),
    ];
    let cases: Vec<Case> = table
        .iter()
        .map(|(from, to, start)| Case {
            label: format!("pad {from:?} to {to:?} at {start:?}"),
            work: Work::Pad { from: Shape::from(*from), to: Shape::from(*to), start: start.to_vec() },
            inputs: vec![Data::F32(noise(1, from.iter().product()))],
            outputs: vec![Data::poison(to.iter().product())],
        })
        .collect();
    for ((from, to, start), (case, out)) in table.iter().zip(cases.iter().zip(run(&cases))) {
        let mut expected = vec![0.0; to.iter().product()];
        let (from, to) = (Shape::from(*from), Shape::from(*to));
        let Data::F32(x) = &case.inputs[0] else { unreachable!() };
        for (i, &v) in x.iter().enumerate() {
            let c = from.strides().iter().zip(from.iter()).map(|(s, n)| i / s % n).collect::<Vec<_>>();
            let at: usize =
                c.iter().zip(*start).zip(to.strides()).map(|((c, start), stride)| (c + start) * stride).sum();
            expected[at] = v;
        }
        assert_eq!(floats(&out[0]), expected, "{}", case.label);
    }
}
