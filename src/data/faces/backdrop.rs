//! What is behind the person, out of focus: smooth shapes only, drawn straight in the frame of the picture.

use super::canvas::{Matter, Texel};
use super::factors::{Backdrop, Face};
use super::maths::{Rgb, hsv, inside, lattice, length, lerp, mix, noise, scale, smooth};

/// Depth of the background: far enough behind to be out of every shadow.
const FAR: f32 = -1.6;

/// A disc of defocused light.
struct Disc {
    x: f32,
    y: f32,
    radius: f32,
    colour: Rgb,
}

/// The background of one face.
pub(super) struct Scene {
    kind: Backdrop,
    salt: u32,
    /// Upper and lower colour, and an accent.
    high: Rgb,
    low: Rgb,
    accent: Rgb,
    discs: Vec<Disc>,
}

impl Scene {
    pub(super) fn new(face: &Face) -> Scene {
        let (h, v) = (face.backdrop_hue, face.backdrop_value);
        let salt = face.grain ^ 0x5EED;
        let (high, low, accent) = match face.backdrop {
            Backdrop::Studio => (hsv(h, 0.16, 0.2 + 0.72 * v), hsv(h, 0.2, 0.1 + 0.5 * v), [0.0; 3]),
            Backdrop::Gradient => (hsv(h, 0.34, 0.25 + 0.65 * v), hsv(h + 0.12, 0.42, 0.12 + 0.5 * v), [0.0; 3]),
            Backdrop::Bokeh => (hsv(h, 0.5, 0.08 + 0.3 * v), hsv(h + 0.1, 0.5, 0.05 + 0.2 * v), hsv(h + 0.5, 0.4, 0.9)),
            Backdrop::Outdoors => {
                (hsv(0.57 + 0.04 * h, 0.35, 0.55 + 0.4 * v), hsv(0.2 + 0.15 * h, 0.4, 0.2 + 0.35 * v), [0.9, 0.9, 0.88])
            }
            Backdrop::Indoors => {
                (hsv(h, 0.16, 0.3 + 0.5 * v), hsv(h + 0.05, 0.28, 0.2 + 0.3 * v), hsv(h + 0.45, 0.3, 0.85))
            }
            Backdrop::Foliage => (
                hsv(0.24 + 0.08 * h, 0.5, 0.3 + 0.4 * v),
                hsv(0.3 + 0.08 * h, 0.6, 0.1 + 0.15 * v),
                hsv(0.16, 0.4, 0.9),
            ),
        };
        let draw = |i: i32, k: i32| lattice(i, k, salt);
        let discs = (0..if face.backdrop == Backdrop::Bokeh { 11 } else { 0 })
            .map(|i| Disc {
                x: 2.4 * draw(i, 0) - 1.2,
                y: 2.2 * draw(i, 1) - 1.0,
                radius: 0.1 + 0.2 * draw(i, 2),
                colour: scale(hsv(h + 0.15 * draw(i, 3), 0.15 + 0.5 * draw(i, 5), 0.9), 0.25 + 0.6 * draw(i, 4)),
            })
            .collect();
        Scene { kind: face.backdrop, salt, high, low, accent, discs }
    }

    /// The colour the surroundings throw on the person.
    pub(super) fn ambient(&self) -> Rgb {
        mix(self.high, self.low, 0.4)
    }

    /// The background at a point of the frame, as an unlit sample.
    pub(super) fn at(&self, [x, y]: [f32; 2]) -> Texel {
        Texel { depth: FAR, albedo: self.colour(x, y), matter: Matter::LIGHT }
    }

    fn colour(&self, x: f32, y: f32) -> Rgb {
        let rise = 0.5 + 0.5 * y;
        // Turned against the frame, so that the lattice of the noise does not show.
        let cloud = |f: f32, salt: u32| {
            let (sin, cos) = ((0.4 + 0.37 * salt as f32).fract(), 0.8);
            noise((x * cos - y * sin) * f, (x * sin + y * cos) * f, self.salt ^ salt)
        };
        match self.kind {
            Backdrop::Studio => {
                let off = lattice(0, 7, self.salt) - 0.5;
                let spread = smooth(1.5, 0.1, length(x - off, y - 0.25));
                scale(mix(self.low, self.high, spread), 1.0 + 0.05 * cloud(2.0, 1))
            }
            Backdrop::Gradient => {
                let lean = lattice(1, 7, self.salt) - 0.5;
                mix(self.low, self.high, smooth(-0.1, 1.1, rise + lean * x))
            }
            Backdrop::Bokeh => {
                let mut colour = mix(self.low, self.high, rise);
                for d in &self.discs {
                    let lit = inside(d.radius - length(x - d.x, y - d.y), 0.05);
                    colour = mix(colour, d.colour, 0.75 * lit);
                }
                colour
            }
            Backdrop::Outdoors => {
                let horizon = 0.1 + 0.5 * (lattice(2, 7, self.salt) - 0.5);
                let hills = horizon + 0.2 * noise(1.6 * x, 3.0, self.salt) - y;
                let sky = mix(self.high, self.accent, 0.6 * smooth(-0.2, 0.8, cloud(1.3, 2)) * smooth(0.0, 0.8, rise));
                let land = scale(self.low, 1.0 + 0.5 * cloud(3.0, 3));
                mix(sky, land, smooth(-0.14, 0.14, hills))
            }
            Backdrop::Indoors => self.room(x, y, rise),
            Backdrop::Foliage => {
                let leaves = 0.6 * cloud(3.0, 4) + 0.5 * cloud(6.5, 5);
                let colour = mix(self.low, self.high, smooth(-0.6, 0.7, leaves + 0.4 * y));
                mix(colour, self.accent, 0.7 * smooth(0.55, 1.0, 0.8 * cloud(4.0, 6) + 0.5 * y))
            }
        }
    }

    /// A wall, a window or picture on it, and furniture.
    fn room(&self, x: f32, y: f32, rise: f32) -> Rgb {
        let draw = |k: i32| lattice(3, k, self.salt);
        let wall = mix(scale(self.high, 0.75), self.high, lerp(rise, 0.5 + 0.5 * x, 0.4));
        let (cx, cy) = ((0.5 + 0.3 * draw(0)).copysign(draw(1) - 0.5), 0.25 + 0.4 * draw(2));
        let (dx, dy) = ((x - cx).abs() - 0.22 - 0.25 * draw(3), (y - cy).abs() - 0.3 - 0.3 * draw(4));
        let pane = inside(-dx.max(dy), 0.07);
        let frame = mix(self.accent, scale(self.low, 0.6), smooth(0.45, 0.55, draw(5)));
        let shelf = inside(-0.15 - 0.4 * draw(6) - y, 0.06) * inside((x * (draw(7) - 0.5).signum()) + 0.1, 0.1);
        mix(mix(wall, frame, 0.85 * pane), scale(self.low, 0.7), 0.8 * shelf)
    }
}
