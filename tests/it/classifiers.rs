//! The built-in classifiers: sizes and names, against PyTorch, and as runs of the program.
//! `tests/goldens/classifiers.py` made the files.

use crate::data::craft::{png, put};
use crate::goldens::{in_f32, in_f64, on};
use crate::primitives::gpu;
use crate::program::{done, tree};
use crate::sequential::check_network;
use crate::sequential_runs::{newest, refused};
use danskin::autodiff::grad;
use danskin::device::Device;
use danskin::graph::{Graph, Tensor};
use danskin::nn::{
    ClassHead, Dcgan, Lenet5, MnistCnn, Mode, Model, Network, ParamSpec, PreactResnet18, R3gan, Scope, SnganResnet,
    network,
};
use danskin::train::checkpoint::Values;
use image::RgbImage;
use std::fs;

/// The parameters of a network after checking its shapes.
fn params(network: &dyn Network) -> Vec<ParamSpec> {
    let graph = Graph::new();
    let scope = Scope::new(&graph, "C");
    let x = graph.input("x", [vec![2], network.input()].concat());
    let y = network.forward(&scope, x, None, Mode::Train);
    assert_eq!(y.shape().to_vec(), [vec![2], network.output()].concat());
    scope.params()
}

fn count(network: &dyn Network) -> usize {
    params(network).iter().map(|p| p.shape.elems()).sum()
}

#[test]
fn sizes_and_names_are_the_published_ones() {
    assert_eq!(count(&MnistCnn::new([28, 28, 1], 10)), 3_274_634);
    assert_eq!(count(&Lenet5::new([28, 28, 1], 10)), 61_706);
    assert_eq!(count(&Lenet5::new([32, 32, 1], 10)), 61_706);
    assert_eq!(count(&Lenet5::new([32, 32, 3], 10)), 62_006);
    assert_eq!(count(&PreactResnet18::new([32, 32, 3], 10)), 11_172_170);
    let names: Vec<String> = params(&PreactResnet18::new([32, 32, 3], 10)).into_iter().map(|p| p.name).collect();
    for name in
        ["conv1.weight", "layer1.0.bn1.bias", "layer2.0.shortcut.0.weight", "layer4.1.conv2.weight", "bn.weight"]
    {
        assert!(names.contains(&format!("C.{name}")), "{name} of {names:?}");
    }
    assert_eq!(names.last().unwrap(), "C.linear.bias");
    assert!(!names.iter().any(|name| name.starts_with("C.layer1.0.shortcut")));
    // The second head is a linear map of 8·ndf features.
    let head = ClassHead::new(Dcgan::new(64), 10);
    assert_eq!(count(&head), 2_765_568 + 512 * 10 + 10);
    assert_eq!(params(&head).last().unwrap().name, "C.class.bias");
}

/// Any size of image that is not too small, of any channels.
#[test]
fn images_of_many_sizes() {
    for image in [[12, 12, 1], [13, 17, 3], [28, 28, 1], [31, 40, 2], [64, 64, 3]] {
        count(&MnistCnn { width: 2, ..MnistCnn::new(image, 3) });
        count(&Lenet5 { width: 3, ..Lenet5::new(image, 3) });
        count(&PreactResnet18 { width: 2, ..PreactResnet18::new(image, 3) });
    }
    let refusal = Lenet5::new([28, 11, 1], 3).check("here").unwrap_err().to_string();
    assert_eq!(refusal, "here: size 11: must be at least 12 for lenet5");
    let refusal = PreactResnet18::new([28, 28, 1], 0).check("here").unwrap_err().to_string();
    assert_eq!(refusal, "here: classes 0: must be at least 1");
    let small = R3gan { z: 3, widths: vec![16, 8, 8], blocks: vec![1; 3], channels: 2, ..R3gan::compact(16) };
    let sngan = Model::Sngan(SnganResnet::new(32, 2));
    for model in [Model::R3gan(small), sngan, Model::Dcgan(Dcgan { ndf: 2, ..Dcgan::new(32) })] {
        ClassHead::new(model.clone(), 5).check("here").unwrap();
        assert!(ClassHead::new(model.clone(), 0).check("here").is_err());
        count(&ClassHead::new(model, 5));
    }
}

