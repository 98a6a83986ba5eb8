//! Sizes as they are written on a command line: `512`, `64K`, `10M`, `1G`.

/// Powers of 1024, with the letters that stand for them.
const UNITS: [(char, u32); 4] = [('k', 1), ('m', 2), ('g', 3), ('t', 4)];

/// Reads a number of bytes. `K`, `M`, `G` and `T` are powers of 1024; `KiB` and `KB` are the same as
/// `K`.
///
/// # Errors
/// What is wrong with it, and how one is written.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let malformed = || format!("{text:?} is not a size; write bytes, or 64K, 10M, 1.5G");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let mut letters = unit.chars();
    let power = match (letters.next(), letters.next()) {
        (None, _) => 0,
        (Some(letter), None) => {
            let found = UNITS.iter().find(|(name, _)| *name == letter);
            found.map(|(_, power)| *power).ok_or_else(malformed)?
        }
        _ => return Err(malformed()),
    };
    let unit = 1024_u64.pow(power);
    let too_large = || format!("{text} is too large");
    match number.split_once('.') {
        None => {
            let number: u64 = match number.parse() {
                Ok(number) => number,
                Err(_) if number.is_empty() => return Err(malformed()),
                Err(_) => return Err(too_large()),
            };
            number.checked_mul(unit).ok_or_else(too_large)
        }
        // A part of a byte is none.
        Some(_) if power == 0 => Err(malformed()),
        Some(_) => {
            let number: f64 = number.parse().map_err(|_| malformed())?;
            let bytes = number * unit as f64;
            if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(too_large()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_their_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64K", 65_536),
            ("64k", 65_536),
            ("10M", 10 << 20),
            ("10MiB", 10 << 20),
            ("10MB", 10 << 20),
            ("1G", 1 << 30),
            ("1.5G", 3 << 29),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_fix() {
        for text in ["", "M", "1X", "1 M", "-1", "1.5", "1.5.5M", "1MM", "b"] {
            assert!(parse(text).unwrap_err().contains("64K"), "{text}");
        }
        for text in ["99999999999999999999", "99999999999T"] {
            assert!(parse(text).unwrap_err().contains("too large"), "{text}");
        }
    }
}
