//! Signals as they are written on a command line: `INT`, `SIGINT`, `2`.

use execution_engine::Signal;

/// Reads a signal by its name, with or without `SIG`, or by its number.
///
/// # Errors
/// What is wrong with it, and how one is written.
pub(crate) fn parse(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let mut all = (1..=64).map(Signal::from_number);
    let found = match text.parse() {
        Ok(number) => Some(Signal::from_number(number)).filter(|signal| signal.is_valid()),
        Err(_) => all.find(|signal| signal.name().strip_prefix("SIG") == Some(name)),
    };
    found.ok_or_else(|| format!("{text:?} is not a signal; write a name such as INT, or a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_by_name_and_by_number() {
        for text in ["INT", "int", "SIGINT", "sigint", "2"] {
            assert_eq!(parse(text), Ok(Signal::Interrupt), "{text}");
        }
        for text in ["", "SIG", "0", "65", "-2", "NOSUCH", "signal 40"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
