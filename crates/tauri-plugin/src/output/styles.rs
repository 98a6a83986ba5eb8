//! The colours that a program has set: what a view needs to begin in the middle of an output.

use std::sync::Arc;

use execution_engine::OutputStream;

const ESC: u8 = 0x1b;
/// Longest sequence that is waited for where it is cut. Those that set colours are shorter.
const MAX_SEQUENCE: usize = 128;
/// Most bytes of settings that are remembered since the last reset.
const MAX_SETTINGS: usize = 512;

/// The settings of both streams. Cheap to copy: most programs set none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Styles(Option<Arc<[Style; 2]>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Style {
    /// The sequences since the last reset, one after the other.
    settings: Vec<u8>,
    /// The beginning of a sequence that is cut.
    begun: Vec<u8>,
}

impl Styles {
    /// Returns the sequences that set what is set, for a stream.
    pub(super) fn settings(&self, stream: OutputStream) -> &[u8] {
        self.0.as_ref().map_or(&[], |styles| &styles[index(stream)].settings)
    }

    /// Notes what these bytes of a stream set.
    pub(super) fn pass(&mut self, stream: OutputStream, bytes: &[u8]) {
        let is_cut = |styles: &Arc<[Style; 2]>| !styles[index(stream)].begun.is_empty();
        if memchr::memchr(ESC, bytes).is_none() && !self.0.as_ref().is_some_and(is_cut) {
            return;
        }
        let styles = self.0.get_or_insert_default();
        Arc::make_mut(styles)[index(stream)].pass(bytes);
        if styles.iter().all(|style| *style == Style::default()) {
            self.0 = None;
        }
    }
}

fn index(stream: OutputStream) -> usize {
    match stream {
        OutputStream::Stdout => 0,
        OutputStream::Stderr => 1,
    }
}

impl Style {
    fn pass(&mut self, bytes: &[u8]) {
        let joined;
        let mut rest = bytes;
        if !self.begun.is_empty() {
            joined = [&std::mem::take(&mut self.begun)[..], bytes].concat();
            rest = &joined;
        }
        while let Some(at) = memchr::memchr(ESC, rest) {
            rest = &rest[at..];
            let Some(end) = sequence_end(rest) else {
                if rest.len() <= MAX_SEQUENCE {
                    self.begun = rest.to_vec();
                }
                return;
            };
            if rest[1] == b'[' && rest[end - 1] == b'm' {
                self.set(&rest[..end]);
            }
            rest = &rest[end..];
        }
    }

    /// Notes a sequence that sets colours.
    fn set(&mut self, sequence: &[u8]) {
        let codes = &sequence[2..sequence.len() - 1];
        if resets_all(codes) {
            self.settings.clear();
        }
        if codes.iter().all(|byte| *byte == b'0') {
            return;
        }
        self.settings.extend_from_slice(sequence);
        while self.settings.len() > MAX_SETTINGS {
            let next =
                memchr::memchr(ESC, &self.settings[1..]).map_or(self.settings.len(), |at| at + 1);
            self.settings.drain(..next);
        }
    }
}

/// Returns `true` if one of these codes resets everything.
fn resets_all(codes: &[u8]) -> bool {
    let mut codes = codes.split(|byte| matches!(byte, b';' | b':'));
    while let Some(code) = codes.next() {
        match code {
            // A colour is named by the numbers that follow, which may be 0.
            b"38" | b"48" => {
                let named_by = if codes.next() == Some(b"2") { 3 } else { 1 };
                codes.by_ref().take(named_by).for_each(drop);
            }
            _ if code.iter().all(|byte| *byte == b'0') => return true,
            _ => {}
        }
    }
    false
}

/// Returns the length of the sequence at the beginning, or None if it is cut.
pub(super) fn sequence_end(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'[' => {
            let end = |byte: &u8| matches!(byte, 0x40..=0x7e) || *byte < 0x20;
            let at = bytes[2..].iter().position(end)? + 2;
            Some(if bytes[at] < 0x20 { at } else { at + 1 })
        }
        // A title or a link, up to BEL or ESC \.
        b']' => {
            let at = memchr::memchr2(0x07, ESC, &bytes[2..])? + 2;
            Some(if bytes[at] == ESC { (at + 2).min(bytes.len()) } else { at + 1 })
        }
        _ => Some(2),
    }
}
