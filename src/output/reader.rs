//! The pump: reads the pipes of one execution, and hands every byte on exactly once: to the journal,
//! the logs and the overflow files.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use execution_engine_process::{PipeReader, ReadNow};
use tokio::task::coop;

use super::file_writer::FileWriter;
use super::journal::{Appended, Journal};
use super::lines::PartialFlush;
use super::log::ExecutionLogs;
use super::overflow::{OverflowDir, OverflowFile};
use crate::time;
use crate::types::OutputStream;

thread_local! {
    /// One buffer serves all executions of a driver thread.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What happens to output that is more than is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExcessPolicy {
    /// It is dropped.
    Drop,
    /// It ends the execution.
    Stop,
    /// It is written to a file.
    Spill,
}

/// What the pump does with the output.
#[derive(Clone)]
pub(crate) struct OutputSettings {
    pub(crate) journal: Arc<Journal>,
    /// Bytes kept per stream.
    pub(crate) limit: usize,
    pub(crate) excess: ExcessPolicy,
    pub(crate) overflow_dir: Arc<OverflowDir>,
    /// After how long a silence an unfinished line is told; None waits for its end.
    pub(crate) partial_after: Option<Duration>,
}

/// Why the pump wants the execution stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputFailure {
    Limit { stream: OutputStream, limit: usize },
    Lost { stream: OutputStream, reason: String },
}

/// What one step brought: perhaps lines to tell of, and perhaps a reason to stop.
#[derive(Debug, Default)]
pub(crate) struct ReadStep {
    pub(crate) has_lines: bool,
    pub(crate) stop: Option<OutputFailure>,
}

/// The output of one execution.
pub(crate) struct OutputReader {
    channels: [StreamReader; 2],
    logs: ExecutionLogs,
    plan: OutputSettings,
    /// Which stream is asked first next time, so that a busy one does not starve the other.
    first: usize,
}

/// One stream: its pipe while it is open, and where the rest of it goes.
struct StreamReader {
    stream: OutputStream,
    pipe: Option<PipeReader>,
    overflow: Option<Box<(FileWriter, Arc<OverflowFile>)>>,
    /// Why something was lost. What follows is not written to the file either then, so that it has no
    /// hole.
    loss: Option<io::Error>,
    /// Since when a line has been unfinished and nothing has come.
    silent_since: Option<Instant>,
}

impl OutputReader {
    /// Creates a reader of these pipes, which are registered with the reactor.
    pub(crate) fn new(
        pipes: [Option<PipeReader>; 2],
        logs: ExecutionLogs,
        plan: OutputSettings,
    ) -> Self {
        let channel = |stream: OutputStream, pipe: Option<PipeReader>| StreamReader {
            stream,
            pipe,
            overflow: None,
            loss: None,
            silent_since: None,
        };
        let [stdout, stderr] = pipes;
        let channels =
            [channel(OutputStream::Stdout, stdout), channel(OutputStream::Stderr, stderr)];
        Self { channels, logs, plan, first: 0 }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.channels.iter().any(|channel| channel.pipe.is_some())
    }

    /// Waits until the files have what was read, then reads one chunk, or tells an unfinished line
    /// after a silence. Cancel safe: a chunk that has been read is accounted for before anything
    /// else can happen.
    pub(crate) async fn step(&mut self) -> ReadStep {
        // What most executions do not need is on the heap: each holds the memory of a step.
        if self.has_files()
            && let Some(stop) = Box::pin(self.write_pending()).await
        {
            return ReadStep { stop: Some(stop), ..ReadStep::default() };
        }
        match self.silence_ends() {
            None => self.chunk().await,
            Some(ends) => Box::pin(self.chunk_or_silence(ends)).await,
        }
    }

    async fn chunk(&mut self) -> ReadStep {
        poll_fn(|cx| with_buffer(|buffer| self.poll_chunk(cx, buffer))).await
    }

    async fn chunk_or_silence(&mut self, ends: Instant) -> ReadStep {
        tokio::select! {
            biased;
            step = self.chunk() => step,
            () = time::sleep_until(Some(ends)) => self.tell_unfinished(),
        }
    }

    /// Reads what is there without waiting for more; None when both pipes are empty or closed.
    /// It asks the kernel itself, because readiness that the reactor has not reported yet counts, too.
    pub(crate) fn step_now(&mut self) -> Option<ReadStep> {
        with_buffer(|buffer| {
            for index in self.order() {
                let Some(pipe) = &mut self.channels[index].pipe else { continue };
                let read = match pipe.read_now(buffer) {
                    Ok(ReadNow::Empty) => continue,
                    Ok(ReadNow::End) => Ok(0),
                    Ok(ReadNow::Data(found)) => Ok(found),
                    Err(error) => Err(error),
                };
                return Some(self.accept(index, read, buffer));
            }
            None
        })
    }

    /// Hands what was read to logs and overflow files. Cancel safe.
    pub(crate) async fn write_pending(&mut self) -> Option<OutputFailure> {
        self.logs.write_pending().await;
        for channel in &mut self.channels {
            if let Some((sink, _)) = channel.overflow.as_deref_mut()
                && let Err(error) = sink.write_pending().await
            {
                return Some(channel.broke_off(error));
            }
        }
        None
    }

