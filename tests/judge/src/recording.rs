//! The log of a process's changes to a directory, as `preload/recorder.c` writes it.

use std::fmt;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preload::{Library, preload};

/// The first bytes of a record of the preloaded library.
const RECORD: &[u8] = b"REC1";
/// The first bytes of a mark, a line of text that the test or a program adds.
const MARK: &[u8] = b"mark ";
const HEADER_BYTES: usize = 32;

/// One entry of the log, in the order in which things happened; paths are relative to the recorded directory.
#[expect(missing_docs, reason = "the names of the fields say all")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Create {
        inode: u64,
        path: String,
        mode: u64,
    },
    Write {
        inode: u64,
        path: String,
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        inode: u64,
        path: String,
        length: u64,
    },
    /// The file has at least this length.
    Extend {
        inode: u64,
        path: String,
        length: u64,
    },
    SyncBegin {
        inode: u64,
        path: String,
        number: u64,
    },
    SyncEnd {
        number: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    MakeDirectory {
        path: String,
    },
    RemoveDirectory {
        path: String,
    },
    /// Something that the replay has no model of.
    Unknown {
        what: String,
    },
    /// What a client was told, or what a program did, at this moment.
    Mark(String),
}

/// A log that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The byte where the unreadable entry begins.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} of the recording: {}", self.offset, self.what)
    }
}

/// Records what processes change below a directory.
#[derive(Debug, Clone)]
pub struct Recorder {
    libraries: [PathBuf; 2],
    root: PathBuf,
    log: PathBuf,
}

impl Recorder {
    /// Prepares the recording of the directory `state` in `dir`, which it makes; the log is beside it.
    pub fn new(dir: &Path) -> Self {
        let dir = dir.canonicalize().unwrap();
        let root = dir.join("state");
        std::fs::DirBuilder::new().mode(0o700).create(&root).unwrap();
        let log = dir.join("log");
        std::fs::write(&log, "").unwrap();
        let libraries = [Library::Recorder.build(&dir), Library::Keepers.build(&dir)];
        Self { libraries, root, log }
    }

    /// Returns the recorded directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Lets a process be recorded, with its children that have its environment and with keepers.
    pub fn attach(&self, command: &mut Command) {
        let [recorder, keepers] = &self.libraries;
        preload(command, &[recorder, keepers]);
        command.env("RECORDER_ROOT", &self.root).env("RECORDER_LOG", &self.log);
    }

    /// Adds a mark; what is in the log before it happened before it.
    pub fn mark(&self, text: &str) {
        mark(&self.log, text);
    }

    /// Reads what was recorded.
    pub fn entries(&self) -> Vec<Entry> {
        let bytes = std::fs::read(&self.log).unwrap();
        parse(&bytes).unwrap_or_else(|damaged| panic!("{damaged}"))
    }
}

/// Adds a mark to a log, by one write.
pub fn mark(log: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    file.write_all(format!("mark {text}\n").as_bytes()).unwrap();
}

/// Reads the entries of a log.
pub fn parse(log: &[u8]) -> Result<Vec<Entry>, Damaged> {
    let mut entries = Vec::new();
    let mut offset = 0;
    while offset < log.len() {
        let rest = &log[offset..];
        let damaged = |what| Damaged { offset, what };
        if let Some(text) = rest.strip_prefix(MARK) {
            let end = text.iter().position(|byte| *byte == b'\n').ok_or(damaged("a torn mark"))?;
            let text = std::str::from_utf8(&text[..end]).map_err(|_| damaged("no UTF-8"))?;
            entries.push(Entry::Mark(text.to_string()));
            offset += MARK.len() + end + 1;
        } else if rest.starts_with(RECORD) {
            let (entry, bytes) = record(rest).map_err(damaged)?;
            entries.push(entry);
            offset += bytes;
        } else {
            return Err(damaged("neither a record nor a mark"));
        }
    }
    Ok(entries)
}

fn record(bytes: &[u8]) -> Result<(Entry, usize), &'static str> {
    let header = bytes.get(..HEADER_BYTES).ok_or("a torn header")?;
    let u32_at = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let (kind, inode, number) = (u32_at(4), u64_at(8), u64_at(16));
    let path_end = HEADER_BYTES + u32_at(24) as usize;
    let end = path_end + u32_at(28) as usize;
    let payload = bytes.get(HEADER_BYTES..end).ok_or("a torn record")?;
    let (path, data) = payload.split_at(path_end - HEADER_BYTES);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "a path is no UTF-8");
    let path = text(path)?;
    let entry = match kind {
        1 => Entry::Create { inode, path, mode: number },
        2 => Entry::Write { inode, path, offset: number, data: data.to_vec() },
        3 => Entry::Truncate { inode, path, length: number },
        4 => Entry::SyncBegin { inode, path, number },
        5 => Entry::SyncEnd { number },
        6 => Entry::Rename { from: path, to: text(data)? },
        7 => Entry::Unlink { path },
        8 => Entry::MakeDirectory { path },
        9 => Entry::RemoveDirectory { path },
        10 => Entry::Link { from: path, to: text(data)? },
        11 => Entry::Extend { inode, path, length: number },
        12 => Entry::Unknown { what: path },
        _ => return Err("a record of an unknown kind"),
    };
    Ok((entry, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_records_are_read_in_order() {
        let mut log = b"mark one\n".to_vec();
        log.extend_from_slice(RECORD);
        log.extend_from_slice(&2u32.to_ne_bytes());
        for number in [7u64, 4096] {
            log.extend_from_slice(&number.to_ne_bytes());
        }
        for length in [4u32, 3] {
            log.extend_from_slice(&length.to_ne_bytes());
        }
        log.extend_from_slice(b"a/bcxyzmark two\n");
        let write = Entry::Write {
            inode: 7,
            path: "a/bc".to_string(),
            offset: 4096,
            data: b"xyz".to_vec(),
        };
        let mark = |text: &str| Entry::Mark(text.to_string());
        assert_eq!(parse(&log), Ok(vec![mark("one"), write, mark("two")]));
        assert_eq!(parse(&log[..log.len() - 12]).unwrap_err().what, "a torn record");
        assert_eq!(parse(b"noise").unwrap_err().offset, 0);
    }
}
