//! Every setting by its dotted name: what it may hold, and one line on what it means.
//!
//! The table is what unknown and badly typed settings are measured against, and where the comments of a written
//! configuration come from. `Config`'s fields carry the same names (a test holds the two together).

use super::choice::{
    AdversaryKind, AdversaryOn, AttackKind, AugmentKind, DataMode, DataSource, DefenceKind, LossKind, LrSchedule,
    MetricKind, ModelKind, OptimKind, PrecisionKind, RecomputeKind, Task,
};
use super::quantity::{Amount, Grid};
use toml::Value;

/// What a setting may hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number in a range, both ends included.
    Count(u32, u32),
    /// A whole number from 0 to 2⁶³ − 1.
    Seed,
    /// A number at least this large.
    AtLeast(f64),
    /// A number above zero.
    Positive,
    /// A decay rate: at least 0 and below 1.
    Decay,
    /// A number from 0 to 1, both included.
    Share,
    /// `true` or `false`; `"on"` and `"off"` mean the same.
    Switch,
    /// Any text but the empty one.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of these words, each once.
    Words(&'static [&'static str]),
    /// A share of the pixel range.
    Amount,
    /// Columns by rows.
    Grid,
    /// A list of increasing numbers, at least 0.
    Places,
    /// A table with a list of layers.
    Layers,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name: `train.batch`.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether it may be left out altogether.
    pub optional: bool,
    /// One line for people.
    pub about: &'static str,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, optional: false, about }
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, optional: true, about }
}

