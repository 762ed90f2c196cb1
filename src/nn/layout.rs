//! The checkpoint border: how the arrays of this engine map to those of PyTorch, in both directions.
//!
//! Pure functions on a shape and its row-major elements; names are the same on both sides.

use crate::graph::Shape;

/// What a parameter is to PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Ours [Kh,Kw,Cin/groups,Cout], theirs [Cout,Cin/groups,Kh,Kw].
    Conv,
    /// Ours is the weight of the convolution whose input gradient the layer is, [Kh,Kw,Cin/groups,Cout] with Cin the
    /// channels that come *out* of the layer; theirs [in,out/groups,Kh,Kw], which is [Cout,Cin/groups,Kh,Kw].
    ConvTranspose,
    /// Ours `[in,out]`, theirs `[out,in]`.
    Linear,
    /// The same on both sides.
    Plain,
}

impl Layout {
    /// Axis i of PyTorch's array is axis `[i]` of ours.
    fn axes(self, rank: usize) -> Vec<usize> {
        match self {
            Layout::Conv | Layout::ConvTranspose => vec![3, 2, 0, 1],
            Layout::Linear => vec![1, 0],
            Layout::Plain => (0..rank).collect(),
        }
    }
}

/// The shape PyTorch gives a parameter that has `shape` here.
pub fn torch_shape(layout: Layout, shape: &Shape) -> Shape {
    layout.axes(shape.len()).into_iter().map(|a| shape[a]).collect::<Vec<_>>().into()
}

/// Elements of a parameter of `shape` in the order of PyTorch's array of [`torch_shape`].
///
/// # Panics
/// If `data` has not as many elements as `shape`, or the rank does not fit the layout.
pub fn to_torch(layout: Layout, shape: &Shape, data: &[f32]) -> Vec<f32> {
    permute(data, shape, &layout.axes(shape.len()))
}

/// The inverse of [`to_torch`]: `shape` is this engine's, `data` PyTorch's.
///
/// # Panics
/// As [`to_torch`].
pub fn from_torch(layout: Layout, shape: &Shape, data: &[f32]) -> Vec<f32> {
    let axes = layout.axes(shape.len());
    let mut inverse = vec![0; axes.len()];
    axes.iter().enumerate().for_each(|(i, &a)| inverse[a] = i);
    permute(data, &torch_shape(layout, shape), &inverse)
}

/// Output axis i is input axis `axes[i]`.
fn permute(data: &[f32], shape: &Shape, axes: &[usize]) -> Vec<f32> {
    assert!(data.len() == shape.elems() && axes.len() == shape.len(), "{} elements as {shape}", data.len());
    let strides = shape.strides();
    let (mut at, mut index) = (0, vec![0; axes.len()]);
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[at]);
        // The next output index, and with it the input position: an odometer that carries from the last axis.
        for (digit, &a) in index.iter_mut().zip(axes).rev() {
            *digit += 1;
            at += strides[a];
            if *digit < shape[a] {
                break;
            }
            at -= *digit * strides[a];
            *digit = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Layout; 4] = [Layout::Conv, Layout::ConvTranspose, Layout::Linear, Layout::Plain];

    fn shape_for(layout: Layout) -> Shape {
        if layout == Layout::Linear { [3, 5].into() } else { [2, 3, 4, 5].into() }
    }

    #[test]
    fn round_trip() {
        for layout in ALL {
            let shape = shape_for(layout);
            let ours: Vec<f32> = (0..shape.elems()).map(|i| i as f32).collect();
            let theirs = to_torch(layout, &shape, &ours);
            assert_eq!(ours == theirs, layout == Layout::Plain, "{layout:?} must move elements");
            assert_eq!(from_torch(layout, &shape, &theirs), ours, "{layout:?}");
        }
    }

    #[test]
    fn elements_land_where_pytorch_reads_them() {
        let shape = Shape::from([2, 3, 4, 5]);
        let ours: Vec<f32> = (0..shape.elems()).map(|i| i as f32).collect();
        let theirs = to_torch(Layout::Conv, &shape, &ours);
        assert_eq!(torch_shape(Layout::Conv, &shape), Shape::from([5, 4, 2, 3]));
        let (kh, kw, i, o) = (1, 2, 3, 1);
        assert_eq!(theirs[((o * 4 + i) * 2 + kh) * 3 + kw], ours[((kh * 3 + kw) * 4 + i) * 5 + o]);
        assert_eq!(to_torch(Layout::Linear, &[2, 3].into(), &[1., 2., 3., 4., 5., 6.]), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(torch_shape(Layout::Linear, &[2, 3].into()), Shape::from([3, 2]));
    }
}
