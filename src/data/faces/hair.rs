//! Hair in three layers: behind the neck, the cap with what hangs beside the face, and what is gathered (bun, tail).

use super::canvas::{Matter, Texel};
use super::hair_shape::Flow;
use super::maths::{bump, carried, inside, length, noise, scale, smooth, smooth_max, to_segment};
use super::rig::{Rig, Spot, Surface, TEMPLE};

/// Relief of the strands at a point, −1..1; `half` is the half-width of the hair at this height.
fn strands(rig: &Rig, [x, y]: [f32; 2], half: f32) -> f32 {
    let hair = &rig.hair;
    let salt = rig.face.grain ^ 61;
    // Across and along the strands, and how much the first grows over one unit of the picture.
    let (across, along, density) = match hair.flow {
        Flow::Curl => {
            let curl = |x, y, k: f32, salt: u32| rig.texture(x, y, hair.strands * k, salt);
            let broad = curl(0.8 * x + 0.6 * y, 0.8 * y - 0.6 * x, 1.0, 62);
            let fine = curl(0.5 * x - 0.87 * y, 0.87 * x + 0.5 * y, 1.9, 63);
            return 0.8 * (0.8 - 2.0 * broad.abs()) + 0.6 * (0.6 - 1.6 * fine.abs());
        }
        Flow::Down => {
            let part = hair.part * smooth(-0.3, 0.7, y);
            let swing = match hair.wave {
                0.0 => 0.0,
                wave => wave * (8.0 * y + 2.0 * noise(2.0 * x, 1.5 * y, salt)).sin(),
            };
            ((x - part + swing) / half.max(0.25), y, 1.0 / half.max(0.25))
        }
        Flow::Back => (1.5 * x / (1.6 + hair.top - y), y, 1.5 / (1.6 + hair.top - y)),
        Flow::Forward => (1.4 * (x + hair.part * (y - 0.8)) / (1.7 - 0.6 * y), y, 1.4 / (1.7 - 0.6 * y)),
    };
    let layer = |k: f32, salt: u32| {
        let f = hair.strands * k;
        carried(f * density, rig.step) * noise(across * f, along * (1.0 + 0.6 * k), salt)
    };
    0.55 * layer(0.5, salt) + 0.65 * layer(1.0, salt ^ 1) + 0.5 * layer(2.3, salt ^ 2) + 0.35 * layer(5.0, salt ^ 3)
}

fn lock(rig: &Rig, depth: f32, strand: f32, shade: f32) -> Texel {
    let albedo = scale(rig.colours.hair, shade * (1.0 + 0.42 * strand));
    Texel { depth: depth + rig.hair.relief * strand, albedo, matter: Matter::HAIR }
}

/// Half-width of hair that hangs below the temples.
fn hanging(rig: &Rig, y: f32) -> f32 {
    let hair = &rig.hair;
    // Short ends curl in; long ones spread.
    let tuck = if hair.side_end > -1.2 { 0.12 * smooth(0.35, 0.0, y - hair.side_end) } else { 0.0 };
    rig.half_width + hair.flank + hair.spread * smooth(0.1, -1.1, y) - tuck
}

/// Unevenness of an outline.
fn ragged(rig: &Rig, [x, y]: [f32; 2]) -> f32 {
    let f = if rig.hair.flow == Flow::Curl { rig.hair.strands } else { 6.0 };
    // Held back outwards, or tufts would float free.
    let rough = rig.hair.ragged * (rig.texture(x, y, f, 65) + 0.5 * rig.texture(x, y, 2.2 * f, 66));
    rough.min(0.025)
}

/// The hair behind neck and shoulders.
pub(super) fn lay_back(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let hair = &rig.hair;
    if hair.bald || hair.back_end > -0.5 {
        return;
    }
    let [x, y] = spot.head;
    let x = x + 0.15 * rig.turn;
    if x.abs() > hanging(rig, y) + 0.2 || y > 1.1 + hair.top || y < hair.back_end - 0.1 {
        return;
    }
    let shell = rig.shell(spot.head, hair.flank, hair.top);
    let curtain = (hanging(rig, y) - x.abs()).min(TEMPLE + 0.3 - y);
    let out = if hair.flow == Flow::Curl { shell.depth_in } else { shell.depth_in.max(curtain) };
    let out = out.min(y - hair.back_end) + ragged(rig, spot.head);
    let strand = strands(rig, spot.head, hanging(rig, y));
    texel.over(inside(out, 0.8 * rig.step), lock(rig, -0.5, strand, 0.55));
}

