//! Checkpoints: bit-exact, recognised when damaged, whole after a kill at any moment, intact after a failed save.

use danskin::Error;
use danskin::train::checkpoint::{self, Checkpoint, NamedTensor, Values};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn tensor(name: &str, shape: &[usize], data: Values) -> NamedTensor {
    NamedTensor { name: name.into(), shape: shape.into(), data }
}

/// A small checkpoint with every special float.
fn example() -> Checkpoint {
    let specials = [0, 0x8000_0000, 1, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0001, 0xFFA5_5A5A, 0x3F80_0000];
    Checkpoint {
        tensors: vec![
            tensor("D.weight", &[2, 4], Values::F32(specials.map(f32::from_bits).into())),
            tensor("G.empty", &[0, 3], Values::F32(vec![])),
            tensor("counter", &[], Values::U32(vec![u32::MAX])),
        ],
        meta: [("step", "17"), ("text", "línea \"1\"\n2")].map(|(k, v)| (k.into(), v.into())).into(),
    }
}

/// A checkpoint whose numbers follow from one.
fn of_number(images: u64, len: usize) -> Checkpoint {
    let numbers = (0..len as u64).map(|i| (i.wrapping_mul(images) % 8191) as f32 + images as f32).collect();
    Checkpoint {
        tensors: vec![tensor("numbers", &[len], Values::F32(numbers))],
        meta: [("images".to_string(), images.to_string())].into(),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_bit_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let back = Checkpoint::load(&path).unwrap();
    assert_eq!(back.meta, example().meta);
    for (a, b) in back.tensors.iter().zip(&example().tensors) {
        assert_eq!((&a.name, &a.shape), (&b.name, &b.shape));
        match (&a.data, &b.data) {
            (Values::F32(a), Values::F32(b)) => {
                assert!(a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())))
            }
            (a, b) => assert_eq!(a, b),
        }
    }
    assert_eq!(back.tensors.len(), 3);
    // Equal contents in another order make the same file.
    let mut turned = example();
    turned.tensors.reverse();
    turned.save(&dir.path().join("b.safetensors")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(dir.path().join("b.safetensors")).unwrap());
    assert_eq!(names(dir.path()), ["a.safetensors", "b.safetensors"], "nothing else is left");
}

#[test]
fn damage_anywhere_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    example().save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(Checkpoint::load(&path), Err(Error::Checkpoint { .. })), "cut to {length} bytes");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(Checkpoint::load(&path), Err(Error::Checkpoint { .. })), "byte {at} changed");
    }
    std::fs::write(&path, [good.as_slice(), b"more"].concat()).unwrap();
    assert!(matches!(Checkpoint::load(&path), Err(Error::Checkpoint { .. })), "longer");
}

#[test]
fn foreign_files_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let with_header = |json: &str, data: &[u8]| [&(json.len() as u64).to_le_bytes(), json.as_bytes(), data].concat();
    let foreign = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let newer = r#"{"__metadata__":{"danskin.checkpoint":"2"}}"#;
    let half = r#"{"__metadata__":{"danskin.checkpoint":"1"},"w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
    for (bytes, part) in [
        (b"PK\x03\x04 a zip file, perhaps".to_vec(), "is cut short, damaged, or no safetensors file"),
        (vec![], "is cut short, damaged, or no safetensors file"),
        (vec![0xFF; 64], "is cut short, damaged, or no safetensors file"),
        (with_header(foreign, &[0; 4]), "is a safetensors file that Danskin did not write"),
        (with_header(newer, &[]), "has layout \"2\" and this program reads \"1\"; use a newer program"),
        (with_header(half, &[0; 4]), "holds tensor \"w\" of type F16; only F32 and U32 are read"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = Checkpoint::load(&path).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: {part}", path.display())), "{message}");
    }
    let message = Checkpoint::load(dir.path().join("none").as_path()).unwrap_err().to_string();
    assert!(message.contains("none: reading the checkpoint: "), "{message}");
}

