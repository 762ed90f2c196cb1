//! What goes together: rules over more than one setting. Single values are checked by the table of keys.

use super::{Config, KEYS, LossKind, ModelKind, Source, text};
use crate::{Error, Result};

/// A batch of images larger than this many bytes is a slip of the hand: its activations would be fifty times larger.
const LARGEST_BATCH: usize = 1 << 30;

impl Config {
    /// Checks every value and what goes together. Returns warnings: sentences on settings that are legal and unwise.
    ///
    /// Errors: [`Error::Setting`] with the place the setting came from.
    pub fn validate(&self) -> Result<Vec<String>> {
        let table = self.table();
        for key in KEYS {
            if let Some(value) = text::lookup(&table, key.name) {
                key.kind.check(value).map_err(|hint| self.refusal(key.name, hint))?;
            }
        }
        self.check_data()?;
        self.check_model()?;
        self.check_penalties()?;
        self.check_attack()?;
        self.check_length()?;
        Ok(self.warnings())
    }

    fn refusal(&self, key: &str, hint: impl Into<String>) -> Error {
        Error::setting(self.place(key), key, self.value(key), hint)
    }

    fn require(&self, fine: bool, key: &str, hint: impl Into<String>) -> Result<()> {
        if fine { Ok(()) } else { Err(self.refusal(key, hint)) }
    }

    fn check_data(&self) -> Result<()> {
        let data = &self.data;
        let has_path = data.path.is_some() || data.source != Source::Path;
        self.require(has_path, "data.path", "name the folder, archive or IDX file with --data PATH")?;
        self.require(data.channels != 2, "data.channels", "must be 1 (grey) or 3 (colour)")?;
        let mlp = self.model.kind == ModelKind::Mlp;
        let source = data.source.name();
        self.require(
            mlp || data.source.is_images(),
            "model.kind",
            format!("must be \"mlp\" with data.source \"{source}\", which draws points of the plane"),
        )?;
        self.require(
            !mlp || !data.source.is_images(),
            "model.kind",
            format!("makes points of the plane: use \"dcgan\" or \"r3gan\" with data.source \"{source}\""),
        )
    }

    fn check_model(&self) -> Result<()> {
        let size = self.data.size;
        match self.model.kind {
            ModelKind::Dcgan => {
                self.require([32, 64].contains(&size), "data.size", "must be 32 or 64 with model.kind \"dcgan\"")?
            }
            ModelKind::R3gan => {
                let fits = size.is_power_of_two() && (16..=256).contains(&size);
                self.require(fits, "data.size", "must be 16, 32, 64, 128 or 256 with model.kind \"r3gan\"")?;
            }
            ModelKind::Mlp => {}
        }
        let normed = self.model.d_norm && self.model.kind != ModelKind::Dcgan;
        self.require(!normed, "model.d_norm", "only model.kind \"dcgan\" has batch norm; set it to false")
    }

    fn check_penalties(&self) -> Result<()> {
        for (key, weight) in self.penalties() {
            let couples = weight > 0.0 && self.model.d_norm;
            let hint =
                "penalises each sample's own gradient, and batch norm couples samples: set model.d_norm to false";
            self.require(!couples, key, hint)?;
        }
        let lazy_pairs = self.loss.kind == LossKind::Rpgan && self.loss.penalty_every > 1;
        self.require(
            !lazy_pairs,
            "loss.penalty_every",
            "must be 1 with loss.kind \"rpgan\", which needs its penalties at every step",
        )
    }

    fn check_attack(&self) -> Result<()> {
        if self.attack.steps == 0 {
            return Ok(());
        }
        self.require(
            self.data.source.is_images(),
            "attack.steps",
            format!("an attack changes pixels, and data.source \"{}\" has none: must be 0", self.data.source.name()),
        )?;
        let moves = self.attack.alpha.as_ref().is_none_or(|a| a.in_pixel_units() > 0.0);
        self.require(moves, "attack.alpha", "must be above 0")
    }

    fn check_length(&self) -> Result<()> {
        let batch = self.train.batch;
        let one_step = self.train.kimg * 1000.0 >= batch as f64;
        self.require(one_step, "train.kimg", format!("is less than one batch of {batch} samples"))?;
        if !self.data.source.is_images() {
            return Ok(());
        }
        let (size, channels) = (self.data.size, self.data.channels);
        let bytes = 4 * batch * size * size * channels;
        let gib = bytes as f64 / LARGEST_BATCH as f64;
        let hint = format!(
            "a batch of {size}x{size}x{channels} images would take {gib:.1} GiB before any layer; choose a smaller one"
        );
        self.require(bytes <= LARGEST_BATCH, "train.batch", hint)
    }

    fn penalties(&self) -> [(&'static str, f64); 3] {
        let loss = &self.loss;
        [("loss.r1_gamma", loss.r1_gamma), ("loss.r2_gamma", loss.r2_gamma), ("loss.gp_lambda", loss.gp_lambda)]
    }

    fn warnings(&self) -> Vec<String> {
        let (data, loss, optim, attack) = (&self.data, &self.loss, &self.optim, &self.attack);
        let penalised = self.penalties().iter().any(|(_, weight)| *weight > 0.0);
        let finals = [
            ("loss.gamma_final", loss.gamma_final.is_some()),
            ("optim.lr_final", optim.lr_final.is_some()),
            ("optim.beta2_final", optim.beta2_final.is_some()),
        ];
        let reach = f64::from(attack.steps) * attack.step_size();
        let attacks = attack.steps > 0;
        let mut rules = vec![
            (
                data.path.is_some() && data.source != Source::Path,
                "data.path",
                "is not read unless data.source is \"path\"",
            ),
            (
                loss.kind == LossKind::Wgan && !penalised,
                "loss.kind",
                "has nothing that keeps the critic Lipschitz: set loss.gp_lambda (10, or 0.1 for points of the plane)",
            ),
            (loss.penalty_every > 1 && !penalised, "loss.penalty_every", "has no effect without a penalty"),
            (
                loss.gamma_final.is_some() && loss.r1_gamma + loss.r2_gamma == 0.0,
                "loss.gamma_final",
                "has no effect while r1_gamma and r2_gamma are 0",
            ),
            (attacks && attack.radius() == 0.0, "attack.eps", "lets the attack change nothing"),
            (
                attacks && reach < attack.radius() * (1.0 - 1e-9),
                "attack.alpha",
                "steps x alpha is below eps: the attack can't reach the edge of its ball",
            ),
        ];
        rules.extend(finals.map(|(key, set)| {
            (set && optim.burn_in_kimg == 0.0, key, "is never reached while optim.burn_in_kimg is 0")
        }));
        let broken = rules.into_iter().filter(|(broken, ..)| *broken);
        broken.map(|(_, key, hint)| format!("{}: {key} {}: {hint}", self.place(key), self.value(key))).collect()
    }
}
