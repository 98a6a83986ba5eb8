//! What programs inherit from the thread that submits them, whenever they start.

use std::fs::{self, OpenOptions};
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host;
use test_support::levels::announce;
use test_support::*;

/// Writes what a program has inherited to the end of a file.
fn reporting(to: &Path) -> String {
    format!(
        "{{ sed -n 's/^Cpus_allowed_list://p' /proc/self/status; cut -d ' ' -f 19 /proc/self/stat; \
         readlink /proc/self/ns/uts; }} | tr '\\n\\t' '  ' >>'{0}'; echo >>'{0}'",
        to.display()
    )
}

/// Makes this thread differ from all others: one processor, a nice value of 7, namespaces of its own
/// where that is allowed.
fn become_special() {
    // SAFETY: The calls take numbers, and a set of processors that lives for that long. They affect
    // this thread alone.
    unsafe {
        let mut first: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut first);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const first), 0);
        assert_eq!(libc::setpriority(libc::PRIO_PROCESS, 0, 7), 0);
        if libc::unshare(libc::CLONE_NEWUTS) != 0 {
            announce("SKIPPED: namespaces of a thread, for there can be none here");
        }
    }
}

/// Runs `submit` on a thread that differs from all others.
fn on_special_thread<T: Send>(submit: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_special();
            submit()
        });
        thread.join().unwrap()
    })
}

/// Checks that all reports of a file are alike, and that they are of a special thread.
async fn assert_special(engine: &ExecutionEngine, file: &Path, expected: usize) {
    let text = fs::read_to_string(file).unwrap();
    let reports: Vec<_> = text.lines().collect();
    let alike = reports.iter().all(|report| *report == reports[0]);
    assert!(reports.len() == expected && alike, "{text}");
    let usual = run(engine, shell(reporting(&file.with_extension("usual")))).await;
    assert!(usual.success, "{usual:?}");
    let usual = fs::read_to_string(file.with_extension("usual")).unwrap();
    let words = |report: &str| report.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let (usual, special) = (words(&usual), words(reports[0]));
    assert_eq!(special[..2], ["0", "7"], "{text}");
    assert_ne!(usual[1], "7");
    assert!(usual[2] != special[2] || !host::can_unshare(&["--uts"]), "{text}");
}

#[tokio::test]
async fn all_attempts_inherit_from_the_submitting_thread() {
    let (engine, home) = (engine(), TempDir::new().unwrap());
    run(&engine, shell("true")).await;
    let file = home.path().join("attempts");
    let retry = RetryPolicy::new(3).initial_delay(Duration::from_millis(1));
    let options = ExecutionOptions::default().retry(retry);
    let request = shell(format!("{}; exit 1", reporting(&file)));
    let id = on_special_thread(|| at_once(engine.execute_with(request, options))).unwrap();
    ended(&engine, id).await;
    assert_special(&engine, &file, 3).await;
}

#[tokio::test]
async fn start_that_is_tried_again_inherits_from_the_submitting_thread() {
    let (engine, home) = (engine(), TempDir::new().unwrap());
    run(&engine, shell("true")).await;
    let file = home.path().join("late");
    let program = home.path().join("program");
    executable(&program, format!("#!/bin/sh\n{}\n", reporting(&file)));
    let busy = OpenOptions::new().append(true).open(&program).unwrap();
    let request = exec(&program);
    let id = on_special_thread(|| at_once(engine.execute(request))).unwrap();
    assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Pending);
    drop(busy);
    assert!(ended(&engine, id).await.success);
    assert_special(&engine, &file, 1).await;
}

#[tokio::test]
async fn queued_executions_inherit_from_the_submitting_thread() {
    let home = TempDir::new().unwrap();
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..Default::default() })
        .admission(Admission::Queue { max_waiting: 100 })
        .build()
        .unwrap();
    let go = home.path().join("go");
    let holder = engine.execute(shell(wait_for(&go))).await.unwrap();
    let file = home.path().join("queued");
    let submit = || at_once(engine.execute(shell(reporting(&file)))).unwrap();
    let ids: Vec<_> = on_special_thread(|| (0..5).map(|_| submit()).collect());
    assert_eq!(engine.waiting_count().await, 5);
    fs::write(go, "").unwrap();
    for id in ids.into_iter().chain([holder]) {
        assert!(ended(&engine, id).await.success);
    }
    assert_special(&engine, &file, 5).await;
}

#[tokio::test]
async fn steps_inherit_from_the_thread_that_submits_the_plan() {
    let (engine, home) = (engine(), TempDir::new().unwrap());
    run(&engine, shell("true")).await;
    let file = home.path().join("steps");
    let plan = ExecutionPlan::serial((0..3).map(|_| shell(reporting(&file))));
    let id = on_special_thread(|| at_once(engine.execute_plan(plan))).unwrap();
    soon("its end", engine.wait_for_plan(id)).await.unwrap();
    assert_special(&engine, &file, 3).await;
    let starters = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("execution-start")).count()
    };
    until("no thread is left that was made for this", || starters() == 0).await;
}
