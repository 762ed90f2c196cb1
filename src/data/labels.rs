//! Class labels from the folders images lie in.

/// One label an image and the names of the classes, from names such as `set/cats/one.png`: below the folder that all images
/// share, the next folder is the class, and classes are numbered in the order of their names. `None` when some image lies
/// in no such folder.
pub(super) fn from_folders(names: &[String]) -> Option<(Vec<u32>, Vec<String>)> {
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
}
