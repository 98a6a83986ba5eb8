//! Times as they are written on a command line: `300ms`, `30s`, `5m`, `2h`.

use std::time::Duration;

const UNITS: [(&str, f64); 5] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];

/// Reads a time. Several parts are added: `1h30m`.
///
/// # Errors
/// What is wrong with it, and how one is written.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{text:?} is not a time; write 300ms, 30s, 5m, 2h or 1h30m");
    let mut rest = text;
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !is_of_number(c)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(unit_at);
        let unit_end = after.find(is_of_number).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() && rest == text {
            return Err(format!("{text:?} has no unit; write {text}s for seconds, or ms, m, h"));
        }
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| seconds);
        let number: f64 = number.parse().map_err(|_| malformed())?;
        let part = number * seconds.ok_or_else(malformed)?;
        let part = Duration::try_from_secs_f64(part).map_err(|_| format!("{text} is too long"))?;
        whole = whole.checked_add(part).ok_or_else(|| format!("{text} is too long"))?;
        rest = after;
    }
    if text.is_empty() { Err(malformed()) } else { Ok(whole) }
}

/// Reads a time that must be longer than 0.
///
/// # Errors
/// Those of [`parse`].
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("must be longer than 0; leave the option out for no limit".into()),
        time => Ok(time),
    }
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_units() {
        for (text, milliseconds) in [
            ("300ms", 300),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_fix() {
        for text in ["", "30", "s", "30 s", "-1s", "1w", "1s2", "1..2s", "inf", "5mm"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("30").unwrap_err().contains("write 30s"));
        assert!(parse(&format!("{}h", u64::MAX)).unwrap_err().contains("too long"));
        assert!(parse_positive("0s").unwrap_err().contains("longer than 0"));
    }
}
