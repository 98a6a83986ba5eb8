//! Files that go to a place before an execution, and come from it afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Content of a file, by which it is stored: its SHA-256 and its size.
///
/// As text, and in JSON, it has the form of the Remote Execution API: `hash/size`.
///
/// ```
/// use execution_engine::*;
///
/// let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/0";
/// let digest: ContentDigest = text.parse().unwrap();
/// assert_eq!((digest.size, digest.to_string()), (0, text.to_owned()));
/// assert!("e3b0/0".parse::<ContentDigest>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ContentDigest {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Number of bytes.
    pub size: u64,
}

/// Says that a text is no [`ContentDigest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest; write 64 hexadecimal digits, a slash and the size in bytes")]
pub struct NoDigest(String);

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "/{}", self.size)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

impl FromStr for ContentDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let none = || NoDigest(text.chars().take(100).collect());
        let (hash, size) = text.split_once('/').ok_or_else(none)?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash || !size.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(none());
        }
        let mut sha256 = [0; 32];
        for (place, byte) in sha256.iter_mut().enumerate() {
            let digits = &hash[place * 2..place * 2 + 2];
            *byte = u8::from_str_radix(digits, 16).map_err(|_| none())?;
        }
        Ok(Self { sha256, size: size.parse().map_err(|_| none())? })
    }
}

impl From<ContentDigest> for String {
    fn from(digest: ContentDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for ContentDigest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

/// File that a [backend](crate::Backend) has, as an execution gets it before its start
/// ([`inputs`](crate::ExecutionOptions::inputs)) or has left it
/// ([`artifacts`](crate::ExecutionResult::artifacts)).
///
/// In JSON: `{"path":"out/a.csv","digest":"<hash>/<size>","executable":false}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Path relative to the working directory, with `/` between its parts.
    pub path: String,
    /// Its content.
    pub digest: ContentDigest,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "crate::types::is_default")]
    pub executable: bool,
}
