//! Recomputation: steps are repeated late in a plan so that their values need not be kept over the moment of most memory
//! (Chen 2016, with a greedy search in place of fixed checkpoints).
//!
//! Works on drafts of all plans, before memory is given. A repeated step reads what the first one read and does the same
//! work, so it makes the same bits. Deliberately absent: any change of arithmetic, and repeating what writes a buffer that
//! outlives the program's intermediate values.

use super::draft::{Draft, Place, fixed};
use super::step::{Region, Work};

/// Most extra arithmetic of a plan: one part in this many.
const EXTRA: u64 = 3;
/// Most steps that are repeated to bring back one value.
const DEEPEST: usize = 6;

/// Bytes of a value, and whether they are of the 16-bit kind, which shares no memory with the other.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub bytes: usize,
    pub half: bool,
}

/// Drafts of all plans in the order they run, each with its plan and the bytes of its scratch memory.
pub(super) struct Timeline {
    pub drafts: Vec<(usize, Draft)>,
    pub scratch: Vec<usize>,
    /// By value.
    pub sizes: Vec<Size>,
}

/// What [`search`] found.
pub(super) struct Found {
    pub drafts: Vec<(usize, Draft)>,
    /// For each new value, numbered from `Timeline::sizes` on, the one it is a copy of.
    pub copies: Vec<usize>,
}

/// One step: the draft it does, and the values it reads and makes.
#[derive(Clone)]
struct Row {
    draft: usize,
    plan: usize,
    reads: Vec<usize>,
    makes: Vec<usize>,
}

/// An order of steps. `origin` names, by value, the one of the timeline that it equals.
#[derive(Clone)]
struct Order {
    rows: Vec<Row>,
    origin: Vec<usize>,
}

/// When values are made and last read, and by which row they are made.
struct Spans {
    first: Vec<usize>,
    last: Vec<usize>,
    /// Values of each origin.
    same: Vec<Vec<usize>>,
}

/// Bytes that an order needs at its worst moments, and how many such moments it has; less is better in this order.
type Score = (usize, usize);

/// Values to make again, those that others need first, right before row `at`.
struct Repeat {
    values: Vec<usize>,
    at: usize,
    /// Bytes that leave the worst moment for one unit of work.
    worth: f64,
}

/// Repeats steps as long as the most bytes alive at any moment fall and no plan gets dearer by more than a third.
/// `None` if nothing helps.
pub(super) fn search(timeline: &Timeline) -> Option<Found> {
    let mut order = timeline.start();
    let base = timeline.flops(&order);
    let start = timeline.score(&order);
    let (mut score, mut best) = (start, None);
    while let Some((next, less)) = timeline.improve(&order, score, &base) {
        // Moments that are equally bad fall one by one: only when the last has fallen is something won.
        if less.0 < best.as_ref().map_or(start.0, |(bytes, _)| *bytes) {
            best = Some((less.0, next.clone()));
        }
        (order, score) = (next, less);
    }
    best.map(|(_, order)| timeline.found(order))
}

impl Timeline {
    fn start(&self) -> Order {
        let values = |places: &[Place]| {
            let value = |place: &Place| if let Place::Value(v) = place { Some(*v) } else { None };
            places.iter().filter_map(value).collect()
        };
        let row = |(draft, (plan, d)): (usize, &(usize, Draft))| Row {
            draft,
            plan: *plan,
            reads: values(&d.inputs),
            makes: values(&d.outputs),
        };
        Order { rows: self.drafts.iter().enumerate().map(row).collect(), origin: (0..self.sizes.len()).collect() }
    }

    fn draft(&self, row: &Row) -> &Draft {
        &self.drafts[row.draft].1
    }

    fn size(&self, order: &Order, value: usize) -> Size {
        self.sizes[order.origin[value]]
    }

    /// Floating-point operations by plan.
    fn flops(&self, order: &Order) -> Vec<u64> {
        let mut flops = vec![0; self.drafts.last().map_or(0, |(plan, _)| plan + 1)];
        order.rows.iter().for_each(|row| flops[row.plan] += self.draft(row).flops);
        flops
    }

