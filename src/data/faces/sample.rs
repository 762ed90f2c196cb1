//! How the factors are distributed: natural proportions, a few natural correlations, everything else independent.
//!
//! Draw `k` of face `i` is a pure function of (seed, i, k), so a face does not depend on the others. Adding a draw in the
//! middle would change all faces: new factors take their numbers at the end of their list.

use super::factors::{Backdrop, Beard, Clothes, Earrings, EyeColour, Face, Glasses, HairColour, HairStyle, Hat};
use crate::philox;

/// Sets these numbers apart from other uses of the same seed.
const STREAM: u32 = 0xFACE;

/// The draws of one face, in order.
struct Draws {
    seed: u64,
    index: u64,
    next: u32,
}

impl Draws {
    fn block(&mut self) -> [u32; 4] {
        let counter = [self.index as u32, (self.index >> 32) as u32, STREAM, self.next];
        self.next += 1;
        philox::block(self.seed, counter)
    }

    /// Uniform in lo..hi.
    fn uniform(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * philox::uniform(self.block()[0]) as f32
    }

    /// Bell-shaped in -1..1 with this deviation.
    fn bell(&mut self, deviation: f32) -> f32 {
        let w = self.block();
        (philox::normal_pair(w[0], w[1])[0] as f32 * deviation).clamp(-1.0, 1.0)
    }

    fn chance(&mut self, p: f32) -> bool {
        self.uniform(0.0, 1.0) < p
    }

    /// One of `choices` in proportion to its weight.
    fn pick<T: Copy>(&mut self, choices: &[(T, f32)]) -> T {
        let total: f32 = choices.iter().map(|c| c.1).sum();
        let mut left = self.uniform(0.0, total);
        for &(choice, weight) in choices {
            left -= weight;
            if left <= 0.0 {
                return choice;
            }
        }
        choices[choices.len() - 1].0
    }
}

/// Face `index` of `seed`.
pub(super) fn draw(seed: u64, index: u64) -> Face {
    let d = &mut Draws { seed, index, next: 0 };
    // Sways hair, beard, make-up, brows and jaw together; no hard rule, and no label.
    let lean = d.bell(0.8);
    let skin_tone = d.uniform(0.0, 1.0).powf(1.3);
    let age = d.uniform(0.0, 1.0).powf(1.5);
    let smile = (0.25 + d.bell(0.5)).clamp(-1.0, 1.0);
    let hair_colour = hair_colour(d, skin_tone, age);
    let hat = d.pick(&[
        (Hat::None, 0.82),
        (Hat::Beanie, 0.04),
        (Hat::Cap, 0.04),
        (Hat::Brimmed, 0.03),
        (Hat::Headband, 0.03 + 0.02 * lean.max(0.0)),
        (Hat::Scarf, 0.05 * lean.max(0.0)),
    ]);
    Face {
        skin_tone,
        undertone: d.bell(0.5),
        age,
        freckles: d.uniform(0.0, 1.0).powi(3),
        head_width: d.bell(0.45),
        jaw: (d.bell(0.5) - 0.25 * lean).clamp(-1.0, 1.0),
        chin: d.bell(0.45),
        cheeks: d.bell(0.5),
        hair_shade: d.uniform(-1.0, 1.0),
        hair_volume: d.bell(0.5),
        parting: d.uniform(-1.0, 1.0),
        brow_weight: (d.bell(0.5) - 0.3 * lean).clamp(-1.0, 1.0),
        brow_angle: d.bell(0.45),
        eye_size: (d.bell(0.45) + 0.1 * lean).clamp(-1.0, 1.0),
        eye_spacing: d.bell(0.45),
        eye_tilt: d.bell(0.45),
        eye_open: d.bell(0.45),
        gaze_x: d.bell(0.35),
        gaze_y: d.bell(0.3),
        nose_length: d.bell(0.45),
        nose_width: (d.bell(0.45) + 0.5 * (skin_tone - 0.45)).clamp(-1.0, 1.0),
        mouth_width: d.bell(0.45),
        lip_fullness: (d.bell(0.45) + 0.5 * (skin_tone - 0.45)).clamp(-1.0, 1.0),
        smile,
        mouth_open: if d.chance(0.25 + 0.3 * smile.max(0.0)) { d.uniform(0.15, 1.0) } else { 0.0 },
        ear_size: d.bell(0.45),
        lipstick: if d.chance(0.12 + 0.55 * lean.max(0.0)) { d.uniform(0.3, 1.0) } else { 0.0 },
        eye_makeup: if d.chance(0.1 + 0.5 * lean.max(0.0)) { d.uniform(0.3, 1.0) } else { 0.0 },
        accent_hue: d.uniform(0.0, 1.0),
        clothes_hue: d.uniform(0.0, 1.0),
        clothes_value: d.uniform(0.0, 1.0),
        backdrop_hue: d.uniform(0.0, 1.0),
        backdrop_value: d.uniform(0.0, 1.0),
        light_side: d.uniform(-1.0, 1.0),
        light_height: d.uniform(0.0, 1.0),
        light_warmth: d.bell(0.5),
        light_contrast: d.uniform(0.0, 1.0),
        yaw: d.bell(0.45),
        pitch: d.bell(0.4),
        roll: d.bell(0.35),
        zoom: d.bell(0.5),
        shift_x: d.bell(0.5),
        shift_y: d.bell(0.5),
        hair: hair(d, lean, skin_tone, age),
        hair_colour,
        eye_colour: eye_colour(d, skin_tone),
        beard: beard(d, lean),
        glasses: d.pick(&[
            (Glasses::None, 0.76 - 0.2 * age),
            (Glasses::Round, 0.06),
            (Glasses::Square, 0.07),
            (Glasses::Browline, 0.03),
            (Glasses::Rimless, 0.04),
            (Glasses::Sunglasses, 0.03),
        ]),
        hat,
        clothes: d.pick(&[
            (Clothes::Crew, 0.28),
            (Clothes::VNeck, 0.16),
            (Clothes::Shirt, 0.2),
            (Clothes::Suit, 0.14 - 0.05 * lean),
            (Clothes::RollNeck, 0.1),
            (Clothes::Wide, 0.1 + 0.1 * lean.max(0.0)),
        ]),
        backdrop: d.pick(&Backdrop::ALL.iter().map(|&b| (b, 1.0)).collect::<Vec<_>>()),
        earrings: d.pick(&[
            (Earrings::None, 0.7 - 0.25 * lean.max(0.0)),
            (Earrings::Stud, 0.1 + 0.05 * lean.max(0.0)),
            (Earrings::Hoop, 0.04 + 0.1 * lean.max(0.0)),
            (Earrings::Drop, 0.02 + 0.1 * lean.max(0.0)),
        ]),
        grain: d.block()[0],
    }
}

