//! The device room: choosing, refusing, counting, reading, profiling.

use crate::harness::device;
use danskin::Error;
use danskin::gpu::{Device, Gpu, list};
use danskin::graph::{Op, Real};
use danskin::plan::{Buffer, Chain, Class, Element, Executor, Instr, Plan, Program, Region, Step, View, Work};

const LEN: usize = 100;

fn buffer(name: &str, len: usize, element: Element, class: Class) -> Buffer {
    Buffer { name: name.into(), len, element, class }
}

fn region(buffer: usize) -> Region {
    Region { buffer, offset: 0, len: LEN }
}

/// to = factor · from
fn scale(from: Region, to: Region, factor: f64) -> Step {
    let chain = Chain {
        extents: vec![LEN],
        views: vec![View { strides: vec![1], offset: 0, within: vec![] }],
        instrs: vec![Instr::Load(0), Instr::Apply(Op::Scale(Real(factor)), vec![0])],
    };
    let label = format!("scale by {factor}");
    Step { work: Work::Pointwise(chain), inputs: vec![from], outputs: vec![to], scratch: None, label, flops: 0 }
}

fn program(plans: Vec<Vec<Step>>) -> Program {
    let float = |name| buffer(name, LEN, Element::F32, Class::State);
    let buffers = vec![buffer("rng", 64, Element::U32, Class::Rng), float("x"), float("y")];
    let plans = plans.into_iter().map(|steps| Plan { steps, ..Plan::default() }).collect();
    Program { buffers, plans }
}

/// Two plans: y = 3x, x = y; and x = y/3 … twice that.
pub fn scaling() -> Program {
    program(vec![
        vec![scale(region(1), region(2), 3.0), scale(region(2), region(1), 1.0)],
        vec![scale(region(1), region(2), 0.5), scale(region(2), region(1), 1.0)],
    ])
}

fn two_plans() -> Gpu {
    Gpu::load(device(), scaling()).unwrap()
}

#[track_caller]
fn refused(program: Program, words: &[&str]) {
    let Err(error) = Gpu::load(device(), program) else { panic!("accepted; expected {words:?}") };
    let text = error.to_string();
    assert!(words.iter().all(|w| text.contains(w)), "{text}: expected {words:?}");
}

#[test]
fn an_unknown_device_is_refused_with_those_there_are() {
    let error = Device::open("vulcan").err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::Device { .. }) && text.contains("vulcan"), "{text}");
    for facts in list() {
        assert!(text.contains(&facts.id) && text.contains(&facts.name), "{text}: must name {}", facts.id);
    }
}

#[test]
fn auto_never_takes_a_software_device() {
    match Device::open("auto") {
        Ok(device) => assert!(!device.facts().is_software()),
        Err(error) => {
            assert!(list().iter().all(|f| f.is_software()), "there is hardware, yet {error}");
            assert!(error.to_string().contains("host"), "{error}: must name the way out");
        }
    }
}

#[test]
fn a_device_is_found_by_number_and_by_back_end() {
    let facts = device().facts().clone();
    let backend = facts.id.split(':').next().unwrap();
    assert_eq!(Device::open(&facts.id).unwrap().facts(), &facts);
    assert_eq!(Device::open(backend).unwrap().facts().id, format!("{backend}:0"));
    assert!(facts.storage_buffers >= 8 && facts.workgroup_threads >= 256, "{facts:?}");
}

#[test]
fn plans_run_in_order_and_as_often_as_asked() {
    let mut gpu = two_plans();
    gpu.write(region(1), &[1.0; LEN]).unwrap();
    gpu.run(&[(0, 3), (1, 2), (0, 0)]).unwrap();
    assert_eq!(gpu.read(region(1)).unwrap(), [27.0 / 4.0; LEN]);
    gpu.write(region(1), &[2.0; LEN]).unwrap();
    gpu.run(&[(1, 1)]).unwrap();
    assert_eq!(gpu.read(region(1)).unwrap(), [1.0; LEN]);
}

#[test]
fn buffers_start_as_zeros() {
    assert_eq!(two_plans().read(region(2)).unwrap(), [0.0; LEN]);
}

#[test]
fn nothing_is_made_after_the_first_iterations() {
    let mut gpu = two_plans();
    let made = gpu.counters();
    assert_eq!((made.buffers, made.bind_groups, made.dispatches, made.submissions), (4, 4, 0, 0));
    gpu.run(&[(0, 5), (1, 1)]).unwrap();
    let ran = gpu.counters();
    assert_eq!((ran.dispatches, ran.submissions, ran.read_backs), (12, 1, 0));
    gpu.read(region(1)).unwrap();
    let warm = gpu.counters();
    for _ in 0..3 {
        gpu.write(region(1), &[1.0; LEN]).unwrap();
        gpu.run(&[(0, 1)]).unwrap();
        gpu.read(region(1)).unwrap();
    }
    let after = gpu.counters();
    assert_eq!((after.buffers, after.bind_groups, after.pipelines), (warm.buffers, warm.bind_groups, warm.pipelines));
    assert_eq!((after.dispatches, after.submissions, after.read_backs), (18, warm.submissions + 6, 4));
}

