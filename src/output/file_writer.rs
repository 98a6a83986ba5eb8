//! A file written beside the pump, without ever blocking the driver.

use std::io;

use tokio::io::AsyncWriteExt as _;

/// Takes bytes at once and writes them when flushed; a flush may be dropped and taken up again.
/// After an error, which is told once, it takes and writes nothing more.
#[derive(Debug)]
pub(super) struct FileWriter {
    file: Option<tokio::fs::File>,
    pending: Vec<u8>,
}

impl FileWriter {
    pub(super) fn new(file: std::fs::File) -> Self {
        Self { file: Some(tokio::fs::File::from_std(file)), pending: Vec::new() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.file.is_some() {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Hands the pending bytes over to the file. Cancel safe: `write` has taken all that it says
    /// it took, or nothing.
    pub(super) async fn write_pending(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut written = Ok(());
        while !self.pending.is_empty() && written.is_ok() {
            written = file.write(&self.pending).await.map(|count| {
                self.pending.drain(..count);
            });
        }
        self.closed_on_error(written)
    }

    /// Waits until the file has everything, and tells of an error that came late.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.write_pending().await?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let flushed = file.flush().await;
        self.closed_on_error(flushed)
    }

    fn closed_on_error(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.file = None;
            self.pending = Vec::new();
        }
        result
    }
}
