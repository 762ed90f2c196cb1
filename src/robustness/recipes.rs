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
    /// One line for people, with its source.
    pub about: &'static str,
    /// What it takes with three seeds on two processor cores.
    pub budget: &'static str,
    /// Configuration of every variant.
    pub config: &'static str,
    /// The networks.
    pub variants: &'static [Variant],
    /// Words behind `danskin attack RUN`, with what each is called in the table; the data follows.
    pub attacks: &'static [(&'static str, &'static str)],
    /// Whether clean accuracy is drawn against robust accuracy.
    pub chart: bool,
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

/// The network and the training of the MNIST challenge (Madry 2018), much shortened.
const CHALLENGE: &str = r#"preset = "mnist"

[optim]
lr = 1e-3
lr_schedule = "triangle"

[train]
batch = 50
kimg = 120.0

[attack]
eps = "0.3"
alpha = "0.01"
steps = 40

[checkpoint]
every_kimg = 120.0
"#;

const PGD50: (&str, &str) =
    ("PGD-50, 10 restarts", "--attack pgd --steps 50 --alpha 0.01 --restarts 10 --eps 0.3 --count 1000");
const AUTO: (&str, &str) = ("AutoAttack", "--attack auto --eps 0.3 --count 1000");

/// Every reproduction.
pub const REPRODUCTIONS: &[Reproduction] = &[
    Reproduction {
        name: "mnist-fast",
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
        attacks: &[PGD50, AUTO],
        chart: false,
    },
    Reproduction {
        name: "mnist-defences",
        about: "PGD, TRADES, MART, AWP and free training on the small network, MNIST, ε = 0.3",
        budget: "90 minutes",
        config: SMALL,
        variants: &[
            Variant {
                label: "pgd, 20 steps",
                train: "--defence pgd --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300",

                published: "98.5 / 92.5 (PGD-100), 88.5 (AutoAttack), larger network",
            },
            Variant {
                label: "trades, β = 6, 20 steps",
                train: "--defence trades --set attack.steps=20 --set defence.warmup_kimg=100 --kimg 300",

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
        attacks: &[PGD50, AUTO],
        chart: false,
    },
    Reproduction {
        name: "mnist-free",
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
        attacks: &[PGD50],
        chart: false,
    },
    Reproduction {
        name: "mnist-challenge",
        about: "PGD-40 training of the MNIST challenge's network, a fiftieth as long as published (Madry 2018)",
        budget: "one seed in 40 minutes; meant for a GPU",
        config: CHALLENGE,
        variants: &[Variant {
            label: "pgd, 40 steps",
            train: "--defence pgd",

            published: "98.5 / 92.5 (PGD-100), 88.5 (AutoAttack)",
        }],
        attacks: &[("PGD-100", "--attack pgd --steps 100 --alpha 0.01 --eps 0.3 --count 1000")],
        chart: false,
    },
    Reproduction {
        name: "tradeoff",
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
        attacks: &[("PGD-50 at ε = 0.2", "--attack pgd --steps 50 --alpha 0.01 --eps 0.2 --count 1000")],
        chart: true,
    },
];
