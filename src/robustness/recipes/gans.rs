//! Generators: modes covered, few images, adversaries in a GAN's step, faces.

use super::{Column, MNIST, MeasuredBy, Reproduction, Variant};

/// Every reproduction of this file.
pub(super) const ALL: &[Reproduction] = &[
    Reproduction {
        name: "ring8",
        data: "",
        about: "modes of 8 Gaussians on a ring that each loss covers",
        budget: "3 minutes",
        config: "preset = \"ring8\"\n",
        variants: TOYS,
        measured: MODES,
        chart: false,
    },
    Reproduction {
        name: "grid25",
        data: "",
        about: "modes of 25 Gaussians on a grid that each loss covers",
        budget: "4 minutes",
        config: "preset = \"grid25\"\n",
        variants: TOYS,
        measured: MODES,
        chart: false,
    },
    Reproduction {
        name: "gamma",
        data: "",
        about: "the weight of R1 and R2 under rpgan, modes of 25 Gaussians on a grid (Huang 2024)",
        budget: "5 minutes",
        config: "preset = \"grid25\"\n",
        variants: GAMMAS,
        measured: MODES,
        chart: false,
    },
    Reproduction {
        name: "stacked-mnist",
        data: MNIST,
        about: "modes of a thousand stacks of three digits, 32x32: the loss of R3GAN against the plain one (Huang 2024)",
        budget: "40 minutes",
        config: STACKED,
        variants: &[
            Variant {
                label: "rpgan + R1 + R2, no norm in D",
                train: "",
                published: "1000, .029 (R3GAN, its own network)",
            },
            Variant {
                label: "ns, DCGAN as published",
                train: "--set loss.kind=ns --set loss.r1_gamma=0 --set loss.r2_gamma=0 --set model.d_norm=true --set optim.lr=2e-4 --set optim.beta1=0.5 --set optim.beta2=0.999",
                published: "99, 3.40 (DCGAN; Metz 2017, Lin 2018)",
            },
        ],
        measured: MeasuredBy::Labelled {
            classifier: "mnist --kimg 60 --set optim.lr=1e-3 --set optim.lr_schedule=triangle",
            eval: "--metrics modes --samples 26000",
            columns: &[
                Column { label: "modes of 1000", key: "modes", factor: 1.0 },
                Column { label: "KL", key: "kl", factor: 1.0 },
                Column { label: "KL of the data", key: "kl_of_data", factor: 1.0 },
                Column { label: "digits read right %", key: "digits_read_right", factor: 100.0 },
            ],
        },
        chart: false,
    },
    Reproduction {
        name: "digits32",
        data: MNIST,
        about: "DCGAN on digits, 32x32",
        budget: "6 minutes",
        config: "preset = \"digits32\"\n",
        variants: &[Variant { label: "DCGAN, 100 kimg", train: "--kimg 100", published: "none in these features" }],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "few-images",
        data: "a set of face images",
        about: "500 photographs, DCGAN at 32x32: ADA against none, by the distance to all images (Karras 2020)",
        budget: "50 minutes",
        config: FEW,
        variants: &[
            Variant { label: "none, 600 kimg", train: "--kimg 600", published: "–" },
            Variant { label: "ada, 600 kimg", train: ADA_600, published: "better, other data" },
        ],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "few-faces",
        data: "",
        about: "500 of the built-in faces, DCGAN at 32x32: ADA against none, by the distance to all images (Karras 2020)",
        budget: "30 minutes",
        config: FEW,
        variants: &[
            Variant { label: "none, 400 kimg", train: "--kimg 400", published: "–" },
            Variant { label: "ada, 400 kimg", train: ADA_400, published: "better, other data" },
        ],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "gan-adversaries",
        data: "",
        about: "adversaries inside a GAN's step against none, at equal passes through D, built-in faces 32x32, DCGAN of width 8",
        budget: "12 minutes",
        config: NARROW,
        variants: &[
            Variant { label: "off, 24 kimg", train: "--kimg 24", published: "–" },
            Variant { label: "free, 12 kimg, as many passes", train: "--adversary free --kimg 12", published: "–" },
            Variant {
                label: "dat, ε = 0.25, 12 kimg, as many passes",
                train: "--adversary dat --kimg 12",
                published: "–",
            },
            Variant { label: "off, 12 kimg, half the passes", train: "--kimg 12", published: "–" },
            Variant {
                label: "pgd on reals, 2 steps, 12 kimg, as many passes",
                train: "--adversary pgd --set adversary.steps=2 --set adversary.eps=4/255 --kimg 12",
                published: "–",
            },
            Variant {
                label: "off, no norm in D, 24 kimg",
                train: "--set model.d_norm=false --kimg 24",
                published: "–",
            },
            Variant {
                label: "alr, no norm in D, 8 kimg, as many passes",
                train: "--adversary alr --set model.d_norm=false --kimg 8",
                published: "–",
            },
            Variant {
                label: "off, six classes, 24 kimg",
                train: "--set model.classes=6 --set data.label=backdrop --kimg 24",
                published: "–",
            },
            Variant {
                label: "robgan, six classes, 6.9 kimg, as many passes",
                train: "--adversary robgan --set model.classes=6 --set data.label=backdrop --kimg 6.9",
                published: "–",
            },
        ],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "faces32",
        data: "",
        about: "the default preset on the built-in faces",
        budget: "12 minutes",
        config: "preset = \"faces32\"\n",
        variants: &[Variant { label: "DCGAN, 500 kimg", train: "", published: "none" }],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "photos32",
        data: "a set of face images",
        about: "the network of the default preset on photographs of faces",
        budget: "8 minutes",
        config: "preset = \"faces32\"\n",
        variants: &[Variant { label: "DCGAN, 225 kimg", train: "--kimg 225", published: "none in these features" }],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "faces64",
        data: "",
        about: "DCGAN at 64x64, half as wide as published, on the built-in faces",
        budget: "15 minutes",
        config: DCGAN64,
        variants: &[Variant { label: "DCGAN, 60 kimg", train: "", published: "none in these features" }],
        measured: DISTANCES,
        chart: false,
    },
    Reproduction {
        name: "photos64",
        data: "a set of face images",
        about: "DCGAN at 64x64, half as wide as published, on photographs of faces",
        budget: "15 minutes",
        config: DCGAN64,
        variants: &[Variant { label: "DCGAN, 60 kimg", train: "", published: "none in these features" }],
        measured: DISTANCES,
        chart: false,
    },
];

