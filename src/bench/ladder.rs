//! The rungs of a product kernel on a GPU, from naive to each tile, and the one that is chosen.

use super::shape::Item;
use crate::Result;
use crate::kernels::tile::{Schedule, Tile};
use crate::kernels::{self, Dispatch, conv, matmul};
use crate::plan::{Step, Work};

/// One way to run a product.
#[derive(Clone, Copy, Debug)]
pub enum Rung {
    /// What training runs.
    Chosen,
    /// One thread an output.
    Naive,
    /// The tiled kernel by this schedule.
    Forced(Schedule),
}

impl Rung {
    /// Its name in tables: `naive`, `128x64x8 thread 8x4 parts 2`, `chosen`.
    pub fn name(&self) -> String {
        match self {
            Rung::Chosen => "chosen".into(),
            Rung::Naive => "naive".into(),
            Rung::Forced(Schedule { tile: t, parts, .. }) => {
                format!("{}x{}x{} thread {}x{} parts {parts}", t.rows, t.cols, t.depth, 4 * t.row_vecs, 4 * t.col_vecs)
            }
        }
    }

    /// The launches of a step by this rung.
    ///
    /// # Errors
    /// Those of [`kernels::lower`].
    pub fn lower(&self, step: &Step) -> Result<Vec<Dispatch>> {
        let gemm = matches!(step.work, Work::MatMul { .. });
        match self {
            Rung::Chosen => kernels::lower(step),
            Rung::Naive if gemm => Ok(matmul::naive(step)),
            Rung::Naive => Ok(conv::naive(step)),
            Rung::Forced(schedule) if gemm => matmul::tiled(step, schedule),
            Rung::Forced(schedule) => conv::tiled(step, schedule),
        }
    }

    /// Elements of room for partial results that work with an output of `len` elements needs.
    pub fn scratch(&self, work: &Work, len: usize) -> usize {
        match self {
            Rung::Chosen => kernels::scratch(work),
            Rung::Naive => 0,
            Rung::Forced(schedule) => schedule.scratch(len),
        }
    }
}

/// Every rung that can run an item of one product; only what is chosen for anything else.
pub fn rungs(item: &Item) -> Vec<Rung> {
    let product = match item.steps.as_slice() {
        [step] => matmul::product(&step.work).or(conv::product(&step.work)),
        _ => None,
    };
    let Some(product) = product else { return vec![Rung::Chosen] };
    let mut rungs = vec![Rung::Naive];
    for tile in Tile::ALL {
        let split = Schedule::split(&product, tile);
        rungs.push(Rung::Forced(split));
        if split.parts > 1 {
            rungs.push(Rung::Forced(Schedule::new(&product, tile, 1)));
        }
    }
    rungs.push(Rung::Chosen);
    rungs
}
