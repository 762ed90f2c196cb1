//! Light on a finished depth image: normals, a key light with soft cast shadows, ambient light with occlusion, a rim, and
//! the bleeding of light in skin. All of it works on what the layers left in the canvas and knows nothing of faces.

use super::canvas::Texel;
use super::factors::Face;
use super::maths::{Rgb, lerp, mix, smooth};

/// Lights of one portrait.
pub(super) struct Lights {
    /// Unit vector toward the key light.
    toward: [f32; 3],
    /// Unit vector halfway between key light and viewer.
    half: [f32; 3],
    key: Rgb,
    ambient: Rgb,
    rim: f32,
}

impl Lights {
    /// Lights of a face before surroundings of this colour.
    pub(super) fn new(face: &Face, surroundings: Rgb) -> Lights {
        let (side, up) = (0.95 * face.light_side, 0.15 + 0.65 * face.light_height);
        let toward = [side.sin() * up.cos(), up.sin(), side.cos() * up.cos()];
        let length = (2.0 + 2.0 * toward[2]).sqrt();
        let half = [toward[0] / length, toward[1] / length, (toward[2] + 1.0) / length];
        let warm = 0.5 + 0.5 * face.light_warmth;
        let colour = mix([0.88, 0.98, 1.14], [1.14, 0.99, 0.8], warm);
        let strength = lerp(0.72, 1.12, face.light_contrast);
        let level = lerp(0.42, 0.2, face.light_contrast);
        let cast = mix([1.0; 3], surroundings, 0.35);
        // A photographer opens up for dark skin.
        let exposure = lerp(0.96, 1.34, face.skin_tone * face.skin_tone);
        Lights {
            toward,
            half,
            key: colour.map(|c| c * strength * exposure),
            ambient: cast.map(|c| c * level * exposure),
            rim: lerp(0.1, 0.35, face.light_contrast),
        }
    }

    /// The colours of a square canvas `side` samples wide whose samples lie `step` apart.
    pub(super) fn shade(&self, canvas: &[Texel], side: usize, step: f32) -> Vec<Rgb> {
        let relief = Relief::new(canvas, side, step);
        let mut lit = Vec::with_capacity(canvas.len());
        for y in 0..side {
            for x in 0..side {
                let texel = &canvas[y * side + x];
                lit.push(if texel.matter.glow >= 1.0 { texel.albedo } else { self.shade_one(&relief, x, y, texel) });
            }
        }
        lit
    }

    fn shade_one(&self, relief: &Relief, x: usize, y: usize, texel: &Texel) -> Rgb {
        let n = relief.normal(x, y);
        let facing = n[0] * self.toward[0] + n[1] * self.toward[1] + n[2] * self.toward[2];
        let shadow = if facing > -0.4 { 1.0 - relief.shadow(x, y, self.toward) } else { 0.0 };
        let open = relief.openness(x, y);
        let m = texel.matter;
        // Skin carries red light furthest past the terminator and into the edge of a shadow.
        let edge = m.flesh * shadow * (1.0 - shadow);
        let sky = 0.85 + 0.13 * n[1] + 0.12 * n[2];
        let shine = highlight(n, self.half, m.polish) * m.gloss * shadow;
        let grazing = (1.0 - n[2]) * (1.0 - n[2]);
        let rim = self.rim * grazing * (0.4 + 0.6 * n[1].max(0.0)) * open * (0.3 + m.gloss);
        let mut out = [0.0; 3];
        for (c, out) in out.iter_mut().enumerate() {
            let bleed = m.flesh * [0.34, 0.16, 0.1][c];
            let wrapped = ((facing + bleed) / (1.0 + bleed)).max(0.0);
            let cast = shadow + edge * [0.35, 0.08, 0.0][c];
            let occlusion = lerp(open, open.sqrt(), m.flesh * [0.8, 0.3, 0.1][c]);
            let light = self.key[c] * wrapped * cast + self.ambient[c] * sky * occlusion;
            let surface = texel.albedo[c] * light + self.key[c] * shine + self.ambient[c] * rim;
            *out = lerp(surface, texel.albedo[c], m.glow);
        }
        out
    }
}

