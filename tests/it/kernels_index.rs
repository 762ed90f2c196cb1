//! Indexed and random kernels and the optimiser against plain references.

use crate::harness::{Case, Data, RNG_WORDS, close, floats, noise, run};
use danskin::graph::Dist;
use danskin::philox;
use danskin::plan::{Draw, WeightDecay, Work};

const SEED: u64 = (RNG_WORDS[1] as u64) << 32 | RNG_WORDS[0] as u64;
const STEP: u32 = RNG_WORDS[2];

/// Indices of all kinds: inside, at the ends, outside, fractional, NaN.
fn indices(rows: usize, count: usize) -> Vec<f32> {
    let kinds = [0.0, rows as f32 - 1.0, -3.0, rows as f32 + 7.0, 1.7, f32::NAN, 1e20, f32::NEG_INFINITY];
    let pick = |i: usize| if i.is_multiple_of(3) { kinds[i / 3 % kinds.len()] } else { (i * 7 % rows) as f32 };
    (0..count).map(pick).collect()
}

fn row(index: f32, rows: usize) -> usize {
    (index.max(0.0) as usize).min(rows - 1)
}

#[test]
fn gather_and_scatter_add() {
    let table = [(1, 1, 1), (10, 1, 63), (5, 7, 65), (64, 33, 9), (3, 300, 50)];
    let pairs: Vec<[Case; 2]> = table
        .iter()
        .map(|&(rows, cols, count)| {
            let index = Data::F32(indices(rows, count));
            [
                Case {
                    label: format!("gather {rows}x{cols} by {count}"),
                    work: Work::Gather { rows, cols, count },
                    inputs: vec![Data::F32(noise(3, rows * cols)), index.clone()],
                    outputs: vec![Data::poison(count * cols)],
                },
                Case {
                    label: format!("scatter_add {count} into {rows}x{cols}"),
                    work: Work::ScatterAdd { rows, cols, count },
                    inputs: vec![Data::F32(noise(4, count * cols)), index],
                    outputs: vec![Data::poison(rows * cols)],
                },
            ]
        })
        .collect();
    let cases = pairs.concat();
    for (case, out) in cases.iter().zip(run(&cases)) {
        let (x, index) = (floats(&case.inputs[0].words()), floats(&case.inputs[1].words()));
        match case.work {
            Work::Gather { rows, cols, .. } => {
                let expected: Vec<f32> =
                    index.iter().flat_map(|&i| x[row(i, rows) * cols..][..cols].to_vec()).collect();
                assert_eq!(floats(&out[0]), expected, "{}", case.label);
            }
            Work::ScatterAdd { rows, cols, .. } => {
                // In order of b in f32: the same sums to the bit.
                let mut expected = vec![0.0; rows * cols];
                for (b, &i) in index.iter().enumerate() {
                    (0..cols).for_each(|c| expected[row(i, rows) * cols + c] += x[b * cols + c]);
                }
                assert_eq!(floats(&out[0]), expected, "{}", case.label);
            }
            _ => unreachable!(),
        }
    }
}

#[test]
fn random_numbers() {
    let table =
        [(Dist::Uniform, 1), (Dist::Uniform, 63), (Dist::Uniform, 4097), (Dist::Normal, 6), (Dist::Normal, 40_003)];
    let cases: Vec<Case> = table
        .iter()
        .zip(11..)
        .map(|(&(dist, len), stream)| Case {
            label: format!("{len} {dist:?}"),
            work: Work::Rand { dist, stream },
            inputs: vec![],
            outputs: vec![Data::poison(len)],
        })
        .collect();
    for ((case, out), &(dist, len)) in cases.iter().zip(run(&cases)).zip(&table) {
        let Work::Rand { stream, .. } = case.work else { unreachable!() };
        let at = |i| match dist {
            Dist::Uniform => philox::uniform_at(SEED, stream, STEP, i),
            Dist::Normal => philox::normal_at(SEED, stream, STEP, i),
        };
        let expected: Vec<f64> = (0..len as u64).map(at).collect();
        match dist {
            // 23 bits and a half are exact in f32: the same words.
            Dist::Uniform => assert_eq!(floats(&out[0]), expected.iter().map(|&v| v as f32).collect::<Vec<_>>()),
            // ln is granted 2⁻²¹ where the square root is at its steepest that matters (radius ≥ 0.3).
            Dist::Normal => close(&case.label, &floats(&out[0]), &expected, 1e-6, 2e-6),
        }
    }
}

