//! CIFAR-10 and CIFAR-100 in their binary form (Krizhevsky 2009): records of one label (CIFAR-100: a coarse and a fine one) and
//! 32×32 pixels, all red ones first, then green, then blue.

use super::Split;
use super::raw::Raw;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// Which of the two, and what its files are called.
struct Form {
    kind: &'static str,
    classes: u8,
    /// Bytes of labels per record; the last one counts.
    labels: usize,
    names: &'static str,
    is_part: fn(&str, Split) -> bool,
}

const FORMS: [Form; 2] = [
    Form {
        kind: "CIFAR-10 binary files",
        classes: 10,
        labels: 1,
        names: "batches.meta.txt",
        is_part: |name, split| match split {
            Split::Train => name.starts_with("data_batch_") && name.ends_with(".bin"),
            Split::Test => name == "test_batch.bin",
        },
    },
    Form {
        kind: "CIFAR-100 binary files",
        classes: 100,
        labels: 2,
        names: "fine_label_names.txt",
        is_part: |name, split| name == if split == Split::Train { "train.bin" } else { "test.bin" },
    },
];

/// Whether a name may be that of a file that [`find`] reads.
pub(super) fn is_file(name: &str) -> bool {
    let file = file_name(name);
    FORMS.iter().any(|f| file == f.names || [Split::Train, Split::Test].iter().any(|s| (f.is_part)(file, *s)))
}

/// Reads the `split` of the CIFAR files among `names`, sorted, each by `read`; `None` where there are none.
pub(super) fn find(
    names: &[String],
    split: Split,
    read: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Option<Result<Raw, String>> {
    let part = |form: &Form, split| -> Vec<&String> {
        names.iter().filter(|name| (form.is_part)(file_name(name), split)).collect()
    };
    let form = FORMS.iter().find(|f| [Split::Train, Split::Test].iter().any(|s| !part(f, *s).is_empty()))?;
    let files = part(form, split);
    if files.is_empty() {
        let wanted = match (split, form.labels) {
            (Split::Train, 1) => "data_batch_1.bin",
            (Split::Test, 1) => "test_batch.bin",
            (Split::Train, _) => "train.bin",
            (Split::Test, _) => "test.bin",
        };
        return Some(Err(format!("holds {} but no {wanted}", form.kind)));
    }
    Some(records(form, &files, names, read))
}

fn records(
    form: &Form,
    files: &[&String],
    names: &[String],
    read: impl Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Raw, String> {
    let record = form.labels + 3 * PLANE;
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for name in files {
        let problem = |reason: String| format!("{name}: {reason}");
        let file = read(name).map_err(problem)?;
        if file.is_empty() || file.len() % record != 0 {
            let reason = format!("{} bytes are no whole number of records of {record}: not {}", file.len(), form.kind);
            return Err(problem(reason));
        }
        for record in file.chunks_exact(record) {
            let (label, planes) = record.split_at(form.labels);
            let label = label[form.labels - 1];
            if label >= form.classes {
                let reason = format!("has the label {label}, and there are {} classes from 0", form.classes);
                return Err(problem(reason));
            }
            labels.push(u32::from(label));
            bytes.extend((0..3 * PLANE).map(|i| planes[i % 3 * PLANE + i / 3]));
        }
    }
    // Names of classes are a convenience: without them classes are called by their numbers.
    let meta = names.iter().find(|name| file_name(name) == form.names).and_then(|name| read(name).ok());
    let text = String::from_utf8_lossy(&meta.unwrap_or_default()).into_owned();
    let mut classes: Vec<String> = text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    if classes.len() != usize::from(form.classes) {
        classes = (0..form.classes).map(|c| c.to_string()).collect();
    }
    Ok(Raw { kind: form.kind, bytes, extents: [SIDE, SIDE, 3], labels: Some(labels), classes })
}

fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
