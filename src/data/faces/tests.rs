//! What the set promises: the same bytes always, factors that show, labels in range, pictures that are faces and differ.

use super::*;

/// Bare-headed, lit from the side, every optional thing on that another factor colours.
fn plain() -> Face {
    Face {
        hair: HairStyle::SidePart,
        hair_colour: HairColour::Chestnut,
        light_side: 0.5,
        glasses: Glasses::Square,
        earrings: Earrings::Drop,
        grain: 7,
        skin_tone: 0.3,
        lipstick: 0.5,
        ..Face::default()
    }
}

/// Mean absolute difference of two pictures in levels of 255.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| f64::from(x.abs_diff(*y))).sum::<f64>() / a.len() as f64
}

/// Brightness of every pixel of every picture of a batch, 0..=1.
fn brightness(seed: u64, count: usize, size: usize) -> Vec<Vec<f64>> {
    let batch = render_batch(seed, 0, count, size);
    let luma = |p: &[u8]| (0.3 * f64::from(p[0]) + 0.59 * f64::from(p[1]) + 0.11 * f64::from(p[2])) / 255.0;
    batch.chunks(size * size * 3).map(|image| image.chunks(3).map(luma).collect()).collect()
}

#[test]
fn an_image_is_a_function_of_seed_and_index() {
    let alone: Vec<u8> = (5..9).flat_map(|i| Face::from_seed(3, i).render(24)).collect();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        assert!(pool.install(|| render_batch(3, 5, 4, 24)) == alone, "bytes differ on {threads} threads");
    }
    assert!(difference(&render_batch(4, 5, 4, 24), &alone) > 5.0, "the seed does not matter");
    let far = 1 << 40;
    assert_ne!(Face::from_seed(3, far + 5), Face::from_seed(3, 5), "the upper half of the index does not matter");
}

#[test]
fn every_factor_shows() {
    let base = plain();
    for (index, factor) in FACTORS.iter().enumerate() {
        let values: Vec<f32> = match factor.kind {
            FactorKind::Class(names) => (0..names.len()).map(|i| i as f32).collect(),
            // Not the other end: hues come round to where they began.
            FactorKind::Range(lo, hi) => vec![lo, lo + 0.6 * (hi - lo)],
        };
        let pictures: Vec<Vec<u8>> = values.iter().map(|&v| base.with(index, v).render(64)).collect();
        for (i, a) in pictures.iter().enumerate() {
            for (j, b) in pictures.iter().enumerate().skip(i + 1) {
                let d = difference(a, b);
                assert!(d > 0.03, "{}: {} and {} look the same ({d:.3} levels)", factor.name, values[i], values[j]);
            }
        }
    }
}

#[test]
fn every_size_renders() {
    for size in (8..=72).step_by(7).chain([64, 100, 128, 255, 256]) {
        let picture = Face::from_seed(1, size as u64).render(size);
        assert_eq!(picture.len(), size * size * 3);
        let (low, high) = (picture.iter().min(), picture.iter().max());
        assert!(high > low.map(|l| l + 60).as_ref(), "size {size} is flat: {low:?} to {high:?}");
    }
    assert_eq!(plain().render(0).len(), 8 * 8 * 3);
    assert_eq!(plain().render(1000).len(), 256 * 256 * 3);
}

