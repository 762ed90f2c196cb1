//! A network as an ONNX model, made of its inference graph: weights inside, any number of rows, NCHW outside.
//!
//! The graph is built for two numbers of rows, so that extents that follow the batch are known (`symbolic`); what needs no input is
//! computed (`fold`); each primitive becomes operators (`operators`) of a graph that keeps track of the order of axes (`writer`).
//! Deliberately absent: models larger than the 2 GiB of a protocol buffer, and primitives that an inference never has.

mod fold;
mod operators;
mod pointwise;
pub mod proto;
mod symbolic;
mod writer;

use crate::graph::{Dag, Graph, Tensor, checked};
use crate::{Error, Result};
use operators::{NCHW, Operators};
use prost::Message;
use proto::{
    DimensionProto, DimensionValue, FLOAT, GraphProto, INT64, ModelProto, OperatorSetIdProto, StringStringEntryProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use std::collections::{BTreeMap, HashMap};
use symbolic::{Extent, ROWS};
use writer::{Held, Writer};

/// The set of operators that models are of.
pub const OPSET: i64 = 17;
/// The version of the format that came with it.
const IR_VERSION: i64 = 8;
/// What a protocol buffer may hold.
const MOST_BYTES: usize = (1 << 31) - 1;

/// What a model is given or gives, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name outside.
    pub name: String,
    /// Extents of a row: [H, W, C] (outside [C, H, W]), or any other.
    pub row: Vec<usize>,
    /// Class numbers: 64-bit integers outside.
    pub classes: bool,
}

impl Port {
    /// Of floats.
    pub fn floats(name: &str, row: &[usize]) -> Port {
        Port { name: name.into(), row: row.to_vec(), classes: false }
    }

    /// One class number per row.
    pub fn classes(name: &str) -> Port {
        Port { name: name.into(), row: vec![], classes: true }
    }

    fn dims(&self) -> Vec<usize> {
        match self.row[..] {
            [h, w, c] => vec![c, h, w],
            _ => self.row.clone(),
        }
    }

    fn info(&self) -> ValueInfoProto {
        let batch = DimensionValue::DimParam("batch".into());
        let rest = self.dims().into_iter().map(|n| DimensionValue::DimValue(n as i64));
        let dim = [batch].into_iter().chain(rest).map(|value| DimensionProto { value: Some(value) }).collect();
        let elem_type = if self.classes { INT64 } else { FLOAT };
        let tensor_type = Some(TensorTypeProto { elem_type, shape: Some(TensorShapeProto { dim }) });
        let layout = if self.row.len() == 3 { "NCHW" } else { "" };
        ValueInfoProto { name: self.name.clone(), r#type: Some(TypeProto { tensor_type }), doc_string: layout.into() }
    }
}

/// The model of a function of tensors `[rows, …]`: `build` makes its graph from `inputs`, in their order and this engine's layout, and
/// `feeds` holds its parameters and states by name, in the same layout. `about` goes into the metadata.
///
/// # Errors
/// A primitive that has no place in an ONNX model, by name; a graph that depends on the number of rows; a parameter that is not fed; more
/// than 2 GiB.
pub fn model(
    name: &str,
    inputs: &[Port],
    output: &Port,
    build: &dyn for<'g> Fn(&'g Graph, &[Tensor<'g>]) -> Result<Tensor<'g>>,
    feeds: &HashMap<String, Vec<f64>>,
    about: &BTreeMap<String, String>,
) -> Result<ModelProto> {
    let dag = |rows: usize| {
        checked(|| {
            let graph = Graph::new();
            let leaf = |port: &Port| graph.input(&port.name, [&[rows], port.row.as_slice()].concat());
            let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
            let made = build(&graph, &leaves)?.reshape([&[rows], output.row.as_slice()].concat());
            Ok(graph.freeze(&[(output.name.clone(), made)]))
        })
    };
    let [few, many] = [dag(ROWS[0])?, dag(ROWS[1])?];
    let extents = symbolic::extents([&few, &many])?;
    let graph = GraphProto {
        name: name.into(),
        input: inputs.iter().map(Port::info).collect(),
        output: vec![output.info()],
        ..written(&few, &extents, inputs, output, feeds)?
    };
    let entry = |(key, value): (&String, &String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: described(name, inputs, output),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: about.iter().map(entry).collect(),
    };
    match model.encoded_len() {
        bytes if bytes > MOST_BYTES => Err(Error::Graph(format!(
            "an ONNX model of {bytes} bytes is more than the 2 GiB that its format holds; export the weights with --safetensors"
        ))),
        _ => Ok(model),
    }
}

/// Nodes and constants.
fn written(
    dag: &Dag,
    extents: &[Vec<Extent>],
    inputs: &[Port],
    output: &Port,
    feeds: &HashMap<String, Vec<f64>>,
) -> Result<GraphProto> {
    let constants = fold::constants(dag, extents, feeds)?;
    let reserved: Vec<String> = inputs.iter().chain([output]).map(|port| port.name.clone()).collect();
    let mut operators = Operators::new(dag, extents, constants, Writer::new(&reserved[0], &reserved));
    for port in inputs {
        let mut extents = vec![Extent::Rows(1)];
        extents.extend(port.row.iter().map(|&n| Extent::Fixed(n)));
        let axes = if port.row.len() == 3 { NCHW.to_vec() } else { writer::in_order(extents.len()) };
        let name = if port.classes {
            operators.whole.insert(port.name.clone(), port.name.clone());
            operators.writer.node("Cast", &[&port.name], vec![writer::int("to", FLOAT as usize)])
        } else {
            port.name.clone()
        };
        operators.given.insert(port.name.clone(), Held { name, axes, extents, data: None });
    }
    operators.write()?;
    let result = operators.whole_value(dag.roots[0].1)?;
    let axes = if output.row.len() == 3 { NCHW.to_vec() } else { writer::in_order(result.extents.len()) };
    let result = operators.writer.reference(&result, &axes);
    Ok(operators.writer.finish(&result, &output.name))
}

/// One sentence on what goes in and out.
fn described(name: &str, inputs: &[Port], output: &Port) -> String {
    let shape = |port: &Port| {
        let dims: Vec<String> = port.dims().iter().map(|n| format!(",{n}")).collect();
        let kind = if port.classes { "int64" } else { "float32" };
        format!("{} {kind} [batch{}]", port.name, dims.concat())
    };
    let inputs: Vec<String> = inputs.iter().map(shape).collect();
    format!("{name}: {} -> {}; images are NCHW in [-1, 1]", inputs.join(", "), shape(output))
}
