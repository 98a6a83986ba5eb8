//! Processes that a program leaves behind, and the wait for them.

use execution_engine::*;
use test_support::*;

fn wait(longest: Duration) -> ExecutionOptions {
    ExecutionOptions::default().leftovers_wait(longest)
}

/// Exits at once and leaves a process that writes a line later.
const WRITES_LATER: &str = "(sleep 0.3; echo late) & echo now";
/// Exits at once and leaves a process that stays.
const STAYS: &str = "sleep 300 & echo now";

#[tokio::test]
async fn they_may_end_by_themselves() {
    let result = run_with(&engine(), shell(WRITES_LATER), wait(PATIENCE)).await;
    assert_eq!((result.stdout.as_str(), result.success), ("now\nlate\n", true));
    assert_eq!((result.containment.stopped, result.containment.signal), (0, None));
    let at_once = run(&engine(), shell(WRITES_LATER)).await;
    assert_eq!((at_once.stdout.as_str(), at_once.success), ("now\n", true));
}

#[tokio::test]
async fn after_the_wait_they_are_stopped_or_left_as_configured() {
    let short = wait(Duration::from_millis(50));
    let result = run_with(&engine(), shell(STAYS), short.clone()).await;
    assert_eq!((result.ending, result.containment.stopped), (Ending::Exited { code: 0 }, 1));

    let line = "sleep 2 & echo now";
    let result = run_with(&engine(), shell(line), short.leftovers(Leftovers::Leave)).await;
    assert_eq!((result.containment.stopped, result.containment.left_running.len()), (0, 1));
}

/// Waits until the program of an execution has ended, as its engine knows: signals are refused then.
async fn exits(engine: &ExecutionEngine, id: Uuid) {
    soon("its exit", async {
        while engine.signal(id, Signal::Continue).await.is_ok() {
            pause(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancel_and_a_shutdown_end_the_wait() {
    let engine = engine();
    let start = || engine.execute_with(shell(STAYS), wait(NEVER));
    let id = start().await.unwrap();
    exits(&engine, id).await;
    let too_late = engine.cancel(id).await;
    assert!(matches!(too_late, Err(ExecutionError::AlreadyEnded { .. })), "{too_late:?}");
    let result = ended(&engine, id).await;
    assert_eq!((result.ending, result.containment.stopped), (Ending::Exited { code: 0 }, 1));

    let id = start().await.unwrap();
    exits(&engine, id).await;
    soon("the shutdown", engine.shutdown(Duration::ZERO)).await;
    assert_eq!(ended(&engine, id).await.ending, Ending::Exited { code: 0 });
}

const NEVER: Duration = Duration::from_secs(100_000);

#[tokio::test]
async fn only_a_last_attempt_waits() {
    let policy = RetryPolicy::new(2).initial_delay(Duration::ZERO);
    let line = format!("{STAYS}; exit 1");
    let options = wait(Duration::from_millis(50)).retry(policy);
    let result = run_with(&engine(), shell(line), options).await;
    assert_eq!((result.attempts, result.stdout.as_str()), (2, "now\n"));
    assert_eq!(result.earlier_attempts[0].containment.stopped, 1);
}

#[tokio::test]
async fn the_deadline_of_a_plan_and_its_cancel_end_the_wait() {
    let engine = engine();
    let plan = |options: PlanOptions| {
        let plan = ExecutionPlan::serial([shell(STAYS)]);
        PlanSpec::new(plan, options.defaults(wait(NEVER)))
    };
    let deadline = PlanOptions::default().deadline(Duration::from_secs(2));
    let result = soon("its end", engine.run_plan(plan(deadline))).await.unwrap();
    assert_eq!(result.results[0].ending, Ending::Exited { code: 0 });

    let plan = plan(PlanOptions::default());
    let step = plan.plan.commands[0].id;
    let id = engine.execute_plan(plan).await.unwrap();
    soon("its start", async {
        while engine.get_status(step).await != Ok(ExecutionStatus::Running) {
            pause(Duration::from_millis(5)).await;
        }
    })
    .await;
    exits(&engine, step).await;
    let too_late = engine.cancel_plan(id).await;
    assert!(matches!(too_late, Err(ExecutionError::AlreadyEnded { .. })), "{too_late:?}");
    let result = soon("its end", engine.wait_for_plan(id)).await.unwrap();
    assert_eq!(result.results[0].containment.stopped, 1);
}
