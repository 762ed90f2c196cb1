//! `danskin attack` as a user meets it: a classifier that another program trained, images in folders, the report and what goes with it.

use crate::lab::{ELEMS, LAYERS, Lab};
use crate::program::run;
use image::GrayImage;
use std::fs;
use std::path::Path;
use std::process::Output;

/// What the layers of the network stand behind in a configuration.
const NET: &str = "preset = \"mnist\"\n[data]\nsize = 12\n[model]\nkind = \"sequential\"\nclasses = 10\n[model.c]\n";

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(dir: &Path, words: &str) -> String {
    let output = run(dir, words);
    assert!(output.status.success(), "{words}: {}", text(&output));
    text(&output)
}

/// A folder with the network as a run, and its first images in folders by class.
fn workshop(count: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::new(count);
    for (k, (image, label)) in lab.images.chunks(ELEMS).zip(&lab.labels).enumerate() {
        let folder = dir.path().join("images").join(label.to_string());
        fs::create_dir_all(&folder).unwrap();
        let bytes = image.iter().map(|v| (127.5 * (v + 1.0)).round() as u8).collect();
        GrayImage::from_raw(12, 12, bytes).unwrap().save(folder.join(format!("{k:03}.png"))).unwrap();
    }
    fs::write(dir.path().join("net.toml"), format!("{NET}{LAYERS}")).unwrap();
    fs::copy("tests/goldens/attacks_model.safetensors", dir.path().join("model.safetensors")).unwrap();
    ok(dir.path(), "import model.safetensors --config net.toml --out run");
    dir
}

fn accuracies(csv: &str) -> Vec<(String, f64, f64)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].to_owned(), cells[2].parse().unwrap(), cells[3].parse().unwrap())
    };
    csv.lines().skip(1).map(row).collect()
}

