//! Published results that this program repeats: what is trained, what attacks it, and what was published.
//!
//! A reproduction is a list of commands as a user could type them; nothing here runs by itself.

/// One network of a reproduction.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What tables call it.
    pub label: &'static str,
    /// Words behind `danskin train`; the run folder, the data and the seed follow.
    pub train: &'static str,
    /// What was published: clean and robust accuracy in per cent, and by which attack.
    pub published: &'static str,
}

/// A published result.
#[derive(Clone, Copy, Debug)]
pub struct Reproduction {
    /// What it is asked for by.
    pub name: &'static str,
    /// What `--data` has to name; empty where it needs none.
    pub data: &'static str,
    /// One line for people, with its source.
    pub about: &'static str,
    /// What it takes with three seeds on two processor cores.
    pub budget: &'static str,
    /// Configuration of every variant.
    pub config: &'static str,
    /// The networks.
    pub variants: &'static [Variant],
    /// How they are measured.
    pub measured: MeasuredBy,
    /// Whether the first number is drawn against the second.
    pub chart: bool,
}

/// How the networks of a reproduction are measured.
#[derive(Clone, Copy, Debug)]
pub enum MeasuredBy {
    /// Clean accuracy and what attacks leave of it: words behind `danskin attack RUN`, with what each is called in the table; the data
    /// follows.
    Attacks(&'static [(&'static str, &'static str)]),
    /// Words behind `danskin eval RUN` (the data follows), and of what it finds which numbers make columns.
    Samples(&'static str, &'static [Column]),
    /// The same with modes counted by a classifier.
    Labelled {
        /// Words behind the `danskin train` that makes the classifier first.
        classifier: &'static str,
        /// Words behind `danskin eval RUN`.
        eval: &'static str,
        /// Columns of the table.
        columns: &'static [Column],
    },
}

/// A column of numbers that `danskin eval --json` writes.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What tables call it.
    pub label: &'static str,
    /// The number's name.
    pub key: &'static str,
    /// It is multiplied by this: 100 for per cent.
    pub factor: f64,
}

/// The network that Wong 2020 trains on MNIST: two convolutions of stride 2 and two linear layers.
const SMALL: &str = r#"preset = "mnist"

[model]
kind = "sequential"
classes = 10

[model.c]
layers = [
    { type = "conv", out = 16, kernel = 4, stride = 2, padding = 1 },
    { type = "relu" },
    { type = "conv", out = 32, kernel = 4, stride = 2, padding = 1 },
    { type = "relu" },
    { type = "flatten" },
    { type = "linear", out = 100 },
    { type = "relu" },
    { type = "linear", out = 10 },
]

[optim]
lr = 5e-3
lr_schedule = "triangle"

[train]
batch = 100
kimg = 600.0

[attack]
eps = "0.3"

[checkpoint]
every_kimg = 600.0
"#;

/// The network and the training of the MNIST challenge (Madry 2018), much shortened; the radius grows first, or so few steps learn nothing.
const CHALLENGE: &str = r#"preset = "mnist"

[optim]
lr = 1e-3
lr_schedule = "triangle"

[train]
batch = 50
kimg = 60.0

[attack]
eps = "0.3"
alpha = "0.01"
steps = 40

[defence]
warmup_kimg = 20.0

[checkpoint]
every_kimg = 60.0
"#;

const PGD_20: &str = "--defence pgd --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300";
const TRADES_20: &str = "--defence trades --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300";

/// What reproductions on MNIST want.
const MNIST: &str = "the folder of the MNIST files";

const PGD50: (&str, &str) =
    ("PGD-50, 10 restarts", "--attack pgd --steps 50 --alpha 0.01 --restarts 10 --eps 0.3 --count 1000");
const AUTO: (&str, &str) = ("AutoAttack", "--attack auto --eps 0.3 --count 1000");

