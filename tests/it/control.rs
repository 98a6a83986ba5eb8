//! Signals, pauses and shutdown of running executions, at each level.

use std::path::Path;
use std::time::Instant;

use execution_engine::*;
use tempfile::TempDir;
use test_support::levels::{engine_at, levels};
use test_support::lifeline::{Lifeline, holding};
use test_support::*;

/// Longer than any test: a test in which it applies fails.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Starts a line in a directory and waits until it has made the file `ready`.
async fn start(engine: &ExecutionEngine, home: &Path, line: &str) -> Uuid {
    start_with(engine, home, line, ExecutionOptions::default()).await
}

async fn start_with(
    engine: &ExecutionEngine,
    home: &Path,
    line: &str,
    options: ExecutionOptions,
) -> Uuid {
    let request = shell(line).working_dir(home);
    let id = engine.execute_with(request, options).await.unwrap();
    when_written(&home.join("ready")).await;
    std::fs::remove_file(home.join("ready")).unwrap();
    id
}

// ------------------------------------------------------------------------------------------- signals

#[tokio::test]
async fn signal_after_the_exit_reports_already_ended() {
    // The background process keeps writing, so that the drain takes a while.
    let builder = ExecutionEngine::builder().drain_limit(Duration::from_millis(500));
    let engine = builder.stop_grace(Duration::from_millis(200)).build().unwrap();
    let id = engine.execute(shell("yes & sleep 0.1; exit 3")).await.unwrap();
    let error = soon("a refusal", async {
        loop {
            if let Err(error) = engine.signal(id, Signal::Continue).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error, ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Failed });
    ended(&engine, id).await;
}

#[tokio::test]
async fn signal_reaches_every_process_of_the_tree_once() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let engine = engine_at(level);
        // Each of three processes counts its signals. The third has left the group.
        let count = "n=0; trap 'n=$((n+1)); echo $n >$0.$n' USR1; trap 'exit 0' USR2; \
                     echo up >$0; until false; do sleep 0.01; done";
        let line = "sh -c \"$0\" one & setsid sh -c \"$0\" two & \
                    until [ -s one ] && [ -s two ]; do sleep 0.01; done; \
                    trap 'echo 1 >main' USR1; trap 'exit 0' USR2; \
                    echo ready >ready; until false; do sleep 0.01; done";
        let request = ExecutionRequest::exec("sh", ["-c", line, count]).working_dir(home.path());
        let id = engine.execute(request).await.unwrap();
        when_written(&home.path().join("ready")).await;

        let out_of_reach = level == ContainmentLevel::ProcessGroup;
        let reached = engine.signal(id, Signal::User1).await.unwrap();
        assert!(reached >= if out_of_reach { 2 } else { 3 }, "{level}: {reached}");
        when_written(&home.path().join("main")).await;
        when_written(&home.path().join("one.1")).await;
        if !out_of_reach {
            when_written(&home.path().join("two.1")).await;
        }
        engine.signal(id, Signal::User2).await.unwrap();
        ended(&engine, id).await;
        assert!(!home.path().join("one.2").exists(), "{level}: it came twice");
        assert!(!home.path().join("two.2").exists(), "{level}: it came twice");
        if out_of_reach {
            let two = home.path().join("two");
            end_those_in(&two);
        }
    }
}

/// Ends escaped processes: those in the directory of a file.
fn end_those_in(file: &Path) {
    let home = file.parent().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let is_there = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|dir| dir == home);
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw).filter(|_| is_there) {
            // It may be ending.
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[tokio::test]
async fn control_of_ended_or_unknown_executions_is_refused() {
    let engine = engine();
    let id = engine.execute(shell("exit 0")).await.unwrap();
    ended(&engine, id).await;
    let late = engine.signal(id, Signal::Terminate).await;
    assert_eq!(late, Err(ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Completed }));
    assert_eq!(engine.pause(id).await.unwrap_err(), late.unwrap_err());
    let unknown = Uuid::new_v4();
    assert_eq!(engine.resume(unknown).await, Err(ExecutionError::NotFound(unknown)));
    let no_signal = engine.signal(id, Signal::Other(99)).await.unwrap_err();
    assert!(no_signal.to_string().contains("99"), "{no_signal}");
}

// -------------------------------------------------------------------------------------------- pauses

