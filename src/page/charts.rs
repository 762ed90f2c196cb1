//! Line charts as SVG, for pages that need nothing beside them.

use super::escape;
use std::fmt::Write;

/// A line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Points by x.
    pub points: Vec<(f64, f64)>,
}

/// A chart of a few lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub x: String,
    /// Beside the vertical axis.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Lowest and highest value of the vertical axis; `None` takes those of the points.
    pub range: Option<(f64, f64)>,
}

/// A line of more points than this has no dots.
const DOTS: usize = 40;
/// A line of more points than this is thinned.
const MOST: usize = 400;

const COLOURS: [&str; 8] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#0a9396", "#bf3989"];
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 48.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 16.0;

/// A number with three digits that count, without zeros behind.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Round steps that divide a range into four to eight.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// At most [`MOST`] points: each the mean of as many neighbours as it takes. Numbers that are not finite are left out.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let at_once = finite.len().div_ceil(MOST).max(1);
    let mean = |group: &[(f64, f64)]| {
        let (x, y) = group.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        (x / group.len() as f64, y / group.len() as f64)
    };
    finite.chunks(at_once).map(mean).collect()
}

impl Chart {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|s| &s.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let bounds = |of: fn(&(f64, f64)) -> f64| {
            let (low, high) = all().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            if low < high { (low, high) } else { (low - 0.5, low + 0.5) }
        };
        let (x_range, y_range) = (bounds(|p| p.0), self.range.unwrap_or_else(|| bounds(|p| p.1)));
        let place = |v: f64, (low, high): (f64, f64), from: f64, to: f64| from + (v - low) / (high - low) * (to - from);
        let at_x = |v: f64| place(v, x_range, LEFT, WIDTH - RIGHT);
        let at_y = |v: f64| place(v, y_range, HEIGHT - BOTTOM, TOP);
        let mut out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><text x=\"{LEFT}\" y=\"20\" font-weight=\"600\">{0}</text>",
            escape(&self.title)
        );
        for v in ticks(x_range.0, x_range.1) {
            let (x, low) = (at_x(v), HEIGHT - BOTTOM);
            let _ = write!(out, "<path stroke=\"#e6eaef\" d=\"M{x:.1} {TOP}V{low}\"/>");
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", low + 16.0, short(v));
        }
        for v in ticks(y_range.0, y_range.1) {
            let y = at_y(v);
            let _ = write!(out, "<path stroke=\"#e6eaef\" d=\"M{LEFT} {y:.1}H{}\"/>", WIDTH - RIGHT);
            let _ =
                write!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, y + 4.0, short(v));
        }
        let (middle, centre) = ((LEFT + WIDTH - RIGHT) / 2.0, (TOP + HEIGHT - BOTTOM) / 2.0);
        let _ = write!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 10.0,
            escape(&self.x)
        );
        let y = escape(&self.y);
        let _ = write!(out, "<text transform=\"translate(16 {centre}) rotate(-90)\" text-anchor=\"middle\">{y}</text>");
        for (i, series) in self.series.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let points: Vec<String> = thinned(&series.points)
                .iter()
                .map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(y.clamp(y_range.0, y_range.1))))
                .collect();
            let _ = write!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                points.join(" ")
            );
            let dots = if points.len() > DOTS { &[][..] } else { &points[..] };
            for point in dots {
                let (x, y) = point.split_once(',').unwrap_or_default();
                let _ = write!(out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
            }
            if self.series.len() > 1 {
                let (x, y, name) = (WIDTH - RIGHT - 150.0, TOP + 14.0 + 16.0 * i as f64, escape(&series.name));
                let _ = write!(out, "<path stroke=\"{colour}\" stroke-width=\"3\" d=\"M{x} {}h18\"/>", y - 4.0);
                let _ = write!(out, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 24.0);
            }
        }
        out + "</svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.05, "0.05"), (12.0, "12"), (0.3333, "0.333"), (1234.6, "1235"), (-1.5, "-1.5")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn axes_have_a_few_round_ticks() {
        assert_eq!(ticks(0.0, 1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        for (low, high) in [(0.0, 0.3), (-12.0, 5.0), (1.0, 64.0), (0.1, 0.11)] {
            let count = ticks(low, high).len();
            assert!((3..=9).contains(&count), "{low} {high}: {count}");
        }
    }

    #[test]
    fn long_lines_are_thinned_to_means() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), if i == 7 { f64::NAN } else { 2.0 })).collect();
        let thin = thinned(&points);
        assert_eq!((thin.len(), thin[0]), (333, (1.0, 2.0)));
        assert!(thin.iter().all(|(_, y)| *y == 2.0));
    }

    #[test]
    fn a_chart_names_its_lines_and_places_its_points() {
        let line = |name: &str, y: f64| Series { name: name.into(), points: vec![(0.0, y), (1.0, 0.0)] };
        let series = vec![line("clean <a>", 1.0), line("robust", 0.5)];
        let chart = Chart { title: "t".into(), x: "x".into(), y: "y".into(), series, range: Some((0.0, 1.0)) };
        let svg = chart.svg();
        assert!(svg.contains("clean &lt;a&gt;") && svg.contains("robust"), "{svg}");
        assert!(svg.contains(&format!("{LEFT:.1},{TOP:.1} {:.1},{:.1}", WIDTH - RIGHT, HEIGHT - BOTTOM)), "{svg}");
    }
}
