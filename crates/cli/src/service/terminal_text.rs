//! Foreign text on a terminal: it must not move the cursor, rename the window or answer for the user.

use std::borrow::Cow;

/// Returns a text as one line, with what controls a terminal made visible.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

/// Makes what controls a terminal visible in a stream of bytes, but for colours, tabs and the ends of
/// lines. Sequences may come in pieces.
#[derive(Debug, Default)]
pub(super) struct TerminalFilter {
    /// Beginning of a sequence that may be harmless.
    pending: Vec<u8>,
    /// Whether the last line has no end yet.
    is_open: bool,
}

const ESCAPE: u8 = 0x1b;
/// First byte of the characters U+0080 to U+00BF. Those up to U+009F control a terminal, too.
const SECOND_CONTROLS: u8 = 0xc2;
/// Longest sequence for a colour.
const LONGEST: usize = 64;

impl TerminalFilter {
    /// Returns what may be shown of some bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.byte(*byte, &mut shown);
        }
        if let Some(last) = shown.last() {
            self.is_open = *last != b'\n';
        }
        shown
    }

    /// Returns what is left at the end, and a newline if the last line has none.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let mut shown = Vec::new();
        self.give_up(&mut shown);
        if self.is_open || !shown.is_empty() {
            shown.push(b'\n');
        }
        shown
    }

    fn byte(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match (&*self.pending, byte) {
            ([], ESCAPE | SECOND_CONTROLS) | ([ESCAPE], b'[') => self.pending.push(byte),
            ([], _) => show(byte, shown),
            ([SECOND_CONTROLS], 0x80..=0x9f) => {
                self.pending.clear();
                shown.extend([b'^', b'[', byte - 0x40]);
            }
            ([ESCAPE, b'[', ..], b'0'..=b'9' | b';' | b':') if self.pending.len() < LONGEST => {
                self.pending.push(byte);
            }
            ([ESCAPE, b'[', ..], b'm') => {
                shown.append(&mut self.pending);
                shown.push(byte);
            }
            _ => {
                self.give_up(shown);
                self.byte(byte, shown);
            }
        }
    }

    /// Shows what has begun like a sequence and is none.
    fn give_up(&mut self, shown: &mut Vec<u8>) {
        std::mem::take(&mut self.pending).into_iter().for_each(|byte| show(byte, shown));
    }
}

/// Shows a byte by itself.
fn show(byte: u8, shown: &mut Vec<u8>) {
    match byte {
        b'\n' | b'\r' | b'\t' | b' '..=b'~' | 0x80.. => shown.push(byte),
        0x7f => shown.extend(b"^?"),
        _ => shown.extend([b'^', byte + b'@']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is shown of bytes that arrive in pieces of a size.
    fn shown(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut filter = TerminalFilter::default();
        let mut shown: Vec<u8> = bytes.chunks(size).flat_map(|piece| filter.push(piece)).collect();
        shown.extend(filter.finish());
        shown
    }

    #[test]
    fn sequences_other_than_colours_are_visible() {
        let cases: [(&[u8], &[u8]); 11] = [
            (b"", b""),
            (b"plain\r\n\ttext", b"plain\r\n\ttext\n"),
            (b"\x1b[1;31mred\x1b[0m\n", b"\x1b[1;31mred\x1b[0m\n"),
            (b"\x1b]0;title\x07\n", b"^[]0;title^G\n"),
            (b"\x1b[2J\x1b[H\n", b"^[[2J^[[H\n"),
            (b"\x1b[1\x1b[mx\n", b"^[[1\x1b[mx\n"),
            (b"\x00\x7f\n", b"^@^?\n"),
            ("gr\u{fc}n \u{e9}\u{a9}\n".as_bytes(), "gr\u{fc}n \u{e9}\u{a9}\n".as_bytes()),
            ("\u{9b}2J\n".as_bytes(), b"^[[2J\n"),
            (b"\xff\xc2x\n", b"\xff\xc2x\n"),
            (b"end\x1b[", b"end^[[\n"),
        ];
        for (bytes, expected) in cases {
            for size in 1..=bytes.len().max(1) {
                assert_eq!(shown(bytes, size), expected, "{bytes:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn endless_sequence_is_given_up() {
        let long = [&b"\x1b["[..], &[b'1'; 1000], b"m\n"].concat();
        let shown = shown(&long, 7);
        assert!(shown.starts_with(b"^[[111"), "{shown:?}");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(one_line("a b"), "a b");
        assert_eq!(one_line("a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
    }
}
