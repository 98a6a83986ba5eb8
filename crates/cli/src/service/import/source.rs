//! The entries of an archive, one after the other. These calls block.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

use crate::failure::Failure;
use crate::service::export::archive::MOST_WHOLE_BYTES;

/// How much is read at a time.
const PIECE: usize = 256 << 10;
/// First bytes of what is compressed with zstd.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An archive as it is read.
pub(super) type Source = Box<dyn Read>;

/// Opens an archive, and decompresses it if it is compressed.
///
/// # Errors
/// It cannot be read, or is no archive.
pub(super) fn open(path: &Path) -> Result<Source, Failure> {
    let failed =
        |error: io::Error| Failure::new(format!("{} cannot be read: {error}", path.display()));
    let mut source: Source = if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(Failure::new("an archive cannot be typed; name a file, or redirect stdin"));
        }
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut first = Vec::new();
    source.by_ref().take(ZSTD.len() as u64).read_to_end(&mut first).map_err(failed)?;
    if first.starts_with(b"{") {
        return Err(foreign(
            path,
            "it is JSON, as --format jsonl writes it, and only a tar can be imported; export it again with \
             --output FILE.tar",
        ));
    }
    let is_compressed = first == ZSTD;
    let source = Cursor::new(first).chain(source);
    Ok(if is_compressed {
        Box::new(Decoder::new(source).map_err(failed)?)
    } else {
        Box::new(source)
    })
}

/// Entries of an archive.
pub(super) struct Entries<'a> {
    entries: tar::Entries<'a, Source>,
    file: PathBuf,
    /// Path of the last one.
    last: String,
}

impl<'a> Entries<'a> {
    /// Begins to read them. Errors name the file.
    ///
    /// # Errors
    /// None today.
    pub(super) fn new(archive: &'a mut Archive<Source>, file: &Path) -> Result<Self, Failure> {
        let entries = archive.entries().map_err(Failure::new)?;
        Ok(Self { entries, file: file.to_path_buf(), last: String::new() })
    }

    /// Returns the next one; None at the end.
    ///
    /// # Errors
    /// The archive is damaged there, or the entry is no file.
    pub(super) fn next(&mut self) -> Result<Option<EntryReader<'a>>, Failure> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let entry = entry.map_err(|error| match &*self.last {
            "" => self.foreign(&format!("it is no tar archive ({error})")),
            last => self.damaged(&format!("behind {last}"), &error.to_string()),
        })?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        self.last.clone_from(&path);
        if entry.header().entry_type() != EntryType::Regular {
            return Err(self.damaged(&path, "it is no file"));
        }
        let (file, left) = (self.file.clone(), entry.size());
        let piece = vec![0; PIECE];
        Ok(Some(EntryReader { entry, file, path, left, piece, hash: Sha256::new() }))
    }

    /// Returns the error of an archive that is not one of an export.
    pub(super) fn foreign(&self, why: &str) -> Failure {
        foreign(&self.file, why)
    }

    /// Returns the error of an archive whose end is missing.
    pub(super) fn cut_off(&self) -> Failure {
        self.damaged(&format!("behind {}", self.last), "the archive ends there before its end")
    }

    /// Returns the error of a damaged entry.
    pub(super) fn damaged(&self, path: &str, why: &str) -> Failure {
        damaged(&self.file, path, why)
    }
}

/// An entry that is being read.
pub(super) struct EntryReader<'a> {
    entry: Entry<'a, Source>,
    file: PathBuf,
    path: String,
    left: u64,
    piece: Vec<u8>,
    hash: Sha256,
}

impl EntryReader<'_> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the file of the archive.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Reads the next piece; None at the end.
    ///
    /// # Errors
    /// The archive is damaged or ends there.
    pub(super) fn piece(&mut self) -> Result<Option<&[u8]>, Failure> {
        if self.left == 0 {
            return Ok(None);
        }
        let count = match self.entry.read(&mut self.piece) {
            Ok(0) => return Err(self.damaged("the archive ends within it")),
            read => read.map_err(|error| self.damaged(&error.to_string()))?,
        };
        self.left = self.left.saturating_sub(count as u64);
        self.hash.update(&self.piece[..count]);
        Ok(Some(&self.piece[..count]))
    }

    /// Returns how many bytes are left to read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads all that is left, keeps nothing of it, and returns the sum.
    ///
    /// # Errors
    /// As [`piece`](Self::piece).
    pub(super) fn skip(mut self) -> Result<String, Failure> {
        while self.piece()?.is_some() {}
        self.end()
    }

    /// Returns the sum of what was read, which has to be all of it.
    pub(super) fn end(self) -> Result<String, Failure> {
        if self.left > 0 {
            return Err(self.damaged("it was not read to its end"));
        }
        let mut sum = String::new();
        for byte in self.hash.finalize() {
            // Writing to a String does not fail.
            let _written = write!(sum, "{byte:02x}");
        }
        Ok(sum)
    }

    /// Reads all of a small one, and returns its sum, too.
    ///
    /// # Errors
    /// As [`piece`](Self::piece), or it is not small.
    pub(super) fn whole(mut self) -> Result<(Vec<u8>, String), Failure> {
        if self.left > MOST_WHOLE_BYTES {
            return Err(self.damaged(&format!("it has more than {MOST_WHOLE_BYTES} bytes")));
        }
        let mut all = Vec::new();
        while let Some(piece) = self.piece()? {
            all.extend_from_slice(piece);
        }
        Ok((all, self.end()?))
    }

    /// Returns the error of an entry that is damaged.
    pub(super) fn damaged(&self, why: &str) -> Failure {
        damaged(&self.file, &self.path, why)
    }
}

/// Returns the error of a damaged entry.
pub(super) fn damaged(file: &Path, path: &str, why: &str) -> Failure {
    Failure::new(format!(
        "{} is damaged: entry {path}: {why}; nothing of its execution was imported, export it again",
        file.display()
    ))
}

fn foreign(file: &Path, why: &str) -> Failure {
    Failure::new(format!("{} is no whole archive of exeng export: {why}", file.display()))
}
