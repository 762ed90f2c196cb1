//! Assembling a GAN's program: the buffers of both networks, one plan a phase, and the order in which an iteration runs them.

use super::phases::{self, GanSpec, Phase, stream};
use crate::Result;
use crate::nn::{ParamSpec, StateSpec};
use crate::optim::Flat;
use crate::plan::{ALIGN, Builder, Class, Draw, Element, Options, Places, Program, Region, Work};

/// A network's flat buffers.
#[derive(Clone, Debug)]
pub struct Network {
    /// Which tensor lies where.
    pub flat: Flat,
    /// Weights.
    pub param: Region,
    /// Gradients of the last step.
    pub grad: Region,
    /// First moments.
    pub m: Region,
    /// Second moments.
    pub v: Region,
    /// Moving average of the weights: the generator's.
    pub ema: Option<Region>,
    /// Index of the tensor that owns each block.
    pub owner: Region,
    /// Gradients that were not finite, by tensor, added up.
    pub bad: Region,
    /// The eight scalars of its optimiser.
    pub adam: Region,
    /// Where losses are scaled.
    pub scaler: Option<Scaler>,
}

/// What scales a network's loss; see [`Work::LossScale`].
#[derive(Clone, Copy, Debug)]
pub struct Scaler {
    /// Scale, steps since it changed, steps left out.
    pub state: Region,
    /// Square of the norm of the scaled gradients.
    square: Region,
    /// The optimiser's scalars for scaled gradients.
    gated: Region,
}

/// A resident data set.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Images in it.
    pub count: usize,
    /// Flip half of them.
    pub mirror: bool,
    /// Whether each has a label.
    pub labels: bool,
}

/// Indices of the plans of an iteration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plans {
    /// Reals of the discriminator step, from the resident set.
    pub draw_d: Option<usize>,
    /// Reals of the generator step.
    pub draw_g: Option<usize>,
    /// Random start of the attack.
    pub attack_start: Option<usize>,
    /// One attack step.
    pub attack_step: Option<usize>,
    /// Discriminator step with its penalties.
    pub d: usize,
    /// Discriminator step without them, for the steps between lazy penalties.
    pub d_plain: Option<usize>,
    /// Square of the discriminator's gradient norm.
    pub d_norm: usize,
    /// Scale of its next loss, and whether this step counts.
    pub d_scale: Option<usize>,
    /// Its optimiser.
    pub d_adam: usize,
    /// The generator's forward pass for both steps, where they share their fakes.
    pub fake: Option<usize>,
    /// Generator step; without the forward pass, where that has its own plan.
    pub g: usize,
    /// Square of the generator's gradient norm.
    pub g_norm: usize,
    /// Scale of its next loss, and whether this step counts.
    pub g_scale: Option<usize>,
    /// Its optimiser.
    pub g_adam: usize,
    /// The row of the log.
    pub log: usize,
    /// Images of given latents by the averaged weights.
    pub sample: usize,
}

/// How often the parts of an iteration run.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    /// Discriminator steps a generator step.
    pub n_critic: u64,
    /// Iterations between gradient penalties.
    pub penalty_every: u64,
    /// Attack steps an iteration.
    pub attack_steps: u32,
}

