//! Layers: parameters of a [`Scope`] applied to tensors. Activations are NHWC, rows of features `[N,C]`.

use super::{Init, Layout, Mode, Scope};
use crate::graph::{Tensor, require};

/// The numbers of batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// How far the running statistics move towards those of a batch.
    pub momentum: f64,
    /// How the scales are filled at the start.
    pub init: Init,
}

impl BatchNorm {
    /// PyTorch's defaults, with scales filled by `init`.
    pub fn new(init: Init) -> BatchNorm {
        BatchNorm { eps: 1e-5, momentum: 0.1, init }
    }
}

/// Shape of a convolution layer; square kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Channels out.
    pub channels: usize,
    /// Kernel side.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Zero padding (of the convolution; a transposed one crops by it).
    pub pad: usize,
    /// Channel groups.
    pub groups: usize,
}

impl Conv {
    /// A 1×1 convolution.
    pub fn pointwise(channels: usize) -> Conv {
        Conv { channels, kernel: 1, stride: 1, pad: 0, groups: 1 }
    }
}

/// x `[N,in]` · weight `[in,out]` → `[N,out]`, without bias. Parameter: `weight`.
pub fn linear<'g>(scope: &Scope<'g>, x: Tensor<'g>, out: usize, init: Init) -> Tensor<'g> {
    x.matmul(scope.param("weight", [x.dim(1), out], init, Layout::Linear))
}

/// Adds a parameter of one number per channel, `name`, to the last axis of x; 0 at the start.
pub fn bias<'g>(scope: &Scope<'g>, name: &str, x: Tensor<'g>) -> Tensor<'g> {
    bias_of(scope, name, x, Init::Zeros)
}

/// As [`bias`], filled by `init` at the start.
pub fn bias_of<'g>(scope: &Scope<'g>, name: &str, x: Tensor<'g>, init: Init) -> Tensor<'g> {
    let shape = x.shape();
    let channels = shape[shape.len() - 1];
    x + over_channels(scope.param(name, [channels], init, Layout::Plain), shape.len())
}

/// Rows `[N,width]` of a table, one per class number of `labels` `[N]`. Parameter: `weight` `[classes,width]`.
pub fn embedding<'g>(scope: &Scope<'g>, labels: Tensor<'g>, classes: usize, width: usize, init: Init) -> Tensor<'g> {
    scope.param("weight", [classes, width], init, Layout::Plain).gather(labels)
}

