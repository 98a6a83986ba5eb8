//! Signals as they are written on a command line: `INT`, `SIGINT`, `2`.

use std::ops::RangeInclusive;

use execution_engine::Signal;

/// Numbers of the signals that there are everywhere. The others, of real time, mean something to threads alone.
const STANDARD: RangeInclusive<i32> = 1..=31;

/// Reads a signal by its name, with or without `SIG`, or by its number.
///
/// # Errors
/// What is wrong with it, and how one is written.
pub(crate) fn parse(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let mut all = STANDARD.map(Signal::from_number);
    let found = match text.parse() {
        Ok(number) => STANDARD.contains(&number).then(|| Signal::from_number(number)),
        Err(_) => all.find(|signal| signal.name().strip_prefix("SIG") == Some(name)),
    };
    found.ok_or_else(|| {
        format!("{text:?} is not a signal; write a name such as INT, or a number from 1 to 31")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_by_number() {
        for text in ["INT", "int", "SIGINT", "sigint", "2"] {
            assert_eq!(parse(text), Ok(Signal::Interrupt), "{text}");
        }
        for text in ["", "SIG", "0", "32", "34", "65", "RTMIN", "-2", "NOSUCH", "signal 40"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
