//! Random streams. Each use of randomness in an iteration has its own; the step counter separates iterations.

/// Latents of the discriminator step.
pub const Z_D: u32 = 1;
/// Latents of the generator step, where it draws its own.
pub const Z_G: u32 = 2;
/// Interpolation weights of the WGAN gradient penalty.
pub const PENALTY: u32 = 3;
/// Random start of an attack.
pub const ATTACK: u32 = 4;
/// Data of the discriminator step, or of a classifier.
pub const DATA_D: u32 = 5;
/// Data of the generator step.
pub const DATA_G: u32 = 6;
/// Reals to look at.
pub const PREVIEW: u32 = 7;
/// Random start of an attack on fakes.
pub const ATTACK_FAKES: u32 = 8;
/// Random start of an attack on latents.
pub const ATTACK_LATENTS: u32 = 9;
/// Directions and lengths of the Lipschitz penalty on reals, two streams.
pub const LIPSCHITZ_REALS: u32 = 10;
/// The same on fakes.
pub const LIPSCHITZ_FAKES: u32 = 12;
/// Which images of the data a generator is measured by, and which of them are mirrored.
pub const EVALUATION: u32 = 14;
/// Which images of a set a run is limited to.
pub const SUBSET: u32 = 16;
/// First of the streams of augmentation in the discriminator's step, see [`crate::augment::Draws`].
pub const AUGMENT_D: u32 = 200;
/// The same in the generator's step.
pub const AUGMENT_G: u32 = 210;
/// First of the thousand streams of an attack on a classifier.
pub const ADVERSARY: u32 = 1000;
/// Latents of samples; the step counter is the seed of each sample.
pub const SAMPLE: u32 = 100;
/// Latents that a search for those of an image starts from; the step counter is the row.
pub const PROJECT: u32 = 101;
