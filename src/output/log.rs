//! The two logs of an execution: what arrived as it arrived, and a readable one with header,
//! lines and ending.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use chrono::{DateTime, SecondsFormat, Utc};
use rustix::fs::OFlags;
use uuid::Uuid;

use super::file_writer::FileWriter;
use super::lines::{LineBatch, LineSplitter};
use crate::error::ExecutionError;
use crate::types::{Ending, OutputStream};

/// The logs of one execution, as many as were asked for.
#[derive(Debug, Default)]
pub(crate) struct ExecutionLogs {
    // On the heap, because most executions have none.
    raw: Option<Box<LogFile>>,
    readable: Option<Box<ReadableLog>>,
    error: Option<String>,
}

/// The log for people: it holds back a line until it is finished.
#[derive(Debug)]
struct ReadableLog {
    log: LogFile,
    lines: [LineSplitter; 2],
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    sink: FileWriter,
    /// The file and the directories that were not there before, innermost first.
    made: Vec<PathBuf>,
}

/// Which logs an execution is to have.
#[derive(Debug)]
pub(crate) struct LogTargets {
    /// The file for what arrived as it arrived.
    pub(crate) raw: Option<PathBuf>,
    /// The directory of the readable one.
    pub(crate) dir: Option<PathBuf>,
    /// The longest line that is written in one piece, in bytes.
    pub(crate) max_line_bytes: usize,
}

/// What the readable log begins with. No value of the environment is part of it.
pub(crate) struct LogHeader<'a> {
    pub(crate) id: Uuid,
    pub(crate) command: &'a str,
    pub(crate) working_dir: Option<&'a Path>,
    pub(crate) started_at: DateTime<Utc>,
}

impl ExecutionLogs {
    /// Opens the logs that were asked for, with missing directories made. What `lock` gives is held while
    /// the one is opened whose name is ours.
    pub(crate) fn open<Guard>(
        plan: &LogTargets,
        id: Uuid,
        lock: impl FnOnce() -> Guard,
    ) -> Result<Self, ExecutionError> {
        let raw = plan
            .raw
            .as_ref()
            .map(|path| LogFile::open(path.clone(), LogOwner::Users).map(Box::new));
        let raw = raw.transpose()?;
        let readable = plan.dir.as_deref().map(|dir| {
            let _guard = lock();
            let log = LogFile::open(Self::own_path(dir, id), LogOwner::Ours)?;
            let lines =
                OutputStream::BOTH.map(|stream| LineSplitter::new(stream, plan.max_line_bytes));
            Ok::<_, ExecutionError>(Box::new(ReadableLog { log, lines }))
        });
        match readable.transpose() {
            Ok(readable) => Ok(Self { raw, readable, error: None }),
            Err(error) => {
                raw.iter().for_each(|raw| raw.take_back());
                Err(error)
            }
        }
    }

    /// Where the readable log of an execution is; its name is ours.
    pub(crate) fn own_path(log_dir: &Path, id: Uuid) -> PathBuf {
        log_dir.join(format!("{id}.log"))
    }