/// A program that trains a GAN, and what its buffers mean.
#[derive(Clone, Debug)]
pub struct Gan {
    /// What it was built from.
    pub spec: GanSpec,
    /// Buffers and plans.
    pub program: Program,
    /// The generator.
    pub g: Network,
    /// The discriminator.
    pub d: Network,
    /// Persistent tensors other than weights.
    pub states: Vec<(StateSpec, Region)>,
    /// The resident data set, packed bytes.
    pub data: Option<Region>,
    /// Where draws stand, where the set is resident: (epoch, place) for the discriminator, and for the generator [`ALIGN`] later.
    pub cursors: Option<Region>,
    /// Reals of the discriminator step.
    pub real: Region,
    /// Reals of the generator step, where its loss needs them.
    pub real_g: Option<Region>,
    /// Latents of the sample plan.
    pub latents: Region,
    /// Output of the sample plan.
    pub images: Region,
    /// Every per-step value, each at a multiple of [`ALIGN`]: written at once.
    pub scalars: Region,
    /// Names of the per-step values and where each starts.
    pub scalar_at: Vec<(&'static str, Region)>,
    /// Names of the logged scalars: the columns of the ring.
    pub log_names: Vec<String>,
    /// Rows of logged scalars, row `step % rows`.
    pub ring: Region,
    /// Rows of the ring.
    pub ring_rows: usize,
    /// Which plan is which.
    pub plans: Plans,
}

const SCALARS: [&str; 7] = ["adam_g", "adam_d", "r1_gamma", "r2_gamma", "gp_lambda", "attack_eps", "attack_alpha"];

impl Gan {
    /// Builds the program. `samples` is the batch of the sample plan, `ring_rows` how many iterations are logged between reads,
    /// `lazy` whether penalties are left out on some steps.
    ///
    /// # Errors
    /// A graph that can't be lowered.
    pub fn new(
        spec: &GanSpec,
        resident: Option<Resident>,
        samples: usize,
        ring_rows: usize,
        lazy: bool,
        options: Options,
    ) -> Result<Gan> {
        let d_phase = phases::discriminator(spec, true);
        let d_plain = lazy.then(|| phases::discriminator(spec, false));
        let g_phase = phases::generator(spec);
        let attack = spec.attack.then(|| (phases::attack_start(spec), phases::attack_step(spec)));
        let sample = phases::sample(spec, samples);

        let mut b = Builder::new(options);
        b.keep_exact(&["log/r1", "log/r2", "log/gp"], &["log/d_real", "log/d_fake"]);
        let scalars = b.buffer("scalars", SCALARS.len() * ALIGN, Element::F32, Class::Scalar);
        let scalar_at: Vec<(&'static str, Region)> = SCALARS
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let len = if name.starts_with("adam") { 8 } else { 1 };
                (*name, Region { buffer: scalars.buffer, offset: i * ALIGN, len })
            })
            .collect();
        let g = network(&mut b, "G", g_phase.g_params.clone(), scalar_at[0].1, spec.scale_losses);
        let d = network(&mut b, "D", d_phase.d_params.clone(), scalar_at[1].1, spec.scale_losses);
        let batch = spec.batch * spec.sample.iter().product::<usize>();
        let real = b.buffer("real", batch, Element::F32, Class::Input);
        let real_g = spec.fresh_generator_batch().then(|| b.buffer("real_g", batch, Element::F32, Class::Input));
        let latents = b.buffer("latents", samples * spec.z, Element::F32, Class::Input);
        let images = b.buffer("images", batch / spec.batch * samples, Element::F32, Class::Output);

        let mut leaves = Places::from([("real".to_owned(), real), ("latents".to_owned(), latents)]);
        leaves.extend(real_g.map(|region| ("real_g".to_owned(), region)));
        leaves.extend(scalar_at.iter().map(|(name, at)| (format!("scalar/{name}"), *at)));
        let mut roots = Places::from([("images".to_owned(), images)]);
        let shares_fakes = !spec.fresh_generator_batch();
        if shares_fakes {
            let fake = b.buffer("fake", batch, Element::F32, Class::Input);
            leaves.insert("fake".into(), fake);
            roots.insert("fake".into(), fake);
        }
        let mut states: Vec<(StateSpec, Region)> = vec![];
        for spec in d_phase.states.iter().chain(&g_phase.states) {
            if states.iter().all(|(known, _)| known.name != spec.name) {
                let region = b.buffer(&spec.name, spec.shape.elems(), Element::F32, Class::State);
                states.push((spec.clone(), region));
            }
        }
        for (name, network) in [("G", &g), ("D", &d)] {
            if let Some(scaler) = network.scaler {
                leaves.insert(format!("scale/{name}"), Region { len: 1, ..scaler.state });
                let spec = StateSpec { name: format!("scaler.{name}"), shape: [3].into(), init: 0.0 };
                states.push((spec, scaler.state));
            }
        }
        if spec.attack {
            let x_adv = b.buffer("x_adv", batch, Element::F32, Class::State);
            leaves.insert("x_adv".into(), x_adv);
            roots.insert("state/x_adv".into(), x_adv);
        }
        for (state, region) in &states {
            leaves.insert(state.name.clone(), *region);
            roots.insert(format!("state/{}", state.name), *region);
        }
        for network in [&g, &d] {
            for entry in &network.flat.entries {
                leaves.insert(entry.spec.name.clone(), network.flat.region(network.param, entry));
                roots.insert(format!("grad/{}", entry.spec.name), network.flat.region(network.grad, entry));
            }
        }

