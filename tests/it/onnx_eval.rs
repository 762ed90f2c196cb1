//! An interpreter of the ONNX operators that models are made of, in f64, written from the operators' definitions: what a written model
//! means, without the program that wrote it.

use danskin::export::onnx::proto::{DimensionValue, FLOAT, INT64, ModelProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// A tensor; whole numbers and truth values are floats too.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub data: Vec<f64>,
}

impl Array {
    pub fn new(dims: &[usize], data: Vec<f64>) -> Array {
        assert_eq!(dims.iter().product::<usize>(), data.len(), "{dims:?}");
        Array { dims: dims.to_vec(), data }
    }

    fn ints(&self) -> Vec<i64> {
        self.data.iter().map(|v| *v as i64).collect()
    }

    /// The element at `index`, whose leading axes may be missing here; axes of extent 1 repeat.
    fn broadcast(&self, index: &[usize]) -> f64 {
        let skip = index.len() - self.dims.len();
        let at = self.dims.iter().zip(&index[skip..]).fold(0, |at, (&d, &i)| at * d + if d == 1 { 0 } else { i });
        self.data[at]
    }

    /// The element at `index`, 0 outside.
    fn or_zero(&self, index: &[i64]) -> f64 {
        let inside = self.dims.iter().zip(index).all(|(&d, &i)| (0..d as i64).contains(&i));
        if !inside {
            return 0.0;
        }
        self.data[self.dims.iter().zip(index).fold(0, |at, (&d, &i)| at * d + i as usize)]
    }
}

/// Every index of a tensor, in order.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..dims.iter().product::<usize>()).map(move |mut n| {
        let mut index = vec![0; dims.len()];
        for a in (0..dims.len()).rev() {
            index[a] = n % dims[a];
            n /= dims[a];
        }
        index
    })
}

fn tensor(t: &TensorProto) -> Array {
    let dims: Vec<usize> = t.dims.iter().map(|d| *d as usize).collect();
    let data = match t.data_type {
        FLOAT => t.raw_data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        INT64 => t.raw_data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        other => panic!("{}: type {other}", t.name),
    };
    Array::new(&dims, data)
}

/// The one output of a model for inputs by name.
pub fn run(model: &ModelProto, inputs: &[(&str, Array)]) -> Array {
    let graph = model.graph.as_ref().unwrap();
    let mut values: HashMap<String, Array> = graph.initializer.iter().map(|t| (t.name.clone(), tensor(t))).collect();
    for info in &graph.input {
        let (_, given) = inputs.iter().find(|(name, _)| *name == info.name).expect("an input");
        let shape = info.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref().unwrap();
        assert_eq!(shape.dim.len(), given.dims.len(), "{}", info.name);
        for (dim, extent) in shape.dim.iter().zip(&given.dims) {
            match dim.value.as_ref().unwrap() {
                DimensionValue::DimValue(n) => assert_eq!(*n as usize, *extent, "{}", info.name),
                DimensionValue::DimParam(name) => assert_eq!(name, "batch"),
            }
        }
        values.insert(info.name.clone(), given.clone());
    }
    for node in &graph.node {
        let operands: Vec<&Array> = node.input.iter().map(|n| values.get(n).unwrap_or_else(|| panic!("{n}"))).collect();
        let result = apply(node, &operands);
        assert!(values.insert(node.output[0].clone(), result).is_none(), "{} is made twice", node.output[0]);
    }
    values.remove(&graph.output[0].name).expect("the output")
}

