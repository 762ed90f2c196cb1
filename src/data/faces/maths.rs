//! Small arithmetic for the portrait renderer: soft steps, compact bumps, value noise, colour.
//!
//! Everything is f32 and branch-light, because it runs a few hundred times for each sample of an image. Colours are linear
//! light with red, green, blue in 0..=1; only the last step of a render encodes to sRGB.

/// Linear-light colour.
pub(super) type Rgb = [f32; 3];

/// `a` at t = 0, `b` at t = 1.
pub(super) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// 0 below `lo`, 1 above `hi`, a cubic between; `lo > hi` turns it around.
pub(super) fn smooth(lo: f32, hi: f32, x: f32) -> f32 {
    let t = ((x - lo) / (hi - lo)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// How far a signed distance lies inside (positive) an edge blurred over ± `soft`: 0..=1.
pub(super) fn inside(distance: f32, soft: f32) -> f32 {
    (0.5 + 0.5 * distance / soft).clamp(0.0, 1.0)
}

/// A smooth hill of height 1 at the origin that ends at the ellipse with radii `rx`, `ry`.
pub(super) fn bump(x: f32, y: f32, rx: f32, ry: f32) -> f32 {
    let (a, b) = (x / rx, y / ry);
    let d = (1.0 - a * a - b * b).max(0.0);
    d * d
}

/// The greater of two numbers, rounded over a distance of `k`.
pub(super) fn smooth_max(a: f32, b: f32, k: f32) -> f32 {
    let h = (k - (a - b).abs()).max(0.0);
    a.max(b) + h * h / (4.0 * k)
}

/// Distance from a point to the segment between `a` and `b`.
pub(super) fn to_segment(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (px, py, dx, dy) = (p[0] - a[0], p[1] - a[1], b[0] - a[0], b[1] - a[1]);
    let t = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
    length(px - t * dx, py - t * dy)
}

/// Euclidean length.
pub(super) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// A hash of a lattice point as a number in 0..1.
pub(super) fn lattice(x: i32, y: i32, salt: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77) ^ salt;
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    (h >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Smooth value noise in -1..1 with features about one unit wide.
pub(super) fn noise(x: f32, y: f32, salt: u32) -> f32 {
    // floor() is a library call on baseline x86-64.
    let (ix, iy) = (x as i32 - i32::from(x < 0.0), y as i32 - i32::from(y < 0.0));
    let (fx, fy) = (ix as f32, iy as f32);
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (tx, ty) = (ease(x - fx), ease(y - fy));
    let top = lerp(lattice(ix, iy, salt), lattice(ix + 1, iy, salt), tx);
    let bottom = lerp(lattice(ix, iy + 1, salt), lattice(ix + 1, iy + 1, salt), tx);
    2.0 * lerp(top, bottom, ty) - 1.0
}

/// Part of a pattern of `frequency` cycles a unit that a sampling `step` can carry without aliasing: 1 well below the
/// limit, 0 at and above it.
pub(super) fn carried(frequency: f32, step: f32) -> f32 {
    (2.0 - 3.0 * frequency * step).clamp(0.0, 1.0)
}

/// `a` at t = 0, `b` at t = 1, channel by channel.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [lerp(a[0], b[0], t), lerp(a[1], b[1], t), lerp(a[2], b[2], t)]
}

/// A colour times a number.
pub(super) fn scale(a: Rgb, k: f32) -> Rgb {
    [a[0] * k, a[1] * k, a[2] * k]
}

/// A colour times a colour.
pub(super) fn tint(a: Rgb, b: Rgb) -> Rgb {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// Linear light of an sRGB colour written as 0xRRGGBB.
pub(super) fn hex(code: u32) -> Rgb {
    let decode = |byte: u32| {
        let c = (byte & 255) as f32 / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    [decode(code >> 16), decode(code >> 8), decode(code)]
}

/// Linear light of hue (in turns), saturation and value, all 0..=1.
pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    let channel = |offset: f32| {
        let k = (hue.rem_euclid(1.0) * 6.0 + offset).rem_euclid(6.0);
        let c = value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0));
        c.powf(2.2)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// A colour from evenly spaced `stops` at t in 0..=1.
pub(super) fn ramp(stops: &[u32], t: f32) -> Rgb {
    let x = t.clamp(0.0, 1.0) * (stops.len() - 1) as f32;
    let i = (x as usize).min(stops.len() - 2);
    mix(hex(stops[i]), hex(stops[i + 1]), x - i as f32)
}

/// A function of one variable over `lo..=hi`, tabulated so that outlines with powers in them cost two loads.
pub(super) struct Table {
    lo: f32,
    per_unit: f32,
    values: [f32; Table::N],
}

impl Table {
    const N: usize = 192;

    /// Samples `f` evenly over `lo..=hi`.
    pub(super) fn new(lo: f32, hi: f32, f: impl Fn(f32) -> f32) -> Table {
        let step = (hi - lo) / (Table::N - 1) as f32;
        Table { lo, per_unit: 1.0 / step, values: std::array::from_fn(|i| f(lo + step * i as f32)) }
    }

    /// The value at `x` (the end values outside the table) and the slope there.
    pub(super) fn at(&self, x: f32) -> (f32, f32) {
        let t = ((x - self.lo) * self.per_unit).clamp(0.0, (Table::N - 1) as f32 - 0.001);
        let i = t as usize;
        let rise = self.values[i + 1] - self.values[i];
        (self.values[i] + rise * (t - i as f32), rise * self.per_unit)
    }
}
