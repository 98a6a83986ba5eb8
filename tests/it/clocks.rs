//! Timeouts on each clock.

use std::fs;

use execution_engine::*;
use test_support::*;

fn on(clock: TimeoutClock) -> ExecutionEngine {
    ExecutionEngine::builder().timeout_clock(clock).build().unwrap()
}

#[tokio::test]
async fn timeouts_and_deadlines_are_reached_on_each_clock() {
    for clock in [TimeoutClock::Monotonic, TimeoutClock::Boottime] {
        let engine = on(clock);
        let request = shell("exec sleep 1000").timeout(Duration::from_millis(50));
        let result = soon("the timeout", engine.run(request)).await.unwrap();
        assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 50 }, "{clock:?}");
        assert!(result.duration >= Duration::from_millis(50), "{clock:?}");

        let options = PlanOptions::default().deadline(Duration::from_millis(50));
        let plan = ExecutionPlan::serial([shell("exec sleep 1000")]);
        let plan = engine.run_plan(PlanSpec::new(plan, options));
        let result = soon("the deadline", plan).await.unwrap();
        assert_eq!(result.ending, PlanEnding::DeadlineReached { deadline_ms: 50 }, "{clock:?}");
    }
}

#[tokio::test]
async fn pause_stops_a_timeout_on_each_clock() {
    for clock in [TimeoutClock::Monotonic, TimeoutClock::Boottime] {
        let engine = on(clock);
        let request = shell("exec sleep 1000").timeout(Duration::from_millis(300));
        let id = engine.execute(request).await.unwrap();
        engine.pause(id).await.unwrap();
        pause(Duration::from_millis(600)).await;
        assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running), "{clock:?}");
        engine.resume(id).await.unwrap();
        let result = soon("the timeout", engine.wait_for_completion(id)).await.unwrap();
        assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 300 }, "{clock:?}");
    }
}

/// Returns how many timers on the clock that goes on while the system sleeps this process waits on.
#[cfg(target_os = "linux")]
fn boottime_timers() -> usize {
    const CLOCK_BOOTTIME: &str = "clockid: 7";
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let is_timer = |info: &std::io::Result<fs::DirEntry>| {
        let text = info.as_ref().ok().and_then(|info| fs::read_to_string(info.path()).ok());
        text.is_some_and(|text| text.contains(CLOCK_BOOTTIME))
    };
    infos.filter(is_timer).count()
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn timeout_on_boottime_waits_on_a_timer_of_that_clock() {
    if host::passed_apart(test_name!()).await {
        return;
    }
    let id = {
        let engine = on(TimeoutClock::Boottime);
        let unlimited = engine.execute(shell("exec sleep 1000")).await.unwrap();
        until("there is a timer", || boottime_timers() == 1).await;
        engine.cancel(unlimited).await.unwrap();
        unlimited
    };
    until("there is none", || boottime_timers() == 0).await;
    let monotonic = on(TimeoutClock::Monotonic);
    let runs = monotonic.start(shell("echo here; exec sleep 1000").id(id)).await.unwrap();
    let mut events = runs.events().await.unwrap();
    soon("a line", async {
        while !matches!(events.next().await.unwrap().event, ExecutionEvent::Stdout { .. }) {}
    })
    .await;
    assert_eq!(boottime_timers(), 0);
}
