//! Measurements: what they say agrees with what is measured, and a profiled run is the run it was.

use crate::program::{done, run, stderr, tree};
use crate::training::{config, trainer};
use danskin::bench::peak::Peaks;
use danskin::device::Device;
use danskin::gpu::Gpu;
use danskin::plan::{Plan, Step};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A DCGAN small enough for a software driver …
const SMALL: &str = "--batch 4 --set model.g_width=4 --set model.d_width=4 --set model.z=8 --set data.count=32";
/// … and the same as settings.
const SMALL_SETTINGS: [&str; 5] = ["train.batch=4", "model.g_width=4", "model.d_width=4", "model.z=8", "data.count=32"];

/// The first GPU there is; tests of kernels need one anyway.
fn gpu() -> String {
    crate::harness::device().facts().id.clone()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The fields that other engines' measurements have, with sound values.
fn check_common(row: &Value) {
    for text in ["peer", "device", "workload", "note"] {
        assert!(row[text].is_string(), "{text} in {row}");
    }
    let number = |field: &str| row[field].as_f64().unwrap_or_else(|| panic!("{field} in {row}"));
    assert!(number("min_s") > 0.0 && number("min_s") <= number("median_s"), "{row}");
    assert!(number("first_s") > 0.0 && number("threads") >= 1.0 && number("reps") >= 1.0, "{row}");
    assert!(row["batch"].is_u64(), "{row}");
    for field in ["img_per_s", "gflops", "others_cpu", "load1", "cpu_s"] {
        assert!(row[field].is_null() || number(field) >= 0.0, "{field} in {row}");
    }
}

#[test]
fn a_measured_step_does_what_its_plan_lists() {
    let dir = tempfile::tempdir().unwrap();
    for settings in [vec![], vec!["attack.steps=2", "loss.n_critic=2"]] {
        let typed: String = settings.iter().map(|s| format!("--set {s} ")).collect();
        let words = format!("bench step faces32 {SMALL} {typed} --device {} --steps 3 --json", gpu());
        let rows = lines(&done(dir.path(), &words));
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        check_common(row);
        assert_eq!(
            (row["workload"].as_str(), row["batch"].as_u64(), row["reps"].as_u64()),
            (Some("faces32"), Some(4), Some(3))
        );
        assert_eq!(row["submissions"].as_f64(), Some(1.0));
        let config = config("faces32", &[&SMALL_SETTINGS[..], &settings].concat());
        let trainer = trainer(&config, &crate::primitives::gpu());
        let program = &trainer.assembly().program;
        let loaded = Gpu::load(crate::harness::device(), program.clone()).unwrap();
        let planned = |(i, plan): (usize, &Plan)| {
            let sum = |of: &dyn Fn(&Step) -> u64| plan.steps.iter().map(of).sum::<u64>();
            let fields = [
                ("flops", sum(&|s| s.flops)),
                ("bytes", sum(&|s| program.moved(s))),
                ("dispatches", loaded.encode(&[(i, 1)]).unwrap()),
            ];
            (plan.name.clone(), fields)
        };
        let listed: BTreeMap<String, _> = program.plans.iter().enumerate().map(planned).collect();
        assert_eq!(row["memory_bytes"].as_u64(), Some(program.bytes()));
        let phases = row["phases"].as_array().unwrap();
        assert!(phases.len() >= 7, "{phases:?}");
        let mut sums = BTreeMap::new();
        for phase in phases {
            let name = phase["phase"].as_str().unwrap();
            let runs = phase["runs"].as_f64().unwrap();
            for (field, planned) in listed[name] {
                let measured = phase[field].as_f64().unwrap();
                assert_eq!(measured, runs * planned as f64, "{field} of {name}");
                *sums.entry(field).or_insert(0.0) += measured;
            }
            assert!(phase["ms"].as_f64().unwrap() >= 0.0, "{phase}");
            if !settings.is_empty() {
                let expected = if name == "attack_step" {
                    2.0
                } else if name.starts_with('g') {
                    0.5
                } else {
                    1.0
                };
                assert_eq!(runs, expected, "{name}");
            }
        }
        // A phase may be shorter than a tick of the device's clock; all of them are not.
        assert!(phases.iter().filter_map(|p| p["ms"].as_f64()).sum::<f64>() > 0.0, "{row}");
        for (field, sum) in sums {
            assert_eq!(row[field].as_f64(), Some(sum), "{field}");
        }
    }
}

#[test]
fn workloads_of_other_engines_run_as_they_are_defined() {
    let dir = tempfile::tempdir().unwrap();
    let small = "--batch 2 --set model.g_width=4 --set model.d_width=4 --set data.count=2";
    let mut flops = BTreeMap::new();
    for name in ["w4", "W5", "w6", "w7"] {
        let rows = lines(&done(dir.path(), &format!("bench step {name} {small} --device host --steps 1 --json")));
        check_common(&rows[0]);
        assert_eq!(rows[0]["workload"].as_str(), Some(name.to_uppercase().as_str()));
        flops.insert(name.to_lowercase(), rows[0]["flops"].as_f64().unwrap());
        let phases: Vec<(&str, f64)> = rows[0]["phases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| (p["phase"].as_str().unwrap(), p["runs"].as_f64().unwrap()))
            .collect();
        match name {
            "w7" => assert_eq!(phases, [("draw_real", 1.0), ("attack_start", 1.0), ("attack_step", 10.0)]),
            _ => assert!(phases.contains(&("d_adam", 1.0)) && phases.contains(&("g_adam", 1.0)), "{phases:?}"),
        }
    }
    // Larger images and more layers cost more; so does a gradient of a gradient.
    assert!(flops["w4"] > 3.0 * flops["w5"] && flops["w6"] > 1.1 * flops["w5"], "{flops:?}");
}

#[test]
fn kernels_stay_below_the_peaks() {
    let dir = tempfile::tempdir().unwrap();
    let shapes = "--shape matmul:256x256x256 --shape conv:2,16,16,32,32,3,1,1 --shape conv_x:2,16,16,32,32,3,1,1 \
                  --shape conv_w:2,16,16,32,32,3,1,1 --shape reduce:4096x64 --shape adam:4096 --shape fir:1,8,8,4,2,1";
    for device in ["host".to_owned(), gpu()] {
        let words = format!("bench kernels {shapes} --device {device} --max-s 0.05 --json out.jsonl --plot roof.svg");
        let table = done(dir.path(), &words);
        let rows = lines(&std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap());
        rows.iter().for_each(check_common);
        let named = |name: &str| rows.iter().find(|r| r["workload"] == name).unwrap_or_else(|| panic!("{name}"));
        let peak = named("fma")["gflops_best"].as_f64().unwrap();
        let copy = named("copy")["gbytes_per_s_best"].as_f64().unwrap();
        assert!(peak > 0.1 && copy > 0.01, "{peak} GFLOP/s, {copy} GB/s");
        let kernels: Vec<&Value> = rows.iter().filter(|r| r.get("family").is_some()).collect();
        assert_eq!(kernels.len(), 7);
        for row in kernels {
            let name = row["workload"].as_str().unwrap();
            assert!(table.contains(name) && shapes.contains(name), "{name} in {table}");
            let rate = row["flops"].as_f64().unwrap() / row["median_s"].as_f64().unwrap() / 1e9;
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b;
            assert!(close(row["gflops"].as_f64().unwrap(), rate), "{row}");
            assert!(close(row["of_fma"].as_f64().unwrap(), rate / peak), "{row}");
            // Others may have slowed the measurement of the peak down.
            let quiet = named("fma")["others_cpu"].as_f64().is_some_and(|share| share < 0.05);
            assert!(rate <= if quiet { 1.3 } else { 5.0 } * peak, "{row} at a peak of {peak} GFLOP/s");
        }
        let svg = std::fs::read_to_string(dir.path().join("roof.svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("GB/s of memory"));
        assert_eq!(svg.matches("<circle ").count(), 7);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn peaks_are_of_what_was_moved() {
    let peaks = Peaks::measure(&Device::Host, "here").unwrap();
    assert_eq!(peaks.rows().map(|r| r.common.workload.as_str()).collect::<Vec<_>>(), ["fma", "copy", "update"]);
    // The roof is the lower of two lines that meet where both are full.
    let ridge = peaks.gflops() / peaks.gbytes_per_s();
    assert!((peaks.roof(ridge / 2.0) / peaks.gflops() - 0.5).abs() < 1e-9);
    assert_eq!(peaks.roof(ridge * 2.0), peaks.gflops());
}

#[test]
fn a_ladder_has_its_rungs() {
    let dir = tempfile::tempdir().unwrap();
    let words = format!("bench kernels --ladder --shape matmul:64x32x32 --device {} --max-s 0.01 --json", gpu());
    let rows = lines(&done(dir.path(), &words));
    let rungs: Vec<&str> = rows.iter().filter_map(|r| r["rung"].as_str()).collect();
    assert_eq!((rungs.first(), rungs.last()), (Some(&"naive"), Some(&"chosen")));
    assert!(rungs.len() >= 10 && rungs[1..rungs.len() - 1].iter().all(|r| r.contains(" parts ")), "{rungs:?}");
}

#[test]
fn a_profiled_run_is_the_run_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for device in ["host".to_owned(), gpu()] {
        let train = format!(
            "train faces32 {SMALL} --set attack.steps=2 --set log.every_steps=4 --set sample.count=2x2 --device {device} --kimg 0.04"
        );
        done(dir.path(), &format!("{train} --out plain"));
        let text = done(dir.path(), &format!("{train} --out profiled --profile trace.json --profile-steps 3"));
        let checkpoints = |run: &str| tree(&dir.path().join(run).join("checkpoints"));
        assert!(checkpoints("plain").len() >= 2);
        assert!(checkpoints("plain") == checkpoints("profiled"), "another run on {device}");
        assert!(text.contains("profile of 3 iterations") && text.contains("trace.json"), "{text}");
        check_trace(&dir.path().join("trace.json"), &text);
        for run in ["plain", "profiled"] {
            std::fs::remove_dir_all(dir.path().join(run)).unwrap();
        }
    }
}

/// A trace of three iterations, and the table that was printed with it.
fn check_trace(path: &Path, table: &str) {
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    // The first three iterations are there to warm up.
    assert_eq!(trace["otherData"]["iterations"], serde_json::json!([3, 4, 5]));
    let events = trace["traceEvents"].as_array().unwrap();
    let lanes = events.iter().filter(|e| e["ph"] == "M" && e["name"] == "thread_name").count();
    assert_eq!(lanes, 2);
    let mut ends = BTreeMap::new();
    let mut names: Vec<&str> = vec![];
    let mut device_us = 0.0;
    for slice in events.iter().filter(|e| e["ph"] == "X") {
        let (start, length) = (slice["ts"].as_f64().unwrap(), slice["dur"].as_f64().unwrap());
        let lane = slice["tid"].as_u64().unwrap();
        let end = ends.entry(lane).or_insert(0.0);
        // Ends are sums of rounded numbers.
        assert!(start >= *end - 1e-3 && length >= 0.0, "{slice} begins before {end}");
        *end = start + length;
        names.push(slice["name"].as_str().unwrap());
        if slice["args"]["phase"].is_string() {
            device_us += length;
            assert!(slice["args"]["flops"].is_u64() && slice["args"]["bytes"].is_u64(), "{slice}");
        }
    }
    for name in ["write scalars", "read and write the log"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let phases = ["draw_real", "attack_start", "attack_step", "d", "d_adam", "g", "g_adam", "log"];
    let of = |phase: &str| events.iter().filter(|e| e["args"]["phase"] == phase).count();
    assert!(phases.iter().all(|phase| of(phase) > 0 && of(phase).is_multiple_of(3)), "three iterations");
    let row = table.lines().skip_while(|l| !l.starts_with("profile of")).nth(2).unwrap();
    let share = |line: &str| line.split_whitespace().rev().nth(2).unwrap().parse::<f64>().unwrap();
    let of_all = row.split_whitespace().rev().nth(3).unwrap().parse::<f64>().unwrap() * 1e3 / device_us * 100.0;
    assert!((share(row) - of_all).abs() < 0.2 + 0.02 * of_all, "{row}: {of_all} % of {device_us} us");
}

#[test]
fn a_run_that_ends_too_soon_leaves_no_profile() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        done(dir.path(), &format!("train faces32 {SMALL} --device host --kimg 0.008 --out run --profile t.json"));
    assert!(text.contains("the run ended before an iteration was profiled: t.json was not written"), "{text}");
    assert!(!dir.path().join("t.json").exists());
}

const BEFORE: &str = r#"{"workload":"W5","device":"d","batch":64,"median_s":1.0,"min_s":0.99,"others_cpu":0.0}
{"workload":"W6","device":"d","batch":64,"median_s":1.0,"min_s":0.99,"others_cpu":0.5}
{"workload":"old","device":"d","median_s":null,"min_s":null}
{"workload":"W5","device":"d","batch":64,"median_s":2.0,"min_s":1.98,"others_cpu":0.0}
"#;

#[test]
fn two_files_are_compared_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("a.jsonl", BEFORE);
    put("b.jsonl", &BEFORE.replace("2.0,\"min_s\":1.98", "1.0,\"min_s\":0.99").replace("\"W6\"", "\"W6\",\"x\":1"));
    let table = done(dir.path(), "bench compare a.jsonl b.jsonl");
    let row =
        |name: &str| table.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{name}: {table}")).to_owned();
    // The newest measurement of a file counts.
    let w5 = row("W5 on d, batch 64");
    assert!(w5.contains(" 0.500 ") && w5.contains("faster") && !w5.contains("unreliable"), "{w5}");
    let w6 = row("W6 on d, batch 64");
    assert!(w6.contains("same") && w6.contains("[unreliable: others took 50 % of the cores before]"), "{w6}");
    assert!(done(dir.path(), "bench compare b.jsonl a.jsonl").contains("SLOWER"));

    put("c.jsonl", &BEFORE.replace("W6", "W7"));
    put("other.jsonl", &BEFORE.replace("\"W", "\"V"));
    put("torn.jsonl", "{\"workload\":\"W5\"\n");
    put("text.jsonl", "hello\n");
    put("empty.jsonl", "\n");
    put("poor.jsonl", "{\"workload\":\"W5\",\"device\":\"d\",\"median_s\":1.0}\n");
    for (words, part) in [
        (
            "a.jsonl c.jsonl",
            "rows without a partner: 2 (W7 on d, batch 64 only in c.jsonl, W6 on d, batch 64 only in a.jsonl)",
        ),
        (
            "a.jsonl other.jsonl",
            "no workload in common that can be paired: the first is of W5 on d, batch 64, the second of V5 on d",
        ),
        ("a.jsonl none.jsonl", "none.jsonl: reading measurements"),
        ("torn.jsonl a.jsonl", "torn.jsonl line 1"),
        ("a.jsonl text.jsonl", "text.jsonl line 1"),
        ("a.jsonl empty.jsonl", "empty.jsonl: holds no measurement"),
        ("a.jsonl poor.jsonl", "poor.jsonl line 1: min_s is missing or no time"),
    ] {
        refused(dir.path(), &format!("bench compare {words}"), part);
    }
}

#[test]
fn work_that_each_file_measures_once_is_compared_over_devices_and_engines() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, rows: &[[&str; 3]]| {
        let row = |[peer, device, workload]: &[&str; 3]| {
            format!(
                "{{\"peer\":\"{peer}\",\"device\":\"{device}\",\"workload\":\"{workload}\",\"batch\":64,\
                 \"median_s\":1.0,\"min_s\":0.99}}\n"
            )
        };
        std::fs::write(dir.path().join(name), rows.iter().map(row).collect::<String>()).unwrap();
    };
    put("ours.jsonl", &[["danskin 0.1.0", "host, 2 threads", "W5"]]);
    put("newer.jsonl", &[["danskin 0.2.0", "host, 2 threads", "W5"]]);
    put("theirs.jsonl", &[["torch 2.15", "CPU eager", "W5"]]);
    put("two.jsonl", &[["torch 2.15", "CPU eager", "W5"], ["torch 2.15", "CPU compiled", "W5"]]);
    put("same_name.jsonl", &[["torch 2.15", "CPU", "W5"], ["burn 0.22", "CPU", "W5"]]);
    let compare = |a: &str, b: &str| done(dir.path(), &format!("bench compare {a}.jsonl {b}.jsonl"));
    let table = compare("theirs", "ours");
    assert!(
        table.contains("W5, batch 64  [torch 2.15 on CPU eager before, danskin 0.1.0 on host, 2 threads after]"),
        "{table}"
    );
    let table = compare("ours", "newer");
    assert!(table.contains("W5 on host, 2 threads, batch 64") && !table.contains(" before, "), "{table}");
    // Which of two rows is meant can't be known.
    for ambiguous in ["two", "same_name"] {
        refused(dir.path(), &format!("bench compare {ambiguous}.jsonl ours.jsonl"), "that can be paired");
    }
    // Peaks come with our rows and no others.
    let peak = "{\"peer\":\"danskin 0.1.0\",\"device\":\"host, 2 threads\",\"workload\":\"fma\",\"batch\":0,\"median_s\":1.0,\"min_s\":0.99}\n";
    let ours = std::fs::read_to_string(dir.path().join("ours.jsonl")).unwrap();
    std::fs::write(dir.path().join("peaks.jsonl"), ours + peak).unwrap();
    assert!(!compare("theirs", "peaks").contains("fma"));
    put("more.jsonl", &[["danskin 0.1.0", "host, 2 threads", "W5"], ["danskin 0.1.0", "vulkan", "W5"]]);
    refused(dir.path(), "bench compare ours.jsonl more.jsonl", "rows without a partner: 1 (W5 on vulkan");
}

fn refused(dir: &Path, words: &str, part: &str) {
    let output = run(dir, words);
    let message = stderr(&output);
    assert!(!output.status.success() && message.contains(part), "{words}: {message}");
    // Mesa's device selection complains of its own where there is no desktop.
    let errors = message.lines().filter(|l| l.starts_with("error: ") && !l.contains("XDG_RUNTIME_DIR"));
    assert_eq!(errors.count(), 1, "{words}: {message}");
}

#[test]
fn nonsense_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder.json")).unwrap();
    std::fs::write(dir.path().join("c.toml"), "").unwrap();
    for (words, part) in [
        ("step w9 --device host", "w9"),
        ("step w5 --config c.toml --device host", "W5 has settings of its own"),
        ("step ring8 --device host --steps 0", "0 is not in 1.."),
        ("step ring8 --device host --set optim.lr=no", "optim.lr"),
        ("step w7 --device host --set attack.steps=0", "must be at least 1 to measure an attack"),
        ("step --json w5 --device host", "must end in .json or .jsonl"),
        ("step ring8 --device host --json no/where.json", "its folder does not exist"),
        ("step ring8 --device vulkan:99", "there is no such device"),
        ("kernels --shape frob --device host", "no kernel's name contains it"),
        ("kernels --shape matmul:1x --device host", "must be matmul:MxNxK"),
        ("kernels --ladder --device host", "the host has one way"),
        ("kernels --device host --plot roof.png", "must end in .svg"),
        ("kernels --device host --json folder.json", "is a folder; name a file"),
        ("kernels --device host --max-s 0", "must be a number of seconds above 0"),
    ] {
        refused(dir.path(), &format!("bench {words}"), part);
    }
    refused(dir.path(), "train ring8 --device host --kimg 1 --profile no/t.json", "its folder does not exist");
    refused(dir.path(), "train ring8 --device host --kimg 1 --profile-steps 3", "--profile");
    assert_eq!(tree(dir.path()).len(), 2, "nothing is half written");
}

/// An attack makes no gradient of a weight, and its steps cost few launches beside the bare passes.
#[test]
fn attacks_are_measured_beside_bare_passes() {
    let dir = tempfile::tempdir().unwrap();
    let words =
        "bench attack classifier --set model.width=4 --set data.size=16 --batch 4 --steps 8 --max-s 0.05 --device host";
    let output = run(dir.path(), &format!("{words} --json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |row: usize, key: &str| rows[row][key].as_u64().unwrap();
    assert_eq!(rows.len(), 3);
    assert!((0..3).all(|row| of(row, "weight_gradients") == 0 && of(row, "steps") == 8));
    let [bare, last, best] = [0, 1, 2].map(|row| of(row, "dispatches"));
    // A step of PGD: one launch behind the gradient; keeping the best example: a look at the logits, and one more pass at the end.
    let per_step = bare / 8;
    assert!(last <= bare + 4 * 8 && best <= bare + per_step + 30 * 8, "{bare} {last} {best}");
    let said = String::from_utf8_lossy(&run(dir.path(), words).stdout).into_owned();
    assert!(said.contains("pgd, best example") && said.contains("ratio"), "{said}");
    let output = run(dir.path(), "bench attack ring8 --device host");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("nothing to attack"));
}