/// Light skin carries every colour, dark skin mostly the dark ones; age greys them all.
fn hair_colour(d: &mut Draws, tone: f32, age: f32) -> HairColour {
    let light = (1.0 - 1.7 * tone).max(0.02);
    let grey = ((age - 0.35) * 2.0).max(0.01);
    d.pick(&[
        (HairColour::Black, 0.15 + 0.7 * tone),
        (HairColour::DarkBrown, 0.35),
        (HairColour::Brown, 0.1 + 0.3 * light),
        (HairColour::Chestnut, 0.03 + 0.15 * light),
        (HairColour::Red, 0.15 * light),
        (HairColour::DarkBlond, 0.01 + 0.22 * light),
        (HairColour::Blond, 0.01 + 0.22 * light),
        (HairColour::Grey, 0.5 * grey),
        (HairColour::White, 0.35 * grey),
        (HairColour::Dyed, 0.03),
    ])
}

fn eye_colour(d: &mut Draws, tone: f32) -> EyeColour {
    let light = (1.0 - 2.0 * tone).max(0.01);
    d.pick(&[
        (EyeColour::DarkBrown, 0.2 + tone),
        (EyeColour::Brown, 0.4),
        (EyeColour::Hazel, 0.03 + 0.2 * light),
        (EyeColour::Green, 0.01 + 0.2 * light),
        (EyeColour::Blue, 0.01 + 0.45 * light),
        (EyeColour::Grey, 0.01 + 0.15 * light),
    ])
}

/// Styles lean with `lean`; afros and locs with the skin tone, bald and receding with age.
fn hair(d: &mut Draws, lean: f32, tone: f32, age: f32) -> HairStyle {
    let (short, long) = (0.08 + 0.92 * (0.5 - lean).clamp(0.0, 1.0), 0.08 + 0.92 * (0.5 + lean).clamp(0.0, 1.0));
    let coily = (tone - 0.35).max(0.0);
    d.pick(&[
        (HairStyle::Bald, short * (0.03 + 0.05 * age)),
        (HairStyle::Buzz, short * (0.08 + 0.1 * coily)),
        (HairStyle::Crop, short * 0.2),
        (HairStyle::SidePart, short * 0.2),
        (HairStyle::Quiff, short * 0.12),
        (HairStyle::Curls, 0.08),
        (HairStyle::Afro, 0.02 + 0.15 * coily),
        (HairStyle::Bob, long * 0.14),
        (HairStyle::Straight, long * 0.16),
        (HairStyle::Wavy, long * 0.18),
        (HairStyle::Fringe, long * 0.12),
        (HairStyle::Bun, long * 0.08),
        (HairStyle::Ponytail, long * 0.1),
        (HairStyle::Locs, 0.01 + 0.12 * coily),
        (HairStyle::Receding, short * (0.02 + 0.1 * age)),
    ])
}

fn beard(d: &mut Draws, lean: f32) -> Beard {
    let grown = (0.35 - lean).clamp(0.0, 1.0);
    d.pick(&[
        (Beard::None, 1.0 - 0.65 * grown),
        (Beard::Stubble, 0.18 * grown),
        (Beard::Moustache, 0.07 * grown),
        (Beard::Goatee, 0.07 * grown),
        (Beard::Circle, 0.08 * grown),
        (Beard::Short, 0.15 * grown),
        (Beard::Full, 0.12 * grown),
    ])
}
