//! Pointwise primitives as ONNX operators, which repeat smaller operands by themselves.

use super::operators::Operators;
use super::proto::FLOAT;
use super::symbolic::Extent;
use super::writer::{Held, float, in_order, int};
use crate::Result;
use crate::graph::{NodeId, Op};

impl Operators<'_> {
    pub(super) fn pointwise(&mut self, id: NodeId) -> Result<Held> {
        let node = &self.dag.nodes[id];
        let operands: Vec<Held> = node.src.iter().map(|&s| self.operand(s)).collect::<Result<_>>()?;
        let rank = node.shape.len();
        // The order of the largest operand that is no constant.
        let size = |held: &&Held| held.extents.iter().filter(|e| **e != Extent::Fixed(1)).count();
        let computed = operands.iter().filter(|held| held.data.is_none());
        let axes = computed.rev().max_by_key(size).map_or_else(|| in_order(rank), |held| held.axes.clone());
        let names: Vec<String> = operands.iter().map(|held| self.writer.reference(held, &axes)).collect();
        let extents = (0..rank)
            .map(|a| {
                let repeated = operands.iter().all(|held| held.extents[a] == Extent::Fixed(1));
                if repeated { Extent::Fixed(1) } else { self.extents[id][a] }
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.pointwise_node(id, &names);
        Ok(Held { name, axes, extents, data: None })
    }

    fn scalar(&mut self, value: f64) -> String {
        self.writer.floats("scalar", &[], &[value as f32])
    }

    fn pointwise_node(&mut self, id: NodeId, x: &[&str]) -> String {
        let op = self.dag.nodes[id].op.clone();
        match op {
            Op::Add => self.writer.node("Add", x, vec![]),
            Op::Mul => self.writer.node("Mul", x, vec![]),
            Op::Scale(c) => {
                let c = self.scalar(c.0);
                self.writer.node("Mul", &[x[0], &c], vec![])
            }
            Op::Pow(p) => self.power(x[0], p.0),
            Op::Exp => self.writer.node("Exp", x, vec![]),
            Op::Log => self.writer.node("Log", x, vec![]),
            Op::Sigmoid => self.writer.node("Sigmoid", x, vec![]),
            Op::Tanh => self.writer.node("Tanh", x, vec![]),
            Op::Softplus => self.writer.node("Softplus", x, vec![]),
            Op::Abs => self.writer.node("Abs", x, vec![]),
            Op::Sign => self.writer.node("Sign", x, vec![]),
            Op::Step => {
                let zero = self.scalar(0.0);
                let above = self.writer.node("Greater", &[x[0], &zero], vec![]);
                self.writer.node("Cast", &[&above], vec![int("to", FLOAT as usize)])
            }
            Op::Max => self.writer.node("Max", x, vec![]),
            Op::Min => self.writer.node("Min", x, vec![]),
            _ => self.select(id, x),
        }
    }

    fn power(&mut self, x: &str, p: f64) -> String {
        if p == 2.0 {
            return self.writer.node("Mul", &[x, x], vec![]);
        }
        if p == -1.0 {
            return self.writer.node("Reciprocal", &[x], vec![]);
        }
        if p.abs() == 0.5 {
            let root = self.writer.node("Sqrt", &[x], vec![]);
            return if p > 0.0 { root } else { self.writer.node("Reciprocal", &[&root], vec![]) };
        }
        let p = self.scalar(p);
        self.writer.node("Pow", &[x, &p], vec![])
    }

    /// A choice by sign: rectifiers and the larger of two have operators of their own.
    fn select(&mut self, id: NodeId, x: &[&str]) -> String {
        let dag = self.dag;
        let node = |id: NodeId| &dag.nodes[id];
        let [by, yes, no] = [0, 1, 2].map(|i| node(id).src[i]);
        match &node(no).op {
            Op::Const(c) if yes == by && c.0 == 0.0 => return self.writer.node("Relu", &x[..1], vec![]),
            Op::Scale(slope) if yes == by && node(no).src[0] == by => {
                return self.writer.node("LeakyRelu", &x[..1], vec![float("alpha", slope.0)]);
            }
            _ => {}
        }
        let negative =
            |id: NodeId, of: NodeId| matches!(&node(id).op, Op::Scale(c) if c.0 == -1.0) && node(id).src[0] == of;
        if let (Op::Add, [a, b]) = (&node(by).op, node(by).src.as_slice())
            && ((*a == yes && negative(*b, no)) || (*b == yes && negative(*a, no)))
        {
            return self.writer.node("Max", &x[1..], vec![]);
        }
        let zero = self.scalar(0.0);
        let below = self.writer.node("LessOrEqual", &[x[0], &zero], vec![]);
        self.writer.node("Where", &[&below, x[2], x[1]], vec![])
    }
}
