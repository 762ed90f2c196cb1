//! Spectral normalisation (Miyato 2018): layers whose weight is divided by an estimate of its largest singular value.

use super::layers::{Conv, convolve};
use super::{Init, Layout, Mode, Scope};
use crate::graph::{Shape, Tensor};

/// PyTorch's bound below the length of a vector that is brought to length 1.
const EPS: f64 = 1e-12;

/// A parameter divided by σ = uᵀWv, as `torch.nn.utils.spectral_norm` does it, under its names: `weight_orig` is what is learned;
/// `weight_u` and `weight_v` persist and are constants for the gradient, which goes through W and σ.
///
/// W is the matrix of the weight with a row for each channel that comes out (of an embedding: for each class). Each application in
/// training mode makes one power iteration, v = Wᵀu/‖Wᵀu‖, u = Wv/‖Wv‖; in evaluation mode u and v stay. u starts as normal numbers and v
/// as zeros, which stands for none yet: until the first training pass evaluation makes v of u.
pub fn spectral_weight<'g>(
    scope: &Scope<'g>,
    shape: impl Into<Shape>,
    init: Init,
    layout: Layout,
    mode: Mode,
) -> Tensor<'g> {
    let w = scope.param("weight_orig", shape, init, layout);
    let matrix = Matrix::of(w, layout);
    let start = Init::Normal { mean: 0.0, std: (matrix.rows as f64).powf(-0.5) };
    let u = scope.state_of("weight_u", [matrix.rows], start).reshape([1, matrix.rows]);
    let v = scope.state("weight_v", [matrix.columns], 0.0);
    let sigma = match mode {
        Mode::Train => {
            let v = unit(matrix.transposed_times(u)).detach();
            let image = matrix.times(v);
            let u = unit(image).detach();
            scope.update("weight_u", u.reshape([matrix.rows]));
            scope.update("weight_v", matrix.to_torch(v));
            (image * u).sum_all()
        }
        Mode::Eval => {
            let stored = matrix.of_torch(v);
            let known = |shape: Shape| stored.square().sum_all().reshape([1, 1]).expand(shape);
            let u = known(u.shape()).select(u, unit(u));
            let v = known(stored.shape()).select(stored, unit(matrix.transposed_times(u)));
            (matrix.times(v.detach()) * u.detach()).sum_all()
        }
    };
    w * sigma.pow(-1.0).reshape(vec![1; w.shape().len()])
}

/// [`super::layers::conv`] with spectral normalisation.
pub fn spectral_conv<'g>(scope: &Scope<'g>, x: Tensor<'g>, layer: Conv, init: Init, mode: Mode) -> Tensor<'g> {
    let shape = [layer.kernel, layer.kernel, x.dim(3) / layer.groups, layer.channels];
    let weight = spectral_weight(scope, shape, init, Layout::Conv, mode);
    convolve(x, weight, layer.stride, layer.pad, layer.groups)
}

/// [`super::layers::linear`] with spectral normalisation.
pub fn spectral_linear<'g>(scope: &Scope<'g>, x: Tensor<'g>, out: usize, init: Init, mode: Mode) -> Tensor<'g> {
    x.matmul(spectral_weight(scope, [x.dim(1), out], init, Layout::Linear, mode))
}

/// [`super::layers::embedding`] with spectral normalisation of the table.
pub fn spectral_embedding<'g>(
    scope: &Scope<'g>,
    labels: Tensor<'g>,
    [classes, width]: [usize; 2],
    init: Init,
    mode: Mode,
) -> Tensor<'g> {
    spectral_weight(scope, [classes, width], init, Layout::Plain, mode).gather(labels)
}

/// A weight as PyTorch's matrix [rows, columns]; vectors are rows `[1,n]`.
struct Matrix<'g> {
    /// `[rows, columns]` of an embedding, else `[columns, rows]`.
    data: Tensor<'g>,
    rows: usize,
    columns: usize,
    rows_first: bool,
    /// Kernel height and width, channels in: what a column of a convolution counts.
    kernel: Option<[usize; 3]>,
}

impl<'g> Matrix<'g> {
    fn of(w: Tensor<'g>, layout: Layout) -> Matrix<'g> {
        let shape = w.shape();
        let rows_first = layout == Layout::Plain;
        let rows = shape[if rows_first { 0 } else { shape.len() - 1 }];
        let columns = shape.elems() / rows;
        let data = w.reshape(if rows_first { [rows, columns] } else { [columns, rows] });
        let kernel = (layout == Layout::Conv).then(|| [shape[0], shape[1], shape[2]]);
        Matrix { data, rows, columns, rows_first, kernel }
    }

    /// Wv
    fn times(&self, v: Tensor<'g>) -> Tensor<'g> {
        v.matmul_t(false, self.data, self.rows_first)
    }

    /// Wᵀu
    fn transposed_times(&self, u: Tensor<'g>) -> Tensor<'g> {
        u.matmul_t(false, self.data, !self.rows_first)
    }

    /// v `[1,columns]` in the order of PyTorch's columns: channel, row, column.
    fn to_torch(&self, v: Tensor<'g>) -> Tensor<'g> {
        let v = self.kernel.map_or(v, |kernel| v.reshape(kernel).permute(&[2, 0, 1]));
        v.reshape([self.columns])
    }

    /// The inverse of [`Matrix::to_torch`].
    fn of_torch(&self, v: Tensor<'g>) -> Tensor<'g> {
        let v = self.kernel.map_or(v, |[h, w, c]| v.reshape([c, h, w]).permute(&[1, 2, 0]));
        v.reshape([1, self.columns])
    }
}

/// x / max(‖x‖₂, ε)
fn unit(x: Tensor<'_>) -> Tensor<'_> {
    let square = x.square().sum_all();
    let least = x.graph().constant(EPS * EPS, square.shape());
    x * square.max(least).pow(-0.5).reshape([1, 1])
}
