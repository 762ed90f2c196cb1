//! The head itself: the relief of brow, nose, cheeks, lips and chin over the smooth shell, skin, ears, brows and beard.

use super::canvas::{Matter, Texel};
use super::factors::{Beard, Earrings};
use super::maths::{bump, inside, length, lerp, scale, smooth, smooth_max, tint, to_segment};
use super::rig::{Rig, Spot, Surface};
use super::{eyes, mouth};

/// How far a point is inside the beard, and how thick the beard is there.
struct Growth {
    cover: f32,
    thickness: f32,
}

/// Lays the head with all its features over a sample.
pub(super) fn lay(rig: &Rig, spot: Spot, skull: &Surface, texel: &mut Texel) {
    let cover = inside(skull.depth_in, 0.7 * rig.step);
    if cover <= 0.0 {
        return;
    }
    // The nose stands out far enough to shift against the face in a turn: look where the risen point lies.
    let (u, v) = rig.project(spot.head, skull.z + nose(rig, skull.u, skull.v));
    let beard = beard(rig, u, v);
    let (mut depth, mut gain) = (skull.z + nose(rig, u, v) + relief(rig, u, v), beard.thickness);
    depth += mouth::relief(rig, u, v) + eyes::relief(rig, u, v);
    if gain > 0.0 {
        gain *= 0.9 + 0.35 * hairs(rig, u, v, 34.0);
    }
    let mut top = Texel { depth: depth + gain, albedo: rig.colours.skin, matter: Matter::SKIN };
    complexion(rig, u, v, &mut top);
    nostrils(rig, u, v, &mut top);
    mouth::paint(rig, u, v, &mut top);
    if beard.cover > 0.0 {
        let strand = 1.0 + 0.35 * hairs(rig, u, v, 34.0);
        let coat = Texel { albedo: scale(rig.colours.brow, 1.1 * strand), matter: Matter::HAIR, ..top };
        top.over(beard.cover, coat);
    }
    eyes::paint(rig, u, v, &mut top);
    brows(rig, u, v, &mut top);
    texel.over(cover, top);
}

/// Height of the nose over the face.
fn nose(rig: &Rig, u: f32, v: f32) -> f32 {
    let n = &rig.nose;
    if u.abs() > 0.3 || v > n.root + 0.1 || v < n.tip - 0.2 {
        return 0.0;
    }
    let t = ((n.root - v) / (n.root - n.tip)).clamp(0.0, 1.2);
    let bridge = (0.04 + 0.13 * t) * smooth(n.root + 0.12, n.root - 0.1, v);
    let width = lerp(0.13, 0.11 + 0.6 * n.wing, t * t);
    let q = (u / width).abs().min(1.0);
    let ridge = bridge * (1.0 - q * q) * (1.0 - q * q) * smooth(n.tip - 0.11, n.tip + 0.1, v);
    let ball = 0.1 * bump(u, v - n.tip + 0.01, 0.16 + 0.4 * (n.wing - 0.1), 0.17);
    let wings = 0.065 * bump(u.abs() - 0.7 * n.wing, v - n.tip + 0.03, 0.1, 0.11);
    ridge + ball + wings
}