/// (epoch, place) of a batch; the place of a small set is this one within it.
const CURSOR: [u32; 2] = [3, 990];

#[test]
fn draw_a_batch() {
    let table = [
        (1, 1, [1, 1, 1], true, false, 0),
        (7, 5, [3, 5, 3], false, false, 0),
        // Batches larger than the set: every epoch has an order of its own.
        (3, 64, [1, 2, 1], true, true, 0),
        (17, 40, [1, 1, 3], true, false, 0),
        (100, 65, [4, 7, 3], true, true, 0),
        (1000, 19, [33, 31, 1], true, true, 0),
        (65_537, 70, [1, 1, 1], true, true, 0),
        // Shifted: by less than the image, by all of it and more.
        (7, 9, [3, 5, 3], false, false, 1),
        (100, 65, [4, 7, 3], true, true, 2),
        (50, 19, [33, 31, 1], true, true, 4),
        (17, 40, [2, 1, 3], true, true, 5),
    ];
    let bytes =
        |len: usize| -> Vec<u8> { (0..len as u64).map(|i| philox::block(5, [i as u32, 0, 0, 0])[0] as u8).collect() };
    let cases: Vec<Case> = table
        .iter()
        .zip(20..)
        .map(|(&(count, n, image, labels, mirror, crop), stream)| {
            let size = image.iter().product::<usize>();
            let mut packed = bytes(count * size);
            packed.resize(packed.len().next_multiple_of(4), 0xee);
            let words = packed.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let mut inputs = vec![Data::U32(words)];
            let mut outputs = vec![Data::poison(n * size)];
            if labels {
                inputs.push(Data::U32((0..count as u32).map(|i| i % 10).collect()));
                outputs.push(Data::poison(n));
            }
            inputs.push(Data::U32(vec![CURSOR[0], CURSOR[1] % count as u32]));
            let work = Work::Draw(Draw { count, n, image, labels, mirror, crop, stream });
            Case { label: format!("draw {n} of {count} images {image:?} shifted by {crop}"), work, inputs, outputs }
        })
        .collect();
    let (mut flips, mut shifts) = (0, 0);
    for (case, out) in cases.iter().zip(run(&cases)) {
        let Work::Draw(d) = &case.work else { unreachable!() };
        let [h, w, c] = d.image;
        let set = bytes(d.count * h * w * c);
        let (mut batch, mut labels) = (vec![], vec![]);
        for j in 0..d.n {
            let at = CURSOR[1] as usize % d.count + j;
            let epoch = CURSOR[0] + (at / d.count) as u32;
            let image = philox::shuffled(SEED, d.stream, epoch, (at % d.count) as u32, d.count as u32) as usize;
            let flip = d.mirror && philox::block(SEED, [(j / 4) as u32, STEP, d.stream, 1])[j % 4] >> 31 == 1;
            flips += usize::from(flip);
            // A border of `crop` black pixels is around the image; a window of its size starts at this row and column.
            let word = philox::block(SEED, [(j / 4) as u32, STEP, d.stream, 3])[j % 4];
            let [down, right] = [word >> 16, word & 0xffff].map(|half| half as usize * (2 * d.crop + 1) / 65_536);
            shifts += usize::from([down, right] != [d.crop; 2]);
            labels.push((image % 10) as f32);
            for (y, x, k) in (0..h * w * c).map(|e| (e / (w * c), e / c % w, e % c)) {
                let (y, x) = (y + down, if flip { w - 1 - x } else { x } + right);
                let inside = (d.crop..d.crop + h).contains(&y) && (d.crop..d.crop + w).contains(&x);
                let at = |y: usize, x: usize| set[((image * h + y) * w + x) * c + k];
                let byte = if inside { at(y - d.crop, x - d.crop) } else { 0 };
                batch.push(f64::from(byte) / 127.5 - 1.0);
            }
        }
        // A quotient of 2 at most within 2.5 ulp, and a difference.
        close(&case.label, &floats(&out[0]), &batch, 0.0, 6e-7);
        if d.labels {
            assert_eq!(floats(&out[1]), labels, "labels of {}", case.label);
        }
    }
    assert!(flips > 10, "only {flips} images were mirrored");
    assert!(shifts > 60, "only {shifts} images were shifted");
}

