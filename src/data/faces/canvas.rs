//! What a render knows of each sample before it is lit: depth, colour, material. Layers are laid over each other from back
//! to front; lighting (`light.rs`) then works on the finished depth, so whatever stands out also casts a shadow.

use super::maths::{Rgb, lerp, mix};

/// How a surface answers light.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matter {
    /// Strength of the highlight.
    pub gloss: f32,
    /// Sharpness of the highlight, 0 broad to 1 pin-sharp.
    pub polish: f32,
    /// How far light bleeds under the surface around the terminator, reddening it.
    pub flesh: f32,
    /// Part of the colour that is shown as it is, unlit: 1 for the background.
    pub glow: f32,
}

impl Matter {
    pub(super) const SKIN: Matter = Matter { gloss: 0.12, polish: 0.1, flesh: 1.0, glow: 0.0 };
    pub(super) const LIPS: Matter = Matter { gloss: 0.16, polish: 0.35, flesh: 0.8, glow: 0.0 };
    pub(super) const EYE: Matter = Matter { gloss: 0.04, polish: 0.8, flesh: 0.5, glow: 0.0 };
    pub(super) const HAIR: Matter = Matter { gloss: 0.1, polish: 0.22, flesh: 0.5, glow: 0.0 };
    pub(super) const CLOTH: Matter = Matter { gloss: 0.03, polish: 0.0, flesh: 0.2, glow: 0.0 };
    pub(super) const SHINY: Matter = Matter { gloss: 0.6, polish: 0.6, flesh: 0.0, glow: 0.0 };
    pub(super) const LIGHT: Matter = Matter { gloss: 0.0, polish: 0.0, flesh: 0.0, glow: 1.0 };
}

/// One sample of the picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texel {
    /// Toward the viewer, in head units (half the height of a head).
    pub depth: f32,
    /// Linear-light colour of the surface.
    pub albedo: Rgb,
    /// How it answers light.
    pub matter: Matter,
}

impl Texel {
    /// A sample that something will cover.
    pub(super) const VOID: Texel = Texel { depth: 0.0, albedo: [0.0; 3], matter: Matter::LIGHT };

    /// Lays a surface over this one; `cover` is how much of the sample it fills.
    pub(super) fn over(&mut self, cover: f32, top: Texel) {
        if cover <= 0.0 {
            return;
        }
        // Over the unlit background any part of an edge takes its own relief, or edges would be lit as if they were flat.
        if cover > 0.5 * (1.0 - self.matter.glow) {
            self.depth = top.depth;
        }
        self.paint(cover, top.albedo);
        let (a, b) = (self.matter, top.matter);
        self.matter = Matter {
            gloss: lerp(a.gloss, b.gloss, cover),
            polish: lerp(a.polish, b.polish, cover),
            flesh: lerp(a.flesh, b.flesh, cover),
            glow: lerp(a.glow, b.glow, cover),
        };
    }

    /// Colours this surface.
    pub(super) fn paint(&mut self, cover: f32, colour: Rgb) {
        self.albedo = mix(self.albedo, colour, cover.clamp(0.0, 1.0));
    }

    /// Multiplies the colour of this surface.
    pub(super) fn stain(&mut self, amount: f32, colour: Rgb) {
        for (c, k) in self.albedo.iter_mut().zip(colour) {
            *c *= lerp(1.0, k, amount.clamp(0.0, 1.0));
        }
    }
}
