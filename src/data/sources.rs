//! How each kind of source becomes an [`Index`].

use std::fs;
use std::io::Cursor;
use std::path::Path;

use super::archive::Archive;
use super::faces::SIZES;
use super::idx::Idx;
use super::index::Index;
use super::items::{EXTENSIONS, Items, is_image, walk};
use super::labels::{self, Table};
use super::packed::Packed;
use super::raw::Raw;
use super::stacked::Stack;
use super::tarball::Tarball;
use super::{MAX_COUNT, Skipped, Source, Spec, Split, cifar, items, numpy};
use crate::{Error, Result};

/// Lists the source that `spec`, which has been checked, names.
pub(super) fn open(spec: &Spec) -> Result<Index> {
    let path = match &spec.source {
        Source::Faces { seed, count, label } => return faces(spec, *seed, *count, label.as_deref()),
        Source::StackedMnist { path, seed, count } => return stacked(spec, path, *seed, *count),
        Source::Path(path) => path,
    };
    let kind = fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::data(path, "no such file or folder"),
        _ => Error::data(path, format!("can't be read: {e}")),
    })?;
    match kind.is_dir() {
        true => folder(spec, path),
        false if Packed::is_file(path) => packed(spec, path),
        false if Tarball::is_file(path) => tar(spec, path),
        false if numpy::is_file(path) => npy(spec, path),
        false if Idx::is_file(path) => {
            undivided(spec, path)?;
            idx(spec, path, Idx::open(path)?)
        }
        false => zip(spec, path),
    }
}

fn faces(spec: &Spec, seed: u64, count: usize, label: Option<&str>) -> Result<Index> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(Error::setting("data", "faces", count, format!("must be from 1 to {MAX_COUNT}")));
    }
    if !SIZES.contains(&spec.size) {
        let (least, most) = (SIZES.start(), SIZES.end());
        let hint = format!("the built-in faces have sizes from {least} to {most}");
        return Err(Error::setting("data", "size", spec.size, hint));
    }
    let items = Items::Faces { seed, label: label.map(str::to_owned) };
    let index = index(spec, Path::new("faces"), vec![], count, items);
    match label {
        None => Ok(index),
        Some(label) => Ok(labelled(index, labels::of_faces(seed, count, label)?)),
    }
}

