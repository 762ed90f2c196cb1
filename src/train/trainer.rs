//! A game on a device: one call per iteration, and the log it leaves.
//!
//! Everything that changes the course of training is a function of (game, seed, step): per-step values are computed here in
//! f64, sent as one write, and the plans of the iteration go out as one submission.

use super::assembly::{Assembly, Learner};
use super::feed::Feed;
use super::game::Player;
use super::settings::Settings;
use crate::data::cursor;
use crate::device::{Device, Fitted, Recomputed};
use crate::optim::{Progress, ema_beta, initial_values};
use crate::plan::{ALIGN, Class, Counters, Executor, Options, RNG, ReadId, Region};
use crate::{Error, Result};
use std::collections::VecDeque;

/// Scalars of one iteration, in the order of [`Trainer::log_names`].
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// The iteration.
    pub step: u64,
    /// One value per name.
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
    /// By network that learns.
    bad: Vec<ReadId>,
}

/// A game in training on a device.
pub struct Trainer {
    pub(super) settings: Settings,
    pub(super) assembly: Assembly,
    pub(super) device: Box<dyn Executor>,
    recomputed: Option<Recomputed>,
    feed: Feed,
    pub(super) step: u64,
    /// Times training was rolled back: moves every random stream, so that it does not run into the same number again.
    pub(super) attempt: u32,
    /// By network.
    pub(super) progress: Vec<Progress>,
    logged_to: u64,
    pending: VecDeque<PendingLog>,
}

impl Trainer {
    /// Builds the program for `settings`, loads it on `device` and fills its buffers with initial values.
    ///
    /// # Errors
    /// A game whose shapes do not fit each other or the data; one that does not fit the device; a device that fails.
    pub fn new(settings: Settings, feed: Feed, device: &Device) -> Result<Trainer> {
        device.check_precision(settings.precision)?;
        feed.check(&settings.game)?;
        let resident = feed.resident();
        let plan = |device: &Device, recompute: bool| {
            let options = Options { recompute, ..device.options(settings.fuse) };
            settings.plan(resident, options)
        };
        let Fitted { planned: assembly, executor: device, recomputed } =
            device.fitted(&settings.fit, |assembly: &Assembly| &assembly.program, plan)?;
        let progress = vec![Progress::START; assembly.learners.len()];
        let mut trainer = Trainer {
            settings,
            assembly,
            device,
            recomputed,
            feed,
            step: 0,
            attempt: 0,
            progress,
            logged_to: 0,
            pending: VecDeque::new(),
        };
        trainer.initialise()?;
        Ok(trainer)
    }

