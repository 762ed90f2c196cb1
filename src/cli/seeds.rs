//! Lists of seeds as typed: `0-63,70,80-90`.

use std::str::FromStr;

/// Seeds in the order typed; one named twice is drawn twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

impl Seeds {
    /// More than this many are a slip of the hand.
    const MOST: u64 = 1_000_000;
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let number = |t: &str| -> Result<u64, String> {
            let digits = !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
            let value = t.parse().ok().filter(|_| digits);
            value.ok_or_else(|| format!("{t:?} is no seed; write numbers and ranges such as 0-63,70,80-90"))
        };
        let mut seeds = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("{part} runs backwards; write {last}-{first}"));
            }
            if last - first >= Seeds::MOST - seeds.len() as u64 {
                return Err(format!("more than {} seeds; draw them in several runs", Seeds::MOST));
            }
            seeds.extend(first..=last);
        }
        Ok(Seeds(seeds))
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
            assert_eq!(text.parse(), Ok(Seeds(seeds)), "{text}");
        }
        assert_eq!("0-999999".parse::<Seeds>().unwrap().0.len(), 1_000_000);
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
            ("0-1000000", "more than 1000000 seeds"),
            ("5,0-999999", "more than 1000000 seeds"),
            ("0-18446744073709551615", "more than 1000000 seeds"),
        ] {
            let message = text.parse::<Seeds>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
