//! A network as a list of layers, in PyTorch's words: what `nn.Sequential` is to Python, tables of a TOML file are here.
//!
//! Layers mean what PyTorch's of the same name mean, numbers included, and parameters carry `nn.Sequential`'s names: the
//! position of the layer, counted over all of them, and `weight`, `bias`, `running_mean`, `running_var`. Images are NHWC
//! inside, but `flatten` and `reshape` order features as PyTorch does (C, H, W), so that foreign weights mean the same.

use super::layers::{
    BatchNorm, Conv, batch_norm_by, batch_stddev, bias_of, conv, conv_transpose, embedding, flatten, linear,
};
use super::network::{MOST_CLASSES, expected, project};
use super::pool::{avg_pool, global_avg_pool, max_pool, pooled, upsample_bilinear, upsample_nearest};
use super::spectral::{spectral_conv, spectral_linear};
use super::{Init, Mode, Network, Scope};
use crate::error::{Error, Result};
use crate::graph::{Dist, Tensor};
use serde::{Deserialize, Serialize};

/// A list of layers. [`Sequential::network`] makes a network of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// What the names of parameters start with: `main` gives `main.0.weight`; nothing gives `0.weight`.
    #[serde(default)]
    pub prefix: String,
    /// How weights are filled at the start.
    #[serde(default)]
    pub init: Fill,
    /// In the order in which they are applied.
    pub layers: Vec<Layer>,
}

/// How the weights of a [`Sequential`] are filled at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// PyTorch's defaults: weights and biases uniform within ±1/√fan_in, normalisation 1 and 0.
    #[default]
    Torch,
    /// Those of DCGAN: weights N(0, 0.02), scales of normalisation N(1, 0.02), biases 0.
    Dcgan,
}

/// How [`Layer::Upsample`] fills the pixels between those it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Every pixel repeated.
    #[default]
    Nearest,
    /// Linear between the centres of pixels (`align_corners=False`).
    Bilinear,
}

fn one() -> usize {
    1
}
fn yes() -> bool {
    true
}
fn eps() -> f64 {
    1e-5
}
fn momentum() -> f64 {
    0.1
}
fn slope() -> f64 {
    0.01
}
fn four() -> usize {
    4
}
fn half() -> f64 {
    0.5
}