#[test]
fn log_a_row() {
    let table = [(1, 1), (3, 5), (65, 2)];
    let cases = table.map(|(count, rows)| Case {
        label: format!("log of {count} in {rows} rows"),
        work: Work::LogRow { count, rows },
        inputs: vec![Data::F32(noise(6, 64 * count))],
        outputs: vec![Data::F32(noise(7, rows * count))],
    });
    for (case, out) in cases.iter().zip(run(&cases)) {
        let Work::LogRow { count, rows } = case.work else { unreachable!() };
        let (x, mut expected) = (floats(&case.inputs[0].words()), floats(&case.outputs[0].words()));
        for i in 0..count {
            expected[STEP as usize % rows * count + i] = x[64 * i];
        }
        assert_eq!(floats(&out[0]), expected, "{}", case.label);
    }
}

#[test]
fn adam() {
    // lr, β₁, β₂, ε, c₁, c₂, β, gradient scale, decay
    let scalars: [f32; 9] = [2e-3, 0.5, 0.99, 1e-8, 1.0 / (1.0 - 0.125), 1.0 / (1.0 - 0.970_299), 0.9, 0.5, 0.0];
    let table = [1usize, 63, 64, 65, 1000];
    let cases = table.map(|len| {
        let blocks = len.div_ceil(64);
        let mut g = noise(1, len);
        for (i, odd) in
            [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e5, -3e5, 0.0, 1e-30].iter().enumerate()
        {
            if i * 7 < len && len > 1 {
                g[i * 7] = *odd;
            }
        }
        Case {
            label: format!("adam over {len}"),
            work: Work::Adam(WeightDecay::Off),
            inputs: vec![
                Data::F32(scalars.to_vec()),
                Data::F32(g),
                Data::U32((0..blocks as u32).map(|b| b / 2).collect()),
            ],
            outputs: vec![
                Data::F32(noise(2, len)),
                Data::F32(noise(3, len)),
                Data::F32(noise(4, len).iter().map(|v| v.abs() + 0.01).collect()),
                Data::F32(noise(5, len)),
                Data::U32(vec![5; blocks.div_ceil(2)]),
            ],
        }
    });
    // A network without an average: everything else is the same, to the bit.
    let without: Vec<Case> = cases
        .iter()
        .cloned()
        .map(|mut case| {
            case.outputs.remove(3);
            case
        })
        .collect();
    let with = run(&cases);
    for ((case, mut all), some) in cases.iter().zip(with.clone()).zip(run(&without)) {
        all.remove(3);
        assert_eq!(all, some, "{} without an average", case.label);
    }
    for (case, out) in cases.iter().zip(with) {
        let [lr, b1, b2, eps, c1, c2, beta, scale, _] = scalars.map(f64::from);
        let before: Vec<Vec<f32>> = case.outputs.iter().map(|d| floats(&d.words())).collect();
        let mut counters = case.outputs[4].words();
        let mut expected = vec![vec![]; 4];
        for (i, g) in floats(&case.inputs[1].words()).into_iter().enumerate() {
            counters[i / 128] += u32::from(!g.is_finite());
            let g = if g.is_nan() { 0.0 } else { (scale * f64::from(g)).clamp(-1e5, 1e5) };
            let [w, m, v, ema] = [0, 1, 2, 3].map(|k| f64::from(before[k][i]));
            let (m, v) = (b1 * m + (1.0 - b1) * g, b2 * v + (1.0 - b2) * g * g);
            let w = w - lr * (m * c1) / ((v * c2).sqrt() + eps);
            [w, m, v, w + beta * (ema - w)].into_iter().zip(&mut expected).for_each(|(x, column)| column.push(x));
        }
        for (k, name) in ["weights", "first moment", "second moment", "ema"].iter().enumerate() {
            close(&format!("{}: {name}", case.label), &floats(&out[k]), &expected[k], 1e-6, 3e-7);
        }
        assert_eq!(out[4], counters, "{}: counters", case.label);
    }
}

