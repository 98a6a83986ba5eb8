//! Bytes as text, where they leave the engine.

/// Invalid UTF-8 is shown as U+FFFD. Valid text, which most is, is only checked and copied: looking
/// for errors piece by piece takes several times as long.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
