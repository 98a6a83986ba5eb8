//! One stream of an execution: its pipe, and where it goes beyond its limit.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use execution_engine_process::PipeReader;

use super::OutputSettings;
use crate::config::OversizedOutputStrategy;
use crate::output::file_writer::FileWriter;
use crate::output::overflow::{OverflowFile, WaitingOverflow, lacks_descriptor, not_created};
use crate::types::{Ending, OutputStream};

/// One stream: its pipe while it is open, and its overflow file.
pub(super) struct StreamReader {
    pub(super) stream: OutputStream,
    pub(super) pipe: Option<PipeReader>,
    pub(super) overflow: Option<Box<(FileWriter, Arc<OverflowFile>)>>,
    /// What the overflow file is to begin with, until there is a descriptor for it.
    pub(super) waiting: Option<Box<WaitingOverflow>>,
    /// The first error that lost output. Nothing is written to the file after it, so that the file
    /// has no hole.
    pub(super) loss: Option<io::Error>,
    /// When the last output came, if it left a line unfinished.
    pub(super) silent_since: Option<Instant>,
}

impl StreamReader {
    pub(super) fn close(&mut self) {
        self.pipe = None;
        self.silent_since = None;
    }

    pub(super) fn exceed(
        &mut self,
        excess: &[Bytes; 2],
        settings: &OutputSettings,
    ) -> Option<Ending> {
        match settings.oversized {
            OversizedOutputStrategy::TruncateWithWarning
            | OversizedOutputStrategy::KeepHeadAndTail => None,
            OversizedOutputStrategy::FailExecution => {
                Some(Ending::OutputLimit { stream: self.stream, limit: settings.limit })
            }
            OversizedOutputStrategy::StreamToFile if self.loss.is_some() => None,
            OversizedOutputStrategy::StreamToFile => {
                self.spill(excess, settings).err().map(|error| self.lost(error))
            }
        }
    }

    fn spill(&mut self, parts: &[Bytes], settings: &OutputSettings) -> io::Result<()> {
        if self.overflow.is_none() && self.waiting.is_none() {
            match open_overflow(self.stream, settings) {
                Ok(opened) => self.overflow = Some(Box::new(opened)),
                Err(error) if lacks_descriptor(&error) => {
                    self.waiting = Some(Box::new(WaitingOverflow::new()));
                }
                Err(error) => return Err(not_created(&error)),
            }
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.push(parts);
        } else if let Some((writer, file)) = self.overflow.as_deref_mut() {
            for part in parts {
                file.reserve(part.len() as u64)?;
                writer.push(part);
            }
        }
        Ok(())
    }

    /// Opens the overflow file if output waits for that.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn open_waiting(&mut self, settings: &OutputSettings) -> io::Result<()> {
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        let opened = waiting.open(|| open_overflow(self.stream, settings)).await;
        let parts = self.waiting.take().map(|waiting| waiting.into_parts());
        self.overflow = Some(Box::new(opened.map_err(|error| not_created(&error))?));
        self.spill(&parts.unwrap_or_default(), settings)
    }

    /// Notes that writing to the overflow file has failed.
    pub(super) fn write_failed(&mut self, error: io::Error) -> Ending {
        if let Some((_, file)) = self.overflow.as_deref() {
            file.write_failed();
        }
        self.lost(error)
    }

    pub(super) fn lost(&mut self, error: io::Error) -> Ending {
        let reason = error.to_string();
        self.loss.get_or_insert(error);
        Ending::OutputLost { stream: self.stream, reason }
    }
}

fn open_overflow(
    stream: OutputStream,
    settings: &OutputSettings,
) -> io::Result<(FileWriter, Arc<OverflowFile>)> {
    let (writer, file) = settings.overflow_dir.create(&settings.file_threads)?;
    let file = Arc::new(file);
    settings.journal.overflows_into(stream, Arc::clone(&file));
    Ok((writer, file))
}
