//! An ONNX graph while it is written: nodes, constants, and in which order of axes values are held.
//!
//! This engine keeps images as NHWC, the operators of ONNX want NCHW. So a value remembers which of its axes stands where: a
//! permutation costs nothing until something needs another order, constants are stored in the order they are read in, and what is
//! only repeated along an axis stays small until something other than a pointwise operator reads it.

use super::proto::{AttributeProto, FLOAT, GraphProto, INT64, NodeProto, TensorProto};
use super::symbolic::Extent;
use crate::graph::NodeId;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A value of the ONNX graph that stands for a node.
#[derive(Clone)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Axis i of the ONNX tensor is axis `axes[i]` of the node.
    pub axes: Vec<usize>,
    /// Extents in the node's order of axes; 1 where the value is repeated to the node's extent.
    pub extents: Vec<Extent>,
    /// Of a constant: the node it is the value of, and its elements in the node's order.
    pub data: Option<(NodeId, Rc<Vec<f32>>)>,
}

impl Held {
    /// Whether the elements stand in memory as they would in the node's own order of axes.
    pub fn is_plain(&self) -> bool {
        let mut long = self.axes.iter().filter(|&&a| self.extents[a] != Extent::Fixed(1));
        let first = long.next().copied();
        long.try_fold(first, |last, &a| (Some(a) > last).then_some(Some(a))).is_some()
    }
}

/// The axes as they come.
pub fn in_order(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

/// Collects the graph.
#[derive(Default)]
pub struct Writer {
    graph: GraphProto,
    names: HashSet<String>,
    /// Values that are held in another order of axes too.
    ordered: HashMap<(String, Option<NodeId>, Vec<usize>), String>,
    /// Whole numbers that are known already.
    whole: HashMap<Vec<i64>, String>,
    /// The given tensor that tells the rows of the batch, and where its rows are known.
    batch: String,
    rows: HashMap<usize, String>,
}

/// A whole number as an attribute.
pub fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value as i64), kind: 2, ..AttributeProto::default() }
}

/// Whole numbers as an attribute.
pub fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = values.into_iter().map(|v| v as i64).collect();
    AttributeProto { name: name.into(), ints, kind: 7, ..AttributeProto::default() }
}

/// A float as an attribute.
pub fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value as f32), kind: 1, ..AttributeProto::default() }
}

impl Writer {
    /// A graph whose batch is as long as the given tensor `batch`.
    pub fn new(batch: &str, reserved: &[String]) -> Writer {
        Writer { batch: batch.into(), names: reserved.iter().cloned().collect(), ..Writer::default() }
    }

