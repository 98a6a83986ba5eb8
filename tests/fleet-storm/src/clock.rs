//! Clocks that are wrong.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::network::command;

/// A time of day that can be set for some programs, by `libfaketime`.
pub struct WallClock {
    home: TempDir,
    library: PathBuf,
}

impl WallClock {
    /// Creates one that is right. `None` if the library is not installed.
    pub fn new() -> Option<Self> {
        // In a directory of the machine's architecture.
        let libraries = fs::read_dir("/usr/lib").ok()?.flatten();
        let library = libraries
            .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists())?;
        let clock = Self { home: TempDir::new().unwrap(), library };
        clock.set(0);
        Some(clock)
    }

    /// Returns what begins a command that has this clock. Other clocks stay as they are.
    pub fn enter(&self) -> Vec<String> {
        let (library, offset) = (self.library.display(), self.home.path().join("offset"));
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={library}"),
            format!("FAKETIME_TIMESTAMP_FILE={}", offset.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }

    /// Sets it so many seconds beside the right time, for all that have it.
    ///
    /// # Panics
    ///
    /// If a program does not see that.
    pub fn set(&self, seconds: i64) {
        // As a whole: programs read it at any moment.
        let new = self.home.path().join("new");
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(new, self.home.path().join("offset")).unwrap();
        let enter = self.enter();
        let told = command(&enter[0]).args(&enter[1..]).args(["date", "+%s"]).output().unwrap();
        let told: i64 = String::from_utf8(told.stdout).unwrap().trim().parse().unwrap();
        let right = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        assert!((told - right - seconds).abs() < 60, "{told} is not {seconds} s beside {right}");
    }
}

/// Returns what begins a command on a machine that was started so many seconds earlier than this one.
/// `None` if the host has no time namespaces for this.
pub fn started_earlier(seconds: u64) -> Option<Vec<String>> {
    let words = ["unshare", "--time", "--boottime", &seconds.to_string()].map(str::to_owned);
    let told = command(&words[0]).args(&words[1..]).args(["cat", "/proc/uptime"]).output().ok()?;
    let told: f64 = String::from_utf8(told.stdout).ok()?.split(' ').next()?.parse().ok()?;
    (told >= seconds as f64).then(|| words.to_vec())
}
