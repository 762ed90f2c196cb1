//! Each primitive as ONNX operators.

use super::proto::AttributeProto;
use super::symbolic::Extent;
use super::writer::{Held, Writer, in_order, int, ints};
use crate::graph::{ConvSpec, Dag, FirSpec, NodeId, Op};
use crate::{Error, Result};
use std::collections::HashMap;
use std::rc::Rc;

/// NCHW, in axes of NHWC.
pub const NCHW: [usize; 4] = [0, 3, 1, 2];
/// Weights [out, in, height, width] in axes of [height, width, in, out].
const OIHW: [usize; 4] = [3, 2, 0, 1];

/// Writes the nodes of a graph one after another.
pub struct Operators<'a> {
    /// The graph.
    pub dag: &'a Dag,
    /// Extents of every node.
    pub extents: &'a [Vec<Extent>],
    /// Values that need no input.
    pub constants: HashMap<NodeId, Vec<f32>>,
    /// Tensors that are given, by the name of their leaf.
    pub given: HashMap<String, Held>,
    /// Leaves that are given as whole numbers: leaf and the ONNX tensor.
    pub whole: HashMap<String, String>,
    /// Where nodes go.
    pub writer: Writer,
    held: Vec<Option<Held>>,
}

impl<'a> Operators<'a> {
    /// Nothing is written yet.
    pub fn new(dag: &'a Dag, extents: &'a [Vec<Extent>], constants: HashMap<NodeId, Vec<f32>>, writer: Writer) -> Self {
        let (given, whole) = (HashMap::new(), HashMap::new());
        Operators { dag, extents, constants, given, whole, writer, held: vec![None; dag.nodes.len()] }
    }

    /// Writes every node.
    ///
    /// # Errors
    /// A primitive that has no place in an ONNX model.
    pub fn write(&mut self) -> Result<()> {
        for id in 0..self.dag.nodes.len() {
            self.held[id] = self.value(id)?;
        }
        Ok(())
    }

    /// The value of a node that was written, whole.
    ///
    /// # Errors
    /// A node without a value.
    pub fn whole_value(&mut self, id: NodeId) -> Result<Held> {
        let held = self.operand(id)?;
        if held.extents == self.extents[id] {
            return Ok(held);
        }
        let axes = if held.data.is_some() { in_order(held.axes.len()) } else { held.axes.clone() };
        let small = self.writer.reference(&held, &axes);
        let shape: Vec<Extent> = axes.iter().map(|&a| self.extents[id][a]).collect();
        let shape = self.writer.shape(&shape);
        let name = self.writer.node("Expand", &[&small, &shape], vec![]);
        let whole = Held { name, axes, extents: self.extents[id].clone(), data: None };
        self.held[id] = Some(whole.clone());
        Ok(whole)
    }

    /// The value of a node that was written, perhaps smaller than the node where it repeats.
    ///
    /// # Errors
    /// A node without a value.
    pub(super) fn operand(&self, id: NodeId) -> Result<Held> {
        let missing = || Error::Graph(format!("node {id} ({}) has no value", self.dag.nodes[id].op.kind().name()));
        self.held[id].clone().ok_or_else(missing)
    }

    /// The whole value of a node in an order of axes.
    fn ordered(&mut self, id: NodeId, axes: &[usize]) -> Result<String> {
        let held = self.whole_value(id)?;
        Ok(self.writer.reference(&held, axes))
    }

    fn new_value(&self, id: NodeId, name: String, axes: &[usize]) -> Held {
        Held { name, axes: axes.to_vec(), extents: self.extents[id].clone(), data: None }
    }

