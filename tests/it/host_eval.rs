//! `host::eval` against computations written differently: direct sums, closed forms, adjoint pairs.

use danskin::autodiff::grad;
use danskin::graph::{ConvSpec, Dist, FirSpec, Graph, Real, Tensor};
use danskin::host::{Rng, eval};
use danskin::philox;
use std::collections::HashMap;

const RNG: Rng = Rng { seed: 11, step: 3, round: 0 };

/// Standard normal numbers, different for every `stream`.
fn noise(stream: u32, n: usize) -> Vec<f64> {
    (0..n as u64).map(|i| philox::normal_at(5, stream, 0, i)).collect()
}

fn run(g: &Graph, roots: &[(&str, Tensor)], feeds: &[(&str, Vec<f64>)]) -> HashMap<String, Vec<f64>> {
    let roots: Vec<_> = roots.iter().map(|(n, t)| (n.to_string(), *t)).collect();
    let feeds = feeds.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
    eval(&g.freeze(&roots), &feeds, RNG).unwrap()
}

fn close(a: &[f64], b: &[f64], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 1e-11 * (1.0 + b.abs()), "{what}: element {i}: {a} is not {b}");
    }
}

/// Calls `f(x index, w index, y index)` for every product of a convolution.
fn conv_products(spec: &ConvSpec, n: usize, cin: usize, cout: usize, mut f: impl FnMut(usize, usize, usize)) {
    let ([h, w], [ho, wo], [kh, kw]) = (spec.input, spec.output(), spec.kernel);
    let (gin, gout) = (cin / spec.groups, cout / spec.groups);
    for (b, oy, ox, co) in itertools4(n, ho, wo, cout) {
        for (ky, kx, ci, _) in itertools4(kh, kw, gin, 1) {
            let y = (oy * spec.stride[0] + ky) as isize - spec.pad[0] as isize;
            let x = (ox * spec.stride[1] + kx) as isize - spec.pad[1] as isize;
            if y >= 0 && (y as usize) < h && x >= 0 && (x as usize) < w {
                let channel = co / gout * gin + ci;
                let xi = ((b * h + y as usize) * w + x as usize) * cin + channel;
                let wi = ((ky * kw + kx) * gin + ci) * cout + co;
                f(xi, wi, ((b * ho + oy) * wo + ox) * cout + co);
            }
        }
    }
}

