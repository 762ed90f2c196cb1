//! Runs single steps on a GPU the hard way: every region lies between sentinels, and nothing starts as zeros.

use danskin::gpu::{Device, Gpu, list};
use danskin::kernels::{self, Dispatch};
use danskin::plan::{ALIGN, Buffer, Class, Element, Executor, Plan, Program, Region, Step, Work};
use std::sync::LazyLock;

/// What outputs, scratch and the elements around every region hold before a run; nothing may lean on zeroed memory.
pub const POISON: f32 = -12345.0;

/// `[seed low, seed high, step, 0]` of every run.
pub const RNG_WORDS: [u32; 4] = [0x1234_5678, 0x9abc_def0, 41, 0];

/// One device for all tests; opening one and compiling for it is slow.
pub fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| {
        let adapters = list();
        let first = adapters.first().unwrap_or_else(|| {
            panic!(
                "no GPU driver was found and kernel tests need one: install a software Vulkan driver \
                 (Debian and Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)"
            )
        });
        Device::open(&first.id).unwrap_or_else(|e| panic!("{e}"))
    });
    DEVICE.clone()
}

/// Values of a region.
#[derive(Clone, Debug)]
pub enum Data {
    F32(Vec<f32>),
    U32(Vec<u32>),
}

impl Data {
    /// An output of `len` elements that hold poison.
    pub fn poison(len: usize) -> Data {
        Data::F32(vec![POISON; len])
    }

    pub fn words(&self) -> Vec<u32> {
        match self {
            Data::F32(v) => v.iter().map(|x| x.to_bits()).collect(),
            Data::U32(v) => v.clone(),
        }
    }

    fn element(&self) -> Element {
        match self {
            Data::F32(_) => Element::F32,
            Data::U32(_) => Element::U32,
        }
    }
}

/// A step with its operands.
#[derive(Clone, Debug)]
pub struct Case {
    pub label: String,
    pub work: Work,
    pub inputs: Vec<Data>,
    /// What the outputs hold before.
    pub outputs: Vec<Data>,
}

/// Runs all cases as one submission and returns the words of each output of each case.
///
/// # Panics
/// If an element beside an output, or an element of an input, was touched.
pub fn run(cases: &[Case]) -> Vec<Vec<Vec<u32>>> {
    run_with(cases, kernels::scratch, kernels::lower)
}

/// As [`run`], by another lowering with the scratch it needs: one rung of a kernel's ladder.
pub fn run_with(
    cases: &[Case],
    scratch: impl Fn(&Work) -> usize,
    lower: impl Fn(&Step) -> danskin::Result<Vec<Dispatch>>,
) -> Vec<Vec<Vec<u32>>> {
    let mut bench = Bench::default();
    bench.add(&Data::U32(RNG_WORDS.to_vec()), Class::Rng, 0);
    let steps: Vec<Step> = cases.iter().map(|case| bench.step(case, scratch(&case.work))).collect();
    let plan = Plan { name: "cases".into(), steps: steps.clone(), ..Plan::default() };
    let program = Program { buffers: bench.buffers, plans: vec![plan] };
    let mut gpu = Gpu::load_with(device(), program, lower).unwrap_or_else(|e| panic!("{e}"));
    for (index, words) in bench.contents.iter().enumerate() {
        write(&mut gpu, index, words);
    }
    gpu.run(&[(0, 1)]).unwrap_or_else(|e| panic!("{e}"));
    let mut read = |region: Region, label: &str, output: bool| -> Vec<u32> {
        let whole = Region { offset: 0, len: gpu.program().buffers[region.buffer].len, ..region };
        let words = gpu.read_u32(whole).unwrap_or_else(|e| panic!("{label}: {e}"));
        let before = &bench.contents[region.buffer];
        let inside = region.offset..region.offset + region.len;
        for i in (0..words.len()).filter(|i| !(output && inside.contains(i))) {
            let at = i as i64 - region.offset as i64;
            assert!(words[i] == before[i], "{label}: element {at} of a region of {} was touched", region.len);
        }
        words[inside].to_vec()
    };
    let mut results = vec![];
    for (case, step) in cases.iter().zip(&steps) {
        for &region in &step.inputs {
            read(region, &case.label, false);
        }
        results.push(step.outputs.iter().map(|&region| read(region, &case.label, true)).collect());
    }
    results
}

/// Words as floats.
pub fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|&w| f32::from_bits(w)).collect()
}

#[derive(Default)]
struct Bench {
    buffers: Vec<Buffer>,
    contents: Vec<Vec<u32>>,
}

impl Bench {
    /// A buffer that holds `data` after `before` poisoned elements and before a poisoned tail.
    fn add(&mut self, data: &Data, class: Class, before: usize) -> Region {
        let words = data.words();
        let region = Region { buffer: self.buffers.len(), offset: before, len: words.len() };
        let poison = POISON.to_bits();
        let tail = if before == 0 { 0 } else { ALIGN + (ALIGN - words.len() % ALIGN) % ALIGN };
        let contents: Vec<u32> =
            std::iter::repeat_n(poison, before).chain(words).chain(std::iter::repeat_n(poison, tail)).collect();
        let name = format!("buffer {}", region.buffer);
        self.buffers.push(Buffer { name, len: contents.len(), element: data.element(), class });
        self.contents.push(contents);
        region
    }

    fn step(&mut self, case: &Case, scratch: usize) -> Step {
        let inputs = case.inputs.iter().map(|d| self.add(d, Class::Input, ALIGN)).collect();
        let outputs = case.outputs.iter().map(|d| self.add(d, Class::Output, ALIGN)).collect();
        let scratch = (scratch > 0).then(|| self.add(&Data::poison(scratch), Class::Work, ALIGN));
        Step { work: case.work.clone(), inputs, outputs, scratch, label: case.label.clone(), flops: 0 }
    }
}

fn write(gpu: &mut Gpu, buffer: usize, words: &[u32]) {
    let region = Region { buffer, offset: 0, len: words.len() };
    let written = match gpu.program().buffers[buffer].element {
        Element::F32 | Element::F16 => gpu.write(region, &floats(words)),
        Element::U32 => gpu.write_u32(region, words),
    };
    written.unwrap_or_else(|e| panic!("{e}"));
}

/// Deterministic numbers in (−1, 1), different for every `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (2.0 * danskin::philox::uniform_at(seed, 0, 0, i) - 1.0) as f32).collect()
}

/// Checks |got − expected| ≤ atol + rtol·|expected| everywhere; NaN is never close.
pub fn close(label: &str, got: &[f32], expected: &[f64], rtol: f64, atol: f64) {
    assert_eq!(got.len(), expected.len(), "{label}: length");
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(g) - e).abs();
        let bound = atol + rtol * e.abs();
        assert!(error <= bound, "{label}: element {i} is {g}, expected {e}: off by {error:.2e}, {bound:.2e} allowed");
    }
}
