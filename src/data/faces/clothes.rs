//! Neck, shoulders and what is worn on them.

use super::canvas::{Matter, Texel};
use super::factors::{Clothes, Hat};
use super::maths::{inside, length, lerp, mix, scale, smooth, smooth_max};
use super::rig::{Rig, Spot};

/// Depth and inside-distance of the torso.
fn torso(x: f32, y: f32) -> (f32, f32) {
    let a = x.abs();
    let edge = -1.14 - 0.2 * a - 0.1 * a * a - y;
    let round = smooth(-0.02, 0.35, edge);
    (-0.55 + 0.42 * round * (1.0 - 0.16 * a * a) + 0.05 * edge.max(0.0), edge)
}

/// Whether the torso covers a sample whole.
pub(super) fn hides(rig: &Rig, spot: Spot) -> bool {
    torso(spot.body[0], spot.body[1]).1 > rig.step
}

/// Lays neck and torso over a sample.
pub(super) fn lay(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let [x, y] = spot.body;
    if y > -0.3 {
        return;
    }
    let soft = 0.7 * rig.step;
    let width = 0.43 + 0.03 * rig.face.jaw + 0.2 * smooth(-0.95, -1.4, y) * smooth(-0.95, -1.4, y);
    let (depth, edge) = torso(x, y);
    let q = (x / width).abs().min(1.0);
    let tendon = 0.03 * smooth(0.1, 0.0, (x.abs() - 0.16 - 0.2 * (y + 1.3)).abs());
    let neck = Texel {
        depth: smooth_max(-0.45 + 0.36 * (1.0 - q * q).sqrt() + tendon, depth, 0.12),
        albedo: scale(rig.colours.skin, 0.94),
        matter: Matter::SKIN,
    };
    texel.over(inside((width - x.abs()).max(edge), soft), neck);
    garment(rig, [x, y], depth, edge, texel);
    if rig.face.hat == Hat::Scarf {
        drape(rig, [x, y], depth, texel);
    }
}

fn garment(rig: &Rig, [x, y]: [f32; 2], depth: f32, edge: f32, texel: &mut Texel) {
    let soft = 0.7 * rig.step;
    let a = x.abs();
    let folds = 0.02 * rig.texture(x + 0.5 * y, 0.4 * y, 4.0, 81);
    let weave = 1.0 + 0.05 * rig.texture(x, y, 25.0, 82);
    let cloth = Texel { depth: depth + 0.04 + folds, albedo: scale(rig.colours.cloth, weave), matter: Matter::CLOTH };
    let round_neck = |rx: f32, ry: f32| (length(x / rx, (y + 1.14) / ry) - 1.0) * ry;
    let vee = |low: f32, half: f32| (a - half * (y - low) / (-1.14 - low)).min(0.3) * 0.6;
    match rig.face.clothes {
        Clothes::Crew => {
            let free = round_neck(0.5, 0.2);
            texel.over(inside(edge.min(free), soft), cloth);
            let hem = Texel { albedo: scale(cloth.albedo, 0.8), depth: cloth.depth + 0.02, ..cloth };
            texel.over(inside(edge.min(free).min(0.06 - free), soft), hem);
        }
        Clothes::Wide => texel.over(inside(edge.min(round_neck(0.85, 0.36)), soft), cloth),
        Clothes::VNeck => texel.over(inside(edge.min(vee(-1.62, 0.46)), soft), cloth),
        Clothes::Shirt => {
            texel.over(inside(edge.min(vee(-1.42, 0.42)), soft), cloth);
            collar(rig, [x, y], cloth, texel);
        }
        Clothes::Suit => suit(rig, [x, y], edge, cloth, texel),
        Clothes::RollNeck => {
            texel.over(inside(edge, soft), cloth);
            let width = 0.5 + 0.08 * smooth(-1.0, -1.3, y);
            let q = (x / width).abs().min(1.0);
            let ribs = 0.015 * (x * 60.0).sin() * smooth(0.05, 0.02, rig.step);
            let roll = Texel { depth: -0.4 + 0.42 * (1.0 - q * q).sqrt() + ribs, ..cloth };
            let rim = -0.98 - 0.1 * (1.0 - q * q) - y;
            texel.over(inside((width - a).min(rim).min(y + 1.36), soft), roll);
        }
    }
}

/// Distance inside a convex figure whose corners run counterclockwise.
fn quad([x, y]: [f32; 2], corners: [[f32; 2]; 4]) -> f32 {
    let edge = |i: usize| {
        let ([ax, ay], [bx, by]) = (corners[i], corners[(i + 1) % 4]);
        ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length(bx - ax, by - ay)
    };
    edge(0).min(edge(1)).min(edge(2)).min(edge(3))
}

/// Two collar leaves.
fn collar(rig: &Rig, [x, y]: [f32; 2], cloth: Texel, texel: &mut Texel) {
    let leaf = quad([x.abs(), y], [[0.5, -0.98], [0.04, -1.36], [0.22, -1.6], [0.62, -1.16]]);
    let top = Texel { depth: cloth.depth + 0.09, albedo: scale(cloth.albedo, 1.12), ..cloth };
    texel.over(inside(leaf, 0.7 * rig.step), top);
}

/// Jacket over a light shirt with a tie.
fn suit(rig: &Rig, [x, y]: [f32; 2], edge: f32, cloth: Texel, texel: &mut Texel) {
    let soft = 0.7 * rig.step;
    let a = x.abs();
    let shirt = Texel { albedo: mix([0.75, 0.76, 0.78], rig.colours.cloth, 0.15), ..cloth };
    let neck = (a - 0.38 * (y + 1.36) / 0.22).min(0.3) * 0.6;
    texel.over(inside(edge.min(neck), soft), shirt);
    collar(rig, [x, y], shirt, texel);
    let knot = 0.06 + 0.07 * smooth(-1.42, -1.75, y);
    let tie = Texel { albedo: rig.colours.tie, depth: cloth.depth + 0.06, ..cloth };
    texel.over(inside((knot - a).min(-1.33 - y), soft), tie);
    let dark = rig.colours.jacket;
    let open = a - lerp(0.02, 0.47, ((y + 2.1) / 0.95).clamp(0.0, 1.0));
    let jacket = Texel { albedo: dark, depth: cloth.depth + 0.05, ..cloth };
    texel.over(inside(edge.min(open), soft), jacket);
    let lapel = open.min(0.16 - open);
    texel.over(inside(edge.min(lapel), soft), Texel { albedo: scale(dark, 1.25), depth: cloth.depth + 0.08, ..cloth });
}

/// The cloth of a headscarf around neck and shoulders.
fn drape(rig: &Rig, [x, y]: [f32; 2], depth: f32, texel: &mut Texel) {
    let width = 0.62 + 0.75 * smooth(-0.75, -1.7, y);
    let out = (width - x.abs()).min(-0.45 - y);
    let folds = rig.texture(x + 0.6 * y, 0.5 * (y - 0.3 * x), 3.5, 83);
    let body = smooth(0.0, 0.4, out);
    let top = Texel {
        depth: depth.max(-0.3) + 0.25 * body + 0.05 * folds,
        albedo: scale(rig.colours.scarf, 1.0 + 0.12 * folds),
        matter: Matter::CLOTH,
    };
    texel.over(inside(out, 0.7 * rig.step), top);
}
