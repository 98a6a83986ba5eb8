//! Input of a program that its clients write, piece by piece.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most bytes of a piece that are taken at once, in bytes. A piece that is no longer is taken as a whole or not at all.
///
/// ```
/// use execution_engine_keeper::MAX_INPUT_PIECE;
///
/// let pieces: Vec<_> = vec![0; MAX_INPUT_PIECE + 1].chunks(MAX_INPUT_PIECE).map(<[u8]>::len).collect();
/// assert_eq!(pieces, [MAX_INPUT_PIECE, 1]);
/// ```
pub const MAX_INPUT_PIECE: usize = 64 * 1024;

/// A piece of what a program is to read from its standard input, with who writes it and where it belongs.
///
/// The `Debug` output shows no byte of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct InputPiece {
    /// The client that writes it, by a name it chooses: what comes again from the same writer is not written twice.
    pub writer: String,
    /// Place of its first byte in the whole input.
    pub offset: u64,
    /// The bytes; in JSON base64.
    #[serde(with = "base64_bytes")]
    pub bytes: Vec<u8>,
    /// Whether the input is closed behind it.
    #[serde(default)]
    pub eof: bool,
}

impl InputPiece {
    /// Returns the place behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

impl fmt::Debug for InputPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputPiece")
            .field("writer", &self.writer)
            .field("offset", &self.offset)
            .field("bytes (number)", &self.bytes.len())
            .field("eof", &self.eof)
            .finish()
    }
}

/// How far the input of a program has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputTaken {
    /// End of what was taken of the piece, now or before.
    pub offset: u64,
    /// End of the whole input, by all writers. The program may not have read it yet.
    pub end: u64,
    /// Place before which what a writer has written may come again without being known: it is known of the last few
    /// writers alone. A keeper of an older version does not tell it (0).
    #[serde(default)]
    pub forgotten: u64,
}

impl InputTaken {
    pub(crate) fn new(offset: u64, end: u64, forgotten: u64) -> Self {
        Self { offset, end, forgotten }
    }
}

/// Bytes as JSON has them.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        // The error of the decoder would quote a byte.
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(|_| D::Error::custom("is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_comes_back_byte_for_byte_and_shows_nothing() {
        let bytes = b"hunter2\xff\0".to_vec();
        let piece = InputPiece { writer: "w".into(), offset: 5, bytes, eof: true };
        assert_eq!(piece.end(), 14);
        let shown = format!("{piece:?}");
        assert!(shown.contains('9') && !shown.contains("104"), "{shown}");
        let json = serde_json::to_string(&piece).unwrap();
        let read: InputPiece = serde_json::from_str(&json).unwrap();
        assert_eq!((read.bytes, read.eof), (piece.bytes, true));
        let bad = r#"{"writer": "w", "offset": 0, "bytes": "hunter2!"}"#;
        let error = serde_json::from_str::<InputPiece>(bad).unwrap_err().to_string();
        assert!(!error.contains("hunter"), "{error}");
    }
}