/// A layer. Kernels, strides and paddings are the same along height and width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution of an image: `weight`, `bias`.
    Conv {
        /// Channels out.
        out: usize,
        /// Kernel side.
        kernel: usize,
        /// Pixels between two windows.
        #[serde(default = "one")]
        stride: usize,
        /// Zeros on each side.
        #[serde(default)]
        padding: usize,
        /// Channel groups.
        #[serde(default = "one")]
        groups: usize,
        /// Whether a number per channel is added.
        #[serde(default = "yes")]
        bias: bool,
        /// Whether the weight is divided by its spectral norm: `weight_orig`, `weight_u`, `weight_v`.
        #[serde(default)]
        spectral_norm: bool,
    },
    /// Transposed convolution of an image; a row of features is read as an image of one pixel: `weight`, `bias`.
    ConvTranspose {
        /// Channels out.
        out: usize,
        /// Kernel side.
        kernel: usize,
        /// Pixels between two windows of the output.
        #[serde(default = "one")]
        stride: usize,
        /// Pixels cut off on each side.
        #[serde(default)]
        padding: usize,
        /// Must be 0: written down so that a description that needs it is refused in words.
        #[serde(default)]
        output_padding: usize,
        /// Channel groups.
        #[serde(default = "one")]
        groups: usize,
        /// Whether a number per channel is added.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Linear map of a row of features: `weight`, `bias`.
    Linear {
        /// Features out.
        out: usize,
        /// Whether a number per feature is added.
        #[serde(default = "yes")]
        bias: bool,
        /// Whether the weight is divided by its spectral norm: `weight_orig`, `weight_u`, `weight_v`.
        #[serde(default)]
        spectral_norm: bool,
    },
    /// Batch normalisation of an image per channel, of a row per feature: `weight`, `bias`, `running_mean`, `running_var`.
    BatchNorm {
        /// Added to the variance.
        #[serde(default = "eps")]
        eps: f64,
        /// How far the running statistics move towards those of a batch.
        #[serde(default = "momentum")]
        momentum: f64,
    },
    /// max(x, 0)
    Relu {},
    /// x where positive, else slope·x
    LeakyRelu {
        /// 0.01 unless given.
        #[serde(default = "slope")]
        slope: f64,
    },
    /// Hyperbolic tangent.
    Tanh {},
    /// 1/(1+e⁻ˣ)
    Sigmoid {},
    /// ln(1+eˣ)
    Softplus {},
    /// x/(1+e⁻ˣ)
    Silu {},
    /// Largest number of each window.
    MaxPool {
        /// Window side.
        kernel: usize,
        /// Pixels between two windows; the kernel unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// Mean of each window.
    AvgPool {
        /// Window side.
        kernel: usize,
        /// Pixels between two windows; the kernel unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// Mean of all pixels, an image of one.
    GlobalAvgPool {},
    /// `factor` times the height and width.
    Upsample {
        /// How many times.
        factor: usize,
        /// What goes between the pixels.
        #[serde(default)]
        mode: Interpolation,
    },
    /// An image as a row of features, ordered by channel, row, column.
    Flatten {},
    /// The same numbers as a row `[F]` or as an image `[C,H,W]`, in PyTorch's order.
    Reshape {
        /// Extents of a sample, PyTorch's order of axes.
        shape: Vec<usize>,
    },
    /// In training each number is 0 with probability p, and 1/(1−p) times itself otherwise; the identity when used.
    Dropout {
        /// Probability of 0.
        #[serde(default = "half")]
        p: f64,
    },
    /// Appends a learned vector of the sample's class to a row of features: `weight`.
    Embedding {
        /// Classes to choose from.
        classes: usize,
        /// Numbers per class.
        dim: usize,
    },
    /// Appends to an image one channel, to a row one feature: how much the numbers of a batch spread (Karras 2018).
    MinibatchStddev {
        /// Samples that are compared, or the largest number below that divides the batch; 4 unless given.
        #[serde(default = "four")]
        group: usize,
    },
    /// The last layer of a projection discriminator (Miyato & Koyama 2018), φ·w + b + ⟨embed(y), φ⟩ of a row φ: `weight`,
    /// `bias`, `embedding.weight`.
    Projection {
        /// Classes to choose from.
        classes: usize,
    },
}

/// The most that a number of a description, a sample between two layers and a weight may have.
const MOST_NUMBER: usize = 1 << 20;
const MOST_SAMPLE: usize = 1 << 26;
const MOST_WEIGHT: usize = 1 << 28;
const MOST_LAYERS: usize = 1000;

/// Extents as an image or a row, in words.
fn words(shape: &[usize]) -> String {
    match shape {
        [h, w, c] => format!("an image of {h}x{w} with {c} {}", if *c == 1 { "channel" } else { "channels" }),
        [f] => format!("a row of {f} {}", if *f == 1 { "feature" } else { "features" }),
        other => format!("extents {other:?}"),
    }
}

/// Product of extents, unless it overflows.
fn elems(extents: &[usize]) -> Option<usize> {
    extents.iter().try_fold(1usize, |product, &n| product.checked_mul(n))
}

/// Why a layer can't follow, or its extents out.
type Fit = std::result::Result<Vec<usize>, String>;

impl Sequential {
    /// Extents out for samples of extents `input` (`[F]`, or `[H,W,C]`); an image of one pixel at the end counts as a row.
    ///
    /// # Errors
    /// One sentence with `place`, the number and type of the first layer that does not fit, what arrives there and what it
    /// needs.
    pub fn check(&self, input: &[usize], place: &str) -> Result<Vec<usize>> {
        if self.layers.is_empty() || self.layers.len() > MOST_LAYERS {
            let hint = format!("must be from 1 to {MOST_LAYERS}");
            return Err(Error::setting(place, "number of layers", self.layers.len(), hint));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.prefix.chars().all(plain) || self.prefix.starts_with('.') || self.prefix.ends_with('.') {
            let hint = "must be letters, digits, `_` and `-`, with dots between names";
            return Err(Error::setting(place, "prefix", format!("`{}`", self.prefix), hint));
        }
        let fits = elems(input).is_some_and(|n| (1..=MOST_SAMPLE).contains(&n));
        if !matches!(input.len(), 1 | 3) || !fits {
            let hint = "must be [features] or [height, width, channels], from 1 each and no more than 2^26 numbers";
            return Err(Error::setting(place, "sample", format!("{input:?}"), hint));
        }
        let mut shape = input.to_vec();
        let mut classes = 0;
        for (i, layer) in self.layers.iter().enumerate() {
            let refuse = |reason: String| {
                Error::setting(place, format!("layer {i} ({})", layer.name()), format!("on {}", words(&shape)), reason)
            };
            match layer.classes() {
                0 => {}
                n if classes != 0 && n != classes => {
                    return Err(refuse(format!(
                        "has {n} classes where a layer before it has {classes}; they must be equal"
                    )));
                }
                n => classes = n,
            }
            let out = layer.fit(&shape).and_then(|out| match elems(&out) {
                Some(n) if n <= MOST_SAMPLE => Ok(out),
                _ => Err(format!("would make {}, more than {MOST_SAMPLE} numbers per sample", words(&out))),
            });
            shape = out.map_err(refuse)?;
        }
        Ok(row_of_one_pixel(shape))
    }

    /// The network on samples of extents `input`, `[F]` or `[H,W,C]`.
    ///
    /// # Errors
    /// As [`Sequential::check`].
    pub fn network(self, input: &[usize], place: &str) -> Result<SequentialNetwork> {
        let output = self.check(input, place)?;
        Ok(SequentialNetwork { description: self, input: input.to_vec(), output })
    }
}

fn row_of_one_pixel(shape: Vec<usize>) -> Vec<usize> {
    match shape[..] {
        [1, 1, c] => vec![c],
        _ => shape,
    }
}

/// Refuses a number beyond 1..=[`MOST_NUMBER`].
fn counts(numbers: &[(&str, usize)]) -> std::result::Result<(), String> {
    match numbers.iter().find(|(_, n)| !(1..=MOST_NUMBER).contains(n)) {
        Some((name, n)) => Err(format!("{name} {n} must be from 1 to {MOST_NUMBER}")),
        None => Ok(()),
    }
}

fn image(shape: &[usize]) -> std::result::Result<[usize; 3], String> {
    shape
        .try_into()
        .map_err(|_| "needs an image: put `reshape` with shape = [channels, height, width] before it".to_owned())
}

fn row(shape: &[usize]) -> std::result::Result<usize, String> {
    match shape[..] {
        [f] => Ok(f),
        _ => Err("needs a row of features: put `flatten` before it".to_owned()),
    }
}

fn weight(extents: &[usize]) -> std::result::Result<(), String> {
    match elems(extents) {
        Some(n) if n <= MOST_WEIGHT => Ok(()),
        _ => Err(format!("needs a weight of {extents:?}, more than {MOST_WEIGHT} numbers: choose fewer channels")),
    }
}

fn within(name: &str, value: f64, ok: bool, range: &str) -> std::result::Result<(), String> {
    if ok { Ok(()) } else { Err(format!("{name} {value} must be {range}")) }
}

impl Layer {
    /// Its `type` in a file.
    pub fn name(&self) -> &'static str {
        match self {
            Layer::Conv { .. } => "conv",
            Layer::ConvTranspose { .. } => "conv_transpose",
            Layer::Linear { .. } => "linear",
            Layer::BatchNorm { .. } => "batch_norm",
            Layer::Relu {} => "relu",
            Layer::LeakyRelu { .. } => "leaky_relu",
            Layer::Tanh {} => "tanh",
            Layer::Sigmoid {} => "sigmoid",
            Layer::Softplus {} => "softplus",
            Layer::Silu {} => "silu",
            Layer::MaxPool { .. } => "max_pool",
            Layer::AvgPool { .. } => "avg_pool",
            Layer::GlobalAvgPool {} => "global_avg_pool",
            Layer::Upsample { .. } => "upsample",
            Layer::Flatten {} => "flatten",
            Layer::Reshape { .. } => "reshape",
            Layer::Dropout { .. } => "dropout",
            Layer::Embedding { .. } => "embedding",
            Layer::MinibatchStddev { .. } => "minibatch_stddev",
            Layer::Projection { .. } => "projection",
        }
    }

    fn classes(&self) -> usize {
        match self {
            Layer::Embedding { classes, .. } | Layer::Projection { classes } => *classes,
            _ => 0,
        }
    }

    /// Extents out for a sample of extents `shape`, or what is needed instead.
    fn fit(&self, shape: &[usize]) -> Fit {
        match *self {
            Layer::Conv { out, kernel, stride, padding, groups, .. } => {
                let [h, w, c] = image(shape)?;
                counts(&[("out", out), ("kernel", kernel), ("stride", stride), ("groups", groups)])?;
                fit_groups(c, out, kernel, padding, groups)?;
                let (tall, wide) = (h + 2 * padding, w + 2 * padding);
                if kernel > tall.min(wide) {
                    return Err(format!("kernel {kernel} is larger than the padded image of {tall}x{wide}"));
                }
                Ok(vec![pooled(tall, kernel, stride), pooled(wide, kernel, stride), out])
            }
            Layer::ConvTranspose { out, kernel, stride, padding, output_padding, groups, .. } => {
                let [h, w, c] = if let [f] = shape { [1, 1, *f] } else { image(shape)? };
                counts(&[("out", out), ("kernel", kernel), ("stride", stride), ("groups", groups)])?;
                if output_padding != 0 {
                    return Err(format!(
                        "output_padding {output_padding} is not supported: choose a kernel and a padding that give the \
                         extent without it, such as kernel 4, stride 2, padding 1 for twice the extent"
                    ));
                }
                fit_groups(c, out, kernel, padding, groups)?;
                let extent = |n: usize| ((n - 1) * stride + kernel).checked_sub(2 * padding).filter(|n| *n > 0);
                match (extent(h), extent(w)) {
                    (Some(h), Some(w)) => Ok(vec![h, w, out]),
                    _ => Err(format!("padding {padding} leaves nothing of the image: must be smaller")),
                }
            }
            Layer::Linear { out, .. } => {
                let features = row(shape)?;
                counts(&[("out", out)])?;
                weight(&[features, out])?;
                Ok(vec![out])
            }
            Layer::BatchNorm { eps, momentum } => {
                within("eps", eps, eps > 0.0 && eps.is_finite(), "above 0")?;
                within("momentum", momentum, (0.0..=1.0).contains(&momentum), "from 0 to 1")?;
                Ok(shape.to_vec())
            }
            Layer::LeakyRelu { slope } => {
                within("slope", slope, slope.is_finite(), "a number")?;
                Ok(shape.to_vec())
            }
            Layer::MaxPool { kernel, stride } | Layer::AvgPool { kernel, stride } => {
                let [h, w, c] = image(shape)?;
                let stride = stride.unwrap_or(kernel);
                counts(&[("kernel", kernel), ("stride", stride)])?;
                if kernel > h.min(w) {
                    return Err(format!("kernel {kernel} is larger than the image"));
                }
                let most = if matches!(self, Layer::MaxPool { .. }) { MOST_MAXIMUM } else { MOST_MEAN };
                if kernel > most {
                    return Err(format!("kernel {kernel} must be at most {most}"));
                }
                Ok(vec![pooled(h, kernel, stride), pooled(w, kernel, stride), c])
            }
            Layer::GlobalAvgPool {} => image(shape).map(|[_, _, c]| vec![1, 1, c]),
            Layer::Upsample { factor, .. } => {
                let [h, w, c] = image(shape)?;
                within("factor", factor as f64, (1..=MOST_FACTOR).contains(&factor), "from 1 to 32")?;
                Ok(vec![h * factor, w * factor, c])
            }
            Layer::Flatten {} => Ok(vec![shape.iter().product()]),
            Layer::Reshape { shape: ref to } => {
                let have: usize = shape.iter().product();
                if elems(to) != Some(have) {
                    return Err(format!("shape {to:?} must hold the {have} numbers that arrive"));
                }
                match to[..] {
                    [f] => Ok(vec![f]),
                    [c, h, w] => Ok(vec![h, w, c]),
                    _ => Err(format!("shape {to:?} must be [features] or [channels, height, width]")),
                }
            }
            Layer::Dropout { p } => {
                within("p", p, (0.0..1.0).contains(&p), "from 0 to below 1")?;
                Ok(shape.to_vec())
            }
            Layer::Embedding { classes, dim } => {
                let features = row(shape)?;
                counts(&[("classes", classes), ("dim", dim)])?;
                weight(&[classes.min(MOST_CLASSES), dim])?;
                Ok(vec![features + dim])
            }
            Layer::MinibatchStddev { group } => {
                counts(&[("group", group)])?;
                let mut wider = shape.to_vec();
                wider.iter_mut().last().into_iter().for_each(|channels| *channels += 1);
                Ok(wider)
            }
            Layer::Projection { classes } => {
                let features = row(shape)?;
                counts(&[("classes", classes)])?;
                weight(&[classes, features])?;
                Ok(vec![1])
            }
            Layer::Relu {} | Layer::Tanh {} | Layer::Sigmoid {} | Layer::Softplus {} | Layer::Silu {} => {
                Ok(shape.to_vec())
            }
        }
    }
}

/// A window of a maximum is compared pixel by pixel.
const MOST_MAXIMUM: usize = 16;
/// A filter has at most 64 taps: a mean as many as its window is wide, an interpolation twice its factor.
const MOST_MEAN: usize = 64;
const MOST_FACTOR: usize = 32;

fn fit_groups(
    channels: usize,
    out: usize,
    kernel: usize,
    padding: usize,
    groups: usize,
) -> std::result::Result<(), String> {
    if !channels.is_multiple_of(groups) || !out.is_multiple_of(groups) {
        return Err(format!(
            "groups {groups} must divide the {channels} channels that arrive and the {out} that leave"
        ));
    }
    if padding >= kernel {
        return Err(format!("padding {padding} must be smaller than the kernel, {kernel}"));
    }
    weight(&[kernel, kernel, channels / groups, out])
}

/// A [`Sequential`] on samples of known extents.
#[derive(Clone, Debug, PartialEq)]
pub struct SequentialNetwork {
    description: Sequential,
    input: Vec<usize>,
    output: Vec<usize>,
}

impl Network for SequentialNetwork {
    fn input(&self) -> Vec<usize> {
        self.input.clone()
    }

    fn output(&self) -> Vec<usize> {
        self.output.clone()
    }

    fn classes(&self) -> usize {
        self.description.layers.iter().map(Layer::classes).max().unwrap_or(0)
    }

    fn forward<'g>(&self, scope: &Scope<'g>, x: Tensor<'g>, labels: Option<Tensor<'g>>, mode: Mode) -> Tensor<'g> {
        let Sequential { prefix, init, layers } = &self.description;
        let main = if prefix.is_empty() { scope.clone() } else { scope.child(prefix) };
        let n = x.dim(0);
        let place = |(i, layer): (usize, &Layer)| (main.child(i.to_string()), layer.clone());
        let applied = layers.iter().enumerate().map(place).fold(x, |x, (scope, layer)| {
            let at = At { scope, fill: *init, labels, mode };
            at.apply(&layer, x)
        });
        applied.reshape([vec![n], self.output.clone()].concat())
    }
}