/// Weight decay and gradient descent: with and without an average, over awkward sizes, with gradients that are no numbers.
#[test]
fn weight_decay_and_descent() {
    use WeightDecay::{Decoupled, L2};
    let [lr, b1, b2, eps, c1, c2, beta, scale, decay] =
        [2e-3, 0.5, 0.99, 1e-8, 1.0 / (1.0 - 0.125), 1.0 / (1.0 - 0.970_299), 0.9, 0.5, 0.125f32];
    let works = [Work::Adam(L2), Work::Adam(Decoupled), Work::Sgd { nesterov: false }, Work::Sgd { nesterov: true }];
    let make = |work: &Work, len: usize, average: bool| {
        let blocks = len.div_ceil(64);
        let mut g = noise(1, len);
        for (i, odd) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e5, -3e5].iter().enumerate() {
            if i * 7 < len && len > 1 {
                g[i * 7] = *odd;
            }
        }
        let told = match work {
            Work::Adam(Decoupled) => vec![lr, b1, b2, eps, c1, c2, beta, scale, 1.0 - decay],
            Work::Adam(_) => vec![lr, b1, b2, eps, c1, c2, beta, scale, decay],
            _ => vec![lr, b1, f32::NAN, f32::NAN, f32::NAN, f32::NAN, beta, scale, decay],
        };
        let mut outputs = vec![Data::F32(noise(2, len)), Data::F32(noise(3, len))];
        if matches!(work, Work::Adam(_)) {
            outputs.push(Data::F32(noise(4, len).iter().map(|v| v.abs() + 0.01).collect()));
        }
        if average {
            outputs.push(Data::F32(noise(5, len)));
        }
        outputs.push(Data::U32(vec![5; blocks.div_ceil(2)]));
        let owner = Data::U32((0..blocks as u32).map(|b| b / 2).collect());
        let inputs = vec![Data::F32(told), Data::F32(g), owner];
        Case { label: format!("{work:?} over {len}"), work: work.clone(), inputs, outputs }
    };
    let all = |average: bool| -> Vec<Case> {
        works.iter().flat_map(|work| [1, 63, 65, 1000].map(|len| make(work, len, average))).collect()
    };
    let (with, without) = (all(true), all(false));
    for ((case, out), alone) in with.iter().zip(run(&with)).zip(run(&without)) {
        let moments = case.outputs.len() - 3;
        let mut some = out.clone();
        some.remove(moments + 1);
        assert_eq!(some, alone, "{} without an average", case.label);
        let before: Vec<Vec<f32>> = case.outputs.iter().map(|d| floats(&d.words())).collect();
        let mut counters = case.outputs[moments + 2].words();
        let mut expected = vec![vec![]; moments + 2];
        let [lr, b1, b2, eps, c1, c2, beta, scale, decay] =
            [lr, b1, b2, eps, c1, c2, beta, scale, decay].map(f64::from);
        for (i, g) in floats(&case.inputs[1].words()).into_iter().enumerate() {
            counters[i / 128] += u32::from(!g.is_finite());
            let g = if g.is_nan() { 0.0 } else { (scale * f64::from(g)).clamp(-1e5, 1e5) };
            let [w, m, ema] = [0, 1, moments + 1].map(|k| f64::from(before[k][i]));
            let l2 = g + decay * w;
            let mut row = match case.work {
                Work::Adam(kind) => {
                    let (g, w) = if kind == Decoupled { (g, w * (1.0 - decay)) } else { (l2, w) };
                    let v = f64::from(before[2][i]);
                    let (m, v) = (b1 * m + (1.0 - b1) * g, b2 * v + (1.0 - b2) * g * g);
                    vec![w - lr * (m * c1) / ((v * c2).sqrt() + eps), m, v]
                }
                Work::Sgd { nesterov } => {
                    let m = b1 * m + l2;
                    vec![w - lr * if nesterov { l2 + b1 * m } else { m }, m]
                }
                _ => unreachable!(),
            };
            row.push(row[0] + beta * (ema - row[0]));
            row.into_iter().zip(&mut expected).for_each(|(x, column)| column.push(x));
        }
        for (k, expected) in expected.iter().enumerate() {
            close(&format!("{}: output {k}", case.label), &floats(&out[k]), expected, 1e-6, 4e-7);
        }
        assert_eq!(out[moments + 2], counters, "{}: counters", case.label);
    }
}