#[test]
fn what_is_no_checkpoint_is_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    let one = |name: &str| tensor(name, &[1], Values::U32(vec![1]));
    for (tensors, key, part) in [
        (vec![one("w"), one("w")], "step", "tensor name \"w\" is taken already"),
        (vec![one("__metadata__")], "step", "tensor name \"__metadata__\" is taken already"),
        (vec![tensor("w", &[2, 2], Values::U32(vec![1]))], "step", "tensor \"w\" has shape [2, 2] and 1 numbers"),
        (vec![tensor("w", &[usize::MAX, 2], Values::U32(vec![]))], "step", "has shape"),
        (vec![one("w")], "danskin.crc32c", "metadata key \"danskin.crc32c\" belongs to the format"),
    ] {
        let meta = [(key.to_string(), String::new())].into();
        let message = Checkpoint { tensors, meta }.save(&path).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn the_newest_good_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = |images| dir.path().join(checkpoint::file_name(images));
    let message = checkpoint::latest_good(dir.path()).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "holds no checkpoint yet: the run was stopped before the first; remove its folder and start it again"
        ),
        "{message}"
    );
    for images in [64, 999_999_936, 1_000_000_000, 128] {
        of_number(images, 10).save(&path(images)).unwrap();
    }
    std::fs::write(dir.path().join("notes.txt"), "not a checkpoint").unwrap();
    let latest = checkpoint::latest_good(dir.path()).unwrap();
    assert_eq!((latest.images, latest.path, latest.warnings), (1_000_000_000, path(1_000_000_000), vec![]));

    std::fs::write(path(1_000_000_000), "torn").unwrap();
    std::fs::write(path(999_999_936), "").unwrap();
    let latest = checkpoint::latest_good(dir.path()).unwrap();
    assert_eq!((latest.images, latest.warnings.len()), (128, 2));
    assert_eq!(latest.checkpoint, of_number(128, 10));
    assert!(latest.warnings[0].contains("1000000.000.safetensors: is cut short"), "{:?}", latest.warnings);

    std::fs::write(path(64), "").unwrap();
    std::fs::write(path(128), "").unwrap();
    let message = checkpoint::latest_good(dir.path()).unwrap_err().to_string();
    assert!(message.contains("holds 4 checkpoints and none can be read; the newest: "), "{message}");
    assert!(matches!(checkpoint::latest_good(Path::new("no/such")), Err(Error::Io { .. })));
}

#[test]
fn one_is_found_by_its_number_or_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |images| dir.path().join(checkpoint::file_name(images));
    let found = |asked: &str| checkpoint::find(dir.path(), asked).map(|found| found.images);
    let refused = |asked: &str| found(asked).unwrap_err().to_string();
    assert!(refused("3").ends_with("holds no checkpoint at 3 kimg; there is none"), "{}", refused("3"));
    for images in [0, 6016, 12_032, 12_800, 13_000, 13_500] {
        of_number(images, 1).save(&path(images)).unwrap();
    }
    for (asked, images) in
        [("0", 0), ("6", 6016), ("6.016", 6016), ("12.8", 12_800), ("13", 13_000), ("13.500", 13_500)]
    {
        assert_eq!(found(asked).unwrap(), images, "{asked}");
    }
    let by_file = checkpoint::find(dir.path(), path(6016).to_str().unwrap()).unwrap();
    assert_eq!((by_file.images, by_file.checkpoint), (6016, of_number(6016, 1)));
    let at = |reason: &str| format!("{}: {reason}", dir.path().display());
    assert_eq!(refused("12"), at("holds several checkpoints at 12 kimg; there are 12.032, 12.800"));
    let all = "there are 0.000, 6.016, 12.032, 12.800, 13.000, 13.500";
    assert_eq!(refused("12.0"), at(&format!("holds no checkpoint at 12.0 kimg; {all}")));
    assert_eq!(
        refused("nowhere.safetensors"),
        format!("nowhere.safetensors: is no file, and not thousands of images such as 12.032; {all}")
    );
    std::fs::write(path(13_500), "torn").unwrap();
    assert!(refused("13.5").contains("000013.500.safetensors: is cut short, damaged"), "{}", refused("13.5"));
    assert_eq!(checkpoint::newest(dir.path()).unwrap(), Some((13_500, path(13_500))));
    assert_eq!(checkpoint::newest(Path::new("no/such")).unwrap(), None);
}