/// The sum over the pixels of features `[N,H,W,C]`, as `[N,C]`; rows `[N,C]` stay as they are.
pub fn sum_pool(x: Tensor<'_>) -> Tensor<'_> {
    if x.shape().len() == 2 {
        return x;
    }
    x.sum(&[1, 2]).reshape([x.dim(0), x.dim(3)])
}

/// An image as a row `[N,F]` in PyTorch's order: channel, row, column.
pub fn flatten(x: Tensor<'_>) -> Tensor<'_> {
    let shape = x.shape();
    let row = [shape[0], shape[1..].iter().product()];
    if shape.len() == 4 { x.permute(&[0, 3, 1, 2]).reshape(row) } else { x.reshape(row) }
}

/// [C] as a tensor of `rank` that broadcasts along all axes but the last.
fn over_channels(vector: Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1; rank];
    shape[rank - 1] = vector.dim(0);
    vector.reshape(shape)
}

/// Convolution of x `[N,H,W,Cin]`, without bias. Parameter: `weight`.
pub fn conv<'g>(scope: &Scope<'g>, x: Tensor<'g>, layer: Conv, init: Init) -> Tensor<'g> {
    let shape = [layer.kernel, layer.kernel, x.dim(3) / layer.groups, layer.channels];
    convolve(x, scope.param("weight", shape, init, Layout::Conv), layer.stride, layer.pad, layer.groups)
}

/// Convolution of x `[N,H,W,Cin]` with `w` [Kh,Kw,Cin/groups,Cout], in its cheapest form: a kernel of one pixel is a matrix
/// product over the pixels, a kernel as large as the image one over the images (or, depthwise, a weighted sum).
pub fn convolve<'g>(x: Tensor<'g>, w: Tensor<'g>, stride: usize, pad: usize, groups: usize) -> Tensor<'g> {
    let (from, k) = (x.shape(), w.shape());
    let whole = pad == 0 && k[..2] == from[1..3];
    let pointwise = k[..2] == [1, 1] && stride == 1 && pad == 0;
    if groups == 1 && (whole || pointwise) {
        let (rows, inner) =
            if whole { (from[0], from[1] * from[2] * from[3]) } else { (from.elems() / from[3], from[3]) };
        let y = x.reshape([rows, inner]).matmul(w.reshape([inner, k[3]]));
        return if whole { y.reshape([from[0], 1, 1, k[3]]) } else { y.reshape([from[0], from[1], from[2], k[3]]) };
    }
    if whole && groups == from[3] && k[3] == groups {
        return (x * w.reshape([1, k[0], k[1], k[3]])).sum(&[1, 2]);
    }
    x.conv(w, stride, pad, groups)
}

/// Transposed convolution of x `[N,H,W,Cin]` to [N,(H−1)·stride+K−2·pad,…,channels], without bias. Parameter: `weight`
/// [K,K,channels/groups,Cin].
pub fn conv_transpose<'g>(scope: &Scope<'g>, x: Tensor<'g>, layer: Conv, init: Init) -> Tensor<'g> {
    let Conv { channels, kernel: k, stride, pad, groups } = layer;
    let from = x.shape();
    let w = scope.param("weight", [k, k, channels / groups, from[3]], init, Layout::ConvTranspose);
    if from[1..3] == [1, 1] && pad == 0 && groups == 1 {
        // One pixel: every output pixel is its own matrix product, so all of them are one.
        let rows = x.reshape([from[0], from[3]]).matmul_t(false, w.reshape([k * k * channels, from[3]]), true);
        return rows.reshape([from[0], k, k, channels]);
    }
    x.conv_transpose(w, stride, pad, groups)
}

/// Batch normalisation over all axes but the last (Ioffe & Szegedy 2015), with PyTorch's numbers: ε = 1e-5, biased
/// variance in the formula, unbiased in the running statistics, momentum 0.1.
///
/// Parameters: `weight` (filled by `init`), `bias` (0). State: `running_mean`, `running_var`.
pub fn batch_norm<'g>(scope: &Scope<'g>, x: Tensor<'g>, mode: Mode, init: Init) -> Tensor<'g> {
    batch_norm_by(scope, x, mode, BatchNorm::new(init))
}

/// As [`batch_norm`], by other numbers.
pub fn batch_norm_by<'g>(scope: &Scope<'g>, x: Tensor<'g>, mode: Mode, norm: BatchNorm) -> Tensor<'g> {
    let BatchNorm { eps, momentum, init } = norm;
    let shape = x.shape();
    let rank = shape.len();
    let channels = shape[rank - 1];
    let weight = over_channels(scope.param("weight", [channels], init, Layout::Plain), rank);
    let shift = over_channels(scope.param("bias", [channels], Init::Zeros, Layout::Plain), rank);
    let (centred, inverse) = standardise(scope, x, mode, eps, momentum);
    centred * (inverse * weight) + shift
}

/// Batch normalisation of images `[N,H,W,C]` with a scale and a shift per class (Dumoulin 2017), `labels` `[N]` of `classes`.
///
/// Parameters: `weights.weight` `[classes,C]` (filled by `norm.init`), `biases.weight` `[classes,C]` (0). State: as [`batch_norm`].
pub fn conditional_batch_norm<'g>(
    scope: &Scope<'g>,
    x: Tensor<'g>,
    labels: Tensor<'g>,
    classes: usize,
    mode: Mode,
    norm: BatchNorm,
) -> Tensor<'g> {
    let (n, channels) = (x.dim(0), x.dim(3));
    let of_class =
        |name: &str, init| embedding(&scope.child(name), labels, classes, channels, init).reshape([n, 1, 1, channels]);
    let (weight, shift) = (of_class("weights", norm.init), of_class("biases", Init::Zeros));
    let (centred, inverse) = standardise(scope, x, mode, norm.eps, norm.momentum);
    centred * inverse * weight + shift
}

