//! Writes that a caller waits for.

use super::WriteTx;
use crate::error::{Result, StoreError};

/// A write, and who waits for it.
pub(crate) trait Job: Send {
    /// Name for fault points.
    fn name(&self) -> &'static str;

    /// Returns about how many bytes it adds.
    fn bytes(&self) -> usize;

    /// Writes into the transaction. What it wrote is taken back if it fails.
    ///
    /// # Errors
    ///
    /// Its error, which [`finish`](Self::finish) passes on as well.
    fn apply(&mut self, tx: &mut WriteTx<'_>) -> Result<()>;

    /// Tells who waits, after the commit or its failure.
    fn finish(self: Box<Self>, commit: Result<()>);
}

/// A write made of two functions.
pub(crate) struct Write<T, F, R> {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
    pub(crate) write: Option<F>,
    pub(crate) value: Option<Result<T>>,
    pub(crate) reply: R,
}

impl<T, F, R> Job for Write<T, F, R>
where
    T: Send,
    F: FnOnce(&mut WriteTx<'_>) -> Result<T> + Send,
    R: FnOnce(Result<T>) + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn apply(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        let value = self.write.take().map_or(Err(StoreError::Closed), |write| write(tx));
        let outcome = value.as_ref().map(|_| ()).map_err(Clone::clone);
        self.value = Some(value);
        outcome
    }

    fn finish(self: Box<Self>, commit: Result<()>) {
        let value = self.value.unwrap_or(Err(StoreError::Closed));
        (self.reply)(commit.and(value));
    }
}

/// Name of [`probe`].
pub(super) const PROBE: &str = "probe";

/// Returns a write that changes nothing but the page of the totals, which each commit writes.
pub(super) fn probe() -> Box<dyn Job> {
    let write = |_: &mut WriteTx<'_>| Ok(());
    let reply = |_: Result<()>| {};
    Box::new(Write { name: PROBE, bytes: 0, write: Some(write), value: None, reply })
}
