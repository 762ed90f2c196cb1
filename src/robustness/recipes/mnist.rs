//! Attacks and defences on MNIST.

use super::{MNIST, MeasuredBy, Reproduction, Variant};

/// Every reproduction of this file.
pub(super) const ALL: &[Reproduction] = &[
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
];

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

const PGD50: (&str, &str) =
    ("PGD-50, 10 restarts", "--attack pgd --steps 50 --alpha 0.01 --restarts 10 --eps 0.3 --count 1000");
const AUTO: (&str, &str) = ("AutoAttack", "--attack auto --eps 0.3 --count 1000");