fn apply(node: &NodeProto, x: &[&Array]) -> Array {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let int = |name: &str| attribute(name).and_then(|a| a.i);
    let ints = |name: &str| attribute(name).map(|a| a.ints.clone());
    match node.op_type.as_str() {
        "Identity" => x[0].clone(),
        "Cast" => match int("to").unwrap() as i32 {
            FLOAT => x[0].clone(),
            _ => map(x[0], f64::trunc),
        },
        "Add" => zip(x, |v| v[0] + v[1]),
        "Mul" => zip(x, |v| v[0] * v[1]),
        "Pow" => zip(x, |v| v[0].powf(v[1])),
        "Max" => zip(x, |v| v[0].max(v[1])),
        "Min" => zip(x, |v| v[0].min(v[1])),
        "Where" => zip(x, |v| if v[0] != 0.0 { v[1] } else { v[2] }),
        "Greater" => zip(x, |v| f64::from(v[0] > v[1])),
        "LessOrEqual" => zip(x, |v| f64::from(v[0] <= v[1])),
        "Clip" => zip(x, |v| v[0].max(v[1]).min(v[2])),
        "Exp" => map(x[0], f64::exp),
        "Log" => map(x[0], f64::ln),
        "Sqrt" => map(x[0], f64::sqrt),
        "Reciprocal" => map(x[0], |v| 1.0 / v),
        "Abs" => map(x[0], f64::abs),
        "Sign" => map(x[0], |v| if v == 0.0 { 0.0 } else { v.signum() }),
        "Tanh" => map(x[0], f64::tanh),
        "Sigmoid" => map(x[0], |v| 1.0 / (1.0 + (-v).exp())),
        "Softplus" => map(x[0], |v| v.max(0.0) + (-v.abs()).exp().ln_1p()),
        "Relu" => map(x[0], |v| v.max(0.0)),
        "LeakyRelu" => {
            let alpha = f64::from(attribute("alpha").unwrap().f.unwrap());
            map(x[0], |v| if v < 0.0 { alpha * v } else { v })
        }
        "MatMul" => {
            let ([m, k], [_, n]) = ([x[0].dims[0], x[0].dims[1]], [x[1].dims[0], x[1].dims[1]]);
            assert_eq!(x[1].dims[0], k);
            let at = |i: &[usize]| (0..k).map(|j| x[0].data[i[0] * k + j] * x[1].data[j * n + i[1]]).sum();
            Array::new(&[m, n], indices(&[m, n]).map(|i| at(&i)).collect())
        }
        "Reshape" => reshape(x[0], &x[1].ints()),
        "Transpose" => {
            let perm = ints("perm").unwrap();
            let dims: Vec<usize> = perm.iter().map(|&p| x[0].dims[p as usize]).collect();
            let at = |index: &[usize]| {
                let mut from = vec![0; perm.len()];
                perm.iter().zip(index).for_each(|(&p, &i)| from[p as usize] = i);
                x[0].broadcast(&from)
            };
            Array::new(&dims, indices(&dims).map(|i| at(&i)).collect())
        }
        "Expand" => {
            // An extent of 1 leaves the operand's own.
            let wanted = x[1].ints().into_iter().zip(&x[0].dims).map(|(to, &d)| d.max(to as usize));
            let dims: Vec<usize> = wanted.collect();
            Array::new(&dims, indices(&dims).map(|i| x[0].broadcast(&i)).collect())
        }
        "Shape" => {
            let (start, end) = (int("start").unwrap() as usize, int("end").unwrap() as usize);
            Array::new(&[end - start], x[0].dims[start..end].iter().map(|d| *d as f64).collect())
        }
        "Concat" => {
            assert!(x.iter().all(|v| v.dims.len() == 1));
            let data: Vec<f64> = x.iter().flat_map(|v| v.data.clone()).collect();
            Array::new(&[data.len()], data)
        }
        "ReduceSum" => {
            assert_eq!(int("keepdims"), Some(1));
            let mut dims = x[0].dims.clone();
            x[1].ints().iter().for_each(|&a| dims[a as usize] = 1);
            let mut out = Array::new(&dims, vec![0.0; dims.iter().product()]);
            for (index, value) in indices(&x[0].dims).zip(&x[0].data) {
                let at = index.iter().zip(&dims).fold(0, |at, (&i, &d)| at * d + i.min(d - 1));
                out.data[at] += value;
            }
            out
        }
        "Slice" => {
            let lists = |i: usize| x[i].ints();
            let (mut start, mut step, mut dims) =
                (vec![0; x[0].dims.len()], vec![1; x[0].dims.len()], x[0].dims.clone());
            for (i, &a) in lists(3).iter().enumerate() {
                let a = a as usize;
                let by = if x.len() > 4 { lists(4)[i] as usize } else { 1 };
                let end = (lists(2)[i] as usize).min(x[0].dims[a]);
                (start[a], step[a]) = (lists(1)[i] as usize, by);
                dims[a] = (end - start[a]).div_ceil(by);
            }
            let at = |i: &[usize]| -> Vec<usize> { (0..i.len()).map(|a| start[a] + i[a] * step[a]).collect() };
            Array::new(&dims, indices(&dims).map(|i| x[0].broadcast(&at(&i))).collect())
        }
        "Pad" => {
            let (pads, rank) = (x[1].ints(), x[0].dims.len());
            let dims: Vec<usize> =
                (0..rank).map(|a| (x[0].dims[a] as i64 + pads[a] + pads[a + rank]) as usize).collect();
            let at = |i: &[usize]| -> Vec<i64> { (0..rank).map(|a| i[a] as i64 - pads[a]).collect() };
            Array::new(&dims, indices(&dims).map(|i| x[0].or_zero(&at(&i))).collect())
        }
        "Gather" => {
            assert_eq!((int("axis"), x[1].dims.len()), (Some(0), 1));
            let row: usize = x[0].dims[1..].iter().product();
            let rows = x[1].ints().into_iter().flat_map(|i| x[0].data[i as usize * row..][..row].to_vec());
            Array::new(&[&x[1].dims[..], &x[0].dims[1..]].concat(), rows.collect())
        }
        "Conv" | "ConvTranspose" => {
            let kernel: Vec<i64> = x[1].dims[2..].iter().map(|d| *d as i64).collect();
            assert_eq!(ints("kernel_shape"), Some(kernel));
            let geometry = Geometry::of(&ints, int("group"));
            if node.op_type == "Conv" { conv(x, &geometry) } else { conv_transpose(x, &geometry) }
        }
        other => panic!("the operator {other}"),
    }
}

