//! Foreign text on a terminal: it must not move the cursor, rename the window or answer for the user.

use std::borrow::Cow;

/// Returns a text as one line, with what controls a terminal made visible.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    visible(text, is_control)
}

/// Returns a text with what controls a terminal made visible, but for the ends of lines and tabs.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    visible(text, |c| is_control(c) && c != '\n' && c != '\t')
}

fn visible(text: &str, is_hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

/// Returns `true` for a character that controls a terminal, or lets the rest of a line be shown in
/// another order than it has.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes what controls a terminal visible in a stream of bytes, but for colours, tabs and the ends of
/// lines. Sequences and characters may come in pieces.
#[derive(Debug, Default)]
pub(crate) struct TerminalFilter {
    /// Beginning of a sequence that may be harmless, or of a character.
    pending: Vec<u8>,
    /// Whether the last line has no end yet.
    is_open: bool,
}

const ESCAPE: u8 = 0x1b;
/// Longest sequence for a colour.
const LONGEST: usize = 64;

impl TerminalFilter {
    /// Returns what may be shown of some bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
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
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut shown = Vec::new();
        self.give_up(&mut shown);
        if self.is_open || !shown.is_empty() {
            shown.push(b'\n');
        }
        shown
    }

    fn byte(&mut self, byte: u8, shown: &mut Vec<u8>) {
        match (&*self.pending, byte) {
            ([], ESCAPE | 0xc2..=0xf4) | ([ESCAPE], b'[') => self.pending.push(byte),
            ([], _) => show(byte, shown),
            ([0xc2..=0xf4, ..], 0x80..=0xbf) => {
                self.pending.push(byte);
                self.character(shown);
            }
            ([ESCAPE, b'[', ..], b'0'..=b'9' | b';' | b':') if self.pending.len() < LONGEST => {
                self.pending.push(byte);
            }
            ([ESCAPE, b'[', parameters @ ..], b'm') if !conceals(parameters) => {
                shown.append(&mut self.pending);
                shown.push(byte);
            }
            _ => {
                self.give_up(shown);
                self.byte(byte, shown);
            }
        }
    }

    /// Shows the character that is pending, if it is whole.
    fn character(&mut self, shown: &mut Vec<u8>) {
        match str::from_utf8(&self.pending) {
            Ok(text) => {
                for c in text.chars() {
                    match u32::from(c) {
                        control @ 0x80..=0x9f => shown.extend(c1(control)),
                        number if is_control(c) => {
                            shown.extend(format!("<U+{number:04X}>").into_bytes());
                        }
                        _ => shown.extend(text.as_bytes()),
                    }
                }
                self.pending.clear();
            }
            // The rest may still come.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => self.give_up(shown),
        }
    }

    /// Shows what has begun like a sequence or a character and is none.
    fn give_up(&mut self, shown: &mut Vec<u8>) {
        std::mem::take(&mut self.pending).into_iter().for_each(|byte| show(byte, shown));
    }
}

/// Returns `true` for colours among which is the one that hides text.
fn conceals(parameters: &[u8]) -> bool {
    let mut rest = parameters.split(|byte| *byte == b';').map(|parameter| {
        // Behind a colon is the colour of a parameter that is whole by itself.
        let (number, is_whole) = match parameter.iter().position(|byte| *byte == b':') {
            Some(end) => (&parameter[..end], true),
            None => (parameter, false),
        };
        (str::from_utf8(number).ok().and_then(|number| number.parse::<u32>().ok()), is_whole)
    });
    while let Some((number, is_whole)) = rest.next() {
        match number {
            Some(8) => return true,
            // The numbers that follow are a colour of the palette, or red, green and blue.
            Some(38 | 48 | 58) if !is_whole => match rest.next() {
                Some((Some(5), _)) => drop(rest.next()),
                Some((Some(2), _)) => drop((rest.next(), rest.next(), rest.next())),
                _ => {}
            },
            _ => {}
        }
    }
    false
}

/// Shows a byte by itself.
fn show(byte: u8, shown: &mut Vec<u8>) {
    match byte {
        b'\n' | b'\r' | b'\t' | b' '..=b'~' | 0xa0.. => shown.push(byte),
        0x7f => shown.extend(b"^?"),
        // Where characters have eight bits, these begin sequences.
        0x80..=0x9f => shown.extend(c1(byte.into())),
        _ => shown.extend([b'^', byte + b'@']),
    }
}

/// Returns what is shown of a control character from 0x80 to 0x9f: the sequence that means the same.
fn c1(control: u32) -> [u8; 3] {
    [b'^', b'[', u8::try_from(control - 0x40).unwrap_or(b'?')]
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
        let cases: [(&[u8], &[u8]); 20] = [
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
            (b"\x9b2J\n", b"^[[2J\n"),
            (b"\xe2\x9b2J\n", b"\xe2^[[2J\n"),
            ("\u{202e}txt.exe\u{2069}\n".as_bytes(), b"<U+202E>txt.exe<U+2069>\n"),
            ("\u{20ac}\u{1f600}\n".as_bytes(), "\u{20ac}\u{1f600}\n".as_bytes()),
            (b"\x1b[8mpin\x1b[0m\n", b"^[[8mpin\x1b[0m\n"),
            (b"\x1b[1;08mpin\n", b"^[[1;08mpin\n"),
            (b"\x1b[38;5;8mgrey\n", b"\x1b[38;5;8mgrey\n"),
            (b"\x1b[48;2;8;8;8mgrey\x1b[38:5:8m\n", b"\x1b[48;2;8;8;8mgrey\x1b[38:5:8m\n"),
            (b"\x1b[38;2;8;8;8;8mx\n", b"^[[38;2;8;8;8;8mx\n"),
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
        assert_eq!(one_line("\u{202e}a"), "\\u{202e}a");
        assert_eq!(lines("a\n\tb\x1b[2J"), "a\n\tb\\u{1b}[2J");
    }
}
