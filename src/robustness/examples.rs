//! Images with their classes, as attacks take them.

use crate::data::{self, DataSet};
use crate::{Error, Result};

/// Images and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// NHWC in [-1, 1].
    pub images: Vec<f32>,
    /// One per image.
    pub labels: Vec<u32>,
    /// Extents of an image: [H, W, C].
    pub sample: Vec<usize>,
    /// Names of the classes; may be fewer than there are.
    pub names: Vec<String>,
    /// Logits of the model that they are for.
    pub logits: usize,
}

impl Examples {
    /// The first `count` images of a set; without labels all belong to `class`, where one is given.
    ///
    /// # Errors
    /// A set without labels where none is given; labels beyond `classes`.
    pub fn of(set: &DataSet, count: usize, class: Option<u32>, classes: usize) -> Result<Examples> {
        let count = set.count.min(count);
        let labels = match (class, &set.labels) {
            (Some(class), _) => vec![class; count],
            (None, Some(labels)) => labels[..count].to_vec(),
            (None, None) => {
                return Err(Error::data(&set.name, "its images have no labels: an attack moves them off theirs"));
            }
        };
        if let Some(label) = labels.iter().find(|label| **label as usize >= classes.max(2)) {
            return Err(Error::data(
                &set.name,
                format!("has the label {label}, and the model knows {classes} classes from 0"),
            ));
        }
        let images = (0..count).flat_map(|k| data::floats(set.image(k))).collect();
        let (sample, names) = (vec![set.size, set.size, set.channels], set.classes.clone());
        Ok(Examples { images, labels, sample, names, logits: classes })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Numbers of one image.
    pub fn elems(&self) -> usize {
        self.sample.iter().product()
    }

    /// Image `k`.
    pub fn image(&self, k: usize) -> &[f32] {
        &self.images[k * self.elems()..(k + 1) * self.elems()]
    }

    /// Those of these numbers.
    pub fn pick(&self, numbers: &[usize]) -> Examples {
        let images = numbers.iter().flat_map(|&k| self.image(k).iter().copied()).collect();
        let labels = numbers.iter().map(|&k| self.labels[k]).collect();
        Examples { images, labels, sample: self.sample.clone(), names: self.names.clone(), logits: self.logits }
    }

    /// What people call a class.
    pub fn name(&self, class: u32) -> String {
        self.names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
    }
}
