//! Deaths that a test asks for by `EXENG_FAULT`, in builds with debug assertions alone.

use std::fs::OpenOptions;
use std::sync::atomic::{AtomicU32, Ordering};

use execution_engine_keeper::faults;
use rustix::process::{Signal, getpid, kill_process};

/// Lets the service die at the point that is given as `service/POINT` or `service/POINT:N`.
pub(crate) fn in_service() {
    if let Some(point) = wanted("service/") {
        execution_engine_server::faults::kill_at(&point);
    }
}

/// Lets a keeper die at the point that is given as `keeper/POINT:N@FILE`. It makes the file; a keeper that finds it there
/// lives, so that one keeper dies and not each that follows.
pub(crate) fn in_keeper() {
    let Some(fault) = wanted("keeper/") else { return };
    let (point, file) = fault.split_once('@').expect("keeper/POINT:N@FILE");
    let (name, times) = point.split_once(':').expect("POINT:N");
    let (name, file) = (name.to_string(), file.to_string());
    let times: u32 = times.parse().expect("a number of times");
    let seen = AtomicU32::new(0);
    faults::install(move |reached| {
        let is_it = reached.name() == name && seen.fetch_add(1, Ordering::Relaxed) + 1 == times;
        if is_it && OpenOptions::new().write(true).create_new(true).open(&file).is_ok() {
            let killed = kill_process(getpid(), Signal::KILL);
            unreachable!("a process outlives its SIGKILL: {killed:?}");
        }
    });
}

fn wanted(whose: &str) -> Option<String> {
    let fault = std::env::var("EXENG_FAULT").ok().filter(|_| cfg!(debug_assertions))?;
    Some(fault.strip_prefix(whose)?.to_string())
}
