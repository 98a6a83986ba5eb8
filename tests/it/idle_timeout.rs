//! The idle timeout: an execution without output for so long is stopped, and nothing else is.

use execution_engine::*;
use test_support::*;

const SHORT: Duration = Duration::from_millis(100);

fn idle(longest: Duration) -> ExecutionOptions {
    ExecutionOptions::default().idle_timeout(longest)
}

#[tokio::test]
async fn a_silent_program_is_stopped() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    let result = run_with(&engine, shell("echo begins; exec sleep 1000"), idle(SHORT)).await;
    assert_eq!(result.ending, Ending::IdleTimedOut { idle_timeout_ms: 100 });
    assert_eq!((result.status, result.success), (ExecutionStatus::Timeout, false));
    assert_eq!(result.error.as_deref(), Some("stopped after 100 ms without output"));
    assert_eq!((result.stdout.as_str(), result.exit_code), ("begins\n", -1));
    assert!(result.duration >= SHORT && result.containment.stopped > 0, "{result:?}");
    let events = recorder.all_of(result.id).await;
    assert!(matches!(events.last(), Some(ExecutionEvent::Timeout { timeout_ms: 100, .. })));
    let error = result.into_result().unwrap_err();
    assert_eq!(error, ExecutionError::IdleTimedOut(100));
    assert_eq!(error.error_code(), "idle_timed_out");
    assert!(error.is_ending() && error.is_retryable());
}

#[tokio::test]
async fn output_of_either_stream_puts_it_off() {
    // Longer than the idle timeout in all, and much shorter each.
    let longest = Duration::from_secs(3);
    let line = "for i in $(seq 20); do echo $i; sleep 0.1; printf . >&2; sleep 0.1; done";
    let result = run_with(&engine(), shell(line), idle(longest)).await;
    assert!(result.success && result.duration > longest, "{result:?}");
}

#[tokio::test]
async fn the_limit_that_comes_first_is_the_ending() {
    let engine = engine();
    let silent = || shell("exec sleep 1000");
    let result = run_with(&engine, silent().timeout(SHORT), idle(PATIENCE)).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 100 });
    let result = run_with(&engine, silent().timeout(PATIENCE), idle(SHORT)).await;
    assert_eq!(result.ending, Ending::IdleTimedOut { idle_timeout_ms: 100 });
    let result = run_with(&engine, shell("sleep 0.3; exit 4"), idle(PATIENCE)).await;
    assert_eq!(result.ending, Ending::Exited { code: 4 });
}

#[tokio::test]
async fn a_pause_is_no_silence() {
    let engine = engine();
    let longest = Duration::from_secs(2);
    let id = engine.execute_with(shell("exec sleep 1000"), idle(longest)).await.unwrap();
    engine.pause(id).await.unwrap();
    pause(longest + Duration::from_millis(500)).await;
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
    engine.resume(id).await.unwrap();
    assert_eq!(ended(&engine, id).await.ending, Ending::IdleTimedOut { idle_timeout_ms: 2000 });
}

#[tokio::test]
async fn each_attempt_has_its_own() {
    let engine = engine();
    let policy = RetryPolicy::new(2).initial_delay(Duration::ZERO).retry_on([RetryOn::Timeout]);
    let result = run_with(&engine, shell("exec sleep 1000"), idle(SHORT).retry(policy)).await;
    let ending = Ending::IdleTimedOut { idle_timeout_ms: 100 };
    assert_eq!((&result.ending, result.attempts), (&ending, 2));
    assert_eq!(result.earlier_attempts[0].ending, ending);
}

#[tokio::test]
async fn steps_of_plans_have_it() {
    let engine = engine();
    let plan = ExecutionPlan::serial([shell("exec sleep 1000")]);
    let options = PlanOptions::default().defaults(idle(SHORT));
    let id = engine.execute_plan(PlanSpec::new(plan, options)).await.unwrap();
    let result = soon("the end of the plan", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.results[0].ending, Ending::IdleTimedOut { idle_timeout_ms: 100 });
}

#[tokio::test]
async fn zero_is_refused_and_the_maximum_is_no_limit() {
    let engine = engine();
    let zero = serde_json::from_str(r#"{"idle_timeout_ms":0}"#).unwrap();
    let refused = engine.execute_with(shell("true"), zero).await.unwrap_err();
    assert_eq!(refused.error_code(), "invalid_option");
    assert!(refused.to_string().contains("idle_timeout_ms"), "{refused}");
    assert_eq!(idle(Duration::from_nanos(1)).idle_timeout_ms, Some(1));
    assert_eq!(idle(Duration::MAX).idle_timeout_ms, Some(u64::MAX));
    assert!(run_with(&engine, shell("sleep 0.2"), idle(Duration::MAX)).await.success);
}