        let logged = [Some(&d_phase), Some(&g_phase), attack.as_ref().map(|(_, step)| step)];
        let mut log_names: Vec<String> = logged
            .iter()
            .flatten()
            .flat_map(|phase| phase.dag.roots.iter())
            .filter_map(|(name, _)| name.strip_prefix("log/").map(str::to_owned))
            .collect();
        let step_names = |network: &str| {
            let scaled = ["loss_scale", "steps_left_out"].iter().filter(|_| spec.scale_losses);
            let names = std::iter::once(&"grad_norm").chain(scaled);
            names.map(|name| format!("{network}_{name}")).collect::<Vec<String>>()
        };
        let (d_log, g_log) = (log_names.len(), log_names.len() + step_names("d").len());
        log_names.extend([step_names("d"), step_names("g")].concat());
        let log = b.buffer("log", log_names.len() * ALIGN, Element::F32, Class::Output);
        let ring = b.buffer("ring", log_names.len() * ring_rows, Element::F32, Class::Output);
        let log_at = |i: usize| Region { buffer: log.buffer, offset: i * ALIGN, len: 1 };
        roots.extend(log_names.iter().enumerate().map(|(i, name)| (format!("log/{name}"), log_at(i))));

        let data = resident.map(|r| {
            let bytes: usize = r.count * spec.sample.iter().product::<usize>();
            b.buffer("data", bytes.div_ceil(4), Element::U32, Class::Data)
        });
        let cursors = resident.map(|_| b.buffer("cursors", ALIGN + 2, Element::U32, Class::Scalar));
        let draw = |b: &mut Builder, name: &str, stream: u32, batch: Region| {
            resident.zip(data).zip(cursors).map(|((r, data), cursors)| {
                let offset = if stream == stream::DATA_G { ALIGN } else { 0 };
                let cursor = Region { offset, len: 2, ..cursors };
                let image = [spec.sample[0], spec.sample[1], spec.sample[2]];
                let work =
                    Work::Draw(Draw { count: r.count, n: spec.batch, image, labels: false, mirror: r.mirror, stream });
                b.step(name, work, vec![data, cursor], vec![batch])
            })
        };
        let draw_d = draw(&mut b, "draw_d", stream::DATA_D, real);
        let draw_g = real_g.and_then(|real_g| draw(&mut b, "draw_g", stream::DATA_G, real_g));
        let plan = |b: &mut Builder, name: &str, phase: &Phase| b.plan(name, &phase.dag, &leaves, &roots);
        let (attack_start, attack_step) = match &attack {
            Some((start, step)) => {
                (Some(plan(&mut b, "attack_start", start)?), Some(plan(&mut b, "attack_step", step)?))
            }
            None => (None, None),
        };
        let count = log_names.len();
        // Plans stand in the order they run: memory is shared by it.
        let (fake, rest) = match shares_fakes {
            true => b
                .plan_until("fake", "fake", &g_phase.dag, &leaves, &roots)
                .map(|(fake, rest)| (Some(fake), Some(rest)))?,
            false => (None, None),
        };
        let plans = Plans {
            fake,
            draw_d,
            draw_g,
            attack_start,
            attack_step,
            d: plan(&mut b, "d", &d_phase)?,
            d_plain: d_plain.as_ref().map(|phase| plan(&mut b, "d_plain", phase)).transpose()?,
            d_norm: b.sum_squares("d_norm", d.grad, d.scaler.map_or(log_at(d_log), |s| s.square)),
            d_scale: scale(&mut b, "d_scale", &d, [0, 1, 2].map(|i| log_at(d_log + i))),
            d_adam: adam(&mut b, "d_adam", &d),
            g: match rest {
                Some(rest) => b.resume("g", rest),
                None => plan(&mut b, "g", &g_phase)?,
            },
            g_norm: b.sum_squares("g_norm", g.grad, g.scaler.map_or(log_at(g_log), |s| s.square)),
            g_scale: scale(&mut b, "g_scale", &g, [0, 1, 2].map(|i| log_at(g_log + i))),
            g_adam: adam(&mut b, "g_adam", &g),
            log: b.step("log", Work::LogRow { count, rows: ring_rows }, vec![log], vec![ring]),
            sample: {
                let weights = g.ema.unwrap_or(g.param);
                let averaged = g.flat.entries.iter().map(|e| (e.spec.name.clone(), g.flat.region(weights, e)));
                let mut leaves = leaves.clone();
                leaves.extend(averaged);
                b.plan("sample", &sample.dag, &leaves, &roots)?
            },
        };
        let program = b.finish();
        let spec = spec.clone();
        Ok(Gan {
            spec,
            program,
            g,
            d,
            states,
            data,
            cursors,
            real,
            real_g,
            latents,
            images,
            scalars,
            scalar_at,
            log_names,
            ring,
            ring_rows,
            plans,
        })
    }

