//! The page of a run, and its alarms, as whoever trains meets them.

use crate::program::{done, run, stderr};
use std::fs;

const IMAGES: &str = "train faces32 --device host --batch 4 --set model.g_width=4 --set model.d_width=4 --set model.z=8 \
                      --set data.count=32 --set sample.count=2x2 --set log.every_steps=1";

#[test]
fn a_page_needs_nothing_beside_it_and_is_kept_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let words = "--kimg 0.016 --set checkpoint.every_kimg=0.008 --set sample.every_kimg=0.004 --out run";
    done(dir.path(), &format!("{IMAGES} {words}"));
    let path = dir.path().join("run/report.html");
    let page = fs::read_to_string(&path).unwrap();
    let grids = page.split("<div id=\"grids\">").nth(1).unwrap().split("</div>").next().unwrap();
    assert_eq!(grids.matches("<img").count(), 5, "one per grid");
    assert_eq!(grids.matches("<img hidden").count(), 4, "the newest shows without scripts");
    for part in ["0.016 of 0.016 thousand images", "d_loss", "Reals", "g_width = 4", "</html>"] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http://", "https://", "src=\"/", "href="] {
        assert!(!page.contains(outside), "it reaches for {outside}");
    }
    done(dir.path(), "train --resume run --device host --kimg 0.024");
    assert!(fs::read_to_string(&path).unwrap().contains("0.024 of 0.024 thousand images"));
}

/// A generator that stands still loses to its discriminator: told once, on the screen and on the page, and the same after a resume.
#[test]
fn an_alarm_names_its_cause_and_the_setting_to_turn() {
    let dir = tempfile::tempdir().unwrap();
    let words = "train faces32 --device host --batch 8 --set model.g_width=4 --set model.d_width=8 --set model.z=8 --set data.count=32 \
                 --set sample.count=2x2 --set log.every_steps=4 --set optim.lr=1e-5 --set optim.lr_d_scale=100 --set sample.every_kimg=0 \
                 --kimg 1.6 --set checkpoint.every_kimg=1.2 --out run";
    let output = run(dir.path(), words);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(
        said.matches("ALARM: the discriminator tells reals from fakes almost without error").count(),
        1,
        "{said}"
    );
    assert!(said.contains("loss.r1_gamma"), "{said}");
    let page = || fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    let warned = |page: &str| page.split("class=\"warn\"").count();
    let before = warned(&page());
    assert!(before > 1);
    let again = run(dir.path(), "train --resume run --device host --kimg 1.8");
    let said = format!("{}{}", String::from_utf8_lossy(&again.stdout), stderr(&again));
    assert!(!said.contains("almost without error"), "what lasts is not told again: {said}");
    assert_eq!(warned(&page()), before);
}
