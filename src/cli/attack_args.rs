//! The grammar of `danskin attack`, and what its words mean.

use super::args::TuningArgs;
use super::device::DeviceChoice;
use crate::attack::{Loss, Norm, entries};
use crate::robustness::Request;
use crate::{Error, Result};
use clap::{Args, value_parser};
use std::path::PathBuf;

/// `danskin attack`
#[derive(Debug, Args)]
pub struct AttackArgs {
    /// Folder of the run whose classifier (or discriminator) is attacked.
    #[arg(required_unless_present_any = ["list", "resume"])]
    pub run: Option<PathBuf>,
    /// List the attacks.
    #[arg(long)]
    pub list: bool,
    /// Attacks in order, by name; auto is the ensemble apgd-ce, apgd-t, fab-t, square. Unless given noise,fgsm,pgd,apgd-ce, but
    /// for those that know no --target or no --restarts.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub attack: Vec<String>,
    /// Radius of the ball, on pixels from 0 to 1: 8/255, 0.3.
    #[arg(long, value_name = "EPS", default_value = "8/255")]
    pub eps: String,
    /// Norm of the ball.
    #[arg(long, value_name = "inf|2", default_value = "inf")]
    pub norm: String,
    /// Gradient steps, or queries; each attack's own number unless given.
    #[arg(long, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub steps: Option<u32>,
    /// Length of a step, like --eps.
    #[arg(long, value_name = "ALPHA")]
    pub alpha: Option<String>,
    /// Times that an attack starts, each with other random numbers; the best example is kept. Refused by attacks that draw none.
    #[arg(long, value_parser = value_parser!(u32).range(1..=10_000))]
    pub restarts: Option<u32>,
    /// Pixels that onepixel changes; one unless given.
    #[arg(long, value_parser = value_parser!(u32).range(1..=4096))]
    pub pixels: Option<u32>,
    /// What attacks raise: ce, margin, dlr, kl; of a discriminator bce, hinge, wgan.
    #[arg(long)]
    pub loss: Option<String>,
    /// Go for a class: its number, or least-likely.
    #[arg(long, value_name = "CLASS|least-likely")]
    pub target: Option<String>,
    /// Images with labels: a folder, archive or IDX files; those the run learns from unless given.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Images that the run does not learn from: another population of built-in faces, the test part of a set that comes divided, such as
    /// MNIST's t10k files.
    #[arg(long)]
    pub test: bool,
    /// How many images, from the first.
    #[arg(long, default_value = "1000", value_parser = value_parser!(u32).range(1..))]
    pub count: u32,
    /// Images at once.
    #[arg(long, default_value = "128", value_parser = value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Seed of random numbers.
    #[arg(long, default_value = "0", value_parser = value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: u64,
    /// Which checkpoint: thousands of images, such as 12 or 12.032, or a file; the best or newest unless given.
    #[arg(long, value_name = "KIMG|FILE")]
    pub checkpoint: Option<String>,
    /// Another run: how it fares on the examples made for the first, and the other way round. May be given often.
    #[arg(long, value_name = "RUN")]
    pub transfer: Vec<PathBuf>,
    /// Leave out the curves against radius and steps.
    #[arg(long)]
    pub no_curves: bool,
    /// Folder of the report; in RUN/attacks unless given. With --image, the picture.
    #[arg(long, value_name = "DIR|FILE.png")]
    pub out: Option<PathBuf>,
    /// Folder for the adversarial images, singly as PNG and together as safetensors.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Attack one image and draw it, what changed, and the example.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "save", "transfer", "resume"])]
    pub image: Option<PathBuf>,
    /// Class of --image; what the model says of it unless given.
    #[arg(long, value_name = "N", requires = "image")]
    pub label: Option<u32>,
    /// Go on with an evaluation that was stopped: its folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "attack", "out"])]
    pub resume: Option<PathBuf>,
    /// Device: auto, host, list, vulkan, vulkan:1, metal, dx12.
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measured schedules.
    #[command(flatten)]
    pub tuning: TuningArgs,
}

/// What attacks are run where none is named.
const USUAL: [&str; 4] = ["noise", "fgsm", "pgd", "apgd-ce"];

impl AttackArgs {
    /// What is asked for, as it is kept beside the report.
    pub fn request(&self) -> Request {
        let restarts = self.restarts.unwrap_or(1) > 1;
        let follows = |name: &&str| {
            let known = entries().find(|entry| entry.name == *name);
            known.is_none_or(|known| (known.targets || self.target.is_none()) && (known.draws || !restarts))
        };
        let attacks = match self.attack.as_slice() {
            [] => USUAL.into_iter().filter(follows).map(str::to_owned).collect(),
            named => named.to_vec(),
        };
        Request {
            run: self.run.clone().unwrap_or_default(),
            checkpoint: self.checkpoint.clone(),
            data: self.data.clone(),
            test: self.test,
            count: self.count as usize,
            attacks,
            eps: self.eps.clone(),
            norm: self.norm.clone(),
            steps: self.steps,
            alpha: self.alpha.clone(),
            restarts: self.restarts,
            pixels: self.pixels,
            loss: self.loss.clone(),
            target: self.target.clone(),
            batch: self.batch as usize,
            seed: self.seed,
        }
    }
}

/// The norm of a request.
///
/// # Errors
/// Another word than `inf` and `2`.
pub fn norm(text: &str) -> Result<Norm> {
    match text {
        "inf" => Ok(Norm::Inf),
        "2" => Ok(Norm::Two),
        other => Err(Error::setting("command line", "--norm", other, "must be inf or 2")),
    }
}

/// A length on pixels from 0 to 1, as a distance between images in [-1, 1]: twice as long.
///
/// # Errors
/// What is no number, is below 0, or beyond the box.
pub fn length(key: &str, text: &str, norm: Norm) -> Result<f64> {
    let number = |t: &str| t.trim().parse::<f64>().ok().filter(|v| v.is_finite());
    let pixel = match text.split_once('/') {
        Some((above, below)) => number(above).zip(number(below)).map(|(a, b)| a / b),
        None => number(text),
    };
    let fits = |v: &f64| *v >= 0.0 && (norm == Norm::Two || *v <= 1.0) && v.is_finite();
    pixel.filter(fits).map(|pixel| 2.0 * pixel).ok_or_else(|| {
        let most = if norm == Norm::Two { "" } else { " to 1, where 1 is the whole range of a pixel" };
        Error::setting("command line", key, text, format!("must be a fraction such as 8/255 or a number from 0{most}"))
    })
}

/// The loss of a request.
///
/// # Errors
/// A word that is no loss.
pub fn loss(text: Option<&str>) -> Result<Option<Loss>> {
    text.map(str::parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_fractions_or_numbers() {
        assert_eq!(length("--eps", "8/255", Norm::Inf).unwrap(), 16.0 / 255.0);
        assert_eq!(length("--eps", "0.3", Norm::Inf).unwrap(), 0.6);
        assert_eq!(length("--eps", "2.5", Norm::Two).unwrap(), 5.0);
        for text in ["8/0", "-0.1", "1.5", "much", "8/", "NaN"] {
            let message = length("--eps", text, Norm::Inf).unwrap_err().to_string();
            assert!(message.contains(text) && message.contains("8/255"), "{message}");
        }
        assert!(norm("1").unwrap_err().to_string().contains("inf or 2"));
        assert_eq!(loss(Some("margin")).unwrap(), Some(Loss::Margin));
        assert!(loss(Some("hing")).unwrap_err().to_string().contains("hinge"));
    }
}
