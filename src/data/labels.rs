//! Class labels: from the folders images lie in, from StyleGAN's `dataset.json`, from a factor of the built-in faces.

use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::Value;

use super::faces::{FACTORS, Face, FactorKind};
use crate::{Error, Result};

/// The file at the root of a folder or an archive that StyleGAN's tools keep labels in.
pub(super) const TABLE: &str = "dataset.json";

/// Most classes a set may have.
pub(super) const MAX_CLASSES: u32 = 1 << 16;

/// One label per image, and the names of the classes.
type Labels = (Vec<u32>, Vec<String>);

/// What `dataset.json` says.
#[derive(Debug, PartialEq)]
pub(super) enum Table {
    /// A label for every image.
    Labels(Labels),
    /// Images have none: `{"labels": null}`.
    Unlabelled,
    /// Nothing about labels.
    Silent,
}

/// Labels from the text of [`TABLE`], `{"labels": [["00000/img00000000.png", 3], …]}`, for the images of these names.
/// Names that are no image of the set are passed over.
pub(super) fn from_table(text: &[u8], names: &[String]) -> Result<Table, String> {
    let table: Value = serde_json::from_slice(text).map_err(|e| format!("is no JSON: {e}"))?;
    let rows = match table.get("labels") {
        None => return Ok(Table::Silent),
        Some(Value::Null) => return Ok(Table::Unlabelled),
        Some(rows) => rows.as_array().ok_or("\"labels\" must be null or a list of [name, number]")?,
    };
    let mut of = HashMap::with_capacity(rows.len());
    for (i, row) in rows.iter().enumerate() {
        let label = row.get(1).and_then(Value::as_u64).filter(|l| *l < u64::from(MAX_CLASSES));
        let (Some(name), Some(label), Some(2)) =
            (row.get(0).and_then(Value::as_str), label, row.as_array().map(Vec::len))
        else {
            let row: String = row.to_string().chars().take(80).collect();
            let last = MAX_CLASSES - 1;
            return Err(format!("entry {i} of \"labels\" is {row}: must be [name, whole number from 0 to {last}]"));
        };
        of.insert(name.replace('\\', "/"), label as u32);
    }
    let missing = names.iter().filter(|n| !of.contains_key(*n)).count();
    if let Some(first) = names.iter().find(|n| !of.contains_key(*n)) {
        let (count, of) = (names.len(), if missing == 1 { "image" } else { "images" });
        return Err(format!(
            "has no label for {missing} {of} of {count}, {first} first; give each one, or set labels to null"
        ));
    }
    Ok(Table::Labels(numbered(names.iter().map(|n| of[n]).collect())))
}

/// Labels whose classes are named by their numbers.
pub(super) fn numbered(labels: Vec<u32>) -> Labels {
    let classes = labels.iter().max().map_or(0, |m| m + 1);
    (labels, (0..classes).map(|c| c.to_string()).collect())
}

/// Labels of the built-in faces by the factor `name` of [`FACTORS`]: its class, or which half of its range.
///
/// # Errors
/// [`Error::Setting`] when there is no such factor.
pub(super) fn of_faces(seed: u64, count: usize, name: &str) -> Result<Labels> {
    let Some(at) = FACTORS.iter().position(|f| f.name == name) else {
        let names: Vec<&str> = FACTORS.iter().map(|f| f.name).collect();
        let hint = format!("is no factor of the built-in faces; these are {}", names.join(", "));
        return Err(Error::setting("data", "label", name, hint));
    };
    let values = (0..count).into_par_iter().map(|k| Face::from_seed(seed, k as u64).labels()[at]);
    Ok(match FACTORS[at].kind {
        FactorKind::Class(classes) => {
            (values.map(|v| v as u32).collect(), classes.iter().map(|&c| c.to_owned()).collect())
        }
        FactorKind::Range(from, to) => {
            let middle = (from + to) / 2.0;
            (values.map(|v| u32::from(v >= middle)).collect(), ["low", "high"].map(str::to_owned).to_vec())
        }
    })
}

/// One label per image and the names of the classes, from names such as `set/cats/one.png`: below the folder that all images
/// share, the next folder is the class, and classes are numbered in the order of their names. `None` when some image lies
/// in no such folder.
pub(super) fn from_folders(names: &[String]) -> Option<Labels> {
    let folders: Vec<Vec<&str>> = names.iter().map(|n| folders(n)).collect();
    let first = folders.first()?;
    let shared =
        folders.iter().fold(first.len(), |shared, f| first[..shared].iter().zip(f).take_while(|(a, b)| a == b).count());
    let of: Vec<&str> = folders.iter().map(|f| f.get(shared).copied()).collect::<Option<_>>()?;
    let mut classes = of.clone();
    classes.sort_unstable();
    classes.dedup();
    let labels = of.iter().map(|c| classes.partition_point(|other| other < c) as u32).collect();
    Some((labels, classes.into_iter().map(str::to_owned).collect()))
}

fn folders(name: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Option<(Vec<u32>, Vec<String>)> {
        from_folders(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_folder_below_the_shared_one_is_the_class() {
        let (of, classes) = labels(&["set/b/1.png", "set/a/deep/2.png", "set/b/3.png"]).unwrap();
        assert_eq!((of, classes), (vec![1, 0, 1], vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn no_classes_in_one_folder_or_beside_folders() {
        assert_eq!(labels(&["1.png", "2.png"]), None);
        assert_eq!(labels(&["all/1.png", "all/2.png"]), None);
        assert_eq!(labels(&["1.png", "a/2.png", "b/3.png"]), None);
        assert_eq!(labels(&["a/1.png", "a/b/2.png"]), None);
        assert_eq!(labels(&[]), None);
    }

    #[test]
    fn a_table_labels_every_image() {
        let names = ["a/1.png".to_owned(), "b.png".to_owned()];
        let of = |text: &str| from_table(text.as_bytes(), &names);
        let whole = r#"{"more": 1, "labels": [["b.png", 0], ["gone.png", 9], ["a\\1.png", 2]]}"#;
        let classes = ["0", "1", "2"].map(str::to_owned).to_vec();
        assert_eq!(of(whole), Ok(Table::Labels((vec![2, 0], classes))));
        assert_eq!(of(r#"{"labels": null}"#), Ok(Table::Unlabelled));
        assert_eq!(of("{}"), Ok(Table::Silent));
        for (text, reason) in [
            ("{", "is no JSON"),
            (r#"{"labels": 3}"#, "must be null or a list"),
            (r#"{"labels": [["b.png", 0]]}"#, "has no label for 1 image of 2, a/1.png first"),
            (r#"{"labels": []}"#, "has no label for 2 images of 2"),
            (
                r#"{"labels": [["b.png", -1]]}"#,
                "entry 0 of \"labels\" is [\"b.png\",-1]: must be [name, whole number from 0 to 65535]",
            ),
            (r#"{"labels": [["b.png", 0], ["b.png", 65536]]}"#, "entry 1 of"),
            (r#"{"labels": [["b.png", 0.5]]}"#, "entry 0 of"),
            (r#"{"labels": [["b.png", [0, 1]]]}"#, "entry 0 of"),
            (r#"{"labels": [["b.png", 1, 1]]}"#, "entry 0 of"),
            (r#"{"labels": ["b.png"]}"#, "entry 0 of"),
        ] {
            let error = of(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
