//! The examples as a reader runs them, and what the library answers where a game of one's own does not fit.

use danskin::data::DataSet;
use danskin::data::toys::Toy;
use danskin::device::Device;
use danskin::graph::{Dist, Tensor};
use danskin::nn::{Init, layers::linear, network};
use danskin::train::checkpoint::Values;
use danskin::train::game::{Adam, Average, Batch, Game, Inference, Phase, PhaseGraph, Player, Schedule};
use danskin::train::{Feed, Settings, Trainer, games::Classifier, stream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// An example's binary: beside this test binary where both were packed together, or where cargo puts it.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders: Vec<PathBuf> = test.ancestors().skip(1).take(2).map(PathBuf::from).collect();
    let places: Vec<PathBuf> = folders.iter().flat_map(|f| [f.join(&name), f.join("examples").join(&name)]).collect();
    let found = places.iter().find(|path| path.is_file());
    found
        .unwrap_or_else(|| panic!("{name} is at none of {places:?}; cargo build --release --examples makes it"))
        .clone()
}

/// Each checks its own result and ends with one line that starts with its name.
#[test]
fn examples_run_and_say_that_they_worked() {
    for name in ["own_gan", "own_data", "attack", "augment", "two_critics"] {
        let output = Command::new(example(name)).env("DANSKIN_CACHE_DIR", "").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.starts_with(&format!("{name}: ")) && said.lines().count() == 1, "{name} said {said:?}");
    }
}

/// A game of points with one network and one phase.
fn points(build: impl for<'g> Fn(&mut PhaseGraph<'g>) -> danskin::Result<()> + Send + Sync + 'static) -> Game {
    Game {
        batch: 4,
        sample: vec![2],
        networks: vec![Player::new("D", "discriminator", Adam::new(1e-3, 0.9, 0.99))],
        batches: vec![Batch::new("real", stream::DATA_D)],
        phases: vec![Phase::new("d", build)],
        ..Game::default()
    }
}

fn logs<'g>(p: &mut PhaseGraph<'g>, value: Tensor<'g>) -> danskin::Result<()> {
    p.log("x", value);
    Ok(())
}

