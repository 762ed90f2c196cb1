//! The mouth: lips with their relief, the line between them, and teeth when it is open.

use super::canvas::{Matter, Texel};
use super::maths::{bump, inside, mix, scale, smooth, tint};
use super::rig::Rig;

/// Heights at one x: outer edge and inner edge of the upper lip, then inner and outer edge of the lower lip.
struct Section {
    q: f32,
    edges: [f32; 4],
}

fn section(rig: &Rig, u: f32, v: f32) -> Option<Section> {
    let m = &rig.mouth;
    if u.abs() > m.half_width + 0.08 || (v - m.y).abs() > 0.35 {
        return None;
    }
    let q = u / m.half_width;
    let rest = (1.0 - q * q).max(0.0);
    let line = m.y + m.curve * q * q - 0.25 * m.curve - 0.008 * bump(q, 0.0, 0.5, 1.0);
    let gap = m.open * rest.sqrt();
    let bow = 1.0 - 0.3 * bump(q, 0.0, 0.22, 1.0) + 0.25 * bump(q.abs() - 0.28, 0.0, 0.3, 1.0);
    let upper = m.upper * rest.sqrt() * (0.55 + 0.45 * rest) * bow;
    let lower = m.lower * rest.sqrt() * (0.5 + 0.5 * rest);
    // The jaw drops; the upper lip hardly lifts.
    Some(Section { q, edges: [line + 0.5 * gap + upper, line + 0.5 * gap, line - 1.5 * gap, line - 1.5 * gap - lower] })
}

/// Height of the lips over the face.
pub(super) fn relief(rig: &Rig, u: f32, v: f32) -> f32 {
    let Some(Section { q, edges }) = section(rig, u, v) else { return 0.0 };
    let rest = (1.0 - q * q).max(0.0);
    let hill = |lo: f32, hi: f32| {
        let t = ((v - lo) / (hi - lo).max(1e-3)) * 2.0 - 1.0;
        (1.0 - t * t).max(0.0)
    };
    let upper = 0.035 * hill(edges[1] - 0.02, edges[0] + 0.015);
    let lower = 0.05 * hill(edges[3], edges[2] + 0.02);
    let opening = if v < edges[1] && v > edges[2] { -0.03 } else { 0.0 };
    let corner = -0.018 * bump(q.abs() - 1.05, v - 0.5 * (edges[1] + edges[2]), 0.22, 0.06);
    rest * (upper + lower + opening) + corner
}

/// Colours lips, line and teeth.
pub(super) fn paint(rig: &Rig, u: f32, v: f32, top: &mut Texel) {
    let Some(Section { q, edges }) = section(rig, u, v) else { return };
    let f = rig.face;
    let soft = (0.5 * rig.step).max(0.008);
    let ends = inside(1.0 - q.abs(), 0.05);
    let lips = inside((edges[0] - v).min(v - edges[3]), soft) * ends;
    let grooves = 0.1 * rig.texture(u, 0.15 * v, 45.0, 51);
    let colour = scale(rig.colours.lips, if v > edges[1] { 0.82 } else { 1.04 } + grooves);
    let gloss = Matter { gloss: Matter::LIPS.gloss * (1.0 + 1.5 * f.lipstick), ..Matter::LIPS };
    let strength = 0.8 + 0.2 * f.lipstick;
    top.over(lips * strength, Texel { albedo: colour, matter: gloss, ..*top });
    let gap = (edges[1] - v).min(v - edges[2]);
    if f.mouth_open > 0.05 {
        interior(rig, q, v, &edges, inside(gap, soft) * ends, top);
    }
    let line = bump(gap.min(0.0), 0.0, 0.016 + 0.7 * soft, 1.0) * inside(1.08 - q.abs(), 0.1);
    top.stain(0.85 * line, tint([0.42, 0.3, 0.3], [1.0, 0.9, 0.9]));
}

/// Teeth at the top, the dark of the mouth and the tongue below.
fn interior(rig: &Rig, q: f32, v: f32, edges: &[f32; 4], cover: f32, top: &mut Texel) {
    let deep = v - edges[2];
    let tongue = smooth(0.06, 0.0, deep) * rig.face.mouth_open;
    let mut colour = mix([0.035, 0.012, 0.012], [0.28, 0.09, 0.09], tongue);
    let row = 0.085 * (1.0 - 0.5 * q * q);
    let seams = 1.0 - 0.25 * smooth(0.8, 1.0, (q * 13.0).cos().abs()) * smooth(0.02, 0.008, rig.step);
    let shade = (1.0 - 0.7 * q * q) * seams * (0.6 + 0.4 * smooth(0.0, 0.03, edges[1] - v));
    let teeth = inside(row - (edges[1] - v), 0.012) * smooth(-0.6, 0.3, rig.face.smile);
    colour = mix(colour, scale([0.86, 0.82, 0.74], shade), teeth);
    top.over(cover, Texel { albedo: colour, matter: Matter { flesh: 0.6, glow: 0.5 * teeth, ..Matter::EYE }, ..*top });
}
