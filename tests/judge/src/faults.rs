//! Faults of disk and clock in a running process, by the library `preload/faults.c`.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::preload::{Library, preload};

const CONTROL_BYTES: usize = 16;

/// Faults that a process with this attached has while they last.
#[derive(Debug)]
pub struct Faults {
    libraries: [PathBuf; 2],
    root: PathBuf,
    control: PathBuf,
    file: File,
}

impl Faults {
    /// Prepares faults of the files below `root`, without any for now.
    pub fn new(dir: &Path, root: &Path) -> Self {
        let control = dir.join("control");
        std::fs::write(&control, [0; CONTROL_BYTES]).unwrap();
        let file = File::options().write(true).open(&control).unwrap();
        let root = root.canonicalize().unwrap();
        let libraries = [Library::Faults.build(dir), Library::Keepers.build(dir)];
        Self { libraries, root, control, file }
    }

    /// Lets a process have the faults, with its children that have its environment and with keepers.
    pub fn attach(&self, command: &mut Command) {
        let [faults, keepers] = &self.libraries;
        preload(command, &[faults, keepers]);
        command.env("FAULTS_ROOT", &self.root).env("FAULTS_CONTROL", &self.control);
    }

    /// Lets writes fail with an error of the system; 0 lets them through.
    pub fn fail_writes(&self, error: i32) {
        self.file.write_all_at(&error.to_ne_bytes(), 0).unwrap();
    }

    /// Lets synchronizations fail with an error of the system; 0 lets them through.
    pub fn fail_syncs(&self, error: i32) {
        self.file.write_all_at(&error.to_ne_bytes(), 4).unwrap();
    }

    /// Moves the time of day.
    pub fn shift_clock(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 8).unwrap();
    }
}
