//! The beginning of a file, as a decision on a request reads it from the file system.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::scope::RealFileSystem;
use crate::scope::paths::FileSystem as _;

/// Returns the beginning of a file. Fails if reading it waits.
fn head(path: &Path) -> Option<Vec<u8>> {
    let (done, wait) = mpsc::channel();
    let path = path.to_path_buf();
    thread::spawn(move || done.send(RealFileSystem::default().head(&path)));
    wait.recv_timeout(Duration::from_secs(60)).expect("reading the file waits")
}

#[test]
fn the_beginning_of_a_regular_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, format!("#!/bin/sh\n{}", "x".repeat(1000))).unwrap();
    let read = head(&script).unwrap();
    assert!(read.starts_with(b"#!/bin/sh\nxx") && read.len() == 256, "{}", read.len());
    assert_eq!(head(dir.path()), None);
    assert_eq!(head(&dir.path().join("missing")), None);
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_taken_from_a_pipe_and_nothing_waits_for_one() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let descriptor = format!("/proc/self/fd/{}", reader.as_raw_fd());
    assert_eq!(head(Path::new(&descriptor)), None, "nothing was written yet");
    writer.write_all(b"#!/bin/sh\n").unwrap();
    assert_eq!(head(Path::new(&descriptor)), None);
    drop(writer);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "#!/bin/sh\n", "what was written is still there");
}

#[test]
#[cfg(target_os = "linux")]
fn no_file_of_the_kernel_is_read() {
    for path in
        ["/proc/self/cmdline", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"]
    {
        assert_eq!(head(Path::new(path)), None, "{path}");
    }
}