    /// What stands for a node; `None` for one that only constants read.
    fn value(&mut self, id: NodeId) -> Result<Option<Held>> {
        let node = &self.dag.nodes[id];
        let rank = node.shape.len();
        if let Some(data) = self.constants.remove(&id) {
            let (name, extents) = (self.constant_name(id), self.extents[id].clone());
            return Ok(Some(Held { name, axes: in_order(rank), extents, data: Some((id, Rc::new(data))) }));
        }
        if let Op::Const(c) = &node.op {
            let (name, extents) = ("constant".into(), vec![Extent::Fixed(1); rank]);
            let data = Some((id, Rc::new(vec![c.0 as f32])));
            return Ok(Some(Held { name, axes: in_order(rank), extents, data }));
        }
        if !node.src.is_empty() && node.src.iter().any(|&s| self.held[s].is_none()) {
            return Ok(None);
        }
        let src = |i: usize| node.src[i];
        Ok(Some(match &node.op {
            Op::Input(name) => match self.given.get(&**name) {
                Some(held) => held.clone(),
                None => return Err(Error::Graph(format!("the input {name} is none of those an ONNX model is given"))),
            },
            Op::Param(_) | Op::State(_) => return Ok(None),
            Op::Detach => self.operand(src(0))?,
            Op::Reshape => self.reshape(id)?,
            Op::Permute(axes) => {
                let held = self.operand(src(0))?;
                let data = held.data.is_some();
                let held = if data { self.whole_value(src(0))? } else { held };
                let name = if data { self.writer.reference(&held, &held.axes.clone()) } else { held.name.clone() };
                let place = |a: &usize| axes.iter().position(|b| b == a).unwrap_or(0);
                let extents = axes.iter().map(|&a| held.extents[a]).collect();
                Held { name, axes: held.axes.iter().map(place).collect(), extents, data: None }
            }
            // Pointwise operators repeat by themselves.
            Op::Expand => self.operand(src(0))?,
            Op::Sum(axes) => {
                let held = self.whole_value(src(0))?;
                let x = self.writer.reference(&held, &held.axes.clone());
                let at: Vec<i64> = (0..rank).filter(|&i| axes.contains(&held.axes[i])).map(|i| i as i64).collect();
                let at = self.writer.numbers(&at);
                let name = self.writer.node("ReduceSum", &[&x, &at], vec![int("keepdims", 1)]);
                self.new_value(id, name, &held.axes)
            }
            Op::Slice(start) => self.slice(id, start)?,
            Op::Pad(start) => self.pad(id, start)?,
            Op::MatMul { ta, tb } => {
                let order = |t: bool| if t { [1, 0] } else { [0, 1] };
                let (a, b) = (self.ordered(src(0), &order(*ta))?, self.ordered(src(1), &order(*tb))?);
                let name = self.writer.node("MatMul", &[&a, &b], vec![]);
                self.new_value(id, name, &[0, 1])
            }
            Op::Conv(spec) => self.conv(id, spec)?,
            Op::ConvX(spec) => self.conv_transpose(id, spec)?,
            Op::Fir(spec) => self.fir(id, spec)?,
            Op::Gather => self.gather(id)?,
            op if op.is_pointwise() => self.pointwise(id)?,
            op => {
                let op = op.kind().name();
                return Err(Error::Graph(format!(
                    "the operation {op} has no place in an ONNX model: an inference that uses it can be exported as weights alone, with \
                     --safetensors"
                )));
            }
        }))
    }

    /// The name of the parameter that a constant is another view of, or a plain one.
    fn constant_name(&self, mut id: NodeId) -> String {
        loop {
            let node = &self.dag.nodes[id];
            match &node.op {
                Op::Param(name) | Op::State(name) => return name.to_string(),
                Op::Reshape | Op::Permute(_) | Op::Detach => id = node.src[0],
                _ => return "folded".into(),
            }
        }
    }

    fn reshape(&mut self, id: NodeId) -> Result<Held> {
        if let Some(held) = self.pointwise_conv(id)? {
            return Ok(held);
        }
        let from = self.dag.nodes[id].src[0];
        let held = self.whole_value(from)?;
        let rank = self.extents[id].len();
        let axes = if held.is_plain() && held.data.is_none() { held.axes.clone() } else { in_order(held.axes.len()) };
        let x = self.writer.reference(&held, &axes);
        // One pixel is the same in any order of axes.
        let pixel = rank == 4 && self.extents[id][1..3] == [Extent::Fixed(1); 2];
        let axes = if pixel { NCHW.to_vec() } else { in_order(rank) };
        let to: Vec<i64> = axes
            .iter()
            .map(|&a| match self.extents[id][a] {
                Extent::Fixed(n) => n as i64,
                Extent::Rows(_) => -1,
            })
            .collect();
        let to = self.writer.numbers(&to);
        let name = self.writer.node("Reshape", &[&x, &to], vec![]);
        Ok(self.new_value(id, name, &axes))
    }

