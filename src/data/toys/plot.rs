//! A scatter plot of real and generated points. No text: the axes are the toy's own, ticks at whole units.

use image::{Rgb, RgbImage};

use super::Toy;

const PAPER: [f32; 3] = [255.0, 255.0, 255.0];
const LINES: [f32; 3] = [236.0, 238.0, 241.0];
const FRAME: [f32; 3] = [96.0, 102.0, 112.0];
const REAL: [f32; 3] = [120.0, 132.0, 150.0];
const FAKE: [f32; 3] = [226.0, 88.0, 34.0];

/// Real points in grey under generated ones in orange, `[n,2]` each, on a square image of `size` pixels (at least 64).
/// Points outside the axes lie on the frame, so that none is hidden; points that are not finite are left out.
pub fn plot(toy: Toy, real: &[f32], fake: &[f32], size: usize) -> RgbImage {
    let mut canvas = Canvas::new(toy, size.max(64));
    canvas.axes();
    // Smaller and fainter the more there are, so that density stays visible.
    let crowd = |points: &[f32]| (2000.0 / (points.len() as f32 / 2.0).max(1.0)).sqrt().clamp(0.35, 1.0);
    // Real dots are the wider ones: they surround generated ones that are right, and stay empty where a mode is missed.
    let fine = canvas.side as f32 / 420.0 + 0.5;
    for (points, radius, colour, ink) in [(real, 2.4 * fine, REAL, 0.3), (fake, fine, FAKE, 0.8)] {
        for p in points.chunks_exact(2).filter(|p| p.iter().all(|v| v.is_finite())) {
            canvas.dot([p[0], p[1]], radius, colour, ink * crowd(points));
        }
    }
    canvas.finish()
}

/// Pixels as floats, and the map from data units to them.
struct Canvas {
    side: usize,
    pixels: Vec<[f32; 3]>,
    /// Distance of the frame from the edge of the image, pixels.
    margin: f32,
    /// Half the width of the axes, data units.
    extent: f32,
}

impl Canvas {
    fn new(toy: Toy, side: usize) -> Canvas {
        let margin = (side as f32 * 0.04).round();
        Canvas { side, pixels: vec![PAPER; side * side], margin, extent: toy.extent() as f32 }
    }

    /// Pixels along the frame.
    fn width(&self) -> f32 {
        self.side as f32 - 2.0 * self.margin
    }

    /// Distance of data coordinate `v` from the left or lower end of the frame, kept inside it.
    fn along(&self, v: f32) -> f32 {
        ((v / self.extent + 1.0) / 2.0 * self.width()).clamp(0.0, self.width())
    }

    /// Faint lines through whole units, and the frame.
    fn axes(&mut self) {
        let (low, high) = (self.margin, self.margin + self.width());
        let thick = (self.side as f32 / 512.0).max(1.0);
        let last = self.extent.floor() as i32;
        for unit in -last..=last {
            let at = self.along(unit as f32);
            self.rect([low + at - thick / 2.0, low, low + at + thick / 2.0, high], LINES);
            self.rect([low, high - at - thick / 2.0, high, high - at + thick / 2.0], LINES);
        }
        for [left, top, right, bottom] in [
            [low - thick, low - thick, high + thick, low],
            [low - thick, high, high + thick, high + thick],
            [low - thick, low, low, high],
            [high, low, high + thick, high],
        ] {
            self.rect([left, top, right, bottom], FRAME);
        }
    }

    /// A disc at a point in data units, its radius in pixels, anti-aliased by its distance to each pixel's centre.
    fn dot(&mut self, [x, y]: [f32; 2], radius: f32, colour: [f32; 3], ink: f32) {
        let (cx, cy) = (self.margin + self.along(x), self.margin + self.width() - self.along(y));
        self.each(cx - radius - 1.0, cy - radius - 1.0, cx + radius + 1.0, cy + radius + 1.0, |px, py| {
            let distance = (px + 0.5 - cx).hypot(py + 0.5 - cy);
            ((radius + 0.5 - distance).clamp(0.0, 1.0) * ink, colour)
        });
    }

    /// A filled rectangle (left, top, right, bottom), weighted by the share of each pixel it covers.
    fn rect(&mut self, [left, top, right, bottom]: [f32; 4], colour: [f32; 3]) {
        let overlap = |a: f32, b: f32, p: f32| (b.min(p + 1.0) - a.max(p)).clamp(0.0, 1.0);
        self.each(left, top, right, bottom, |px, py| (overlap(left, right, px) * overlap(top, bottom, py), colour));
    }

    /// Blends a colour by its weight into every pixel that the box touches.
    fn each(&mut self, left: f32, top: f32, right: f32, bottom: f32, paint: impl Fn(f32, f32) -> (f32, [f32; 3])) {
        let range = |a: f32, b: f32| (a.floor().max(0.0) as usize)..(b.ceil().max(0.0) as usize).min(self.side);
        let (rows, columns) = (range(top, bottom), range(left, right));
        for y in rows {
            for x in columns.clone() {
                let (weight, colour) = paint(x as f32, y as f32);
                for (p, c) in self.pixels[y * self.side + x].iter_mut().zip(colour) {
                    *p += (c - *p) * weight;
                }
            }
        }
    }

    fn finish(self) -> RgbImage {
        let side = self.side as u32;
        RgbImage::from_fn(side, side, |x, y| Rgb(self.pixels[(y * side + x) as usize].map(|v| v.round() as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Orange where red stands well above blue.
    fn orange(p: &Rgb<u8>) -> bool {
        i32::from(p[0]) - i32::from(p[2]) > 60
    }

    #[test]
    fn points_land_where_they_are() {
        // (0.75, 0.75) of ±1.5 is three quarters to the right and a quarter from the top of the frame.
        let image = plot(Toy::Ring8, &[], &[0.75, 0.75], 200);
        assert!(orange(image.get_pixel(8 + 138, 8 + 46)));
        let inked = image.pixels().filter(|p| orange(p)).count();
        assert!((2..40).contains(&inked), "{inked} pixels");
    }

    #[test]
    fn nothing_is_hidden_and_nothing_breaks() {
        let wild = [9.0, 0.0, -9.0, f32::MAX, f32::NAN, 0.0, f32::INFINITY, 1.0];
        let image = plot(Toy::Grid25, &[0.0, 0.0], &wild, 128);
        // Two finite points, both on the frame: right middle, and upper left.
        let at = |x: std::ops::Range<u32>, y: std::ops::Range<u32>| {
            x.flat_map(|x| y.clone().map(move |y| (x, y))).any(|(x, y)| orange(image.get_pixel(x, y)))
        };
        assert!(at(118..128, 60..68) && at(0..10, 0..10));
        assert!(!at(20..110, 20..110), "only real points inside");
        assert_eq!(plot(Toy::Ring8, &[], &[], 1).dimensions(), (64, 64));
    }

    #[test]
    fn generated_points_lie_over_real_ones() {
        let image = plot(Toy::Grid25, &[1.0, 1.0], &[1.0, 1.0], 256);
        assert!(image.pixels().any(orange));
        let grey = plot(Toy::Grid25, &[1.0, 1.0], &[], 256);
        assert!(!grey.pixels().any(orange) && grey.pixels().any(|p| p[0] < 225 && p[0] > 100));
    }
}
