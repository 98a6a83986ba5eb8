//! A file that is written while output is read. Disks may block, so a thread for files writes.

use std::fs::File;
use std::sync::Arc;
use std::{fmt, io, mem};

use tokio::sync::oneshot;

use crate::runtime::BlockingPool;

/// What bytes are written to, on a thread that may block.
pub(super) trait Sink: fmt::Debug + Send + Sync + 'static {
    /// Writes all of the bytes.
    ///
    /// # Errors
    /// The system's error.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for File {
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut &*self, bytes)
    }
}

/// Writer that takes bytes at once and writes them later. After its first error it ignores all
/// bytes.
#[derive(Debug)]
pub(super) struct FileWriter {
    /// None after an error.
    file: Option<Arc<dyn Sink>>,
    threads: Arc<BlockingPool>,
    pending: Vec<u8>,
    /// The write that is under way. It gives its buffer back.
    write: Option<oneshot::Receiver<io::Result<Vec<u8>>>>,
}

impl FileWriter {
    /// Creates one that writes on these threads, which must have been started.
    pub(super) fn new(file: impl Sink, threads: &Arc<BlockingPool>) -> Self {
        let threads = Arc::clone(threads);
        Self { file: Some(Arc::new(file)), threads, pending: Vec::new(), write: None }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.file.is_some() {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Begins to write the pending bytes, once the write before has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost or written twice: bytes are pending until a write has them.
    pub(super) async fn write_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.end_write().await?;
        let Some(file) = &self.file else { return Ok(()) };
        let (file, mut bytes) = (Arc::clone(file), mem::take(&mut self.pending));
        let (sender, write) = oneshot::channel();
        self.threads.run(move || {
            let written = file.write_all(&bytes);
            bytes.clear();
            // The writer may be gone; the bytes are written all the same.
            let _unread = sender.send(written.map(|()| bytes));
        });
        self.write = Some(write);
        Ok(())
    }

    /// Writes the pending bytes and waits until the file has them; reports late errors, too.
    ///
    /// # Cancel safety
    /// As for [`write_pending`](Self::write_pending).
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.write_pending().await?;
        self.end_write().await
    }

    /// Waits for the write that is under way.
    async fn end_write(&mut self) -> io::Result<()> {
        let Some(write) = &mut self.write else { return Ok(()) };
        let written = write.await.unwrap_or_else(|lost| Err(io::Error::other(lost)));
        self.write = None;
        match written {
            Ok(buffer) => {
                if self.pending.is_empty() {
                    self.pending = buffer;
                }
                Ok(())
            }
            Err(error) => {
                self.file = None;
                self.pending = Vec::new();
                Err(error)
            }
        }
    }
}
