//! Text from outside in messages: it stays on its line.

use std::fmt::{self, Display, Write};

/// Shows a text on one line, whatever is in it: a path or the name of a program may have a newline,
/// and what follows that would pass for a line of ours. Control characters but the tab, and the
/// characters that change the direction of a text, are shown as Rust writes them, `\n` for instance.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(moves_text) {
            let plain = part.trim_end_matches(moves_text);
            self.0.write_str(plain)?;
            write!(self.0, "{}", part[plain.len()..].escape_default())?;
        }
        Ok(())
    }
}

/// Returns `true` for a character that moves what follows it: to another line or over what is there.
fn moves_text(c: char) -> bool {
    let separates_or_turns = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c != '\t' && (c.is_control() || separates_or_turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_keeps_everything_else() {
        for (text, shown) in [
            ("", ""),
            ("/srv/a b\tc\\n", "/srv/a b\tc\\n"),
            ("é€😀", "é€😀"),
            ("a\n# ending    exit code 0", r"a\n# ending    exit code 0"),
            ("\r\r\n", r"\r\r\n"),
            ("a\u{1b}[2Kb\u{85}", r"a\u{1b}[2Kb\u{85}"),
            ("\u{2028}x\u{202e}y\u{2066}", r"\u{2028}x\u{202e}y\u{2066}"),
        ] {
            assert_eq!(OneLine(text).to_string(), shown);
        }
    }
}