#[test]
fn a_run_is_attacked_and_reported() {
    let dir = workshop(30);
    let said = ok(
        dir.path(),
        "attack run --data images --attack noise,fgsm,pgd,apgd-ce --steps 10 --eps 0.05 --batch 16 --device host --out r --save s",
    );
    assert!(said.contains("30 images of images, 100.00 % right") && said.contains("robust accuracy"), "{said}");
    let rows = accuracies(&fs::read_to_string(dir.path().join("r/attacks.csv")).unwrap());
    let of = |name: &str| rows.iter().find(|row| row.0 == name).unwrap().clone();
    assert!(of("noise").1 > of("fgsm").1 && of("fgsm").1 >= of("pgd").1, "{rows:?}");
    assert!(of("apgd-ce").2 <= of("pgd").1.min(of("apgd-ce").1) + 1e-9, "the worst case is no average: {rows:?}");

    let page = fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    for part in
        ["run under attack", "Accuracy against the radius", "Loss against steps", "data:image/png;base64,", "apgd-ce"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http"), "the page needs nothing beside it");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("r/report.json")).unwrap()).unwrap();
    let curve = json["against_eps"].as_array().unwrap();
    let accuracy = |i: usize| curve[i]["accuracy"].as_f64().unwrap();
    assert_eq!((accuracy(0), accuracy(curve.len() - 1)), (1.0, 0.0), "down to nothing");
    assert!((1..curve.len()).all(|i| accuracy(i) <= accuracy(i - 1)));
    let steps = json["against_steps"].as_array().unwrap();
    let margin = |i: usize| steps[i]["margin"].as_f64().unwrap();
    assert!(margin(steps.len() - 1) > margin(0), "the loss rises with steps");

    let saved = fs::read_dir(dir.path().join("s")).unwrap().count();
    assert_eq!(saved, 31, "thirty images and their tensors");
    let names = safetensors::SafeTensors::deserialize(&fs::read(dir.path().join("s/adversarial.safetensors")).unwrap())
        .unwrap()
        .names()
        .len();
    assert_eq!(names, 5);
}

/// A second evaluation of the same folder is refused; one that was stopped goes on and ends with the same numbers.
#[test]
fn an_evaluation_goes_on_where_it_stopped() {
    let dir = workshop(20);
    let asked =
        "attack run --data images --attack pgd,apgd-ce --steps 6 --eps 0.05 --batch 8 --no-curves --device host";
    ok(dir.path(), &format!("{asked} --out whole"));
    let output = run(dir.path(), &format!("{asked} --out whole"));
    assert!(!output.status.success() && text(&output).contains("--resume"), "{}", text(&output));
    ok(dir.path(), &format!("{asked} --out part"));
    // As if the second attack had not been reached, and the first one's report not been written.
    fs::remove_file(dir.path().join("part/examples/apgd-ce.safetensors")).unwrap();
    fs::remove_file(dir.path().join("part/attacks.csv")).unwrap();
    ok(dir.path(), "attack --resume part --no-curves --device host");
    let table = |folder: &str| accuracies(&fs::read_to_string(dir.path().join(folder).join("attacks.csv")).unwrap());
    assert_eq!(table("part"), table("whole"));
    let examples = |folder: &str| {
        let bytes = fs::read(dir.path().join(folder).join("examples/apgd-ce.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("adversarial").unwrap().data().to_vec()
    };
    assert_eq!(examples("part"), examples("whole"));
}

/// The ensemble: each attack on what is left, and never more right than after a single one of them.
#[test]
fn the_ensemble_is_the_strongest() {
    let dir = workshop(16);
    ok(dir.path(), "attack run --data images --attack auto --steps 12 --eps 0.04 --no-curves --device host --out auto");
    ok(
        dir.path(),
        "attack run --data images --attack fgsm,pgd --steps 12 --eps 0.04 --no-curves --device host --out pgd",
    );
    let table = |folder: &str| accuracies(&fs::read_to_string(dir.path().join(folder).join("attacks.csv")).unwrap());
    let (auto, pgd) = (table("auto"), table("pgd"));
    let names: Vec<&str> = auto.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(names, ["none", "apgd-ce", "apgd-t", "fab-t", "square"]);
    assert!(auto.windows(2).all(|w| w[1].2 <= w[0].2), "{auto:?}");
    assert!(auto[4].2 <= pgd[2].1 + 1e-9, "{auto:?} {pgd:?}");
}

#[test]
fn one_image_becomes_a_picture() {
    let dir = workshop(4);
    let file = fs::read_dir(dir.path().join("images/3")).unwrap().next().unwrap().unwrap().path();
    let file = file.strip_prefix(dir.path()).unwrap().display().to_string();
    ok(
        dir.path(),
        &format!("attack run --image {file} --label 3 --attack pgd --eps 0.3 --device host --out three.png"),
    );
    let picture = image::open(dir.path().join("three.png")).unwrap();
    assert_eq!(picture.width(), 3 * (192 + 6) + 6);
}

/// How one model fares on what was made for another, which here is the same.
#[test]
fn examples_transfer() {
    let dir = workshop(12);
    ok(dir.path(), "import model.safetensors --config net.toml --out twin");
    ok(
        dir.path(),
        "attack run --data images --attack pgd --steps 8 --eps 0.06 --no-curves --transfer twin --device host --out t",
    );
    let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("t/report.json")).unwrap()).unwrap();
    let rows = json["transfer"].as_array().unwrap();
    assert_eq!((rows[0]["model"].as_str(), rows[1]["model"].as_str()), (Some("run"), Some("twin")));
    assert_eq!(rows[0]["accuracy"], rows[1]["accuracy"]);
    let matrix = &json["matrix"];
    let heads: Vec<&str> = matrix["attacks"].as_array().unwrap().iter().map(|head| head.as_str().unwrap()).collect();
    assert!(heads.len() == 4 && heads[..2] == ["none", "pgd"] && heads[2].contains("2-norm"), "{heads:?}");
    let row = |model: usize, column: usize| matrix["models"][model]["accuracy"][column].as_f64().unwrap();
    assert!((0..4).all(|column| row(0, column) == row(1, column)), "the models are the same: {matrix}");
    assert!(row(0, 3) <= row(0, 1).min(row(0, 2)), "{matrix}");
    let robust = json["robust_accuracy"].as_f64().unwrap();
    assert!((rows[0]["accuracy"][0].as_f64().unwrap() - robust).abs() < 1e-9);
}

#[test]
fn bad_words_are_refused_and_nothing_is_written() {
    let dir = workshop(4);
    fs::create_dir(dir.path().join("flat")).unwrap();
    for file in fs::read_dir(dir.path().join("images/3")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join("flat").join(file.file_name())).unwrap();
    }
    for (words, part) in [
        ("attack run --data images --attack pgdd", "must be one of"),
        ("attack run --data images --eps 9/8", "--eps 9/8: must be a fraction such as 8/255"),
        ("attack run --data images --norm 1", "must be inf or 2"),
        ("attack run --data images --loss bce", "use ce"),
        ("attack run --data images --target 10", "a class from 0 to 9"),
        ("attack run --data images --attack noise --target 3", "knows no targets"),
        ("attack run --data images --attack fgsm --restarts 3", "attack fgsm: restarts 3: this attack draws no random"),
        ("attack run --data flat", "no labels"),
        ("attack nowhere", "is not a run folder"),
        ("attack run --image net.toml", "net.toml"),
        ("attack --resume images", "holds no evaluation"),
    ] {
        let output = run(dir.path(), &format!("{words} --device host"));
        assert_eq!(output.status.code(), Some(1), "{words}: {}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.starts_with("error: ") && said.contains(part) && said.trim_end().lines().count() == 1,
            "{words}: {said}"
        );
        assert!(!dir.path().join("run/attacks").exists(), "{words}");
    }
    let listed = ok(dir.path(), "attack --list");
    for name in ["apgd-t", "fab-t", "square", "lbfgs", "auto"] {
        assert!(listed.contains(name), "{listed}");
    }
}