/// Height of everything else but eyes and mouth.
fn relief(rig: &Rig, u: f32, v: f32) -> f32 {
    let f = rig.face;
    let (a, age, smile) = (u.abs(), f.age, f.smile.max(0.0));
    let mut h = -0.065 * bump(a - rig.eye.x, v - 0.02, 0.24, 0.18);
    h -= 0.03 * bump(a - 0.12, v - 0.05, 0.12, 0.18);
    h += (0.05 - 0.015 * f.brow_angle) * bump(a - 0.26, v - 0.22, 0.34, 0.13);
    h += (0.055 + 0.025 * f.cheeks + 0.03 * smile) * bump(a - 0.38, v + 0.3 - 0.04 * smile, 0.28, 0.26);
    h -= (0.035 - 0.035 * f.cheeks) * bump(a - 0.46, v + 0.62, 0.2, 0.28);
    h -= 0.04 * bump(a - 0.66, v - 0.2, 0.2, 0.34);
    h += 0.06 * bump(a, v + 0.62, 0.42, 0.3);
    h -= 0.016 * bump(a, v - (rig.nose.tip + rig.mouth.y) * 0.5, 0.05, 0.09);
    h += (0.075 + 0.03 * f.chin) * bump(a, v + 0.9, 0.26, 0.17);
    h -= 0.03 * bump(a, v - rig.mouth.y + 0.15, 0.2, 0.065);
    let fold = (0.15 + 0.85 * age) * 0.03 + 0.016 * smile;
    let corner = [rig.mouth.half_width + 0.09, rig.mouth.y + 0.02];
    let line = to_segment([a, v], [rig.nose.wing + 0.035, rig.nose.tip + 0.01], corner);
    h -= fold * bump(line, 0.0, 0.06, 1.0) * smooth(corner[1] - 0.04, corner[1] + 0.1, v);
    h += 0.6 * fold * bump(a - corner[0] - 0.05, v - corner[1] - 0.1, 0.12, 0.16);
    if age > 0.1 {
        h += wrinkles(rig, a, v) * age;
    }
    h
}

/// Folds of age.
fn wrinkles(rig: &Rig, a: f32, v: f32) -> f32 {
    let bags =
        0.034 * bump(a - rig.eye.x, v + 0.115, 0.16, 0.05) - 0.028 * bump(a - rig.eye.x + 0.02, v + 0.165, 0.17, 0.04);
    let fade = bump(a, v - 0.42, 0.5, 0.2);
    let forehead = 0.012 * fade * ((v + 0.06 * a * a) * 62.0 + 1.5 * rig.texture(a, v, 3.0, 5)).sin();
    let crow = bump(a - rig.eye.x - 0.23, v, 0.1, 0.12);
    let feet = 0.012 * crow * ((v / (0.2 + (a - rig.eye.x - 0.1).max(0.0))) * 18.0).sin();
    let jowl = 0.045 * bump(a - 0.4, v + 0.8, 0.14, 0.16);
    bags + forehead + feet + jowl
}

/// Where skin is redder, darker or spotted.
fn complexion(rig: &Rig, u: f32, v: f32, top: &mut Texel) {
    let f = rig.face;
    let a = u.abs();
    let flush = 0.75 * bump(a - 0.4, v + 0.3, 0.3, 0.26)
        + 0.7 * bump(u, v - rig.nose.tip, 0.2, 0.18)
        + 0.35 * bump(a, v + 0.9, 0.25, 0.16)
        + 0.3 * bump(a - rig.eye.x, v, 0.24, 0.14);
    let blush = 1.0 - 0.6 * f.skin_tone + 0.4 * f.eye_makeup;
    top.stain(flush * blush, [1.0, 0.76, 0.74]);
    top.stain(0.35 * bump(a - rig.eye.x + 0.04, v + 0.1, 0.17, 0.09) * (0.5 + f.age), [0.75, 0.66, 0.72]);
    top.stain(0.1 + 0.1 * rig.texture(u, v, 5.0, 11), [0.86, 0.8, 0.78]);
    let pores = 0.04 * rig.texture(u, v, 40.0, 12) + 0.03 * f.age * rig.texture(u, v, 18.0, 13);
    top.albedo = scale(top.albedo, 1.0 + pores);
    if f.freckles > 0.15 {
        let where_spots = bump(a - 0.2, v + 0.25, 0.5, 0.45) + 0.3 * bump(a, v - 0.4, 0.5, 0.3);
        let spots = smooth(0.2, 0.65, rig.texture(u, v, if rig.step < 0.012 { 27.0 } else { 15.0 }, 14)) * where_spots;
        top.stain(0.9 * f.freckles * spots, [0.64, 0.44, 0.34]);
    }
    if rig.hair.sparse > 0.0 || rig.hair.horseshoe {
        let scalp = smooth(rig.hair.line.min(0.6), rig.hair.line.min(0.6) + 0.08, v);
        top.stain(0.12 * scalp, [0.75, 0.75, 0.8]);
    }
    top.matter.gloss *= 1.0 + 1.2 * bump(u, v - rig.nose.tip, 0.12, 0.3) + 0.5 * bump(u, v - 0.42, 0.4, 0.3);
    top.matter.gloss *= 0.75 + 0.2 * f.skin_tone;
}

