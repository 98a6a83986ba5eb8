//! What is kept of a stream at every limit, and where characters are cut.

use super::*;

/// Feeds `chunks`; what is kept, and what did not fit.
fn fed(limit: usize, keep: OversizedOutputStrategy, chunks: &[&[u8]]) -> (CapturedOutput, Vec<u8>) {
    let mut capture = Capture::new(limit, keep);
    let mut excess = Vec::new();
    for chunk in chunks {
        let CaptureSplit { stored, taken_back } = capture.take(chunk);
        excess.extend(taken_back);
        excess.extend(&chunk[stored..]);
    }
    (capture.seal(), excess)
}

#[test]
fn exactly_the_limit_is_not_truncated() {
    for keep in
        [OversizedOutputStrategy::TruncateWithWarning, OversizedOutputStrategy::KeepHeadAndTail]
    {
        let (kept, _) = fed(4, keep, &[b"ab", b"cd"]);
        assert_eq!((kept.text().as_str(), &kept.bytes()[..]), ("abcd", &b"abcd"[..]));
    }
}

#[test]
fn exactly_the_limit_is_not_truncated_where_a_character_is_in_the_middle() {
    let text = "aé€😀é";
    let (kept, _) = fed(text.len(), OversizedOutputStrategy::KeepHeadAndTail, &[text.as_bytes()]);
    assert_eq!(kept.text(), text);
}

#[test]
fn one_more_byte_is() {
    let (kept, excess) = fed(4, OversizedOutputStrategy::TruncateWithWarning, &[b"abcd", b"e"]);
    assert_eq!(excess, b"e");
    assert_eq!(kept.text(), "abcd\n[output truncated: kept the first 4 of 5 bytes]\n");
}

#[test]
fn the_first_and_the_last_are_kept_with_a_count_of_what_is_missing() {
    let text: Vec<u8> = (b'a'..=b'z').collect();
    for at in 0..text.len() {
        let (kept, _) =
            fed(7, OversizedOutputStrategy::KeepHeadAndTail, &[&text[..at], &text[at..]]);
        let expected = "abcd\n[output truncated: 19 bytes are missing here]\nxyz";
        assert_eq!(kept.text(), expected, "cut at {at}");
        assert_eq!(kept.stats(), StreamStats { seen_bytes: 26, kept_bytes: 7 });
        assert_eq!(&kept.bytes()[..], b"abcdxyz");
    }
}

#[test]
fn another_attempt_keeps_as_much_as_the_first() {
    let text = "abc€".repeat(9);
    for limit in 0..=20 {
        let mut capture = Capture::new(limit, OversizedOutputStrategy::KeepHeadAndTail);
        for attempt in 1..4 {
            capture.take(text.as_bytes());
            let next = capture.fresh();
            let kept = std::mem::replace(&mut capture, next).seal();
            assert!(kept.bytes().len() <= limit, "limit {limit}, attempt {attempt}");
        }
    }
}

#[test]
fn a_character_is_never_split() {
    for limit in 0..=8 {
        let text = "aé€😀".as_bytes();
        for at in 0..text.len() {
            let (kept, excess) = fed(
                limit,
                OversizedOutputStrategy::TruncateWithWarning,
                &[&text[..at], &text[at..]],
            );
            let whole = [&kept.bytes[..], &excess[..]].concat();
            assert_eq!(whole, text, "limit {limit}, chunks cut at {at}");
            assert!(std::str::from_utf8(&kept.bytes).is_ok(), "limit {limit}, cut at {at}");
            assert!(kept.bytes.len() <= limit);
            let (both, _) =
                fed(limit, OversizedOutputStrategy::KeepHeadAndTail, &[&text[..at], &text[at..]]);
            assert!(!both.text().contains('\u{fffd}'), "limit {limit}, cut at {at}");
            assert!(both.bytes().len() <= limit);
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_kept_to_the_limit() {
    let (kept, excess) =
        fed(3, OversizedOutputStrategy::TruncateWithWarning, &[&[0x80, 0x80, 0x80, 0x80]]);
    assert_eq!((kept.bytes.len(), excess.len()), (3, 1));
}
