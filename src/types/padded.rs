//! Columns: texts that are made of parts keep the width that `{:<20}` asks for.

use std::fmt;

/// Writes a text that is made of parts, with the width, the alignment and the longest length that
/// the caller's format asks for.
pub(crate) fn padded(
    f: &mut fmt::Formatter<'_>,
    write: impl Fn(&mut dyn fmt::Write) -> fmt::Result,
) -> fmt::Result {
    if f.width().is_none() && f.precision().is_none() {
        return write(f);
    }
    let mut text = String::new();
    write(&mut text)?;
    f.pad(&text)
}
