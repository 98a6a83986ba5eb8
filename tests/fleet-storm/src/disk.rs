//! A disk of few bytes.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use tempfile::TempDir;

use crate::network::{command, is_inside};

/// A file system in memory that can be filled. It ends with the namespace of the test.
pub struct SmallDisk {
    home: TempDir,
}

impl SmallDisk {
    /// Makes one of so many bytes, if this process is in namespaces of its own.
    ///
    /// # Panics
    ///
    /// If it cannot be made there.
    pub fn mount(bytes: u64) -> Option<Self> {
        if !is_inside() {
            return None;
        }
        let home = TempDir::new().unwrap();
        let size = format!("size={bytes}");
        let status = command("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(home.path())
            .status()
            .unwrap();
        assert!(status.success(), "mount of {size}: {status}");
        Some(Self { home })
    }

    /// Returns a directory on it.
    pub fn path(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// Writes until it is full.
    ///
    /// # Panics
    ///
    /// If it cannot be written for another reason.
    pub fn fill(&self) {
        let mut file = File::create(self.filling()).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    /// Removes what [`fill`](Self::fill) has written.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn free(&self) {
        fs::remove_file(self.filling()).unwrap();
    }

    fn filling(&self) -> PathBuf {
        self.home.path().join("filling")
    }
}

/// Before its directory is removed.
impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Servers may have files open there.
        let _unmounted = command("umount").args(["--lazy"]).arg(self.home.path()).status();
    }
}
