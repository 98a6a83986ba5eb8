//! Files of compressed output: a journal in frames of zstd, with an index.
//!
//! A frame has about 256 KiB of the journal, in whole records, and can be decompressed alone. Behind the frames is
//! the index, in a frame that zstd skips, so `zstd -dc FILE` prints the journal. The index has for each frame where
//! it begins in the file and in the journal, and how many bytes of each stream are before it.

mod index;
mod read;
mod write;

pub(crate) use read::Archive;
pub(crate) use write::write;

use execution_engine_journal::StreamTotals;

use execution_engine::OutputStream;

/// Returns the bytes of a stream, or of both, in totals.
pub(crate) fn of_stream(totals: StreamTotals, stream: Option<OutputStream>) -> u64 {
    match stream {
        Some(OutputStream::Stdout) => totals.stdout,
        Some(OutputStream::Stderr) => totals.stderr,
        None => totals.stdout + totals.stderr,
    }
}
