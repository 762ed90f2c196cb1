//! A report as one page that needs nothing beside it: no scripts, no fonts, no files.

use super::report::RobustnessReport;
use crate::attack::Norm;
use crate::page::{Chart, Series, escape, head, png_address};
use std::fmt::Write;

/// The page.
pub fn page(report: &RobustnessReport) -> String {
    let norm = if report.norm == Norm::Inf { "∞" } else { "2" };
    let (model, data) = (escape(&report.model), escape(&report.data));
    let mut out = format!(
        "{}<h1>{model} under attack</h1>\
         <p>{} images of {data}, ε = {} in the {norm}-norm of pixels from 0 to 1.</p>\
         <p class=\"big\">Right without an attack: <b>{:.2} %</b>. Right under every attack: <b>{:.2} %</b>.</p>",
        head(&format!("{} under attack", report.model)),
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
        let _ = write!(out, "<img alt=\"Examples\" src=\"{}\">", png_address(png));
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
