//! Attacks that follow something better than the gradient of one look: ahead, of changed copies, smoothed, of several draws.
//!
//! Most were made so that their examples fool other models too. All are [`Ascent`]s with another [`Estimate`] of the gradient.

use super::ball::{example_axes, reciprocal_length};
use super::gradient::{Ascent, Estimate, MOMENTUM, SUM, Samples, Start, gradient_at};
use super::grid::{extents, floor, several_classes, within};
use super::{AttackOptions, Listing, Loss, Norm, Scene};
use crate::graph::{Dist, FirSpec, Real, Tensor};
use crate::nn::softmax::{iota, log_softmax, one_hot, row_max};

/// The attacks of this file.
pub(super) const ENTRIES: &[Listing] = &[
    Listing {
        name: "nifgsm",
        about: "mifgsm that looks at the gradient one step of its momentum ahead (Lin 2020)",
        targets: true,
        draws: false,
        make: |o| Ok(accumulating("nifgsm", o, ahead, None)),
    },
    Listing {
        name: "sinifgsm",
        about: "nifgsm with the mean gradient of five copies, each half as bright as the one before (Lin 2020)",
        targets: true,
        draws: false,
        make: |o| Ok(accumulating("sinifgsm", o, of_darker_copies, None)),
    },
    Listing {
        name: "vmifgsm",
        about: "mifgsm tuned by how the gradient varies around the last example, of 20 neighbours (Wang & He 2021)",
        targets: true,
        draws: true,
        make: |o| Ok(accumulating("vmifgsm", o, tuned_here, Some(NEIGHBOURS))),
    },
    Listing {
        name: "vnifgsm",
        about: "nifgsm tuned by how the gradient varies around the last example, of 20 neighbours (Wang & He 2021)",
        targets: true,
        draws: true,
        make: |o| Ok(accumulating("vnifgsm", o, tuned_ahead, Some(NEIGHBOURS))),
    },
    Listing {
        name: "difgsm",
        about: "sign steps that look, half of the time, at the image resized and padded at random (Xie 2019)",
        targets: true,
        draws: true,
        make: |o| {
            extents("difgsm", o)?;
            Ok(Ascent { estimate: of_moved_copies, ..Ascent::new("difgsm", o, 10).even(o) }.attack())
        },
    },
    Listing {
        name: "tifgsm",
        about: "sign steps along the gradient smoothed by a Gaussian of 15 × 15 pixels (Dong 2019)",
        targets: true,
        draws: false,
        make: |o| {
            extents("tifgsm", o)?;
            Ok(Ascent { estimate: smoothed, ..Ascent::new("tifgsm", o, 10).even(o) }.attack())
        },
    },
    Listing {
        name: "tpgd",
        about: "pgd away from what the model says of the image itself, without the label (TRADES, Zhang 2019)",
        targets: false,
        draws: true,
        make: |o| {
            several_classes("tpgd", o)?;
            Ok(Ascent { start: Start::Near, loss: Loss::Kl, ..Ascent::new("tpgd", o, 10) }.attack())
        },
    },
    Listing {
        name: "eotpgd",
        about: "pgd along the mean gradient of 20 looks at a model that draws random numbers (Liu 2019)",
        targets: true,
        draws: true,
        make: |o| {
            let samples = Some(Samples { count: 20, before: true, add: add_gradient });
            Ok(Ascent { start: Start::Random, estimate: sum, samples, ..Ascent::new("eotpgd", o, 10) }.attack())
        },
    },
    Listing {
        name: "upgd",
        about: "pgd from the image along an accumulated gradient, of any loss (torchattacks; no paper)",
        targets: true,
        draws: false,
        make: |o| Ok(Ascent { momentum: Some(1.0), ..Ascent::new("upgd", o, 10) }.attack()),
    },
    Listing {
        name: "jitter",
        about: "pgd on the distance of scaled, noisy predictions to the label, small changes first (Schwinn 2021)",
        targets: true,
        draws: true,
        make: |o| {
            several_classes("jitter", o)?;
            Ok(Ascent { start: Start::Random, estimate: of_jitter, ..Ascent::new("jitter", o, 10) }.attack())
        },
    },
    Listing {
        name: "pgd-rs",
        about: "pgd on the mean prediction under noise, for models smoothed by noise (SmoothAdv, Salman 2019)",
        targets: true,
        draws: true,
        make: |o| {
            several_classes("pgd-rs", o)?;
            let samples = Some(Samples { count: 8, before: true, add: add_prediction });
            Ok(Ascent { estimate: sum, samples, ..Ascent::new("pgd-rs", o, 10) }.attack())
        },
    },
];

