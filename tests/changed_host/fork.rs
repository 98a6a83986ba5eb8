//! A host that forks after it has made its engine: the fork has a copy of the engine, without threads.

use futures_lite::future::block_on;

use super::*;

#[test]
fn engine_in_a_fork_of_its_host_refuses_and_ends_nothing() {
    let host = Host::start(HOST, "forks 0 /");
    assert_eq!(host.next_line(), "all is well");
    assert!(host.end().success());
}

/// Lets a fork of this process do `part` once the parent writes to a pipe, and ends it then.
fn fork(part: impl FnOnce()) -> (libc::pid_t, std::io::PipeWriter) {
    let (mut read, write) = std::io::pipe().unwrap();
    // SAFETY: the fork takes no lock of this process but those of the engine, which is idle.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        drop(write);
        std::io::Read::read_exact(&mut read, &mut [0]).unwrap();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(part));
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    (forked, write)
}

/// Waits for a fork, which ends well.
fn ends_well(forked: libc::pid_t) {
    let mut status = 0;
    // SAFETY: waits for that process and stores its status.
    assert_eq!(unsafe { libc::waitpid(forked, &raw mut status, 0) }, forked);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status:#x}");
}

pub(crate) async fn forks() {
    let engine = engine_with(|config| {
        config.max_output_size_bytes = 10;
        config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
    });
    let spilled = run(&engine, shell("seq 1 1000")).await;
    let overflow = spilled.stdout_overflow_file.expect("it has an overflow file");
    // The task of the execution may hold the directory for a moment more.
    pause(Duration::from_millis(300)).await;
    // SAFETY: the copy is dropped once, as by a program that ends by `exit`: the fork ends here.
    let (idle, mut go) = fork(|| drop(unsafe { std::ptr::read(&raw const engine) }));
    std::io::Write::write_all(&mut go, &[0]).unwrap();
    ends_well(idle);
    assert!(overflow.exists());
    let before = engine.start(ExecutionRequest::exec("sleep", ["300"])).await.unwrap();
    let (forked, mut go) = fork(|| {
        let refused = |error: ExecutionError| assert_eq!(error.error_code(), "forked_host");
        refused(block_on(engine.execute(shell("true"))).unwrap_err());
        refused(block_on(engine.execute_plan(ExecutionPlan::serial([shell("true")]))).unwrap_err());
        refused(block_on(engine.wait_for_completion(before.id())).unwrap_err());
        refused(block_on(engine.cancel(before.id())).unwrap_err());
        refused(block_on(before.wait()).unwrap_err());
        assert!(block_on(engine.shutdown(Duration::ZERO)).ended.is_empty());
        block_on(engine.wait_until_idle());
        // SAFETY: as above.
        unsafe {
            drop(std::ptr::read(&raw const before));
            drop(std::ptr::read(&raw const engine));
        }
    });
    std::io::Write::write_all(&mut go, &[0]).unwrap();
    ends_well(forked);
    assert_eq!(before.status().await, Ok(ExecutionStatus::Running));
    assert!(overflow.exists());
    assert!(run(&engine, shell("true")).await.success);
    before.cancel().await.unwrap();
    let result = soon("its end", before.wait()).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
}