    /// The plans of iteration `step` in order, with how many times each runs in a row.
    pub fn schedule(&self, step: u64, every: &Intervals) -> Vec<(usize, u32)> {
        let p = &self.plans;
        let mut order: Vec<(usize, u32)> = p.draw_d.map(|draw| (draw, 1)).into_iter().collect();
        if let (Some(start), Some(attack)) = (p.attack_start, p.attack_step) {
            order.extend([(start, 1), (attack, every.attack_steps)]);
        }
        order.extend(p.fake.map(|fake| (fake, 1)));
        let penalised = step.is_multiple_of(every.penalty_every);
        order.push((if penalised { p.d } else { p.d_plain.unwrap_or(p.d) }, 1));
        order.push((p.d_norm, 1));
        order.extend(p.d_scale.map(|scale| (scale, 1)));
        order.push((p.d_adam, 1));
        if (step + 1).is_multiple_of(every.n_critic) {
            order.extend(p.draw_g.map(|draw| (draw, 1)));
            order.extend([(p.g, 1), (p.g_norm, 1)]);
            order.extend(p.g_scale.map(|scale| (scale, 1)));
            order.push((p.g_adam, 1));
        }
        order.push((p.log, 1));
        order
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.program.bytes()
    }

    /// Where a per-step value lies.
    pub fn scalar(&self, name: &str) -> Option<Region> {
        self.scalar_at.iter().find(|(n, _)| *n == name).map(|(_, at)| *at)
    }
}

fn network(b: &mut Builder, name: &str, params: Vec<ParamSpec>, adam: Region, scaled: bool) -> Network {
    let flat = Flat::new(params);
    let len = flat.len;
    let scaler = scaled.then(|| Scaler {
        state: b.buffer(&format!("scaler.{name}"), 3, Element::F32, Class::State),
        square: b.buffer(&format!("{name}.square"), 1, Element::F32, Class::Scalar),
        gated: b.buffer(&format!("{name}.gated"), 8, Element::F32, Class::Scalar),
    });
    let mut buffer = |what: &str, len, element, class| b.buffer(&format!("{name}.{what}"), len, element, class);
    Network {
        param: buffer("param", len, Element::F32, Class::Param),
        grad: buffer("grad", len, Element::F32, Class::Grad),
        m: buffer("m", len, Element::F32, Class::Moment),
        v: buffer("v", len, Element::F32, Class::Moment),
        ema: (name == "G").then(|| buffer("ema", len, Element::F32, Class::Ema)),
        owner: buffer("owner", len / ALIGN, Element::U32, Class::Scalar),
        bad: buffer("bad", flat.entries.len(), Element::U32, Class::Output),
        flat,
        adam,
        scaler,
    }
}

/// The step between a network's gradients and its optimiser where losses are scaled; `log` takes the norm of the gradients,
/// the scale, and the steps left out.
fn scale(b: &mut Builder, name: &str, network: &Network, log: [Region; 3]) -> Option<usize> {
    let Scaler { state, square, gated } = network.scaler?;
    let [norm, used, left_out] = log;
    Some(b.step(name, Work::LossScale, vec![square, network.adam], vec![state, gated, norm, used, left_out]))
}

fn adam(b: &mut Builder, name: &str, network: &Network) -> usize {
    let n = network;
    let scalars = n.scaler.map_or(n.adam, |scaler| scaler.gated);
    let outputs = [vec![n.param, n.m, n.v], n.ema.into_iter().collect(), vec![n.bad]].concat();
    b.step(name, Work::Adam, vec![scalars, n.grad, n.owner], outputs)
}
