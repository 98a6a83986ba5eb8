//! The two logs of an execution: a raw one with the bytes as they arrived, and a readable one with
//! header, lines and ending. Both are opened before the program starts, so that a log that cannot
//! be written refuses the execution.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use chrono::{DateTime, SecondsFormat, Utc};
use execution_engine_process::files::{self, LogAccess};
use uuid::Uuid;

use super::file_writer::FileWriter;
use super::lines::{LineBatch, LineSplitter};
use super::log_targets::LogTargets;
use super::rotation::{self, RotatingFile};
use crate::error::{ExecutionError, IoError};
use crate::runtime::BlockingPool;
use crate::types::{Ending, LogTail, OneLine, OutputStream};

/// The open logs of one execution: both, one, or none.
#[derive(Debug, Default)]
pub(crate) struct ExecutionLogs {
    // On the heap, because most executions have none.
    raw: Option<Box<LogFile>>,
    readable: Option<Box<ReadableLog>>,
    error: Option<String>,
}

/// A log that is read back.
#[derive(Debug)]
pub(crate) struct WrittenLog {
    pub(crate) path: PathBuf,
    pub(crate) access: LogAccess,
    /// How many bytes at the beginning of its file belong to others.
    pub(crate) begin: u64,
    pub(crate) is_rotated: bool,
}

/// The log for people. A line is written when it is finished.
#[derive(Debug)]
struct ReadableLog {
    log: LogFile,
    lines: [LineSplitter; 2],
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    access: LogAccess,
    writer: FileWriter,
    /// The file and the directories that were created for it, innermost first.
    created: Vec<PathBuf>,
}

impl ExecutionLogs {
    /// Opens the logs, which these threads write, and creates missing directories. The guard that
    /// `lock` returns is held while the readable log is opened, because its name may belong to an
    /// execution that is being removed.
    ///
    /// # Errors
    /// [`ExecutionError::Log`]; nothing that was created stays then.
    pub(crate) fn open<Guard>(
        targets: &LogTargets,
        threads: &Arc<BlockingPool>,
        id: Uuid,
        lock: impl FnOnce() -> Guard,
    ) -> Result<Self, ExecutionError> {
        let raw = match &targets.raw {
            Some(log) => {
                let plain = |file: File| {
                    log.note_begin(file.metadata()?.len());
                    Ok(FileWriter::new(file, threads))
                };
                let access = LogAccess::named_by_user(log.links);
                Some(Box::new(LogFile::open(log.path.clone(), access, plain)?))
            }
            None => None,
        };
        let Some(dir) = &targets.dir else {
            return Ok(Self { raw, ..Self::default() });
        };
        let _guard = lock();
        let path = Self::own_path(dir, id);
        let log = LogFile::open(path.clone(), LogAccess::Private, |file| match targets.rotation {
            None => Ok(FileWriter::new(file, threads)),
            Some(rotation) => {
                Ok(FileWriter::new(RotatingFile::new(file, path, id, rotation)?, threads))
            }
        });
        let log = log.inspect_err(|_| raw.iter().for_each(|raw| raw.remove_created()))?;
        let lines =
            OutputStream::BOTH.map(|stream| LineSplitter::new(stream, targets.max_line_bytes));
        Ok(Self { raw, readable: Some(Box::new(ReadableLog { log, lines })), error: None })
    }

    /// Returns the path of an execution's readable log. The engine chooses its name.
    pub(crate) fn own_path(log_dir: &Path, id: Uuid) -> PathBuf {
        log_dir.join(format!("{id}.log"))
    }

    /// Reads what is written so far, or the last part of it, from all files of a log that is
    /// rotated.
    ///
    /// # Errors
    /// The system's error, or that the file gives nothing back.
    pub(crate) fn read(log: &WrittenLog, tail: Option<LogTail>) -> io::Result<Vec<u8>> {
        rotation::read(log, tail)
    }

