//! System calls per execution, which do not depend on the load of the machine: those of the host, and
//! those of the child until it executes its program.
//!
//! `strace` counts them in another process of this test. Without it the test is skipped with a notice.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::collections::BTreeMap;

use execution_engine::*;
use test_support::levels::{level_named, name_of};
use test_support::*;

/// System calls that one `true` may cost, its output captured.
struct Budget {
    level: ContainmentLevel,
    /// Of the host's threads, but for those of the scheduler.
    host: f64,
    /// Of the child, up to the one that makes it the program.
    child: f64,
}

/// Budgets of the debug build, which `cargo test` uses. In the release build the host makes fewer calls:
/// about 30 at both levels (docs/performance.md).
const BUDGETS: [Budget; 2] = [
    Budget { level: ContainmentLevel::Cgroup, host: 39.0, child: 70.0 },
    Budget { level: ContainmentLevel::ProcessGroup, host: 37.0, child: 72.0 },
];

/// Calls that depend on the scheduler, which lets threads sleep and wake, or on the allocator.
const NOT_COUNTED: [&str; 6] =
    ["futex", "epoll_wait", "sched_yield", "restart_syscall", "madvise", "mprotect"];

/// Runs executions one after the other in the process that is counted.
async fn run_executions(level: ContainmentLevel, runs: u32) {
    let engine = ExecutionEngine::builder().containment(level).build().unwrap();
    for _ in 0..runs {
        assert!(run(&engine, exec("true")).await.success);
    }
}

#[tokio::test]
async fn system_calls_per_execution_stay_within_budget() {
    if let Some(words) = host::role() {
        return run_executions(level_named(&words[0]), words[1].parse().unwrap()).await;
    }
    for budget in &BUDGETS {
        if let Err(error) = ExecutionEngine::builder().containment(budget.level).build() {
            eprintln!("SKIPPED: no {} here: {error}", budget.level);
            continue;
        }
        let (few, many) = (10, 60);
        let (Some(calls_of_few), Some(calls_of_many)) =
            (counted(few, budget.level).await, counted(many, budget.level).await)
        else {
            return;
        };
        let each = |who: Who| {
            // Calls that are made once per process or engine are in both.
            let more = |(name, count): (&String, &u32)| {
                let count = count.saturating_sub(*calls_of_few[&who].get(name).unwrap_or(&0));
                (name.clone(), f64::from(count) / f64::from(many - few))
            };
            calls_of_many[&who].iter().map(more).filter(|(_, each)| *each > 0.0).collect()
        };
        judge("the host", budget.level, &each(Who::Host), budget.host);
        judge("the child", budget.level, &each(Who::Child), budget.child);
    }
}

fn judge(who: &str, level: ContainmentLevel, calls: &BTreeMap<String, f64>, budget: f64) {
    let total: f64 = calls.values().sum();
    println!("{who} with a {level}: {total:.2} system calls, {budget} at most: {calls:.2?}");
    assert!(total <= budget, "{who} with a {level}: {total} > {budget}, namely {calls:#.2?}");
    assert!(total > 1.0, "nothing was counted");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Host,
    Child,
}

type Calls = BTreeMap<Who, BTreeMap<String, u32>>;

/// Returns the calls of a process with a number of executions; `None` where `strace` does not work.
async fn counted(runs: u32, level: ContainmentLevel) -> Option<Calls> {
    let dir = tempfile::tempdir().unwrap();
    let me = std::env::current_exe().unwrap().display().to_string();
    let traces = dir.path().join("of").display().to_string();
    let test = "system_calls_per_execution_stay_within_budget";
    let role = format!("{} {runs}", name_of(level));
    let request = host::request_through(&["strace", "-ff", "-o", &traces], test, &role)
        // The number of searched directories is part of the cost, so it must not vary.
        .env("PATH", "/usr/bin:/bin");
    let result = match soon("strace", engine().run(request)).await {
        Ok(result) => result,
        Err(ExecutionError::Validation(ValidationError::ProgramNotFound { .. })) => {
            eprintln!("SKIPPED: system calls are not counted, for strace is not installed");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    if !result.success && result.stderr.to_ascii_lowercase().contains("ptrace") {
        eprintln!("SKIPPED: system calls are not counted, for {}", result.stderr);
        return None;
    }
    host::assert_passed(&Ok(result));
    let traces: BTreeMap<String, String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|trace| {
            let path = trace.unwrap().path();
            let id = path.extension().unwrap().display().to_string();
            (id, String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned())
        })
        .collect();
    Some(added_up(&traces, &me))
}

/// Adds up the calls of the host's threads and those of its children. The host guard is neither:
/// how often it looks around depends on the scheduler.
fn added_up(traces: &BTreeMap<String, String>, host: &str) -> Calls {
    let mut calls = BTreeMap::from([(Who::Host, BTreeMap::new()), (Who::Child, BTreeMap::new())]);
    let begins = format!("execve(\"{host}\"");
    let main = traces.iter().find(|(_, trace)| trace.starts_with(&begins)).expect("its first call");
    let mut threads = vec![main.0.as_str()];
    let mut at = 0;
    while let Some(thread) = threads.get(at) {
        let calls = traces.get(*thread).map_or("", String::as_str);
        let started = calls.lines().filter(|line| line.contains("CLONE_THREAD"));
        threads.extend(started.filter_map(|line| Some(line.rsplit_once("= ")?.1.trim())));
        at += 1;
    }
    for (id, trace) in traces {
        let names = trace.lines().filter_map(|line| Some(line.split_once('(')?.0));
        let names: Vec<_> = names.collect();
        if threads.contains(&id.as_str()) {
            count(&mut calls, Who::Host, &names);
        } else if let Some(calls_before) = before_its_program(&names) {
            count(&mut calls, Who::Child, calls_before);
        }
    }
    calls
}

/// Returns the calls of a child of the engine until it executes its program. Only such a child closes
/// descriptors.
fn before_its_program<'a>(names: &'a [&'a str]) -> Option<&'a [&'a str]> {
    let at = names.iter().position(|name| *name == "execve")?;
    let calls = &names[..=at];
    calls.contains(&"close_range").then_some(calls)
}

fn count(calls: &mut Calls, who: Who, names: &[&str]) {
    let counts = calls.entry(who).or_default();
    for name in names.iter().filter(|name| !NOT_COUNTED.contains(name)) {
        *counts.entry((*name).to_string()).or_default() += 1;
    }
}
