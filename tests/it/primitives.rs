//! Every primitive and every phase of real models: planned against node by node, fused against unfused, WGSL against the f64
//! host. The cases are those of `danskin check`.

use danskin::autodiff::grad;
use danskin::check::{Case, Loaded, cases, primitive_cases, rng};
use danskin::device::Device;
use danskin::graph::{Graph, Kind, Op, Tensor};
use danskin::host;
use danskin::kernels::{self, Tuning};
use danskin::nn::pool::max_pool;
use danskin::plan::{Builder, Class, Element, Options, Places};
use std::collections::HashMap;

/// Any Vulkan adapter, a software one too.
pub fn gpu() -> Device {
    match Device::select("vulkan") {
        Ok((device, _)) => device,
        Err(e) => panic!("the WGSL tests need a Vulkan adapter, a software one will do; ./test installs it: {e}"),
    }
}

fn on_device(device: &Device, options: Options) -> Vec<Vec<(String, Vec<f32>)>> {
    let cases = cases();
    let mut loaded = Loaded::new(&cases, device, options).unwrap();
    (0..cases.len()).map(|i| loaded.run(i).unwrap()).collect()
}

fn reference(case: &Case) -> HashMap<String, Vec<f64>> {
    host::eval::<f64>(&case.dag, &case.feeds, rng()).unwrap()
}

