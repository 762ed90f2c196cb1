//! Lists of seeds as typed: `0-63,70,80-90`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Seeds in the order typed, kept as ranges however long they are; one named twice is drawn twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Vec<RangeInclusive<u64>>);

impl Seeds {
    /// Seeds 0, 1, …, as many as `count`; at least one.
    pub fn first(count: usize) -> Seeds {
        Seeds(vec![0..=(count as u64).saturating_sub(1)])
    }

    /// How many they are.
    pub fn count(&self) -> u128 {
        self.0.iter().map(|range| u128::from(range.end() - range.start()) + 1).sum()
    }

    /// The largest.
    pub fn largest(&self) -> u64 {
        self.0.iter().map(|range| *range.end()).max().unwrap_or(0)
    }

    /// One after another.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().cloned().flatten()
    }
}

impl fmt::Display for Seeds {
    /// As they are typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, range) in self.0.iter().enumerate() {
            let comma = if k > 0 { "," } else { "" };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |t: &str| -> Result<u64, String> {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            let value = t.parse().ok().filter(|_| digits);
            value.ok_or_else(|| format!("{t:?} is no seed; write numbers and ranges such as 0-63,70,80-90"))
        };
        let range = |part: &str| -> Result<RangeInclusive<u64>, String> {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("{part} runs backwards; write {last}-{first}"));
            }
            Ok(first..=last)
        };
        Ok(Seeds(text.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let max = u64::MAX;
        for (text, seeds) in [
            ("0", vec![0]),
            ("0-3", vec![0, 1, 2, 3]),
            ("0-1,7,5-6", vec![0, 1, 7, 5, 6]),
            (" 3 , 4-4", vec![3, 4]),
            ("18446744073709551615", vec![max]),
            ("18446744073709551614-18446744073709551615", vec![max - 1, max]),
        ] {
            let read: Seeds = text.parse().unwrap();
            assert_eq!(read.iter().collect::<Vec<_>>(), seeds, "{text}");
            assert_eq!((read.count(), read.largest()), (seeds.len() as u128, *seeds.iter().max().unwrap()), "{text}");
        }
        assert_eq!(" 0-1,7, 5-6,4-4".parse::<Seeds>().unwrap().to_string(), "0-1,7,5-6,4");
        assert_eq!(Seeds::first(3).iter().collect::<Vec<_>>(), [0, 1, 2]);
        let all: Seeds = "0-18446744073709551615,5".parse().unwrap();
        assert_eq!((all.count(), all.iter().take(2).last()), ((1 << 64) + 1, Some(1)));
    }

    #[test]
    fn refusals() {
        for (text, part) in [
            ("", "\"\" is no seed"),
            ("1,,2", "\"\" is no seed"),
            ("a", "\"a\" is no seed"),
            ("-1", "\"\" is no seed"),
            ("+1", "\"+1\" is no seed"),
            ("1-", "\"\" is no seed"),
            ("1-2-3", "\"2-3\" is no seed"),
            ("1.5", "\"1.5\" is no seed"),
            ("18446744073709551616", "is no seed"),
            ("9-3", "9-3 runs backwards; write 3-9"),
        ] {
            let message = text.parse::<Seeds>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
