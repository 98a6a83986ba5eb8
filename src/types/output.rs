//! Output as pages, for callers that ask again and again instead of staying connected.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{OutputStream, is_default, json_form, text_or_numbers, whole_millis};
use crate::setters::setters;

/// Position in the output of an execution: how many bytes of each stream were read. The default is
/// the beginning.
///
/// A plain value, which may travel to a caller and back: `{"stdout":120,"stderr":0}`. An offset
/// beyond what was written means the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputCursor {
    /// Bytes of standard output, of all attempts together.
    pub stdout: u64,
    /// Bytes of standard error, of all attempts together.
    pub stderr: u64,
}

/// What to read of the output of an execution, for
/// [`read_output`](crate::ExecutionEngine::read_output).
///
/// ```
/// use execution_engine::*;
///
/// let query = OutputQuery::after(OutputCursor { stdout: 120, stderr: 0 })
///     .max_bytes(4096)
///     .window(OutputWindow::HeadAndTail)
///     .wait(Duration::from_secs(10));
/// assert_eq!(query.wait_ms, 10_000);
/// ```
///
/// In JSON every field may be left out: `{"cursor":{"stdout":120},"wait_ms":10000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OutputQuery {
    /// Where to begin: the [`next`](OutputPage::next) of the page before.
    #[serde(skip_serializing_if = "is_default")]
    pub cursor: OutputCursor,
    /// The one stream to read. None reads both, in the order in which they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<OutputStream>,
    /// Most bytes of output in one page, at least 8. Default: 64 KiB.
    pub max_bytes: usize,
    /// What a page has when there is more than `max_bytes`.
    #[serde(skip_serializing_if = "is_default")]
    pub window: OutputWindow,
    /// Longest wait in milliseconds for output, if there is nothing to tell yet. Default: 0, which
    /// does not wait.
    #[serde(skip_serializing_if = "is_default")]
    pub wait_ms: u64,
}

/// Which part of the output a page has when there is more than its
/// [`max_bytes`](OutputQuery::max_bytes).
///
/// In JSON: `"head"`, `"tail"` or `"head_and_tail"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputWindow {
    /// The beginning. The next page has what follows, so nothing is left out.
    #[default]
    Head,
    /// The end. What comes before is left out.
    Tail,
    /// The beginning and the end, half each. What lies between is left out.
    HeadAndTail,
}

/// Page of the output of an execution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputPage {
    /// The output in order, and what is missing in its place.
    pub parts: Vec<OutputPart>,
    /// Cursor of the page that follows.
    pub next: OutputCursor,
    /// `true` if nothing follows: the execution has ended, and all of its output was told.
    pub ended: bool,
}

/// Part of an [`OutputPage`].
///
/// In JSON: `{"type":"output","stream":"stdout","data":"text"}` (or a list of numbers if the bytes
/// are not UTF-8), `{"type":"missed","bytes":5}`, `{"type":"omitted","bytes":5}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OutputPartJson", into = "OutputPartJson")]
#[non_exhaustive]
pub enum OutputPart {
    /// Bytes of a stream.
    Output {
        /// The stream.
        stream: OutputStream,
        /// The bytes; in JSON as `data`.
        bytes: Bytes,
    },
    /// Output that is no longer kept in memory.
    Missed {
        /// How much.
        bytes: u64,
    },
    /// Output that the [window](OutputWindow) left out.
    Omitted {
        /// How much.
        bytes: u64,
    },
}

json_form! {
    OutputPartJson for OutputPart {
        Output {
            stream: OutputStream,
            #[serde(with = "text_or_numbers")]
            data: Bytes
        } = Output { stream, bytes: data };
        Missed { bytes: u64 } = Missed { bytes };
        Omitted { bytes: u64 } = Omitted { bytes };
    }
}

impl Default for OutputQuery {
    fn default() -> Self {
        Self {
            cursor: OutputCursor::default(),
            stream: None,
            max_bytes: 64 * 1024,
            window: OutputWindow::default(),
            wait_ms: 0,
        }
    }
}

impl OutputQuery {
    /// Creates the query for what follows a page.
    pub fn after(cursor: OutputCursor) -> Self {
        Self { cursor, ..Self::default() }
    }

    setters! {
        /// Sets [`stream`](Self::stream).
        stream(stream: OutputStream) => stream = Some(stream);

        /// Sets [`max_bytes`](Self::max_bytes).
        max_bytes(bytes: usize) => max_bytes = bytes;

        /// Sets [`window`](Self::window).
        window(window: OutputWindow) => window = window;

        /// Sets [`wait_ms`](Self::wait_ms).
        wait(longest: Duration) => wait_ms = whole_millis(longest);
    }
}

impl OutputPage {
    /// Returns the output byte for byte, without what is missing.
    pub fn bytes(&self) -> Bytes {
        let output = |part: &OutputPart| match part {
            OutputPart::Output { bytes, .. } => bytes.clone(),
            OutputPart::Missed { .. } | OutputPart::Omitted { .. } => Bytes::new(),
        };
        match &self.parts[..] {
            [one] => output(one),
            parts => parts.iter().map(output).collect::<Vec<_>>().concat().into(),
        }
    }

    /// Returns the output as text, with U+FFFD for what is not UTF-8, and a line of its own in the
    /// place of what is missing or left out.
    pub fn text(&self) -> String {
        let mut shown = String::new();
        for part in &self.parts {
            let notice = match part {
                OutputPart::Output { bytes, .. } => {
                    shown.push_str(&String::from_utf8_lossy(bytes));
                    continue;
                }
                OutputPart::Missed { bytes } => format!("[{bytes} bytes are missing here]\n"),
                OutputPart::Omitted { bytes } => format!("[{bytes} bytes are left out here]\n"),
            };
            if !shown.is_empty() && !shown.ends_with('\n') {
                shown.push('\n');
            }
            shown.push_str(&notice);
        }
        shown
    }

    /// Returns how many bytes are missing because they are no longer kept.
    pub fn missed(&self) -> u64 {
        let missed = self.parts.iter().map(|part| match part {
            OutputPart::Missed { bytes } => *bytes,
            OutputPart::Output { .. } | OutputPart::Omitted { .. } => 0,
        });
        missed.sum()
    }
}
