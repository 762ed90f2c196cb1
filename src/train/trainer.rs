//! A GAN on a device: one call an iteration, and the log it leaves.
//!
//! Everything that changes the course of training is a function of (configuration, seed, step): per-step values are computed
//! here in f64, sent as one write, and the plans of the iteration go out as one submission.

use super::feed::Feed;
use super::gan::{Gan, Intervals};
use super::phases::stream;
use super::settings::Settings;
use crate::Result;
use crate::data::cursor;
use crate::device::{Device, Fitted, Recomputed};
use crate::optim::{AdamSettings, cosine, ema_beta};
use crate::plan::{ALIGN, Class, Counters, Executor, Options, RNG, ReadId, Region};
use std::collections::VecDeque;

/// Images the sample plan makes at once …
const SAMPLE_IMAGES: usize = 16;
/// … and points of a 2-D toy.
const SAMPLE_POINTS: usize = 250;

/// Scalars of one iteration, in the order of [`Trainer::log_names`].
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The iteration.
    pub step: u64,
    /// One value a name.
    pub values: Vec<f32>,
}

/// What a finished read of the log brought.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    /// The iterations since the read before.
    pub rows: Vec<LogRow>,
    /// (tensor, gradients that were not finite since training began), where there are any.
    pub nonfinite: Vec<(String, u32)>,
}

/// Seed and step of an iteration.
pub(super) const RNG_WORDS: Region = Region { buffer: RNG, offset: 0, len: 4 };

struct PendingLog {
    first: u64,
    end: u64,
    ring: ReadId,
    bad: [ReadId; 2],
}

/// Products of Adam's β over the updates so far: bias correction stays exact while β follows a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decay {
    pub beta1: f64,
    pub beta2: f64,
}

/// A GAN in training on a device.
pub struct Trainer {
    pub(super) settings: Settings,
    pub(super) gan: Gan,
    pub(super) device: Box<dyn Executor>,
    recomputed: Option<Recomputed>,
    feed: Feed,
    pub(super) step: u64,
    /// Times training was rolled back: moves every random stream, so that it does not run into the same number again.
    pub(super) attempt: u32,
    pub(super) decay_g: Decay,
    pub(super) decay_d: Decay,
    logged_to: u64,
    pending: VecDeque<PendingLog>,
}

impl Trainer {
    /// Builds the program for `settings`, loads it on `device` and fills its buffers with initial values.
    ///
    /// # Errors
    /// A model that does not fit the device, or a device that fails.
    pub fn new(settings: Settings, feed: Feed, device: &Device) -> Result<Trainer> {
        device.check_precision(settings.precision)?;
        let lazy = settings.penalty_every > 1;
        let samples = if settings.gan.sample.len() == 3 { SAMPLE_IMAGES } else { SAMPLE_POINTS };
        let plan = |device: &Device, recompute: bool| {
            let options = Options { precision: settings.precision, recompute, ..device.options(settings.fuse) };
            Gan::new(&settings.gan, feed.resident(), samples, settings.log_every, lazy, options)
        };
        let Fitted { planned: gan, executor: device, recomputed } =
            device.fitted(&settings.fit, |gan: &Gan| &gan.program, plan)?;
        let start = Decay { beta1: 1.0, beta2: 1.0 };
        let mut trainer = Trainer {
            settings,
            gan,
            device,
            recomputed,
            feed,
            step: 0,
            attempt: 0,
            decay_g: start,
            decay_d: start,
            logged_to: 0,
            pending: VecDeque::new(),
        };
        trainer.initialise()?;
        Ok(trainer)
    }

    fn initialise(&mut self) -> Result<()> {
        for network in [&self.gan.g, &self.gan.d] {
            let weights = network.flat.init(self.settings.seed);
            self.device.write(network.param, &weights)?;
            if let Some(ema) = network.ema {
                self.device.write(ema, &weights)?;
            }
            self.device.write_u32(network.owner, &network.flat.owner())?;
        }
        for (spec, region) in &self.gan.states {
            self.device.write(*region, &vec![spec.init as f32; region.len])?;
        }
        if let (Some(region), Some((words, _))) = (self.gan.data, self.feed.take_words()) {
            self.device.write_u32(region, &words)?;
        }
        Ok(())
    }

    /// Iterations done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Thousands of real images shown so far.
    pub fn kimg(&self) -> f64 {
        self.settings.kimg_at(self.step)
    }

