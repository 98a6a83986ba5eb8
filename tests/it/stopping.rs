//! The stop sequence: a polite signal, SIGKILL after the grace, to the whole tree, without waiting for
//! processes that hold the pipes.

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Longer than the patience of a test, and short enough to leave no traces.
const LONG: &str = "sleep 300";
/// Waits for a child that reports itself ready. (A shell that has just been forked still has the traps
/// of its parent: a signal that comes then is lost.)
const WAIT: &str = "sh -c 'echo ready; exec sleep 300' & wait";

fn with_grace(grace: Duration) -> ExecutionEngine {
    ExecutionEngine::builder().stop_grace(grace).build().unwrap()
}

/// Starts a line, waits for its first output, cancels it, and waits for its end.
async fn stopped_once_ready(
    engine: ExecutionEngine,
    line: &str,
    options: ExecutionOptions,
) -> ExecutionResult {
    let recorder = Recorder::new();
    let engine = engine.with_event_handler(recorder.clone());
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let heard = |events: &[ExecutionEvent]| !lines_of(events, OutputStream::Stdout).is_empty();
    recorder.when(id, heard).await;
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    result
}

/// Runs a line into its timeout, and again with a longer one if it was not ready by then.
async fn timed_out_once_ready(engine: ExecutionEngine, line: &str) -> ExecutionResult {
    for timeout_ms in [100, 1000, 10_000] {
        let request = shell(line).timeout(Duration::from_millis(timeout_ms));
        let result = soon("its end", engine.run(request)).await.unwrap();
        assert_eq!(result.ending, Ending::TimedOut { timeout_ms });
        if result.stdout.starts_with("ready\n") {
            return result;
        }
    }
    panic!("it was never ready");
}

// ------------------------------------------------------------------------------------------ the ladder

#[tokio::test]
async fn second_cancel_may_shorten_the_grace_of_the_first() {
    let recorder = Recorder::new();
    let engine = with_grace(Duration::from_secs(3600)).with_event_handler(recorder.clone());
    let line = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done";
    let id = engine.execute(shell(line)).await.unwrap();
    let said = |line: &'static str| {
        let recorder = &recorder;
        async move {
            let has = |events: &[ExecutionEvent]| {
                lines_of(events, OutputStream::Stdout).iter().any(|said| said == line)
            };
            recorder.when(id, has).await;
        }
    };
    said("ready").await;
    engine.cancel(id).await.unwrap();
    said("asked").await;
    // A longer one changes nothing.
    engine.cancel_within(id, Duration::from_secs(7200)).await.unwrap();
    engine.cancel_within(id, Duration::ZERO).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert_eq!(result.containment.signal, Some(Signal::Kill));
    let status = ExecutionStatus::Cancelled;
    let late = engine.cancel_within(id, Duration::ZERO).await;
    assert_eq!(late, Err(ExecutionError::AlreadyEnded { id, status }));
}

#[tokio::test]
async fn cancel_may_have_a_grace_of_its_own() {
    let engine = with_grace(Duration::from_secs(3600));
    let id = engine.execute(shell("trap '' TERM; while :; do sleep 0.05; done")).await.unwrap();
    running(&engine, id).await;
    engine.cancel_within(id, Duration::from_millis(50)).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    let unknown = Uuid::new_v4();
    let refused = engine.cancel_within(unknown, Duration::ZERO).await;
    assert_eq!(refused, Err(ExecutionError::NotFound(unknown)));
}

#[tokio::test]
async fn program_may_clean_up_during_the_grace() {
    let line = format!("trap 'echo bye; exit 0' TERM; {WAIT}");
    let result = stopped_once_ready(with_grace(PATIENCE), &line, ExecutionOptions::default()).await;
    assert_eq!(result.stdout, "ready\nbye\n");
    assert_eq!(result.containment.signal, Some(Signal::Terminate), "no process had to be killed");
    assert_eq!(result.signal, None, "it ended by itself when it was asked to");
}

