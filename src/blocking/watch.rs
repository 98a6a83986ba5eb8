//! Records and output of executions.

use std::path::PathBuf;

use uuid::Uuid;

use super::{Chunks, Events, ExecutionEngine, Records, now, wait};
use crate::error::Result;
use crate::types::{OutputPage, OutputQuery, OutputStream};

/// Records and output.
impl ExecutionEngine {
    /// Iterates over the records of an execution, like [`crate::ExecutionEngine::subscribe`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe(&self, id: Uuid) -> Result<Events> {
        self.told(self.engine().subscribe(id)).map(Records)
    }

    /// Like [`subscribe`](Self::subscribe), from behind a record on, like
    /// [`crate::ExecutionEngine::subscribe_from`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_from(&self, id: Uuid, after: u64) -> Result<Events> {
        self.told(self.engine().subscribe_from(id, after)).map(Records)
    }

    /// Iterates over the output of an execution as it was read, like
    /// [`crate::ExecutionEngine::subscribe_chunks`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_chunks(&self, id: Uuid) -> Result<Chunks> {
        self.told(self.engine().subscribe_chunks(id)).map(Records)
    }

    /// Like [`subscribe_chunks`](Self::subscribe_chunks), from behind a record on, like
    /// [`crate::ExecutionEngine::subscribe_chunks_from`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_chunks_from(&self, id: Uuid, after: u64) -> Result<Chunks> {
        self.told(self.engine().subscribe_chunks_from(id, after)).map(Records)
    }

    /// Iterates over the records of all executions and plans from now on, like
    /// [`crate::ExecutionEngine::subscribe_all`]. Ends when the engine is dropped, so the thread that
    /// iterates must not hold a clone of it.
    ///
    /// ```
    /// use execution_engine::*;
    /// # fn main() -> Result<()> {
    /// let engine = blocking::ExecutionEngine::new(ExecutionConfig::default())?;
    /// let records = engine.subscribe_all();
    /// let printer = std::thread::spawn(move || records.map(|record| println!("{record:?}")).count());
    /// engine.run(ExecutionRequest::shell("echo hello"))?;
    /// drop(engine);
    /// assert!(printer.join().unwrap() > 2);
    /// # Ok(()) }
    /// ```
    pub fn subscribe_all(&self) -> Events {
        Records(now(self.engine().subscribe_all()))
    }

    /// Reads a page of output, like [`crate::ExecutionEngine::read_output`].
    ///
    /// # Errors
    /// As there.
    pub fn read_output(&self, id: Uuid, query: OutputQuery) -> Result<OutputPage> {
        wait(self.engine().read_output(id, query))
    }

    /// Takes an overflow file, like [`crate::ExecutionEngine::take_overflow`].
    ///
    /// # Errors
    /// As there.
    pub fn take_overflow(
        &self,
        id: Uuid,
        stream: OutputStream,
        to: impl Into<PathBuf>,
    ) -> Result<u64> {
        wait(self.engine().take_overflow(id, stream, to))
    }
}
