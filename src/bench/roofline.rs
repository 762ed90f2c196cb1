//! A roofline (Williams 2009) as SVG: operations per second over operations per byte, both logarithmic, with the device's
//! two measured peaks as the roof and one numbered dot per kernel. A legend beside it tells the numbers.

use super::kernel::KernelRow;
use super::peak::Peaks;
use std::fmt::Write;

/// The diagram's place, in pixels.
const LEFT: f64 = 72.0;
const TOP: f64 = 64.0;
const WIDTH: f64 = 640.0;
const LEAST_HEIGHT: f64 = 480.0;
/// The legend's.
const LEGEND: f64 = 364.0;
const LINE: f64 = 15.0;
/// Half of a dot's number, with air around it.
const NUMBER: [f64; 2] = [9.0, 7.0];
const DOT: f64 = 4.0;
/// Room for the label of the roof below the top of the diagram.
const LABEL: f64 = 20.0;

/// Colours that most eyes tell apart (Okabe and Ito), by family.
const COLOURS: [(&str, &str); 11] = [
    ("matmul", "#000000"),
    ("matmul_nt", "#000000"),
    ("matmul_tn", "#000000"),
    ("conv", "#0072b2"),
    ("conv_x", "#d55e00"),
    ("conv_w", "#009e73"),
    ("fir", "#cc79a7"),
    ("pointwise", "#56b4e9"),
    ("reduce", "#b8860b"),
    ("adam", "#7f3fbf"),
    ("sgd", "#7f3fbf"),
];

/// A logarithmic axis: values to pixels.
#[derive(Clone, Copy, Debug)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value.max(1e-12) / self.low).log10() / (self.high / self.low).log10();
        self.from + share.clamp(-0.01, 1.01) * (self.to - self.from)
    }

    /// 1, 2 and 5 of every decade, and whether it is a 1.
    fn ticks(&self) -> Vec<(f64, bool)> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| (m * f64::powi(10.0, d), m == 1.0)));
        all.filter(|(v, _)| (self.low * 0.999..=self.high * 1.001).contains(v)).collect()
    }
}

/// The diagram of `rows`.
pub fn svg(peaks: &Peaks, rows: &[KernelRow]) -> String {
    let height = LEAST_HEIGHT.max(rows.len() as f64 * LINE + 24.0);
    let ridge = peaks.gflops() / peaks.gbytes_per_s();
    let rate = |row: &KernelRow| row.common.gflops.unwrap_or(0.0);
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let low_x = least(&mut rows.iter().map(|r| r.intensity)).min(ridge / 8.0) / 2.0;
    let high_x = rows.iter().map(|r| r.intensity).fold(ridge * 8.0, f64::max) * 2.0;
    let low_y = least(&mut rows.iter().map(rate)).min(peaks.gflops() / 20.0) / 2.0;
    let x = Axis { low: low_x, high: high_x, from: LEFT, to: LEFT + WIDTH };
    let y = Axis { low: low_y, high: peaks.gflops() * 2.5, from: TOP + height, to: TOP };
    let (total_width, total_height) = (LEFT + WIDTH + LEGEND, TOP + height + 64.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total_width} {total_height}\" width=\"{total_width}\" \
         height=\"{total_height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let title = format!("Roofline of {}", peaks.fma.common.device);
    text(&mut out, [LEFT, 28.0], "start", "font-size=\"16\" font-weight=\"bold\"", &title);
    let under = "medians; the roof is what this device was measured to do at most";
    text(&mut out, [LEFT, 46.0], "start", "fill=\"#666666\"", under);
    grid(&mut out, &x, &y);
    roof(&mut out, peaks, ridge, &x, &y);
    dots(&mut out, rows, &x, &y);
    legend(&mut out, rows);
    out += "</svg>\n";
    out
}