/// Name of the file, network. The head's output is both of its logits.
fn goldens() -> Vec<(&'static str, Box<dyn Network>)> {
    let head = ClassHead::new(Dcgan { z: 3, ngf: 2, ndf: 3, ..Dcgan::new(16) }, 6);
    let both = network(&[16, 16, 3], &[7], 0, move |scope, x, _, mode| {
        let (logit, classes) = head.judge(scope, x, mode);
        Tensor::concat(&[logit, classes], 1)
    });
    vec![
        ("classifier_mnist_cnn", Box::new(MnistCnn { width: 2, ..MnistCnn::new([14, 10, 1], 10) })),
        ("classifier_lenet5", Box::new(Lenet5 { width: 2, ..Lenet5::new([12, 13, 3], 7) })),
        ("classifier_preact_resnet18", Box::new(PreactResnet18 { width: 2, ..PreactResnet18::new([16, 16, 3], 5) })),
        ("classifier_class_head", Box::new(both)),
    ]
}

/// The files hold f32, so half a unit in its last place is all that may differ.
#[test]
fn equal_pytorch_in_f64() {
    for (name, network) in goldens() {
        check_network(name, &*network, 6e-8, in_f64);
    }
}

#[test]
fn equal_pytorch_in_f32_on_every_device() {
    for (name, network) in goldens() {
        check_network(name, &*network, 2e-5, in_f32);
        for device in [Device::Host, gpu()] {
            check_network(name, &*network, 2e-5, on(&device));
        }
    }
}

/// Both heads learn the trunk: the gradient of either reaches its first layer, and neither the other's.
#[test]
fn two_heads_share_a_trunk() {
    let head = ClassHead::new(Dcgan { z: 3, ngf: 2, ndf: 3, d_norm: false, ..Dcgan::new(16) }, 6);
    let graph = Graph::new();
    let scope = Scope::new(&graph, "D");
    let (logit, classes) = head.judge(&scope, graph.input("x", [2, 16, 16, 3]), Mode::Train);
    let names: Vec<String> = scope.params().into_iter().map(|p| p.name).collect();
    let reached = |loss: Tensor<'_>| -> Vec<bool> {
        // A gradient of zeros reads no image.
        let reads = |g: Tensor<'_>| graph.freeze(&[("g".into(), g)]).inputs().any(|input| input == "x");
        grad(loss, &scope.param_tensors()).into_iter().map(reads).collect()
    };
    let (of_logit, of_classes) = (reached(logit.sum_all()), reached(classes.square().sum_all()));
    for (i, name) in names.iter().enumerate() {
        let (own, last) = (name.starts_with("D.class."), name == "D.main.4.weight");
        assert_eq!((of_logit[i], of_classes[i]), (!own, !last), "{name}");
    }
}

/// Three kinds of stripes, in folders by kind.
fn stripes(dir: &std::path::Path, side: u32) {
    for k in 0..48u32 {
        let (kind, phase) = (k % 3, k / 3);
        let picture = RgbImage::from_fn(side, side, |x, y| {
            let along = [x, y, x + y][kind as usize] + phase;
            image::Rgb([if along % 4 < 2 { 30 + k as u8 } else { 220 - k as u8 }; 3])
        });
        put(dir, &format!("set/{kind}/{k:02}.png"), &png(picture));
    }
}

