//! Published results that this program repeats: what is trained, what attacks it, and what was published.
//!
//! A reproduction is a list of commands as a user could type them; nothing here runs by itself.

mod gans;
mod mnist;

/// One network of a reproduction.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What tables call it.
    pub label: &'static str,
    /// Words behind `danskin train`; the run folder, the data and the seed follow.
    pub train: &'static str,
    /// What was published: clean and robust accuracy in per cent, and by which attack.
    pub published: &'static str,
}

/// A published result.
#[derive(Clone, Copy, Debug)]
pub struct Reproduction {
    /// What it is asked for by.
    pub name: &'static str,
    /// What `--data` has to name; empty where it needs none.
    pub data: &'static str,
    /// One line for people, with its source.
    pub about: &'static str,
    /// What it takes with three seeds on two processor cores.
    pub budget: &'static str,
    /// Configuration of every variant.
    pub config: &'static str,
    /// The networks.
    pub variants: &'static [Variant],
    /// How they are measured.
    pub measured: MeasuredBy,
    /// Whether the first number is drawn against the second.
    pub chart: bool,
}

/// How the networks of a reproduction are measured.
#[derive(Clone, Copy, Debug)]
pub enum MeasuredBy {
    /// Clean accuracy and what attacks leave of it: words behind `danskin attack RUN`, with what each is called in the table; the data
    /// follows.
    Attacks(&'static [(&'static str, &'static str)]),
    /// Words behind `danskin eval RUN` (the data follows), and of what it finds which numbers make columns.
    Samples(&'static str, &'static [Column]),
    /// The same with modes counted by a classifier.
    Labelled {
        /// Words behind the `danskin train` that makes the classifier first.
        classifier: &'static str,
        /// Words behind `danskin eval RUN`.
        eval: &'static str,
        /// Columns of the table.
        columns: &'static [Column],
    },
}

/// A column of numbers that `danskin eval --json` writes.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What tables call it.
    pub label: &'static str,
    /// The number's name.
    pub key: &'static str,
    /// It is multiplied by this: 100 for per cent.
    pub factor: f64,
}

/// What reproductions on MNIST want.
const MNIST: &str = "the folder of the MNIST files";

/// Every reproduction.
pub fn reproductions() -> impl Iterator<Item = &'static Reproduction> {
    mnist::ALL.iter().chain(gans::ALL)
}
