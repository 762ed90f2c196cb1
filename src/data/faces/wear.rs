//! Headwear and glasses.

use super::canvas::{Matter, Texel};
use super::factors::{Glasses, Hat};
use super::maths::{bump, inside, length, mix, scale, smooth, to_segment};
use super::rig::{Rig, Spot, Surface};

/// Depth of the plane of the lenses.
const LENS_PLANE: f32 = 0.9;

/// Lays headwear over a sample.
pub(super) fn lay_hat(rig: &Rig, spot: Spot, texel: &mut Texel) {
    match rig.face.hat {
        Hat::None => {}
        Hat::Beanie => beanie(rig, spot, texel),
        Hat::Cap => cap(rig, spot, texel),
        Hat::Brimmed => brimmed(rig, spot, texel),
        Hat::Headband => headband(rig, spot, texel),
        Hat::Scarf => scarf(rig, spot, texel),
    }
}

fn beanie(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let shell = rig.shell(spot.head, 0.1, 0.2);
    let rib = (shell.u / (1.25 - 0.5 * shell.v) * 55.0).sin() * smooth(0.03, 0.012, rig.step);
    let knit = 1.0 + 0.12 * rig.texture(shell.u, shell.v, 16.0, 91) + 0.15 * rib;
    let rim = shell.v - 0.43 + 0.16 * shell.u * shell.u;
    let colour = scale(rig.colours.hat, knit);
    let dome = Texel { depth: shell.z + 0.07 + 0.012 * rib, albedo: colour, matter: Matter::CLOTH };
    texel.over(inside(shell.depth_in.min(rim), 0.7 * rig.step), dome);
    let fold = Texel { depth: shell.z + 0.12 + 0.015 * rib, albedo: scale(colour, 0.85), ..dome };
    texel.over(inside((shell.depth_in + 0.02).min(rim + 0.01).min(0.21 - rim), 0.7 * rig.step), fold);
}

fn cap(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let soft = 0.7 * rig.step;
    let shell = rig.shell(spot.head, 0.05, 0.16);
    let rim = shell.v - 0.5 + 0.2 * shell.u * shell.u;
    let seam = 1.0 - 0.25 * bump(shell.u, 0.0, 0.02 + rig.step, 1.0);
    let colour = rig.colours.hat;
    let dome = Texel { depth: shell.z + 0.05, albedo: scale(colour, seam), matter: Matter::CLOTH };
    texel.over(inside(shell.depth_in.min(rim), soft), dome);
    let (u, v) = rig.project(spot.head, 1.05);
    let peak = 1.0 - length(u / 0.6, (v - 0.46 + 0.22 * u * u) / 0.12);
    let brim = Texel { depth: 1.15 + 0.25 * (0.45 - v), albedo: scale(colour, 0.7), matter: Matter::CLOTH };
    texel.over(inside(0.13 * peak, soft), brim);
}

fn brimmed(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let soft = 0.7 * rig.step;
    let colour = rig.colours.hat;
    let shell = rig.shell(spot.head, 0.03, 0.32);
    let pinch = 0.06 * bump(shell.u, shell.v - 1.0, 0.25, 0.4);
    let rim = shell.v - 0.47;
    let crown = Texel { depth: shell.z + 0.03 - pinch, albedo: colour, matter: Matter::CLOTH };
    texel.over(inside((shell.depth_in - pinch).min(rim), soft), crown);
    let band = Texel { albedo: scale(colour, 0.3), depth: crown.depth + 0.02, ..crown };
    texel.over(inside(shell.depth_in.min(0.13 - (rim - 0.12).abs() * 1.6), soft), band);
    let [x, y] = spot.head;
    let (x, y) = (x - 0.2 * rig.turn, y - 0.5 - 0.75 * rig.nod);
    let disc = 1.0 - length(x / 1.24, (y - 0.05 * x * x) / 0.15);
    let front = smooth(0.1, -0.1, y);
    let brim = Texel { depth: 0.35 + 0.85 * front * (1.0 - (x / 1.3).powi(2)), albedo: scale(colour, 0.85), ..crown };
    texel.over(inside(0.15 * disc, soft), brim);
}

fn headband(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let (flank, top) = if rig.hair.bald { (0.01, 0.01) } else { (rig.hair.flank, rig.hair.top) };
    let shell = rig.shell(spot.head, flank, top);
    let skull = rig.shell(spot.head, 0.0, 0.0);
    let band = 0.085 - (skull.v - 0.63 + 0.25 * skull.u * skull.u).abs();
    let cloth = Texel { depth: shell.z.max(skull.z) + 0.06, albedo: rig.colours.hat, matter: Matter::CLOTH };
    texel.over(inside(band.min(shell.depth_in + 0.01), 0.7 * rig.step), cloth);
}

