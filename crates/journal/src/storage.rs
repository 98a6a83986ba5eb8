use std::fs::File;
use std::io;

/// What a writer needs of its file, so that tests can let it fail.
pub(crate) trait Storage {
    /// Writes some of `bytes` at `position` and returns how many.
    fn write_at(&mut self, position: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file off.
    fn set_len(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn write_at(&mut self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_at(self, bytes, position);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_write(self, bytes, position);
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }
}