/// A family whose members count in files of their own.
const COUNTING: &str = "count() { n=0; until false; do n=$((n+1)); echo $n >$1; sleep 0.01; done; }; \
                        (count one) & (count two) & echo ready >ready; count three";

fn counted(home: &Path) -> Vec<String> {
    ["one", "two", "three"]
        .map(|file| std::fs::read_to_string(home.join(file)).unwrap_or_default())
        .into()
}

/// Waits until no member counts any more: a pause takes a moment to reach all of them.
async fn stands_still(home: &Path) {
    let mut before = counted(home);
    let mut times = 0;
    until("it stands still", || {
        let now = counted(home);
        times = if now == before { times + 1 } else { 0 };
        before = now;
        times > 40
    })
    .await;
}

#[tokio::test]
async fn pause_stops_the_tree_and_its_timeout() {
    let check = async |level| {
        // On a busy machine the pause may come too late for a short timeout.
        for seconds in [1, 4, 16, 64] {
            if pause_outlasts_timeout(level, Duration::from_secs(seconds)).await {
                return;
            }
        }
        panic!("the pause always came too late");
    };
    futures_util::future::join_all(levels().into_iter().map(check)).await;
}

/// Pauses a tree for longer than its timeout; returns `false` if the pause came too late.
async fn pause_outlasts_timeout(level: ContainmentLevel, timeout: Duration) -> bool {
    let home = TempDir::new().unwrap();
    let engine = engine_at(level);
    let start = Instant::now();
    let request = shell(COUNTING).working_dir(home.path()).timeout(timeout);
    let id = engine.execute(request).await.unwrap();
    let ready = home.path().join("ready");
    tokio::select! {
        _ = when_written(&ready) => {}
        _ = ended(&engine, id) => return false,
    }
    if engine.pause(id).await.is_err() || start.elapsed() > timeout / 2 {
        return false;
    }
    engine.pause(id).await.expect("pausing twice changes nothing");
    stands_still(home.path()).await;
    let still = counted(home.path());
    // Another execution with the same timeout starts now and is timed out before the pause ends.
    let other = run(&engine, shell("sleep 300").timeout(timeout)).await;
    assert_eq!(other.status, ExecutionStatus::Timeout);
    assert_eq!(counted(home.path()), still, "{level}");
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running, "{level}");
    engine.resume(id).await.unwrap();
    until("all continue", || {
        counted(home.path()).iter().zip(&still).all(|(now, then)| now != then)
    })
    .await;
    let result = ended(&engine, id).await;
    assert_eq!(result.status, ExecutionStatus::Timeout);
    assert!(result.duration > 2 * timeout, "{level}: {:?}", result.duration);
    true
}

#[tokio::test]
async fn pause_ends_at_max_pause() {
    for level in levels() {
        let builder = ExecutionEngine::builder().containment(level);
        let engine = builder.max_pause(Duration::from_millis(200)).build().unwrap();
        let home = TempDir::new().unwrap();
        let line = format!("echo ready >ready; {}; echo on", wait_for(&home.path().join("go")));
        let id = start(&engine, home.path(), &line).await;
        engine.pause(id).await.unwrap();
        std::fs::write(home.path().join("go"), "").unwrap();
        assert_eq!(ended(&engine, id).await.stdout, "on\n", "{level}");
    }
}

#[tokio::test]
async fn sigcont_ends_a_pause() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let engine = engine_at(level);
        let line = format!("echo ready >ready; {}; echo on", wait_for(&home.path().join("go")));
        for signal in [Signal::Continue, Signal::Other(Signal::Continue.number())] {
            let id = start(&engine, home.path(), &line).await;
            engine.pause(id).await.unwrap();
            engine.signal(id, signal).await.unwrap();
            std::fs::write(home.path().join("go"), "").unwrap();
            assert_eq!(ended(&engine, id).await.stdout, "on\n", "{level} {signal:?}");
            std::fs::remove_file(home.path().join("go")).unwrap();
        }
    }
}

