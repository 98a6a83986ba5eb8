//! Where an export goes: to stdout, or to a file that has its name when it is whole.

use std::fs;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zstd::stream::write::Encoder;

use crate::failure::Failure;

/// Place for an export.
pub(super) enum Place {
    Stdout,
    File {
        path: PathBuf,
        /// Whether a file of this name is replaced.
        replaces: bool,
    },
}

impl Place {
    /// Checks whether a file may be written.
    ///
    /// # Errors
    /// There is one already, or something else.
    pub(super) fn of_file(path: &Path, force: bool) -> Result<Self, Failure> {
        let shown = path.display();
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => Err(Failure::new(format!(
                "{shown} is there and is no regular file; name another one, or leave --output out and redirect stdout"
            ))),
            Ok(_) if !force => Err(exists(path)),
            _ => Ok(Self::File { path: path.to_path_buf(), replaces: force }),
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!(
        "{} is there already; name another file, or replace it with --force",
        path.display()
    ))
}

/// An export that is being written. Dropped before its end, it leaves no file.
pub(super) struct Target {
    out: Out,
    place: Place,
}

enum Out {
    Stdout(BufWriter<Stdout>),
    File(BufWriter<NamedTempFile>),
    Compressed(Box<Encoder<'static, BufWriter<NamedTempFile>>>),
}

impl Target {
    /// Begins to write.
    ///
    /// # Errors
    /// No file can be made in the directory.
    pub(super) fn open(place: Place) -> Result<Self, Failure> {
        let Place::File { path, .. } = &place else {
            return Ok(Self { out: Out::Stdout(BufWriter::new(io::stdout())), place });
        };
        let of_file = |error: io::Error| failed(path, &error);
        // In the same directory, so that it can have its name at once.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".exeng-export-").tempfile_in(dir);
        let file = BufWriter::new(file.map_err(of_file)?);
        let is_compressed = path.extension().is_some_and(|extension| extension == "zst");
        let out = if is_compressed {
            let mut encoder = Encoder::new(file, 0).map_err(of_file)?;
            encoder.include_checksum(true).map_err(of_file)?;
            Out::Compressed(Box::new(encoder))
        } else {
            Out::File(file)
        };
        Ok(Self { out, place })
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// The disk is full, or no process reads stdout any more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let out: &mut dyn Write = match &mut self.out {
            Out::Stdout(out) => out,
            Out::File(out) => out,
            Out::Compressed(out) => out,
        };
        out.write_all(bytes).map_err(|error| self.place.failure(&error))
    }

    /// Gives the file its name, when all of it is on the disk.
    ///
    /// # Errors
    /// As [`write`](Self::write), or another file has its name meanwhile.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self { out, place } = self;
        let of_place = |error: io::Error| place.failure(&error);
        let file = match out {
            Out::Stdout(mut out) => return out.flush().map_err(of_place),
            Out::File(out) => out,
            Out::Compressed(encoder) => encoder.finish().map_err(of_place)?,
        };
        let file = file.into_inner().map_err(|error| of_place(error.into_error()))?;
        file.as_file().sync_all().map_err(of_place)?;
        let Place::File { path, replaces } = &place else { return Ok(()) };
        let named = match replaces {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        named.map(drop).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => of_place(error.error),
        })?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = fs::File::open(dir.unwrap_or(Path::new(".")));
        dir.and_then(|dir| dir.sync_all()).map_err(|error| place.failure(&error))
    }
}

impl Place {
    fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Self::Stdout => Failure::of_output(error),
            Self::File { path, .. } => failed(path, error),
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()))
}
