//! Settings with a spelling of their own: amounts of a pixel's range, and grids.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A size of perturbation as users write it: `"8/255"`, or a number from 0 to 1 where 1 is the whole range of a pixel.
///
/// [`Amount::in_model_units`] is the one place where such a number becomes one of the engine's [-1, 1] units.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount {
    pixel: f64,
    fraction: Option<String>,
}

impl Amount {
    /// What every refusal says.
    pub(super) const HINT: &'static str =
        "must be a fraction such as \"8/255\" or a number from 0 to 1, where 1 is the whole range of a pixel";

    /// A number from 0 to 1 of the pixel range; `None` outside of it.
    pub fn from_pixel(pixel: f64) -> Option<Amount> {
        (0.0..=1.0).contains(&pixel).then_some(Amount { pixel, fraction: None })
    }

    /// As a share of the pixel range, 0 to 1.
    pub fn in_pixel_units(&self) -> f64 {
        self.pixel
    }

    /// As a distance between images in [-1, 1]: twice the share of the pixel range.
    pub fn in_model_units(&self) -> f64 {
        2.0 * self.pixel
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Amount, String> {
        let number = |t: &str| t.trim().parse::<f64>().map_err(|_| Amount::HINT.to_string());
        let (pixel, fraction) = match text.split_once('/') {
            Some((above, below)) => (number(above)? / number(below)?, Some(text.to_string())),
            None => (number(text)?, None),
        };
        let amount = Amount::from_pixel(pixel).ok_or_else(|| Amount::HINT.to_string())?;
        Ok(Amount { fraction, ..amount })
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fraction {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.pixel),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.fraction {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_f64(self.pixel),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(f64),
            Text(String),
        }
        let amount = match Spelling::deserialize(deserializer)? {
            Spelling::Number(pixel) => Amount::from_pixel(pixel).ok_or_else(|| Amount::HINT.to_string()),
            Spelling::Text(text) => text.parse(),
        };
        amount.map_err(serde::de::Error::custom)
    }
}

/// Columns and rows of an image grid, spelled `8x8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Images side by side.
    pub columns: usize,
    /// Images one above another.
    pub rows: usize,
}

impl Grid {
    const MOST: usize = 256;

    /// What every refusal says.
    pub(super) const HINT: &'static str = "must be columns x rows such as \"8x8\", each from 1 to 256";

    /// Number of images.
    pub fn cells(self) -> usize {
        self.columns * self.rows
    }

    /// The squarest grid with room for `count` images, no wider than it must be; `None` where that is over 256 per side.
    pub fn around(count: usize) -> Option<Grid> {
        let columns = (1..=Grid::MOST).find(|c| c * c >= count)?;
        Some(Grid { columns, rows: count.div_ceil(columns).max(1) })
    }
}

impl FromStr for Grid {
    type Err = String;

    fn from_str(text: &str) -> Result<Grid, String> {
        let side = |t: &str| t.parse().ok().filter(|n| (1..=Grid::MOST).contains(n));
        let sides = text.split_once('x').and_then(|(c, r)| Some(Grid { columns: side(c)?, rows: side(r)? }));
        sides.ok_or_else(|| Grid::HINT.to_string())
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

impl Serialize for Grid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Grid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_both_units() {
        for (text, pixel) in [("8/255", 8.0 / 255.0), (" 1 / 2 ", 0.5), ("0.25", 0.25), ("0", 0.0), ("1", 1.0)] {
            let amount: Amount = text.parse().unwrap();
            assert_eq!(amount.in_pixel_units(), pixel, "{text}");
            assert_eq!(amount.in_model_units(), 2.0 * pixel, "{text}");
        }
        for text in ["8", "-0.1", "1/0", "0/0", "nan", "8/255/2", "", "8//255", "1e400", "eight"] {
            assert_eq!(text.parse::<Amount>(), Err(Amount::HINT.to_string()), "{text}");
        }
    }

    #[test]
    fn grids() {
        assert_eq!("8x4".parse(), Ok(Grid { columns: 8, rows: 4 }));
        for text in ["8", "8x", "0x8", "8x8x8", "-1x2", "257x1", "8 x 8"] {
            assert_eq!(text.parse::<Grid>(), Err(Grid::HINT.to_string()), "{text}");
        }
        for (count, spelled) in [(1, "1x1"), (2, "2x1"), (5, "3x2"), (64, "8x8"), (65, "9x8"), (65_536, "256x256")] {
            assert_eq!(Grid::around(count).unwrap().to_string(), spelled);
        }
        assert_eq!(Grid::around(65_537), None);
    }
}
