//! What every device offers to the layers above: buffers that can be written and read, and plans that can be run.

use super::{Program, Region};
use crate::Result;

/// Counts of what a device did since it was made. After warm-up an iteration adds one submission, its dispatches, and
/// nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Kernels launched (host device: steps run).
    pub dispatches: u64,
    /// Command buffers submitted (host device: calls of `run`).
    pub submissions: u64,
    /// Reads from device memory.
    pub read_backs: u64,
    /// Buffers created.
    pub buffers: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
}

/// A read that was begun and not yet finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadId(pub u64);

/// One kernel of a profiled run (host device: one step).
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Plan it belongs to.
    pub plan: usize,
    /// Step of that plan.
    pub step: usize,
    /// Which of the step's kernels, from 0.
    pub part: usize,
    /// The tensor it makes and the kernel that does: `conv_x %41 (conv/tiled_x.wgsl)`.
    pub kernel: String,
    /// Seconds from the first slice's start to this one's.
    pub start: f64,
    /// Seconds it took.
    pub seconds: f64,
}

/// Where the time of a schedule went.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Every kernel, in order; no two overlap.
    pub slices: Vec<Slice>,
    /// Seconds the caller's thread needed to record and submit the work; 0 on the host device, where it is the work.
    pub submit: f64,
}

/// A device with a program loaded.
pub trait Executor {
    /// One line for people: adapter, driver, or the host's threads.
    fn describe(&self) -> String;

    /// The program that was loaded.
    fn program(&self) -> &Program;

    /// Runs plans in order as one submission, each `times` times in a row (0 skips it).
    fn run(&mut self, schedule: &[(usize, u32)]) -> Result<()>;

    /// Runs plans as [`Executor::run`] does, with the same effect on buffers, and times every kernel; waits for the end.
    /// Slower than `run`: the ratios are what it is for. Counters stay as they are.
    ///
    /// # Errors
    /// [`crate::Error::Device`] on a device that has no timestamps, even for an empty schedule.
    fn profile(&mut self, schedule: &[(usize, u32)]) -> Result<Timeline>;

    /// Overwrites an F32 region.
    fn write(&mut self, region: Region, values: &[f32]) -> Result<()>;

    /// Overwrites a U32 region.
    fn write_u32(&mut self, region: Region, values: &[u32]) -> Result<()>;

    /// Starts reading a region as it is after everything submitted so far; never waits.
    fn begin_read(&mut self, region: Region) -> Result<ReadId>;

    /// The values of a read that has finished, as raw words (`f32::from_bits` for F32 regions); `None` while it is under way.
    fn try_finish(&mut self, read: ReadId) -> Result<Option<Vec<u32>>>;

    /// Waits for a read.
    fn finish(&mut self, read: ReadId) -> Result<Vec<u32>>;

    /// What was done so far.
    fn counters(&self) -> Counters;

    /// Reads an F32 region and waits for it.
    fn read(&mut self, region: Region) -> Result<Vec<f32>> {
        let id = self.begin_read(region)?;
        Ok(self.finish(id)?.into_iter().map(f32::from_bits).collect())
    }

    /// Reads a U32 region and waits for it.
    fn read_u32(&mut self, region: Region) -> Result<Vec<u32>> {
        let id = self.begin_read(region)?;
        self.finish(id)
    }
}
