//! What a source holds, in numbers, as training would see it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{Index, Spec, Split, stream};
use crate::Result;

/// Most names kept of images that are left out, and of duplicates.
const NAMED: usize = 1000;

/// What [`survey`] found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Survey {
    /// What the source is: `zip archive of images`.
    pub kind: &'static str,
    /// Its short name.
    pub name: String,
    /// Images listed.
    pub listed: usize,
    /// Images that can be used; the numbers below are of these.
    pub count: usize,
    /// Images that would be left out.
    pub dropped: usize,
    /// The first thousand of them, and what is wrong with each.
    pub dropped_because: Vec<(String, String)>,
    /// How many images there are of each width and height in the source (upright), most frequent first.
    pub sizes: Vec<([u32; 2], usize)>,
    /// How many of each mode, most frequent first: `RGB`, `palette`, `16-bit grey` …
    pub modes: Vec<(String, usize)>,
    /// Images with a colour profile.
    pub profiles: usize,
    /// Images that EXIF data turns or mirrors.
    pub turned: usize,
    /// Names of the classes and how many images each has; empty without labels.
    pub classes: Vec<(String, usize)>,
    /// Images of the test part, where the source comes divided; bad ones included.
    pub test: Option<usize>,
    /// Side of the square that images are brought to for what follows.
    pub size: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Mean of each channel, from 0 to 1.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, over all pixels of all images.
    pub std: Vec<f64>,
    /// Images whose bytes in the source are those of an earlier one.
    pub duplicates: usize,
    /// The first thousand of them, each with the earlier one.
    pub duplicate_names: Vec<(String, String)>,
    /// Bytes of the set in memory, or packed.
    pub resident_bytes: usize,
    /// Bytes in memory for a batch image while the set is streamed: times the batch.
    pub streamed_bytes_per_batch_image: usize,
    /// Images to look at, evenly spread over the set: what each is called, its class, its bytes `[size,size,channels]`.
    #[serde(skip)]
    pub sheet: Vec<(String, Option<String>, Vec<u8>)>,
}

/// Reads and decodes every image of a source. About `sheet` of them are kept to look at. Bad images are told of, however many
/// there are; `progress` hears (done, total).
///
/// # Errors
/// Those of [`Index::new`].
pub fn survey(spec: &Spec, sheet: usize, progress: &dyn Fn(usize, usize)) -> Result<Survey> {
    let index = Index::new(spec)?;
    let (size, channels) = (index.size, index.channels);
    let every = index.count.div_ceil(sheet.max(1));
    let mut out = Survey { kind: index.kind(), name: index.name.clone(), listed: index.count, ..Survey::default() };
    (out.size, out.channels) = (size, channels);
    out.streamed_bytes_per_batch_image = stream::HELD * size * size * channels * size_of::<f32>();

    let (mut sizes, mut modes) = (BTreeMap::new(), BTreeMap::new());
    let mut known: HashMap<u64, usize> = HashMap::new();
    let mut of_class = vec![0; index.classes.len()];
    let mut sums = vec![[0u64; 2]; channels];
    let skipped = index.see(NAMED, progress, |k, seen| {
        out.count += 1;
        *sizes.entry(seen.sides).or_insert(0) += 1;
        *modes.entry(seen.mode.to_owned()).or_insert(0) += 1;
        out.profiles += usize::from(seen.profile);
        out.turned += usize::from(seen.turned);
        if let Some(&first) = known.get(&seen.hash) {
            out.duplicates += 1;
            if out.duplicate_names.len() < NAMED {
                out.duplicate_names.push((index.name_of(k), index.name_of(first)));
            }
        } else {
            known.insert(seen.hash, k);
        }
        for pixel in seen.pixels.chunks_exact(channels) {
            for (sums, &value) in sums.iter_mut().zip(pixel) {
                sums[0] += u64::from(value);
                sums[1] += u64::from(value) * u64::from(value);
            }
        }
        let class = index.labels.as_ref().map(|labels| labels[k] as usize);
        if let Some(count) = class.and_then(|c| of_class.get_mut(c)) {
            *count += 1;
        }
        if sheet > 0 && k % every == 0 {
            let class = class.and_then(|c| index.classes.get(c)).cloned();
            out.sheet.push((index.name_of(k), class, seen.pixels));
        }
    })?;
    (out.dropped, out.dropped_because) = (skipped.count, skipped.first);
    (out.sizes, out.modes) = (by_count(sizes), by_count(modes));
    out.classes = index.classes.iter().cloned().zip(of_class).collect();
    let pixels = (out.count * size * size).max(1) as f64;
    for [sum, squares] in sums {
        let mean = sum as f64 / pixels;
        out.mean.push(mean / 255.0);
        out.std.push((squares as f64 / pixels - mean * mean).max(0.0).sqrt() / 255.0);
    }
    out.resident_bytes = out.count * size * size * channels;
    let other = Index::new(&Spec { split: Split::Test, ..spec.clone() }).ok();
    out.test = other.filter(|_| spec.split == Split::Train).map(|index| index.count);
    Ok(out)
}

fn by_count<T>(counts: BTreeMap<T, usize>) -> Vec<(T, usize)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
