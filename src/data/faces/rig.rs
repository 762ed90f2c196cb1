//! What one face needs at every sample, worked out once: pose, outlines, positions of the features, colours.
//!
//! Units: half the height of a head is 1; x to the right of the picture, y up, z toward the viewer. The chin is near
//! y = −1, the crown at 1, the eyes at 0. The head keeps its outline when it turns a little; its surface points shift by
//! their depth (`Rig::surface`), which is what a turn looks like at portrait angles.

use super::factors::Face;
use super::hair_shape::HairShape;
use super::maths::{Table, bump, carried, noise, smooth};
use super::palette::Palette;

/// Height of the widest part of the head, between the roundings of skull and jaw.
pub(super) const TEMPLE: f32 = 0.1;

/// A place in the picture in the three frames that layers use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// The picture: −1..1, for the background.
    pub frame: [f32; 2],
    /// Upright, in head units: shoulders and clothes.
    pub body: [f32; 2],
    /// Tilted with the head, in head units.
    pub head: [f32; 2],
}

/// The point of the head under a sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surface {
    /// Position of the point on the straight-on face; right and up.
    pub u: f32,
    pub v: f32,
    /// Depth of the smooth head there (0 at the outline and outside).
    pub z: f32,
    /// Distance inside the outline of the head; negative outside.
    pub depth_in: f32,
}

/// Everything of a face that samples share.
pub(super) struct Rig<'a> {
    pub face: &'a Face,
    /// Distance between samples in head units.
    pub step: f32,
    /// Half-width and front depth of the head by height.
    pub outline: Table,
    pub profile: Table,
    pub half_width: f32,
    /// Height of the lower end of the chin.
    bottom: f32,
    /// Sines of yaw and pitch.
    pub turn: f32,
    pub nod: f32,
    roll: [f32; 2],
    extent: f32,
    centre: [f32; 2],
    pub colours: Palette,
    pub eye: Eye,
    pub nose: Nose,
    pub mouth: Mouth,
    pub hair: HairShape,
}

/// Eyes, mirrored about x = 0.
pub(super) struct Eye {
    pub x: f32,
    pub y: f32,
    pub half_width: f32,
    pub upper: f32,
    pub lower: f32,
    pub tilt: f32,
    pub iris: f32,
    pub gaze: [f32; 2],
}

/// Heights of root and tip, half-width at the wings.
pub(super) struct Nose {
    pub root: f32,
    pub tip: f32,
    pub wing: f32,
}

/// The mouth around (0, y).
pub(super) struct Mouth {
    pub y: f32,
    pub half_width: f32,
    /// Height of the corners over the middle.
    pub curve: f32,
    /// Thickness of the lips.
    pub upper: f32,
    pub lower: f32,
    /// Half-height of the opening.
    pub open: f32,
}