    /// A matrix product over the pixels of an image, which is a convolution by kernels of one pixel.
    fn pointwise_conv(&mut self, id: NodeId) -> Result<Option<Held>> {
        let dag = self.dag;
        let product = &dag.nodes[dag.nodes[id].src[0]];
        let Op::MatMul { ta: false, tb: false } = product.op else { return Ok(None) };
        let (rows, weight) = (&dag.nodes[product.src[0]], product.src[1]);
        let Op::Reshape = rows.op else { return Ok(None) };
        let (image, from, to) = (rows.src[0], &dag.nodes[rows.src[0]].shape, &dag.nodes[id].shape);
        let pixels = from.len() == 4 && to.len() == 4 && from[..3] == to[..3] && rows.shape[1] == from[3];
        let w = self.operand(weight)?;
        let Some(data) = w.data.clone().filter(|_| pixels && to[3] == product.shape[1]) else { return Ok(None) };
        // Ours [in, out] is [1, 1, in, out].
        let mut extents = vec![Extent::Fixed(1); 2];
        extents.extend(&w.extents);
        let w = Held { name: w.name, axes: in_order(4), extents, data: Some(data) };
        let (x, w) = (self.ordered(image, &NCHW)?, self.writer.reference(&w, &OIHW));
        let name = self.writer.node("Conv", &[&x, &w], vec![ints("kernel_shape", [1, 1])]);
        Ok(Some(self.new_value(id, name, &NCHW)))
    }

    fn slice(&mut self, id: NodeId, start: &[usize]) -> Result<Held> {
        let from = self.dag.nodes[id].src[0];
        let (held, before, after) = (self.operand(from)?, &self.extents[from], &self.extents[id]);
        let cut: Vec<usize> = (0..start.len()).filter(|&a| before[a] != after[a]).collect();
        let (mut starts, mut ends, mut at) = (vec![], vec![], vec![]);
        let mut extents = held.extents.clone();
        // Along an axis that is repeated there is nothing to cut.
        for &a in cut.iter().filter(|&&a| held.extents[a] == before[a]) {
            let (Extent::Fixed(_), Extent::Fixed(count)) = (before[a], after[a]) else {
                return Err(Error::Graph("a slice along the batch has no place in an ONNX model".into()));
            };
            starts.push(start[a] as i64);
            ends.push((start[a] + count) as i64);
            at.push(held.axes.iter().position(|&b| b == a).unwrap_or(0) as i64);
            extents[a] = after[a];
        }
        if at.is_empty() {
            return Ok(Held { extents, ..held });
        }
        let axes = held.axes.clone();
        let x = self.writer.reference(&held, &axes);
        let [starts, ends, at] = [starts, ends, at].map(|list| self.writer.numbers(&list));
        let name = self.writer.node("Slice", &[&x, &starts, &ends, &at], vec![]);
        Ok(Held { name, axes, extents, data: None })
    }

    fn pad(&mut self, id: NodeId, start: &[usize]) -> Result<Held> {
        let from = self.dag.nodes[id].src[0];
        let held = self.whole_value(from)?;
        let axes = held.axes.clone();
        let x = self.writer.reference(&held, &axes);
        let (mut before, mut after) = (vec![], vec![]);
        for &a in &axes {
            let room = match (self.extents[from][a], self.extents[id][a]) {
                (Extent::Fixed(n), Extent::Fixed(room)) => room - n,
                (m, n) if m == n => 0,
                _ => return Err(Error::Graph("zeros along the batch have no place in an ONNX model".into())),
            };
            before.push(start[a] as i64);
            after.push((room - start[a]) as i64);
        }
        let pads = self.writer.numbers(&[before, after].concat());
        let name = self.writer.node("Pad", &[&x, &pads], vec![]);
        Ok(self.new_value(id, name, &axes))
    }

    fn conv(&mut self, id: NodeId, spec: &ConvSpec) -> Result<Held> {
        let [x, w] = [self.dag.nodes[id].src[0], self.dag.nodes[id].src[1]];
        let (x, w) = (self.ordered(x, &NCHW)?, self.ordered(w, &OIHW)?);
        let name = self.writer.node("Conv", &[&x, &w], geometry(spec));
        Ok(self.new_value(id, name, &NCHW))
    }

    fn conv_transpose(&mut self, id: NodeId, spec: &ConvSpec) -> Result<Held> {
        let [y, w] = [self.dag.nodes[id].src[0], self.dag.nodes[id].src[1]];
        let (y, w) = (self.ordered(y, &NCHW)?, self.ordered(w, &OIHW)?);
        let mut attributes = geometry(spec);
        // What a stride leaves over at the far border.
        let over =
            [0, 1].map(|a| spec.input[a] + 2 * spec.pad[a] - (spec.output()[a] - 1) * spec.stride[a] - spec.kernel[a]);
        if over != [0, 0] {
            attributes.push(ints("output_padding", over));
        }
        let name = self.writer.node("ConvTranspose", &[&y, &w], attributes);
        Ok(self.new_value(id, name, &NCHW))
    }

