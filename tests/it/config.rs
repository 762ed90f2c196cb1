//! Configurations: layering, every refusal with its sentence, and the way to text and back.

use danskin::config::{self, Config, DataSource, KEYS, Kind, LossKind, OnResume, Overrides};
use danskin::train::Settings;
use std::path::{Path, PathBuf};

/// A preset under `--set` assignments.
pub fn with(preset: &str, set: &[&str]) -> Overrides {
    Overrides { preset: Some(preset.into()), set: set.iter().map(|s| s.to_string()).collect(), ..Overrides::default() }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// The settings as TOML, without the comments.
fn settings(config: &Config) -> toml::Table {
    config.to_toml().parse().unwrap()
}

#[test]
fn every_preset_is_legal_and_free_of_warnings() {
    let needs_path = |name| ["digits32", "mnist", "stacked-mnist"].contains(&name).then(|| "digits".to_string());
    for name in config::presets() {
        let overrides = Overrides { data: needs_path(name), ..with(name, &[]) };
        let (config, warnings) = Config::load(&overrides).unwrap();
        assert_eq!(config.preset, name);
        assert_eq!(warnings, [""; 0], "{name}");
    }
}

/// `KEYS` and the structs name the same settings: what one lacks would be lost on the way through a file.
#[test]
fn text_and_back_loses_nothing() {
    let all = [
        "data.path=/a dir/b",
        "data.label=glasses",
        "data.limit=5",
        "loss.gamma_final=0.5",
        "optim.lr_final=1e-5",
        "optim.lr_peak_kimg=7.5",
        "optim.lr_drops=[10, 20.5]",
        "optim.beta2_final=.9999",
        "model.width=16",
        "model.max_width=512",
        "attack.alpha=1/255",
        "attack.eps=0.25",
        "defence.beta=3",
        "augment.policy=bgc",
        "augment.p_final=0.5",
        "adversary.on=reals",
        "adversary.steps=3",
        "adversary.eps=4/255",
        "adversary.alpha=0.01",
        "ema.half_life_start_kimg=0.5",
        "model.classes=3",
        "model.g={ prefix = 'main', layers = [{ type = 'linear', out = 3 }, { type = 'tanh' }] }",
        "model.d={ layers = [{ type = 'conv', out = 3, kernel = 3 }, { type = 'flatten' }] }",
        "model.c={ init = 'dcgan', layers = [{ type = 'dropout', p = 0.25 }] }",
    ];
    for (preset, set) in [("faces64", &all[..]), ("faces32", &[]), ("ring8", &[])] {
        let (config, _) = Config::load(&with(preset, set)).unwrap();
        let (_dir, path) = file(&config.to_toml());
        let back = Config::read(&path).unwrap();
        assert_eq!(back.to_toml(), config.to_toml());
        assert_eq!(toml::Table::try_from(&back).unwrap(), toml::Table::try_from(&config).unwrap(), "{preset}");
    }
    let (full, _) = Config::load(&with("faces64", &all)).unwrap();
    let typed = toml::Table::try_from(&full).unwrap();
    assert_eq!(typed, settings(&full), "a field that KEYS lacks is not written");
    let fields: usize = typed.values().filter_map(|v| v.as_table()).map(|t| t.len()).sum();
    assert_eq!(fields, KEYS.len());
}

#[test]
fn later_layers_win() {
    let (_dir, path) = file("preset = \"ring8\"\n[train]\nbatch = 7\nkimg = 9\nseed = 3\n[optim]\nlr = 1\n");
    let overrides = Overrides {
        file: Some(path.clone()),
        set: vec!["train.kimg=10".into(), "train.seed=4".into()],
        seed: Some(5),
        ..Overrides::default()
    };
    let (config, _) = Config::load(&overrides).unwrap();
    assert_eq!((config.train.batch, config.train.kimg, config.train.seed), (7, 10.0, 5));
    assert_eq!((config.data.source, config.optim.lr, config.data.mirror), (DataSource::Ring8, 1.0, false));
    assert_eq!(config.place("train.batch"), path.display().to_string());
    assert_eq!(config.place("train.kimg"), "command line");
    assert_eq!(config.place("data.source"), "preset ring8");
    assert_eq!(config.place("data.mirror"), "base values");
}

#[test]
fn values_as_typed() {
    let set = [
        "plan.fuse=off",
        " attack.eps = 4/255 ",
        "attack.steps=2",
        "sample.count='4x2'",
        "loss.kind=hinge",
        "data.path=1.5",
        "train.kimg=1_000",
    ];
    let (config, _) = Config::load(&with("faces32", &set)).unwrap();
    assert!(!config.plan.fuse);
    assert_eq!(config.attack.radius(), 8.0 / 255.0);
    assert_eq!(config.attack.step_size(), 1.25 * 8.0 / 255.0);
    assert_eq!((config.sample.count.columns, config.sample.count.rows), (4, 2));
    assert_eq!(config.loss.kind, LossKind::Hinge);
    assert_eq!(config.data.path.as_deref(), Some(Path::new("1.5")));
    assert_eq!(config.train.kimg, 1000.0);
}

#[test]
fn data_flag_names_a_source_or_a_path() {
    let data = |data: &str| Overrides { data: Some(data.into()), ..with("faces32", &[]) };
    assert_eq!(Config::load(&data("faces")).unwrap().0.data.source, DataSource::Faces);
    let (config, _) = Config::load(&data("some/dir")).unwrap();
    assert_eq!((config.data.source, config.data.path), (DataSource::Path, Some("some/dir".into())));
}

/// Preset, assignments, the sentence.
#[test]
fn refusals_on_the_command_line() {
    for (preset, set, sentence) in [
        (
            "faces",
            "",
            "command line: preset \"faces\": no such preset; there are faces32, faces64, sngan32, wgan-gp32, r3gan32, r3gan64, r3gan256, \
             ring8, grid25, digits32, classifier, mnist, \
             stacked-mnist",
        ),
        ("faces32", "train.batch=0", "command line: train.batch 0: must be at least 1"),
        ("faces32", "train.batch=65537", "command line: train.batch 65537: must be at most 65536"),
        (
            "faces64",
            "train.batch=65536",
            "command line: train.batch 65536: a batch of 64x64x3 images would take 3.0 GiB before any layer; \
             choose a smaller one",
        ),
        ("faces32", "train.batch=2.0", "command line: train.batch 2.0: must be a whole number"),
        ("faces32", "train.batch=many", "command line: train.batch \"many\": must be a whole number"),
        ("faces32", "train.kimg=0", "command line: train.kimg 0: must be above 0"),
        ("faces32", "train.kimg=-1", "command line: train.kimg -1: must be above 0"),
        ("faces32", "train.kimg=nan", "command line: train.kimg nan: must be above 0"),
        ("faces32", "train.kimg=inf", "command line: train.kimg inf: must be above 0"),
        ("faces32", "train.kimg=0.031", "command line: train.kimg 0.031: is less than one batch of 32 samples"),
        ("faces32", "train.kimg=long", "command line: train.kimg \"long\": must be a number; it must be above 0"),
        ("faces32", "train.seed=-1", "command line: train.seed -1: must be at least 0"),
        ("faces32", "optim.beta1=1", "command line: optim.beta1 1: must be at least 0 and below 1"),
        ("faces32", "loss.r1_gamma=-1", "command line: loss.r1_gamma -1: must be at least 0"),
        (
            "faces32",
            "loss.kind=vanilla",
            "command line: loss.kind \"vanilla\": must be one of ns, hinge, lsgan, wgan, rpgan",
        ),
        ("faces32", "data.mirror=1", "command line: data.mirror 1: must be true or false"),
        ("faces32", "data.path=", "command line: data.path \"\": must be a text in quotes, not an empty one"),
        ("faces32", "data.channels=2", "command line: data.channels 2: must be 1 (grey) or 3 (colour)"),
        (
            "faces32",
            "data.size=48",
            "command line: data.size 48: does not go with model.kind \"dcgan\": it makes images of 32, 64, 128 or 256",
        ),
        (
            "faces64",
            "data.size=48",
            "command line: data.size 48: does not go with model.kind \"r3gan\": it makes images of 16, 32, 64, \
             128 or 256",
        ),
        (
            "faces32",
            "data.source=ring8",
            "command line: data.source \"ring8\": does not go with model.kind \"dcgan\": points of the plane want \
             \"mlp\"",
        ),
        (
            "faces32",
            "attack.eps=8",
            "command line: attack.eps 8: must be a fraction such as \"8/255\" or a number from 0 to 1, \
             where 1 is the whole range of a pixel",
        ),
        (
            "faces32",
            "attack.eps=300/255",
            "command line: attack.eps \"300/255\": must be a fraction such as \"8/255\" or a number from 0 to 1, \
             where 1 is the whole range of a pixel",
        ),
        ("faces32", "attack.steps=1 attack.alpha=0", "command line: attack.alpha 0.0: must be above 0"),
        (
            "ring8",
            "attack.steps=1",
            "command line: attack.steps 1: does not go with data.source \"ring8\": an attack changes pixels",
        ),
        (
            "faces32",
            "loss.r1_gamma=1",
            "command line: loss.r1_gamma 1.0: does not go with model.d_norm true: the penalty is on each sample's own \
             gradient, and batch norm couples samples",
        ),
        (
            "faces64",
            "loss.penalty_every=16",
            "command line: loss.penalty_every 16: does not go with loss.kind \"rpgan\": it needs its penalties at every \
             step",
        ),
        (
            "faces64",
            "model.d_width=100",
            "command line: model.d_width 100: must be a multiple of 8 with model.kind \"r3gan\"",
        ),
        (
            "faces64",
            "model.max_width=100 model.group_width=32",
            "command line: model.max_width 100: must be a multiple of 16 with model.kind \"r3gan\"",
        ),
        (
            "sngan32",
            "data.size=256",
            "command line: data.size 256: does not go with model.kind \"sngan-resnet\": it makes images of 32, 64 or 128",
        ),
        (
            "faces32",
            "train.accumulate=5",
            "command line: train.accumulate 5: does not go with train.batch 32: the parts of a batch must be equal",
        ),
        (
            "faces32",
            "train.accumulate=2 adversary.kind=free",
            "command line: train.accumulate 2: does not go with adversary.kind \"free\": it learns several times from a \
             batch, which must be in one part",
        ),
        (
            "faces64",
            "model.d_norm=on",
            "command line: model.d_norm true: does not go with model.kind \"r3gan\": only \"dcgan\" has batch norm",
        ),
        (
            "digits32",
            "",
            "preset digits32: data.path is not set: name the folder, archive or IDX file with --data PATH",
        ),
        (
            "faces32",
            "sample.count=64",
            "command line: sample.count \"64\": must be columns x rows such as \"8x8\", each from 1 to 256",
        ),
        ("faces32", "train.bacth=3", "command line: train.bacth 3: no such setting; did you mean train.batch?"),
        (
            "faces32",
            "loss.kind=rpgan loss.penalty_every=2",
            "command line: loss.penalty_every 2: does not go with loss.kind \"rpgan\": it needs its penalties at every \
             step",
        ),
        (
            "faces64",
            "model.kind=dcgan model.d_norm=true",
            "command line: model.d_norm true: does not go with loss.r1_gamma 2.0: the penalty is on each sample's own \
             gradient, and batch norm couples samples",
        ),
        (
            "faces32",
            "optim.beta=.5",
            "command line: optim.beta .5: no such setting; the nearest are defence.beta, \
             optim.beta1, optim.beta2",
        ),
        ("faces32", "batch=3", "command line: batch 3: no such setting; did you mean train.batch?"),
        (
            "faces32",
            "optim.learning_rate=3",
            "command line: optim.learning_rate 3: no such setting; [optim] has kind, lr, \
             lr_schedule, lr_final, lr_peak_kimg, lr_drops, lr_drop_factor, beta1, beta2, beta2_final, eps, momentum, nesterov, \
             weight_decay, lr_d_scale, burn_in_kimg",
        ),
        (
            "faces32",
            "sampler.kimg_between=3",
            "command line: sampler.kimg_between 3: no such setting; the sections are data, model, loss, optim, ema, \
             attack, augment, adversary, defence, validate, eval, train, log, sample, checkpoint, plan",
        ),
        ("faces32", "preset=ring8", "command line: preset ring8: is named without --set: danskin train NAME"),
    ] {
        let set: Vec<_> = set.split(' ').filter(|s| !s.is_empty()).collect();
        let message = Config::load(&with(preset, &set)).unwrap_err().to_string();
        assert_eq!(message, sentence, "{preset} {set:?}");
    }
}

/// The text of a file, the sentence after the file's name.
#[test]
fn refusals_in_a_file() {
    for (text, sentence) in [
        ("[train]\nbatch = 3", "preset is not set: name one in the file or on the command line"),
        (
            "preset = \"x\"",
            "preset \"x\": no such preset; there are faces32, faces64, sngan32, wgan-gp32, r3gan32, r3gan64, r3gan256, \
             ring8, grid25, digits32, classifier, mnist, stacked-mnist",
        ),
        ("preset = 3", "preset 3: must be a text in quotes"),
        ("preset = \"ring8\"\n[train]\nbatch = 0", "train.batch 0: must be at least 1"),
        ("preset = \"ring8\"\n[train]\nbatch = \"7\"", "train.batch \"7\": must be a whole number"),
        ("preset = \"ring8\"\n[train]\nbatsh = 7", "train.batsh 7: no such setting; did you mean train.batch?"),
        ("preset = \"ring8\"\ntrain = 7", "train 7: is a section: write [train] and its settings below"),
        ("preset = \"ring8\"\nbatch = 7", "batch 7: no such setting; did you mean train.batch?"),
        (
            "preset = \"ring8\"\n[trian]",
            "[trian] is not known: no such section; there are data, model, loss, optim, ema, attack, augment, adversary, defence, \
             validate, eval, train, log, sample, checkpoint, plan",
        ),
        ("preset = \"ring8\"\n[train.batch]\nx = 1", "train.batch { x = 1 }: must be a whole number"),
        ("preset = \"ring8\"\n[train\n", "line 2: is not valid TOML: "),
        ("preset = \"ring8\"\n\n[train]\nkimg = 1\nkimg = 2\n", "line 5: is not valid TOML: duplicate key"),
    ] {
        let (_dir, path) = file(text);
        let overrides = Overrides { file: Some(path.clone()), ..Overrides::default() };
        let message = Config::load(&overrides).unwrap_err().to_string();
        let expected = format!("{}: {sentence}", path.display());
        let whole = !sentence.contains("TOML");
        assert!(if whole { message == expected } else { message.starts_with(&expected) }, "{message}\n{expected}");
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn a_preset_is_named_once() {
    let (_dir, path) = file("preset = \"ring8\"");
    let overrides = Overrides { file: Some(path.clone()), ..with("grid25", &[]) };
    let message = Config::load(&overrides).unwrap_err().to_string();
    let sentence = "preset \"ring8\": the command line names grid25; leave one of the two out";
    assert_eq!(message, format!("{}: {sentence}", path.display()));
    let missing = Config::read(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("no/such.toml: reading the configuration: "), "{missing}");
}

/// Preset, assignments, the warnings.
#[test]
fn warnings() {
    for (preset, set, sentence) in [
        (
            "faces32",
            "attack.steps=4 attack.eps=8/255 attack.alpha=1/255",
            "command line: attack.alpha \"1/255\": times attack.steps is below attack.eps: the attack can't reach \
             the edge of its ball",
        ),
        ("faces32", "attack.steps=4 attack.eps=0", "command line: attack.eps 0.0: lets the attack change nothing"),
        (
            "faces32",
            "loss.kind=wgan",
            "command line: loss.kind \"wgan\": has nothing that keeps the critic Lipschitz: set loss.gp_lambda (10, or \
             0.1 in the plane)",
        ),
        ("faces32", "loss.penalty_every=4", "command line: loss.penalty_every 4: has no effect without a penalty"),
        (
            "faces32",
            "optim.lr_final=1e-5",
            "command line: optim.lr_final 1e-5: is never reached while optim.burn_in_kimg is 0",
        ),
        (
            "faces32",
            "optim.burn_in_kimg=10 loss.gamma_final=1",
            "command line: loss.gamma_final 1.0: has no effect while r1_gamma and r2_gamma are 0",
        ),
        (
            "faces32",
            "data.path=x",
            "command line: data.path \"x\": is read only with data.source \"path\" or \"stacked-mnist\"",
        ),
        ("faces32", "attack.steps=8 attack.alpha=1/255", ""),
        ("ring8", "model.max_width=8", "command line: model.max_width 8: is read only by dcgan and r3gan"),
        ("ring8", "model.d_stddev=4", "command line: model.d_stddev 4: is read only by dcgan, r3gan and sngan-resnet"),
        ("faces32", "data.label=glasses model.classes=6", ""),
        (
            "faces32",
            "model.classes=6",
            "command line: model.classes 6: asks for labels, and the built-in faces have them only where data.label names \
             a factor",
        ),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let (_, warnings) = Config::load(&with(preset, &set)).unwrap();
        let expected: Vec<_> = [sentence].into_iter().filter(|s| !s.is_empty()).collect();
        assert_eq!(warnings, expected, "{preset} {set:?}");
    }
}

/// A value that a setting does not have, as typed.
fn another(key: &config::Key, now: Option<&toml::Value>) -> String {
    match key.kind {
        Kind::Count(low, high) => (if low + 5 > high { low } else { low + 5 }).to_string(),
        Kind::Seed => "12345".into(),
        Kind::AtLeast(_) | Kind::Positive => "777".into(),
        Kind::Decay | Kind::Share => "0.123".into(),
        Kind::Switch => (now != Some(&true.into())).to_string(),
        Kind::Text => "elsewhere".into(),
        Kind::Choice(words) => words.iter().find(|w| now.and_then(|v| v.as_str()) != Some(w)).unwrap().to_string(),
        Kind::Words(words) => words[0].into(),
        Kind::Amount => "3/255".into(),
        Kind::Grid => "3x1".into(),
        Kind::Places => "[5.0, 7.5]".into(),
        Kind::Layers => "{ layers = [{ type = \"relu\" }] }".into(),
    }
}

/// Every setting has a rule, and the rule is what happens.
#[test]
fn a_run_that_goes_on_keeps_what_its_numbers_depend_on() {
    let (_dir, path) = file(&Config::preset("ring8").unwrap().to_toml());
    let resume = |set: &[&str]| {
        let set = set.iter().map(|s| s.to_string()).collect();
        Config::resume(&path, &Overrides { set, ..Overrides::default() })
    };
    let before = settings(&Config::read(&path).unwrap());
    let value = |config: &toml::Table, name: &str| {
        let (section, own) = name.split_once('.').unwrap();
        config[section].get(own).cloned()
    };
    for key in KEYS {
        let rule = config::on_resume(key.name).unwrap_or_else(|| panic!("{} has no rule", key.name));
        // A word without an alternative can't change.
        if matches!(key.kind, Kind::Choice([_])) {
            continue;
        }
        let text = another(key, value(&before, key.name).as_ref());
        let changed = resume(&[&format!("{}={text}", key.name)]);
        match (rule, changed) {
            (OnResume::Fixed(why), Err(error)) => {
                let sentence = error.to_string();
                assert!(sentence.starts_with(&format!("command line: {} ", key.name)), "{sentence}");
                assert!(sentence.contains("can't change while a run goes on (it is "), "{sentence}");
                assert!(sentence.ends_with(&format!("): {why}")), "{sentence}");
            }
            (OnResume::Free, Ok((config, _))) => {
                assert_ne!(value(&settings(&config), key.name), value(&before, key.name), "{}", key.name);
            }
            // Penalties of ring8 and the attack it can't have: told below.
            (OnResume::Weight, _) => {}
            (rule, changed) => panic!("{} {text} by {rule:?}: {changed:?}", key.name),
        }
        // The value it has is no change.
        if let Some(value) = value(&before, key.name) {
            resume(&[&format!("{}={value}", key.name)]).unwrap();
        }
    }
    let words = |set: &str| resume(&[set]).unwrap_err().to_string();
    assert_eq!(resume(&["loss.r1_gamma=0.25", "loss.gamma_final=0"]).unwrap().0.loss.r1_gamma, 0.25);
    let gamma = Config::read(&path).unwrap().loss.r1_gamma;
    assert_eq!(
        words("loss.r1_gamma=0"),
        format!(
            "command line: loss.r1_gamma 0.0: can't change while a run goes on (it is {gamma:?}): the run was started \
             with this term, which may change but not vanish"
        )
    );
    assert_eq!(
        words("loss.gp_lambda=1"),
        "command line: loss.gp_lambda 1.0: can't change while a run goes on (it is 0.0): the run was started without \
         this term"
    );
    assert_eq!(config::on_resume("optim.learning_rate"), None);
}

#[test]
fn flags_of_a_run_that_goes_on() {
    let (_dir, path) = file(&Config::preset("faces32").unwrap().to_toml());
    let flags = Overrides { kimg: Some(6000.0), batch: Some(32), ..Overrides::default() };
    assert_eq!(Config::resume(&path, &flags).unwrap().0.train.kimg, 6000.0);
    let message = Config::resume(&path, &Overrides { seed: Some(9), ..flags }).unwrap_err().to_string();
    let sentence = "command line: train.seed 9: can't change while a run goes on (it is 0): every random number of the run \
                    follows from it";
    assert_eq!(message, sentence);
    // Moved data is the same run; another source is not.
    let data = |data: &str| Overrides { data: Some(data.into()), ..Overrides::default() };
    let message = Config::resume(&path, &data("photos")).unwrap_err().to_string();
    assert!(message.starts_with("command line: data.source \"path\": can't change while a run goes on"), "{message}");
    let (started, _) = Config::load(&Overrides { data: Some("photos".into()), ..with("faces32", &[]) }).unwrap();
    let (_dir, path) = file(&started.to_toml());
    let (moved, _) = Config::resume(&path, &data("/elsewhere/photos")).unwrap();
    assert_eq!(moved.data.path.as_deref(), Some(Path::new("/elsewhere/photos")));
}

/// What is printed tells what may be typed, and is read back as what it was made from.
#[test]
fn an_explained_configuration_is_one() {
    let (config, _) = Config::load(&with("faces32", &["train.batch=7"])).unwrap();
    let text = config.explained();
    let (_dir, path) = file(&text);
    assert_eq!(Config::read(&path).unwrap().to_toml(), config.to_toml());
    for key in KEYS {
        assert!(text.contains(key.about), "{}", key.name);
    }
    assert!(text.contains("# adversarial loss: ns, hinge, lsgan, wgan, rpgan\n"), "{text}");
    assert!(
        text.lines().any(|l| l.starts_with("batch = 7 ") && l.ends_with("# samples per step (preset: 32)")),
        "{text}"
    );
}

/// A configuration may be read in another folder than it was written in.
#[test]
fn the_data_path_is_written_in_full() {
    let (config, _) = Config::load(&Overrides { data: Some("some/dir".into()), ..with("faces32", &[]) }).unwrap();
    let full = std::env::current_dir().unwrap().join("some/dir");
    assert_eq!(settings(&config)["data"]["path"].as_str(), full.to_str());
}

/// Settings changed in a program go through the same checks as typed ones.
#[test]
fn validation_without_a_file() {
    let mut config = Config::preset("faces32").unwrap();
    config.train.batch = 0;
    let message = config.validate().unwrap_err().to_string();
    assert_eq!(message, "preset faces32: train.batch 0: must be at least 1");
}

/// Settings of a list of layers, below a preset.
fn lists(task: &str, model: &str, lists: &str) -> String {
    format!(
        "preset = \"faces32\"\n[data]\nsize = 8\nlabel = \"glasses\"\n[train]\ntask = \"{task}\"\n\
         [model]\nkind = \"sequential\"\nz = 4\n{model}\n{lists}"
    )
}

const G: &str = r#"
[[model.g.layers]]
type = "linear"
out = 192
[[model.g.layers]]
type = "reshape"
shape = [3, 8, 8]
"#;

/// Layers from a file and from the command line are the same, and are written as they were read.
#[test]
fn layers_from_a_file_and_from_the_command_line() {
    let (_dir, path) = file(&lists("gan", "", G));
    let (from_file, warnings) = Config::load(&Overrides { file: Some(path.clone()), ..Overrides::default() }).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(from_file.model.g.as_ref().unwrap()["layers"].as_array().unwrap().len(), 2);
    assert_eq!(from_file.place("model.g"), path.display().to_string());
    let set = [
        "data.size=8",
        "data.label=glasses",
        "model.kind=sequential",
        "model.z=4",
        "model.g={layers=[{type='linear',out=192},{type='reshape',shape=[3,8,8]}]}",
    ];
    let (typed, _) = Config::load(&with("faces32", &set)).unwrap();
    assert_eq!(typed.to_toml(), from_file.to_toml());
    let (_dir, written) = file(&typed.to_toml());
    assert_eq!(Config::read(&written).unwrap().to_toml(), typed.to_toml());
    assert!(Settings::new(&typed).unwrap().game.phases.is_empty(), "a generator alone trains nothing");
    // Typed layers take the place of the file's.
    let one = "model.g={layers=[{type='linear',out=7}]}".to_string();
    let over = Overrides { file: Some(path), set: vec![one], ..Overrides::default() };
    let (over, _) = Config::load(&over).unwrap();
    assert_eq!(over.model.g.as_ref().unwrap()["layers"].as_array().unwrap().len(), 1);
    assert_eq!(over.place("model.g"), "command line");
}

/// Task, settings of [model], lists, and the sentence after the file's name.
#[test]
fn layers_that_make_no_network() {
    let d = |layers: &str| format!("{G}[model.d]\nlayers = [{layers}]");
    let g = |layers: &str| format!("[model.g]\nlayers = [{layers}]");
    let c = |layers: &str| format!("[model.c]\nlayers = [{layers}]");
    let norm =
        r#"{ type = "flatten" }, { type = "linear", out = 4 }, { type = "batch_norm" }, { type = "linear", out = 1 }"#;
    let flat = r#"{ type = "flatten" }, "#;
    let mut flaws = vec![];
    for (task, model, lists_of, sentence) in [
        (
            "gan",
            "",
            String::new(),
            "model.g is not set: model.kind \"sequential\" wants [model.g] with a list of layers",
        ),
        (
            "classifier",
            "classes = 6",
            G.into(),
            "model.c is not set: model.kind \"sequential\" wants [model.c] with a list of layers",
        ),
        (
            "classifier",
            "classes = 1",
            c(r#"{ type = "relu" }"#),
            "model.classes 1: must be at least 2 for a classifier",
        ),
        ("gan", "g = 3", String::new(), "model.g 3: must be a table with a list `layers`, each a table with a `type`"),
        (
            "gan",
            "",
            "[model.g]\ninit = \"torch\"".into(),
            "model.g { init = \"torch\" }: must be a table with a list `layers`, each a table with a `type`",
        ),
        ("gan", "", g(""), "model.g: number of layers 0: must be from 1 to 1000"),
        (
            "gan",
            "",
            g(r#"{ type = "tanh" }, { type = "conv", out = 3, kernel = 3 }"#),
            "model.g: layer 1 (conv) on a row of 4 features: needs an image: put `reshape` with shape = [channels, \
             height, width] before it",
        ),
        ("gan", "", g(r#"{ type = "linear", out = 5 }"#), "model.g ends in [5]: must end in [8, 8, 3]"),
        (
            "gan",
            "",
            d(r#"{ type = "linear", out = 1 }"#),
            "model.d: layer 0 (linear) on an image of 8x8 with 3 channels: needs a row of features: put `flatten` before it",
        ),
        ("gan", "", d(r#"{ type = "flatten" }"#), "model.d ends in [192]: must end in [1]"),
        (
            "classifier",
            "classes = 6",
            c(&format!(r#"{flat}{{ type = "linear", out = 5 }}"#)),
            "model.c ends in [5]: must end in [6]",
        ),
        (
            "classifier",
            "classes = 6",
            c(&format!(r#"{flat}{{ type = "embedding", classes = 6, dim = 2 }}, {{ type = "linear", out = 6 }}"#)),
            "model.c has `embedding` or `projection`: a classifier is not told the class: leave both out",
        ),
        (
            "gan",
            "",
            g(r#"{ type = "relu" }, { type = "lstm" }"#),
            "model.g layer 1 can't be read: unknown variant `lstm`",
        ),
        ("gan", "", g(r#"{ type = "linear" }"#), "model.g layer 0 can't be read: missing field `out`"),
        ("gan", "", g(r#"{ out = 3 }"#), "model.g layer 0 can't be read: missing field `type`"),
        ("gan", "", g(r#"{ type = "relu", slope = 3 }"#), "model.g layer 0 can't be read: unknown field `slope`"),
        (
            "gan",
            "",
            format!("{}\ninit = \"he\"", g(r#"{ type = "relu" }"#)),
            "model.g can't be read: unknown variant `he`",
        ),
        (
            "gan",
            "",
            format!("{}\n[loss]\nr1_gamma = 1", d(norm)),
            "model.d layer 2 (batch_norm): does not go with a gradient penalty, which is on each sample's own gradient: \
             leave one of them out",
        ),
        ("gan", "classes = 2", d(norm), "model.classes 2: must be those of model.g, 0: its layers are told of them by"),
    ] {
        let (_dir, path) = file(&lists(task, model, &lists_of));
        let overrides = Overrides { file: Some(path.clone()), ..Overrides::default() };
        let made = Config::load(&overrides).and_then(|(config, _)| Settings::new(&config).map(drop));
        let message = made.map_or_else(|error| error.to_string(), |()| "nothing".into());
        let expected = format!("{}: {sentence}", path.display());
        if !message.starts_with(&expected) || message.lines().count() != 1 {
            flaws.push(format!("{message}\nand not\n{expected}"));
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n\n"));
    // Without the penalty the norm is fine.
    let (_dir, path) = file(&lists("gan", "", &d(norm)));
    Settings::new(&Config::read(&path).unwrap()).unwrap();
}

/// Preset, assignments, the sentence.
#[test]
fn tasks_and_classes_that_make_no_sense() {
    for (preset, set, sentence) in [
        ("faces32", "train.task=regression", "command line: train.task \"regression\": must be one of gan, classifier"),
        (
            "faces32",
            "train.task=classifier model.classes=1",
            "command line: model.classes 1: must be at least 2 for a classifier, or 0 for as many as the data has",
        ),
        (
            "faces32",
            "model.kind=lenet5",
            "command line: model.kind \"lenet5\": does not go with train.task \"gan\": it is a classifier: set \
             train.task=classifier",
        ),
        (
            "classifier",
            "model.kind=lenet5 data.size=8",
            "command line: data.size 8: does not go with model.kind \"lenet5\": it reads images of 12 and more",
        ),
        (
            "classifier",
            "data.crop=32",
            "command line: data.crop 32: does not go with data.size 32: the image would be shifted out of sight",
        ),
        (
            "classifier",
            "optim.lr_drops=[3,2]",
            "command line: optim.lr_drops [3, 2]: must be a list of increasing numbers, at least 0",
        ),
        (
            "classifier",
            "optim.lr_drops=3",
            "command line: optim.lr_drops 3: must be a list of increasing numbers, at least 0",
        ),
        (
            "classifier",
            "optim.lr_schedule=steps",
            "command line: optim.lr_drops is not set: name the thousands of images at which the learning rate drops, such \
             as [100.0, 150.0]",
        ),
        (
            "classifier",
            "optim.lr_peak_kimg=100",
            "command line: optim.lr_peak_kimg 100.0: does not go with train.kimg 100.0: a triangle has its peak before its \
             end",
        ),
        (
            "ring8",
            "train.task=classifier",
            "command line: train.task \"classifier\": does not go with data.source \"ring8\": a classifier tells images \
             apart",
        ),
        (
            "ring8",
            "model.classes=8",
            "command line: model.classes 8: does not go with data.source \"ring8\": points of the plane have no classes",
        ),
        (
            "faces32",
            "train.task=classifier model.kind=sequential model.classes=2 model.c={layers=[{type='relu'}]}",
            "command line: data.label is not set: must name a factor of the built-in faces, such as glasses, for a \
             classifier",
        ),
        ("faces32", "model.classes=65537", "command line: model.classes 65537: must be at most 65536"),
        (
            "faces32",
            "model.g=3",
            "command line: model.g 3: must be a table with a list `layers`, each a table with a `type`",
        ),
        ("faces32", "ema.half_life_start_kimg=-1", "command line: ema.half_life_start_kimg -1: must be at least 0"),
    ] {
        let set: Vec<_> = set.split(' ').collect();
        let message = Config::load(&with(preset, &set)).unwrap_err().to_string();
        assert_eq!(message, sentence, "{preset} {set:?}");
    }
    let unread = "is read only with model.kind \"sequential\" and the task that trains it";
    let (_, warnings) = Config::load(&with("faces32", &["model.g={layers=[{type='relu'}]}"])).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("command line: model.g ") && warnings[0].ends_with(unread), "{warnings:?}");
}

/// What an optimiser is told after so many thousand images: lr and weight decay.
#[test]
fn optimisers_and_their_schedules() {
    use danskin::optim::Progress;
    use danskin::plan::{WeightDecay, Work};
    let told = |set: &str, kimg: f64| {
        let set: Vec<_> = ["model.classes=2"].into_iter().chain(set.split(' ').filter(|s| !s.is_empty())).collect();
        let (config, warnings) = Config::load(&with("classifier", &set)).unwrap();
        assert_eq!(warnings, [""; 0], "{set:?}");
        let optimiser = Settings::new(&config).unwrap().game.networks[0].optimiser.clone();
        let scalars = optimiser.scalars(kimg, Progress::START, 0.25);
        assert_eq!((scalars[6], scalars[7]), (0.25, 1.0));
        (optimiser.work(), scalars[0], scalars[8])
    };
    let descends = |nesterov| Work::Sgd { nesterov };
    // From 0 to 0.1 at 50 kimg, and back at 100.
    assert_eq!(told("", 0.0), (descends(false), 0.0, 5e-4));
    assert_eq!(told("optim.nesterov=on", 25.0), (descends(true), 0.05, 5e-4));
    assert_eq!(told("", 75.0).1, 0.05);
    assert_eq!(told("optim.lr_peak_kimg=20 optim.lr_final=0.02", 60.0).1, 0.06);
    let steps = "optim.lr_schedule=steps optim.lr_drops=[50,75]";
    assert_eq!([0.0, 49.9, 50.0, 80.0].map(|kimg| told(steps, kimg).1), [0.1, 0.1, 0.01, 0.001]);
    let factor = format!("{steps} optim.lr_drop_factor=0.5 optim.weight_decay=0");
    assert_eq!(told(&factor, 80.0), (descends(false), 0.025, 0.0));
    // The whole run is 100 kimg; the burn-in is none.
    let line = "optim.lr_schedule=linear optim.lr_final=0.02";
    for (told, want) in
        [0.0, 50.0, 100.0, 120.0].map(|kimg| told(line, kimg).1).into_iter().zip([0.1, 0.06, 0.02, 0.02])
    {
        assert!((told - want).abs() < 1e-8, "{told}, not {want}");
    }
    assert_eq!([0.0, 25.0, 100.0].map(|kimg| told("optim.lr_schedule=linear", kimg).1), [0.1, 0.075, 0.0]);
    let annealed = [0.0, 25.0, 50.0, 100.0, 120.0].map(|kimg| told("optim.lr_schedule=cosine-annealing", kimg).1);
    let quarter = 0.05 * (1.0 + std::f32::consts::FRAC_1_SQRT_2);
    for (told, want) in annealed.into_iter().zip([0.1, quarter, 0.05, 0.0, 0.0]) {
        assert!((told - want).abs() < 1e-8, "{told}, not {want}");
    }
    let constant = "optim.lr_schedule=cosine";
    assert_eq!(told(constant, 80.0).1, 0.1);
    let adam = format!("optim.kind=adam {constant}");
    assert_eq!(told(&adam, 1.0), (Work::Adam(WeightDecay::L2), 0.1, 5e-4));
    assert_eq!(told(&format!("{adam} optim.weight_decay=0"), 1.0), (Work::Adam(WeightDecay::Off), 0.1, 0.0));
    // 1 − lr·λ, as both change.
    let decoupled = Work::Adam(WeightDecay::Decoupled);
    assert_eq!(told(&format!("optim.kind=adamw {constant} optim.weight_decay=0.5"), 1.0), (decoupled, 0.1, 0.95));
}

/// R3GAN's courses over its burn-in of 20 Mimg (Huang 2024), the same of both networks: learning rate, β₂, γ, half-life of the average, augmentation.
#[test]
fn r3gan_presets_follow_the_published_courses() {
    use danskin::optim::Progress;
    for (preset, gamma, half_life, augmented) in
        [("r3gan32", 0.05, 5000.0, 0.55), ("r3gan64", 2.0, 500.0, 0.3), ("r3gan256", 150.0, 500.0, 0.3)]
    {
        let game = Settings::new(&Config::preset(preset).unwrap()).unwrap().game;
        for (kimg, left) in
            [(0.0, 1.0), (5000.0, 0.5 + 0.125f64.sqrt()), (10_000.0, 0.5), (20_000.0, 0.0), (90_000.0, 0.0)]
        {
            let course = |from: f64, to: f64| to + (from - to) * left;
            let near =
                |got: f64, want: f64| assert!((got - want).abs() <= 1e-6 * want, "{preset} {kimg}: {got}, not {want}");
            for player in &game.networks {
                let told = player.optimiser.scalars(kimg, Progress::START, 0.0).map(f64::from);
                near(told[0], course(2e-4, 5e-5));
                near(told[1], 0.0);
                near(told[2], course(0.9, 0.99));
            }
            let names: Vec<&str> = game.values.iter().map(|v| v.name.as_str()).collect();
            assert_eq!(names, ["r1_gamma", "r2_gamma", "augment_p"]);
            let values: Vec<f64> = game.values.iter().map(|v| v.schedule.at(kimg) * v.weight).collect();
            values[..2].iter().for_each(|v| near(*v, course(gamma, gamma / 10.0)));
            near(values[2], augmented * (1.0 - left));
            let average = game.networks[0].average.as_ref().unwrap();
            near(average.half_life_kimg.at(kimg), course(0.0, half_life));
            assert_eq!(average.ramp, 0.0);
        }
    }
}

/// The configuration of a run that knew nothing of settings that came later reads as if it held their base values.
#[test]
fn configurations_of_earlier_versions() {
    let text = Config::preset("faces64").unwrap().to_toml();
    let later =
        ["kind = \"adam\"", "lr_schedule ", "lr_drop_factor ", "momentum ", "nesterov ", "weight_decay ", "crop "];
    let kept: Vec<&str> = text.lines().filter(|line| !later.iter().any(|key| line.starts_with(key))).collect();
    assert_eq!(kept.len(), text.lines().count() - later.len());
    let (_dir, path) = file(&kept.join("\n"));
    assert_eq!(settings(&Config::read(&path).unwrap()), settings(&Config::preset("faces64").unwrap()));
}
