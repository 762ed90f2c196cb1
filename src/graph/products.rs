//! Methods of [`Tensor`] that mix elements: matrix products, convolutions, filters, gathering and sampling.

use super::{ConvSpec, FirSpec, Op, Shape, Tensor, require};

impl<'g> Tensor<'g> {
    /// Matrix product of `[m,k]` and `[k,n]`, each transposed first where its flag is set.
    pub fn matmul_t(self, ta: bool, other: Tensor<'g>, tb: bool) -> Tensor<'g> {
        let (a, b) = (self.shape(), other.shape());
        require!(a.len() == 2 && b.len() == 2, "matmul of {a} and {b}: both must be matrices");
        let (m, k) = if ta { (a[1], a[0]) } else { (a[0], a[1]) };
        let (l, n) = if tb { (b[1], b[0]) } else { (b[0], b[1]) };
        require!(k == l, "matmul of {a} (transposed: {ta}) and {b} (transposed: {tb}): inner extents differ");
        if self.const_value() == Some(0.0) || other.const_value() == Some(0.0) {
            return self.graph().constant(0.0, [m, n]);
        }
        self.graph().push(Op::MatMul { ta, tb }, vec![self.id(), other.id()], [m, n].into())
    }

    /// Matrix product of `[m,k]` and `[k,n]`.
    pub fn matmul(self, other: Tensor<'g>) -> Tensor<'g> {
        self.matmul_t(false, other, false)
    }

    /// Convolution of self `[N,H,W,Cin]` with `w` [Kh,Kw,Cin/groups,Cout].
    pub fn conv(self, w: Tensor<'g>, stride: usize, pad: usize, groups: usize) -> Tensor<'g> {
        let (x, k) = (self.shape(), w.shape());
        require!(x.len() == 4 && k.len() == 4, "conv of {x} with {k}: both must have rank 4");
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k[0], k[1]], input: [x[1], x[2]] };
        self.conv_spec(w, spec)
    }

    /// Transposed convolution of self `[N,H,W,Cout]` with `w` [Kh,Kw,Cin/groups,Cout] to [N,(H−1)·stride+K−2·pad,…,Cin]:
    /// the input gradient of the convolution that maps Cin to Cout.
    pub fn conv_transpose(self, w: Tensor<'g>, stride: usize, pad: usize, groups: usize) -> Tensor<'g> {
        let (y, k) = (self.shape(), w.shape());
        require!(y.len() == 4 && k.len() == 4, "conv_transpose of {y} with {k}: both must have rank 4");
        let [h, w_] = [y[1], y[2]];
        let fits = |n: usize, kernel: usize| n > 0 && (n - 1) * stride + kernel > 2 * pad;
        require!(fits(h, k[0]) && fits(w_, k[1]), "conv_transpose of {y} with {k}: a padding of {pad} leaves nothing");
        let extent = |n: usize, kernel: usize| (n - 1) * stride + kernel - 2 * pad;
        let input = [extent(y[1], k[0]), extent(y[2], k[1])];
        let spec = ConvSpec { stride: [stride; 2], pad: [pad; 2], groups, kernel: [k[0], k[1]], input };
        self.conv_x_spec(w, spec)
    }

    /// Convolution with explicit geometry: (x, w) → y.
    pub fn conv_spec(self, w: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (x, k) = (self.shape(), w.shape());
        check_conv(&x, &k, None, &spec);
        let [ho, wo] = spec.output();
        let shape = Shape::from([x[0], ho, wo, k[3]]);
        self.conv_family(Op::Conv(spec), w, shape)
    }

    /// Input gradient of a convolution: (y, w) → x.
    pub fn conv_x_spec(self, w: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (y, k) = (self.shape(), w.shape());
        let x = Shape::from([y[0], spec.input[0], spec.input[1], k[2] * spec.groups]);
        check_conv(&x, &k, Some(&y), &spec);
        self.conv_family(Op::ConvX(spec), w, x)
    }

    /// Weight gradient of a convolution: (x, y) → w.
    pub fn conv_w_spec(self, y: Tensor<'g>, spec: ConvSpec) -> Tensor<'g> {
        let (x, out) = (self.shape(), y.shape());
        let k = Shape::from([spec.kernel[0], spec.kernel[1], x[3] / spec.groups, out[3]]);
        check_conv(&x, &k, Some(&out), &spec);
        self.conv_family(Op::ConvW(spec), y, k)
    }

    fn conv_family(self, op: Op, other: Tensor<'g>, shape: Shape) -> Tensor<'g> {
        if self.const_value() == Some(0.0) || other.const_value() == Some(0.0) {
            return self.graph().constant(0.0, shape);
        }
        self.graph().push(op, vec![self.id(), other.id()], shape)
    }

    /// Filters H and W of an NHWC tensor.
    pub fn fir(self, spec: FirSpec) -> Tensor<'g> {
        let x = self.shape();
        require!(x.len() == 4 && spec.up > 0 && spec.down > 0 && !spec.taps.is_empty(), "fir of {x} by {spec:?}");
        let shape = Shape::from([x[0], spec.output(0, x[1]), spec.output(1, x[2]), x[3]]);
        if self.const_value() == Some(0.0) {
            return self.graph().constant(0.0, shape);
        }
        self.graph().push(Op::Fir(spec), vec![self.id()], shape)
    }

    /// Rows of self [R, …] picked by `index` `[B]`.
    pub fn gather(self, index: Tensor<'g>) -> Tensor<'g> {
        let (mut shape, at) = (self.shape().to_vec(), index.shape());
        require!(at.len() == 1, "gather with index {at}: must have rank 1");
        shape[0] = at[0];
        self.graph().push(Op::Gather, vec![self.id(), index.id()], shape.into())
    }

    /// Adds row b of self [B, …] to row `index[b]` of zeros [rows, …].
    pub fn scatter_add(self, index: Tensor<'g>, rows: usize) -> Tensor<'g> {
        let (mut shape, at) = (self.shape().to_vec(), index.shape());
        require!(at.len() == 1 && at[0] == shape[0], "scatter_add of {shape:?} with index {at}");
        shape[0] = rows;
        self.graph().push(Op::ScatterAdd, vec![self.id(), index.id()], shape.into())
    }

    /// Bilinear samples of self `[N,H,W,C]` at `grid` `[N,Ho,Wo,2]`, (y, x) in pixels, zero outside.
    pub fn sample(self, grid: Tensor<'g>) -> Tensor<'g> {
        let (x, at) = (self.shape(), grid.shape());
        require!(x.len() == 4 && at.len() == 4 && at[0] == x[0] && at[3] == 2, "sample of {x} at {at}");
        self.graph().push(Op::Sample, vec![self.id(), grid.id()], [x[0], at[1], at[2], x[3]].into())
    }

    /// Adjoint of [`Tensor::sample`] for an image of extent `size` (H, W).
    pub fn sample_adjoint(self, grid: Tensor<'g>, size: [usize; 2]) -> Tensor<'g> {
        let (y, at) = (self.shape(), grid.shape());
        require!(y.len() == 4 && at.len() == 4 && at[..3] == y[..3] && at[3] == 2, "sample_adjoint of {y} at {at}");
        self.graph().push(Op::SampleAdjoint, vec![self.id(), grid.id()], [y[0], size[0], size[1], y[3]].into())
    }
}

fn check_conv(x: &Shape, w: &Shape, y: Option<&Shape>, spec: &ConvSpec) {
    let ok = x.len() == 4
        && w.len() == 4
        && spec.groups > 0
        && x[3] == w[2] * spec.groups
        && w[3].is_multiple_of(spec.groups)
        && [w[0], w[1]] == spec.kernel
        && [x[1], x[2]] == spec.input
        && (0..2).all(|a| spec.stride[a] > 0 && spec.input[a] + 2 * spec.pad[a] >= spec.kernel[a]);
    require!(ok, "convolution of x {x} with w {w}: {spec:?}");
    if let Some(y) = y {
        let [ho, wo] = spec.output();
        require!(**y == [x[0], ho, wo, w[3]], "convolution of x {x} with w {w}: y is {y}, {spec:?}");
    }
}
