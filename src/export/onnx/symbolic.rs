//! A graph for any number of rows: the same inference built for two numbers of rows, with the extents that differ.

use crate::graph::{Dag, Node, Op};
use crate::{Error, Result};

/// An extent of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The same for any batch.
    Fixed(usize),
    /// So many times the rows of the batch.
    Rows(usize),
}

/// Rows of the two graphs: primes beyond the extents of networks, so that none is taken for a multiple of them.
pub const ROWS: [usize; 2] = [1_000_003, 1_000_033];

/// Extents of every node of the two graphs.
///
/// # Errors
/// Graphs that differ by more than their rows: one that counts its batch.
pub fn extents(dags: [&Dag; 2]) -> Result<Vec<Vec<Extent>>> {
    let [a, b] = dags;
    let same = |a: &Node, b: &Node| a.op == b.op && a.src == b.src && a.shape.len() == b.shape.len();
    let counts = |op: &Op| {
        let op = op.kind().name();
        Error::Graph(format!("an operation {op} depends on the number of rows in a batch, which ONNX leaves open"))
    };
    if a.nodes.len() != b.nodes.len() {
        return Err(Error::Graph(
            "the network depends on the number of rows in a batch, which ONNX leaves open".into(),
        ));
    }
    let of = |(a, b): (&Node, &Node)| -> Result<Vec<Extent>> {
        if !same(a, b) {
            return Err(counts(&a.op));
        }
        let extent = |(&m, &n): (&usize, &usize)| match (m == n, m / ROWS[0], n / ROWS[1]) {
            (true, ..) => Ok(Extent::Fixed(m)),
            (_, times, again) if times == again && times * ROWS[0] == m && times * ROWS[1] == n => {
                Ok(Extent::Rows(times))
            }
            _ => Err(counts(&a.op)),
        };
        let extents = a.shape.iter().zip(b.shape.iter()).map(extent).collect::<Result<Vec<_>>>()?;
        match extents.iter().filter(|e| matches!(e, Extent::Rows(_))).count() {
            0 | 1 => Ok(extents),
            _ => Err(counts(&a.op)),
        }
    };
    a.nodes.iter().zip(&b.nodes).map(of).collect()
}
