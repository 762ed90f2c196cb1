//! Two sets of features compared pair by pair on a device: squared distances, and sums of the kernel of KID.

use super::Features;
use crate::Result;
use crate::device::Device;
use crate::graph::{self, Graph, Tensor};
use crate::plan::{Builder, Class, Element, Executor, Places, Program, Region};

/// Rows that are compared with all columns at once.
const BLOCK: usize = 256;

/// A device that compares blocks of rows with up to so many columns.
pub struct Pairs {
    device: Box<dyn Executor>,
    dims: usize,
    columns: usize,
    rows: usize,
    /// What features are seen from: distances are the same from anywhere, and better rounded from amidst them.
    origin: Vec<f32>,
    regions: [Region; 4],
    loaded: usize,
}

/// Squared distances of the rows of `a` to those of `b`, [A,B].
fn distances<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    let (rows, columns) = (a.square().sum(&[1]), b.square().sum(&[1]).reshape([1, b.dim(0)]));
    let squared = rows - a.matmul_t(false, b, true).scale(2.0) + columns;
    squared.relu()
}

/// Sums over the rows of `b` of KID's kernel, ((a·b)/d + 1)³, `[A,1]`.
fn kernel_sums<'g>(a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
    let kernel = a.matmul_t(false, b, true).scale(1.0 / a.dim(1) as f64) + 1.0;
    (kernel.square() * kernel).sum(&[1])
}

impl Pairs {
    /// Plans comparisons of features of length `dims` with at most `columns` others.
    ///
    /// # Errors
    /// A device that fails or has too little memory.
    pub fn new(dims: usize, columns: usize, device: &Device) -> Result<Pairs> {
        let columns = columns.max(1);
        let rows = BLOCK.min(columns);
        let compare = |name: &str, f: for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>| {
            graph::checked(|| {
                let graph = Graph::new();
                let (a, b) = (graph.input("rows", [rows, dims]), graph.input("columns", [columns, dims]));
                Ok(graph.freeze(&[(name.to_owned(), f(a, b))]))
            })
        };
        let graphs = [("distances", compare("distances", distances)?), ("sums", compare("sums", kernel_sums)?)];
        let plan = |device: &Device| -> Result<(Program, [Region; 4])> {
            let mut b = Builder::new(device.options(true));
            let a = b.buffer("rows", rows * dims, Element::F32, Class::Input);
            let others = b.buffer("columns", columns * dims, Element::F32, Class::Input);
            let outputs = [("distances", rows * columns), ("sums", rows)]
                .map(|(name, len)| b.buffer(name, len, Element::F32, Class::Output));
            let leaves = Places::from([("rows".to_owned(), a), ("columns".to_owned(), others)]);
            for ((name, dag), output) in graphs.iter().zip(outputs) {
                b.plan(name, dag, &leaves, &Places::from([(name.to_string(), output)]))?;
            }
            Ok((b.finish(), [a, others, outputs[0], outputs[1]]))
        };
        let (device, (program, regions)) = device.tuned(|planned: &(Program, [Region; 4])| &planned.0, plan)?;
        let device = device.load(program)?;
        Ok(Pairs { device, dims, columns, rows, origin: vec![0.0; dims], regions, loaded: 0 })
    }

    /// Sees features from the mean of `features` on. Distances alone may be asked for then.
    pub fn centre(&mut self, features: &Features) {
        let mut mean = vec![0.0f64; self.dims];
        for row in features.values.chunks(self.dims) {
            mean.iter_mut().zip(row).for_each(|(mean, v)| *mean += f64::from(*v));
        }
        self.origin = mean.into_iter().map(|sum| (sum / features.count().max(1) as f64) as f32).collect();
    }

    /// Whether [`Pairs::load`] can take so many columns of this length.
    pub fn fits(&self, dims: usize, columns: usize) -> bool {
        self.dims == dims && columns <= self.columns
    }

    /// Takes the columns that rows are compared with from now on: `[count, dims]`, as many as were planned for or fewer.
    ///
    /// # Errors
    /// A device that fails.
    pub fn load(&mut self, columns: &[f32]) -> Result<()> {
        self.loaded = (columns.len() / self.dims).min(self.columns);
        let mut padded = self.seen(&columns[..self.loaded * self.dims]);
        padded.resize(self.columns * self.dims, 0.0);
        self.device.write(self.regions[1], &padded)
    }

    fn seen(&self, values: &[f32]) -> Vec<f32> {
        values.iter().zip(self.origin.iter().cycle()).map(|(v, origin)| v - origin).collect()
    }

    /// Squared distances of rows `[count, dims]` to all loaded columns; `each` hears them row by row, in order.
    ///
    /// # Errors
    /// A device that fails.
    pub fn distances(&mut self, rows: &[f32], each: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let mut number = 0;
        for part in rows.chunks(self.rows * self.dims) {
            self.run(part, 0)?;
            let found = self.device.read(self.regions[2])?;
            for row in found.chunks(self.columns).take(part.len() / self.dims) {
                each(number, &row[..self.loaded]);
                number += 1;
            }
        }
        Ok(())
    }

    /// For each of rows `[count, dims]` the sum of KID's kernel over the loaded columns, which must be as many as were planned for.
    ///
    /// # Errors
    /// A device that fails.
    pub fn kernel_sums(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        debug_assert_eq!(self.loaded, self.columns);
        let mut sums = vec![];
        for part in rows.chunks(self.rows * self.dims) {
            self.run(part, 1)?;
            sums.extend_from_slice(&self.device.read(self.regions[3])?[..part.len() / self.dims]);
        }
        Ok(sums)
    }

    fn run(&mut self, rows: &[f32], plan: usize) -> Result<()> {
        let mut padded = self.seen(rows);
        padded.resize(self.rows * self.dims, 0.0);
        self.device.write(self.regions[0], &padded)?;
        self.device.run(&[(plan, 1)])
    }
}
