//! Text for programs that need not be UTF-8.

use std::borrow::Borrow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use execution_engine_process::command_line::os_string;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text_or_numbers;

/// Word for a program, as the system passes it on: an argument, or a part of its environment. On
/// Unix its bytes need not be UTF-8.
///
/// In JSON it is a string, or a list of numbers if the bytes are not UTF-8.
///
/// ```
/// use execution_engine::*;
///
/// let word: OsText = serde_json::from_str("[102, 255]")?;
/// assert_eq!(word.to_str(), None);
/// assert_eq!(OsText::from("text").to_str(), Some("text"));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// On Windows a word with half of a surrogate pair cannot be written to JSON.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsText(OsString);

impl OsText {
    /// Returns the word as the system has it.
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// Returns the word as text. None if it is not UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        self.0.to_str()
    }

    /// Returns the word as the system has it.
    pub fn into_os_string(self) -> OsString {
        self.0
    }
}

impl<T: Into<OsString>> From<T> for OsText {
    fn from(word: T) -> Self {
        Self(word.into())
    }
}

impl AsRef<OsStr> for OsText {
    fn as_ref(&self) -> &OsStr {
        &self.0
    }
}

impl AsRef<Path> for OsText {
    fn as_ref(&self) -> &Path {
        self.0.as_ref()
    }
}

impl Borrow<OsStr> for OsText {
    fn borrow(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Debug for OsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The word as text; bytes that are not UTF-8 are shown as U+FFFD.
impl fmt::Display for OsText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string_lossy())
    }
}

impl Serialize for OsText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if cfg!(windows) && self.to_str().is_none() {
            return Err(serde::ser::Error::custom("the word is not Unicode"));
        }
        text_or_numbers::serialize(self.0.as_encoded_bytes(), to)
    }
}

impl<'de> Deserialize<'de> for OsText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = text_or_numbers::deserialize(from)?;
        let word = os_string(bytes.into());
        word.map(Self)
            .ok_or_else(|| D::Error::custom("this system has no words that are not UTF-8"))
    }
}