#[tokio::test]
async fn commands_of_a_signal_handler_do_not_get_the_signal() {
    // The others keep the engine busy with signals while the handler starts its command.
    let line = format!(
        "trap 'sleep 0.5 && echo cleaned; exit 0' TERM; for i in $(seq 100); do {LONG} & done; {WAIT}"
    );
    let result = stopped_once_ready(with_grace(PATIENCE), &line, ExecutionOptions::default()).await;
    assert_eq!(result.stdout, "ready\ncleaned\n", "{result:?}");
}

#[tokio::test]
async fn program_that_ignores_sigterm_is_killed_after_the_grace() {
    let grace = Duration::from_millis(300);
    let line = format!("trap '' TERM; echo ready; {LONG}; {LONG}");
    let result = stopped_once_ready(with_grace(grace), &line, ExecutionOptions::default()).await;
    let receipt = &result.containment;
    assert_eq!((receipt.signal, result.signal), (Some(Signal::Kill), Some(9)));
    assert!(receipt.stopped >= 2, "the shell and its sleep: {receipt:?}");
    assert!(receipt.took >= grace, "it had its grace: {receipt:?}");
    assert!(result.duration < PATIENCE, "{result:?}");
}

#[tokio::test]
async fn grace_of_the_options_overrides_the_engine() {
    let line = format!("trap '' TERM; echo ready; {LONG}");
    let options = ExecutionOptions::default().stop_grace(Duration::ZERO);
    let engine = with_grace(Duration::from_secs(3600));
    let result = stopped_once_ready(engine, &line, options).await;
    assert_eq!(result.containment.signal, Some(Signal::Kill));
}

#[tokio::test]
async fn without_a_grace_no_other_signal_comes_before_sigkill() {
    // A program that handles nothing dies of the first signal that comes.
    let line = format!("echo ready; exec {LONG}");
    let options = ExecutionOptions::default().stop_grace(Duration::ZERO);
    let result = stopped_once_ready(with_grace(PATIENCE), &line, options).await;
    assert_eq!(result.signal, Some(9), "{result:?}");
    let final_signal =
        ExecutionOptions::default().stop_grace(Duration::ZERO).final_signal(Signal::Hangup);
    let result = stopped_once_ready(with_grace(PATIENCE), &line, final_signal).await;
    assert_eq!(result.signal, Some(9), "{result:?}");
    let engine = with_grace(PATIENCE);
    let id = engine.execute(shell(format!("exec {LONG}"))).await.unwrap();
    running(&engine, id).await;
    engine.cancel_within(id, Duration::ZERO).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!((result.ending, result.signal), (Ending::Cancelled, Some(9)));
}

#[tokio::test]
async fn stop_and_final_signals_are_configurable() {
    let quits = format!("trap 'echo asked; exit 0' USR1; {WAIT}");
    let options = ExecutionOptions::default().stop_signal(Signal::User1);
    let result = stopped_once_ready(with_grace(PATIENCE), &quits, options).await;
    assert_eq!(result.stdout, "ready\nasked\n");

    // The final signal may be polite, too; SIGKILL follows after another grace.
    let options = ExecutionOptions::default()
        .stop_grace(Duration::from_millis(100))
        .final_signal(Signal::Hangup);
    let line = format!("trap '' TERM HUP; echo ready; {LONG}");
    let result = stopped_once_ready(with_grace(PATIENCE), &line, options).await;
    assert_eq!(result.containment.signal, Some(Signal::Kill));
    assert!(result.containment.took >= Duration::from_millis(200), "{result:?}");
}

#[tokio::test]
async fn sigkill_as_stop_signal_is_the_only_signal() {
    for kill in [Signal::Kill, Signal::Other(9)] {
        let options = ExecutionOptions::default().stop_signal(kill).final_signal(Signal::Hangup);
        let line = format!("trap 'echo hung up; exit' HUP; {WAIT}");
        let result = stopped_once_ready(with_grace(PATIENCE), &line, options).await;
        assert_eq!(result.stdout, "ready\n");
        assert_eq!((result.containment.signal, result.signal), (Some(Signal::Kill), Some(9)));
    }
}

