//! The header `Range` (RFC 9110, section 14): which bytes of an output are asked for.

use std::ops::Range;

/// What a request for bytes gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything, with status 200: there is no range, or one that may be ignored.
    All,
    /// These bytes, with status 206.
    Part(Range<u64>),
    /// Nothing, with status 416.
    Unsatisfiable,
}

/// Decides what a request gets from its header and the bytes that there are.
///
/// Other units, several ranges and what is malformed are ignored, as the RFC allows: the client gets
/// everything with status 200, and can tell.
pub(super) fn wanted(header: Option<&[u8]>, length: u64) -> Wanted {
    let spec = header.and_then(|value| str::from_utf8(value).ok()).and_then(single);
    match spec {
        None => Wanted::All,
        Some(Spec::From { first, .. }) if first >= length => Wanted::Unsatisfiable,
        Some(Spec::From { first, last }) => {
            let end = last.map_or(length, |last| last.saturating_add(1).min(length));
            Wanted::Part(first..end)
        }
        // The last bytes of nothing are not satisfiable, either.
        Some(Spec::Last(count)) if count == 0 || length == 0 => Wanted::Unsatisfiable,
        Some(Spec::Last(count)) => Wanted::Part(length.saturating_sub(count)..length),
    }
}

/// One range as it is written.
enum Spec {
    /// `first-last` or `first-`.
    From { first: u64, last: Option<u64> },
    /// `-count`.
    Last(u64),
}

/// Reads a header with one range of bytes.
fn single(header: &str) -> Option<Spec> {
    let (unit, ranges) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    match (first.trim_end(), last.trim_start()) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From { first: number(first)?, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From { first, last: Some(last) })
        }
    }
}

/// Reads digits and nothing else. A number beyond all outputs stands for their end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, length: u64) -> Wanted {
        wanted(Some(header.as_bytes()), length)
    }

    #[test]
    fn single_ranges() {
        for (header, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-9", 0..10),
            ("bytes=3-5", 3..6),
            ("bytes=3-", 3..10),
            ("bytes=9-", 9..10),
            ("bytes=3-99999999999999999999999", 3..10),
            ("bytes=3-18446744073709551615", 3..10),
            ("bytes=-1", 9..10),
            ("bytes=-10", 0..10),
            ("bytes=-11", 0..10),
            ("Bytes = 3 - 5", 3..6),
        ] {
            assert_eq!(of(header, 10), Wanted::Part(part), "{header}");
        }
    }

    #[test]
    fn nothing_to_give_is_unsatisfiable() {
        for (header, length) in [
            ("bytes=10-", 10),
            ("bytes=10-11", 10),
            ("bytes=0-", 0),
            ("bytes=-0", 10),
            ("bytes=-5", 0),
        ] {
            assert_eq!(of(header, length), Wanted::Unsatisfiable, "{header} of {length}");
        }
        assert_eq!(of("bytes=99999999999999999999999-", 10), Wanted::Unsatisfiable);
    }

    #[test]
    fn what_is_not_one_range_is_ignored() {
        for header in [
            "bytes=5-3",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=--1",
            "",
        ] {
            assert_eq!(of(header, 10), Wanted::All, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(wanted(Some(b"bytes=\xff-"), 10), Wanted::All);
    }
}
