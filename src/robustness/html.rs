//! A report as one page that needs nothing beside it: no scripts, no fonts, no files.

use super::charts::{Chart, Series, escape};
use super::report::RobustnessReport;
use crate::attack::Norm;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td,th{padding:.25rem .7rem;\
border-bottom:1px solid #d1d9e0;text-align:right}td:first-child,th:first-child{text-align:left}.big{font-size:1.2rem}\
.charts{display:flex;flex-wrap:wrap;gap:1rem}svg{width:28rem;max-width:100%;font:12px system-ui,sans-serif}.warn{background:#fff8c5;border-left:4px solid #d4a72c;padding:.4rem .8rem}\
img{max-width:100%;image-rendering:pixelated}small{color:#59636e}";

/// The page.
pub fn page(report: &RobustnessReport) -> String {
    let norm = if report.norm == Norm::Inf { "∞" } else { "2" };
    let (model, data) = (escape(&report.model), escape(&report.data));
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{model} under attack</title><style>{STYLE}</style></head><body><h1>{model} under attack</h1>\
         <p>{} images of {data}, ε = {} in the {norm}-norm of pixels from 0 to 1.</p>\
         <p class=\"big\">Right without an attack: <b>{:.2} %</b>. Right under every attack: <b>{:.2} %</b>.</p>",
        report.count,
        escape(&report.eps),
        100.0 * report.clean,
        100.0 * report.worst(),
    );
    for warning in &report.warnings.0 {
        let _ = write!(out, "<p class=\"warn\">{}</p>", escape(warning));
    }
    table(&mut out, report);
    out += "<div class=\"charts\">";
    charts(report).iter().for_each(|chart| out += &chart.svg());
    out += "</div>";
    transfer(&mut out, report);
    if let Some(png) = &report.picture {
        out += "<h2>Examples</h2><p>Left the image, then ten times the change, then the example; below, what the model says.</p>";
        let _ = write!(out, "<img alt=\"Examples\" src=\"data:image/png;base64,{}\">", base64(png));
    }
    let _ = write!(
        out,
        "<p><small>Accuracy is the share of all images. The worst case counts an image as right only where no attack up to that row \
         has changed what the model says. Passes are forward + backward through the model. {}.</small></p></body></html>",
        escape(&report.device)
    );
    out
}

fn table(out: &mut String, report: &RobustnessReport) {
    *out += "<h2>Attacks</h2><table><tr>";
    RobustnessReport::HEADS.iter().for_each(|head| *out += &format!("<th>{head}</th>"));
    *out += "</tr>";
    for row in report.rows() {
        *out += "<tr>";
        row.iter().for_each(|cell| *out += &format!("<td>{}</td>", escape(cell)));
        *out += "</tr>";
    }
    *out += "</table>";
}

fn charts(report: &RobustnessReport) -> Vec<Chart> {
    let mut charts = vec![];
    if !report.against_eps.is_empty() {
        let points = report.against_eps.iter().map(|p| (p.eps / 2.0, 100.0 * p.accuracy)).collect();
        charts.push(Chart {
            title: "Accuracy against the radius (PGD)".into(),
            x: "ε".into(),
            y: "accuracy %".into(),
            series: vec![Series { name: "PGD".into(), points }],
            range: Some((0.0, 100.0)),
        });
    }
    if !report.against_steps.is_empty() {
        let steps = || report.against_steps.iter();
        let chart = |title: &str, y: &str, points: Vec<(f64, f64)>, range| Chart {
            title: title.into(),
            x: "steps".into(),
            y: y.into(),
            series: vec![Series { name: "PGD".into(), points }],
            range,
        };
        let accuracy = steps().map(|p| (f64::from(p.steps), 100.0 * p.accuracy)).collect();
        charts.push(chart("Accuracy against steps (PGD)", "accuracy %", accuracy, Some((0.0, 100.0))));
        let margin = steps().map(|p| (f64::from(p.steps), p.margin)).collect();
        charts.push(chart("Loss against steps (PGD)", "mean margin", margin, None));
    }
    charts
}

fn transfer(out: &mut String, report: &RobustnessReport) {
    if report.transfer.len() < 2 {
        return;
    }
    *out += "<h2>Transfer</h2><p>Accuracy % of the model of a row on examples made for the model of a column.</p>";
    let heads: Vec<String> = report.transfer.iter().map(|(name, _)| name.clone()).collect();
    shares(out, &heads, &report.transfer);
    *out += "<h2>Models and attacks</h2><p>Accuracy % that an attack leaves; the last but one has another norm than the rest, and the \
             last counts an image as right where no attack of the row has changed what the model says.</p>";
    shares(out, &report.matrix.heads, &report.matrix.rows);
}

/// A table of shares in per cent.
fn shares(out: &mut String, heads: &[String], rows: &[(String, Vec<f64>)]) {
    *out += "<table><tr><th></th>";
    heads.iter().for_each(|head| *out += &format!("<th>{}</th>", escape(head)));
    *out += "</tr>";
    for (name, row) in rows {
        *out += &format!("<tr><td>{}</td>", escape(name));
        row.iter().for_each(|share| *out += &format!("<td>{:.2}</td>", 100.0 * share));
        *out += "</tr>";
    }
    *out += "</table>";
}

/// Bytes as text (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]);
            out.push(if i <= three.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