    /// What is written so far. A FIFO or a device gives nothing back: reading it would wait for ever,
    /// or take what is meant for its reader.
    pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file, so it cannot be read back"));
        }
        std::fs::read(path)
    }

    pub(crate) fn header(&mut self, header: &LogHeader<'_>) {
        self.readable_text(|text| {
            // Without one of its own the child inherits this process's directory.
            let directory = match header.working_dir {
                Some(dir) => dir.to_path_buf(),
                None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            };
            writeln!(text, "# execution {}", header.id)?;
            writeln!(text, "# command   {}", header.command.replace('\n', "\n#           "))?;
            writeln!(text, "# directory {}", directory.display())?;
            writeln!(text, "# started   {}", timestamp(header.started_at))
        });
    }

    /// Takes what was read of a stream.
    pub(super) fn chunk(&mut self, stream: OutputStream, bytes: &[u8]) {
        if let Some(log) = &mut self.raw {
            log.sink.push(bytes);
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

    /// Nothing more comes of a stream.
    pub(super) fn end_of(&mut self, stream: OutputStream) {
        if let Some(readable) = &mut self.readable {
            let batch = readable.lines[stream.index()].finish();
            readable.lines(batch);
        }
    }

    /// A remark of the engine's own.
    pub(crate) fn note(&mut self, remark: &str) {
        self.readable_text(|text| writeln!(text, "# {remark}"));
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

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.raw.is_none() && self.readable.is_none()
    }

    /// Hands what is pending to the files. Cancel safe.
    pub(crate) async fn write_pending(&mut self) {
        for log in both(&mut self.raw, &mut self.readable) {
            let written = log.sink.write_pending().await;
            log.note(written, &mut self.error);
        }
    }

    /// Completes the logs, but waits no longer than `deadline` for a disk that does not answer.
    pub(crate) async fn finish(mut self, deadline: Duration) -> Option<String> {
        for log in both(&mut self.raw, &mut self.readable) {
            let finished = tokio::time::timeout(deadline, log.sink.finish()).await;
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
        self.log.sink.push(text.as_bytes());
    }
}

fn both<'a>(
    raw: &'a mut Option<Box<LogFile>>,
    readable: &'a mut Option<Box<ReadableLog>>,
) -> impl Iterator<Item = &'a mut LogFile> {
    raw.as_deref_mut().into_iter().chain(readable.as_mut().map(|readable| &mut readable.log))
}

/// Who chose the name of a log.
#[derive(Debug, Clone, Copy)]
enum LogOwner {
    Users,
    Ours,
}

impl LogFile {
    fn open(path: PathBuf, naming: LogOwner) -> Result<Self, ExecutionError> {
        match open_append(&path, naming) {
            Ok((file, made)) => Ok(Self { path, sink: FileWriter::new(file), made }),
            Err(error) => Err(ExecutionError::Log { path, source: error.into() }),
        }
    }

    /// Removes what opening it made: its execution was refused.
    fn take_back(&self) {
        remove_made(&self.made);
    }

    /// A log that fails harms nothing else; the first reason is kept.
    fn note(&self, result: io::Result<()>, first: &mut Option<String>) {
        if let Err(error) = result {
            first.get_or_insert_with(|| format!("log {}: {error}", self.path.display()));
        }
    }
}

/// Removes a file and directories that nobody has put anything into meanwhile.
fn remove_made(made: &[PathBuf]) {
    for path in made {
        let removed = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
        if let Err(error) = removed {
            tracing::debug!(%error, path = %path.display(), "made for an unused log, and stays");
            return;
        }
    }
}

/// The file, and what was made for it, innermost first.
fn open_append(path: &Path, naming: LogOwner) -> io::Result<(File, Vec<PathBuf>)> {
    // Opening a FIFO that nobody reads would wait for a reader; like this it is an error.
    let mut flags = OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.append(true);
    if let LogOwner::Ours = naming {
        // Output may hold secrets, and a link laid in wait must not lead it elsewhere.
        options.mode(0o600);
        flags |= OFlags::NOFOLLOW;
    }
    options.custom_flags(flags.bits().cast_signed());
    let opened = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
            let missing = path.ancestors().skip(1).take_while(is_missing).map(Path::to_path_buf);
            let mut made: Vec<_> = missing.collect();
            let opened = path
                .parent()
                .map_or(Ok(()), |dir| make_dirs(dir, naming))
                .and_then(|()| options.create(true).open(path));
            let file = opened.inspect_err(|_| remove_made(&made))?;
            made.insert(0, path.to_path_buf());
            (file, made)
        }
        opened => (opened?, Vec::new()),
    };
    // Writing may wait: it happens where blocking is allowed.
    rustix::fs::fcntl_setfl(&opened.0, OFlags::APPEND)?;
    Ok(opened)
}

/// A directory that is made for logs of ours is for this user alone.
fn make_dirs(dir: &Path, naming: LogOwner) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    if let LogOwner::Ours = naming {
        builder.mode(0o700);
    }
    builder.recursive(true).create(dir)
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
