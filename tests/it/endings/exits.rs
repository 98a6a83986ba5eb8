//! Endings that the program decides: exit codes, signals and crashes.

use super::*;

#[tokio::test]
async fn exit_code_0_is_a_success() {
    let expected = Expected {
        started: true,
        status: ExecutionStatus::Completed,
        exit_code: 0,
        signal: None,
        message: None,
        error: None,
        event: completed,
    };
    let result = Observed::new().runs_as(shell("echo done"), &expected).await;
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.clone().into_result(), Ok(result));
}

#[tokio::test]
async fn nonzero_exit_code_is_a_failure() {
    for code in [1, 7, 127, 255] {
        let expected = Expected {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: code,
            signal: None,
            message: None,
            error: Some(ExecutionError::ExitCode(code)),
            event: completed,
        };
        let result = Observed::new().runs_as(shell(format!("exit {code}")), &expected).await;
        assert_eq!(result.ending, Ending::Exited { code });
    }
}

#[tokio::test]
async fn death_by_signal_is_a_failure() {
    let signals = [
        ("KILL", 9, "killed by SIGKILL"),
        ("TERM", 15, "killed by SIGTERM"),
        ("PIPE", 13, "killed by SIGPIPE"),
    ];
    for (name, signal, message) in signals {
        let expected = Expected {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: -1,
            signal: Some(signal),
            message: Some(message),
            error: Some(ExecutionError::Signaled(signal)),
            event: completed,
        };
        let result = Observed::new().runs_as(shell(format!("kill -{name} $$")), &expected).await;
        assert_eq!(result.ending, Ending::Signaled { signal, core_dumped: false });
    }
}

#[tokio::test]
async fn crash_reports_signal_and_core_dump() {
    let observed = Observed::new();
    let id = observed.start(shell("ulimit -c 0; kill -SEGV $$")).await;
    // The system may pipe the core to a program nevertheless.
    let ending = observed.ended(id).await.ending;
    let Ending::Signaled { signal: 11, core_dumped } = ending else {
        panic!("it ended otherwise: {ending:?}");
    };
    let (plain, dumped) = ("killed by SIGSEGV", "killed by SIGSEGV (core dumped)");
    let expected = Expected {
        started: true,
        status: ExecutionStatus::Failed,
        exit_code: -1,
        signal: Some(11),
        message: Some(if core_dumped { dumped } else { plain }),
        error: Some(ExecutionError::Signaled(11)),
        event: completed,
    };
    observed.ends_as(id, &expected).await;
}

#[tokio::test]
async fn usage_reports_cpu_time_and_peak_memory() {
    // A peak below that of the host is unknown, and other tests here take much.
    if host::passed_apart(test_support::test_name!()).await {
        return;
    }
    let line = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
    let result = soon("the run", engine().run(shell(line))).await.unwrap();
    let usage = result.usage.unwrap();
    assert!(usage.user + usage.system > Duration::ZERO, "{usage:?}");
    assert_eq!(usage.peak_memory_bytes, None, "a shell takes less than this test");

    let much = ExecutionRequest::exec("python3", ["-c", "held = bytearray(300_000_000)"]);
    let usage = soon("the run", engine().run(much)).await.unwrap().usage.unwrap();
    let peak = usage.peak_memory_bytes.expect("more than this test takes");
    assert!((300_000_000..1 << 30).contains(&peak), "{usage:?}");
}