#[tokio::test]
async fn stopped_program_can_handle_sigterm() {
    let recorder = Recorder::new();
    let engine = with_grace(PATIENCE).with_event_handler(recorder.clone());
    let line = "trap 'echo bye; exit 0' TERM; kill -STOP $$; echo went on without reason";
    let id = engine.execute(shell(line)).await.unwrap();
    let events = recorder.when(id, |events| !events.is_empty()).await;
    let ExecutionEvent::Started { pid, .. } = events[0] else { panic!("{events:?}") };
    until("it stands still", || state(pid) == Some('T')).await;
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.stdout, "bye\n");
    assert_eq!(result.containment.signal, Some(Signal::Terminate));
}

#[tokio::test]
async fn timeout_uses_the_stop_sequence() {
    let grace = Duration::from_millis(200);
    let line = format!("trap '' TERM; echo ready; {LONG}; {LONG}");
    let result = timed_out_once_ready(with_grace(grace), &line).await;
    assert_eq!(result.containment.signal, Some(Signal::Kill));
    assert!(result.containment.took >= grace, "{result:?}");

    let line = format!("trap 'echo bye; exit 0' TERM; {WAIT}");
    let result = timed_out_once_ready(with_grace(PATIENCE), &line).await;
    assert_eq!(result.stdout, "ready\nbye\n");
    assert_eq!((result.success, result.exit_code), (false, -1), "its exit code comes too late");
}

#[tokio::test]
async fn output_limit_uses_the_stop_sequence() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig {
            max_output_size_bytes: 10,
            oversized_output_strategy: OversizedOutputStrategy::FailExecution,
            ..Default::default()
        })
        .stop_grace(Duration::from_millis(100))
        .build()
        .unwrap();
    let line = format!("trap '' TERM; echo much more than ten; {LONG}");
    let result = soon("its end", engine.run(shell(line))).await.unwrap();
    assert_eq!(result.ending, Ending::OutputLimit { stream: OutputStream::Stdout, limit: 10 });
    assert_eq!(result.containment.signal, Some(Signal::Kill));
}

#[tokio::test]
async fn endless_writer_is_stopped() {
    let line = "trap '' TERM; echo ready; exec yes";
    let result = timed_out_once_ready(with_grace(Duration::from_millis(200)), line).await;
    assert_eq!(result.containment.signal, Some(Signal::Kill));
    assert!(result.stdout.starts_with("ready\ny\ny\n"), "{result:?}");
}

// --------------------------------------------------------------------------------- what is left behind

#[tokio::test]
async fn background_process_with_open_pipes_is_stopped() {
    let engine = engine();
    let result = soon("its end", engine.run(shell(format!("{LONG} & echo $!")))).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert!(result.duration < PATIENCE, "{result:?}");
    let receipt = &result.containment;
    assert_eq!((receipt.stopped, receipt.signal), (1, Some(Signal::Terminate)));
    assert!(!is_alive(pids(&result.stdout)[0]), "{result:?}");
}

#[tokio::test]
async fn every_process_of_a_pipeline_is_stopped() {
    let recorder = Recorder::new();
    let engine = with_grace(PATIENCE).with_event_handler(recorder.clone());
    let part = format!("sh -c 'echo $$ >&2; exec {LONG}'");
    let id = engine.execute(shell(format!("{part} | {part} | {part}"))).await.unwrap();
    let lines = |events: &[ExecutionEvent]| lines_of(events, OutputStream::Stderr);
    let ids = lines(&recorder.when(id, |events| lines(events).len() == 3).await).join("\n");
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.containment.signal, Some(Signal::Terminate), "{result:?}");
    assert!(!pids(&ids).into_iter().any(is_alive), "{result:?}");
}

#[tokio::test]
async fn escaped_process_with_open_pipes_delays_no_ending() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("pid");
    let engine =
        ExecutionEngine::builder().containment(ContainmentLevel::ProcessGroup).build().unwrap();
    let line = format!(
        "setsid sh -c 'echo $$ >{0}; exec {LONG}' & until [ -s {0} ]; do sleep 0.01; done; echo ready",
        file.display()
    );
    let result = soon("its end", engine.run(shell(line))).await.unwrap();
    assert_eq!(
        (result.ending.clone(), result.stdout.as_str()),
        (Ending::Exited { code: 0 }, "ready\n")
    );
    assert!(!result.containment.proven, "{result:?}");
    let pid = pids(&when_written(&file).await)[0];
    assert!(is_alive(pid), "it would be news if a group held it");
    kill(pid);
}