    /// A filter is a convolution of each channel by itself, after zeros between pixels a transposed one.
    fn fir(&mut self, id: NodeId, spec: &FirSpec) -> Result<Held> {
        let from = self.dag.nodes[id].src[0];
        let x = self.ordered(from, &NCHW)?;
        let shape = &self.dag.nodes[from].shape;
        let (channels, count) = (shape[3], spec.taps.len());
        let mut taps = spec.correlation_taps();
        if spec.up > 1 {
            taps.reverse();
        }
        let kernel: Vec<f32> = taps.iter().flat_map(|a| taps.iter().map(move |b| (a * b) as f32)).collect();
        let w = self.writer.floats("filter", &[channels, 1, count, count], &kernel.repeat(channels));
        let name = if spec.up == 1 {
            self.decimate(spec, x, &w, channels)
        } else {
            self.interpolate(spec, x, &w, [shape[1], shape[2], channels])
        };
        Ok(self.new_value(id, name, &NCHW))
    }

    fn decimate(&mut self, spec: &FirSpec, x: String, w: &str, channels: usize) -> String {
        // A convolution only adds zeros; what is cut off is cut off before.
        let cut = spec.pad.map(|sides| sides.map(|n| n.min(0)));
        let x = self.border(x, cut);
        let zeros = |side: usize| spec.pad.map(|sides| sides[side].max(0) as usize);
        let attributes = vec![
            ints("kernel_shape", [spec.taps.len(); 2]),
            ints("strides", [spec.down; 2]),
            ints("pads", [zeros(0), zeros(1)].concat()),
            int("group", channels),
        ];
        self.writer.node("Conv", &[&x, w], attributes)
    }

    fn interpolate(&mut self, spec: &FirSpec, x: String, w: &str, [h, width, channels]: [usize; 3]) -> String {
        let count = spec.taps.len() as i64;
        // (before, after) that the whole transposed convolution has more than the filter without decimation.
        let more = spec.pad.map(|[before, after]| [count - 1 - before, count - spec.up as i64 - after]);
        let cut = |side: usize| more.map(|sides| sides[side].max(0) as usize);
        let attributes = vec![
            ints("kernel_shape", [spec.taps.len(); 2]),
            ints("strides", [spec.up; 2]),
            ints("pads", [cut(0), cut(1)].concat()),
            int("group", channels),
        ];
        let y = self.writer.node("ConvTranspose", &[&x, w], attributes);
        let y = self.border(y, more.map(|sides| sides.map(|n| (-n).max(0))));
        if spec.down == 1 {
            return y;
        }
        let end = |n: usize, [before, after]: [i64; 2]| (n * spec.up) as i64 + before + after - count + 1;
        let ends = vec![end(h, spec.pad[0]), end(width, spec.pad[1])];
        let lists = [vec![0, 0], ends, vec![2, 3], vec![spec.down as i64; 2]];
        let [starts, ends, axes, steps] = lists.map(|list| self.writer.numbers(&list));
        self.writer.node("Slice", &[&y, &starts, &ends, &axes, &steps], vec![])
    }

    /// Zeros around the pixels of an image NCHW, or less of it where negative.
    fn border(&mut self, x: String, pad: [[i64; 2]; 2]) -> String {
        if pad == [[0; 2]; 2] {
            return x;
        }
        let [[top, bottom], [left, right]] = pad;
        let pads = self.writer.numbers(&[0, 0, top, left, 0, 0, bottom, right]);
        self.writer.node("Pad", &[&x, &pads], vec![])
    }

    fn gather(&mut self, id: NodeId) -> Result<Held> {
        let [table, index] = [self.dag.nodes[id].src[0], self.dag.nodes[id].src[1]];
        let (rank, rows) = (self.extents[id].len(), self.dag.nodes[table].shape[0]);
        let table = self.ordered(table, &in_order(rank))?;
        let index = match &self.dag.nodes[index].op {
            Op::Input(leaf) if self.whole.contains_key(&**leaf) => self.whole[&**leaf].clone(),
            _ => {
                let index = self.ordered(index, &[0])?;
                self.writer.node("Cast", &[&index], vec![int("to", super::proto::INT64 as usize)])
            }
        };
        let (first, last) = (self.writer.number(0), self.writer.number(rows as i64 - 1));
        let index = self.writer.node("Clip", &[&index, &first, &last], vec![]);
        let name = self.writer.node("Gather", &[&table, &index], vec![int("axis", 0)]);
        Ok(self.new_value(id, name, &in_order(rank)))
    }
}

/// The geometry of a convolution as attributes.
fn geometry(spec: &ConvSpec) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", spec.kernel),
        ints("strides", spec.stride),
        ints("pads", [spec.pad, spec.pad].concat()),
        int("group", spec.groups),
    ]
}