/// Every reproduction.
pub const REPRODUCTIONS: &[Reproduction] = &[
    Reproduction {
        name: "mnist-fast",
        data: MNIST,
        about: "fast adversarial training and nothing, the network of Wong 2020, MNIST, ε = 0.3",
        budget: "10 minutes",
        config: SMALL,
        variants: &[
            Variant { label: "undefended", train: "", published: "99.2 / 0 (PGD-50)" },
            Variant {
                label: "fast",
                train: "--defence fast --set optim.lr_peak_kimg=240",
                published: "98.5 / 88.8 (PGD-50, 10 restarts)",
            },
        ],
        measured: MeasuredBy::Attacks(&[PGD50, AUTO]),
        chart: false,
    },
    Reproduction {
        name: "mnist-defences",
        data: MNIST,
        about: "PGD, TRADES, MART, AWP and free training on the small network, MNIST, ε = 0.3",
        budget: "90 minutes",
        config: SMALL,
        variants: &[
            Variant {
                label: "pgd, 20 steps",
                train: PGD_20,
                published: "98.5 / 92.5 (PGD-100), 88.5 (AutoAttack), larger network",
            },
            Variant {
                label: "trades, β = 6, 20 steps",
                train: TRADES_20,
                published: "99.5 / 92.8 (AutoAttack), larger network",
            },
            Variant {
                label: "mart, 20 steps",
                train: "--defence mart --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300",
                published: "98.7 / 94.8 (PGD-20), larger network",
            },
            Variant {
                label: "awp, 20 steps",
                train: "--defence awp --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300",
                published: "none for MNIST",
            },
        ],
        measured: MeasuredBy::Attacks(&[PGD50, AUTO]),
        chart: false,
    },
    Reproduction {
        name: "mnist-matrix",
        data: MNIST,
        about: "networks trained without and with defences against attacks that they did not train on, and another norm, MNIST",
        budget: "50 minutes",
        config: SMALL,
        variants: &[
            Variant { label: "undefended", train: "", published: "–" },
            Variant { label: "fast", train: "--defence fast --set optim.lr_peak_kimg=240", published: "–" },
            Variant { label: "pgd, 20 steps", train: PGD_20, published: "–" },
            Variant { label: "trades, β = 6, 20 steps", train: TRADES_20, published: "–" },
        ],
        measured: MeasuredBy::Attacks(&[
            ("FGSM", "--attack fgsm --eps 0.3 --count 1000"),
            ("MI-FGSM, 20 steps", "--attack mifgsm --steps 20 --eps 0.3 --count 1000"),
            ("PGD-50", "--attack pgd --steps 50 --alpha 0.01 --eps 0.3 --count 1000"),
            ("APGD, DLR loss, 50 steps", "--attack apgd-dlr --steps 50 --eps 0.3 --count 1000"),
            ("square, 500 queries", "--attack square --steps 500 --eps 0.3 --count 1000"),
            ("PGD-50, Euclidean, ε = 2", "--attack pgd --norm 2 --steps 50 --eps 2 --count 1000"),
        ]),
        chart: false,
    },
    Reproduction {
        name: "mnist-free",
        data: MNIST,
        about: "free against fast adversarial training at equal passes through the network, MNIST, ε = 0.3",
        budget: "10 minutes",
        config: SMALL,
        variants: &[
            Variant {
                label: "fast, 1200 thousand passes",
                train: "--defence fast --set optim.lr_peak_kimg=240",
                published: "98.5 / 88.8 (PGD-50, 10 restarts)",
            },
            Variant {
                label: "free, 8 replays, 1200 thousand passes",
                train: "--defence free --set defence.replays=8 --kimg 150",
                published: "none for MNIST",
            },
        ],
        measured: MeasuredBy::Attacks(&[PGD50]),
        chart: false,
    },
    Reproduction {
        name: "mnist-challenge",
        data: MNIST,
        about: "PGD-40 training of the MNIST challenge's network, an eightieth as long as published (Madry 2018)",
        budget: "one seed in 20 minutes; meant for a GPU",
        config: CHALLENGE,
        variants: &[Variant {
            label: "pgd, 40 steps",
            train: "--defence pgd",

            published: "98.5 / 92.5 (PGD-100), 88.5 (AutoAttack)",
        }],
        measured: MeasuredBy::Attacks(&[("PGD-100", "--attack pgd --steps 100 --alpha 0.01 --eps 0.3 --count 1000")]),
        chart: false,
    },
    Reproduction {
        name: "tradeoff",
        data: MNIST,
        about: "clean against robust accuracy over the radius of training and over TRADES' β (Tsipras 2018), MNIST",
        budget: "60 minutes",
        config: SMALL,
        variants: &[
            Variant { label: "ε = 0", train: "--kimg 300", published: "" },
            Variant { label: "fast, ε = 0.1", train: "--defence fast --kimg 300 --set attack.eps=0.1", published: "" },
            Variant { label: "fast, ε = 0.2", train: "--defence fast --kimg 300 --set attack.eps=0.2", published: "" },
            Variant { label: "fast, ε = 0.3", train: "--defence fast --kimg 300", published: "" },
            Variant {
                label: "trades, β = 1",
                train: "--defence trades --kimg 150 --set attack.steps=10 --set defence.beta=1",
                published: "",
            },
            Variant {
                label: "trades, β = 3",
                train: "--defence trades --kimg 150 --set attack.steps=10 --set defence.beta=3",
                published: "",
            },
            Variant {
                label: "trades, β = 6",
                train: "--defence trades --kimg 150 --set attack.steps=10 --set defence.beta=6",
                published: "",
            },
        ],
        measured: MeasuredBy::Attacks(&[(
            "PGD-50 at ε = 0.2",
            "--attack pgd --steps 50 --alpha 0.01 --eps 0.2 --count 1000",
        )]),
        chart: true,
    },
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
