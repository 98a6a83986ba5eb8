//! The pump: reads both pipes, accounts every byte in one place, and feeds what is kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::unix::pipe;

use super::capture::{Capture, Captured, Excess};
use super::file_sink::FileSink;
use super::lines::{LineBatch, LineSplitter};
use super::log::Logs;
use super::overflow::{OverflowDir, OverflowFile};
use crate::config::OversizedOutputStrategy;
use crate::model::Stream;

/// How much is read at once. One such buffer serves all executions of a driver thread.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into_boxed_slice());
}

/// What the pump does with the output.
pub(crate) struct PumpPlan {
    /// Bytes kept per stream.
    pub(crate) limit: usize,
    pub(crate) strategy: OversizedOutputStrategy,
    pub(crate) overflow_dir: Arc<OverflowDir>,
    /// Whether anybody wants to hear of lines.
    pub(crate) publish_lines: bool,
}

/// Why the pump wants the execution stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputStop {
    Limit { stream: Stream, limit: usize },
    Lost { stream: Stream, reason: String },
}

/// What one step brought: lines to publish, and perhaps a reason to stop.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) lines: Option<LineBatch>,
    pub(crate) stop: Option<OutputStop>,
}

/// Both output streams of one execution.
pub(crate) struct Pump {
    channels: [Channel; 2],
    logs: Logs,
    plan: PumpPlan,
    /// Which stream is asked first next time, so that a busy one does not starve the other.
    first: usize,
}

/// One stream: its pipe while it is open, and what is kept of it.
struct Channel {
    stream: Stream,
    pipe: Option<pipe::Receiver>,
    capture: Capture,
    splitter: Option<LineSplitter>,
    overflow: Option<(FileSink, Arc<OverflowFile>)>,
}

impl Pump {
    /// Must be called on the driver, whose reactor watches the pipes from now on.
    pub(crate) fn new(pipes: [Option<OwnedFd>; 2], logs: Logs, plan: PumpPlan) -> io::Result<Self> {
        let wants_lines = plan.publish_lines || logs.wants_lines();
        let channel = |stream, pipe: Option<OwnedFd>| {
            Ok::<_, io::Error>(Channel {
                stream,
                pipe: pipe.map(pipe::Receiver::from_owned_fd_unchecked).transpose()?,
                capture: Capture::new(plan.limit),
                splitter: wants_lines.then(|| LineSplitter::new(stream)),
                overflow: None,
            })
        };
        let [stdout, stderr] = pipes;
        let channels = [channel(Stream::Stdout, stdout)?, channel(Stream::Stderr, stderr)?];
        Ok(Self { channels, logs, plan, first: 0 })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.channels.iter().any(|channel| channel.pipe.is_some())
    }

    /// Waits until the files have what was read, then reads one chunk. Cancel safe: a chunk that
    /// has been read is accounted for before anything else can happen.
    pub(crate) async fn step(&mut self) -> Step {
        if let Some(stop) = self.write_pending().await {
            return Step { lines: None, stop: Some(stop) };
        }
        poll_fn(|cx| BUFFER.with_borrow_mut(|buffer| self.poll_chunk(cx, buffer))).await
    }

    /// Reads what is there without waiting for more; None when both pipes are empty or closed.
    /// It asks the kernel itself, because readiness that the reactor has not yet seen counts, too.
    pub(crate) fn step_now(&mut self) -> Option<Step> {
        BUFFER.with_borrow_mut(|buffer| {
            for index in self.order() {
                let Some(pipe) = &self.channels[index].pipe else { continue };
                match rustix::io::read(pipe, &mut **buffer) {
                    Err(error) if error == rustix::io::Errno::AGAIN => {}
                    Err(error) if error == rustix::io::Errno::INTR => return Some(Step::default()),
                    read => {
                        let read = read.map(|count| &buffer[..count]).map_err(io::Error::from);
                        return Some(self.accept(index, read));
                    }
                }
            }
            None
        })
    }