#[test]
fn the_same_face_at_any_size() {
    let (small, large) = (plain().render(32), plain().render(64));
    let halved: Vec<u8> = (0..32 * 32 * 3)
        .map(|i| {
            let (y, x, c) = (i / 96, i / 3 % 32, i % 3);
            let at = |dy: usize, dx: usize| u32::from(large[((2 * y + dy) * 64 + 2 * x + dx) * 3 + c]);
            ((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4) as u8
        })
        .collect();
    let d = difference(&small, &halved);
    assert!(d < 6.0, "sizes differ by {d:.2} levels");
}

#[test]
fn labels_are_in_range_and_come_back() {
    let mut seen = vec![std::collections::BTreeSet::new(); FACTORS.len()];
    for i in 0..2000 {
        let face = Face::from_seed(11, i);
        let labels = face.labels();
        assert_eq!(Face::from_labels(&labels, face.grain), face);
        for ((label, factor), seen) in labels.iter().zip(&FACTORS).zip(&mut seen) {
            let name = factor.name;
            match factor.kind {
                FactorKind::Class(names) => {
                    assert!(label.fract() == 0.0 && (0.0..names.len() as f32).contains(label), "{name}: {label}");
                    seen.insert(*label as u32);
                }
                FactorKind::Range(lo, hi) => {
                    assert!((lo..=hi).contains(label), "{name}: {label}");
                    seen.insert(label.to_bits());
                }
            }
        }
    }
    for (factor, seen) in FACTORS.iter().zip(seen) {
        let least = if let FactorKind::Class(names) = factor.kind { names.len() } else { 400 };
        assert!(seen.len() >= least, "{}: only {} values in 2000 faces", factor.name, seen.len());
    }
}

#[test]
fn any_labels_make_a_picture() {
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e30, 1e30];
    for (k, w) in wild.into_iter().enumerate() {
        let face = Face::from_labels(&[w; FACTORS.len()], k as u32);
        assert_eq!(face.render(16).len(), 16 * 16 * 3);
    }
    // Corners of the factor space, where shapes are most extreme.
    for k in 0..24u32 {
        let corner: [f32; FACTORS.len()] =
            std::array::from_fn(|i| if lattice(i as i32, k as i32, 9) < 0.5 { -9.0 } else { 99.0 });
        let picture = Face::from_labels(&corner, k).render(32);
        assert!(picture.iter().max() > picture.iter().min());
    }
    assert_eq!(plain().with(FACTORS.len(), 1.0), plain());
}

#[test]
fn the_mean_picture_is_a_face() {
    const N: usize = 32;
    let faces = brightness(2, 240, N);
    let mean: Vec<f64> = (0..N * N).map(|i| faces.iter().map(|f| f[i]).sum::<f64>() / faces.len() as f64).collect();
    let centre = mean.iter().sum::<f64>() / mean.len() as f64;
    let (mut both, mut own) = (0.0, 0.0);
    for (i, m) in mean.iter().enumerate() {
        let mirrored = mean[i / N * N + (N - 1 - i % N)];
        both += (m - centre) * (mirrored - centre);
        own += (m - centre) * (m - centre);
    }
    assert!(both / own > 0.85, "left-right correlation {:.3}", both / own);
    // Eyes and mouth are darker than cheeks.
    let patch = |x: usize, y: usize| (0..9).map(|k| mean[(y - 1 + k / 3) * N + x - 1 + k % 3]).sum::<f64>() / 9.0;
    for eye in [12, 19] {
        let (eyes, mouth, cheek) = (patch(eye, 13), patch(16, 20), patch(eye, 16));
        assert!(eyes < cheek - 0.03, "eye {eyes:.3}, cheek {cheek:.3}");
        assert!(mouth < cheek - 0.03, "mouth {mouth:.3}, cheek {cheek:.3}");
    }
}

#[test]
fn the_set_is_varied() {
    const N: usize = 32;
    let faces = brightness(5, 160, N);
    let deviation = |i: usize| {
        let mean = faces.iter().map(|f| f[i]).sum::<f64>() / faces.len() as f64;
        (faces.iter().map(|f| (f[i] - mean).powi(2)).sum::<f64>() / faces.len() as f64).sqrt()
    };
    let deviations: Vec<f64> = (0..N * N).map(deviation).collect();
    let least = deviations.iter().copied().fold(f64::INFINITY, f64::min);
    let typical = deviations.iter().sum::<f64>() / deviations.len() as f64;
    assert!(least > 0.06 && typical > 0.14, "least {least:.3}, typical {typical:.3}");
}