    fn initialise(&mut self) -> Result<()> {
        for learner in &self.assembly.learners {
            let weights = learner.flat.init(self.settings.seed);
            self.device.write(learner.param, &weights)?;
            if let Some(ema) = learner.ema {
                self.device.write(ema, &weights)?;
            }
            if let Some(training) = &learner.training {
                self.device.write_u32(training.owner, &learner.flat.owner())?;
            }
        }
        for (spec, region) in &self.assembly.states {
            self.device.write(*region, &initial_values(spec.init, self.settings.seed, &spec.name, region.len))?;
        }
        if let (Some((images, labels)), Some(words)) = (self.assembly.data, self.feed.take_words()) {
            self.device.write_u32(images, &words.0)?;
            if let Some((region, labels)) = labels.zip(words.1) {
                self.device.write_u32(region, &labels)?;
            }
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
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// Names of the logged scalars.
    pub fn log_names(&self) -> &[String] {
        &self.assembly.log_names
    }

    /// Number of the phase that logs a scalar; that of a gradient norm is the one the network learns from.
    pub(super) fn phase_of(&self, log: &str) -> usize {
        self.assembly.log_phase.get(log).copied().unwrap_or(usize::MAX)
    }

    /// The network that learns from the phase that logs a scalar.
    pub(super) fn network_of(&self, log: &str) -> Option<&Player> {
        let phase = self.phase_of(log);
        let update = self.assembly.updates.iter().find(|update| update.phase == phase)?;
        self.settings.game.networks.get(update.network)
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

    /// Sets how many times in a row a phase runs in each iteration from now on; the plans stay as they are.
    ///
    /// # Errors
    /// No phase of this name.
    pub fn set_repeat(&mut self, phase: &str, times: u32) -> Result<()> {
        match self.assembly.game.phases.iter_mut().find(|p| p.name == phase) {
            Some(phase) => phase.repeat = times,
            None => return Err(Error::Training(format!("the game has no phase {phase}"))),
        }
        Ok(())
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

    /// One iteration: every phase that is due, as one submission.
    pub fn iterate(&mut self) -> Result<()> {
        self.write_scalars()?;
        self.write_batches()?;
        let schedule = self.schedule(self.step);
        self.device.run(&schedule)?;
        self.step += 1;
        Ok(())
    }

    /// The plans of iteration `step` in order, with how many times each runs in a row.
    pub fn schedule(&self, step: u64) -> Vec<(usize, u32)> {
        self.assembly.schedule(step)
    }

    pub(super) fn write_scalars(&mut self) -> Result<()> {
        let scalars = self.scalars();
        self.device.write(self.assembly.scalars, &scalars)?;
        let seed = self.seed();
        self.device.write_u32(RNG_WORDS, &[seed as u32, (seed >> 32) as u32, self.step as u32, 0])
    }

    /// Sends the batches that the host makes, or where the device draws its own.
    pub(super) fn write_batches(&mut self) -> Result<()> {
        let (seed, step, n) = (self.seed(), self.step, self.settings.game.batch);
        if let Some((region, set)) = self.assembly.cursors.zip(self.feed.resident()) {
            let mut words = vec![0; region.len];
            for i in 0..self.assembly.fed.len() {
                let first = self.assembly.times_read(i, step) * n as u64;
                words[i * ALIGN..i * ALIGN + 2].copy_from_slice(&cursor(first, set.count));
            }
            return self.device.write_u32(region, &words);
        }
        for (i, fed) in self.assembly.fed.iter().enumerate().filter(|(i, _)| self.assembly.is_read(*i, step)) {
            let first = self.assembly.times_read(i, step) * n as u64;
            let batch = self.feed.batch(seed, step as u32, self.assembly.game.batches[i].stream, first, n)?;
            self.device.write(fed.values, &batch.values)?;
            if let Some((region, labels)) = fed.labels.zip(batch.labels) {
                self.device.write(region, &labels)?;
            }
        }
        Ok(())
    }

    /// Values that change with progress, laid out as the scalar buffer.
    fn scalars(&mut self) -> Vec<f32> {
        let (kimg, step) = (self.kimg(), self.step);
        let mut values = vec![0.0; self.assembly.scalars.len];
        let game = &self.assembly.game;
        for update in &self.assembly.updates {
            let (player, phase) = (&game.networks[update.network], &game.phases[update.phase]);
            let when = phase.when;
            let progress = &mut self.progress[update.network];
            if when.is_due(step) {
                // Of several steps in a row the last one's correction serves all.
                (0..phase.repeat).for_each(|_| player.optimiser.count(kimg, progress));
            }
            let ema = player.average.as_ref().map_or(0.0, |average| {
                let seen = (step + 1) * game.batch as u64;
                // Alternating phases move the average in each iteration.
                let every = if when.otherwise { 1 } else { when.every as usize };
                let half_life = average.half_life_kimg.at(kimg) * 1000.0;
                let beta = ema_beta(game.batch * every, seen, half_life, average.ramp);
                beta.powf(1.0 / f64::from(phase.repeat.max(1)))
            });
            let scalars = player.optimiser.scalars(kimg, *progress, ema);
            values[update.scalars.offset..update.scalars.offset + scalars.len()].copy_from_slice(&scalars);
        }
        for (value, at) in game.values.iter().zip(&self.assembly.values) {
            debug_assert_eq!(at.offset % ALIGN, 0);
            values[at.offset] = (value.schedule.at(kimg) * value.weight) as f32;
        }
        values
    }

    /// A logged scalar as the last iteration left it; waits for the device.
    ///
    /// # Errors
    /// A scalar that no phase logs; no iteration yet; a device that fails.
    pub fn latest(&mut self, name: &str) -> Result<f32> {
        let names = &self.assembly.log_names;
        let Some(column) = names.iter().position(|known| known == name) else {
            return Err(Error::Training(format!("no phase logs {name}; logged are {}", names.join(", "))));
        };
        let Some(last) = self.step.checked_sub(1) else {
            return Err(Error::Training(format!("{name} is known after the first iteration")));
        };
        let at = last as usize % self.assembly.ring_rows * names.len() + column;
        Ok(self.device.read(self.assembly.ring)?[at])
    }

    /// Starts reading the log rows since the last call, at most `log.every_steps` of them: older ones are lost. Never waits.
    pub fn begin_log(&mut self) -> Result<()> {
        if self.logged_to == self.step {
            return Ok(());
        }
        let ring = self.device.begin_read(self.assembly.ring)?;
        let bad =
            learning(&self.assembly.learners).map(|(_, bad)| self.device.begin_read(bad)).collect::<Result<_>>()?;
        let kept = self.step.saturating_sub(self.assembly.ring_rows as u64);
        self.pending.push_back(PendingLog { first: self.logged_to.max(kept), end: self.step, ring, bad });
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
        let columns = self.assembly.log_names.len();
        let rows = (pending.first..pending.end)
            .map(|step| {
                let row = step as usize % self.assembly.ring_rows;
                let words = &ring[row * columns..(row + 1) * columns];
                LogRow { step, values: words.iter().map(|w| f32::from_bits(*w)).collect() }
            })
            .collect();
        let mut nonfinite = vec![];
        for ((learner, _), read) in learning(&self.assembly.learners).zip(pending.bad) {
            let counts = self.device.finish(read)?;
            let named = learner.flat.entries.iter().zip(counts).filter(|(_, n)| *n > 0);
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
            for read in pending.bad.into_iter().chain([pending.ring]) {
                self.device.finish(read)?;
            }
        }
        Ok(())
    }

    /// Bytes of device memory by class of buffer.
    pub fn memory(&self) -> Vec<(Class, u64)> {
        let mut classes: Vec<(Class, u64)> = vec![];
        for buffer in &self.assembly.program.buffers {
            match classes.iter_mut().find(|(class, _)| *class == buffer.class) {
                Some((_, bytes)) => *bytes += buffer.bytes(),
                None => classes.push((buffer.class, buffer.bytes())),
            }
        }
        classes.sort();
        classes
    }
}

/// Networks that learn, with their counters of gradients that were not finite.
pub(super) fn learning(learners: &[Learner]) -> impl Iterator<Item = (&Learner, Region)> {
    learners.iter().filter_map(|learner| Some((learner, learner.training.as_ref()?.bad)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};
    use crate::data::DataSet;

    /// ε and α are given as shares of a pixel's range, and are twice that between images in [-1, 1].
    #[test]
    fn an_attack_reads_its_radius_and_its_step() {
        let words = ["model.g_width=4", "model.d_width=4", "train.batch=4", "attack.steps=2"];
        let attack = ["attack.eps=8/255", "attack.alpha=3/255"];
        let set = words.into_iter().chain(attack).map(str::to_owned).collect();
        let (config, _) = Config::load(&Overrides { set, ..Overrides::default() }).unwrap();
        let images = DataSet::from_images("grey", vec![127; 4 * 32 * 32 * 3], None, [32, 32, 3]).unwrap();
        let feed = Feed::from_set(images, false);
        let mut trainer = Trainer::new(Settings::new(&config).unwrap(), feed, &Device::Host).unwrap();
        let scalars = trainer.scalars();
        let at = |name: &str| scalars[trainer.assembly.value(name).unwrap().offset];
        assert_eq!((at("attack_eps"), at("attack_alpha")), ((16.0 / 255.0) as f32, (6.0 / 255.0) as f32));
    }
}