/// (x − mean, 1/√(variance + ε)) of x over all axes but the last. State: `running_mean`, `running_var`.
fn standardise<'g>(scope: &Scope<'g>, x: Tensor<'g>, mode: Mode, eps: f64, momentum: f64) -> (Tensor<'g>, Tensor<'g>) {
    let shape = x.shape();
    let rank = shape.len();
    let channels = shape[rank - 1];
    let axes: Vec<usize> = (0..rank - 1).collect();
    let running_mean = scope.state("running_mean", [channels], 0.0);
    let running_var = scope.state("running_var", [channels], 1.0);
    let (mean, var) = match mode {
        Mode::Eval => (over_channels(running_mean, rank), over_channels(running_var, rank)),
        Mode::Train => {
            let mean = x.mean(&axes);
            let var = (x - mean).square().mean(&axes);
            let count = (shape.elems() / channels) as f64;
            let unbiased = var.scale(count / (count - 1.0).max(1.0));
            for (name, running, batch) in [("running_mean", running_mean, mean), ("running_var", running_var, unbiased)]
            {
                let batch = batch.reshape([channels]).detach();
                scope.update(name, running.scale(1.0 - momentum) + batch.scale(momentum));
            }
            (mean, var)
        }
    };
    (x - mean, (var + eps).pow(-0.5))
}

/// Appends one channel: the mean over features and pixels of the standard deviation within groups of the batch
/// (Karras 2018). N is split as (group, N/group), so the members of a group are N/group apart; biased variance + 1e-8.
///
/// # Panics
/// If `group` does not divide N.
pub fn minibatch_stddev(x: Tensor<'_>, group: usize) -> Tensor<'_> {
    let [n, h, w, c] = [0, 1, 2, 3].map(|a| x.dim(a));
    require!(group > 0 && n.is_multiple_of(group), "minibatch stddev: groups of {group} in a batch of {n}");
    let groups = n / group;
    let y = x.reshape([group, groups, h, w, c]);
    let deviation = ((y - y.mean(&[0])).square().mean(&[0]) + 1e-8).sqrt();
    let feature = deviation.mean(&[2, 3, 4]).expand([group, groups, h, w, 1]).reshape([n, h, w, 1]);
    Tensor::concat(&[x, feature], 3)
}

/// [`minibatch_stddev`] of images or rows in groups of `group`, or of the largest number below that divides N; 0 leaves x as it is.
pub fn batch_stddev(x: Tensor<'_>, group: usize) -> Tensor<'_> {
    let (shape, n) = (x.shape(), x.dim(0));
    let Some(group) = (1..=group.min(n)).rev().find(|g| n.is_multiple_of(*g)) else { return x };
    if shape.len() == 4 {
        return minibatch_stddev(x, group);
    }
    minibatch_stddev(x.reshape([n, 1, 1, x.dim(1)]), group).reshape([n, x.dim(1) + 1])
}

/// Weight-demodulated convolution (Karras 2020), stride 1, as scale → convolution → scale: x `[N,H,W,Cin]` with weight
/// `w` `[K,K,Cin,Cout]` scaled per image by `style` `[N,Cin]` and normalised to unit norm per output channel.
pub fn modulated_conv<'g>(x: Tensor<'g>, w: Tensor<'g>, style: Tensor<'g>, pad: usize) -> Tensor<'g> {
    let (n, cin, cout) = (x.dim(0), w.dim(2), w.dim(3));
    let energy = w.square().sum(&[0, 1]).reshape([cin, cout]);
    let demodulate = (style.square().matmul(energy) + 1e-8).pow(-0.5);
    let y = convolve(x * style.reshape([n, 1, 1, cin]), w, 1, pad, 1);
    y * demodulate.reshape([n, 1, 1, cout])
}