    /// What is being trained.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The program and its layout.
    pub fn gan(&self) -> &Gan {
        &self.gan
    }

    /// Names of the logged scalars.
    pub fn log_names(&self) -> &[String] {
        &self.gan.log_names
    }

    /// What the device did so far.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    /// One line about the device.
    pub fn describe_device(&self) -> String {
        self.device.describe()
    }

    /// What is made again in each iteration to save memory, if anything is.
    pub fn recomputed(&self) -> Option<Recomputed> {
        self.recomputed
    }

    /// Sets the number of attack steps an iteration from now on; the plans stay as they are.
    pub fn set_attack_steps(&mut self, steps: u32) {
        self.settings.attack_steps = steps;
    }

    /// Roll-backs so far.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Moves every random stream: called after a roll-back.
    pub fn next_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    fn seed(&self) -> u64 {
        self.settings.seed ^ (u64::from(self.attempt) << 40)
    }

    /// One iteration: discriminator step, and the generator step where it is due. One submission.
    pub fn iterate(&mut self) -> Result<()> {
        self.write_scalars()?;
        self.write_reals()?;
        let schedule = self.schedule(self.step);
        self.device.run(&schedule)?;
        self.step += 1;
        Ok(())
    }

    fn intervals(&self) -> Intervals {
        Intervals {
            n_critic: self.settings.n_critic,
            penalty_every: self.settings.penalty_every,
            attack_steps: self.settings.attack_steps,
        }
    }

    /// The plans of iteration `step` in order, with how many times each runs in a row.
    pub fn schedule(&self, step: u64) -> Vec<(usize, u32)> {
        self.gan.schedule(step, &self.intervals())
    }

    pub(super) fn write_scalars(&mut self) -> Result<()> {
        let scalars = self.scalars(&self.intervals());
        self.device.write(self.gan.scalars, &scalars)?;
        let seed = self.seed();
        self.device.write_u32(RNG_WORDS, &[seed as u32, (seed >> 32) as u32, self.step as u32, 0])
    }

    pub(super) fn write_reals(&mut self) -> Result<()> {
        let n = self.settings.gan.batch;
        let first = [self.step, self.step / self.settings.n_critic.max(1)].map(|runs| runs * n as u64);
        if let Some((region, set)) = self.gan.cursors.zip(self.feed.resident()) {
            let mut words = vec![0; region.len];
            for (at, first) in [0, ALIGN].into_iter().zip(first) {
                words[at..at + 2].copy_from_slice(&cursor(first, set.count));
            }
            return self.device.write_u32(region, &words);
        }
        let generator_runs = (self.step + 1).is_multiple_of(self.settings.n_critic);
        let real_g = self.gan.real_g.filter(|_| generator_runs);
        let wanted = [Some((stream::DATA_D, self.gan.real)), real_g.map(|g| (stream::DATA_G, g))];
        for ((stream, region), first) in wanted.into_iter().zip(first).filter_map(|(w, first)| Some((w?, first))) {
            let batch = self.feed.batch(self.seed(), self.step as u32, stream, first, n)?;
            self.device.write(region, &batch.values)?;
        }
        Ok(())
    }

