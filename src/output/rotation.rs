//! A readable log in several files: `ID.log`, and what came before in `ID.log.1`, `ID.log.2` and so on.
//! Writing rotates them, and reading puts them together again.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use execution_engine_process::files::{self, LogAccess};
use memchr::memrchr;
use parking_lot::Mutex;
use uuid::Uuid;

use super::file_writer::Sink;
use super::log::WrittenLog;
use crate::config::LogRotation;
use crate::types::LogTail;

/// Second line of each file but the first, before its number.
const PART: &str = "# part      ";
/// Bytes that are read at once while the beginning of the last lines is looked for.
const BLOCK: u64 = 64 * 1024;

/// The file that is written, which makes room for another one before it grows too large.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    id: Uuid,
    rotation: LogRotation,
    current: Mutex<Part>,
}

#[derive(Debug)]
struct Part {
    file: File,
    /// The first is 1.
    number: u64,
    length: u64,
    /// How much of it is heading.
    heading: u64,
}

impl RotatingFile {
    /// Takes over a log that is open for appending.
    pub(super) fn new(
        file: File,
        path: PathBuf,
        id: Uuid,
        rotation: LogRotation,
    ) -> io::Result<Self> {
        let length = file.metadata()?.len();
        // Of an earlier execution with this id. It is open for writing alone.
        let number = match length {
            0 => None,
            _ => part_number(&files::read_log(&path, LogAccess::Private)?)?,
        };
        let number = number.unwrap_or(1);
        let current = Mutex::new(Part { file, number, length, heading: 0 });
        Ok(Self { path, id, rotation, current })
    }

    fn rotate(&self, part: &mut Part) -> io::Result<()> {
        let heading = format!("# execution {}\n{PART}{}\n", self.id, part.number + 1);
        let create = |number| {
            let file = files::create_log(&numbered(&self.path, number), LogAccess::Private)?;
            file.write_all(heading.as_bytes())?;
            Ok::<File, io::Error>(file)
        };
        part.file = match self.rotation.kept_files {
            0 => {
                // Made under the name of an older one, so that the log is there at each moment.
                remove_if_there(&numbered(&self.path, 1))?;
                let file = create(1)?;
                fs::rename(numbered(&self.path, 1), &self.path)?;
                file
            }
            kept => {
                self.make_room(kept)?;
                create(0)?
            }
        };
        part.number += 1;
        (part.heading, part.length) = (heading.len() as u64, heading.len() as u64);
        Ok(())
    }

    /// Gives each file the next number, up to `kept`.
    fn make_room(&self, kept: u32) -> io::Result<()> {
        let exists = |number: &u32| numbered(&self.path, *number).exists();
        let older = (1..kept).take_while(exists).count();
        let older = u32::try_from(older).unwrap_or(kept);
        for number in (0..=older).rev() {
            let (from, to) = (numbered(&self.path, number), numbered(&self.path, number + 1));
            match fs::rename(from, to) {
                // The host may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Sink for RotatingFile {
    /// Writes whole lines. A line that is longer than a file may be has a file of its own.
    fn write_all(&self, mut lines: &[u8]) -> io::Result<()> {
        let part = &mut *self.current.lock();
        while !lines.is_empty() {
            let mut fitting = fitting(lines, self.rotation.max_bytes.saturating_sub(part.length));
            if fitting == 0 && part.length > part.heading {
                self.rotate(part)?;
                continue;
            }
            if fitting == 0 {
                fitting = memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1);
            }
            part.file.write_all(&lines[..fitting])?;
            part.length += fitting as u64;
            lines = &lines[fitting..];
        }
        Ok(())
    }
}

/// Returns the length of the first whole lines that have no more than `left` bytes.
fn fitting(lines: &[u8], left: u64) -> usize {
    match usize::try_from(left) {
        Ok(left) if left < lines.len() => memrchr(b'\n', &lines[..left]).map_or(0, |end| end + 1),
        _ => lines.len(),
    }
}

/// Returns the path of a file of a log: 0 is the current one, 1 the newest of the older ones.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_path_buf();
    }
    let mut path = path.as_os_str().to_os_string();
    path.push(format!(".{number}"));
    path.into()
}

