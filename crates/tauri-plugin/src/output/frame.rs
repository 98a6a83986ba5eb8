//! Pages as binary frames: in JSON, output that is not UTF-8 would become a list of numbers.

use execution_engine::{OutputCursor, OutputPage, OutputPart, OutputStream};
use serde::Serialize;
use tauri::ipc::InvokeResponseBody;

use crate::frame::frame as binary_frame;

/// Header of the frame of a page.
#[derive(Serialize)]
struct PageHeader {
    parts: Vec<FramePart>,
    next: OutputCursor,
    ended: bool,
}

/// What a frame says of a part of the output. The bytes of all parts come behind the header.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum FramePart {
    Output { stream: OutputStream, length: usize },
    Missed { missed: u64 },
    Omitted { omitted: u64 },
}

/// Encodes a page.
pub(crate) fn page_frame(page: &OutputPage) -> InvokeResponseBody {
    let mut bytes = Vec::new();
    let part = |part: &OutputPart| match part {
        OutputPart::Output { stream, bytes: output } => {
            bytes.extend_from_slice(output);
            Some(FramePart::Output { stream: *stream, length: output.len() })
        }
        OutputPart::Missed { bytes } => Some(FramePart::Missed { missed: *bytes }),
        OutputPart::Omitted { bytes } => Some(FramePart::Omitted { omitted: *bytes }),
        // The bindings could not read a kind of part that they do not know.
        _ => None,
    };
    let parts = page.parts.iter().filter_map(part).collect();
    frame(&PageHeader { parts, next: page.next, ended: page.ended }, &bytes)
}

/// Encodes a header, which has no value that JSON cannot have, and bytes.
pub(super) fn frame(header: &impl Serialize, bytes: &[u8]) -> InvokeResponseBody {
    let header = serde_json::to_string(header).unwrap_or_default();
    InvokeResponseBody::Raw(binary_frame(&header, &[bytes]))
}