fn nostrils(rig: &Rig, u: f32, v: f32, top: &mut Texel) {
    let n = &rig.nose;
    let hole = bump(u.abs() - 0.5 * n.wing, v - n.tip + 0.085 - 0.05 * rig.nod, 0.065 + 0.2 * (n.wing - 0.1), 0.032);
    top.stain(hole.sqrt(), [0.3, 0.16, 0.14]);
    let under = bump(u, v - n.tip + 0.1, 1.3 * n.wing, 0.06);
    top.stain(0.3 * under, [0.7, 0.56, 0.53]);
    let crease = bump(length(u.abs() - 0.68 * n.wing, v - n.tip + 0.03) - 0.085, 0.0, 0.03, 1.0);
    top.stain(0.4 * crease * smooth(0.6 * n.wing, 0.95 * n.wing, u.abs()), [0.66, 0.5, 0.47]);
}

fn brows(rig: &Rig, u: f32, v: f32, top: &mut Texel) {
    let f = rig.face;
    let x = u.abs() - rig.eye.x;
    if !(-0.24..0.28).contains(&x) || !(0.0..0.45).contains(&v) {
        return;
    }
    let lift = 0.035 * f.eye_open.max(-0.5) + 0.02 * f.smile.max(0.0);
    let arch = 0.035 * (1.0 - (x - 0.05) * (x - 0.05) / 0.04) - 0.13 * f.brow_angle * x;
    let middle = 0.185 + lift + arch;
    let thick = 0.031 * (1.0 + 0.45 * f.brow_weight) * (1.0 - 0.6 * smooth(0.0, 0.24, x));
    let ends = inside(x + 0.165 - 0.02 * f.brow_weight, 0.03).min(inside(0.205 - x, 0.03));
    let hair = 0.9 + 0.28 * rig.texture(u + 0.6 * v * u.signum(), 0.35 * v, 38.0, 21);
    let soft = (0.6 * rig.step).max(0.014);
    let cover = inside(thick - (v - middle).abs(), soft) * ends * hair * (0.86 + 0.12 * f.brow_weight);
    top.paint(cover, rig.colours.brow);
    top.depth += 0.012 * cover;
}

/// Noise of short hairs that hang from the middle outwards.
fn hairs(rig: &Rig, u: f32, v: f32, frequency: f32) -> f32 {
    rig.texture(u + 0.35 * v * u.signum(), 0.4 * v, frequency, 31)
}

fn beard(rig: &Rig, u: f32, v: f32) -> Growth {
    let kind = rig.face.beard;
    let a = u.abs();
    if kind == Beard::None || v > 0.0 {
        return Growth { cover: 0.0, thickness: 0.0 };
    }
    let m = &rig.mouth;
    let rough = 0.03 * rig.texture(u, v, 9.0, 33);
    let corner = m.y + 0.4 * m.curve;
    // Signed distances, positive inside.
    let lip_top = v - (m.y + m.upper + m.open * 0.5) + 0.02;
    let upper = (rig.nose.tip - 0.07 - 0.3 * a - v).min(lip_top + 0.03 + 0.5 * (a - 0.8 * m.half_width).max(0.0));
    let moustache = upper.min(m.half_width + 0.06 - a).min(v - corner + 0.06);
    let below = m.y - m.lower - 1.6 * m.open - 0.04 - v;
    let goatee = below.min(0.19 - a);
    let ring = length(a / 1.0, (v - m.y + 0.05) / 1.15) - m.half_width - 0.01;
    let circle = ring.min(m.half_width + 0.1 - a).min(rig.nose.tip - 0.1 - v);
    let border = lerp(m.y + 0.04, -0.02, smooth(0.3, 0.68, a));
    let jaw = (border - v).min(smooth_max(a - m.half_width - 0.07, below, 0.08));
    let full = smooth_max(jaw, moustache, 0.04);
    let (distance, amount, thickness) = match kind {
        Beard::None => (-1.0, 0.0, 0.0),
        Beard::Stubble => (full, 0.42, 0.0),
        Beard::Moustache => (moustache, 0.92, 0.05),
        Beard::Goatee => (smooth_max(goatee, moustache, 0.02), 0.9, 0.05),
        Beard::Circle => (circle.max(moustache), 0.9, 0.05),
        Beard::Short => (full, 0.86, 0.035),
        Beard::Full => (full, 0.94, 0.07),
    };
    let within = smooth(-0.03, 0.07, distance + rough);
    let patchy = 1.0 + 0.25 * hairs(rig, u, v, 26.0);
    Growth { cover: (amount * within * patchy).clamp(0.0, 1.0), thickness: thickness * smooth(-0.02, 0.2, distance) }
}

