//! Augmentation in a GAN: what the discriminator is shown of reals and fakes in both steps, and the controller of its strength.
//!
//! D(T(x)) and D(T(G(z))), each image with a draw of its own. Penalties are on gradients by the image before augmentation.

use super::Gan;
use crate::augment::{AdaPipe, AdaTransforms, DiffAugment, Draws};
use crate::graph::{Tensor, refuse};
use crate::nn::Scope;
use crate::optim::Schedule;
use crate::train::game::{PhaseGraph, Value};
use crate::train::games::attack::AUGMENT;

/// How images are augmented before the discriminator sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum GanAugment {
    /// Not at all.
    #[default]
    Off,
    /// Zhao 2020: all transforms, always.
    Diff(DiffAugment),
    /// Transforms that fire with a probability (Karras 2020).
    Pipe(AdaTransforms, Strength),
}

/// With which probability p each transform fires.
#[derive(Clone, Debug, PartialEq)]
pub enum Strength {
    /// By a schedule (R3GAN: a cosine from 0 to .55).
    Fixed(Schedule),
    /// Steered by how sure the discriminator is of reals (Karras 2020, ADA): r_t is the mean of sign D(x) over `interval` of its steps (of a batch in parts: of its parts); then
    /// p moves towards where r_t is `target`, by as many images as were shown in that time per `speed_kimg` thousand. p starts at 0, lives on
    /// the device, and is part of checkpoints.
    Adaptive {
        /// Published: .6.
        target: f64,
        /// Published: 4.
        interval: u32,
        /// Thousands of images in which p goes from 0 to 1. Published: 500.
        speed_kimg: f64,
    },
}

const P: &str = AUGMENT[0];
const RT: &str = AUGMENT[1];

impl GanAugment {
    /// What its phases read.
    pub(super) fn values(&self) -> Option<Value> {
        match self {
            GanAugment::Pipe(_, Strength::Fixed(schedule)) => Some(Value::new(P, schedule.clone())),
            _ => None,
        }
    }
}

/// What was drawn for the images of a step.
pub(super) enum Shown<'g> {
    AsTheyAre,
    Diff(DiffAugment, Draws<'g>),
    Pipe(AdaPipe<'g>),
}

impl<'g> Shown<'g> {
    /// Images `x` `[N,H,W,C]` as the discriminator sees them, by the draws from number `from` on.
    pub fn apply(&self, x: Tensor<'g>, from: usize) -> Tensor<'g> {
        match self {
            Shown::AsTheyAre => x,
            Shown::Diff(policy, draws) => policy.apply(x, draws, from),
            Shown::Pipe(pipe) => pipe.part(from, x.dim(0)).apply(x),
        }
    }
}

impl Gan {
    /// Draws augmentations for so many images. `d` is the discriminator's scope.
    pub(super) fn augmentation<'g>(&self, p: &PhaseGraph<'g>, d: &Scope<'g>, stream: u32, images: usize) -> Shown<'g> {
        let draws = || {
            let [h, w, c] = <[usize; 3]>::try_from(self.sample.as_slice()).unwrap_or_else(|_| {
                refuse(format!("samples of extents {:?} can't be augmented: that is for images", self.sample))
            });
            ([h, w], Draws::new(p.graph(), stream, [images, h, w, c]))
        };
        match &self.augment {
            GanAugment::Off => Shown::AsTheyAre,
            GanAugment::Diff(policy) => Shown::Diff(policy.clone(), draws().1),
            GanAugment::Pipe(on, strength) => {
                let strength = match strength {
                    Strength::Fixed(_) => p.value(P),
                    Strength::Adaptive { .. } => d.state(P, [1], 0.0),
                };
                let (size, draws) = draws();
                Shown::Pipe(AdaPipe::new(*on, draws, strength, size))
            }
        }
    }

    /// Logs the strength and, where it is steered, counts the signs of the logits of reals `[N,1]` and moves it after every so many steps.
    pub(super) fn steer<'g>(&self, p: &mut PhaseGraph<'g>, d: &Scope<'g>, logits: Tensor<'g>) {
        let GanAugment::Pipe(_, strength) = &self.augment else { return };
        let Strength::Adaptive { target, interval, speed_kimg } = *strength else {
            p.log(P, p.value(P));
            return;
        };
        let [strength, rt, signs, steps] = AUGMENT.map(|name| d.state(name, [1], 0.0));
        p.log(P, strength);
        let signs = signs + logits.sign().mean_all().detach();
        let steps = steps + 1.0;
        // 1 after the last step of an interval, else 0.
        let due = (steps - (f64::from(interval) - 0.5)).step();
        let rt = due.select(signs.scale(1.0 / f64::from(interval)), rt);
        let change = f64::from(interval) * p.rows() as f64 / (1000.0 * speed_kimg);
        let moved = (strength + (rt - target).sign().scale(change)).clamp(0.0, 1.0);
        let zero = p.graph().constant(0.0, [1]);
        let after = [due.select(moved, strength), rt, due.select(zero, signs), due.select(zero, steps)];
        p.log(RT, rt);
        AUGMENT.into_iter().zip(after).for_each(|(name, value)| d.update(name, value));
    }
}