/// A highlight of height growing with its sharpness.
fn highlight(n: [f32; 3], half: [f32; 3], polish: f32) -> f32 {
    let t = (n[0] * half[0] + n[1] * half[1] + n[2] * half[2]).max(0.0);
    let t2 = t * t;
    let t4 = t2 * t2;
    let t8 = t4 * t4;
    let t16 = t8 * t8;
    // Powers 8, 24 and 64, blended: no pow() in the inner loop.
    let (broad, middle, sharp) = (t8, t16 * t8, (t16 * t16) * (t16 * t16));
    if polish < 0.5 {
        lerp(0.6 * broad, 1.4 * middle, 2.0 * polish)
    } else {
        lerp(1.4 * middle, 3.0 * sharp, 2.0 * polish - 1.0)
    }
}

/// Depths of a canvas, and what follows from them.
struct Relief {
    side: usize,
    step: f32,
    depth: Vec<f32>,
    /// Depth averaged over the surroundings.
    around: Vec<f32>,
}

impl Relief {
    fn new(canvas: &[Texel], side: usize, step: f32) -> Relief {
        let depth: Vec<f32> = canvas.iter().map(|t| t.depth).collect();
        let radius = ((0.13 / step) as usize).max(1);
        let rows = box_blur(&depth, side, radius);
        let around = box_blur(&rows, side, radius);
        Relief { side, step, depth, around }
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        self.depth[y * self.side + x]
    }

    /// The unit normal. Across a step between layers only the nearer neighbour counts.
    fn normal(&self, x: usize, y: usize) -> [f32; 3] {
        let last = self.side - 1;
        let here = self.at(x, y);
        let limit = 1.6 * self.step;
        let slope = |before: f32, after: f32| {
            let (a, b) = (here - before, after - here);
            let rise = if (a - b).abs() < limit {
                0.5 * (a + b)
            } else if a.abs() < b.abs() {
                a
            } else {
                b
            };
            rise / self.step
        };
        let gx = slope(self.at(x.saturating_sub(1), y), self.at((x + 1).min(last), y));
        // Rows run down, y runs up.
        let gy = slope(self.at(x, (y + 1).min(last)), self.at(x, y.saturating_sub(1)));
        let length = (1.0 + gx * gx + gy * gy).sqrt();
        [-gx / length, -gy / length, 1.0 / length]
    }

    /// How much of the key light something nearer hides, 0..=1.
    fn shadow(&self, x: usize, y: usize, toward: [f32; 3]) -> f32 {
        let sideways = (toward[0] * toward[0] + toward[1] * toward[1]).sqrt().max(1e-3);
        let (dx, dy, rise) = (toward[0] / sideways, -toward[1] / sideways, toward[2] / sideways);
        let here = self.at(x, y) + 0.03;
        let end = self.side as f32 - 1.0;
        let (mut t, mut hidden) = (1.2f32, 0.0f32);
        // Beyond 0.8 head units nothing stands out far enough to matter.
        let reach = 0.8 / self.step;
        while t < reach {
            let (sx, sy) = (x as f32 + dx * t, y as f32 + dy * t);
            if sx < 0.0 || sy < 0.0 || sx > end || sy > end {
                break;
            }
            let away = t * self.step;
            let over = self.at((sx + 0.5) as usize, (sy + 0.5) as usize) - here - rise * away;
            // The wider the gap, the softer the edge.
            hidden = hidden.max(over / (0.05 + 0.45 * away));
            t += 1.0 + 0.22 * t;
        }
        smooth(0.0, 1.0, hidden)
    }

    /// How open a point lies to light from everywhere, 0..=1: hollows lie below their surroundings.
    fn openness(&self, x: usize, y: usize) -> f32 {
        let hollow = self.around[y * self.side + x] - self.at(x, y);
        1.0 - (1.9 * hollow).clamp(0.0, 0.6)
    }
}

/// A running mean over 2·radius + 1 samples of each row, written transposed: applied twice it averages over a square.
fn box_blur(values: &[f32], side: usize, radius: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    let width = (2 * radius + 1) as f32;
    for y in 0..side {
        let row = &values[y * side..(y + 1) * side];
        let at = |x: isize| row[x.clamp(0, side as isize - 1) as usize];
        let r = radius as isize;
        let mut sum: f32 = (-r..=r).map(at).sum();
        for x in 0..side as isize {
            out[x as usize * side + y] = sum / width;
            sum += at(x + r + 1) - at(x - r);
        }
    }
    out
}
