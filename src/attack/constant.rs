//! The search for the constant c that weighs "is misclassified" against "is near the image", per example: tenfold until an example was
//! found, then halfway between the largest that failed and the smallest that did not.

use super::Scene;
use crate::graph::Tensor;

const CONSTANT: &str = "constant";
const LOWER: &str = "constant_lower";
const UPPER: &str = "constant_upper";
/// No constant has succeeded yet.
const NONE: f64 = 1e15;

/// Starts every example at `first`.
pub(super) fn begin(s: &Scene, first: f64) {
    s.store(CONSTANT, s.each(first));
    s.store(LOWER, s.each(0.0));
    s.store(UPPER, s.each(NONE));
}

/// The constant that is tried, `[N,1]`.
pub(super) fn tried<'g>(s: &Scene<'_, 'g>) -> Tensor<'g> {
    s.load_each(CONSTANT)
}

/// Moves on to the next constant: `success` is 1 where the one that was tried gave an example, `[N,1]`.
pub(super) fn next<'g>(s: &Scene<'_, 'g>, success: Tensor<'g>) {
    let [constant, lower, upper] = [CONSTANT, LOWER, UPPER].map(|name| s.load_each(name));
    let lower = success.select(lower, constant);
    let upper = success.select(constant, upper);
    let none = (upper - 0.5 * NONE).step();
    s.store(CONSTANT, none.select(constant.scale(10.0), (lower + upper).scale(0.5)));
    s.store(LOWER, lower);
    s.store(UPPER, upper);
}