/// Where a layer is applied.
struct At<'g> {
    scope: Scope<'g>,
    fill: Fill,
    labels: Option<Tensor<'g>>,
    mode: Mode,
}

impl<'g> At<'g> {
    /// (of a weight, of a bias) that sum over `fan_in` products.
    fn init(&self, fan_in: usize) -> (Init, Init) {
        match self.fill {
            Fill::Torch => [Init::torch(fan_in); 2].into(),
            Fill::Dcgan => (Init::Normal { mean: 0.0, std: 0.02 }, Init::Zeros),
        }
    }

    fn biased(&self, x: Tensor<'g>, bias: bool, init: Init) -> Tensor<'g> {
        if bias { bias_of(&self.scope, "bias", x, init) } else { x }
    }

    fn apply(&self, layer: &Layer, x: Tensor<'g>) -> Tensor<'g> {
        let (scope, n) = (&self.scope, x.dim(0));
        match *layer {
            Layer::Conv { out, kernel, stride, padding, groups, bias, spectral_norm } => {
                let (weight, shift) = self.init(x.dim(3) / groups * kernel * kernel);
                let layer = Conv { channels: out, kernel, stride, pad: padding, groups };
                let y = if spectral_norm {
                    spectral_conv(scope, x, layer, weight, self.mode)
                } else {
                    conv(scope, x, layer, weight)
                };
                self.biased(y, bias, shift)
            }
            Layer::ConvTranspose { out, kernel, stride, padding, groups, bias, .. } => {
                let x = if x.shape().len() == 2 { x.reshape([n, 1, 1, x.dim(1)]) } else { x };
                // PyTorch's fan-in of a transposed convolution counts the channels that come out.
                let (weight, shift) = self.init(out / groups * kernel * kernel);
                let layer = Conv { channels: out, kernel, stride, pad: padding, groups };
                self.biased(conv_transpose(scope, x, layer, weight), bias, shift)
            }
            Layer::Linear { out, bias, spectral_norm } => {
                let (weight, shift) = self.init(x.dim(1));
                let y = if spectral_norm {
                    spectral_linear(scope, x, out, weight, self.mode)
                } else {
                    linear(scope, x, out, weight)
                };
                self.biased(y, bias, shift)
            }
            Layer::BatchNorm { eps, momentum } => {
                let init = match self.fill {
                    Fill::Torch => Init::Ones,
                    Fill::Dcgan => Init::Normal { mean: 1.0, std: 0.02 },
                };
                batch_norm_by(scope, x, self.mode, BatchNorm { eps, momentum, init })
            }
            Layer::Relu {} => x.relu(),
            Layer::LeakyRelu { slope } => x.leaky_relu(slope),
            Layer::Tanh {} => x.tanh(),
            Layer::Sigmoid {} => x.sigmoid(),
            Layer::Softplus {} => x.softplus(),
            Layer::Silu {} => x * x.sigmoid(),
            Layer::MaxPool { kernel, stride } => max_pool(x, kernel, stride.unwrap_or(kernel)),
            Layer::AvgPool { kernel, stride } => avg_pool(x, kernel, stride.unwrap_or(kernel)),
            Layer::GlobalAvgPool {} => global_avg_pool(x),
            Layer::Upsample { factor, mode: Interpolation::Nearest } => upsample_nearest(x, factor),
            Layer::Upsample { factor, mode: Interpolation::Bilinear } => upsample_bilinear(x, factor),
            Layer::Flatten {} => flatten(x),
            Layer::Reshape { ref shape } => match shape[..] {
                [c, h, w] => flatten(x).reshape([n, c, h, w]).permute(&[0, 2, 3, 1]),
                _ => flatten(x),
            },
            Layer::Dropout { p } => match self.mode {
                Mode::Train if p > 0.0 => {
                    let keep = scope.graph().rand(Dist::Uniform, scope.stream("dropout"), x.shape()) - p;
                    x * keep.step().scale(1.0 / (1.0 - p))
                }
                _ => x,
            },
            Layer::Embedding { classes, dim } => {
                let normal = Init::Normal { mean: 0.0, std: 1.0 };
                Tensor::concat(&[x, embedding(scope, expected(self.labels), classes, dim, normal)], 1)
            }
            Layer::MinibatchStddev { group } => batch_stddev(x, group),
            Layer::Projection { classes } => {
                let (weight, shift) = self.init(x.dim(1));
                let logit = self.biased(linear(scope, x, 1, weight), true, shift);
                logit + project(&scope.child("embedding"), x, expected(self.labels), classes)
            }
        }
    }
}
