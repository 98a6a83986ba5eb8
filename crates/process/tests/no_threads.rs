//! A host without room for another thread. The one test of this binary, because its limit is that of a
//! process.
#![cfg(execution_engine_portable)]

mod support;

use execution_engine_process::{Containment, Exit, Level, SpawnStage};
use rustix::process::Resource;
use support::*;

/// The address space that this process has.
fn in_use() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

#[test]
fn a_program_is_not_started_where_there_is_no_thread_to_wait_for_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("it-ran");
    let containment = Containment::at(Level::ProcessGroup).unwrap();
    // While it lives its thread leaves no stack for the next.
    let first = containment.spawn(&shell("exec sleep 60")).unwrap();
    let launch = shell(&format!(": >'{}'", file.display()));
    // Room for what posix_spawn needs, and not for the stack of a thread.
    limit(Resource::As, Some(in_use() + 48 * 1024));
    let refused = containment.spawn(&launch);
    limit(Resource::As, None);
    let error = refused.unwrap_err();
    assert_eq!(
        (error.stage, error.source.raw_os_error()),
        (SpawnStage::Process, Some(libc::EAGAIN))
    );
    assert!(error.is_transient());
    // By the end of another program it would have run.
    let line = format!("sleep 0.3; [ -e '{}' ]", file.display());
    let mut other = containment.spawn(&shell(&line)).expect("there is memory again").child;
    while other.reap().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(other.exit().unwrap(), Some(Exit::Code(1)), "it ran all the same");
    drop(first);
}