#[tokio::test]
async fn paused_execution_can_handle_a_cancel() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let builder = ExecutionEngine::builder().containment(level);
        let engine = builder.stop_grace(ENDLESS).build().unwrap();
        let line =
            "trap 'echo tidy; exit 0' TERM; echo ready >ready; until false; do sleep 0.01; done";
        let id = start(&engine, home.path(), &holding(home.path(), line)).await;
        engine.pause(id).await.unwrap();
        engine.cancel(id).await.unwrap();
        let result = ended(&engine, id).await;
        assert_eq!(
            (result.ending, result.stdout.as_str()),
            (Ending::Cancelled, "tidy\n"),
            "{level}"
        );
        assert!(life.is_cut(), "{level}");
    }
}

#[tokio::test]
async fn kill_after_a_pause_reaches_every_process() {
    for level in levels() {
        let engine = engine_at(level);
        for _ in 0..20 {
            let home = TempDir::new().unwrap();
            let line = "sleep 300 & sleep 300 & echo ready >ready; wait";
            let id = start(&engine, home.path(), line).await;
            engine.pause(id).await.unwrap();
            engine.resume(id).await.unwrap();
            assert_eq!(engine.signal(id, Signal::Kill).await.unwrap(), 3, "{level}");
            let result = ended(&engine, id).await;
            let killed = Ending::Signaled { signal: 9, core_dumped: false };
            assert_eq!(result.ending, killed, "{level}");
        }
    }
}

/// A group that was frozen when its last member was killed must not freeze the next execution.
#[tokio::test]
async fn kill_during_a_pause_leaves_no_frozen_group() {
    for level in levels() {
        let recorder = Recorder::new();
        let engine = engine_at(level).with_event_handler(recorder.clone());
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let line = holding(home.path(), "sleep 300 & echo ready >ready; sleep 300");
        let id = start(&engine, home.path(), &line).await;
        engine.pause(id).await.unwrap();
        let events = recorder.when(id, |events| !events.is_empty()).await;
        let Some(ExecutionEvent::Started { pid, .. }) = events.first() else {
            panic!("{events:?}")
        };
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let result = ended(&engine, id).await;
        assert_eq!(result.ending, Ending::Signaled { signal: 9, core_dumped: false }, "{level}");
        assert!(life.is_cut(), "{level}: {:?}", result.containment);
        for _ in 0..3 {
            let next = soon("the next", engine.run(shell("echo lives"))).await.unwrap();
            assert_eq!(next.stdout, "lives\n", "{level}");
        }
    }
}

// ------------------------------------------------------------------------------------------ shutdown

#[tokio::test]
async fn shutdown_ends_and_reports_every_execution() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let builder = ExecutionEngine::builder().containment(level);
        let engine = builder.stop_grace(ENDLESS).build().unwrap();
        let deaf = "trap '' TERM; sleep 300 & echo ready >ready; until false; do sleep 1; done";
        let deaf = start(&engine, home.path(), &holding(home.path(), deaf)).await;
        let paused = start(&engine, home.path(), "echo ready >ready; sleep 300").await;
        engine.pause(paused).await.unwrap();
        let over = engine.run(shell("true")).await.unwrap().id;
        // This one is in its stop sequence already, with an hour of grace.
        let late = start(
            &engine,
            home.path(),
            "trap '' TERM; echo ready >ready; until false; do sleep 1; done",
        )
        .await;
        engine.cancel(late).await.unwrap();

        let grace = Duration::from_millis(300);
        let report = soon("the shutdown", engine.shutdown(grace)).await;
        let mut ended: Vec<_> = report.ended.iter().map(|summary| summary.id).collect();
        ended.sort();
        let mut expected = [deaf, paused, late];
        expected.sort();
        assert_eq!(ended, expected, "{level}");
        assert!(!ended.contains(&over));
        assert!(report.survivors.is_empty(), "{report:?}");
        assert!(report.took >= grace, "{report:?}");
        assert!(life.is_cut(), "{level}");
        let deaf = engine.get_result(deaf).await.unwrap().unwrap();
        assert_eq!(deaf.ending, Ending::EngineClosed);
        assert_eq!(deaf.containment.signal, Some(Signal::Kill));
        let late = engine.get_result(late).await.unwrap().unwrap();
        assert_eq!(late.ending, Ending::Cancelled, "the first cause wins");
        let refused = engine.execute(shell("true")).await;
        assert_eq!(refused, Err(ExecutionError::ShuttingDown));
        let again = soon("a second shutdown", engine.shutdown(grace)).await;
        assert!(again.ended.is_empty());
    }
}