/// Every setting, section by section, in the order in which they are written.
pub const KEYS: &[Key] = &[
    key("data.source", Kind::Choice(DataSource::NAMES), "where real samples come from"),
    optional(
        "data.path",
        Kind::Text,
        "folder, archive, IDX, CIFAR, NumPy or packed file; for sources \"path\" and \"stacked-mnist\"",
    ),
    key("data.size", Kind::Count(1, 4096), "side of the square images"),
    key("data.channels", Kind::Count(1, 3), "1 grey, 3 colour"),
    key("data.count", Kind::Count(1, 10_000_000), "built-in faces to render, or stacks of digits to draw"),
    key(
        "data.seed",
        Kind::Seed,
        "which population of built-in faces or stacks of digits, and which images data.limit chooses",
    ),
    optional("data.label", Kind::Text, "factor that labels the built-in faces: glasses, hat, smile, ..."),
    key("data.mirror", Kind::Switch, "flip half of the images left to right"),
    key("data.crop", Kind::Count(0, 64), "pixels by which training images are shifted at most, over black; 0: none"),
    optional(
        "data.limit",
        Kind::Count(1, 2_147_483_647),
        "images to train on, chosen from the set by data.seed; all unless given",
    ),
    key("data.mode", Kind::Choice(DataMode::NAMES), "where the set lives"),
    key("model.kind", Kind::Choice(ModelKind::NAMES), "architecture"),
    key("model.z", Kind::Count(1, 8192), "latent numbers per sample"),
    key("model.g_width", Kind::Count(1, 8192), "generator's channels at full resolution; they double inwards"),
    key("model.d_width", Kind::Count(1, 8192), "discriminator's channels at full resolution; they double inwards"),
    optional("model.max_width", Kind::Count(1, 8192), "no stage has more channels (dcgan, r3gan)"),
    key("model.d_norm", Kind::Switch, "batch norm in the discriminator (dcgan)"),
    key(
        "model.d_stddev",
        Kind::Count(0, 1024),
        "groups of the minibatch standard deviation in the discriminator (dcgan, r3gan, sngan-resnet); 0: none",
    ),
    key("model.blocks", Kind::Count(1, 64), "residual blocks per resolution (r3gan)"),
    key("model.expansion", Kind::Count(1, 64), "channels inside a block per channel of its stage (r3gan)"),
    key("model.group_width", Kind::Count(1, 8192), "channels a group of a 3x3 convolution reads (r3gan)"),
    key("model.hidden", Kind::Count(1, 65_536), "units per layer (mlp)"),
    key("model.layers", Kind::Count(1, 64), "hidden layers (mlp)"),
    key(
        "model.classes",
        Kind::Count(0, 65_536),
        "classes both networks are told of, or a classifier tells apart (0: the data's)",
    ),
    optional(
        "model.width",
        Kind::Count(1, 8192),
        "classifier's channels in its first stage; as published unless given",
    ),
    optional("model.g", Kind::Layers, "layers of the generator (sequential)"),
    optional("model.d", Kind::Layers, "layers of the discriminator (sequential)"),
    optional("model.c", Kind::Layers, "layers of the classifier (sequential)"),
    key("loss.kind", Kind::Choice(LossKind::NAMES), "adversarial loss"),
    key("loss.r1_gamma", Kind::AtLeast(0.0), "weight of the gradient penalty on reals"),
    key("loss.r2_gamma", Kind::AtLeast(0.0), "weight of the gradient penalty on fakes"),
    key("loss.gp_lambda", Kind::AtLeast(0.0), "weight of the WGAN gradient penalty"),
    optional("loss.gamma_final", Kind::AtLeast(0.0), "r1_gamma and r2_gamma after the burn-in"),
    key("loss.n_critic", Kind::Count(1, 1000), "discriminator steps per generator step"),
    key("loss.penalty_every", Kind::Count(1, 1000), "discriminator steps from one penalty to the next"),
    key("optim.kind", Kind::Choice(OptimKind::NAMES), "how networks learn"),
    key("optim.lr", Kind::Positive, "learning rate"),
    key("optim.lr_schedule", Kind::Choice(LrSchedule::NAMES), "its course; a cosine without lr_final is constant"),
    optional("optim.lr_final", Kind::AtLeast(0.0), "learning rate after the burn-in (cosine) or at the end (others)"),
    optional("optim.lr_peak_kimg", Kind::AtLeast(0.0), "where a triangle has its peak; half of the run unless given"),
    optional("optim.lr_drops", Kind::Places, "thousands of images at which the learning rate drops (steps)"),
    key("optim.lr_drop_factor", Kind::Positive, "what the learning rate is multiplied by at each drop"),
    key("optim.beta1", Kind::Decay, "decay of Adam's first moment"),
    key("optim.beta2", Kind::Decay, "decay of Adam's second moment"),
    optional("optim.beta2_final", Kind::Decay, "beta2 after the burn-in"),
    key("optim.eps", Kind::Positive, "added outside of Adam's root"),
    key("optim.momentum", Kind::Decay, "momentum (sgd)"),
    key("optim.nesterov", Kind::Switch, "whether momentum looks ahead (sgd)"),
    key(
        "optim.weight_decay",
        Kind::AtLeast(0.0),
        "L2 penalty of the weights; adamw: their decay per step in units of lr",
    ),
    key("optim.lr_d_scale", Kind::Positive, "the discriminator's learning rate in units of lr"),
    key("optim.burn_in_kimg", Kind::AtLeast(0.0), "length of the cosine from start to final values; 0: constant"),
    key(
        "ema.half_life_kimg",
        Kind::AtLeast(0.0),
        "half-life of the moving average of a generator or classifier; 0: none",
    ),
    optional("ema.half_life_start_kimg", Kind::AtLeast(0.0), "half-life at the start of the burn-in"),
    key("ema.ramp", Kind::AtLeast(0.0), "half-life is at most this share of the images seen; 0: no ramp"),
    key("attack.steps", Kind::Count(0, 1000), "attack steps on the images D sees; 0: off"),
    key("attack.eps", Kind::Amount, "largest change of a pixel: 0 to 1, or a fraction"),
    optional("attack.alpha", Kind::Amount, "change per step; 2.5 eps / steps unless given"),
    key("attack.kind", Kind::Choice(AttackKind::NAMES), "how the change is found"),
    key("augment.kind", Kind::Choice(AugmentKind::NAMES), "what the discriminator is shown instead of an image"),
    optional("augment.policy", Kind::Text, "diffaugment: color,translation,cutout; ada, fixed: blit ... bgcfnc; bgc"),
    key("augment.p", Kind::Share, "probability of each transform (fixed)"),
    optional("augment.p_final", Kind::Share, "the same after the burn-in"),
    key("augment.target", Kind::Share, "mean sign of D(x) on reals that the probability is steered by (ada)"),
    key("augment.interval", Kind::Count(1, 1000), "discriminator steps from one change of the probability to the next"),
    key("augment.speed_kimg", Kind::Positive, "thousands of images in which the probability can go from 0 to 1"),
    key("adversary.kind", Kind::Choice(AdversaryKind::NAMES), "who perturbs what the discriminator learns from"),
    optional("adversary.on", Kind::Choice(AdversaryOn::NAMES), "what is changed: reals unless given; dat, alr: both"),
    optional("adversary.steps", Kind::Count(1, 1000), "gradient steps: of pgd attack.steps or 5, of robgan 5"),
    optional(
        "adversary.eps",
        Kind::Amount,
        "largest change of a pixel, dat: length of the change; published values, pgd: attack.eps",
    ),
    optional("adversary.alpha", Kind::Amount, "change per step: of pgd 2.5 eps / steps, of robgan 0.0039"),
    key("adversary.latent_eps", Kind::Positive, "largest change of a latent number (pgd on latents)"),
    key("adversary.replays", Kind::Count(1, 100), "discriminator steps per batch of free"),
    key("adversary.weight", Kind::Positive, "weight of the penalty of alr"),
    key(
        "defence.kind",
        Kind::Choice(DefenceKind::NAMES),
        "how a classifier is trained to withstand attacks of attack.eps",
    ),
    optional("defence.beta", Kind::AtLeast(0.0), "weight of the second term of trades (6 unless given) and mart (5)"),
    key("defence.replays", Kind::Count(1, 100), "steps per batch of free"),
    key("defence.warmup_kimg", Kind::AtLeast(0.0), "thousands of images over which the defence's radius grows from 0"),
    key("defence.gamma", Kind::AtLeast(0.0), "how far awp moves each layer, as a share of its length"),
    key(
        "validate.count",
        Kind::Count(0, 1_000_000),
        "images on which each checkpoint is measured, clean and under PGD; 0: off",
    ),
    key("validate.steps", Kind::Count(1, 1000), "steps of that PGD"),
    key("validate.patience", Kind::Count(0, 1000), "checkpoints without a better one before the run ends; 0: never"),
    key("eval.every_kimg", Kind::AtLeast(0.0), "from one measurement of generated images to the next; 0: off"),
    key("eval.samples", Kind::Count(4, 1_000_000), "generated images that are measured, against as many of the data"),
    key("eval.metrics", Kind::Words(MetricKind::NAMES), "what is measured of them"),
    key("train.task", Kind::Choice(Task::NAMES), "what is trained"),
    key("train.kimg", Kind::Positive, "length of the run in thousands of real images"),
    key("train.batch", Kind::Count(1, 65_536), "samples per step"),
    key(
        "train.accumulate",
        Kind::Count(1, 1024),
        "parts of a batch whose gradients are summed before a step: less memory; batch norm is per part",
    ),
    key("train.seed", Kind::Seed, "seed of every random number of the run"),
    key("train.precision", Kind::Choice(PrecisionKind::NAMES), "how activations are stored"),
    key("log.every_steps", Kind::Count(1, 1_000_000), "steps from one line of statistics to the next"),
    key("sample.every_kimg", Kind::AtLeast(0.0), "from one sample grid to the next; 0: only the last"),
    key("sample.count", Kind::Grid, "columns x rows of the sample grid"),
    key("checkpoint.every_kimg", Kind::Positive, "from one checkpoint to the next"),
    key("checkpoint.keep", Kind::Count(1, 1_000_000), "checkpoints kept"),
    key("plan.fuse", Kind::Switch, "fuse pointwise kernels"),
    key("plan.recompute", Kind::Choice(RecomputeKind::NAMES), "when activations are made again to save memory"),
];