fn map(x: &Array, f: impl Fn(f64) -> f64) -> Array {
    Array { dims: x.dims.clone(), data: x.data.iter().map(|v| f(*v)).collect() }
}

fn zip(x: &[&Array], f: impl Fn(&[f64]) -> f64) -> Array {
    let rank = x.iter().map(|v| v.dims.len()).max().unwrap();
    let mut dims = vec![1; rank];
    for v in x {
        for (dim, &d) in dims[rank - v.dims.len()..].iter_mut().zip(&v.dims) {
            assert!(*dim == 1 || d == 1 || *dim == d, "{:?}", x.iter().map(|v| &v.dims).collect::<Vec<_>>());
            *dim = (*dim).max(d);
        }
    }
    let data = indices(&dims).map(|i| f(&x.iter().map(|v| v.broadcast(&i)).collect::<Vec<_>>())).collect();
    Array { dims, data }
}

fn reshape(x: &Array, to: &[i64]) -> Array {
    let known: i64 = to.iter().filter(|d| **d != -1).product();
    let dims: Vec<usize> =
        to.iter().map(|&d| if d == -1 { x.data.len() / known as usize } else { d as usize }).collect();
    Array::new(&dims, x.data.clone())
}

struct Geometry {
    strides: Vec<i64>,
    pads: Vec<i64>,
    over: Vec<i64>,
    group: usize,
}

impl Geometry {
    fn of(ints: &dyn Fn(&str) -> Option<Vec<i64>>, group: Option<i64>) -> Geometry {
        Geometry {
            strides: ints("strides").unwrap_or(vec![1; 2]),
            pads: ints("pads").unwrap_or(vec![0; 4]),
            over: ints("output_padding").unwrap_or(vec![0; 2]),
            group: group.unwrap_or(1) as usize,
        }
    }
}

/// x [N,C,H,W], w [M,C/group,kH,kW].
fn conv(x: &[&Array], g: &Geometry) -> Array {
    let (x, w) = (x[0], x[1]);
    assert_eq!(x.dims[1], w.dims[1] * g.group);
    let extent =
        |a: usize| (x.dims[2 + a] as i64 + g.pads[a] + g.pads[2 + a] - w.dims[2 + a] as i64) / g.strides[a] + 1;
    let dims = [x.dims[0], w.dims[0], extent(0) as usize, extent(1) as usize];
    let per_group = w.dims[0] / g.group;
    let at = |i: &[usize]| {
        let first = i[1] / per_group * w.dims[1];
        let product = |k: Vec<usize>| {
            let place = |a: usize| i[2 + a] as i64 * g.strides[a] - g.pads[a] + k[1 + a] as i64;
            let from = [i[0] as i64, (first + k[0]) as i64, place(0), place(1)];
            x.or_zero(&from) * w.broadcast(&[i[1], k[0], k[1], k[2]])
        };
        indices(&w.dims[1..]).map(product).sum()
    };
    Array::new(&dims, indices(&dims).map(|i| at(&i)).collect())
}

/// x [N,C,H,W], w [C,M/group,kH,kW]: every pixel spreads over a window of the output.
fn conv_transpose(x: &[&Array], g: &Geometry) -> Array {
    let (x, w) = (x[0], x[1]);
    assert_eq!(x.dims[1], w.dims[0]);
    let extent = |a: usize| {
        (x.dims[2 + a] as i64 - 1) * g.strides[a] + w.dims[2 + a] as i64 + g.over[a] - g.pads[a] - g.pads[2 + a]
    };
    let dims = [x.dims[0], w.dims[1] * g.group, extent(0) as usize, extent(1) as usize];
    let mut out = vec![0.0; dims.iter().product()];
    let per_group = x.dims[1] / g.group;
    for (i, value) in indices(&x.dims).zip(&x.data) {
        for k in indices(&w.dims[1..]) {
            let place = |a: usize| i[2 + a] as i64 * g.strides[a] + k[1 + a] as i64 - g.pads[a];
            let (y, z) = (place(0), place(1));
            if (0..dims[2] as i64).contains(&y) && (0..dims[3] as i64).contains(&z) {
                let channel = i[1] / per_group * w.dims[1] + k[0];
                let at = ((i[0] * dims[1] + channel) * dims[2] + y as usize) * dims[3] + z as usize;
                out[at] += value * w.broadcast(&[i[1], k[0], k[1], k[2]]);
            }
        }
    }
    Array::new(&dims, out)
}
