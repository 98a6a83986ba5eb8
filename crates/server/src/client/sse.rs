//! Reads a stream of server-sent events.

/// One event of a stream. What it does not have is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) data: String,
}

/// Puts the bytes of a stream together to events.
#[derive(Default)]
pub(super) struct FrameReader {
    /// Bytes of a line that is not finished.
    rest: Vec<u8>,
    /// Fields of an event that is not finished.
    frame: Frame,
    has_data: bool,
}

impl FrameReader {
    /// Takes bytes, and returns the events that they finish.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                let line = String::from_utf8_lossy(&line);
                frames.extend(self.line(line.trim_end_matches(['\n', '\r'])));
            }
        }
        frames
    }

    /// Takes a line, and returns the event that an empty one finishes.
    fn line(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            return std::mem::take(&mut self.has_data).then_some(frame);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.frame.id = value.to_string(),
            "event" => self.frame.event = value.to_string(),
            "data" => {
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
                self.has_data = true;
            }
            // A comment, which keeps the connection alive, or a field of later.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: &str, event: &str, data: &str) -> Frame {
        Frame { id: id.into(), event: event.into(), data: data.into() }
    }

    const STREAM: &str = ": alive\n\nid: 7\nevent: output\ndata: {\"text\":\"\u{e9}: x\"}\n\n\
                          id:8\r\ndata:a\r\ndata: b\r\n\r\nretry: 5\nid: 9\n\nid: 10\nevent: ended";

    #[test]
    fn events_are_the_same_however_they_arrive() {
        let expected = [frame("7", "output", "{\"text\":\"\u{e9}: x\"}"), frame("8", "", "a\nb")];
        for size in 1..STREAM.len() {
            let mut reader = FrameReader::default();
            let chunks = STREAM.as_bytes().chunks(size);
            let frames: Vec<_> = chunks.flat_map(|chunk| reader.push(chunk)).collect();
            assert_eq!(frames, expected, "in pieces of {size}");
        }
    }
}