/// Nothing but a folder of classes is named: their number follows, every kind of network learns, and is evaluated.
#[test]
fn a_classifier_learns_the_classes_of_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    stripes(dir, 16);
    let small = "train classifier --device host --data set --batch 16 --set data.size=16 --set checkpoint.keep=9";
    for (kind, more) in [
        ("preact-resnet18", "--kimg 3 --set model.width=4 --set data.mirror=off --set data.crop=2"),
        ("lenet5", "--kimg 3 --set optim.kind=adamw --set optim.lr=0.005 --set data.mirror=off"),
        ("mnist-cnn", "--kimg 1 --set model.width=4 --set optim.lr=0.02 --set data.mirror=off"),
        (
            "r3gan",
            "--kimg 2 --set model.d_width=8 --set model.d_norm=off --set model.blocks=1 --set optim.kind=adam \
                   --set optim.lr=0.002 --set data.mirror=off",
        ),
    ] {
        done(dir, &format!("{small} --set model.kind={kind} {more} --out {kind}"));
        let config = fs::read_to_string(dir.join(kind).join("config.toml")).unwrap();
        assert!(config.lines().any(|line| line.starts_with("classes = 3 ")), "{config}");
        let text = done(dir, &format!("eval {kind} --device host"));
        let share: f64 = text.split("accuracy ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(share > 90.0, "{kind}: {text}");
        let names: Vec<String> = newest(&dir.join(kind)).tensors.into_iter().map(|t| t.name).collect();
        let moments = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
        let descends = !more.contains("optim.kind=");
        assert_eq!((moments("sgd.m.C."), moments("adam.v.C.")), (descends, !descends), "{kind}");
    }
    // A run that goes on is the run that was not stopped, and keeps its optimiser.
    let words = format!("{small} --set model.kind=lenet5 --set data.crop=2 --set optim.lr_schedule=cosine");
    done(dir, &format!("{words} --kimg 0.32 --out whole"));
    done(dir, &format!("{words} --kimg 0.16 --out half"));
    done(dir, "train --resume half --device host --kimg 0.32");
    let [whole, half] = ["whole", "half"].map(|run| newest(&dir.join(run)));
    assert_eq!(whole.tensors.len(), half.tensors.len());
    for tensor in &whole.tensors {
        let (Values::F32(a), Some(Values::F32(b))) = (&tensor.data, half.tensor(&tensor.name).map(|t| &t.data)) else {
            continue;
        };
        assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", tensor.name);
    }
    // Streamed batches are shifted like those the device draws.
    done(dir, &format!("{words} --kimg 0.32 --set data.mode=stream --out streamed"));
    let streamed = newest(&dir.join("streamed"));
    for tensor in whole.tensors.iter().filter(|t| t.name.starts_with("C.")) {
        assert_eq!(Some(&tensor.data), streamed.tensor(&tensor.name).map(|t| &t.data), "{}", tensor.name);
    }
    let sentence = refused(dir, "train --resume half --device host --kimg 0.64 --set optim.kind=adam");
    assert!(sentence.contains("optim.kind \"adam\": can't change while a run goes on (it is \"sgd\")"), "{sentence}");
    // No classes, one class.
    for name in tree(&dir.join("set/0")).into_keys() {
        let bytes = fs::read(dir.join("set/0").join(&name)).unwrap();
        put(dir, &format!("flat/{name}"), &bytes);
        put(dir, &format!("one/{name}"), &bytes);
    }
    let labels: Vec<String> = tree(&dir.join("one")).into_keys().map(|name| format!("[\"{name}\", 0]")).collect();
    put(dir, "one/dataset.json", format!("{{\"labels\": [{}]}}", labels.join(", ")).as_bytes());
    for (data, sentence) in [
        ("flat", "flat: its images have no labels: folders by class have, dataset.json, or IDX files\n"),
        ("one", "one: all its images are of one class, and a classifier tells two or more apart\n"),
    ] {
        let said = refused(dir, &format!("train classifier --device host --data {data} --out new"));
        assert_eq!(said, format!("error: {sentence}"));
        assert!(!dir.join("new").exists());
    }
    // With no data at all it knows the kinds of glasses.
    let plan = done(dir, "plan classifier --set data.count=50");
    assert!(plan.contains("learn_sgd"), "{plan}");
}

/// Without a half-life the average is the weights; with one it is not, and is what `eval` asks.
#[test]
fn the_average_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    stripes(dir, 12);
    for (name, half_life) in [("with", "1"), ("without", "0")] {
        done(
            dir,
            &format!(
                "train classifier --device host --data set --batch 16 --kimg 0.16 --set data.size=12 --set \
                 model.kind=lenet5 --set ema.half_life_kimg={half_life} --set ema.ramp=0 --out {name}"
            ),
        );
        let end = newest(&dir.join(name));
        let pair = ["C.fc3.weight", "ema.C.fc3.weight"].map(|name| &end.tensor(name).unwrap().data);
        assert_eq!(pair[0] == pair[1], half_life == "0", "{name}");
    }
}