impl<'a> Rig<'a> {
    /// The rig of a face for a picture of `samples` samples a side.
    pub(super) fn new(face: &'a Face, samples: usize) -> Rig<'a> {
        let extent = 1.42 * (1.0 - 0.1 * face.zoom);
        let half_width = 0.7 + 0.055 * face.head_width;
        let (outline, profile) = head_tables(face, half_width);
        let roll = 0.2 * face.roll;
        let smile = face.smile.max(0.0);
        Rig {
            face,
            step: 2.0 * extent / samples as f32,
            outline,
            profile,
            half_width,
            bottom: chin_end(face),
            turn: (0.36 * face.yaw).sin(),
            nod: (0.2 * face.pitch).sin(),
            roll: [roll.sin(), roll.cos()],
            extent,
            centre: [-0.12 * face.shift_x, -0.14 - 0.08 * face.shift_y],
            colours: Palette::new(face),
            eye: Eye {
                x: 0.3 + 0.025 * face.eye_spacing,
                y: 0.0,
                half_width: 0.158 * (1.0 + 0.13 * face.eye_size),
                upper: 0.074 * (1.0 + 0.2 * face.eye_size + 0.35 * face.eye_open) * (1.0 - 0.12 * smile),
                lower: 0.046 * (1.0 + 0.2 * face.eye_size + 0.2 * face.eye_open) * (1.0 - 0.4 * smile),
                tilt: 0.12 * face.eye_tilt + 0.02,
                iris: 0.078 * (1.0 + 0.06 * face.eye_size),
                gaze: [0.05 * face.gaze_x - 0.04 * face.yaw, 0.025 * face.gaze_y],
            },
            nose: Nose {
                root: 0.06,
                tip: -0.36 - 0.06 * face.nose_length,
                wing: 0.135 * (1.0 + 0.28 * face.nose_width),
            },
            mouth: Mouth {
                y: -0.65 - 0.04 * face.nose_length,
                half_width: 0.255 * (1.0 + 0.14 * face.mouth_width + 0.16 * face.smile.max(-0.3)),
                curve: 0.085 * face.smile,
                upper: 0.066 * (1.0 + 0.45 * face.lip_fullness - 0.2 * face.age) * (1.0 - 0.2 * smile),
                lower: 0.093 * (1.0 + 0.42 * face.lip_fullness - 0.1 * face.age) * (1.0 - 0.15 * smile),
                open: 0.075 * face.mouth_open,
            },
            hair: HairShape::new(face),
        }
    }

    /// Where a point of the picture lies; x and y in −1..1, y up.
    pub(super) fn spot(&self, x: f32, y: f32) -> Spot {
        let body = [x * self.extent + self.centre[0], y * self.extent + self.centre[1]];
        // The head tilts about the base of the neck.
        let [sin, cos] = self.roll;
        let (dx, dy) = (body[0], body[1] + 0.9);
        Spot { frame: [x, y], body, head: [dx * cos - dy * sin, dx * sin + dy * cos - 0.9] }
    }

    /// Height on the outline: looking up lifts the chin, looking down lowers it.
    fn outline_height(&self, y: f32) -> f32 {
        y - 0.45 * self.nod * smooth(0.2, -1.0, y)
    }

    /// How far the outline at height `v` lies to the side of the axis: a turn takes the chin, which is in front, along.
    fn lead(&self, v: f32) -> f32 {
        self.turn * (0.34 * smooth(0.0, -0.9, v) - 0.06 * smooth(0.0, 0.6, v))
    }

    /// The smooth head, larger by `flank` at the sides and `top` above: the skull for 0, 0; the body of the hair otherwise.
    pub(super) fn shell(&self, [x, y]: [f32; 2], flank: f32, top: f32) -> Surface {
        let height = self.outline_height(y);
        if x.abs() > self.half_width + flank + 0.45 || height > 1.2 + top || height < self.bottom - 0.2 {
            return Surface { u: x, v: y, z: 0.0, depth_in: -0.2 };
        }
        let v = if height > TEMPLE { TEMPLE + (height - TEMPLE) * 0.9 / (0.9 + top) } else { height };
        let grow = 1.0 + flank / self.half_width;
        let (w, slope) = self.outline.at(v);
        let (w, slope) = ((w * grow).max(1e-4), slope * grow);
        let side = x - self.lead(height);
        let q = (side / w).abs().min(1.0);
        let z = self.profile.at(v).0 * ((1.0 - q * q) * (1.0 + 0.32 * q * q)).sqrt() * (1.0 + 0.5 * flank + 0.3 * top);
        // Dividing by the length of the gradient turns the sideways distance into a distance.
        let depth_in = (w - side.abs()) / (1.0 + slope * slope).sqrt();
        let depth_in = depth_in.min(1.0 - v).min(v - self.bottom);
        let (u, v) = self.project([x, y], z);
        Surface { u, v, z, depth_in }
    }

    /// Where a point of the picture at depth `z` lies on the straight-on face.
    pub(super) fn project(&self, [x, y]: [f32; 2], z: f32) -> (f32, f32) {
        (x - z * self.turn, y - z * self.nod)
    }

    /// Noise in −1..1 that fades where samples can't carry its frequency (cycles a unit).
    pub(super) fn texture(&self, x: f32, y: f32, frequency: f32, salt: u32) -> f32 {
        let amount = carried(frequency, self.step);
        if amount > 0.0 { amount * noise(x * frequency, y * frequency, self.face.grain ^ salt) } else { 0.0 }
    }
}

fn chin_end(face: &Face) -> f32 {
    -1.0 - 0.05 * face.chin
}

/// Half-width and depth of the head by height.
fn head_tables(face: &Face, half_width: f32) -> (Table, Table) {
    let bottom = chin_end(face);
    let (square, blunt) = (2.7 + 0.9 * face.jaw, 1.9 + 0.3 * face.jaw + 0.15 * face.chin);
    let outline = Table::new(bottom - 0.02, 1.02, |v| {
        if v > TEMPLE {
            let t = ((v - TEMPLE) / 0.9).min(1.0);
            half_width * (1.0 - t.powf(2.3)).powf(1.0 / 2.3)
        } else {
            let t = ((TEMPLE - v) / (TEMPLE - bottom)).min(1.0);
            let cheek = 1.0 + 0.06 * face.cheeks * bump(0.0, v + 0.4, 1.0, 0.5);
            half_width * cheek * (1.0 - t.powf(square)).powf(1.0 / blunt)
        }
    });
    let profile = Table::new(bottom - 0.02, 1.02, |v| {
        if v > TEMPLE {
            let t = ((v - TEMPLE) / 0.9).min(1.0);
            0.86 * (1.0 - t.powf(2.4)).sqrt()
        } else {
            let t = ((TEMPLE - v) / (TEMPLE - bottom)).min(1.0);
            0.86 * (1.0 - 0.24 * t) * (1.0 - t.powf(7.0)).sqrt()
        }
    });
    (outline, profile)
}
