//! How robust a classifier is: attacks on images it gets right, their worst case, and an honest report of it.
//!
//! Robust accuracy is the share of *all* images that the model gets right and that no attack changes: the mean over examples of the
//! minimum over attacks. Whatever an attack says it found is looked at again by the model alone, and measured against the ball and the
//! box, before it counts. Uses `attack`, `train`, `device`, `data`, `grid`, `page`, `config`, `files`. Deliberately absent: printing.

mod curves;
mod examples;
mod html;
mod model;
mod picture;
mod recipes;
mod report;
mod store;
mod suite;
mod warnings;

pub use curves::{EpsPoint, StepPoint, against_eps, against_steps};
pub use examples::Examples;
pub use html::page;
pub use model::TrainedModel;
pub use picture::triptych;
pub use recipes::{Column, MeasuredBy, Reproduction, Variant, reproductions};
pub use report::{Matrix, RobustnessReport};
pub use store::{Request, Store, trial_file};
pub use suite::{AUTO, AttackListener, Suite, Trial, auto};
pub use warnings::{Findings, look};