#[tokio::test]
async fn sigkill_follows_a_chosen_final_signal() {
    for level in levels() {
        let home = TempDir::new().unwrap();
        let options = ExecutionOptions::default()
            .stop_signal(Signal::Interrupt)
            .final_signal(Signal::User1)
            .stop_grace(Duration::from_millis(300));
        let line = "trap 'echo int' INT; trap 'echo usr1' USR1; echo ready >ready; \
                    until false; do sleep 0.01; done";
        let engine = engine_at(level);
        let id = start_with(&engine, home.path(), line, options).await;
        engine.cancel(id).await.unwrap();
        let result = ended(&engine, id).await;
        assert_eq!(result.stdout, "int\nusr1\n", "{level}");
        assert_eq!(result.signal, Some(9));
        assert_eq!(result.containment.signal, Some(Signal::Kill));
    }
}

// ---------------------------------------------------------------------------------- left on purpose

#[tokio::test]
async fn leftovers_are_stopped_or_reported_as_configured() {
    for level in levels() {
        let engine = engine_at(level);
        let home = TempDir::new().unwrap();
        let life = Lifeline::new(home.path());
        let line = holding(home.path(), "sleep 300 >/dev/null 2>&1 & echo $!");

        let stopped = engine.run(shell(&line)).await.unwrap();
        assert_eq!(stopped.ending, Ending::Exited { code: 0 });
        assert!(life.is_cut() && stopped.containment.stopped == 1, "{level}: {stopped:?}");
        assert!(stopped.containment.left_running.is_empty());

        let options = ExecutionOptions::default().leftovers(Leftovers::Leave);
        let id = engine.execute_with(shell(&line), options).await.unwrap();
        let left = ended(&engine, id).await;
        let receipt = &left.containment;
        assert_eq!((receipt.stopped, receipt.signal, receipt.survivors.len()), (0, None, 0));
        let pid: u32 = left.stdout.trim().parse().unwrap();
        // It has the name of the shell until it executes its own program.
        let named = |one: &Survivor| one.pid == pid && ["sh", "sleep"].contains(&one.name.as_str());
        assert!(matches!(&receipt.left_running[..], [one] if named(one)), "{level}: {receipt:?}");
        drop(engine);
        assert!(is_alive(pid), "{level}: it lives on without its engine");
        life.end_all().await;
    }
}

// ---------------------------------------------------------------------------------------- the receipt

#[tokio::test]
async fn terminal_record_has_the_receipt() {
    for level in levels() {
        let engine = engine_at(level);
        let id = engine.execute(shell("echo one; sleep 300 & exit 3")).await.unwrap();
        let mut live = engine.subscribe(id).await.unwrap();
        let result = ended(&engine, id).await;
        assert_eq!(result.containment.stopped, 1, "{level}: {:?}", result.containment);
        let mut late = engine.subscribe(id).await.unwrap();
        for watch in [&mut live, &mut late] {
            let mut last = None;
            while let Some(record) = soon("a record", watch.next()).await {
                assert_eq!(record.containment.is_some(), record.event.is_terminal(), "{record:?}");
                last = record.containment;
            }
            assert_eq!(last.as_deref(), Some(&result.containment), "{level}");
        }
    }
}

#[tokio::test]
async fn requests_are_answered_that_came_while_the_start_was_retried() {
    let home = TempDir::new().unwrap();
    let program = home.path().join("program");
    std::fs::copy("/bin/sleep", &program).unwrap();
    // The system does not start a file that is open for writing.
    let writer = std::fs::OpenOptions::new().append(true).open(&program).unwrap();
    let engine = engine();
    let running = engine.start(exec(&program).arg("1000")).await.unwrap();
    assert_eq!(running.status().await, Ok(ExecutionStatus::Pending));
    let asked = tokio::spawn({
        let running = running.clone();
        async move { running.signal(Signal::Terminate).await }
    });
    pause(Duration::from_millis(20)).await;
    drop(writer);
    assert_eq!(soon("the answer", asked).await.unwrap(), Ok(1));
    let result = soon("its end", running.wait()).await.unwrap();
    assert!(matches!(result.ending, Ending::Signaled { .. }), "{:?}", result.ending);
}