    /// Hands what was read to logs and overflow files. Cancel safe.
    pub(crate) async fn write_pending(&mut self) -> Option<OutputStop> {
        self.logs.write_pending().await;
        for channel in &mut self.channels {
            if let Some((sink, _)) = &mut channel.overflow
                && let Err(error) = sink.write_pending().await
            {
                return Some(channel.lost(&error));
            }
        }
        None
    }

    /// Waits until the overflow files have everything. Cancel safe.
    pub(crate) async fn complete_files(&mut self) -> Option<OutputStop> {
        let mut stop = None;
        for channel in &mut self.channels {
            if let Some((sink, _)) = &mut channel.overflow
                && let Err(error) = sink.finish().await
            {
                stop = Some(channel.lost(&error));
            }
        }
        stop
    }

    /// Closes the pipes. The unfinished last lines come back.
    pub(crate) fn close(&mut self) -> Vec<LineBatch> {
        let mut last = Vec::new();
        for channel in &mut self.channels {
            channel.pipe = None;
            last.extend(channel.splitter.as_mut().and_then(LineSplitter::finish));
        }
        last.iter().for_each(|lines| self.logs.lines(lines));
        if !self.plan.publish_lines {
            last.clear();
        }
        last
    }

    /// What is kept, and the logs for their last words.
    pub(crate) fn into_parts(self) -> ([Captured; 2], Logs) {
        let kept = self
            .channels
            .map(|channel| channel.capture.finish(channel.overflow.map(|(_, file)| file)));
        (kept, self.logs)
    }

    fn order(&mut self) -> [usize; 2] {
        self.first = 1 - self.first;
        [1 - self.first, self.first]
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Step> {
        for index in self.order() {
            let Some(pipe) = &mut self.channels[index].pipe else { continue };
            let mut space = ReadBuf::new(buffer);
            if let Poll::Ready(read) = Pin::new(pipe).poll_read(cx, &mut space) {
                let read = read.map(|()| space.filled());
                return Poll::Ready(self.accept(index, read));
            }
        }
        Poll::Pending
    }

    /// The one place where bytes are accounted.
    fn accept(&mut self, index: usize, read: io::Result<&[u8]>) -> Step {
        let channel = &mut self.channels[index];
        let chunk = match read {
            Ok(chunk) => chunk,
            Err(error) => {
                channel.pipe = None;
                return Step { lines: None, stop: Some(channel.lost(&error)) };
            }
        };
        if chunk.is_empty() {
            channel.pipe = None;
        }
        self.logs.chunk(chunk);
        let lines = channel.splitter.as_mut().and_then(|splitter| {
            if chunk.is_empty() { splitter.finish() } else { splitter.split(chunk) }
        });
        if let Some(lines) = &lines {
            self.logs.lines(lines);
        }
        let stop = channel.keep(chunk, &self.plan);
        Step { lines: lines.filter(|_| self.plan.publish_lines), stop }
    }
}

impl Channel {
    fn keep(&mut self, chunk: &[u8], plan: &PumpPlan) -> Option<OutputStop> {
        let Excess { taken_back, rest } = self.capture.take(chunk)?;
        match plan.strategy {
            OversizedOutputStrategy::TruncateWithWarning => None,
            OversizedOutputStrategy::FailExecution => {
                Some(OutputStop::Limit { stream: self.stream, limit: plan.limit })
            }
            OversizedOutputStrategy::StreamToFile => {
                self.spill(&[&taken_back, rest], &plan.overflow_dir).err()
            }
        }
    }

    fn spill(&mut self, parts: &[&[u8]], dir: &OverflowDir) -> Result<(), OutputStop> {
        let (sink, _) = match &mut self.overflow {
            Some(overflow) => overflow,
            none => {
                let (file, path) = match dir.create() {
                    Ok(created) => created,
                    Err(error) => return Err(lost(self.stream, &error)),
                };
                none.insert((FileSink::new(file), Arc::new(path)))
            }
        };
        parts.iter().for_each(|part| sink.push(part));
        Ok(())
    }

    fn lost(&self, error: &io::Error) -> OutputStop {
        lost(self.stream, error)
    }
}

fn lost(stream: Stream, error: &io::Error) -> OutputStop {
    OutputStop::Lost { stream, reason: error.to_string() }
}
