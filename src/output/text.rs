//! Conversion of bytes to text, where they leave the engine.

/// Converts bytes to text, with U+FFFD for what is not UTF-8.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> String {
    // Most output is valid. Checking it as a whole takes a fraction of the time of the lossy
    // conversion.
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
