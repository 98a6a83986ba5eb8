//! Durations and sizes as people write them: `300ms`, `30s`, `5m`, `2h`, `90d`; `10M`, `1G`.

use std::time::Duration;

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
/// A text that says what is wrong and which form is expected.
///
/// ```
/// use std::time::Duration;
/// use execution_engine_server::parse_duration;
///
/// assert_eq!(parse_duration("300ms"), Ok(Duration::from_millis(300)));
/// assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
/// assert!(parse_duration("2").unwrap_err().contains("30s"));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid =
        || format!("{text:?} is not a duration; write a number and ms, s, m, h or d, such as 30s");
    let (number, unit) = split(text).ok_or_else(invalid)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    let all = number.checked_mul(millis).ok_or_else(|| format!("{text:?} is too long"))?;
    Ok(Duration::from_millis(all))
}

/// Reads a size in bytes: a whole number, alone or with `K`, `M`, `G` or `T` (powers of 1024).
///
/// # Errors
/// A text that says what is wrong and which form is expected.
///
/// ```
/// use execution_engine_server::parse_size;
///
/// assert_eq!(parse_size("10M"), Ok(10 << 20));
/// assert_eq!(parse_size("512"), Ok(512));
/// assert!(parse_size("10 apples").unwrap_err().contains("10M"));
/// ```
pub fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || {
        format!("{text:?} is not a size; write a number, alone or with K, M, G or T, such as 10M")
    };
    let (number, unit) = split(text).ok_or_else(invalid)?;
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(invalid()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

/// Splits a text into its number and its unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..unit].parse().ok()?, &text[unit..]))
}
