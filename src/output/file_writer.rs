//! A file that is written while output is read. Disks may block, so tokio writes on its own
//! threads.

use std::io;

use tokio::io::AsyncWriteExt as _;

/// Writer that takes bytes at once and writes them later. After its first error it ignores all
/// bytes.
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

    /// Writes the pending bytes.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice: `write` has taken the bytes that it reports, or none.
    pub(super) async fn write_pending(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut written = Ok(());
        while !self.pending.is_empty() && written.is_ok() {
            written = file.write(&self.pending).await.map(|count| {
                self.pending.drain(..count);
            });
        }
        self.close_on_error(written)
    }

    /// Writes the pending bytes and waits until the file has them; reports late errors, too.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.write_pending().await?;
        let Some(file) = &mut self.file else { return Ok(()) };
        let flushed = file.flush().await;
        self.close_on_error(flushed)
    }

    fn close_on_error(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.file = None;
            self.pending = Vec::new();
        }
        result
    }
}
