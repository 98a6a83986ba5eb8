//! The sink of the host: it gets all output as it was read, before anything more is read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::types::{Ending, OutputStream};
use crate::waker::discard;

/// Receiver of all output of an engine, byte for byte, for hosts that keep it themselves: in a file,
/// in a database, behind a connection. Implement it with the `async-trait` crate, and set it with
/// [`EngineBuilder::output_sink`](crate::EngineBuilder::output_sink).
///
/// It gets each byte once and in order, whatever the engine itself keeps
/// ([`max_output_size_bytes`](crate::ExecutionConfig::max_output_size_bytes) may be 0 with a sink).
/// The calls of one execution come one after the other: for each attempt
/// [`started`](Self::started), its chunks, and [`retrying`](Self::retrying) if another attempt
/// follows. Several executions call it at the same time. All calls are over before the execution has
/// ended for anybody: who has its result finds all of its output in the sink.
///
/// Nothing more of an execution is read until a call has returned. So a slow sink slows the program
/// down, which waits at a full pipe, and nothing is lost. Its timeout runs meanwhile. A sink that does
/// not return keeps no execution from ending: once it is stopped (by a cancel, a timeout, a shutdown),
/// or its program has exited and its timeout has passed, the call is dropped after the
/// [drain limit](crate::EngineBuilder::drain_limit), and the rest of the output is not offered.
///
/// If a call fails or panics, the program goes on and later chunks are offered all the same: a full
/// disk may have room again. What could not be written is counted, and
/// [`output_error`](crate::ExecutionResult::output_error) has the numbers and the first reason.
///
/// Calls are made on the threads that run executions, inside a tokio context. Writing to a local file
/// is fine there; what may block for long belongs on another thread, such as that of
/// `tokio::task::spawn_blocking`.
///
/// ```
/// use std::{io, sync::Mutex};
///
/// use async_trait::async_trait;
/// use execution_engine::*;
///
/// #[derive(Default)]
/// struct Collected(Mutex<Vec<u8>>);
///
/// #[async_trait]
/// impl OutputSink for Collected {
///     async fn write(&self, chunk: OutputChunk) -> io::Result<()> {
///         self.0.lock().unwrap().extend_from_slice(&chunk.bytes);
///         Ok(())
///     }
/// }
///
/// # #[tokio::main] async fn main() -> Result<()> {
/// let sink = Arc::new(Collected::default());
/// let engine = ExecutionEngine::builder()
///     .config(ExecutionConfig { max_output_size_bytes: 0, ..Default::default() })
///     .output_sink(sink.clone())
///     .build()?;
/// engine.run(ExecutionRequest::shell("echo hello")).await?;
/// assert_eq!(*sink.0.lock().unwrap(), b"hello\n");
/// # Ok(()) }
/// ```
#[async_trait]
pub trait OutputSink: Send + Sync + 'static {
    /// Takes output. The next call for this execution waits until this returns.
    ///
    /// # Errors
    /// Whatever kept the chunk from being written. It counts as not written as a whole, and is not
    /// offered again.
    async fn write(&self, chunk: OutputChunk) -> io::Result<()>;

    /// Notes that the program of an execution has been started, before its first chunk. Does nothing
    /// by default.
    ///
    /// `attempt` is 1 for the first one; `pid` is the process id. Not called if the program could not
    /// be started.
    async fn started(&self, execution_id: Uuid, attempt: u32, pid: u32) {
        let _unused = (execution_id, attempt, pid);
    }

    /// Notes that an attempt has failed and another one follows after a delay. All chunks of the
    /// attempt came before. Does nothing by default.
    async fn retrying(&self, execution_id: Uuid, attempt: u32, ending: &Ending, delay: Duration) {
        let _unused = (execution_id, attempt, ending, delay);
    }
}

/// Output for an [`OutputSink`]: some bytes of one stream, cut anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputChunk {
    /// The execution.
    pub execution_id: Uuid,
    /// The attempt, the first being 1.
    pub attempt: u32,
    /// The stream.
    pub stream: OutputStream,
    /// The bytes, at least one and at most what a pipe holds: 64 KiB, or 256 KiB for busy programs
    /// (1 MiB where a program has made its pipe that large).
    pub bytes: Bytes,
}

/// The sink of one execution, and what it has not taken.
pub(crate) struct ExecutionSink {
    sink: Arc<dyn OutputSink>,
    execution_id: Uuid,
    missed: Mutex<Missed>,
}

/// What was not written, of all attempts.
#[derive(Debug, Default)]
struct Missed {
    bytes: [u64; 2],
    /// The first cause.
    reason: Option<String>,
}

/// Makes the calls of one attempt, one after the other.
pub(super) struct SinkWriter {
    sink: Arc<ExecutionSink>,
    attempt: u32,
    /// Calls to be made.
    waiting: VecDeque<SinkCall>,
    current: Option<CurrentCall>,
    /// It has not returned in time. Nothing more is offered.
    is_given_up: bool,
}