fn scarf(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let shell = rig.shell(spot.head, 0.13, 0.13);
    let skull = rig.shell(spot.head, 0.0, 0.0);
    let [x, y] = spot.head;
    let under = (0.76 + 0.5 * smooth(-0.5, -1.4, y) - x.abs()).min(TEMPLE_LINE - y).min(y + 1.5);
    let oval = length(skull.u / 0.56, (skull.v + 0.24) / 0.8) - 1.0;
    let folds = rig.texture(x, y - 0.6 * x.abs(), 3.0, 92);
    let rise = smooth(0.0, 0.25, oval);
    let cloth = Texel {
        depth: skull.z.max(0.15) + 0.02 + 0.16 * rise + 0.03 * folds - 0.15 * smooth(-0.9, -1.5, y),
        albedo: scale(rig.colours.scarf, 1.0 + 0.1 * folds),
        matter: Matter::CLOTH,
    };
    texel.over(inside(shell.depth_in.max(under).min(0.55 * oval), 0.7 * rig.step), cloth);
}

/// Below this height the headscarf falls straight.
const TEMPLE_LINE: f32 = 0.1;

/// Lays glasses over a sample.
pub(super) fn lay_glasses(rig: &Rig, spot: Spot, skull: &Surface, texel: &mut Texel) {
    let kind = rig.face.glasses;
    if kind == Glasses::None || skull.depth_in < -0.05 {
        return;
    }
    let (u, v) = rig.project(spot.head, LENS_PLANE);
    if !(-0.35..0.3).contains(&v) {
        return;
    }
    let soft = (0.6 * rig.step).max(0.006);
    let (x, y) = (u.abs() - rig.eye.x - 0.005, v + 0.015);
    let rounded = |rx: f32, ry: f32, r: f32| {
        let (dx, dy) = (x.abs() - rx + r, y.abs() - ry + r);
        r - length(dx.max(0.0), dy.max(0.0)) - dx.max(dy).min(0.0)
    };
    let (lens, rim, half): (f32, f32, f32) = match kind {
        Glasses::Round => (0.195 - length(x, y), 0.013, 0.195),
        Glasses::Square => (rounded(0.215, 0.15, 0.05), 0.026, 0.215),
        Glasses::Browline => (rounded(0.205, 0.155, 0.1), if y > 0.03 { 0.034 } else { 0.009 }, 0.205),
        Glasses::Rimless => (rounded(0.2, 0.13, 0.09), 0.006, 0.2),
        _ => (rounded(0.225, 0.17, 0.12), 0.016, 0.225),
    };
    let glass = inside(lens, soft);
    if glass > 0.0 {
        pane(rig, x, y, glass, texel);
    }
    let bridge = rim.max(0.012) - to_segment([u.abs(), v], [0.0, 0.035], [rig.eye.x - half, 0.02]);
    let hinge = rig.eye.x + half;
    let arm = 0.016 - to_segment([u.abs(), v], [hinge - 0.01, 0.05], [hinge + 0.5, 0.03]);
    let frame = (rim - lens.abs()).max(bridge).max(arm.min(skull.depth_in + 0.02));
    let matter = match kind {
        Glasses::Round | Glasses::Rimless => Matter::SHINY,
        _ => Matter { gloss: 0.08, polish: 0.3, ..Matter::SHINY },
    };
    let depth = LENS_PLANE.min(skull.z + 0.12) + 0.03 + frame.max(0.0);
    texel.over(inside(frame, soft), Texel { depth, albedo: rig.colours.frame, matter });
}

/// A lens: a faint reflection, or nearly black for sunglasses.
fn pane(rig: &Rig, x: f32, y: f32, cover: f32, texel: &mut Texel) {
    let sheen = smooth(0.03, 0.06, y + 0.5 * x) * smooth(0.13, 0.1, y + 0.5 * x);
    let glow = Matter { glow: 0.8, ..Matter::SHINY };
    if rig.face.glasses == Glasses::Sunglasses {
        let dark = scale(rig.colours.lens, 0.35 + 0.6 * smooth(0.0, -0.2, y));
        texel.over(
            0.94 * cover,
            Texel { albedo: mix(dark, [0.5, 0.55, 0.6], 0.14 * sheen), matter: glow, depth: LENS_PLANE },
        );
    } else {
        texel.over((0.03 + 0.1 * sheen) * cover, Texel { albedo: [0.8, 0.85, 0.9], matter: glow, ..*texel });
    }
}