/// Decay of the accumulated gradient, in all papers.
const DECAY: f64 = 1.0;
/// Copies of sinifgsm.
const COPIES: i32 = 5;
/// The neighbours of vmifgsm lie in a ball so many times as large as the one that bounds the attack.
const NEIGHBOURHOOD: f64 = 1.5;
const NEIGHBOURS: Samples = Samples { count: 20, before: false, add: add_neighbour };
/// Smallest size of difgsm's copies, as a share of the image.
const RESIZED: f64 = 0.9;
/// Pixels on each side of the middle of tifgsm's Gaussian, and how many of its standard deviations they are.
const SMOOTHED: (i32, f64) = (7, 3.0);
/// Noise of pgd-rs as a share of the box: the least of those published.
const NOISE: f64 = 0.12;

/// An attack of the mifgsm family.
fn accumulating(name: &'static str, o: &AttackOptions, estimate: Estimate, samples: Option<Samples>) -> super::Attack {
    Ascent { momentum: Some(DECAY), estimate, samples, ..Ascent::new(name, o, 10).even(o) }.attack()
}

/// Ahead along the momentum: x + α·μ·g, as published for steps of the sign. In the Euclidean ball, where the gradient's size does not
/// count, x + α·μ·g/‖g‖₂: where the next step would end if the momentum alone made it.
fn look_ahead<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let length = a.length(s).scale(DECAY).reshape(vec![1; x.shape().len()]);
    let momentum = s.load_images(MOMENTUM);
    let way = match a.norm {
        Norm::Inf => momentum,
        Norm::Two => momentum * reciprocal_length(momentum),
    };
    (x + way * length).detach()
}

fn ahead<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    gradient_at(a, s, look_ahead(a, s, x))
}

/// Σ over i of ∇L(x/2ⁱ), where 0 is the dark end of the box; the mean's 1/m is lost in the normalisation.
fn of_darker_copies<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let x = look_ahead(a, s, x);
    let copy = |i: i32| (x - s.bounds.lo).scale(0.5f64.powi(i)) + s.bounds.lo;
    let gradients = (0..COPIES).map(|i| s.gradient(a.loss_at(s, copy(i)), x));
    gradients.fold(s.graph().constant(0.0, x.shape()), |sum, gradient| sum + gradient)
}

fn tuned_here<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    tuned(s, x, gradient_at(a, s, x))
}

fn tuned_ahead<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    tuned(s, x, gradient_at(a, s, look_ahead(a, s, x)))
}

/// ∇L + v, with v the mean gradient of the neighbours of the last example less its own; the neighbours that are looked at next are x's.
fn tuned<'g>(s: &Scene<'_, 'g>, x: Tensor<'g>, gradient: Tensor<'g>) -> Tensor<'g> {
    let variance = s.load_images(SUM);
    s.store("centre", x);
    s.store(SUM, -gradient);
    gradient + variance
}

fn add_neighbour(a: &Ascent, s: &Scene) {
    let x = (s.load_images("centre") + s.random_offset(a.norm, 10) * s.radius().scale(NEIGHBOURHOOD)).detach();
    s.store(SUM, s.load_images(SUM) + gradient_at(a, s, x).scale(1.0 / f64::from(NEIGHBOURS.count)));
}

/// The sum of the samples, which the next ones start anew.
fn sum<'g>(_: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let sum = s.load_images(SUM);
    s.store(SUM, s.graph().constant(0.0, x.shape()));
    sum
}

fn add_gradient(a: &Ascent, s: &Scene) {
    let x = s.load_images(a.example());
    s.store(SUM, s.load_images(SUM) + gradient_at(a, s, x));
}