    /// Whether there are files to complete: logs, or an overflow file.
    pub(crate) fn has_files(&self) -> bool {
        !self.logs.is_empty() || self.channels.iter().any(|channel| channel.overflow.is_some())
    }

    /// Waits until the overflow files have everything. Cancel safe.
    pub(crate) async fn complete_files(&mut self) -> Option<OutputFailure> {
        let mut stop = None;
        for channel in &mut self.channels {
            if let Some((sink, _)) = channel.overflow.as_deref_mut()
                && let Err(error) = sink.finish().await
            {
                stop = Some(channel.broke_off(error));
            }
        }
        stop
    }

    /// The first thing that was lost, and why.
    pub(crate) fn loss(&self) -> Option<String> {
        let loss = |channel: &StreamReader| {
            Some(format!("{}: {}", channel.stream, channel.loss.as_ref()?))
        };
        self.channels.iter().find_map(loss)
    }

    /// Closes the pipes, and tells what was unfinished. The logs come back for their last words.
    pub(crate) fn close(mut self) -> ExecutionLogs {
        for channel in &self.channels {
            self.plan.journal.flush_partial(channel.stream, PartialFlush::Everything);
            self.logs.end_of(channel.stream);
        }
        self.logs
    }

    fn order(&mut self) -> [usize; 2] {
        self.first = 1 - self.first;
        [1 - self.first, self.first]
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<ReadStep> {
        // A program that writes without end must not keep its thread to itself.
        let turn = ready!(coop::poll_proceed(cx));
        for index in self.order() {
            if let Poll::Ready(read) = self.channels[index].poll_read(cx, buffer) {
                turn.made_progress();
                return Poll::Ready(self.accept(index, read, buffer));
            }
        }
        Poll::Pending
    }

    /// The one place where bytes are accounted.
    fn accept(&mut self, index: usize, read: io::Result<usize>, buffer: &mut Vec<u8>) -> ReadStep {
        let channel = &mut self.channels[index];
        let journal = &self.plan.journal;
        match read {
            Err(error) => {
                channel.close();
                ReadStep { stop: Some(channel.lost(error)), ..ReadStep::default() }
            }
            Ok(0) => {
                channel.close();
                self.logs.end_of(channel.stream);
                ReadStep {
                    has_lines: journal.flush_partial(channel.stream, PartialFlush::Everything),
                    stop: None,
                }
            }
            Ok(_) => {
                self.logs.chunk(channel.stream, buffer);
                let Appended { has_lines, is_unfinished, excess } =
                    journal.append(channel.stream, buffer);
                if self.plan.partial_after.is_some() {
                    channel.silent_since = is_unfinished.then(Instant::now);
                }
                let stop = excess.and_then(|excess| channel.exceed(&excess, &self.plan));
                ReadStep { has_lines, stop }
            }
        }
    }

    fn silence_ends(&self) -> Option<Instant> {
        let after = self.plan.partial_after?;
        let ends = self.channels.iter().filter_map(|channel| channel.silent_since);
        ends.min()?.checked_add(after)
    }

    fn tell_unfinished(&mut self) -> ReadStep {
        let mut step = ReadStep::default();
        let Some(after) = self.plan.partial_after else { return step };
        for channel in &mut self.channels {
            if channel.silent_since.is_some_and(|since| since.elapsed() >= after) {
                channel.silent_since = None;
                step.has_lines |=
                    self.plan.journal.flush_partial(channel.stream, PartialFlush::WholeCharacters);
            }
        }
        step
    }
}

impl StreamReader {
    /// Reads what is there into `buffer`, which is empty; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        match &mut self.pipe {
            Some(pipe) => pipe.poll_read(cx, buffer),
            None => Poll::Pending,
        }
    }

    fn close(&mut self) {
        self.pipe = None;
        self.silent_since = None;
    }

    fn exceed(&mut self, excess: &[Bytes; 2], plan: &OutputSettings) -> Option<OutputFailure> {
        match plan.excess {
            ExcessPolicy::Drop => None,
            ExcessPolicy::Stop => {
                Some(OutputFailure::Limit { stream: self.stream, limit: plan.limit })
            }
            ExcessPolicy::Spill if self.loss.is_some() => None,
            ExcessPolicy::Spill => self.spill(excess, plan).err().map(|error| self.lost(error)),
        }
    }

    fn spill(&mut self, parts: &[Bytes; 2], plan: &OutputSettings) -> io::Result<()> {
        let (sink, file) = match &mut self.overflow {
            Some(overflow) => &mut **overflow,
            none => {
                let (file, path) = plan.overflow_dir.create()?;
                let path = Arc::new(path);
                plan.journal.overflows_into(self.stream, Arc::clone(&path));
                none.insert(Box::new((FileWriter::new(file), path)))
            }
        };
        for part in parts {
            file.reserve(part.len() as u64)?;
            sink.push(part);
        }
        Ok(())
    }

    /// The file has what it has.
    fn broke_off(&mut self, error: io::Error) -> OutputFailure {
        if let Some((_, file)) = self.overflow.as_deref() {
            file.write_failed();
        }
        self.lost(error)
    }

    fn lost(&mut self, error: io::Error) -> OutputFailure {
        let reason = error.to_string();
        self.loss.get_or_insert(error);
        OutputFailure::Lost { stream: self.stream, reason }
    }
}

/// Reads into the shared buffer of this thread, which is empty.
fn with_buffer<T>(read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        read(buffer)
    })
}
