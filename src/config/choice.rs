//! Settings that are one word out of a few.

use serde::{Deserialize, Serialize};

/// An enum whose variants are spelled by a word in files; the words are listed once.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every spelling, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($word,)+];

            /// The spelling in files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }
    };
}

choice! {
    /// Where real samples come from.
    DataSource {
        /// Rendered by the program itself.
        Faces = "faces",
        /// Eight Gaussians on a circle of radius 1, σ = 0.01.
        Ring8 = "ring8",
        /// Twenty-five Gaussians on a grid of spacing 2, σ = 0.05.
        Grid25 = "grid25",
        /// A folder, an archive or IDX files at `data.path`.
        Path = "path",
        /// Three random digits of the IDX files at `data.path` as red, green and blue (Metz et al. 2017): a thousand modes.
        StackedMnist = "stacked-mnist",
    }
}

impl DataSource {
    /// Whether samples are images (and not points of the plane).
    pub fn is_images(self) -> bool {
        matches!(self, DataSource::Faces | DataSource::Path | DataSource::StackedMnist)
    }

    /// Whether it lies at `data.path`.
    pub fn needs_path(self) -> bool {
        matches!(self, DataSource::Path | DataSource::StackedMnist)
    }
}

choice! {
    /// Where the data set lives while training.
    DataMode {
        /// Resident where it fits, streamed otherwise.
        Auto = "auto",
        /// All of it in device memory.
        Resident = "resident",
        /// Batch by batch from the host.
        Stream = "stream",
    }
}

choice! {
    /// The architecture of both networks of a GAN, or of a classifier.
    ModelKind {
        /// Radford 2015.
        Dcgan = "dcgan",
        /// Huang 2024.
        R3gan = "r3gan",
        /// Residual, with spectral normalisation (Miyato 2018).
        SnganResnet = "sngan-resnet",
        /// Fully connected, for points of the plane and for images.
        Mlp = "mlp",
        /// Lists of layers: `model.g`, `model.d`, `model.c`.
        Sequential = "sequential",
        /// Two convolutions and two linear layers, the classifier of the MNIST challenge (Madry 2018).
        MnistCnn = "mnist-cnn",
        /// LeCun 1998.
        Lenet5 = "lenet5",
        /// Residual, pre-activation (He 2016), as for CIFAR.
        PreactResnet18 = "preact-resnet18",
    }
}

impl ModelKind {
    /// Whether it is a classifier and nothing else.
    pub fn is_classifier(self) -> bool {
        matches!(self, ModelKind::MnistCnn | ModelKind::Lenet5 | ModelKind::PreactResnet18)
    }
}

choice! {
    /// How networks learn.
    OptimKind {
        /// Kingma & Ba 2015; weight decay through the gradient.
        Adam = "adam",
        /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
        Adamw = "adamw",
        /// Gradient descent with momentum.
        Sgd = "sgd",
    }
}

choice! {
    /// The course of the learning rate.
    LrSchedule {
        /// Constant, or by a cosine to `optim.lr_final` within the burn-in.
        Cosine = "cosine",
        /// In a line to `optim.lr_final`, or 0, at the end of the run.
        Linear = "linear",
        /// By a cosine to `optim.lr_final`, or 0, at the end of the run (Loshchilov & Hutter 2017).
        CosineAnnealing = "cosine-annealing",
        /// From 0 in a line to `optim.lr` and in another to `optim.lr_final`, or 0, at the end of the run.
        Triangle = "triangle",
        /// Times `optim.lr_drop_factor` at each of `optim.lr_drops`.
        Steps = "steps",
    }
}

choice! {
    /// What is trained.
    Task {
        /// A generator against a discriminator.
        Gan = "gan",
        /// A classifier.
        Classifier = "classifier",
    }
}

choice! {
    /// The adversarial loss.
    LossKind {
        /// Non-saturating (Goodfellow 2014).
        Ns = "ns",
        /// Hinge (Miyato 2018).
        Hinge = "hinge",
        /// Least squares (Mao 2017).
        Lsgan = "lsgan",
        /// Wasserstein (Arjovsky 2017).
        Wgan = "wgan",
        /// Relativistic pairing (Jolicoeur-Martineau 2018).
        Rpgan = "rpgan",
    }
}

choice! {
    /// How intermediate values are stored.
    PrecisionKind {
        /// 32-bit floats.
        F32 = "f32",
        /// Activations in 16-bit floats, with dynamic loss scaling; on GPUs that have them.
        F16 = "f16",
    }
}

choice! {
    /// When intermediate values are made again instead of kept.
    RecomputeKind {
        /// Never.
        Off = "off",
        /// Where the model does not fit into memory otherwise.
        Auto = "auto",
        /// Always, as far as it saves memory for at most a third more arithmetic.
        On = "on",
    }
}

choice! {
    /// How a classifier is trained to withstand attacks.
    DefenceKind {
        /// Not at all.
        None = "none",
        /// On PGD's examples (Madry 2018).
        Pgd = "pgd",
        /// Zhang 2019.
        Trades = "trades",
        /// Wang 2020.
        Mart = "mart",
        /// Each batch several times (Shafahi 2019).
        Free = "free",
        /// One step from a random start (Wong 2020).
        Fast = "fast",
        /// PGD's examples at weights that are moved too (Wu 2020).
        Awp = "awp",
    }
}

choice! {
    /// Who perturbs what the discriminator of a GAN learns from.
    AdversaryKind {
        /// Nobody; PGD on the reals where `attack.steps` is above 0.
        Off = "off",
        /// Projected gradient ascent (Madry 2018).
        Pgd = "pgd",
        /// Each step of the discriminator several times, on reals whose change persists (Zhong 2020).
        Free = "free",
        /// PGD against both heads of a discriminator that tells classes too (Liu & Hsieh 2019).
        RobGan = "robgan",
        /// One step per example that brings reals and fakes together for the discriminator (Li 2020).
        Dat = "dat",
        /// A penalty where the discriminator is steeper than 1 in its steepest direction (Terjék 2020).
        Alr = "alr",
    }
}

choice! {
    /// How images are augmented before the discriminator of a GAN sees them.
    AugmentKind {
        /// Not at all.
        None = "none",
        /// Always, by a policy of a few transforms (Zhao 2020).
        Diffaugment = "diffaugment",
        /// Each transform with a probability that is steered (Karras 2020).
        Ada = "ada",
        /// Each transform with a probability that is set.
        Fixed = "fixed",
    }
}

choice! {
    /// What it perturbs.
    AdversaryOn {
        /// Images of the data.
        Reals = "reals",
        /// Images of the generator.
        Fakes = "fakes",
        /// Both.
        Both = "both",
        /// What the generator makes fakes of.
        Latents = "latents",
    }
}

choice! {
    /// A measure of generated images.
    MetricKind {
        /// The Fréchet distance of features.
        Fd = "fd",
        /// The kernel distance of features, without bias.
        Kid = "kid",
        /// Improved precision and recall.
        Pr = "pr",
    }
}

choice! {
    /// The attack inside a training step.
    AttackKind {
        /// Projected gradient ascent in the maximum norm (Madry 2018).
        Pgd = "pgd",
    }
}