/// Bun and tail, which lie behind the head.
pub(super) fn lay_gathered(rig: &Rig, spot: Spot, texel: &mut Texel) {
    let hair = &rig.hair;
    if hair.bald {
        return;
    }
    let [x, y] = spot.head;
    let rough = ragged(rig, spot.head);
    if hair.bun > 0.0 {
        let (dx, dy) = (x + 0.12 * rig.turn, y - 0.98 - hair.top - 0.4 * hair.bun);
        let d = 1.0 - length(dx, 1.15 * dy) / hair.bun + rough;
        let strand = rig.texture(dx + dy, 0.3 * (dy - dx), 10.0, 67);
        let ball = lock(rig, -0.3 + hair.bun * d.clamp(0.0, 1.0).sqrt(), strand, 0.95);
        texel.over(inside(hair.bun * d, 0.8 * rig.step), ball);
    }
    if hair.tail {
        let side = if hair.part < 0.0 { -1.0 } else { 1.0 };
        let sway = 0.08 * (3.2 * y).sin();
        let taper = 0.2 - 0.07 * smooth(-0.9, -1.9, y) + 0.03 * (7.0 * y).sin();
        let d = taper - to_segment([x * side + sway, y], [0.5, -0.3], [0.68, -1.9]) + rough;
        let strand = noise(14.0 * (x + sway), 1.5 * y, rig.face.grain ^ 68);
        texel.over(inside(d, 0.8 * rig.step), lock(rig, 0.1 + 0.6 * d.clamp(0.0, 0.2), strand, 0.9));
    }
}

/// Distance outside the window of the face that hair leaves free.
fn window(rig: &Rig, u: f32, v: f32) -> f32 {
    let hair = &rig.hair;
    let a = u.abs();
    let from_part = (u - hair.part).abs();
    let line = match (hair.fringe, hair.flow) {
        (Some(edge), _) => edge + 0.03 * rig.texture(u, 0.2 * v, 9.0, 69) - 0.12 * u * u,
        (None, Flow::Down) => hair.line + 0.05 * bump(from_part, 0.0, 0.15, 1.0) - 0.75 * from_part * from_part,
        (None, _) => hair.line + hair.temple * smooth(0.12, 0.42, a) - 0.5 * (a - 0.3).max(0.0) * a,
    };
    let jitter = if hair.fringe.is_none() { 0.5 * hair.ragged * rig.texture(u, v, 10.0, 70) } else { 0.0 };
    let hangs = hair.side_end < -0.5;
    let taper = if hangs { -0.1 * smooth(-0.45, -1.2, v) } else { 0.14 * smooth(0.15, -0.2, v) };
    let side = hair.side + taper;
    let swing = if hair.wave > 0.0 { 0.8 * hair.wave * (7.0 * v + 1.5 * u.signum()).sin() } else { 0.0 };
    if hair.horseshoe {
        return (a - side - 0.12 * smooth(0.25, 0.6, v)).min(0.62 - v) + jitter;
    }
    smooth_max(v - line, a - side - swing, 0.16) + jitter
}

/// The hair over the skull and beside the face.
pub(super) fn lay_front(rig: &Rig, spot: Spot, skull: &Surface, texel: &mut Texel) {
    let hair = &rig.hair;
    if hair.bald {
        return;
    }
    let [x, y] = spot.head;
    let reach = hanging(rig, y) + 0.5 * rig.turn.abs() + 0.2;
    if x.abs() > reach || y > 1.1 + hair.top || y < hair.side_end - 0.1 {
        return;
    }
    let free = window(rig, skull.u, skull.v);
    if free < -0.1 {
        return;
    }
    let shell = rig.shell(spot.head, hair.flank, hair.top);
    let hangs = hair.side_end < -0.5;
    let out = if hangs && y < TEMPLE + 0.2 {
        let curtain = hanging(rig, y) - (x + 0.1 * rig.turn).abs();
        let blend = smooth(TEMPLE + 0.2, TEMPLE - 0.1, y);
        shell.depth_in * (1.0 - blend) + curtain * blend
    } else {
        shell.depth_in
    };
    let out = out + ragged(rig, spot.head);
    let end = y - hair.side_end + 0.07 * rig.texture(x, y, 9.0, 71) + if hangs { 0.0 } else { 0.25 * (x.abs() - 0.62) };
    let edge = out.min(free).min(end);
    if edge < -0.05 {
        return;
    }
    let strand = strands(rig, spot.head, hanging(rig, y));
    // Toward the skin hair thins out strand by strand; outside it ends more sharply.
    let cover = inside(out.min(end), (0.8 * rig.step).max(0.012)) * smooth(-0.03, 0.05, free + 0.03 * strand);
    if cover <= 0.0 {
        return;
    }
    let rise = smooth(-0.02, 0.24, free);
    let below = smooth(0.0, -0.5, y);
    let body = (shell.z + 0.05 - skull.z).max(0.0) * rise * (1.0 - below) + 0.16 * below * smooth(0.0, 0.22, edge);
    let base = skull.z.max(0.12 * below) + 0.015;
    let roots = 0.86 + 0.14 * smooth(0.0, 0.12, free);
    let thin = 1.0 - hair.sparse * (0.6 + 0.4 * strand);
    texel.over((cover * thin).clamp(0.0, 1.0), lock(rig, base + body, strand, roots));
}