    /// A name that is not taken: the one wanted, or with a number.
    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Applies an operator; the name of its result.
    pub fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let name = self.fresh(&op.to_lowercase());
        let input = inputs.iter().map(|&i| i.to_owned()).collect();
        let output = vec![name.clone()];
        self.graph.node.push(NodeProto { input, output, name: name.clone(), op_type: op.into(), attribute });
        name
    }

    fn constant(&mut self, wanted: &str, dims: Vec<i64>, data_type: i32, raw_data: Vec<u8>) -> String {
        let name = self.fresh(wanted);
        self.graph.initializer.push(TensorProto { dims, data_type, name: name.clone(), raw_data });
        name
    }

    /// A list of whole numbers.
    pub fn numbers(&mut self, values: &[i64]) -> String {
        if let Some(known) = self.whole.get(values) {
            return known.clone();
        }
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let name = self.constant("numbers", vec![values.len() as i64], INT64, bytes);
        self.whole.insert(values.to_vec(), name.clone());
        name
    }

    /// One whole number, without an axis.
    pub fn number(&mut self, value: i64) -> String {
        self.constant("number", vec![], INT64, value.to_le_bytes().to_vec())
    }

    /// A constant that is stored as it is.
    pub fn floats(&mut self, wanted: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes = bytemuck::cast_slice(values).to_vec();
        self.constant(wanted, dims.iter().map(|&d| d as i64).collect(), FLOAT, bytes)
    }

    /// The name of a value in an order of axes.
    pub fn reference(&mut self, held: &Held, axes: &[usize]) -> String {
        if held.data.is_none() && held.axes == axes {
            return held.name.clone();
        }
        // Several constants may be views of one parameter and share its name.
        let constant = held.data.as_ref().map(|(id, _)| *id);
        let key = (held.name.clone(), constant, axes.to_vec());
        if let Some(known) = self.ordered.get(&key) {
            return known.clone();
        }
        let name = match &held.data {
            Some((_, data)) => {
                let extents: Vec<usize> = held.extents.iter().map(|e| fixed(*e)).collect();
                let dims: Vec<usize> = axes.iter().map(|&a| extents[a]).collect();
                let data = permuted(data, &extents, axes);
                self.floats(&held.name, &dims, &data)
            }
            None => {
                let to = axes.iter().map(|a| held.axes.iter().position(|b| b == a).unwrap_or(0));
                let perm = ints("perm", to);
                self.node("Transpose", &[&held.name], vec![perm])
            }
        };
        self.ordered.insert(key, name.clone());
        name
    }

    /// A list of extents as a tensor of whole numbers, where −1 can't stand for the rows.
    pub fn shape(&mut self, extents: &[Extent]) -> String {
        if extents.iter().all(|e| matches!(e, Extent::Fixed(_))) {
            let extents: Vec<i64> = extents.iter().map(|e| fixed(*e) as i64).collect();
            return self.numbers(&extents);
        }
        let parts: Vec<String> = extents
            .iter()
            .map(|extent| match *extent {
                Extent::Fixed(n) => self.numbers(&[n as i64]),
                Extent::Rows(times) => self.rows(times),
            })
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.len() == 1 { parts[0].to_owned() } else { self.node("Concat", &parts, vec![int("axis", 0)]) }
    }

    /// `times` the rows of the batch, as one whole number.
    fn rows(&mut self, times: usize) -> String {
        if let Some(known) = self.rows.get(&times) {
            return known.clone();
        }
        let name = if times == 1 {
            let batch = self.batch.clone();
            self.node("Shape", &[&batch], vec![int("start", 0), int("end", 1)])
        } else {
            let (rows, factor) = (self.rows(1), self.numbers(&[times as i64]));
            self.node("Mul", &[&rows, &factor], vec![])
        };
        self.rows.insert(times, name.clone());
        name
    }

    /// The graph from which everything is left out that `result`, renamed to `output`, does not need.
    pub fn finish(mut self, result: &str, output: &str) -> GraphProto {
        if self.graph.node.iter().any(|n| n.output[0] == result) {
            let rename = |name: &mut String| {
                if name == result {
                    *name = output.to_owned();
                }
            };
            for node in &mut self.graph.node {
                node.input.iter_mut().chain(&mut node.output).for_each(rename);
            }
        } else {
            // The output is what was given, or a constant.
            let name = self.node("Identity", &[result], vec![]);
            return self.finish(&name, output);
        }
        let mut needed = HashSet::from([output.to_owned()]);
        let mut nodes = vec![];
        for node in self.graph.node.into_iter().rev() {
            if needed.contains(&node.output[0]) {
                needed.extend(node.input.iter().cloned());
                nodes.push(node);
            }
        }
        nodes.reverse();
        self.graph.initializer.retain(|t| needed.contains(&t.name));
        GraphProto { node: nodes, ..self.graph }
    }
}

/// An extent that does not depend on the batch: constants have no others.
fn fixed(extent: Extent) -> usize {
    match extent {
        Extent::Fixed(n) | Extent::Rows(n) => n,
    }
}

/// Output axis i is axis `axes[i]` of `data`.
fn permuted(data: &[f32], extents: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut strides = vec![1; extents.len()];
    for a in (1..extents.len()).rev() {
        strides[a - 1] = strides[a] * extents[a];
    }
    let mut at = vec![0; axes.len()];
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[at.iter().zip(axes).map(|(i, &a)| i * strides[a]).sum::<usize>()]);
        for (i, &a) in at.iter_mut().zip(axes).rev() {
            *i += 1;
            if *i < extents[a] {
                break;
            }
            *i = 0;
        }
    }
    out
}
