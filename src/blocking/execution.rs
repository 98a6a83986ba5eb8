//! The handle of one execution, and its standard input.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_process::Signal;
use uuid::Uuid;

use super::{Chunks, Events, Records, now, now_or_wait, wait, wait_for};
use crate::engine;
use crate::error::{ExecutionError, Result};
use crate::types::{ExecutionResult, ExecutionStatus, ExecutionSummary, OutputPage, OutputQuery};

/// Handle of one execution, whose methods block: [`crate::Execution`] for programs without an async
/// runtime. Made by [`ExecutionEngine::start`](super::ExecutionEngine::start).
///
/// Clones refer to one execution. Dropping a handle stops nothing, and a handle does not keep its
/// engine alive.
///
/// ```
/// use execution_engine::*;
/// # fn main() -> Result<()> {
/// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
/// let execution = engine.start(ExecutionRequest::shell("echo ready; sleep 60"))?;
/// for record in execution.events()? {
///     if let ExecutionEvent::Stdout { line, .. } = record.event {
///         assert_eq!(line, "ready");
///         execution.cancel()?;
///     }
/// }
/// assert_eq!(execution.wait()?.ending, Ending::Cancelled);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Execution {
    execution: engine::Execution,
}

impl From<engine::Execution> for Execution {
    fn from(execution: engine::Execution) -> Self {
        Self { execution }
    }
}

impl From<Execution> for engine::Execution {
    fn from(execution: Execution) -> Self {
        execution.execution
    }
}

impl Execution {
    /// Returns the id of the execution.
    pub fn id(&self) -> Uuid {
        self.execution.id()
    }

    /// Waits for the execution to end, and returns its result. Any number of threads may wait.
    ///
    /// # Errors
    /// [`ExecutionError::OnEngineThread`] alone. What the program does is not an error;
    /// [`into_result`](ExecutionResult::into_result) makes it one.
    pub fn wait(&self) -> Result<ExecutionResult> {
        wait(self.execution.wait())
    }

    /// Waits for the execution to end, for no longer than this. Returns `None` if it has not ended by
    /// then; it goes on running. With a time of 0 it only looks.
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let execution = engine.start(ExecutionRequest::exec("sleep", ["0.2"]))?;
    /// let result = loop {
    ///     match execution.wait_timeout(Duration::from_millis(50))? {
    ///         Some(result) => break result,
    ///         None => println!("still running"),
    ///     }
    /// };
    /// assert!(result.success);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<ExecutionResult>> {
        wait_for(self.execution.wait(), timeout)
    }

    /// Returns the status. Never waits.
    ///
    /// # Errors
    /// None today.
    pub fn status(&self) -> Result<ExecutionStatus> {
        now(self.execution.status())
    }

    /// Returns what is known of it without its output. Never waits.
    ///
    /// # Errors
    /// None today.
    pub fn summary(&self) -> Result<ExecutionSummary> {
        now(self.execution.summary())
    }

    /// Iterates over the records of the execution, from the first on; the last is the terminal one.
    ///
    /// # Errors
    /// None today.
    pub fn events(&self) -> Result<Events> {
        now(self.execution.events()).map(Records)
    }

    /// Iterates over the output of the execution as it was read, and its events.
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let execution = engine.start(ExecutionRequest::shell("printf 'no end of line'"))?;
    /// let mut screen = Vec::new();
    /// for record in execution.chunks()? {
    ///     if let ChunkContent::Output { bytes, .. } = record.content {
    ///         screen.extend_from_slice(&bytes);
    ///     }
    /// }
    /// assert_eq!(screen, b"no end of line");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// None today.
    pub fn chunks(&self) -> Result<Chunks> {
        now(self.execution.chunks()).map(Records)
    }

    /// Reads a page of output, like [`crate::Execution::read_output`].
    ///
    /// # Errors
    /// As there.
    pub fn read_output(&self, query: OutputQuery) -> Result<OutputPage> {
        wait(self.execution.read_output(query))
    }

    /// Stops the execution, and returns at once, like [`crate::Execution::cancel`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel(&self) -> Result<()> {
        now_or_wait(self.execution.is_elsewhere(), self.execution.cancel())
    }

    /// Sends a signal to every process of the execution, like [`crate::Execution::signal`].
    ///
    /// # Errors
    /// As there.
    pub fn signal(&self, signal: Signal) -> Result<u32> {
        wait(self.execution.signal(signal))
    }

    /// Returns the standard input of the execution, which can be written to if its
    /// [`stdin`](crate::ExecutionOptions::stdin) is [`Piped`](crate::StdinSource::Piped).
    pub fn stdin(&self) -> ExecutionStdin {
        ExecutionStdin { stdin: self.execution.stdin() }
    }
}

/// Standard input of one execution, from [`Execution::stdin`].
///
/// It is a [`Write`](io::Write), too, for `writeln!` and [`io::copy`]. What the program prints
/// meanwhile is read by the engine, so writing much to it cannot block for ever. Dropping it does not
/// close the input; [`close`](Self::close) does.
///
/// ```
/// use std::io::Write as _;
///
/// use execution_engine::*;
/// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
/// let options = ExecutionOptions::default().stdin(StdinSource::Piped);
/// let execution = engine.start_with(ExecutionRequest::program("sort"), options)?;
/// let mut stdin = execution.stdin();
/// writeln!(stdin, "{} bottles", 3)?;
/// std::io::copy(&mut "1 bottle\n".as_bytes(), &mut stdin)?;
/// stdin.close()?;
/// assert_eq!(execution.wait()?.stdout, "1 bottle\n3 bottles\n");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ExecutionStdin {
    stdin: engine::ExecutionStdin,
}

impl ExecutionStdin {
    /// Writes bytes to the program, waits until its pipe has taken them, and returns how many it has
    /// taken, like [`crate::ExecutionStdin::write`]: fewer than all if the program reads no more.
    ///
    /// # Errors
    /// As there.
    pub fn write(&self, bytes: impl Into<Bytes>) -> Result<usize> {
        wait(self.stdin.write(bytes))
    }

    /// Closes the input: the program reads what was written before, and then the end.
    ///
    /// # Errors
    /// As [`crate::ExecutionStdin::close`].
    pub fn close(&self) -> Result<()> {
        now_or_wait(self.stdin.is_elsewhere(), self.stdin.close())
    }
}

/// A program that reads no more is an error here: `BrokenPipe`.
impl io::Write for ExecutionStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Self::write(self, Bytes::copy_from_slice(bytes)) {
            Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::BrokenPipe.into()),
            Ok(written) => Ok(written),
            Err(error) => Err(io::Error::new(kind(&error), error)),
        }
    }

    /// Does nothing: a write returns when the pipe has taken the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn kind(error: &ExecutionError) -> io::ErrorKind {
    match error {
        ExecutionError::AlreadyEnded { .. } | ExecutionError::StdinClosed(_) => {
            io::ErrorKind::BrokenPipe
        }
        _ => io::ErrorKind::Other,
    }
}