fn folder(spec: &Spec, path: &Path) -> Result<Index> {
    let problem = |e: std::io::Error| Error::data(path, format!("the folder can't be read: {e}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(problem)? {
        names.push(entry.map_err(problem)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    if let Some(found) = Idx::find(path, &names, spec.split) {
        return idx(spec, path, found?);
    }
    if let Some(found) = cifar::find(&names, spec.split, |name| items::read(&path.join(name), 2)) {
        return raw(spec, path, found);
    }
    let arrays: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    if let Some((images, labels)) = numpy::pair(&arrays, spec.split) {
        let open = |name: &str| numpy::open(&path.join(format!("{name}.npy")));
        let read = open(images).and_then(|file| numpy::read(file, labels.map(open), (images, labels)));
        return raw(spec, path, read);
    }
    undivided(spec, path)?;
    let (names, paths): (Vec<_>, Vec<_>) = walk(path)?.into_iter().unzip();
    let table = path.join(labels::TABLE);
    let table = table.is_file().then(|| items::read(&table, 1));
    images(spec, path, names, Items::Files(paths), table)
}

/// Stacks of the digits of a folder of IDX files, or of one file.
fn stacked(spec: &Spec, path: &Path, seed: u64, count: usize) -> Result<Index> {
    if spec.channels != 3 || count == 0 {
        return Err(Error::data(path, "stacked digits have three channels, and there must be one at least"));
    }
    let digits = if path.is_dir() {
        let mut names = Vec::new();
        let problem = |e: std::io::Error| Error::data(path, format!("the folder can't be read: {e}"));
        for entry in fs::read_dir(path).map_err(problem)? {
            names.push(entry.map_err(problem)?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        match Idx::find(path, &names, spec.split) {
            Some(found) => found?,
            None => {
                return Err(Error::data(path, "holds no IDX files such as MNIST's, whose digits are to be stacked"));
            }
        }
    } else if path.exists() {
        undivided(spec, path)?;
        Idx::open(path)?
    } else {
        return Err(Error::data(path, "no such file or folder"));
    };
    let stack = Stack { digits, seed };
    let labels = stack.labels(count);
    let index = Index { name: "stacked-mnist".into(), ..index(spec, path, vec![], count, Items::Stacked(stack)) };
    Ok(match labels {
        None => index,
        Some(labels) => labelled(index, (labels, (0..1000).map(|mode| format!("{mode:03}")).collect())),
    })
}

fn idx(spec: &Spec, path: &Path, mut idx: Idx) -> Result<Index> {
    let labels = idx.labels.take();
    let index = index(spec, path, vec![], idx.count(), Items::Idx(idx));
    Ok(match labels {
        None => index,
        Some(labels) => labelled(index, labels::numbered(labels)),
    })
}

fn raw(spec: &Spec, path: &Path, raw: Result<Raw, String>) -> Result<Index> {
    let mut raw = raw.map_err(|reason| Error::data(path, reason))?;
    let (labels, classes) = (raw.labels.take(), std::mem::take(&mut raw.classes));
    let index = index(spec, path, vec![], raw.count(), Items::Raw(raw));
    Ok(match labels {
        None => index,
        Some(labels) if classes.is_empty() => labelled(index, labels::numbered(labels)),
        Some(labels) => labelled(index, (labels, classes)),
    })
}

fn packed(spec: &Spec, path: &Path) -> Result<Index> {
    let packed = Packed::open(path)?;
    if (packed.size, packed.channels) != (spec.size, spec.channels) {
        let colour = |channels| if channels == 1 { "grey" } else { "colour" };
        let (size, channels) = (packed.size, packed.channels);
        return Err(Error::data(
            path,
            format!(
                "holds images of {size}x{size} in {}, and {}x{} in {} are wanted: set data.size={size} data.channels={channels}, \
                 or pack the source again",
                colour(channels),
                spec.size,
                spec.size,
                colour(spec.channels)
            ),
        ));
    }
    if spec.split == Split::Test && packed.split() != Split::Test {
        return Err(Error::data(path, "was packed of the training part: pack the test part with --test"));
    }
    let (labels, classes) = (packed.labels.clone(), packed.classes().to_vec());
    let mut index = index(spec, path, vec![], packed.count, Items::Packed(packed));
    if let Items::Packed(packed) = &index.items {
        index.name = packed.name().to_owned();
    }
    Ok(match labels {
        None => index,
        Some(labels) => labelled(index, (labels, classes)),
    })
}

fn tar(spec: &Spec, path: &Path) -> Result<Index> {
    let wanted = |name: &str| is_image(name) || cifar::is_file(name) || name == labels::TABLE;
    let archive = Tarball::open(path, wanted)?;
    let names: Vec<String> = archive.names().cloned().collect();
    if let Some(found) = cifar::find(&names, spec.split, |name| archive.read(name)) {
        return raw(spec, path, found);
    }
    undivided(spec, path)?;
    let table = archive.size(labels::TABLE).map(|_| archive.read(labels::TABLE));
    let names: Vec<String> = names.into_iter().filter(|name| is_image(name)).collect();
    images(spec, path, names.clone(), Items::Tar(archive, names), table)
}

fn npy(spec: &Spec, path: &Path) -> Result<Index> {
    let stem = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !stem.contains("test") {
        undivided(spec, path)?;
    }
    let labels =
        numpy::label_name(&stem).map(|name| path.with_file_name(format!("{name}.npy"))).filter(|l| l.is_file());
    let names = (stem.as_str(), numpy::label_name(&stem).filter(|_| labels.is_some()));
    let read = |images| numpy::read(images, labels.as_deref().map(numpy::open), names);
    raw(spec, path, numpy::open(path).and_then(read))
}

/// The arrays of an archive that holds nothing else.
fn npz(spec: &Spec, path: &Path, archive: &Archive, files: &[(u32, String)]) -> Result<Index> {
    let names: Vec<&str> = files.iter().filter_map(|(_, name)| name.strip_suffix(".npy")).collect();
    let Some((images, labels)) = numpy::pair(&names, spec.split) else {
        let (held, wanted) = (names.join(", "), numpy::known(spec.split));
        return Err(Error::data(path, format!("holds the arrays {held}: images must be called one of {wanted}")));
    };
    let entry = |name: &str| files.iter().find(|(_, n)| n.strip_suffix(".npy") == Some(name)).map_or(0, |(i, _)| *i);
    let mut of_labels = labels.map(|name| archive.read(entry(name)).map(Cursor::new));
    // Images may be as large as memory allows, and are read as a stream.
    let mut made = Err("is empty".to_owned());
    let streamed = archive.stream(entry(images), &mut |file| {
        made = numpy::read(file, of_labels.take(), (images, labels));
    });
    raw(spec, path, streamed.and(made))
}

fn zip(spec: &Spec, path: &Path) -> Result<Index> {
    let archive = Archive::open(path)?;
    let mut files = archive.files();
    if !files.is_empty() && files.iter().all(|(_, name)| name.ends_with(".npy")) {
        return npz(spec, path, &archive, &files);
    }
    undivided(spec, path)?;
    let table = archive.find(labels::TABLE).map(|i| archive.read(i));
    files.retain(|(_, name)| is_image(name));
    files.sort_unstable_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    let (entries, names): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    images(spec, path, names, Items::Zip(archive, entries), table)
}

fn undivided(spec: &Spec, path: &Path) -> Result<()> {
    match spec.split {
        Split::Train => Ok(()),
        Split::Test => Err(Error::data(path, "has no test part of its own: give the folder of test images instead")),
    }
}

/// `table` is the text of [`labels::TABLE`], where the source has one.
fn images(
    spec: &Spec,
    path: &Path,
    names: Vec<String>,
    items: Items,
    table: Option<Result<Vec<u8>, String>>,
) -> Result<Index> {
    if names.is_empty() {
        let endings = EXTENSIONS.join(", ");
        let others = "IDX files such as MNIST's, CIFAR's binary files, or NumPy arrays";
        return Err(Error::data(path, format!("holds no images ({endings}), and no {others}")));
    }
    let of_table = |table: Result<Vec<u8>, String>| {
        let labels = table.and_then(|text| labels::from_table(&text, &names));
        labels.map_err(|reason| Error::data(path, format!("{}: {reason}", labels::TABLE)))
    };
    let labels = match table.map(of_table).transpose()? {
        Some(Table::Labels(labels)) => Some(labels),
        Some(Table::Unlabelled) => None,
        Some(Table::Silent) | None => labels::from_folders(&names),
    };
    let count = names.len();
    let index = index(spec, path, names, count, items);
    Ok(match labels {
        None => index,
        Some(labels) => labelled(index, labels),
    })
}

fn labelled(mut index: Index, (labels, classes): (Vec<u32>, Vec<String>)) -> Index {
    (index.labels, index.classes) = (Some(labels), classes);
    index
}

fn index(spec: &Spec, path: &Path, names: Vec<String>, count: usize, items: Items) -> Index {
    let name = path.file_stem().map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy()).into_owned();
    Index {
        name,
        size: spec.size,
        channels: spec.channels,
        count,
        labels: None,
        classes: vec![],
        skipped: Skipped::default(),
        path: path.to_owned(),
        names,
        numbers: None,
        items,
    }
}