    /// Values that change with progress, laid out as the scalar buffer.
    fn scalars(&mut self, every: &Intervals) -> Vec<f32> {
        let s = &self.settings;
        let t = if s.burn_in_kimg > 0.0 { self.kimg() / s.burn_in_kimg } else { 0.0 };
        let lr = cosine(s.lr, s.lr_final, t);
        let adam = AdamSettings { lr, beta1: s.beta1, beta2: cosine(s.beta2, s.beta2_final, t), eps: s.eps };
        // Lazy regularisation (StyleGAN2): the penalised step counts for k steps, so decay and rate shrink alike.
        let k = every.penalty_every as f64;
        let c = if k > 1.0 { k / (k + 1.0) } else { 1.0 };
        let adam_d =
            AdamSettings { lr: lr * c * s.lr_d_scale, beta1: s.beta1.powf(c), beta2: adam.beta2.powf(c), eps: s.eps };
        self.decay_d.beta1 *= adam_d.beta1;
        self.decay_d.beta2 *= adam_d.beta2;
        if (self.step + 1).is_multiple_of(every.n_critic) {
            self.decay_g.beta1 *= adam.beta1;
            self.decay_g.beta2 *= adam.beta2;
        }
        let seen = (self.step + 1) * s.gan.batch as u64;
        let images = s.gan.batch * every.n_critic as usize;
        let ema = ema_beta(images, seen, s.ema_half_life_kimg * 1000.0, s.ema_ramp);
        let gamma_scale = cosine(1.0, s.gamma_final_ratio, t) * k;
        let single = |v: f64| [v as f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut values = vec![0.0; self.gan.scalars.len];
        for (name, at) in &self.gan.scalar_at {
            let value = match *name {
                "adam_g" => adam.scalars(self.decay_g.beta1, self.decay_g.beta2, ema),
                "adam_d" => adam_d.scalars(self.decay_d.beta1, self.decay_d.beta2, 0.0),
                "r1_gamma" => single(s.r1_gamma * gamma_scale),
                "r2_gamma" => single(s.r2_gamma * gamma_scale),
                "gp_lambda" => single(s.gp_lambda * k),
                "attack_eps" => single(s.attack_eps),
                _ => single(s.attack_alpha),
            };
            debug_assert_eq!(at.offset % ALIGN, 0);
            values[at.offset..at.offset + 8].copy_from_slice(&value);
        }
        values
    }

    /// Starts reading the log rows since the last call; never waits. At most `log.every_steps` iterations may lie between calls.
    pub fn begin_log(&mut self) -> Result<()> {
        if self.logged_to == self.step {
            return Ok(());
        }
        let ring = self.device.begin_read(self.gan.ring)?;
        let bad = [self.device.begin_read(self.gan.g.bad)?, self.device.begin_read(self.gan.d.bad)?];
        self.pending.push_back(PendingLog { first: self.logged_to, end: self.step, ring, bad });
        self.logged_to = self.step;
        Ok(())
    }

    /// The oldest log read that was begun, once it has finished; with `wait`, waits for it.
    pub fn take_log(&mut self, wait: bool) -> Result<Option<Logged>> {
        let Some(pending) = self.pending.front() else { return Ok(None) };
        let ring = if wait {
            self.device.finish(pending.ring)?
        } else {
            match self.device.try_finish(pending.ring)? {
                Some(ring) => ring,
                None => return Ok(None),
            }
        };
        let Some(pending) = self.pending.pop_front() else { return Ok(None) };
        let columns = self.gan.log_names.len();
        let rows = (pending.first..pending.end)
            .map(|step| {
                let row = step as usize % self.gan.ring_rows;
                let words = &ring[row * columns..(row + 1) * columns];
                LogRow { step, values: words.iter().map(|w| f32::from_bits(*w)).collect() }
            })
            .collect();
        let mut nonfinite = vec![];
        for (network, read) in [&self.gan.g, &self.gan.d].into_iter().zip(pending.bad) {
            let counts = self.device.finish(read)?;
            let named = network.flat.entries.iter().zip(counts).filter(|(_, n)| *n > 0);
            nonfinite.extend(named.map(|(entry, n)| (entry.spec.name.clone(), n)));
        }
        Ok(Some(Logged { rows, nonfinite }))
    }

    /// The first iteration of the oldest log read that was begun, if there is one.
    pub(super) fn oldest_log(&self) -> Option<u64> {
        self.pending.front().map(|pending| pending.first)
    }

    /// Log reads that were begun and not taken yet.
    pub(super) fn pending_logs(&self) -> usize {
        self.pending.len()
    }

    /// Reads the log from the present step on; what was begun is let finish, so that its memory is free again.
    pub(super) fn restart_log(&mut self) -> Result<()> {
        self.logged_to = self.step;
        for pending in std::mem::take(&mut self.pending) {
            for read in [pending.ring, pending.bad[0], pending.bad[1]] {
                self.device.finish(read)?;
            }
        }
        Ok(())
    }

    /// Bytes of device memory by class of buffer.
    pub fn memory(&self) -> Vec<(Class, u64)> {
        let mut classes: Vec<(Class, u64)> = vec![];
        for buffer in &self.gan.program.buffers {
            match classes.iter_mut().find(|(class, _)| *class == buffer.class) {
                Some((_, bytes)) => *bytes += buffer.bytes(),
                None => classes.push((buffer.class, buffer.bytes())),
            }
        }
        classes.sort();
        classes
    }
}