#[derive(Debug)]
enum SinkCall {
    Started { pid: u32 },
    Write(OutputStream, Bytes),
}

struct CurrentCall {
    future: Pin<Box<dyn Future<Output = io::Result<()>> + Send>>,
    /// What is not written if it fails.
    output: Option<(OutputStream, u64)>,
}

impl ExecutionSink {
    pub(crate) fn new(sink: Arc<dyn OutputSink>, execution_id: Uuid) -> Self {
        Self { sink, execution_id, missed: Mutex::default() }
    }

    /// Tells the sink that another attempt follows.
    ///
    /// # Cancel safety
    /// Dropped, it does not go on.
    pub(crate) async fn retrying(self: Arc<Self>, attempt: u32, ending: Ending, delay: Duration) {
        let this = Arc::clone(&self);
        let mut call = CurrentCall {
            future: Box::pin(async move {
                this.sink.retrying(this.execution_id, attempt, &ending, delay).await;
                Ok(())
            }),
            output: None,
        };
        let done = poll_fn(|cx| call.poll(cx)).await;
        call.discard();
        if let Err(error) = done {
            self.note(None, &error);
        }
    }

    /// Returns what it has not taken, in words; None if it has all.
    pub(crate) fn error(&self) -> Option<String> {
        let missed = self.missed.lock();
        let reason = missed.reason.as_ref()?;
        let [stdout, stderr] = missed.bytes;
        Some(format!(
            "the output sink has not taken {stdout} bytes of stdout and {stderr} bytes of stderr: {reason}"
        ))
    }

    fn note(&self, output: Option<(OutputStream, u64)>, error: &io::Error) {
        let mut missed = self.missed.lock();
        if let Some((stream, length)) = output {
            missed.bytes[stream.index()] += length;
        }
        missed.reason.get_or_insert_with(|| error.to_string());
    }
}

impl SinkWriter {
    /// Creates one that first tells of the start.
    pub(super) fn new(sink: Arc<ExecutionSink>, attempt: u32, pid: u32) -> Self {
        let waiting = VecDeque::from([SinkCall::Started { pid }]);
        Self { sink, attempt, waiting, current: None, is_given_up: false }
    }

    /// Takes a chunk, which is written by [`poll_written`](Self::poll_written).
    pub(super) fn push(&mut self, stream: OutputStream, bytes: Bytes) {
        if self.is_given_up {
            self.sink.note(Some((stream, bytes.len() as u64)), &not_returned());
        } else {
            self.waiting.push_back(SinkCall::Write(stream, bytes));
        }
    }

    /// Notes output that never came here, so that the sink cannot get it.
    pub(super) fn miss(&self, stream: OutputStream, bytes: u64, error: &io::Error) {
        self.sink.note(Some((stream, bytes)), error);
    }

    /// Returns `true` if calls are to be made, or one is under way.
    pub(super) fn has_calls(&self) -> bool {
        self.current.is_some() || !self.waiting.is_empty()
    }

    /// Makes the calls that wait. Ready when all have returned.
    ///
    /// No call is made twice, whenever this is polled again.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.current.is_none() {
                let Some(next) = self.waiting.pop_front() else { return Poll::Ready(()) };
                self.current = Some(self.begin(next));
            }
            let Some(current) = &mut self.current else { return Poll::Ready(()) };
            let done = ready!(current.poll(cx));
            let output = current.output;
            if let Some(current) = self.current.take() {
                current.discard();
            }
            if let Err(error) = done {
                self.sink.note(output, &error);
            }
        }
    }

    /// Drops the call that is under way. What it and those behind it would have written counts as not
    /// written, and so does all that follows.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
        if let Some(current) = self.current.take() {
            self.sink.note(current.output, &not_returned());
            current.discard();
        }
        for call in std::mem::take(&mut self.waiting) {
            if let SinkCall::Write(stream, bytes) = call {
                self.sink.note(Some((stream, bytes.len() as u64)), &not_returned());
            }
        }
    }

    fn begin(&self, call: SinkCall) -> CurrentCall {
        let (sink, attempt) = (Arc::clone(&self.sink), self.attempt);
        match call {
            SinkCall::Started { pid } => CurrentCall {
                future: Box::pin(async move {
                    sink.sink.started(sink.execution_id, attempt, pid).await;
                    Ok(())
                }),
                output: None,
            },
            SinkCall::Write(stream, bytes) => CurrentCall {
                output: Some((stream, bytes.len() as u64)),
                future: Box::pin(async move {
                    let execution_id = sink.execution_id;
                    sink.sink.write(OutputChunk { execution_id, attempt, stream, bytes }).await
                }),
            },
        }
    }
}

impl CurrentCall {
    /// A panic is an error.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| {
            discard(panic);
            Poll::Ready(Err(io::Error::other("the sink panicked")))
        })
    }

    /// Drops it. What it has captured is code of the host, which may panic.
    fn discard(self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(self))) {
            tracing::warn!("an output sink panicked when its call was dropped");
            discard(panic);
        }
    }
}

fn not_returned() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it did not return in time")
}