/// The setting of this dotted name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.name == name)
}

/// Names of the sections, each once, in order.
pub fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS.iter().filter_map(|k| k.name.split('.').next()).collect();
    names.dedup();
    names
}

impl Kind {
    /// The value in the form `Config` reads it in, or the sentence that says what it must be.
    pub fn check(self, value: &Value) -> Result<Value, String> {
        match self {
            Kind::Count(low, high) => whole(value, i64::from(low), i64::from(high)),
            Kind::Seed => whole(value, 0, i64::MAX),
            Kind::AtLeast(low) => number(value, |v| v >= low, &format!("must be at least {low}")),
            Kind::Positive => number(value, |v| v > 0.0, "must be above 0"),
            Kind::Share => number(value, |v| (0.0..=1.0).contains(&v), "must be at least 0 and at most 1"),
            Kind::Decay => number(value, |v| (0.0..1.0).contains(&v), "must be at least 0 and below 1"),
            Kind::Switch => match value {
                Value::Boolean(_) => Ok(value.clone()),
                Value::String(s) if s == "on" => Ok(Value::Boolean(true)),
                Value::String(s) if s == "off" => Ok(Value::Boolean(false)),
                _ => Err("must be true or false".into()),
            },
            Kind::Text => match value {
                Value::String(s) if !s.is_empty() => Ok(value.clone()),
                _ => Err("must be a text in quotes, not an empty one".into()),
            },
            Kind::Choice(words) => match value {
                Value::String(s) if words.contains(&s.as_str()) => Ok(value.clone()),
                _ => Err(format!("must be one of {}", words.join(", "))),
            },
            Kind::Words(words) => {
                listed(value, words).ok_or_else(|| format!("must be a list of some of {}, each once", words.join(", ")))
            }
            Kind::Amount => match value {
                Value::String(s) => s.parse::<Amount>().map(|_| value.clone()),
                _ => number(value, |v| Amount::from_pixel(v).is_some(), Amount::HINT),
            },
            Kind::Places => places(value).ok_or_else(|| "must be a list of increasing numbers, at least 0".into()),
            Kind::Layers => match value {
                Value::Table(table) if table.get("layers").is_some_and(Value::is_array) => Ok(value.clone()),
                _ => Err("must be a table with a list `layers`, each a table with a `type`".into()),
            },
            Kind::Grid => match value {
                Value::String(s) => s.parse::<Grid>().map(|_| value.clone()),
                _ => Err(Grid::HINT.into()),
            },
        }
    }

