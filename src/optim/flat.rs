//! A network's tensors in one flat buffer: the unit of the optimiser, of checkpoints and of gradient exchange.

use crate::nn::{Init, ParamSpec, name_stream};
use crate::philox;
use crate::plan::{ALIGN, Region};

/// One tensor of a flat buffer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name, shape, initial values, layout at the checkpoint border.
    pub spec: ParamSpec,
    /// First element; a multiple of [`ALIGN`].
    pub offset: usize,
}

/// The layout shared by a network's weights, gradients, moments and averages.
#[derive(Clone, Debug)]
pub struct Flat {
    /// In the order in which the network declared them.
    pub entries: Vec<Entry>,
    /// Elements, gaps for alignment included.
    pub len: usize,
}

impl Flat {
    /// Lays tensors out one after another at aligned offsets.
    pub fn new(specs: Vec<ParamSpec>) -> Flat {
        let mut len = 0;
        let entries = specs
            .into_iter()
            .map(|spec| {
                let offset = len;
                len += spec.shape.elems().next_multiple_of(ALIGN);
                Entry { spec, offset }
            })
            .collect();
        Flat { entries, len }
    }

    /// Trainable numbers, gaps left out.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|e| e.spec.shape.elems()).sum()
    }

    /// Where tensor `entry` lies inside a whole flat buffer.
    pub fn region(&self, whole: Region, entry: &Entry) -> Region {
        Region { buffer: whole.buffer, offset: whole.offset + entry.offset, len: entry.spec.shape.elems() }
    }

    /// For each block of [`ALIGN`] elements the index of the tensor that owns it.
    pub fn owner(&self) -> Vec<u32> {
        let mut owner = vec![0; self.len / ALIGN];
        for (i, entry) in self.entries.iter().enumerate() {
            let blocks = entry.spec.shape.elems().div_ceil(ALIGN);
            owner[entry.offset / ALIGN..entry.offset / ALIGN + blocks].fill(i as u32);
        }
        owner
    }

    /// Initial weights: a function of the seed and of each tensor's name, so adding a layer changes no other.
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut values = vec![0.0; self.len];
        for entry in &self.entries {
            let span = &mut values[entry.offset..entry.offset + entry.spec.shape.elems()];
            span.copy_from_slice(&initial_values(entry.spec.init, seed, &entry.spec.name, span.len()));
        }
        values
    }
}

/// `len` initial numbers of the tensor `name`: a function of the seed and of that name.
pub fn initial_values(init: Init, seed: u64, name: &str, len: usize) -> Vec<f32> {
    let stream = name_stream(name);
    let value = |i: usize| match init {
        Init::Zeros => 0.0,
        Init::Ones => 1.0,
        Init::Constant(c) => c as f32,
        Init::Normal { mean, std } => (mean + std * philox::normal_at(seed, stream, u32::MAX, i as u64)) as f32,
        Init::Uniform { bound } => (bound * (2.0 * philox::uniform_at(seed, stream, u32::MAX, i as u64) - 1.0)) as f32,
    };
    (0..len).map(value).collect()
}