fn assert_matches_oracle(device: &Device, fuse: bool) {
    let mut missed = vec![];
    for (case, roots) in cases().iter().zip(on_device(device, device.options(fuse))) {
        let (reference, allowed) = (reference(case), case.allowed());
        for (root, values) in roots {
            let row = case.compare(&root, &values, &reference[&root], allowed[&root]);
            if !row.passed {
                missed.push(row.to_string());
            }
        }
    }
    assert!(missed.is_empty(), "{} rows differ from the f64 host:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn every_primitive_has_a_case_a_step_and_a_kernel() {
    for kind in Kind::ALL {
        let cases = primitive_cases(kind);
        assert!(!cases.is_empty(), "{} has no case", kind.name());
        for case in cases {
            let is_there = case.dag.nodes.iter().any(|n| n.op.kind() == kind);
            assert!(is_there, "{}: its graph has no {}", case.name, kind.name());
            let scratch = std::sync::Arc::new(kernels::scratch);
            let mut b = Builder::new(Options { fuse: false, scratch, ..Options::default() });
            let place = |b: &mut Builder, name: &str, len| b.buffer(name, len, Element::F32, Class::Input);
            let leaves: Places = case.feeds.iter().map(|(n, v)| (n.clone(), place(&mut b, n, v.len()))).collect();
            let (_, root) = case.dag.roots[0];
            let out = place(&mut b, "out", case.dag.nodes[root].shape.elems());
            b.plan("case", &case.dag, &leaves, &Places::from([("out".to_owned(), out)])).unwrap();
            for step in b.finish().plans.iter().flat_map(|p| &p.steps) {
                let launches = kernels::lower(step).unwrap_or_else(|e| panic!("{}: {e}", case.name));
                assert!(!launches.is_empty(), "{}: {} launches nothing", case.name, step.name());
            }
        }
    }
}

#[test]
fn plans_on_the_host_match_the_f64_oracle() {
    assert_matches_oracle(&Device::Host, true);
}

#[test]
fn unfused_plans_on_the_host_match_the_f64_oracle() {
    assert_matches_oracle(&Device::Host, false);
}

#[test]
fn wgsl_matches_the_f64_oracle() {
    assert_matches_oracle(&gpu(), true);
}

/// The same with the schedules of a hardware device, which a software one is not given.
#[test]
fn wgsl_on_the_schedules_of_hardware_matches_the_f64_oracle() {
    let Device::Gpu(device) = gpu() else { panic!("a GPU") };
    assert_matches_oracle(&Device::Gpu(device.with_tuning(Tuning::default())), true);
}

#[test]
fn unfused_wgsl_matches_the_f64_oracle() {
    assert_matches_oracle(&gpu(), false);
}

/// The same steps with a buffer of its own for every value: sharing memory may not change a bit.
#[test]
fn shared_memory_changes_no_bit() {
    for device in [Device::Host, gpu()] {
        let shared = on_device(&device, device.options(true));
        let unshared = on_device(&device, Options { share: false, ..device.options(true) });
        for ((case, a), b) in cases().iter().zip(&shared).zip(&unshared) {
            assert!(a == b, "{}: memory was shared by values that live at the same time", case.name);
        }
    }
}

/// In f32, steps of an unfused plan against nodes one by one: the same functions up to the order of sums.
#[test]
fn an_unfused_plan_equals_node_by_node_evaluation_in_f32() {
    let device = Device::Host;
    for (case, roots) in cases().iter().zip(on_device(&device, device.options(false))) {
        let feeds = case.feeds.iter().map(|(n, v)| (n.clone(), v.iter().map(|&x| x as f32).collect())).collect();
        let (reference, allowed) = (host::eval::<f32>(&case.dag, &feeds, rng()).unwrap(), case.allowed());
        for (root, values) in roots {
            let reference: Vec<f64> = reference[&root].iter().map(|&v| f64::from(v)).collect();
            let row = case.compare(&root, &values, &reference, allowed[&root]);
            assert!(row.passed, "{row}");
        }
    }
}

#[test]
fn the_same_plan_twice_gives_the_same_bits() {
    for device in [Device::Host, gpu()] {
        assert_eq!(on_device(&device, device.options(true)), on_device(&device, device.options(true)));
    }
}

/// A broken number is seen: what rectifies, limits or compares hands a NaN on, whichever side it is on.
#[test]
fn nan_passes_whatever_rectifies_or_limits() {
    let graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, [N]));
    let roots = [
        ("max", a.max(b)),
        ("min", a.min(b)),
        ("clamp", (a + b).clamp(-1.0, 1.0)),
        ("relu", (a * b).relu()),
        ("leaky", (a - b).leaky_relu(0.2)),
        ("softplus", (a + b.scale(2.0)).softplus()),
    ];
    let dag = graph.freeze(&roots.map(|(name, root)| (name.to_owned(), root)));
    // One row of four is fine, a NaN is in the first of two numbers, in the second, in both.
    const N: usize = 12;
    let numbers = |broken: [usize; 2]| -> Vec<f64> {
        (0..N).map(|i| if broken.contains(&(i % 4)) { f64::NAN } else { i as f64 - 5.5 }).collect()
    };
    let feeds = HashMap::from([("a".to_owned(), numbers([1, 3])), ("b".to_owned(), numbers([2, 3]))]);
    let case = Case { name: "nan".into(), kind: None, dag, feeds };
    let expected: Vec<bool> = (0..N).map(|i| i % 4 > 0).collect();
    let check = |place: &str, root: &str, nan: Vec<bool>| assert_eq!(nan, expected, "{root} on {place}");
    for (root, values) in reference(&case) {
        check("the f64 host", &root, values.iter().map(|v| v.is_nan()).collect());
    }
    for (device, fuse) in [(Device::Host, true), (gpu(), true), (gpu(), false)] {
        let cases = std::slice::from_ref(&case);
        let mut loaded = Loaded::new(cases, &device, device.options(fuse)).unwrap();
        for (root, values) in loaded.run(0).unwrap() {
            check(&loaded.describe(), &root, values.iter().map(|v| v.is_nan()).collect());
        }
    }
}

