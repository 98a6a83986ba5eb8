use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a program reads on its standard input.
///
/// In JSON: `{"type":"null"}`, `{"type":"bytes","data":"text"}` (or a list of numbers where the bytes
/// are no text), `{"type":"file","path":"/a/file"}`, `{"type":"piped"}`.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let options = ExecutionOptions::default().stdin(StdinSource::bytes("b\na\n"));
/// let id = engine.execute_with(ExecutionRequest::exec("sort", [""; 0]), options).await?;
/// assert_eq!(engine.wait_for_completion(id).await?.stdout, "a\nb\n");
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", from = "Written")]
#[non_exhaustive]
pub enum StdinSource {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end. A program that reads none or only some of them is no failure.
    Bytes {
        /// The bytes.
        #[serde(with = "text_or_numbers")]
        data: Bytes,
    },
    /// The content of this file, opened when the program starts. A relative path starts at the directory
    /// that this process has when the request is made to the engine. A FIFO to which nobody writes by then
    /// is empty.
    File {
        /// The file.
        path: PathBuf,
    },
    /// What [`write_stdin`](crate::ExecutionEngine::write_stdin) and
    /// [`pipe_stdin`](crate::ExecutionEngine::pipe_stdin) pass on, until
    /// [`close_stdin`](crate::ExecutionEngine::close_stdin).
    Piped,
}

/// The same as it is read: serde refuses unknown fields only beside variants that could have fields.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    Null {},
    Bytes {
        #[serde(with = "text_or_numbers")]
        data: Bytes,
    },
    File {
        path: PathBuf,
    },
    Piped {},
}

impl From<Written> for StdinSource {
    fn from(written: Written) -> Self {
        match written {
            Written::Null {} => Self::Null,
            Written::Bytes { data } => Self::Bytes { data },
            Written::File { path } => Self::File { path },
            Written::Piped {} => Self::Piped,
        }
    }
}

impl StdinSource {
    /// [`Bytes`](Self::Bytes) from anything that can become bytes.
    pub fn bytes(data: impl Into<Bytes>) -> Self {
        Self::Bytes { data: data.into() }
    }

    /// [`File`](Self::File) from anything that can become a path.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into() }
    }
}

/// Shows how many bytes there are and not which: they may be secret.
impl fmt::Debug for StdinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bytes { data } => write!(f, "Bytes({} bytes)", data.len()),
            Self::File { path } => write!(f, "File({path:?})"),
            Self::Piped => f.write_str("Piped"),
        }
    }
}

mod text_or_numbers {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Numbers(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => to.serialize_str(text),
            Err(_) => bytes[..].serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Text(text) => text.into(),
            Either::Numbers(bytes) => bytes.into(),
        })
    }
}
