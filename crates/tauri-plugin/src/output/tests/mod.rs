//! Ranges of lines and searches, on an output that the test writes, page by page.

mod lines;
mod search;
mod styles;

use std::cell::Cell;

use bytes::Bytes;
use execution_engine::{OutputCursor, OutputPage, OutputPart, OutputQuery, OutputStream};

use super::place::Pages;
use crate::error::Error;

/// An output in memory, in small pages.
#[derive(Default)]
struct Written {
    parts: Vec<OutputPart>,
    /// Most bytes of a page.
    page_bytes: usize,
    is_closed: bool,
    /// Bytes that were read so far.
    read: Cell<usize>,
}

impl Written {
    fn new(page_bytes: usize) -> Self {
        Self { page_bytes, ..Self::default() }
    }

    fn write(&mut self, stream: OutputStream, text: &str) {
        self.parts
            .push(OutputPart::Output { stream, bytes: Bytes::copy_from_slice(text.as_bytes()) });
    }

    /// Lines `line 0` to `line n - 1` on stdout.
    fn numbered(lines: u64) -> Self {
        let mut written = Self::new(1000);
        let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
        written.write(OutputStream::Stdout, &text);
        written
    }

    /// Drops the first bytes, as an engine does that keeps no more.
    fn forget(&mut self, bytes: usize) {
        let OutputPart::Output { stream, bytes: all } = self.parts[0].clone() else { panic!() };
        self.parts[0] = OutputPart::Output { stream, bytes: all.slice(bytes..) };
        self.parts.insert(0, OutputPart::Missed { bytes: bytes as u64 });
    }
}

impl Pages for Written {
    fn page(&self, query: OutputQuery) -> Result<OutputPage, Error> {
        let mut left = query.max_bytes.min(self.page_bytes);
        let (mut parts, mut next) = (Vec::new(), query.cursor);
        let mut passed = OutputCursor::default();
        for part in &self.parts {
            // What is missing is taken to be of stdout.
            let (stream, length) = match part {
                OutputPart::Output { stream, bytes } => (*stream, bytes.len()),
                OutputPart::Missed { bytes } => (OutputStream::Stdout, *bytes as usize),
                _ => unreachable!(),
            };
            let (before, read, told) = match stream {
                OutputStream::Stdout => (&mut passed.stdout, query.cursor.stdout, &mut next.stdout),
                OutputStream::Stderr => (&mut passed.stderr, query.cursor.stderr, &mut next.stderr),
            };
            let skipped = usize::try_from(read.saturating_sub(*before)).unwrap().min(length);
            *before += length as u64;
            if skipped == length || left == 0 {
                continue;
            }
            match part {
                OutputPart::Output { bytes, .. } => {
                    let taken = left.min(length - skipped);
                    left -= taken;
                    *told += taken as u64;
                    let bytes = bytes.slice(skipped..skipped + taken);
                    self.read.set(self.read.get() + taken);
                    parts.push(OutputPart::Output { stream, bytes });
                }
                _ => {
                    *told += (length - skipped) as u64;
                    parts.push(OutputPart::Missed { bytes: (length - skipped) as u64 });
                }
            }
        }
        let is_all = left > 0;
        next.stdout = next.stdout.min(passed.stdout);
        next.stderr = next.stderr.min(passed.stderr);
        Ok(page(parts, next, self.is_closed && is_all))
    }
}

/// Makes a page, which has no constructor.
fn page(parts: Vec<OutputPart>, next: OutputCursor, ended: bool) -> OutputPage {
    let mut page = OutputPage::default();
    (page.parts, page.next, page.ended) = (parts, next, ended);
    page
}