fn grid(out: &mut String, x: &Axis, y: &Axis) {
    let colour = |major: bool| if major { "#cccccc" } else { "#eeeeee" };
    for (value, major) in x.ticks() {
        let at = x.at(value);
        line(out, [at, y.from], [at, y.to], colour(major), 1.0);
        text(out, [at, y.from + 18.0], "middle", "fill=\"#333333\"", &number(value));
    }
    for (value, major) in y.ticks() {
        let at = y.at(value);
        line(out, [x.from, at], [x.to, at], colour(major), 1.0);
        text(out, [x.from - 8.0, at + 4.0], "end", "fill=\"#333333\"", &number(value));
    }
    let _ = writeln!(
        out,
        "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"none\" stroke=\"#333333\"/>",
        x.from,
        y.to,
        x.to - x.from,
        y.from - y.to
    );
    let middle = [(x.from + x.to) / 2.0, (y.from + y.to) / 2.0];
    text(out, [middle[0], y.from + 42.0], "middle", "font-size=\"13\"", "arithmetic intensity, FLOP/byte");
    let turn = format!("font-size=\"13\" transform=\"rotate(-90 20 {:.1})\"", middle[1]);
    text(out, [20.0, middle[1]], "middle", &turn, "speed, GFLOP/s");
}

fn roof(out: &mut String, peaks: &Peaks, ridge: f64, x: &Axis, y: &Axis) {
    let peak = y.at(peaks.gflops());
    let slope_from = x.low.max(y.low / peaks.gbytes_per_s());
    let start = [x.at(slope_from), y.at(peaks.roof(slope_from))];
    let corner = [x.at(ridge), peak];
    line(out, start, corner, "#333333", 2.0);
    line(out, corner, [x.to, peak], "#333333", 2.0);
    let flat = format!("{:.1} GFLOP/s of multiply-adds", peaks.gflops());
    // High above the roof: dots crowd below it.
    text(out, [x.to - 8.0, y.to + 16.0], "end", "font-weight=\"bold\" fill=\"#333333\"", &flat);
    // Along the slope and above it, at its lower end, where few kernels lie.
    let degrees = (corner[1] - start[1]).atan2(corner[0] - start[0]).to_degrees();
    let turn = format!(
        "font-weight=\"bold\" fill=\"#333333\" transform=\"rotate({degrees:.2} {:.1} {:.1}) translate(20 -14)\"",
        start[0], start[1]
    );
    text(out, start, "start", &turn, &format!("{:.1} GB/s of memory", peaks.gbytes_per_s()));
}

fn dots(out: &mut String, rows: &[KernelRow], x: &Axis, y: &Axis) {
    let places: Vec<[f64; 2]> =
        rows.iter().map(|r| [x.at(r.intensity), y.at(r.common.gflops.unwrap_or(0.0))]).collect();
    let numbers = spread(&places, [x.from, x.to], [y.to + LABEL, y.from]);
    for ((row, &dot), &at) in rows.iter().zip(&places).zip(&numbers) {
        let colour = colour(row);
        line(out, dot, at, colour, 0.6);
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{DOT}\" fill=\"{colour}\"><title>{} {}</title></circle>",
            dot[0],
            dot[1],
            escape(&row.common.workload),
            escape(&row.rung)
        );
    }
    // Numbers last: nothing is drawn over them.
    for (i, (row, at)) in rows.iter().zip(&numbers).enumerate() {
        let halo = format!(
            "font-size=\"10.5\" font-weight=\"bold\" fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"",
            colour(row)
        );
        text(out, [at[0], at[1] + 4.0], "middle", &halo, &(i + 1).to_string());
    }
}