/// Removes the older files of a log.
pub(super) fn remove_rotated(path: &Path) {
    let removed = (1..).take_while(|number| fs::remove_file(numbered(path, *number)).is_ok());
    _ = removed.count();
}

/// Returns the number of a file among those of its log; None if it has just been made.
fn part_number(file: &File) -> io::Result<Option<u64>> {
    let mut beginning = Vec::new();
    file.take(200).read_to_end(&mut beginning)?;
    if beginning.is_empty() {
        return Ok(None);
    }
    let beginning = String::from_utf8_lossy(&beginning);
    let number = beginning.lines().nth(1).and_then(|line| line.strip_prefix(PART));
    Ok(Some(number.and_then(|number| number.parse().ok()).unwrap_or(1)))
}

/// Opens the files of a log, the newest first. They may be rotated meanwhile.
///
/// # Errors
/// Those of [`files::read_log`].
fn open_parts(log: &WrittenLog) -> io::Result<Vec<File>> {
    let WrittenLog { path, access, .. } = log;
    if !log.is_rotated {
        return Ok(vec![files::read_log(path, *access)?]);
    }
    let (mut parts, mut newer, mut is_there) = (Vec::new(), u64::MAX, false);
    for number in 0.. {
        let part = match files::read_log(&numbered(path, number), *access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // One number is missing while each file gets the next one.
                if numbered(path, number + 1).exists() {
                    continue;
                }
                if !is_there {
                    return Err(error);
                }
                break;
            }
            part => part?,
        };
        is_there = true;
        // What is not older was opened before, or came after that. One without a number had nothing
        // in it yet, and what it gets now may be newer than the others or not.
        if let Some(number) = part_number(&part)?.filter(|number| *number < newer) {
            newer = number;
            parts.push(part);
        }
    }
    Ok(parts)
}

/// Reads a log as far as it is written, or the last part of it.
///
/// # Errors
/// Those of [`files::read_log`].
pub(super) fn read(log: &WrittenLog, tail: Option<LogTail>) -> io::Result<Vec<u8>> {
    let mut left = tail;
    let mut read = Vec::new();
    for part in open_parts(log)? {
        // What is written from now on is left out, so that it is no more than was asked for.
        let length = part.metadata()?.len();
        let begin = log.begin.min(length);
        let from = match &mut left {
            None => begin,
            Some(LogTail::Bytes(bytes)) => {
                let taken = (length - begin).min(*bytes);
                *bytes -= taken;
                length - taken
            }
            Some(LogTail::Lines(lines)) => start_of_last(&part, length, lines)?.max(begin),
        };
        let mut bytes = Vec::new();
        (&part).seek(SeekFrom::Start(from))?;
        (&part).take(length - from).read_to_end(&mut bytes)?;
        read.push(bytes);
        if matches!(left, Some(LogTail::Bytes(0) | LogTail::Lines(0))) {
            break;
        }
    }
    read.reverse();
    Ok(read.concat())
}

/// Returns where the last lines of a file of this length begin. Counts down how many are still
/// wanted.
fn start_of_last(mut file: &File, length: u64, wanted: &mut u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 && *wanted > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; usize::try_from(end - start).unwrap_or_default()];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        // The newline at the end of the file belongs to the line before it.
        let mut at = block.len() - usize::from(end == length && block.ends_with(b"\n"));
        while let Some(newline) = memrchr(b'\n', &block[..at]) {
            *wanted -= 1;
            if *wanted == 0 {
                return Ok(start + newline as u64 + 1);
            }
            at = newline;
        }
        end = start;
    }
    if length == 0 || *wanted == 0 {
        return Ok(end);
    }
    // The first line has no newline before it.
    *wanted -= 1;
    Ok(0)
}

#[cfg(test)]
mod tests;