/// A discriminator is attacked on reals, by the sign of its one logit.
#[test]
fn a_discriminator_is_attacked_too() {
    let dir = tempfile::tempdir().unwrap();
    let small = "--set data.count=64 --set model.g_width=4 --set model.d_width=4 --batch 8 --kimg 0.16 --set sample.every_kimg=0";
    ok(dir.path(), &format!("train faces32 {small} --device host --out gan"));
    let attack = "attack gan --attack noise,pgd --steps 5 --count 16 --eps 4/255 --no-curves --device host";
    // It has seen these; with --test it has not.
    for (words, part) in [("--out r", "training images"), ("--out t --test", "another population")] {
        let said = ok(dir.path(), &format!("{attack} {words}"));
        assert!(said.contains(&format!("16 images of faces ({part})")), "{said}");
    }
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&read("r/report.json")).unwrap();
    assert_eq!(report["data"], "faces (training images)");
    let page = String::from_utf8(read("r/report.html")).unwrap();
    assert!(page.contains("faces (training images)"));
    // Every byte of the seen images is another one's.
    let images = |folder: &str| {
        let bytes = read(&format!("{folder}/examples/pgd.safetensors"));
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("adversarial").unwrap().data().to_vec()
    };
    assert_ne!(images("r"), images("t"));
}

/// The command on WGSL: what the host reports; restarts leave out what draws nothing of the attacks that nobody named.
#[test]
fn a_run_is_attacked_on_wgsl() {
    let dir = workshop(8);
    let asked = "attack run --data images --restarts 2 --steps 3 --eps 0.05 --batch 8 --no-curves";
    for device in ["host", "vulkan"] {
        ok(dir.path(), &format!("{asked} --device {device} --out {device}"));
    }
    let table = |folder: &str| accuracies(&fs::read_to_string(dir.path().join(folder).join("attacks.csv")).unwrap());
    let rows = table("vulkan");
    assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["none", "noise", "pgd", "apgd-ce"]);
    assert!(rows[3].2 < rows[0].2, "nothing was fooled: {rows:?}");
    assert_eq!(rows, table("host"));
    let json = fs::read_to_string(dir.path().join("vulkan/report.json")).unwrap();
    assert!(json.contains("Vulkan") || json.contains("vulkan"), "{json}");
}
