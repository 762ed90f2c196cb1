//! What goes together: rules over more than one setting. Single values are checked by the table of keys.

use super::{
    AdversaryKind, Config, DataSource, DefenceKind, KEYS, LossKind, LrSchedule, ModelKind, OptimKind, Task, text,
};
use crate::{Error, Result};

/// A batch of images larger than this many bytes is a slip of the hand: its activations would be fifty times larger.
const LARGEST_BATCH: u64 = 1 << 30;

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
        self.check_adversary()?;
        self.check_augment()?;
        self.check_schedule()?;
        self.check_parts()?;
        self.check_length()?;
        Ok(self.warnings())
    }

    /// [`Config::validate`] for what opens no data: where a set of the user's own lies need not be known yet.
    ///
    /// Errors: as there.
    pub fn validate_without_data(&self) -> Result<Vec<String>> {
        if !self.data.source.needs_path() || self.data.path.is_some() {
            return self.validate();
        }
        let mut complete = self.clone();
        complete.data.path = Some("data".into());
        complete.validate()
    }

    fn refusal(&self, key: &str, hint: impl Into<String>) -> Error {
        Error::setting(self.place(key), key, self.value(key), hint)
    }

    pub(super) fn require(&self, fine: bool, key: &str, hint: impl Into<String>) -> Result<()> {
        if fine { Ok(()) } else { Err(self.refusal(key, hint)) }
    }

    /// Refuses two settings that do not go together. To blame is the one that came later: the other was there first.
    pub(super) fn together(&self, fine: bool, keys: [&str; 2], why: &str) -> Result<()> {
        let [a, b] = keys;
        let (late, early) = if self.origins.get(b) > self.origins.get(a) { (b, a) } else { (a, b) };
        self.require(fine, late, format!("does not go with {early} {}: {why}", self.value(early)))
    }

    fn check_data(&self) -> Result<()> {
        let data = &self.data;
        if data.path.is_none() && data.source.needs_path() {
            let hint = "name the folder, archive or IDX file with --data PATH";
            return Err(Error::setting(self.place("data.source"), "data.path", "is not set", hint));
        }
        self.require(data.channels != 2, "data.channels", "must be 1 (grey) or 3 (colour)")?;
        let coloured = data.channels == 3 || data.source != DataSource::StackedMnist;
        self.together(coloured, ["data.channels", "data.source"], "its three digits are three channels")?;
        let why = "the image would be shifted out of sight";
        self.together(data.crop == 0 || data.crop < data.size, ["data.crop", "data.size"], why)?;
        if self.model.kind == ModelKind::Sequential {
            return self.check_layers();
        }
        let fits = self.model.kind == ModelKind::Mlp || data.source.is_images();
        self.together(fits, ["model.kind", "data.source"], "points of the plane want \"mlp\"")
    }

    /// A sequential model has the lists of layers that its task wants.
    fn check_layers(&self) -> Result<()> {
        let m = &self.model;
        let (key, given) = match self.train.task {
            Task::Gan => ("model.g", m.g.is_some()),
            Task::Classifier => ("model.c", m.c.is_some()),
        };
        let hint = format!("model.kind \"sequential\" wants [{key}] with a list of layers");
        if given { Ok(()) } else { Err(Error::setting(self.place("model.kind"), key, "is not set", hint)) }
    }

    fn check_task(&self) -> Result<()> {
        if self.train.task == Task::Gan {
            let why = "it is a classifier: set train.task=classifier";
            self.together(!self.model.kind.is_classifier(), ["model.kind", "train.task"], why)?;
            return self.together(
                self.model.classes == 0 || self.data.source.is_images(),
                ["model.classes", "data.source"],
                "points of the plane have no classes",
            );
        }
        let why = "a classifier tells images apart";
        self.together(self.data.source.is_images(), ["train.task", "data.source"], why)?;
        let hint = "must be at least 2 for a classifier, or 0 for as many as the data has";
        self.require(self.model.classes != 1, "model.classes", hint)?;
        let labelled = self.data.source != DataSource::Faces || self.data.label.is_some();
        let hint = "must name a factor of the built-in faces, such as glasses, for a classifier";
        if labelled { Ok(()) } else { Err(Error::setting(self.place("train.task"), "data.label", "is not set", hint)) }
    }

    fn check_model(&self) -> Result<()> {
        self.check_task()?;
        let size = self.data.size;
        let (fits, sizes) = match self.model.kind {
            ModelKind::Dcgan => ([32, 64, 128, 256].contains(&size), "it makes images of 32, 64, 128 or 256"),
            ModelKind::SnganResnet => ([32, 64, 128].contains(&size), "it makes images of 32, 64 or 128"),
            ModelKind::R3gan => ([16, 32, 64, 128, 256].contains(&size), "it makes images of 16, 32, 64, 128 or 256"),
            ModelKind::Lenet5 => (size >= 12, "it reads images of 12 and more"),
            ModelKind::Mlp | ModelKind::Sequential | ModelKind::MnistCnn | ModelKind::PreactResnet18 => (true, ""),
        };
        self.together(fits, ["data.size", "model.kind"], sizes)?;
        for (key, width) in [("model.g_width", self.model.g_width), ("model.d_width", self.model.d_width)] {
            self.check_groups(key, width)?;
        }
        if let Some(width) = self.model.max_width {
            self.check_groups("model.max_width", width)?;
        }
        let no_norm = matches!(self.model.kind, ModelKind::R3gan | ModelKind::SnganResnet | ModelKind::Mlp);
        self.together(!no_norm || !self.model.d_norm, ["model.d_norm", "model.kind"], "only \"dcgan\" has batch norm")
    }

    /// Refuses widths of an R3GAN whose blocks can't be cut into groups.
    fn check_groups(&self, key: &str, width: usize) -> Result<()> {
        let m = &self.model;
        let whole = |w: usize| (w * m.expansion).is_multiple_of(m.group_width.max(1));
        let least = (1..=m.group_width).find(|w| whole(*w)).unwrap_or(1);
        let fine = m.kind != ModelKind::R3gan || whole(width);
        self.require(fine, key, format!("must be a multiple of {least} with model.kind \"r3gan\""))
    }

    fn check_penalties(&self) -> Result<()> {
        for (key, weight) in self.penalties() {
            // Of a list of layers it is looked at when it is read.
            let alone = weight == 0.0 || !self.model.d_norm || self.model.kind == ModelKind::Sequential;
            let why = "the penalty is on each sample's own gradient, and batch norm couples samples";
            self.together(alone, [key, "model.d_norm"], why)?;
        }
        let lazy_pairs = self.loss.kind == LossKind::Rpgan && self.loss.penalty_every > 1;
        self.together(!lazy_pairs, ["loss.penalty_every", "loss.kind"], "it needs its penalties at every step")
    }

    fn check_attack(&self) -> Result<()> {
        if self.attack.steps == 0 {
            return Ok(());
        }
        let pixels = self.data.source.is_images();
        self.together(pixels, ["attack.steps", "data.source"], "an attack changes pixels")?;
        let moves = self.attack.alpha.as_ref().is_none_or(|a| a.in_pixel_units() > 0.0);
        self.require(moves, "attack.alpha", "must be above 0")
    }

    fn check_schedule(&self) -> Result<()> {
        let optim = &self.optim;
        match optim.lr_schedule {
            LrSchedule::Steps if optim.lr_drops.is_none() => {
                let hint = "name the thousands of images at which the learning rate drops, such as [100.0, 150.0]";
                Err(Error::setting(self.place("optim.lr_schedule"), "optim.lr_drops", "is not set", hint))
            }
            LrSchedule::Triangle => {
                let before = optim.lr_peak_kimg.is_none_or(|peak| peak < self.train.kimg);
                self.together(before, ["optim.lr_peak_kimg", "train.kimg"], "a triangle has its peak before its end")
            }
            _ => Ok(()),
        }
    }

    /// Batches that are cut into parts.
    fn check_parts(&self) -> Result<()> {
        let parts = self.train.accumulate;
        let why = "the parts of a batch must be equal";
        let equal = self.train.batch.is_multiple_of(parts.max(1));
        self.together(equal, ["train.accumulate", "train.batch"], why)?;
        let why = "it learns several times from a batch, which must be in one part";
        let free = self.train.task == Task::Gan && self.adversary.kind == AdversaryKind::Free;
        self.together(parts == 1 || !free, ["train.accumulate", "adversary.kind"], why)?;
        let free = self.train.task == Task::Classifier && self.defence.kind == DefenceKind::Free;
        self.together(parts == 1 || !free, ["train.accumulate", "defence.kind"], why)
    }

    fn check_length(&self) -> Result<()> {
        let batch = self.train.batch;
        let one_step = self.train.kimg * 1000.0 >= batch as f64;
        self.require(one_step, "train.kimg", format!("is less than one batch of {batch} samples"))?;
        if !self.data.source.is_images() {
            return Ok(());
        }
        let (size, channels) = (self.data.size, self.data.channels);
        let bytes = [batch, size, size, channels].iter().fold(4, |bytes: u64, n| bytes.saturating_mul(*n as u64));
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
        let mut warnings = Vec::new();
        let mut warn = |unwise: bool, key: &str, hint: &str| {
            if unwise {
                warnings.push(self.refusal(key, hint).to_string());
            }
        };
        warn(
            data.path.is_some() && !data.source.needs_path(),
            "data.path",
            "is read only with data.source \"path\" or \"stacked-mnist\"",
        );
        // A preset's own label waits for its own images.
        let own = Config::preset(&self.preset).is_ok_and(|preset| preset.data.label == data.label);
        let unread = data.label.is_some() && data.source != DataSource::Faces && !own;
        warn(unread, "data.label", "is read only with data.source \"faces\"");
        let (lists, gan) = (self.model.kind == ModelKind::Sequential, self.train.task == Task::Gan);
        let unread = "is read only with model.kind \"sequential\" and the task that trains it";
        warn(self.model.g.is_some() && !(lists && gan), "model.g", unread);
        warn(self.model.d.is_some() && !(lists && gan), "model.d", unread);
        warn((gan || !lists) && self.model.c.is_some(), "model.c", unread);

        let penalised = self.penalties().iter().any(|(_, weight)| *weight > 0.0);
        let labelled = data.source != DataSource::Faces || data.label.is_some();
        let unlabelled = "asks for labels, and the built-in faces have them only where data.label names a factor";
        warn(self.model.classes > 0 && !labelled, "model.classes", unlabelled);
        let unbounded = "has nothing that keeps the critic Lipschitz: set loss.gp_lambda (10, or 0.1 in the plane)";
        warn(loss.kind == LossKind::Wgan && !penalised, "loss.kind", unbounded);
        warn(loss.penalty_every > 1 && !penalised, "loss.penalty_every", "has no effect without a penalty");

        let no_gamma = loss.r1_gamma == 0.0 && loss.r2_gamma == 0.0;
        let gamma_final = loss.gamma_final.is_some();
        warn(gamma_final && no_gamma, "loss.gamma_final", "has no effect while r1_gamma and r2_gamma are 0");
        let schedule = optim.lr_schedule;
        let unread = |word: &str| format!("is read only with optim.lr_schedule \"{word}\"");
        warn(optim.lr_drops.is_some() && schedule != LrSchedule::Steps, "optim.lr_drops", &unread("steps"));
        warn(
            optim.lr_peak_kimg.is_some() && schedule != LrSchedule::Triangle,
            "optim.lr_peak_kimg",
            &unread("triangle"),
        );
        let stepped = "has no effect: the learning rate goes in steps";
        warn(optim.lr_final.is_some() && schedule == LrSchedule::Steps, "optim.lr_final", stepped);
        let descends = optim.kind == OptimKind::Sgd;
        warn(optim.nesterov && !descends, "optim.nesterov", "is read only with optim.kind \"sgd\"");
        let no_width = "is read only by mnist-cnn, lenet5 and preact-resnet18";
        let capped = matches!(self.model.kind, ModelKind::Dcgan | ModelKind::R3gan);
        warn(self.model.max_width.is_some() && !capped, "model.max_width", "is read only by dcgan and r3gan");
        let compares = capped || self.model.kind == ModelKind::SnganResnet;
        warn(self.model.d_stddev > 0 && !compares, "model.d_stddev", "is read only by dcgan, r3gan and sngan-resnet");
        warn(self.model.width.is_some() && !self.model.kind.is_classifier(), "model.width", no_width);
        let finals = [
            ("loss.gamma_final", gamma_final),
            ("optim.lr_final", optim.lr_final.is_some() && schedule == LrSchedule::Cosine),
            ("optim.beta2_final", optim.beta2_final.is_some()),
        ];
        for (key, is_set) in finals {
            let never = "is never reached while optim.burn_in_kimg is 0";
            warn(is_set && optim.burn_in_kimg == 0.0, key, never);
        }

        let measures = self.eval.every_kimg > 0.0;
        warn(measures && !gan, "eval.every_kimg", "is of no use: a classifier is measured by validate.count");
        let counted = "is of no use: the modes of points are counted with every plot";
        warn(measures && !data.source.is_images(), "eval.every_kimg", counted);
        let attacks = attack.steps > 0;
        warn(attacks && attack.radius() == 0.0, "attack.eps", "lets the attack change nothing");
        // A step of exactly eps / steps is long enough, whatever its last bit.
        let reach = f64::from(attack.steps) * attack.step_size() * (1.0 + 1e-9);
        let short = "times attack.steps is below attack.eps: the attack can't reach the edge of its ball";
        warn(attacks && reach < attack.radius(), "attack.alpha", short);
        for (unwise, key, hint) in self.adversary_warnings() {
            warn(unwise, key, &hint);
        }
        for (unwise, key, hint) in self.augment_warnings() {
            warn(unwise, key, hint);
        }
        warnings
    }
}