/// Adds the gradient of −p(label) under noise, targeted of p(target). The loss is −ln of the mean prediction: its gradient is the sum of
/// these up to a factor, which steps of the sign or of unit length don't see.
fn add_prediction(a: &Ascent, s: &Scene) {
    let x = s.load_images(a.example());
    let noise = s.random(Dist::Normal, 10, x.shape()).scale(NOISE * (s.bounds.hi - s.bounds.lo));
    let logits = s.logits(x + noise);
    let wanted = match s.target {
        None => -one_hot(s.labels, logits.dim(1)),
        Some(target) => one_hot(target, logits.dim(1)),
    };
    let prediction = (wanted * log_softmax(logits).exp()).sum(&[1]);
    s.store(SUM, s.load_images(SUM) + s.gradient(prediction, x));
}

/// The gradient of the loss of x resized and padded, through both.
fn of_moved_copies<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let grid = resized_and_padded(s);
    // What is sampled outside is 0: the dark end of the box.
    let copy = (x - s.bounds.lo).sample(grid) + s.bounds.lo;
    s.gradient(a.loss_at(s, copy), x)
}

/// Where each pixel of a copy comes from, `[N,H,W,2]`: from a smaller picture at a random place, or from its own place.
fn resized_and_padded<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    let (rows, shape) = (s.rows(), s.images.shape());
    let uniform = |which| s.random(Dist::Uniform, which, [rows, 1]);
    let (changed, size) = ((uniform(10) - 0.5).step(), uniform(11));
    let along = |axis: usize| {
        let n = shape[axis];
        let least = ((RESIZED * n as f64).floor() as usize).clamp(1, n);
        let size = floor(size.scale((n - least) as f64), n - least) + least as f64;
        let start = floor(uniform(11 + axis as u32) * (-size + (n + 1) as f64), n - least + 1);
        let own = iota(s.graph(), n).reshape([1, n]);
        // The middle of a pixel stays the middle of one; what lies beyond the outermost middles is the outermost pixel's.
        let from = (own - start + 0.5) * size.pow(-1.0).scale(n as f64) - 0.5;
        let from =
            within(own, start, start + size).select(from.clamp(0.0, (n - 1) as f64), s.graph().constant(-2.0, [1, 1]));
        changed.select(from, own)
    };
    let (height, width) = (shape[1], shape[2]);
    let row = along(1).reshape([rows, height, 1, 1]).expand([rows, height, width, 1]);
    let column = along(2).reshape([rows, 1, width, 1]).expand([rows, height, width, 1]);
    Tensor::concat(&[row, column], 3).detach()
}

/// The gradient at x, smoothed: about the mean gradient of all copies that are moved by a few pixels.
fn smoothed<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let (reach, deviations) = SMOOTHED;
    let weight = |i: i32| (-0.5 * (deviations * f64::from(i) / f64::from(reach)).powi(2)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let taps = (-reach..=reach).map(|i| Real(weight(i) / total)).collect();
    let filter = FirSpec { taps, up: 1, down: 1, pad: [[i64::from(reach); 2]; 2], flip: false };
    gradient_at(a, s, x).fir(filter)
}

/// The gradient of ‖ẑ − y‖₂ with ẑ = softmax(10 z/‖z‖∞) + N(0, 0.1); for an example that fools the model it is divided by the size of
/// the change. Targeted, the gradient towards the target's y.
fn of_jitter<'g>(a: &Ascent, s: &Scene<'_, 'g>, x: Tensor<'g>) -> Tensor<'g> {
    let logits = s.logits(x);
    let classes = logits.dim(1);
    let tiny = |like: Tensor<'g>| s.graph().constant(1e-12, like.shape());
    let largest = row_max(logits.abs());
    let scaled = logits * largest.max(tiny(largest)).pow(-1.0).scale(10.0);
    let noisy = log_softmax(scaled).exp() + s.random(Dist::Normal, 10, logits.shape()).scale(0.1);
    let distance = |class| ((noisy - one_hot(class, classes)).square().sum(&[1]) + 1e-12).sqrt();
    let loss = match s.target {
        Some(target) => -distance(target),
        None => {
            let change = (x - s.images).abs();
            let size = match a.norm {
                Norm::Inf => row_max(change.reshape([s.rows(), s.elems()])),
                Norm::Two => (change.square().sum(&example_axes(change)) + 1e-24).sqrt().reshape([s.rows(), 1]),
            };
            let divided = distance(s.labels) * size.max(tiny(size)).pow(-1.0);
            (s.fooled(logits) * (size - 1e-9).step()).select(divided, distance(s.labels))
        }
    };
    s.gradient(loss, x)
}
