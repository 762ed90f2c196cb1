//! How far a run is: a bar on a terminal, plain lines anywhere else.

use super::output;
use crate::train::game::Shown;
use crate::train::stats::Report;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Shows [`Report`]s.
#[derive(Debug)]
pub struct Progress {
    /// `None` where stdout is no terminal.
    bar: Option<ProgressBar>,
    kimg: f64,
    shown: Vec<Shown>,
}

impl Progress {
    /// Of a run of so many thousand images, with what its game shows.
    pub fn new(kimg: f64, shown: Vec<Shown>) -> Progress {
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(images(kimg)), ProgressDrawTarget::stdout());
            // Two lines: how far and how fast, then how well.
            match ProgressStyle::with_template("{bar:32} {prefix}\n{wide_msg}") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Progress { bar, kimg, shown }
    }

    /// A new report.
    pub fn report(&mut self, report: &Report) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(speed(report, self.kimg));
                bar.set_message(quality(report, &self.shown));
                bar.set_position(images(report.kimg));
            }
            None => output::line(format_args!("{}  {}", speed(report, self.kimg), quality(report, &self.shown))),
        }
    }

    /// A line that stays: a checkpoint written, a picture drawn.
    pub fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => output::line(text),
        }
    }

    /// Leaves the last report standing.
    pub fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn images(kimg: f64) -> u64 {
    (kimg * 1000.0).round() as u64
}

/// How far and how fast.
fn speed(report: &Report, kimg: f64) -> String {
    format!(
        "{:.1}/{kimg} kimg  {:.2} s/kimg  {:.1} img/s  ETA {}  {}",
        report.kimg,
        report.sec_per_kimg,
        report.img_per_s,
        output::duration(report.eta),
        output::bytes(report.memory),
    )
}

/// How well: what the game shows first, then everything else.
fn quality(report: &Report, shown: &[Shown]) -> String {
    let first = shown.iter().map(|s| {
        let value = report.scalar(&s.value) - s.minus.as_ref().map_or(0.0, |minus| report.scalar(minus));
        format!("{} {value:.3}", s.label)
    });
    let known = |name: &String| shown.iter().any(|s| s.value == *name || s.minus.as_ref() == Some(name));
    // On the page of the run, and told of when it matters.
    let quiet = |name: &String| matches!(name.as_str(), "average_gap" | "diversity");
    let rest = report
        .scalars
        .iter()
        .filter(|(name, _)| !known(name) && !quiet(name))
        .map(|(name, value)| format!("{name} {value:.3}"));
    let mut text = first.chain(rest).collect::<Vec<_>>().join("  ");
    if report.nonfinite > 0 {
        text += &format!("  NOT FINITE {}", report.nonfinite);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_in_words() {
        let scalars = [("d_loss", 0.5), ("g_loss", 1.25), ("d_real", 2.0), ("d_fake", -1.0), ("g_grad_norm", f64::NAN)];
        let mut report = Report {
            kimg: 12.8,
            sec_per_kimg: 2.5,
            img_per_s: 400.0,
            scalars: scalars.map(|(name, value)| (name.to_owned(), value)).into(),
            eta: 1218.0,
            memory: 3 << 20,
            ..Report::default()
        };
        let shown = [
            Shown::value("D", "d_loss"),
            Shown::difference("D(x)-D(G)", "d_real", "d_fake"),
            Shown::value("|grad G|", "g_grad_norm"),
        ];
        assert_eq!(speed(&report, 500.0), "12.8/500 kimg  2.50 s/kimg  400.0 img/s  ETA 20 min 18 s  3.00 MiB");
        assert_eq!(quality(&report, &shown), "D 0.500  D(x)-D(G) 3.000  |grad G| NaN  g_loss 1.250");
        report.scalars.insert("modes".into(), 8.0);
        report.nonfinite = 3;
        assert!(quality(&report, &shown).ends_with("  modes 8.000  NOT FINITE 3"), "{}", quality(&report, &shown));
    }
}
