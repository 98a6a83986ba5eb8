//! What a program reads on its standard input.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{json_form, text_or_numbers};

/// Standard input of a program.
///
/// In JSON: `{"type":"null"}`, `{"type":"bytes","data":"text"}` (or a list of numbers if the bytes
/// are not UTF-8), `{"type":"file","path":"/a/file"}`, `{"type":"piped"}`,
/// `{"type":"inherit"}`; or short `"null"`, `"piped"`, `"inherit"`.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let options = ExecutionOptions::default().stdin(StdinSource::bytes("b\na\n"));
/// let id = engine.execute_with(ExecutionRequest::program("sort"), options).await?;
/// assert_eq!(engine.wait_for_completion(id).await?.stdout, "a\nb\n");
/// # Ok(()) }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StdinSourceJson", into = "StdinSourceJson")]
#[non_exhaustive]
pub enum StdinSource {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end. It is no failure if the program reads only some of them.
    Bytes {
        /// The bytes.
        data: Bytes,
    },
    /// The content of this file, opened when the program starts. A relative path starts at the
    /// directory that was current when the request was submitted. A FIFO without a writer at that
    /// time is empty.
    File {
        /// The file.
        path: PathBuf,
    },
    /// The input that [`write_stdin`](crate::ExecutionEngine::write_stdin) and
    /// [`pipe_stdin`](crate::ExecutionEngine::pipe_stdin) pass on, until
    /// [`close_stdin`](crate::ExecutionEngine::close_stdin).
    Piped,
    /// The standard input of this process, which all programs that inherit it read together. If it
    /// is a terminal, Ctrl-C there reaches this process alone, and the program cannot open
    /// `/dev/tty`, unless it [shares](crate::ExecutionOptions::terminal) the terminal.
    Inherit,
}

json_form! {
    #[serde(deny_unknown_fields)]
    StdinSourceJson for StdinSource {
        Null {} = Null {};
        Bytes { #[serde(with = "text_or_numbers")] data: Bytes } = Bytes { data };
        File { path: PathBuf } = File { path };
        Piped {} = Piped {};
        Inherit {} = Inherit {};
    }
}

impl StdinSource {
    /// Creates [`Bytes`](Self::Bytes) from anything that can become bytes.
    pub fn bytes(data: impl Into<Bytes>) -> Self {
        Self::Bytes { data: data.into() }
    }

    /// Creates [`File`](Self::File) from anything that can become a path.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into() }
    }
}

/// Shows the number of bytes and not the bytes, which may be secret.
impl fmt::Debug for StdinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Bytes { data } => write!(f, "Bytes({} bytes)", data.len()),
            Self::File { path } => write!(f, "File({path:?})"),
            Self::Piped => f.write_str("Piped"),
            Self::Inherit => f.write_str("Inherit"),
        }
    }
}