    /// Removes the readable log of an execution, and what came before it.
    pub(crate) fn remove(log_dir: &Path, id: Uuid) {
        let path = Self::own_path(log_dir, id);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, ?path, "a log could not be removed");
        }
        rotation::remove_rotated(&path);
    }

    /// Adds the first lines of the readable log. Environment variables are no part of them: they may
    /// be secrets.
    pub(crate) fn header(
        &mut self,
        id: Uuid,
        command: &str,
        working_dir: Option<&Path>,
        started_at: Option<DateTime<Utc>>,
    ) {
        self.readable_text(|text| {
            // Without one of its own, the child inherits the directory of the host.
            let directory = match working_dir {
                Some(dir) => dir.to_path_buf(),
                None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            };
            writeln!(text, "# execution {id}")?;
            let mut heading = "command  ";
            for line in command.split('\n') {
                writeln!(text, "# {heading} {}", OneLine(line))?;
                heading = "         ";
            }
            writeln!(text, "# directory {}", OneLine(directory.display()))?;
            started_at.map_or(Ok(()), |at| writeln!(text, "# started   {}", timestamp(at)))
        });
    }

    /// Adds bytes that were read of a stream.
    pub(super) fn chunk(&mut self, stream: OutputStream, bytes: &[u8]) {
        if let Some(log) = &mut self.raw {
            log.writer.push(bytes);
        }
        if let Some(readable) = &mut self.readable {
            let mut rest = Bytes::copy_from_slice(bytes);
            while !rest.is_empty() {
                let (batch, taken) = readable.lines[stream.index()].split(&rest);
                rest.advance(taken);
                readable.lines(batch);
            }
        }
    }

    /// Adds the unfinished line of a stream that has ended.
    pub(super) fn end_of(&mut self, stream: OutputStream) {
        if let Some(readable) = &mut self.readable {
            let batch = readable.lines[stream.index()].finish();
            readable.lines(batch);
        }
    }

    /// Adds a remark to the readable log.
    pub(crate) fn note(&mut self, remark: &str) {
        self.readable_text(|text| writeln!(text, "# {}", OneLine(remark)));
    }

    pub(crate) fn footer(
        &mut self,
        ending: &Ending,
        duration: Duration,
        [stdout, stderr]: [u64; 2],
    ) {
        self.readable_text(|text| {
            writeln!(text, "# ended     {}", timestamp(Utc::now()))?;
            writeln!(text, "# ending    {ending}")?;
            writeln!(text, "# duration  {:.3} s", duration.as_secs_f64())?;
            writeln!(text, "# output    {stdout} bytes on stdout, {stderr} bytes on stderr")
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_none() && self.readable.is_none()
    }

    /// Writes what is pending to the files.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice: the next call continues.
    pub(crate) async fn write_pending(&mut self) {
        for log in both(&mut self.raw, &mut self.readable) {
            let written = log.writer.write_pending().await;
            log.note(written, &mut self.error);
        }
    }

    /// Completes the logs; returns the first error that any of them had. Waits for each no longer
    /// than `limit`, because a disk may never answer.
    pub(crate) async fn finish(mut self, limit: Duration) -> Option<String> {
        for log in both(&mut self.raw, &mut self.readable) {
            let finished = tokio::time::timeout(limit, log.writer.finish()).await;
            let finished = finished.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            log.note(finished, &mut self.error);
        }
        self.error
    }

    fn readable_text(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) {
        if let Some(readable) = &mut self.readable {
            readable.text(write);
        }
    }
}

impl ReadableLog {
    fn lines(&mut self, batch: Option<LineBatch>) {
        let Some(batch) = batch else { return };
        let stream = match batch.stream {
            OutputStream::Stdout => "out",
            OutputStream::Stderr => "err",
        };
        let now = timestamp(Utc::now());
        self.text(|text| {
            batch.lines().try_for_each(|line| writeln!(text, "{now} {stream} | {}", line.text))
        });
    }

    fn text(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) {
        let mut text = String::new();
        write(&mut text).expect("writing to a String cannot fail");
        self.log.writer.push(text.as_bytes());
    }
}

fn both<'a>(
    raw: &'a mut Option<Box<LogFile>>,
    readable: &'a mut Option<Box<ReadableLog>>,
) -> impl Iterator<Item = &'a mut LogFile> {
    raw.as_deref_mut().into_iter().chain(readable.as_mut().map(|readable| &mut readable.log))
}

impl LogFile {
    fn open(
        path: PathBuf,
        access: LogAccess,
        writer: impl FnOnce(File) -> io::Result<FileWriter>,
    ) -> Result<Self, ExecutionError> {
        let opened = open_or_create(&path, access).and_then(|(file, created)| {
            let writer = writer(file).inspect_err(|_| remove_created(&created, access))?;
            Ok((writer, created))
        });
        match opened {
            Ok((writer, created)) => Ok(Self { path, access, writer, created }),
            Err(error) => {
                Err(ExecutionError::Log { source: log_error(&path, access, &error), path })
            }
        }
    }

    /// Removes what was created for it.
    fn remove_created(&self) {
        remove_created(&self.created, self.access);
    }

    /// Notes an error, unless there was one before. A log that fails changes no result.
    fn note(&self, result: io::Result<()>, first: &mut Option<String>) {
        if let Err(error) = result {
            first.get_or_insert_with(|| format!("log {}: {error}", OneLine(self.path.display())));
        }
    }
}

/// Opens a log; returns it and what was created for it, innermost first.
fn open_or_create(path: &Path, access: LogAccess) -> io::Result<(File, Vec<PathBuf>)> {
    match files::open_log(path, access) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link to nothing is not ours to remove.
            let is_missing = |dir: &&Path| {
                let found = dir.symlink_metadata();
                !dir.as_os_str().is_empty() && found.is_err_and(|error| files::is_missing(&error))
            };
            let missing = path.ancestors().skip(1).take_while(is_missing).map(Path::to_path_buf);
            let mut created: Vec<_> = missing.collect();
            let dirs = path.parent().map_or(Ok(()), |dir| files::create_log_dirs(dir, access));
            let file = dirs
                .and_then(|()| files::create_log(path, access))
                .inspect_err(|_| remove_created(&created, access))?;
            created.insert(0, path.to_path_buf());
            Ok((file, created))
        }
        opened => Ok((opened?, Vec::new())),
    }
}

/// Removes the file and the directories of a refused execution, up to one that is in use meanwhile.
fn remove_created(created: &[PathBuf], access: LogAccess) {
    for path in created {
        if let Err(error) = files::remove_log(path, access) {
            tracing::debug!(%error, ?path, "created for an unused log, and stays");
            return;
        }
    }
}

/// Returns the error of a log that could not be opened or read; one of a link names it.
pub(crate) fn log_error(path: &Path, access: LogAccess, error: &io::Error) -> IoError {
    let link = match access {
        LogAccess::Private => path.is_symlink().then(|| path.to_path_buf()),
        LogAccess::Umask => None,
        LogAccess::WithoutLinks => files::first_link(path),
    };
    let mut shown = IoError::from(error);
    if let Some(link) = link.filter(|_| files::is_link_error(error)) {
        shown.message = format!("{} is a link, which is not followed here", link.display());
    }
    shown
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