    /// Bytes alive at each row: of 32-bit values and scratch, of 16-bit values.
    fn alive(&self, order: &Order, spans: &Spans) -> [Vec<usize>; 2] {
        let steps = order.rows.len();
        let mut change = [vec![0isize; steps + 1], vec![0isize; steps + 1]];
        for v in (0..order.origin.len()).filter(|&v| spans.first[v] < steps) {
            let size = self.size(order, v);
            let kind = &mut change[usize::from(size.half)];
            kind[spans.first[v]] += size.bytes as isize;
            kind[spans.last[v] + 1] -= size.bytes as isize;
        }
        let mut alive = change.map(|kind| {
            let sums = kind[..steps].iter().scan(0isize, |sum, by| {
                *sum += by;
                Some(*sum as usize)
            });
            sums.collect::<Vec<usize>>()
        });
        alive[0].iter_mut().zip(&order.rows).for_each(|(bytes, row)| *bytes += self.scratch[row.draft]);
        alive
    }

    fn score(&self, order: &Order) -> Score {
        let alive = self.alive(order, &Spans::of(order));
        alive.iter().fold((0, 0), |(bytes, times), kind| {
            let most = kind.iter().copied().max().unwrap_or(0);
            (bytes + most, times + kind.iter().filter(|&&b| b == most && most > 0).count())
        })
    }

    /// The order with the repetition that wins most for its work, of those that improve the score.
    fn improve(&self, order: &Order, score: Score, base: &[u64]) -> Option<(Order, Score)> {
        let spans = Spans::of(order);
        let mut repeats = vec![];
        for (half, kind) in self.alive(order, &spans).iter().enumerate() {
            let most = kind.iter().copied().max().unwrap_or(0);
            let Some(peak) = kind.iter().position(|&b| b == most && most > 0) else { continue };
            let over = (0..order.origin.len()).filter(|&v| spans.first[v] < peak && peak < spans.last[v]);
            let of_kind = over.filter(|&v| usize::from(self.size(order, v).half) == half);
            repeats.extend(of_kind.filter_map(|v| self.repeat(order, &spans, v, peak)));
        }
        repeats.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        repeats.into_iter().find_map(|repeat| {
            let next = order.with(&spans, &repeat, |row| self.draft(row).outputs.len() == row.makes.len());
            let dearer = self.flops(&next).iter().zip(base).any(|(now, base)| *now > base + base / EXTRA);
            let less = self.score(&next);
            (!dearer && less < score).then_some((next, less))
        })
    }

    /// How `value`, alive at row `peak` and not used there, can be made again when it is needed next.
    fn repeat(&self, order: &Order, spans: &Spans, value: usize, peak: usize) -> Option<Repeat> {
        if order.rows[peak].reads.contains(&value) {
            return None;
        }
        let reads = |row: &Row| row.reads.contains(&value);
        let at = peak + 1 + order.rows[peak + 1..].iter().position(reads)?;
        let mut gather = Gather { timeline: self, order, spans, peak, at, values: vec![], kept: 0 };
        if !gather.add(value) {
            return None;
        }
        let Gather { values, kept, .. } = gather;
        let freed = self.size(order, value).bytes.checked_sub(kept).filter(|&b| b > 0)?;
        // A value that nobody read yet is not made twice but later.
        let moved = !order.rows[..at].iter().any(reads);
        let work: u64 = values
            .iter()
            .map(|&v| {
                let flops = self.draft(&order.rows[spans.first[v]]).flops;
                self.size(order, v).bytes as u64 + if moved && v == value { 0 } else { flops }
            })
            .sum();
        Some(Repeat { values, at, worth: freed as f64 / work.max(1) as f64 })
    }

    /// Whether row `maker` does the same again right before row `at`.
    fn repeatable(&self, order: &Order, maker: usize, at: usize) -> bool {
        let (row, plan) = (&order.rows[maker], order.rows[at].plan);
        let draft = self.draft(row);
        let state = matches!(draft.work, Work::Draw(_) | Work::LossScale | Work::LogRow { .. } | Work::Round { .. });
        let persistent = state || draft.work.is_update();
        if persistent || draft.outputs.len() != 1 || row.makes.len() != 1 {
            return false;
        }
        let same_plan = row.plan == plan;
        // Of what an earlier plan reads, only what the later one reads too is sure to be as it was.
        let reads = |r: &Region| {
            let of_plan = order.rows.iter().filter(|other| other.plan == plan && other.draft != row.draft);
            of_plan.flat_map(|other| &self.draft(other).inputs).any(|place| fixed(place).is_some_and(|f| f == *r))
        };
        let changes = |r: &Region| {
            let between = order.rows[maker..at].iter().flat_map(|other| &self.draft(other).outputs);
            between.filter_map(fixed).any(|written| written.overlaps(r))
        };
        (same_plan || !matches!(draft.work, Work::Rand { .. }))
            && draft.inputs.iter().filter_map(fixed).all(|r| !changes(&r) && (same_plan || reads(&r)))
    }