    /// The value that `key=text` means; texts need no quotes.
    pub fn read(self, text: &str) -> Value {
        let bare = || Value::String(text.to_string());
        let quoted = text.starts_with(['"', '\'']);
        match self {
            Kind::Text | Kind::Choice(_) | Kind::Grid if !quoted => bare(),
            Kind::Words(_) if !quoted && !text.starts_with('[') => bare(),
            // TOML wants digits around the point; people write .5 and 5. too.
            _ => text.parse::<Value>().or_else(|_| text.parse::<f64>().map(Value::Float)).unwrap_or_else(|_| bare()),
        }
    }
}

/// Words of a list, or of one text with commas between them.
fn listed(value: &Value, words: &[&str]) -> Option<Value> {
    let given: Vec<&str> = match value {
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::String(text) => text.split(',').map(str::trim).collect(),
        _ => return None,
    };
    let once = (1..given.len()).all(|i| !given[..i].contains(&given[i]));
    let known = given.iter().all(|word| words.contains(word));
    (once && known && !given.is_empty()).then(|| Value::Array(given.into_iter().map(Value::from).collect()))
}

fn places(value: &Value) -> Option<Value> {
    let numbers: Vec<f64> =
        value.as_array()?.iter().map(|v| v.as_float().or(v.as_integer().map(|v| v as f64))).collect::<Option<_>>()?;
    let ordered = numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|v| v.is_finite() && *v >= 0.0);
    (ordered && !numbers.is_empty()).then(|| Value::Array(numbers.into_iter().map(Value::Float).collect()))
}

fn whole(value: &Value, low: i64, high: i64) -> Result<Value, String> {
    match value {
        Value::Integer(v) if *v < low => Err(format!("must be at least {low}")),
        Value::Integer(v) if *v > high => Err(format!("must be at most {high}")),
        Value::Integer(_) => Ok(value.clone()),
        _ => Err("must be a whole number".into()),
    }
}

fn number(value: &Value, fits: impl Fn(f64) -> bool, hint: &str) -> Result<Value, String> {
    let v = match value {
        Value::Integer(v) => *v as f64,
        Value::Float(v) => *v,
        _ if hint == Amount::HINT => return Err(hint.into()),
        _ => return Err(format!("must be a number; it {hint}")),
    };
    if v.is_finite() && fits(v) { Ok(Value::Float(v)) } else { Err(hint.into()) }
}

/// What to write instead of an unknown name: the settings spelled most like it, or else where to look.
pub fn suggest(name: &str) -> String {
    let own = name.rsplit('.').next().unwrap_or(name);
    let far = |key: &'static str| {
        // A right name under a wrong section, or under none, is nearly right.
        let tail = key.split('.').next_back().unwrap_or(key);
        distance(name, key).min(distance(own, tail) + 1)
    };
    let mut near: Vec<(usize, &str)> = KEYS.iter().map(|k| (far(k.name), k.name)).collect();
    near.sort();
    let limit = near[0].0.min(1 + own.len() / 4);
    near.retain(|(d, _)| *d <= limit);
    near.truncate(3);
    let names: Vec<_> = near.iter().map(|(_, n)| *n).collect();
    let section = sections().into_iter().find(|s| name.split('.').next() == Some(s));
    match (names.as_slice(), section) {
        ([], Some(section)) => {
            let keys = KEYS.iter().filter_map(|k| k.name.strip_prefix(section)?.strip_prefix('.'));
            format!("no such setting; [{section}] has {}", keys.collect::<Vec<_>>().join(", "))
        }
        ([], None) => format!("no such setting; the sections are {}", sections().join(", ")),
        ([one], _) => format!("no such setting; did you mean {one}?"),
        _ => format!("no such setting; the nearest are {}", names.join(", ")),
    }
}

/// Insertions, deletions and substitutions from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let next = (corner + usize::from(ca != cb)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [("", "abc", 3), ("abc", "", 3), ("batch", "bacth", 2), ("kimg", "kimg", 0), ("lr", "lrs", 1)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn every_name_is_found_once() {
        for k in KEYS {
            assert_eq!(KEYS.iter().filter(|o| o.name == k.name).count(), 1, "{}", k.name);
            assert_eq!(k.name.matches('.').count(), 1, "{}", k.name);
        }
        let mut sorted = sections();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), sections().len(), "each section stands in one piece");
    }
}