/// The part of a full beard that hangs below the chin; lies behind the head.
pub(super) fn lay_long_beard(rig: &Rig, spot: Spot, texel: &mut Texel) {
    if rig.face.beard != Beard::Full || spot.head[1] > -0.3 {
        return;
    }
    let [x, y] = spot.head;
    let (x, y) = (x - 0.3 * rig.turn, y + 0.86);
    let rough = 0.05 * rig.texture(x, 0.4 * y, 7.0, 34);
    let d = 1.0 - length(x / 0.42, y / (0.37 + 0.05 * rig.face.chin)) + rough;
    let strand = 1.0 + 0.35 * hairs(rig, x, y, 18.0);
    let top = Texel {
        depth: 0.15 + 0.5 * d.clamp(0.0, 1.0).sqrt() + 0.03 * strand,
        albedo: scale(rig.colours.brow, strand),
        matter: Matter::HAIR,
    };
    texel.over(inside(0.4 * d, 0.8 * rig.step), top);
}

/// Ears and what hangs from them; they lie behind the head.
pub(super) fn lay_ears(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let size = 1.0 + 0.16 * rig.face.ear_size;
    let x = spot.head[0] + 0.22 * rig.turn;
    let y = spot.head[1] - 0.1 * rig.nod;
    let side = x.abs() - rig.half_width - 0.02 * size;
    if !(-0.2..0.3).contains(&side) || !(-0.95..0.35).contains(&y) {
        return;
    }
    // An ear narrows toward the lobe and leans outwards at the top.
    let t = (y + 0.06) / (0.215 * size);
    let across = (side - 0.03 * t) / (0.095 * size * (1.0 + 0.25 * t));
    let d = 1.0 - length(across, t);
    let bowl = bump(across + 0.15, t - 0.1, 0.62, 0.62);
    let mut top = Texel {
        depth: -0.12 + 0.06 * d.clamp(0.0, 1.0).sqrt() - 0.05 * bowl,
        albedo: tint(rig.colours.skin, [1.0, 0.82, 0.78]),
        matter: Matter::SKIN,
    };
    top.stain(0.55 * bowl, [0.6, 0.45, 0.42]);
    texel.over(inside(0.1 * d, 0.7 * rig.step), top);
    lay_earring(rig, side, y + 0.26 * size, texel);
}

fn lay_earring(rig: &Rig, x: f32, y: f32, texel: &mut Texel) {
    let (d, depth) = match rig.face.earrings {
        Earrings::None => return,
        Earrings::Stud => (0.034 - length(x, y), 0.1),
        Earrings::Hoop => (0.02 - (length(x, y + 0.1) - 0.1).abs(), 0.02),
        Earrings::Drop => ((0.018 - x.abs()).min(0.1 - (y + 0.1).abs()).max(0.05 - length(x, y + 0.2)), 0.05),
    };
    let gem = if rig.face.earrings == Earrings::Drop { rig.colours.gem } else { rig.colours.metal };
    let shine = Matter { glow: 0.25, ..Matter::SHINY };
    texel.over(inside(d, 0.7 * rig.step), Texel { depth: depth + d, albedo: gem, matter: shine });
}