/// Maxima of windows, their gradient, and the gradient of its square behind a curved function. The image has few
/// different numbers, so that windows have ties.
fn pooling(kernel: usize, stride: usize, [h, w]: [usize; 2]) -> [Case; 2] {
    let x: Vec<f64> = (0..2 * h * w * 4).map(|i| (4.0 * (i as f64 * 0.7).sin()).round() / 4.0).collect();
    type Roots = for<'g> fn(Tensor<'g>) -> Vec<(String, Tensor<'g>)>;
    let case = |name: &str, roots: Roots| {
        let graph = Graph::new();
        let pooled = max_pool(graph.input("x", [2, h, w, 4]), kernel, stride);
        let dag = graph.freeze(&roots(pooled));
        let r = dag.nodes.iter().find(|n| matches!(&n.op, Op::Input(name) if &**name == "r"));
        let r = r.map_or(0, |n| n.shape.elems());
        let feeds = [("x", x.clone()), ("r", (0..r).map(|i| (i as f64 * 1.3).cos()).collect())];
        let feeds = feeds.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        Case { name: format!("{name} of {kernel}² every {stride}"), kind: Some(Kind::Select), dag, feeds }
    };
    fn first(y: Tensor<'_>) -> Vec<(String, Tensor<'_>)> {
        let (x, r) = (y.graph().input("x", y.graph().node(0).shape), y.graph().input("r", y.shape()));
        vec![("y".to_owned(), y), ("dx".to_owned(), grad((y * r).sum_all(), &[x])[0])]
    }
    fn second(y: Tensor<'_>) -> Vec<(String, Tensor<'_>)> {
        let (x, r) = (y.graph().input("x", y.graph().node(0).shape), y.graph().input("r", y.shape()));
        let dx = grad((y * y * r).sum_all(), &[x])[0];
        vec![("ddx".to_owned(), grad(dx.square().sum_all(), &[x])[0])]
    }
    [case("gradient", first), case("second gradient", second)]
}

#[test]
fn pooling_matches_the_f64_oracle() {
    let cases: Vec<Case> = [(2, 2, [8, 8]), (2, 2, [7, 9]), (3, 2, [9, 8]), (2, 3, [8, 8])]
        .into_iter()
        .flat_map(|(kernel, stride, size)| pooling(kernel, stride, size))
        .collect();
    for (device, fuse) in [(Device::Host, false), (Device::Host, true), (gpu(), true)] {
        let mut loaded = Loaded::new(&cases, &device, device.options(fuse)).unwrap();
        for (i, case) in cases.iter().enumerate() {
            let (reference, allowed) = (reference(case), case.allowed());
            for (root, values) in loaded.run(i).unwrap() {
                let row = case.compare(&root, &values, &reference[&root], allowed[&root]);
                assert!(row.passed, "{}, fused: {fuse}: {row}", device.describe());
            }
        }
    }
}

/// One for the maxima alone; with their gradient, one each for which pixel is largest, for the numbers of pixels and for the gradient.
#[test]
fn pooling_takes_few_launches() {
    let steps = |case: &Case| {
        let mut b = Builder::new(Options::default());
        let place = |b: &mut Builder, name: &str, len| b.buffer(name, len, Element::F32, Class::Input);
        let leaves: Places = case.feeds.iter().map(|(n, v)| (n.clone(), place(&mut b, n, v.len()))).collect();
        let elems = |id: usize| case.dag.nodes[id].shape.elems();
        let roots: Places = case.dag.roots.iter().map(|(n, id)| (n.clone(), place(&mut b, n, elems(*id)))).collect();
        b.plan("pooling", &case.dag, &leaves, &roots).unwrap();
        b.finish().plans[0].steps.iter().map(|step| step.label.clone()).collect::<Vec<_>>()
    };
    let [mut case, _] = pooling(2, 2, [8, 8]);
    assert!(steps(&case).len() <= 4, "{:?}", steps(&case));
    let graph = Graph::new();
    case.dag = graph.freeze(&[("y".to_owned(), max_pool(graph.input("x", [2, 8, 8, 4]), 2, 2))]);
    assert_eq!(steps(&case).len(), 1, "{:?}", steps(&case));
}
