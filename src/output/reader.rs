//! Reads the pipes of one execution, and hands every byte on exactly once: to the journal, the sink,
//! the logs and the overflow files.

mod stream;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use execution_engine_process::{PipeReader, ReadNow};
use tokio::task::coop;

use super::ExecutionLogs;
use super::journal::{Appended, Journal, is_worth_holding};
use super::lines::PartialFlush;
use super::overflow::OverflowDir;
use super::sink::{ExecutionSink, SinkWriter};
use crate::config::OversizedOutputStrategy;
use crate::runtime::BlockingPool;
use crate::time;
use crate::types::{Ending, OutputStream};
use stream::StreamReader;

/// Chunks of stdout that are read in a row before stderr has its turn.
const STDOUT_IN_A_ROW: u8 = 2;

thread_local! {
    // One buffer serves all executions of a worker thread: what is read is handed on before
    // anything is awaited, and an execution without output holds no buffer.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Where the output of an execution goes.
#[derive(Clone)]
pub(crate) struct OutputSettings {
    pub(crate) journal: Arc<Journal>,
    /// Bytes kept per stream.
    pub(crate) limit: usize,
    pub(crate) oversized: OversizedOutputStrategy,
    pub(crate) overflow_dir: Arc<OverflowDir>,
    /// Threads that write overflow files.
    pub(crate) file_threads: Arc<BlockingPool>,
    /// Silence after which an unfinished line is published; None waits for its end.
    pub(crate) partial_after: Option<Duration>,
}

/// Result of one step.
#[derive(Debug, Default)]
pub(crate) struct ReadStep {
    /// Something was read.
    pub(crate) has_output: bool,
    /// The journal has new lines.
    pub(crate) has_lines: bool,
    /// The ending of an execution that is to be stopped for its output.
    pub(crate) stop: Option<Ending>,
}

/// Reader of both streams of one execution.
pub(crate) struct OutputReader {
    streams: [StreamReader; 2],
    logs: ExecutionLogs,
    /// None without a sink.
    sink: Option<Box<SinkWriter>>,
    settings: OutputSettings,
    /// Chunks of stdout that were read in a row.
    stdout_in_a_row: u8,
}

impl OutputReader {
    /// Creates a reader of these pipes, which are registered with the reactor.
    pub(crate) fn new(
        pipes: [Option<PipeReader>; 2],
        logs: ExecutionLogs,
        settings: OutputSettings,
    ) -> Self {
        let reader = |stream: OutputStream, pipe: Option<PipeReader>| StreamReader {
            stream,
            pipe,
            overflow: None,
            waiting: None,
            loss: None,
            silent_since: None,
        };
        let [stdout, stderr] = pipes;
        let streams = [reader(OutputStream::Stdout, stdout), reader(OutputStream::Stderr, stderr)];
        Self { streams, logs, sink: None, settings, stdout_in_a_row: 0 }
    }

    /// Lets the sink of the execution have the output of this attempt, and first that it has started.
    pub(crate) fn with_sink(mut self, sink: Arc<ExecutionSink>, attempt: u32, pid: u32) -> Self {
        self.tell_sink(sink, attempt, pid);
        self
    }

    /// Like [`with_sink`](Self::with_sink), for an attempt that was started after the reader was made.
    pub(crate) fn tell_sink(&mut self, sink: Arc<ExecutionSink>, attempt: u32, pid: u32) {
        self.sink = Some(Box::new(SinkWriter::new(sink, attempt, pid)));
    }

    /// Returns `true` if there may be more to read, or the sink is being called.
    pub(crate) fn is_open(&self) -> bool {
        self.has_pipe() || self.has_sink_calls()
    }

    fn has_pipe(&self) -> bool {
        self.streams.iter().any(|reader| reader.pipe.is_some())
    }

    /// Returns `true` if the sink does not have all yet that was read.
    pub(crate) fn has_sink_calls(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.has_calls())
    }

    /// Waits until the sink has all that was read.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice.
    pub(crate) async fn write_to_sink(&mut self) {
        poll_fn(|cx| self.poll_sink(cx)).await;
    }

    /// Offers the sink nothing more, and drops the call that has not returned.
    pub(crate) fn give_up_sink(&mut self) {
        if let Some(sink) = &mut self.sink {
            sink.give_up();
        }
    }

    fn poll_sink(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sink.as_mut().map_or(Poll::Ready(()), |sink| sink.poll_written(cx))
    }

    /// Waits until the sink and the files have what was read, then reads one chunk, or publishes an
    /// unfinished line after a silence.
    ///
    /// # Cancel safety
    /// No output is lost: what was read is handed on before this awaits anything.
    pub(crate) async fn step(&mut self) -> ReadStep {
        // Boxed, because each live execution holds the memory of a step, and most have no files.
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
        poll_fn(|cx| {
            ready!(self.poll_sink(cx));
            match self.has_pipe() {
                true => with_buffer(|buffer| self.poll_chunk(cx, buffer)),
                // Only the sink was waited for.
                false => Poll::Ready(ReadStep::default()),
            }
        })
        .await
    }

    async fn chunk_or_silence(&mut self, ends: Instant) -> ReadStep {
        tokio::select! {
            biased;
            step = self.chunk() => step,
            () = time::sleep_until(Some(ends)) => self.flush_silent(),
        }
    }

    /// Reads a chunk without waiting; None when both pipes are empty or closed. It asks the kernel
    /// itself, because readiness that the reactor has not reported yet counts, too.
    pub(crate) fn step_now(&mut self) -> Option<ReadStep> {
        with_buffer(|buffer| {
            for index in self.order() {
                let Some(pipe) = &mut self.streams[index].pipe else { continue };
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

    /// Takes output that was read elsewhere, at most 64 KiB.
    pub(crate) fn feed(&mut self, stream: OutputStream, bytes: Bytes) -> ReadStep {
        let mut buffer = Vec::from(bytes);
        // Nothing would be taken for the end of the stream.
        if buffer.is_empty() {
            return ReadStep::default();
        }
        self.accept(stream.index(), Ok(buffer.len()), &mut buffer)
    }

    /// Notes output that was lost between the place where it was read and here.
    pub(crate) fn miss(&mut self, stream: OutputStream, bytes: u64) {
        let lost = || io::Error::other(format!("{bytes} bytes were lost on their way here"));
        self.settings.journal.miss(stream, bytes);
        self.logs.note(&format!("{stream}: {}", lost()));
        if let Some(sink) = &mut self.sink {
            sink.miss(stream, bytes, &lost());
        }
        self.streams[stream.index()].loss.get_or_insert_with(lost);
    }

    /// Waits until a line has been unfinished for too long, and publishes it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn silence(&mut self) -> ReadStep {
        time::sleep_until(self.silence_ends()).await;
        self.flush_silent()
    }

    /// Writes what was read to the logs and overflow files.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice.
    pub(crate) async fn write_pending(&mut self) -> Option<Ending> {
        self.logs.write_pending().await;
        for reader in &mut self.streams {
            if let Err(error) = reader.open_waiting(&self.settings).await {
                return Some(reader.lost(error));
            }
            if let Some((writer, _)) = reader.overflow.as_deref_mut()
                && let Err(error) = writer.write_pending().await
            {
                return Some(reader.write_failed(error));
            }
        }
        None
    }

    /// Returns `true` if there are files to complete: logs, or an overflow file.
    pub(crate) fn has_files(&self) -> bool {
        let has_file =
            |reader: &StreamReader| reader.overflow.is_some() || reader.waiting.is_some();
        !self.logs.is_empty() || self.streams.iter().any(has_file)
    }

    /// Waits until the overflow files have everything.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice.
    pub(crate) async fn complete_files(&mut self) -> Option<Ending> {
        let mut stop = None;
        for reader in &mut self.streams {
            if let Err(error) = reader.open_waiting(&self.settings).await {
                stop = Some(reader.lost(error));
            }
            if let Some((writer, _)) = reader.overflow.as_deref_mut()
                && let Err(error) = writer.finish().await
            {
                stop = Some(reader.write_failed(error));
            }
        }
        stop
    }

    /// Returns the first stream that lost output, and why.
    pub(crate) fn loss(&self) -> Option<String> {
        let loss =
            |reader: &StreamReader| Some(format!("{}: {}", reader.stream, reader.loss.as_ref()?));
        self.streams.iter().find_map(loss)
    }

    /// Closes the pipes and publishes unfinished lines. Returns the logs, which still need a
    /// footer.
    pub(crate) fn close(mut self) -> ExecutionLogs {
        for reader in &self.streams {
            self.settings.journal.flush_partial(reader.stream, PartialFlush::Everything);
            self.logs.end_of(reader.stream);
        }
        self.logs
    }

    /// Returns the order in which the pipes are asked. Stdout comes first: where both have output, most
    /// programs have written it before they complained. After some chunks of it in a row it is the turn
    /// of stderr, so that a busy stdout does not starve it.
    fn order(&mut self) -> [usize; 2] {
        if self.stdout_in_a_row < STDOUT_IN_A_ROW {
            return [0, 1];
        }
        self.stdout_in_a_row = 0;
        [1, 0]
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<ReadStep> {
        // A program that writes without end must not keep its thread to itself.
        let turn = ready!(coop::poll_proceed(cx));
        for index in self.order() {
            let Some(pipe) = &mut self.streams[index].pipe else { continue };
            if let Poll::Ready(read) = pipe.poll_read(cx, buffer) {
                turn.made_progress();
                return Poll::Ready(self.accept(index, read, buffer));
            }
        }
        self.stdout_in_a_row = 0;
        Poll::Pending
    }

    /// Hands on the result of a read; 0 bytes are the end. All output passes here, once.
    fn accept(&mut self, index: usize, read: io::Result<usize>, buffer: &mut Vec<u8>) -> ReadStep {
        // Output that was read elsewhere has no turns, so nothing else bounds the count.
        self.stdout_in_a_row = if index == 0 { self.stdout_in_a_row.saturating_add(1) } else { 0 };
        let reader = &mut self.streams[index];
        let journal = &self.settings.journal;
        match read {
            Err(error) => {
                reader.close();
                ReadStep { stop: Some(reader.lost(error)), ..ReadStep::default() }
            }
            Ok(0) => {
                reader.close();
                self.logs.end_of(reader.stream);
                ReadStep {
                    has_lines: journal.flush_partial(reader.stream, PartialFlush::Everything),
                    ..ReadStep::default()
                }
            }
            Ok(_) => {
                self.logs.chunk(reader.stream, buffer);
                let sink = self.sink.as_deref_mut();
                let Appended { has_lines, is_unfinished, excess } =
                    publish(reader.stream, buffer, journal, sink);
                if self.settings.partial_after.is_some() {
                    reader.silent_since = is_unfinished.then(Instant::now);
                }
                let stop = excess.and_then(|excess| reader.exceed(&excess, &self.settings));
                ReadStep { has_output: true, has_lines, stop }
            }
        }
    }

    /// Returns when the next unfinished line is to be published.
    fn silence_ends(&self) -> Option<Instant> {
        let after = self.settings.partial_after?;
        let ends = self.streams.iter().filter_map(|reader| reader.silent_since);
        ends.min()?.checked_add(after)
    }

    /// Publishes the lines that have been unfinished for long enough.
    fn flush_silent(&mut self) -> ReadStep {
        let mut step = ReadStep::default();
        let Some(after) = self.settings.partial_after else { return step };
        for reader in &mut self.streams {
            if reader.silent_since.is_some_and(|since| since.elapsed() >= after) {
                reader.silent_since = None;
                step.has_lines |= self
                    .settings
                    .journal
                    .flush_partial(reader.stream, PartialFlush::WholeCharacters);
            }
        }
        step
    }
}

/// Hands a chunk to the sink and to the journal.
fn publish(
    stream: OutputStream,
    buffer: &mut Vec<u8>,
    journal: &Journal,
    sink: Option<&mut SinkWriter>,
) -> Appended {
    let Some(sink) = sink else { return journal.append(stream, buffer) };
    if !is_worth_holding(buffer) {
        sink.push(stream, Bytes::copy_from_slice(buffer));
        return journal.append(stream, buffer);
    }
    let chunk = Bytes::from(std::mem::take(buffer));
    sink.push(stream, chunk.clone());
    journal.append_shared(stream, &chunk, buffer)
}

/// Reads into the buffer of this thread, emptied.
fn with_buffer<T>(read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        read(buffer)
    })
}

#[cfg(test)]
mod tests;