    /// The drafts of an order, with numbers for its new values.
    fn found(&self, order: Order) -> Found {
        let Order { rows, origin } = order;
        let mut times = vec![0; self.drafts.len()];
        let drafts = rows.into_iter().map(|row| {
            let mut draft = self.draft(&row).clone();
            let renumber = |places: &mut Vec<Place>, values: Vec<usize>| {
                let places = places.iter_mut().filter(|place| fixed(place).is_none());
                places.zip(values).for_each(|(place, v)| *place = Place::Value(v));
            };
            renumber(&mut draft.inputs, row.reads);
            renumber(&mut draft.outputs, row.makes);
            times[row.draft] += 1;
            if times[row.draft] > 1 {
                draft.label.push_str(" again");
            }
            (row.plan, draft)
        });
        let drafts = drafts.collect();
        Found { drafts, copies: origin[self.sizes.len()..].to_vec() }
    }
}

/// Finding the steps that bring back a value.
struct Gather<'a> {
    timeline: &'a Timeline,
    order: &'a Order,
    spans: &'a Spans,
    peak: usize,
    at: usize,
    values: Vec<usize>,
    /// Bytes of what has to be kept over the peak for it.
    kept: usize,
}

impl Gather<'_> {
    /// Adds `value` behind what it is made from; `false` if it can't be made again.
    fn add(&mut self, value: usize) -> bool {
        let maker = self.spans.first[value];
        if self.values.len() >= DEEPEST || !self.timeline.repeatable(self.order, maker, self.at) {
            return false;
        }
        for &read in &self.order.rows[maker].reads {
            let near = self.spans.nearest(self.order, read, self.at);
            if self.spans.last[near] > self.peak || self.values.contains(&near) {
                continue;
            }
            let before = (self.values.len(), self.kept);
            if !self.add(near) {
                self.values.truncate(before.0);
                self.kept = before.1 + self.timeline.size(self.order, near).bytes;
            }
        }
        self.values.push(value);
        true
    }
}

impl Spans {
    fn of(order: &Order) -> Spans {
        let (values, steps) = (order.origin.len(), order.rows.len());
        let mut spans = Spans { first: vec![steps; values], last: vec![0; values], same: vec![vec![]; values] };
        for (time, row) in order.rows.iter().enumerate() {
            for &v in row.makes.iter().chain(&row.reads) {
                spans.first[v] = spans.first[v].min(time);
                spans.last[v] = time;
            }
        }
        order.origin.iter().enumerate().for_each(|(v, &origin)| spans.same[origin].push(v));
        spans
    }

    /// Of the values equal to `value` that are made before row `at`, the one that is kept longest.
    fn nearest(&self, order: &Order, value: usize, at: usize) -> usize {
        let made = self.same[order.origin[value]].iter().copied().filter(|&v| self.first[v] < at);
        made.max_by_key(|&v| self.last[v]).unwrap_or(value)
    }
}

impl Order {
    /// With steps made again; what is then read by nobody is dropped where `droppable`.
    fn with(&self, spans: &Spans, repeat: &Repeat, droppable: impl Fn(&Row) -> bool) -> Order {
        let Repeat { values, at, .. } = repeat;
        let mut next = self.clone();
        let mut copies: Vec<(usize, usize)> = vec![];
        let mut again = vec![];
        for &value in values {
            let maker = &self.rows[spans.first[value]];
            let read = |&v: &usize| {
                let near = spans.nearest(self, v, *at);
                copies.iter().find(|(of, _)| *of == near).map_or(near, |(_, copy)| *copy)
            };
            let reads = maker.reads.iter().map(read).collect();
            next.origin.push(self.origin[value]);
            copies.push((value, next.origin.len() - 1));
            let makes = vec![next.origin.len() - 1];
            again.push(Row { draft: maker.draft, plan: self.rows[*at].plan, reads, makes });
        }
        if let Some(&(of, copy)) = copies.last() {
            let later = next.rows[*at..].iter_mut().flat_map(|row| &mut row.reads);
            later.filter(|read| **read == of).for_each(|read| *read = copy);
        }
        next.rows.splice(*at..*at, again);
        let mut read = vec![false; next.origin.len()];
        let mut rows: Vec<Row> = vec![];
        for row in next.rows.into_iter().rev() {
            let unread = !row.makes.is_empty() && !row.makes.iter().any(|&v| read[v]);
            if !(unread && droppable(&row)) {
                row.reads.iter().for_each(|&v| read[v] = true);
                rows.push(row);
            }
        }
        rows.reverse();
        Order { rows, origin: next.origin }
    }
}
