//! Eyes: lids, lashes, the white, iris and pupil, the catch-light, and make-up around them.

use super::canvas::{Matter, Texel};
use super::maths::{bump, inside, length, lerp, mix, scale, smooth};
use super::rig::Rig;

/// A point in the frame of the nearer eye.
struct Local {
    /// Toward the temple and up, from the middle of the eye, along its tilt.
    x: f32,
    y: f32,
    /// Heights of the lids here.
    upper: f32,
    lower: f32,
    /// Position along the eye, −1 at the inner and 1 at the outer corner.
    q: f32,
    /// Which eye: −1 the left one in the picture, 1 the right.
    side: f32,
}

fn local(rig: &Rig, u: f32, v: f32) -> Option<Local> {
    let e = &rig.eye;
    let side = if u < 0.0 { -1.0 } else { 1.0 };
    let x = u * side - e.x;
    let y = v - e.y - e.tilt * x;
    if x.abs() > 1.5 * e.half_width || y.abs() > 0.22 {
        return None;
    }
    let q = x / e.half_width;
    let rest = (1.0 - q * q).max(0.0);
    // The upper lid peaks toward the nose, the lower one toward the temple.
    let upper = e.upper * rest * (1.0 + 0.35 * q * q) * (1.0 - 0.14 * q);
    let lower = -e.lower * rest * (1.0 + 0.16 * q);
    Some(Local { x, y, upper, lower, q, side })
}

/// Height of lids and eyeball over the socket.
pub(super) fn relief(rig: &Rig, u: f32, v: f32) -> f32 {
    let Some(p) = local(rig, u, v) else { return 0.0 };
    let reach = bump(p.q, 0.0, 1.25, 1.0);
    let lid = 0.045 * bump(p.x, p.y, 1.4 * rig.eye.half_width, 0.13);
    let crease = -0.02 * reach * bump(p.y - p.upper - 0.052, 0.0, 0.03, 1.0);
    let opening = smooth(0.0, 0.012, (p.upper - p.y).min(p.y - p.lower));
    lid + crease - 0.012 * reach * opening
}

/// Colours the eye.
pub(super) fn paint(rig: &Rig, u: f32, v: f32, top: &mut Texel) {
    let Some(p) = local(rig, u, v) else { return };
    let soft = (0.5 * rig.step).max(0.004);
    lids(rig, &p, soft, top);
    let open = inside((p.upper - p.y).min(p.y - p.lower), soft) * inside(1.0 - p.q.abs(), 0.02);
    if open > 0.0 {
        let mut ball = Texel { depth: top.depth, albedo: [0.66, 0.63, 0.61], matter: Matter::EYE };
        white(&p, &mut ball);
        iris(rig, &p, soft, &mut ball);
        let shade = smooth(0.0, 0.045, p.upper - p.y);
        ball.albedo = scale(ball.albedo, lerp(0.42, 1.0, shade));
        catch_light(rig, &p, soft, &mut ball);
        top.over(open, ball);
    }
    lashes(rig, &p, soft, top);
}

/// Crease, lid colour and eye shadow.
fn lids(rig: &Rig, p: &Local, soft: f32, top: &mut Texel) {
    let reach = bump(p.q, 0.0, 1.2, 1.0);
    let crease = bump(p.y - p.upper - 0.045, 0.0, 0.022 + soft, 1.0);
    top.stain(0.5 * crease * reach, [0.55, 0.42, 0.4]);
    top.stain(0.25 * bump(p.x, p.y, 1.3 * rig.eye.half_width, 0.12), [0.8, 0.66, 0.64]);
    let made_up = rig.face.eye_makeup;
    if made_up > 0.0 {
        let shadow = reach * smooth(0.16, 0.03, p.y - p.upper) * smooth(-0.02, 0.02, p.y - p.upper);
        top.paint(0.6 * made_up * shadow, rig.colours.eye_shadow);
    }
    // The pink of the inner corner.
    top.stain(bump(p.q + 1.0, p.y, 0.16, 0.03), [0.9, 0.5, 0.48]);
}

fn white(p: &Local, ball: &mut Texel) {
    let rim = (p.q * p.q) * (p.q * p.q);
    ball.stain(0.55 * rim, [0.7, 0.5, 0.46]);
    ball.stain(0.3 * smooth(0.03, 0.0, p.y - p.lower), [0.8, 0.62, 0.6]);
}

fn iris(rig: &Rig, p: &Local, soft: f32, ball: &mut Texel) {
    let e = &rig.eye;
    let (x, y) = (p.x - p.side * e.gaze[0], p.y - e.gaze[1] - 0.006);
    let r = length(x, y) / e.iris;
    if r > 1.4 {
        return;
    }
    let rays = 0.3 * rig.texture(8.0 * y.atan2(x), 0.0, 1.5, 41) * smooth(0.02, 0.006, rig.step);
    // Light falls through the cornea onto the far side: the lower part is brighter.
    let glow = 1.0 + rays + 0.7 * smooth(0.2, -1.0, y / e.iris);
    let mut colour = scale(rig.colours.iris, glow);
    colour = mix(colour, scale(rig.colours.iris, 0.22), smooth(0.72, 1.0, r));
    colour = mix(colour, [0.006, 0.005, 0.005], inside(0.42 - r, soft / e.iris + 0.04));
    ball.paint(inside(1.0 - r, soft / e.iris + 0.05), colour);
}

fn catch_light(rig: &Rig, p: &Local, soft: f32, ball: &mut Texel) {
    let e = &rig.eye;
    let [lx, ly] = [0.4 * rig.face.light_side, 0.25 + 0.25 * rig.face.light_height];
    let (x, y) = (p.side * p.x - e.gaze[0] - 0.05 * lx, p.y - e.gaze[1] - 0.05 * ly);
    let spot = inside(0.016 - length(x, y), soft.max(0.005));
    let glint = Texel { albedo: [0.9, 0.92, 0.95], matter: Matter::LIGHT, ..*ball };
    ball.over(0.9 * spot, glint);
}

/// Lash lines along both lids, longer and darker with make-up.
fn lashes(rig: &Rig, p: &Local, soft: f32, top: &mut Texel) {
    let made_up = rig.face.eye_makeup;
    let dark = scale(rig.colours.brow, 0.12);
    let reach = inside(1.06 + 0.1 * made_up - p.q.abs(), 0.06);
    let wing = 0.02 * made_up * smooth(0.6, 1.15, p.q);
    let thick = 0.011 + 0.009 * made_up + 0.004 * p.q;
    let upper = inside(thick - (p.y - p.upper - 0.5 * thick - wing).abs(), soft.max(0.007));
    top.paint(upper * reach * (0.8 + 0.2 * made_up), dark);
    let lower = inside(0.005 + 0.004 * made_up - (p.y - p.lower + 0.004).abs(), soft.max(0.007));
    top.paint(lower * reach * (0.3 + 0.35 * made_up) * smooth(-0.9, 0.2, p.q), dark);
}