fn itertools4(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// (spec, n, cin, cout): strides that do not divide, odd pads, groups, depthwise, rectangular kernels.
pub fn conv_cases() -> Vec<(ConvSpec, usize, usize, usize)> {
    let spec = |stride, pad, groups, kernel, input| ConvSpec { stride, pad, groups, kernel, input };
    vec![
        (spec([1, 1], [0, 0], 1, [1, 1], [1, 1]), 1, 1, 1),
        (spec([1, 1], [1, 1], 1, [3, 3], [6, 5]), 2, 3, 4),
        (spec([2, 2], [1, 1], 1, [4, 4], [8, 8]), 2, 3, 5),
        (spec([2, 2], [1, 1], 1, [4, 4], [7, 9]), 3, 4, 2),
        (spec([2, 3], [1, 0], 1, [3, 2], [9, 11]), 2, 2, 3),
        (spec([3, 2], [2, 3], 1, [5, 4], [8, 7]), 1, 3, 3),
        (spec([1, 1], [0, 0], 1, [4, 4], [4, 4]), 5, 6, 7),
        (spec([1, 1], [1, 1], 2, [3, 3], [5, 6]), 2, 4, 6),
        (spec([2, 1], [1, 2], 3, [3, 4], [7, 6]), 2, 6, 3),
        (spec([1, 1], [1, 1], 5, [3, 3], [6, 4]), 2, 5, 5),
        (spec([2, 2], [2, 2], 4, [5, 5], [9, 8]), 1, 4, 8),
        (spec([3, 3], [0, 0], 1, [2, 2], [10, 9]), 2, 2, 2),
        (spec([1, 1], [0, 0], 1, [1, 1], [7, 5]), 3, 9, 17),
        (spec([2, 2], [0, 0], 1, [1, 1], [7, 6]), 2, 5, 3),
        (spec([1, 1], [3, 3], 1, [3, 3], [4, 4]), 1, 2, 3),
        (spec([1, 1], [1, 1], 1, [3, 3], [17, 13]), 2, 16, 24),
        (spec([2, 2], [1, 1], 1, [4, 4], [16, 12]), 3, 17, 20),
        (spec([2, 2], [1, 1], 1, [4, 4], [16, 16]), 4, 12, 128),
        (spec([2, 2], [1, 2], 2, [4, 3], [9, 14]), 3, 6, 8),
        (spec([3, 3], [1, 0], 2, [2, 2], [8, 10]), 2, 24, 4),
        (spec([1, 1], [1, 1], 1, [3, 3], [18, 15]), 2, 14, 40),
        (spec([1, 1], [1, 1], 1, [3, 3], [20, 30]), 3, 3, 8),
    ]
}

#[test]
fn convolutions_match_direct_sums() {
    for (spec, n, cin, cout) in conv_cases() {
        let [[h, w], [ho, wo], [kh, kw]] = [spec.input, spec.output(), spec.kernel];
        let shapes = [[n, h, w, cin], [kh, kw, cin / spec.groups, cout], [n, ho, wo, cout]];
        let [x, k, y] = [0, 1, 2].map(|i| noise(i as u32, shapes[i].iter().product()));
        let mut want = [vec![0.0; y.len()], vec![0.0; x.len()], vec![0.0; k.len()]];
        conv_products(&spec, n, cin, cout, |xi, wi, yi| {
            want[0][yi] += x[xi] * k[wi];
            want[1][xi] += y[yi] * k[wi];
            want[2][wi] += x[xi] * y[yi];
        });
        let g = Graph::new();
        let (tx, tk, ty) = (g.input("x", shapes[0]), g.param("w", shapes[1]), g.input("y", shapes[2]));
        let roots =
            [("y'", tx.conv_spec(tk, spec)), ("x'", ty.conv_x_spec(tk, spec)), ("w'", tx.conv_w_spec(ty, spec))];
        let got = run(&g, &roots, &[("x", x), ("w", k), ("y", y)]);
        for (name, want) in ["y'", "x'", "w'"].iter().zip(&want) {
            close(&got[*name], want, &format!("{name} of {spec:?}"));
        }
    }
}

#[test]
fn fir_matches_its_definition_and_its_adjoint() {
    let taps: Vec<Real> = [0.3, -1.0, 0.7, 0.2].map(Real).to_vec();
    let cases = [
        (1, 1, [[1, 2], [2, 1]], false),
        (2, 1, [[2, 1], [2, 1]], true),
        (1, 2, [[1, 1], [1, 1]], false),
        (2, 3, [[-1, 4], [3, -2]], true),
        (3, 2, [[0, 0], [5, 7]], false),
    ];
    for (up, down, pad, flip) in cases {
        let spec = FirSpec { taps: taps.clone(), up, down, pad, flip };
        let [n, h, w, c] = [2, 5, 7, 3];
        let (ho, wo) = (spec.output(0, h), spec.output(1, w));
        let f = spec.correlation_taps();
        let x = noise(9, n * h * w * c);
        let mut want = vec![0.0; n * ho * wo * c];
        for (b, oy, ox, ch) in itertools4(n, ho, wo, c) {
            for (ty, tx, _, _) in itertools4(4, 4, 1, 1) {
                let jy = (oy * down + ty) as i64 - pad[0][0];
                let jx = (ox * down + tx) as i64 - pad[1][0];
                if jy < 0 || jx < 0 || jy % up as i64 != 0 || jx % up as i64 != 0 {
                    continue;
                }
                let (iy, ix) = (jy as usize / up, jx as usize / up);
                if iy < h && ix < w {
                    want[((b * ho + oy) * wo + ox) * c + ch] += f[ty] * f[tx] * x[((b * h + iy) * w + ix) * c + ch];
                }
            }
        }
        let g = Graph::new();
        let (tx, ty) = (g.input("x", [n, h, w, c]), g.input("y", [n, ho, wo, c]));
        let out = tx.fir(spec);
        let back = grad((out * ty).sum_all(), &[tx])[0];
        let y = noise(10, n * ho * wo * c);
        let got = run(&g, &[("out", out), ("back", back)], &[("x", x.clone()), ("y", y.clone())]);
        close(&got["out"], &want, &format!("fir up {up} down {down}"));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        close(&[dot(&got["out"], &y)], &[dot(&x, &got["back"])], "⟨Fx, y⟩ = ⟨x, Fᵀy⟩");
    }
}

#[test]
fn samples_interpolate_and_their_adjoint_is_one() {
    let g = Graph::new();
    let (x, at) = (g.input("x", [2, 4, 5, 3]), g.input("at", [2, 3, 2, 2]));
    let y = g.input("y", [2, 3, 2, 3]);
    // Inside, on a pixel, on an edge, half outside, outside, far outside.
    let points = [[1.25, 2.5], [2.0, 3.0], [0.0, 4.0], [-0.5, 1.0], [3.75, -0.25], [9e9, -9e9]];
    let grid: Vec<f64> = points.iter().chain(&points).flatten().copied().collect();
    let values = noise(1, 120);
    let weight = noise(2, 36);
    let (s, back) = (x.sample(at), y.sample_adjoint(at, [4, 5]));
    let got = run(&g, &[("s", s), ("back", back)], &[("x", values.clone()), ("at", grid), ("y", weight.clone())]);
    let pixel = |b: usize, py: isize, px: isize, c: usize| {
        let inside = (0..4).contains(&py) && (0..5).contains(&px);
        if inside { values[((b * 4 + py as usize) * 5 + px as usize) * 3 + c] } else { 0.0 }
    };
    let mut want = vec![];
    for b in 0..2 {
        for [py, px] in points {
            let (fy, fx) = (py - f64::floor(py), px - f64::floor(px));
            let (iy, ix) = (f64::floor(py) as isize, f64::floor(px) as isize);
            for c in 0..3 {
                let top = pixel(b, iy, ix, c) * (1.0 - fx) + pixel(b, iy, ix.saturating_add(1), c) * fx;
                let down = iy.saturating_add(1);
                let bottom = pixel(b, down, ix, c) * (1.0 - fx) + pixel(b, down, ix.saturating_add(1), c) * fx;
                want.push(top * (1.0 - fy) + bottom * fy);
            }
        }
    }
    close(&got["s"], &want, "samples");
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    close(&[dot(&got["s"], &weight)], &[dot(&values, &got["back"])], "adjoint");
}

#[test]
fn shape_primitives_and_matrix_products() {
    let g = Graph::new();
    let x = g.input("x", [2, 3, 4]);
    let a = g.input("a", [3, 2]);
    let b = g.input("b", [4, 3]);
    let roots = [
        ("permute", x.permute(&[2, 0, 1])),
        ("sum", x.sum(&[0, 2])),
        ("slice", x.slice(&[1, 1, 2], [1, 2, 2])),
        ("pad", a.pad(&[1, 0], [5, 3])),
        ("expand", a.reshape([3, 1, 2]).expand([3, 2, 2])),
        ("product", a.matmul_t(true, b, true)),
    ];
    let count: Vec<f64> = (0..24).map(f64::from).collect();
    let feeds = [("x", count), ("a", vec![1., 2., 3., 4., 5., 6.]), ("b", (0..12).map(f64::from).collect())];
    let got = run(&g, &roots, &feeds);
    assert_eq!(got["permute"][..7], [0., 4., 8., 12., 16., 20., 1.]);
    assert_eq!(got["sum"], [60., 92., 124.]);
    assert_eq!(got["slice"], [18., 19., 22., 23.]);
    assert_eq!(got["pad"], [0., 0., 0., 1., 2., 0., 3., 4., 0., 5., 6., 0., 0., 0., 0.]);
    assert_eq!(got["expand"], [1., 2., 1., 2., 3., 4., 3., 4., 5., 6., 5., 6.]);
    assert_eq!(got["product"], [13., 40., 67., 94., 16., 52., 88., 124.]);
}

#[test]
fn rows_by_index_are_clamped_and_add_up() {
    let g = Graph::new();
    let (table, index) = (g.input("table", [3, 2]), g.input("index", [5]));
    let rows = table.gather(index);
    let feeds = [("table", vec![1., 2., 3., 4., 5., 6.]), ("index", vec![2., 0., 2., -1., 7.])];
    let got = run(&g, &[("rows", rows), ("sum", rows.scatter_add(index, 3))], &feeds);
    assert_eq!(got["rows"], [5., 6., 1., 2., 5., 6., 1., 2., 5., 6.]);
    assert_eq!(got["sum"], [2., 4., 0., 0., 15., 18.]);
}

#[test]
fn pointwise_primitives_match_closed_forms() {
    let g = Graph::new();
    let x = g.input("x", [7]);
    let y = g.input("y", [7]);
    let values = [-800.0, -1.5, -0.0, 0.0, 0.25, 2.0, 800.0f64];
    let other = [1.0, -1.5, 3.0, -2.0, 0.5, 2.0, 900.0f64];
    type Case<'g> = (&'static str, Tensor<'g>, fn(f64, f64) -> f64);
    let cases: Vec<Case> = vec![
        ("add", x + y, |x, y| x + y),
        ("mul", x * y, |x, y| x * y),
        ("scale", x.scale(-2.5), |x, _| -2.5 * x),
        ("square", x.pow(2.0), |x, _| x * x),
        ("root", x.abs().sqrt(), |x, _| x.abs().sqrt()),
        ("pow", y.abs().pow(-1.7), |_, y| y.abs().powf(-1.7)),
        ("reciprocal", y.pow(-1.0), |_, y| 1.0 / y),
        ("inverse square", y.pow(-2.0), |_, y| y.powi(-2)),
        ("inverse root", y.abs().pow(-0.5), |_, y| y.abs().powf(-0.5)),
        ("exp", y.scale(0.1).exp(), |_, y| (0.1 * y).exp()),
        ("log", y.abs().log(), |_, y| y.abs().ln()),
        ("sigmoid", x.sigmoid(), |x, _| 0.5 * (1.0 + (0.5 * x).tanh())),
        ("tanh", y.tanh(), |_, y| 1.0 - 2.0 / (1.0 + (2.0 * y).exp())),
        ("softplus", x.softplus(), |x, _| if x > 700.0 { x } else { x.exp().ln_1p() }),
        ("sign", x.sign(), |x, _| if x == 0.0 { 0.0 } else { x.signum() }),
        ("step", x.step(), |x, _| f64::from(u8::from(x > 0.0))),
        ("select", x.select(y, x), |x, y| if x > 0.0 { y } else { x }),
        ("max", x.max(y), f64::max),
        ("min", x.min(y), f64::min),
    ];
    let roots: Vec<(&str, Tensor)> = cases.iter().map(|c| (c.0, c.1)).collect();
    let got = run(&g, &roots, &[("x", values.to_vec()), ("y", other.to_vec())]);
    for (name, _, f) in cases {
        let want: Vec<f64> = values.iter().zip(&other).map(|(&x, &y)| f(x, y)).collect();
        close(&got[name], &want, name);
    }
}

#[test]
fn random_leaves_are_philox() {
    let g = Graph::new();
    let roots = [("u", g.rand(Dist::Uniform, 4, [3, 3])), ("z", g.rand(Dist::Normal, 7, [10]))];
    let got = run(&g, &roots, &[]);
    assert_eq!(got["u"], (0..9).map(|i| philox::uniform_at(11, 4, 3, i)).collect::<Vec<_>>());
    close(&got["z"], &(0..10).map(|i| philox::normal_at(11, 7, 3, i)).collect::<Vec<_>>(), "normal numbers");
}

#[test]
fn feeds_are_checked() {
    let g = Graph::new();
    let dag = g.freeze(&[("y".to_string(), g.input("x", [3]).exp())]);
    let missing = eval::<f64>(&dag, &HashMap::new(), RNG).unwrap_err().to_string();
    assert!(missing.contains("`x` [3] was not fed"), "{missing}");
    let short = eval(&dag, &HashMap::from([("x".to_string(), vec![1.0f32])]), RNG).unwrap_err().to_string();
    assert!(short.contains("has 3 elements and was fed 1"), "{short}");
}