fn refusal(game: Game, feed: Feed) -> String {
    match Trainer::new(Settings::of(game), feed, &Device::Host) {
        Ok(_) => panic!("the game was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_does_not_fit_is_an_error_with_a_sentence() {
    let ring = || Feed::toy(Toy::Ring8);
    let says = |message: String, words: &[&str]| {
        assert!(words.iter().all(|word| message.contains(word)), "{message} lacks one of {words:?}");
    };

    // Shapes that do not fit each other, and what a phase calls by a name that nobody has.
    let games = [
        (points(|p| p.minimise("D", p.batch("real").matmul(p.batch("real")).mean_all())), "inner extents differ"),
        (points(|p| p.minimise("D", linear(&p.network("D")?, p.batch("real"), 1, Init::Ones))), "[4,1], not [1]"),
        (points(|p| p.minimise("D", p.batch("real").mean_all())), "network D can't learn here"),
        (points(|p| p.network("E").map(|_| ())), "no network E; it has D"),
        (points(|p| p.minimise("D", p.batch("fake"))), "no batch fake; it has real"),
        (points(|p| p.minimise("D", p.labels("real"))), "no batch real with labels"),
        (points(|p| p.minimise("D", p.value("gamma"))), "no value gamma"),
        (points(|p| logs(p, p.shared("x_adv", [4, 2]).mean_all())), "reads x_adv, which no phase shares"),
        (points(|p| logs(p, p.batch("real"))), "logged as x has shape [4,2], not [1]"),
    ];
    for (game, words) in games {
        says(refusal(game, ring()), &["phase d: ", words]);
    }
    let mut alike = points(|p| p.minimise("D", linear(&p.network("D")?, p.batch("real"), 1, Init::Ones).mean_all()));
    alike.networks.push(Player::new("d", "another", Adam::new(1e-3, 0.9, 0.99)));
    alike.phases[0].name = "learn".into();
    says(refusal(alike, ring()), &["two networks are called d, but for capitals"]);
    let sample =
        |width: usize| Inference::of_latents(3, &[2], move |p, z| Ok(linear(&p.network("D")?, z, width, Init::Ones)));
    let learn = |p: &mut PhaseGraph| {
        let z = p.graph().rand(Dist::Normal, stream::Z_D, [p.rows(), 3]);
        let points = linear(&p.network("D")?, z, 2, Init::Ones);
        p.minimise("D", (points - p.batch("real")).square().mean_all())
    };
    says(
        refusal(Game { inference: Some(sample(5)), ..points(learn) }, ring()),
        &["phase sample: the output has shape [250,5], and 250 rows of [2]"],
    );
    let wide = Inference { output: vec![3], ..sample(3) };
    says(refusal(Game { inference: Some(wide), ..points(learn) }, ring()), &["D.weight has 9 elements"]);

    // Data that the game does not expect.
    let other = Feed::from_fn(&[3], false, |_, n, _| Ok((vec![0.0; 3 * n], vec![])));
    says(refusal(points(learn), other), &["the extents [3] and the game wants [2]"]);
    let classifier = |classes: usize| {
        let flat = network(&[2, 2, 1], &[classes], 0, move |scope, x, _, _| {
            linear(scope, x.reshape([x.dim(0), 4]), classes, Init::Ones)
        });
        let (network, adam) = (Arc::new(flat), Adam::new(1e-3, 0.9, 0.99));
        Classifier::new(network, &[2, 2, 1], classes, 3, adam).game().unwrap()
    };
    let images = |labels| Feed::from_set(DataSet::from_images("mine", vec![7; 12], labels, [2, 2, 1]).unwrap(), false);
    says(refusal(classifier(2), images(None)), &["3 images of mine", "no labels"]);
    says(refusal(classifier(2), images(Some(vec![0, 1, 2]))), &["3 classes and the game knows 2"]);

    // What is asked of a trainer that it does not have.
    let mut trainer = Trainer::new(Settings::of(classifier(3)), images(Some(vec![0, 1, 2])), &Device::Host).unwrap();
    says(trainer.latest("loss").unwrap_err().to_string(), &["after the first iteration"]);
    trainer.iterate().unwrap();
    assert!((trainer.latest("loss").unwrap() - 3f32.ln()).abs() < 1e-6);
    says(trainer.latest("d_loss").unwrap_err().to_string(), &["no phase logs d_loss", "loss, accuracy"]);
    says(trainer.infer(&[vec![0.0; 5]]).unwrap_err().to_string(), &["classify is given [5] numbers"]);
    says(trainer.sample(&[0]).unwrap_err().to_string(), &["it makes no samples"]);
}

/// A phase that learns three times in a row makes three steps of its optimiser, and the average is as long as it was.
#[test]
fn a_phase_that_learns_several_times_in_a_row_counts_them_all() {
    let build = |p: &mut PhaseGraph| {
        p.minimise("D", linear(&p.network("D")?, p.batch("real"), 1, Init::Ones).square().mean_all())
    };
    let after = |iterations: usize, repeat: u32| {
        let mut game = points(build);
        game.phases[0].repeat = repeat;
        game.networks[0].average = Some(Average { half_life_kimg: Schedule::Constant(0.004), ramp: 0.0 });
        // A rate of 0: weights stay, and the average shows how much of its start is left.
        game.networks[0].optimiser = Adam::new(0.0, 0.9, 0.99).into();
        let feed = Feed::from_fn(&[2], false, |_, n, _| Ok((vec![1.0; 2 * n], vec![])));
        let mut trainer = Trainer::new(Settings::of(game), feed, &Device::Host).unwrap();
        let mut state = trainer.checkpoint().unwrap();
        let average = state.tensors.iter_mut().find(|t| t.name == "ema.D.weight").unwrap();
        average.data = Values::F32(vec![2.0; 2]);
        trainer.restore(&state, "memory".as_ref()).unwrap();
        (0..iterations).for_each(|_| trainer.iterate().unwrap());
        trainer.checkpoint().unwrap()
    };
    let (row, once) = (after(1, 3), after(3, 1));
    assert_eq!(row.meta["decay_d"], once.meta["decay_d"]);
    for name in ["adam.m.D.weight", "adam.v.D.weight"] {
        assert_eq!(row.tensor(name), once.tensor(name), "{name}");
    }
    // Four images, a half-life: of the distance 1 to the weights half is left after an iteration.
    let Values::F32(average) = &row.tensor("ema.D.weight").unwrap().data else { panic!() };
    assert!((average[0] - 1.5).abs() < 1e-6, "{average:?}");
}

/// Where the log is asked for after more iterations than it keeps, it brings those it kept, each under its number.
#[test]
fn a_late_log_holds_the_last_iterations() {
    let build = |p: &mut PhaseGraph| {
        let loss = linear(&p.network("D")?, p.batch("real"), 1, Init::Ones).square().mean_all();
        p.log("loss", loss);
        p.minimise("D", loss)
    };
    let rows = |every: usize| {
        let settings = Settings { log_every: every, ..Settings::of(points(build)) };
        let mut trainer = Trainer::new(settings, Feed::toy(Toy::Ring8), &Device::Host).unwrap();
        (0..10).for_each(|_| trainer.iterate().unwrap());
        trainer.begin_log().unwrap();
        let rows = trainer.take_log(true).unwrap().unwrap().rows;
        assert_eq!(rows[rows.len() - 1].values[0], trainer.latest("loss").unwrap());
        rows
    };
    let all = rows(10);
    assert_eq!(all.len(), 10);
    assert_eq!(rows(4), all[6..]);
}
