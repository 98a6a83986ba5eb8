//! Endings that the engine decides: timeouts, cancels and limits.

use super::*;

#[tokio::test]
async fn timeout_stops_the_program() {
    let expected = Expected {
        started: true,
        status: ExecutionStatus::Timeout,
        exit_code: -1,
        signal: Some(SIGTERM),
        message: Some("timed out after 50 ms"),
        error: Some(ExecutionError::TimedOut(50)),
        event: |result| ExecutionEvent::Timeout {
            execution_id: result.id,
            timeout_ms: 50,
            duration: result.duration,
        },
    };
    let request = shell("exec sleep 1000").timeout(Duration::from_millis(50));
    let result = Observed::new().runs_as(request, &expected).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 50 });
    assert!(result.duration >= Duration::from_millis(50), "{result:?}");
}

#[tokio::test]
async fn default_timeout_comes_from_the_configuration() {
    let observed = Observed::with(|config| config.default_timeout_ms = 50);
    let id = observed.start(shell("exec sleep 1000")).await;
    assert_eq!(observed.ended(id).await.ending, Ending::TimedOut { timeout_ms: 50 });
}

#[tokio::test]
async fn cancel_right_after_start_is_cancelled() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    observed.engine.cancel(id).await.unwrap();
    let result = observed.ends_as(id, &cancelled_expected()).await;
    assert_eq!(result.ending, Ending::Cancelled);
}

#[tokio::test]
async fn cancel_keeps_the_output_so_far() {
    let observed = Observed::new();
    let id = observed.start(shell("echo busy; exec sleep 1000")).await;
    observed.is_busy(id).await;
    observed.engine.cancel(id).await.unwrap();
    let result = observed.ends_as(id, &cancelled_expected()).await;
    assert_eq!(result.stdout, "busy\n");
    assert_eq!(result.containment.signal, Some(Signal::Terminate));
}

#[tokio::test]
async fn cancel_wins_over_exit_code_0() {
    let observed = Observed::new();
    let line = "trap 'exit 0' TERM; echo busy; sleep 1000 & wait";
    let id = observed.start(shell(line)).await;
    observed.is_busy(id).await;
    observed.engine.cancel(id).await.unwrap();
    let expected = Expected { signal: None, ..cancelled_expected() };
    observed.ends_as(id, &expected).await;
}

#[tokio::test]
async fn second_cancel_is_refused() {
    let observed = Observed::new();
    let id = observed.start(shell("exec sleep 1000")).await;
    observed.engine.cancel(id).await.unwrap();
    let status = ExecutionStatus::Cancelled;
    let again = observed.engine.cancel(id).await;
    assert_eq!(again, Err(ExecutionError::AlreadyEnded { id, status }));
    observed.ends_as(id, &cancelled_expected()).await;
}

#[tokio::test]
async fn cancel_after_the_end_keeps_the_ending() {
    let observed = Observed::new();
    let id = observed.start(shell("exit 7")).await;
    let before = observed.ended(id).await;
    let status = ExecutionStatus::Failed;
    assert_eq!(observed.engine.cancel(id).await, Err(ExecutionError::AlreadyEnded { id, status }));
    assert_eq!(observed.ended(id).await, before);
    let events = observed.recorder.all_of(id).await;
    check_order(&events, true, ExecutionStatus::Failed);
    assert_eq!(events.last(), Some(&completed(&before)));
}

#[tokio::test]
async fn cancel_before_start_prevents_spawn() {
    let dir = TempDir::new().unwrap();
    let program = executable(dir.path().join("tool"), b"#!/bin/sh\n");
    // A file that is open for writing cannot be executed; the engine tries again for a while.
    let writer = fs::OpenOptions::new().append(true).open(&program).unwrap();
    let observed = Observed::new();
    let id = observed.start(exec(&program)).await;
    observed.engine.cancel(id).await.unwrap();
    let expected = Expected { started: false, signal: None, ..cancelled_expected() };
    let result = observed.ends_as(id, &expected).await;
    assert_eq!(result.ending, Ending::Cancelled);
    drop(writer);
}

#[tokio::test]
async fn output_limit_stops_the_program_and_names_the_stream() {
    let cases = [
        (OutputStream::Stdout, "exec yes", "stdout exceeded the output limit of 1000 bytes"),
        (OutputStream::Stderr, "exec yes >&2", "stderr exceeded the output limit of 1000 bytes"),
    ];
    for (stream, line, message) in cases {
        let observed = Observed::with(|config| {
            config.max_output_size_bytes = 1000;
            config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
        });
        let id = observed.start(shell(line)).await;
        // Either SIGTERM or a closed pipe ends `yes`.
        let signal = observed.ended(id).await.signal;
        let expected = Expected {
            started: true,
            status: ExecutionStatus::Failed,
            exit_code: -1,
            signal,
            message: Some(message),
            error: Some(ExecutionError::OutputSizeExceeded(1000)),
            event: failed,
        };
        let result = observed.ends_as(id, &expected).await;
        assert_eq!(result.ending, Ending::OutputLimit { stream, limit: 1000 });
        assert!(signal.is_some(), "{result:?}");
        let stats = match stream {
            OutputStream::Stdout => result.stdout_stats,
            OutputStream::Stderr => result.stderr_stats,
        };
        assert!(stats.kept_bytes <= 1000 && stats.seen_bytes > 1000, "{stats:?}");
    }
}

#[tokio::test]
async fn output_of_exactly_the_limit_is_a_success() {
    let observed = Observed::with(|config| {
        config.max_output_size_bytes = 5;
        config.oversized_output_strategy = OversizedOutputStrategy::FailExecution;
    });
    let id = observed.start(shell("printf 12345")).await;
    let result = observed.ended(id).await;
    assert_eq!((result.ending, result.stdout.as_str()), (Ending::Exited { code: 0 }, "12345"));
}
