//! The shape of each hair style as numbers: where hair begins, how far it stands out, where it ends, how strands run.

use super::factors::{Face, HairStyle, Hat};

/// The course of strands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Flow {
    /// From the parting outwards and down.
    Down,
    /// From the hairline up and back.
    Back,
    /// From the crown to the forehead.
    Forward,
    /// No common direction.
    Curl,
}

/// A hair style in head units (`rig.rs`).
#[derive(Debug, Clone, Copy)]
pub(super) struct HairShape {
    /// None at all.
    pub bald: bool,
    /// Height of the hairline above the middle of the forehead.
    pub line: f32,
    /// How much higher the line is at the temples.
    pub temple: f32,
    /// Half-width of the face left free.
    pub side: f32,
    /// Thickness above the skull, and at its sides.
    pub top: f32,
    pub flank: f32,
    /// Height at which the hair in front of the ears ends.
    pub side_end: f32,
    /// Height at which hair behind the neck ends; above −0.5 there is none.
    pub back_end: f32,
    /// Extra half-width of hanging hair at its lower end.
    pub spread: f32,
    /// Lower edge of a fringe over the forehead, where there is one.
    pub fringe: Option<f32>,
    /// Position of the parting.
    pub part: f32,
    pub flow: Flow,
    /// Depth of the relief of strands, and strands across a head.
    pub relief: f32,
    pub strands: f32,
    /// Side-to-side swing of the strands.
    pub wave: f32,
    /// Raggedness of the outline.
    pub ragged: f32,
    /// How much scalp shows through.
    pub sparse: f32,
    /// Radius of a bun on the crown.
    pub bun: f32,
    /// Hair on the sides only.
    pub horseshoe: bool,
    /// Hair gathered over one shoulder.
    pub tail: bool,
}

const BASE: HairShape = HairShape {
    bald: false,
    line: 0.58,
    temple: 0.06,
    side: 0.6,
    top: 0.1,
    flank: 0.05,
    side_end: -0.12,
    back_end: 0.0,
    spread: 0.0,
    fringe: None,
    part: 0.0,
    flow: Flow::Down,
    relief: 0.03,
    strands: 14.0,
    wave: 0.0,
    ragged: 0.02,
    sparse: 0.0,
    bun: 0.0,
    horseshoe: false,
    tail: false,
};

/// Shoulder-length or longer, worn open.
const LONG: HairShape = HairShape {
    line: 0.62,
    side: 0.56,
    top: 0.1,
    flank: 0.14,
    side_end: -1.75,
    back_end: -1.8,
    spread: 0.06,
    relief: 0.045,
    strands: 11.0,
    ..BASE
};

impl HairShape {
    /// The shape for a face, with volume, parting and what a hat allows.
    pub(super) fn new(face: &Face) -> HairShape {
        let mut shape = style(face.hair);
        let volume = 1.0 + 0.35 * face.hair_volume;
        shape.top *= volume;
        shape.flank *= volume;
        shape.bun *= 1.0 + 0.2 * face.hair_volume;
        let parting = if face.hair == HairStyle::SidePart { 0.22f32.copysign(face.parting) } else { 0.0 };
        shape.part = parting + 0.16 * face.parting;
        shape.line += 0.03 * face.hair_volume;
        if matches!(face.hat, Hat::Beanie | Hat::Cap | Hat::Brimmed) {
            shape.top = shape.top.min(0.04);
            shape.flank = shape.flank.min(0.14);
            shape.bun = 0.0;
        }
        if face.hat == Hat::Scarf {
            shape.bald = true;
        }
        shape
    }
}

fn style(style: HairStyle) -> HairShape {
    match style {
        HairStyle::Bald => HairShape { bald: true, ..BASE },
        HairStyle::Buzz => HairShape {
            temple: 0.1,
            side: 0.62,
            top: 0.025,
            flank: 0.012,
            flow: Flow::Curl,
            relief: 0.008,
            strands: 30.0,
            ragged: 0.012,
            sparse: 0.3,
            ..BASE
        },
        HairStyle::Crop => HairShape { line: 0.52, top: 0.1, flow: Flow::Forward, ragged: 0.04, relief: 0.035, ..BASE },
        HairStyle::SidePart => HairShape { line: 0.56, top: 0.15, flank: 0.05, strands: 12.0, ..BASE },
        HairStyle::Quiff => {
            HairShape { line: 0.6, temple: 0.12, top: 0.26, flank: 0.03, flow: Flow::Back, relief: 0.05, ..BASE }
        }
        HairStyle::Curls => HairShape {
            line: 0.5,
            side: 0.58,
            top: 0.2,
            flank: 0.12,
            side_end: -0.2,
            flow: Flow::Curl,
            relief: 0.055,
            strands: 6.5,
            ragged: 0.055,
            ..BASE
        },
        HairStyle::Afro => HairShape {
            line: 0.54,
            side: 0.58,
            top: 0.42,
            flank: 0.4,
            side_end: -0.4,
            back_end: -0.6,
            flow: Flow::Curl,
            relief: 0.06,
            strands: 9.0,
            ragged: 0.05,
            ..BASE
        },
        HairStyle::Bob => HairShape { side_end: -0.82, back_end: -0.9, flank: 0.17, spread: 0.02, ..LONG },
        HairStyle::Straight => LONG,
        HairStyle::Wavy => HairShape {
            flank: 0.2,
            top: 0.14,
            spread: 0.16,
            wave: 0.06,
            relief: 0.07,
            ragged: 0.035,
            strands: 8.0,
            ..LONG
        },
        HairStyle::Fringe => HairShape { fringe: Some(0.34), side: 0.54, side_end: -0.95, back_end: -1.1, ..LONG },
        HairStyle::Bun => HairShape { line: 0.6, top: 0.06, flank: 0.03, flow: Flow::Back, bun: 0.3, ..BASE },
        HairStyle::Ponytail => HairShape { line: 0.62, top: 0.09, flank: 0.04, flow: Flow::Back, tail: true, ..BASE },
        HairStyle::Locs => HairShape {
            relief: 0.12,
            strands: 6.0,
            side_end: -1.3,
            back_end: -1.4,
            flank: 0.16,
            ragged: 0.05,
            wave: 0.02,
            ..LONG
        },
        HairStyle::Receding => {
            HairShape { line: 0.95, side: 0.57, top: 0.02, flank: 0.05, horseshoe: true, ragged: 0.03, ..BASE }
        }
    }
}