#[test]
fn pruning_keeps_the_newest_and_the_marked() {
    let dir = tempfile::tempdir().unwrap();
    let path = |images| dir.path().join(checkpoint::file_name(images));
    (1..=6).for_each(|i| of_number(1000 * i, 1).save(&path(1000 * i)).unwrap());
    std::fs::write(dir.path().join(".unfinished-Xy12"), "half").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    assert_eq!(checkpoint::marked_good(dir.path()), None);
    checkpoint::mark_good(&path(1000)).unwrap();
    checkpoint::mark_good(&path(2000)).unwrap();
    assert_eq!(checkpoint::marked_good(dir.path()), Some(path(2000)));
    checkpoint::prune(dir.path(), 2).unwrap();
    let kept = [2000, 5000, 6000].map(checkpoint::file_name);
    let kept: Vec<_> = kept.iter().map(String::as_str).chain(["good", "notes.txt"]).collect();
    assert_eq!(names(dir.path()), kept);
    checkpoint::prune(dir.path(), 0).unwrap();
    assert!(path(6000).exists(), "the newest is never removed");
    std::fs::write(dir.path().join("good"), "../../000001.000.safetensors").unwrap();
    assert_eq!(checkpoint::marked_good(dir.path()), None, "a mark never leads out of the folder");
    let message = checkpoint::mark_good(&dir.path().join("notes.txt")).unwrap_err().to_string();
    assert!(message.ends_with("notes.txt: is not named as a checkpoint and can't be marked"), "{message}");
}

#[test]
fn a_save_that_fails_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join(checkpoint::file_name(1));
    of_number(1, 10).save(&good).unwrap();
    let taken = dir.path().join(checkpoint::file_name(2));
    std::fs::create_dir(&taken).unwrap();
    let below_a_file = good.join("x.safetensors");
    for path in [&taken, &below_a_file, Path::new("no/such/folder/a.safetensors")] {
        let error = of_number(2, 10).save(path).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert!(error.to_string().contains(": saving the checkpoint: "), "{error}");
    }
    assert_eq!(names(dir.path()), [checkpoint::file_name(1), checkpoint::file_name(2)]);
    assert_eq!(checkpoint::Checkpoint::load(&good).unwrap(), of_number(1, 10));
}

/// Variable with the folder in which the process under test saves, where this test plays that process.
const CHILD: &str = "DANSKIN_TEST_SAVES_IN";

fn child(test: &str, dir: &Path, mut command: Command) -> Child {
    command.args(["--exact", test, "--nocapture"]).env(CHILD, dir);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Twenty times a process that saves without pause is killed at some moment; the newest file is always whole.
#[test]
fn a_kill_at_any_moment_leaves_whole_files() {
    const LEN: usize = 300_000;
    if let Some(dir) = std::env::var_os(CHILD) {
        let dir = Path::new(&dir);
        let start = checkpoint::latest_good(dir).map_or(0, |latest| latest.images);
        for images in start + 1.. {
            of_number(images, LEN).save(&dir.join(checkpoint::file_name(images))).unwrap();
            checkpoint::prune(dir, 3).unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..20 {
        let me = Command::new(std::env::current_exe().unwrap());
        let mut process = child("checkpoint::a_kill_at_any_moment_leaves_whole_files", dir.path(), me);
        let patience = Instant::now();
        while checkpoint::latest_good(dir.path()).map_or(0, |l| l.images) <= last {
            assert!(patience.elapsed() < Duration::from_secs(60), "no new checkpoint in round {round}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        std::thread::sleep(Duration::from_micros(u64::from(clock / 1000 % 40_000)));
        process.kill().unwrap();
        process.wait().unwrap();
        let latest = checkpoint::latest_good(dir.path()).unwrap();
        assert_eq!(latest.warnings, [""; 0], "round {round}");
        assert!(latest.images > last);
        assert_eq!(latest.checkpoint, of_number(latest.images, LEN));
        last = latest.images;
    }
    checkpoint::prune(dir.path(), 3).unwrap();
    assert!(names(dir.path()).iter().all(|n| n.ends_with(".safetensors")), "{:?}", names(dir.path()));
}

/// A disk without room, by the limit on file sizes that a shell can set: the save fails with a sentence, the older file
/// stands, nothing half-written is left.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_whole_files() {
    const LEN: usize = 300_000;
    if let Some(dir) = std::env::var_os(CHILD) {
        let error = of_number(2, LEN).save(&Path::new(&dir).join(checkpoint::file_name(2))).unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }) && error.to_string().contains(": saving the checkpoint: "),
            "{error}"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    of_number(1, LEN).save(&dir.path().join(checkpoint::file_name(1))).unwrap();
    let mut shell = Command::new("sh");
    // 64 blocks of 512 bytes; the signal that would kill the process is ignored, so that the write itself fails.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let status = child("checkpoint::a_full_disk_leaves_whole_files", dir.path(), shell).wait().unwrap();
    assert!(status.success());
    assert_eq!(names(dir.path()), [checkpoint::file_name(1)]);
    assert_eq!(checkpoint::latest_good(dir.path()).unwrap().checkpoint, of_number(1, LEN));
}
