//! The colours of one portrait, worked out once: powers and hues are too dear for every sample.

use super::factors::{EyeColour, Face, Glasses, HairColour, Hat};
use super::maths::{Rgb, hex, hsv, lerp, mix, ramp, scale, tint};

/// Linear-light colours.
pub(super) struct Palette {
    pub skin: Rgb,
    pub lips: Rgb,
    pub hair: Rgb,
    /// Brows and beard.
    pub brow: Rgb,
    pub iris: Rgb,
    pub eye_shadow: Rgb,
    pub metal: Rgb,
    pub gem: Rgb,
    pub frame: Rgb,
    /// Dark lenses.
    pub lens: Rgb,
    pub hat: Rgb,
    pub scarf: Rgb,
    pub cloth: Rgb,
    pub jacket: Rgb,
    pub tie: Rgb,
}

impl Palette {
    /// The colours of a face.
    pub(super) fn new(f: &Face) -> Palette {
        let accent = |saturation, value| hsv(f.accent_hue, saturation, value);
        let skin = skin(f);
        let hair = hair(f);
        let grown = if f.hair_colour == HairColour::Dyed { hex(0x2E2018) } else { hair };
        let bare = tint(skin, [0.92, lerp(0.56, 0.72, f.skin_tone), lerp(0.58, 0.74, f.skin_tone)]);
        let pigment = hsv(0.97 + 0.08 * (f.accent_hue - 0.5), 0.88, lerp(0.72, 0.5, f.skin_tone));
        let metal = hex(if f.accent_hue < 0.5 { 0xE8C060 } else { 0xD8DCE2 });
        Palette {
            lips: mix(bare, pigment, 0.9 * f.lipstick),
            brow: mix(scale(grown, 0.75), tint(skin, [0.25, 0.2, 0.18]), 0.35),
            iris: iris(f),
            eye_shadow: mix(scale(skin, 0.4), accent(0.5, 0.55), 0.45),
            metal,
            gem: mix(metal, accent(0.6, 0.8), 0.6),
            frame: match f.glasses {
                Glasses::Round | Glasses::Rimless => mix(hex(0x8A7A50), accent(0.2, 0.5), 0.5),
                _ => mix(hex(0x181412), accent(0.6, 0.3), 0.45),
            },
            lens: accent(0.3, 0.2),
            hat: match f.hat {
                Hat::Brimmed => mix(hex(0x4A3A2C), accent(0.5, 0.45), 0.5),
                Hat::Headband => accent(0.5, 0.65),
                _ => accent(0.5, 0.52),
            },
            scarf: accent(0.4, 0.25 + 0.5 * f.clothes_value),
            // Clothes tend to be muted, the lighter the paler.
            cloth: hsv(f.clothes_hue, 0.55 - 0.35 * f.clothes_value, 0.12 + 0.78 * f.clothes_value),
            jacket: hsv(f.clothes_hue, 0.3, 0.1 + 0.4 * f.clothes_value),
            tie: accent(0.7, 0.45),
            skin,
            hair,
        }
    }
}

/// The human range, lightest to darkest, then the undertone.
fn skin(face: &Face) -> Rgb {
    let tones = [0xF6DDCD, 0xEFC9AE, 0xE2B08C, 0xCB9069, 0xAE7650, 0x8A5639, 0x673E29, 0x4A2C1F];
    let t = face.undertone;
    tint(ramp(&tones, face.skin_tone), [1.0 + 0.02 * t, 1.0 + 0.05 * t, 1.0 - 0.16 * t])
}

fn hair(face: &Face) -> Rgb {
    let s = 0.5 + 0.5 * face.hair_shade;
    match face.hair_colour {
        HairColour::Black => ramp(&[0x0C0A0B, 0x1E1A1A], s),
        HairColour::DarkBrown => ramp(&[0x24170F, 0x3D281A], s),
        HairColour::Brown => ramp(&[0x472D1B, 0x6B472C], s),
        HairColour::Chestnut => ramp(&[0x562A18, 0x7A4024], s),
        HairColour::Red => ramp(&[0x8A3A18, 0xB55E2B], s),
        HairColour::DarkBlond => ramp(&[0x7E6040, 0xA08054], s),
        HairColour::Blond => ramp(&[0xB8935A, 0xE6CB95], s),
        HairColour::Grey => ramp(&[0x66625F, 0x9C9894], s),
        HairColour::White => ramp(&[0xC2BEB8, 0xE6E2DC], s),
        HairColour::Dyed => hsv(s * 0.999, 0.6, 0.6),
    }
}

fn iris(face: &Face) -> Rgb {
    hex(match face.eye_colour {
        EyeColour::DarkBrown => 0x26140B,
        EyeColour::Brown => 0x6E4524,
        EyeColour::Hazel => 0x80663A,
        EyeColour::Green => 0x5E7F55,
        EyeColour::Blue => 0x4E80B0,
        EyeColour::Grey => 0x7C8C96,
    })
}