#[test]
fn reads_see_what_was_submitted_before_them() {
    let mut gpu = two_plans();
    gpu.write(region(1), &[1.0; LEN]).unwrap();
    gpu.run(&[(0, 1)]).unwrap();
    let first = gpu.begin_read(region(1)).unwrap();
    gpu.run(&[(0, 1)]).unwrap();
    let second = gpu.begin_read(region(1)).unwrap();
    let late = gpu.finish(second).unwrap();
    let mut early = None;
    while early.is_none() {
        early = gpu.try_finish(first).unwrap();
    }
    assert_eq!((early.unwrap()[7], late[7]), (3f32.to_bits(), 9f32.to_bits()));
    assert!(matches!(gpu.try_finish(first), Err(Error::Graph(_))), "a finished read is gone");
}

#[test]
fn one_buffer_is_never_read_and_written_in_one_launch() {
    let wide = |offset, len| Region { buffer: 1, offset, len };
    let mut apart = program(vec![vec![scale(wide(0, LEN), wide(128, LEN), 2.0)]]);
    apart.buffers[1].len = 256;
    refused(apart, &["scale by 2", "chain.wgsl", "`x`"]);
    refused(program(vec![vec![scale(region(1), region(1), 2.0)]]), &["`x`"]);
}

#[test]
fn regions_outside_their_buffers_are_refused() {
    refused(program(vec![vec![scale(Region { len: LEN + 1, ..region(1) }, region(2), 2.0)]]), &["`x`", "100 elements"]);
    refused(program(vec![vec![scale(Region { offset: 3, len: 9, ..region(1) }, region(2), 2.0)]]), &["multiple of 64"]);
    refused(program(vec![vec![scale(region(1), region(9), 2.0)]]), &["no such buffer"]);
    let mut gpu = two_plans();
    assert!(gpu.write(region(1), &[0.0; 3]).is_err(), "three values for a hundred");
    assert!(gpu.write_u32(region(1), &[0; LEN]).is_err(), "integers for floats");
    assert!(gpu.begin_read(Region { len: 0, ..region(1) }).is_err(), "nothing to read");
    assert!(gpu.run(&[(7, 1)]).is_err(), "no plan 7");
}

#[test]
fn too_large_a_buffer_is_refused_with_its_size() {
    let mut large = program(vec![]);
    large.buffers[2].len = 1 << 40;
    refused(large, &["`y`", "4096.0 GiB", "at most"]);
}

/// A limit that every launch passes makes each a submission of its own, and changes no bit.
#[test]
fn long_runs_are_split_where_a_limit_asks_for_it() {
    let mut gpu = two_plans();
    gpu.set_submission_seconds(None);
    let run = |gpu: &mut Gpu| {
        gpu.write(region(1), &[1.25; LEN]).unwrap();
        let before = gpu.counters();
        gpu.run(&[(0, 3), (1, 2)]).unwrap();
        let after = gpu.counters();
        let words = gpu.read_u32(Region { len: LEN, ..region(1) }).unwrap();
        (after.submissions - before.submissions, after.dispatches - before.dispatches, words)
    };
    let (submissions, launches, whole) = run(&mut gpu);
    assert_eq!((submissions, launches), (1, 10));
    gpu.set_submission_seconds(Some(1e-12));
    assert_eq!(run(&mut gpu), (1, 10, whole.clone()), "the first run measures");
    assert_eq!(run(&mut gpu), (10, 10, whole.clone()));
    gpu.set_submission_seconds(Some(60.0));
    assert_eq!(run(&mut gpu), (1, 10, whole));
}

#[test]
fn a_launch_that_is_too_long_by_itself_is_told_of_once() {
    let heard = crate::startup::Heard::default();
    let device = Device::open_with(&device().facts().id, heard.setup(None)).unwrap();
    let mut gpu = Gpu::load(device, scaling()).unwrap();
    gpu.set_submission_seconds(Some(0.0));
    gpu.run(&[(0, 2)]).unwrap();
    gpu.run(&[(0, 1)]).unwrap();
    let warnings = heard.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("scale by 3") && warnings[0].contains("train.batch"), "{}", warnings[0]);
}

#[test]
fn recording_submits_nothing() {
    let gpu = two_plans();
    let before = gpu.counters();
    assert_eq!(gpu.encode(&[(0, 100), (1, 1)]).unwrap(), 202);
    assert_eq!(gpu.counters(), before);
    assert!(gpu.encode(&[(7, 1)]).is_err(), "no plan 7");
}

#[test]
fn a_profile_names_every_launch() {
    let mut gpu = two_plans();
    gpu.write(region(1), &[1.0; LEN]).unwrap();
    if !device().facts().timestamps {
        assert!(gpu.profile(&[(0, 1)]).is_err(), "no timestamps, no profile");
        return;
    }
    let slices = gpu.profile(&[(0, 2), (1, 1)]).unwrap().slices;
    let labels: Vec<&str> = slices.iter().map(|s| s.kernel.split(' ').nth(2).unwrap()).collect();
    assert_eq!(labels, ["3", "1", "3", "1", "0.5", "1"]);
    let places: Vec<[usize; 3]> = slices.iter().map(|s| [s.plan, s.step, s.part]).collect();
    assert_eq!(places, [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]]);
    assert!(slices.windows(2).all(|s| s[0].start + s[0].seconds <= s[1].start), "{slices:?}");
    let in_bounds = |s: f64| (0.0..60.0).contains(&s);
    assert!(slices.iter().all(|s| in_bounds(s.seconds)) && slices.iter().any(|s| s.seconds > 0.0), "{slices:?}");
    assert_eq!(gpu.read(region(1)).unwrap(), [4.5; LEN]);
}