/// One network per loss. Published of a plain GAN: 6.3 to 7.3 of 8 and 17.3 to 21 of 25 (Lin 2018).
const TOYS: &[Variant] = &[
    Variant {
        label: "ns, no penalty",
        train: "--set loss.kind=ns --set loss.r1_gamma=0 --set loss.r2_gamma=0",
        published: "6.3–7.3 of 8, 17.3–21 of 25 modes",
    },
    Variant {
        label: "wgan-gp",
        train: "--set loss.kind=wgan --set loss.r1_gamma=0 --set loss.r2_gamma=0 --set loss.gp_lambda=0.1 --set loss.n_critic=5",
        published: "all (Gulrajani 2017, in a picture)",
    },
    Variant { label: "rpgan + R1 + R2", train: "", published: "all (Huang 2024, on Stacked-MNIST)" },
];

/// γ from a thousandth of the preset's to a hundred times it.
const GAMMAS: &[Variant] = &[
    Variant { label: "γ = 0.001", train: "--set loss.r1_gamma=0.001 --set loss.r2_gamma=0.001", published: "–" },
    Variant { label: "γ = 0.01", train: "--set loss.r1_gamma=0.01 --set loss.r2_gamma=0.01", published: "–" },
    Variant { label: "γ = 0.1", train: "--set loss.r1_gamma=0.1 --set loss.r2_gamma=0.1", published: "–" },
    Variant { label: "γ = 1", train: "--set loss.r1_gamma=1 --set loss.r2_gamma=1", published: "–" },
    Variant { label: "γ = 10", train: "--set loss.r1_gamma=10 --set loss.r2_gamma=10", published: "–" },
];

const MODES: MeasuredBy = MeasuredBy::Samples(
    "",
    &[
        Column { label: "modes", key: "modes", factor: 1.0 },
        Column { label: "within 3σ %", key: "high_quality", factor: 100.0 },
    ],
);

const DISTANCES: MeasuredBy = MeasuredBy::Samples(
    "--metrics fd,kid,pr --samples 2048",
    &[
        Column { label: "FD", key: "fd", factor: 1.0 },
        Column { label: "floor", key: "fd_floor", factor: 1.0 },
        Column { label: "KID · 10³", key: "kid", factor: 1000.0 },
        Column { label: "recall %", key: "recall", factor: 100.0 },
    ],
);

const FEW: &str = r#"preset = "faces32"

[data]
limit = 500

[train]
kimg = 600.0

[checkpoint]
every_kimg = 200.0

[sample]
every_kimg = 100.0
"#;

/// Only transforms that copy pixels, and a discriminator that is kept from certainty alone: by the published target of 0.6 this small one learns
/// too little to teach its generator.
const ADA_600: &str =
    "--kimg 600 --set augment.kind=ada --set augment.policy=blit --set augment.target=0.9 --set augment.speed_kimg=100";
const ADA_400: &str =
    "--kimg 400 --set augment.kind=ada --set augment.policy=blit --set augment.target=0.9 --set augment.speed_kimg=100";

/// The loss and the optimiser of R3GAN on the networks of DCGAN, small enough for two processor cores.
const STACKED: &str = r#"preset = "stacked-mnist"

[model]
g_width = 32
d_width = 32
d_norm = false

[loss]
kind = "rpgan"
r1_gamma = 1.0
r2_gamma = 1.0

[optim]
lr = 5e-4
beta1 = 0.0
beta2 = 0.99

[train]
batch = 32
kimg = 100.0

[checkpoint]
every_kimg = 100.0
"#;

const DCGAN64: &str = r#"preset = "faces32"

[data]
size = 64

[train]
kimg = 60.0

[checkpoint]
every_kimg = 60.0
"#;

const NARROW: &str = r#"preset = "faces32"

[model]
g_width = 8
d_width = 8

[train]
batch = 16

[checkpoint]
every_kimg = 12.0
"#;
