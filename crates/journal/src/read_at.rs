use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes that can be read at any place: a file, a piece of memory, an archive.
pub trait ReadAt {
    /// Reads bytes at `position` into `buffer` and returns how many; 0 at the end only.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns how many bytes there are.
    ///
    /// # Errors
    ///
    /// The error of the system.
    fn total_bytes(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(self, buffer, position);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(self, buffer, position);
    }

    fn total_bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(position).map_or(self.len(), |start| start.min(self.len()));
        let length = buffer.len().min(self.len() - start);
        buffer[..length].copy_from_slice(&self[start..start + length]);
        Ok(length)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(position, buffer)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        self.as_slice().total_bytes()
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_ref().read_at(position, buffer)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        self.as_ref().total_bytes()
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(position, buffer)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        (**self).total_bytes()
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Arc<R> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(position, buffer)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        (**self).total_bytes()
    }
}

impl<R: ReadAt + ?Sized> ReadAt for Box<R> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(position, buffer)
    }

    fn total_bytes(&self) -> io::Result<u64> {
        (**self).total_bytes()
    }
}