/// Where each dot's number goes: as near as it can be without touching a dot or another number.
fn spread(dots: &[[f64; 2]], across: [f64; 2], down: [f64; 2]) -> Vec<[f64; 2]> {
    let mut placed: Vec<[f64; 2]> = vec![];
    for dot in dots {
        let free = |at: &[f64; 2]| {
            let inside = at[0] > across[0] + NUMBER[0]
                && at[0] < across[1] - NUMBER[0]
                && at[1] > down[0] + NUMBER[1]
                && at[1] < down[1] - NUMBER[1];
            let near = |other: &[f64; 2], room: f64| {
                (at[0] - other[0]).abs() < NUMBER[0] + room && (at[1] - other[1]).abs() < NUMBER[1] + room
            };
            let apart = |other: &[f64; 2]| {
                (at[0] - other[0]).abs() >= 2.0 * NUMBER[0] || (at[1] - other[1]).abs() >= 2.0 * NUMBER[1]
            };
            inside && !dots.iter().any(|d| near(d, DOT)) && placed.iter().all(apart)
        };
        let ring = |radius: f64| {
            (0..24).map(move |step| {
                // From the right upwards and on around.
                let angle = -f64::from(step) * std::f64::consts::TAU / 24.0;
                [dot[0] + radius * angle.cos(), dot[1] + radius * angle.sin()]
            })
        };
        let radii = (0..40).map(|r| 13.0 + 4.0 * f64::from(r));
        let place = radii.flat_map(ring).find(free);
        placed.push(place.unwrap_or([dot[0] + 13.0, dot[1]]));
    }
    placed
}

fn legend(out: &mut String, rows: &[KernelRow]) {
    let left = LEFT + WIDTH + 24.0;
    let columns = [left + 16.0, left + 24.0, left + 276.0, left + 326.0];
    let head = |out: &mut String, at: f64, anchor: &str, name: &str| {
        text(out, [at, TOP + 4.0], anchor, "font-size=\"11\" fill=\"#666666\"", name);
    };
    head(out, columns[1], "start", "kernel");
    head(out, columns[2], "end", "GFLOP/s");
    head(out, columns[3], "end", "of roof");
    for (i, row) in rows.iter().enumerate() {
        let down = TOP + 4.0 + LINE * (i + 1) as f64;
        let colour = format!("font-size=\"11\" fill=\"{}\"", colour(row));
        let mut cell = |at: f64, anchor: &str, words: &str| text(out, [at, down], anchor, &colour, words);
        cell(columns[0], "end", &(i + 1).to_string());
        cell(columns[1], "start", &row.common.workload);
        cell(columns[2], "end", &format!("{:.1}", row.common.gflops.unwrap_or(0.0)));
        let share = row.of_roof.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share));
        cell(columns[3], "end", &share);
    }
}

fn colour(row: &KernelRow) -> &'static str {
    COLOURS.iter().find(|(family, _)| *family == row.family).map_or("#666666", |(_, colour)| *colour)
}

fn line(out: &mut String, from: [f64; 2], to: [f64; 2], colour: &str, width: f64) {
    let ([x1, y1], [x2, y2]) = (from, to);
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
    );
}

fn text(out: &mut String, [x, y]: [f64; 2], anchor: &str, style: &str, words: &str) {
    let words = escape(words);
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{words}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A tick's number: 0.05, 2, 500, 2000.
fn number(value: f64) -> String {
    let digits = (-value.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside() {
        let axis = Axis { low: 0.3, high: 12.0, from: 0.0, to: 100.0 };
        let ticks: Vec<String> = axis.ticks().iter().map(|(v, _)| number(*v)).collect();
        assert_eq!(ticks, ["0.5", "1", "2", "5", "10"]);
        assert!((axis.at(0.3) - 0.0).abs() < 1e-9 && (axis.at(12.0) - 100.0).abs() < 1e-9);
        assert!((axis.at((0.3f64 * 12.0).sqrt()) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_of_close_dots_keep_apart() {
        let dots: Vec<[f64; 2]> = (0..30).map(|i| [300.0 + f64::from(i % 5), 200.0 + f64::from(i / 5)]).collect();
        let places = spread(&dots, [0.0, 640.0], [0.0, 480.0]);
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                let apart = (a[0] - b[0]).abs() >= 2.0 * NUMBER[0] || (a[1] - b[1]).abs() >= 2.0 * NUMBER[1];
                assert!(apart, "{a:?} and {b:?}");
            }
        }
    }
}
