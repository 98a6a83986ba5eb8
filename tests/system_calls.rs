//! System calls per execution, which do not depend on the load of the machine: those of the host, and
//! those of the child until it executes its program.
//!
//! Each execution makes a whole number of each call. What is made now and then, because a second has
//! passed or a thread has ended, adds fractions that depend on the load. So the average of each call is
//! rounded to a whole number, which is exact, and the fractions together have a wide bound of their own.
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
    host: u32,
    /// Of the child, up to the one that makes it the program.
    child: u32,
}

/// Budgets of the debug build, which `cargo test` uses. In the release build the host makes fewer calls:
/// about 30 at both levels (docs/performance.md).
const BUDGETS: [Budget; 2] = [
    Budget { level: ContainmentLevel::Cgroup, host: 38, child: 70 },
    Budget { level: ContainmentLevel::ProcessGroup, host: 35, child: 71 },
];

/// Budget of a child on a system without `close_range`, in a host with some twenty descriptors.
const WITHOUT_CLOSE_RANGE: u32 = 110;

/// What calls that are not made by each execution may add to the average.
const NOW_AND_THEN: f64 = 2.0;

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
    // A child has to close what it inherits, and must not try each number that a descriptor can have.
    let level = ContainmentLevel::ProcessGroup;
    let refusal = ["-e", "inject=close_range:error=ENOSYS"];
    if let Some(calls) = calls_of_each(level, &refusal).await {
        judge("the child without close_range", level, &calls[&Who::Child], WITHOUT_CLOSE_RANGE);
    }
    for budget in &BUDGETS {
        let Some(calls) = calls_of_each(budget.level, &[]).await else { continue };
        judge("the host", budget.level, &calls[&Who::Host], budget.host);
        judge("the child", budget.level, &calls[&Who::Child], budget.child);
    }
}

/// Returns the calls of one execution, by averages; `None` where they cannot be counted.
async fn calls_of_each(level: ContainmentLevel, options: &[&str]) -> Option<Calls<f64>> {
    if let Err(error) = ExecutionEngine::builder().containment(level).build() {
        eprintln!("SKIPPED: no {level} here: {error}");
        return None;
    }
    let (few, many) = (10, 60);
    let calls_of_few = counted(few, level, options).await?;
    let calls_of_many = counted(many, level, options).await?;
    let each = |(who, calls): (&Who, &BTreeMap<String, u32>)| {
        // Calls that are made once per process or engine are in both.
        let more = |(name, count): (&String, &u32)| {
            let count = count.saturating_sub(*calls_of_few[who].get(name).unwrap_or(&0));
            (name.clone(), f64::from(count) / f64::from(many - few))
        };
        (*who, calls.iter().map(more).filter(|(_, each)| *each > 0.0).collect())
    };
    Some(calls_of_many.iter().map(each).collect())
}

fn judge(who: &str, level: ContainmentLevel, calls: &BTreeMap<String, f64>, budget: u32) {
    let total: f64 = calls.values().map(|each| each.round()).sum();
    let average: f64 = calls.values().sum();
    println!("{who} with a {level}: {total} system calls, {budget} at most: {calls:.2?}");
    let budget = f64::from(budget);
    assert!(total <= budget, "{who} with a {level}: {total} > {budget}, namely {calls:#.2?}");
    let most = budget + NOW_AND_THEN;
    assert!(average <= most, "{who} with a {level}: {average} > {most}, namely {calls:#.2?}");
    assert!(total > 1.0, "nothing was counted");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Host,
    Child,
}

type Calls<Count> = BTreeMap<Who, BTreeMap<String, Count>>;

/// Returns the calls of a process with a number of executions; `None` where `strace` does not work.
async fn counted(runs: u32, level: ContainmentLevel, options: &[&str]) -> Option<Calls<u32>> {
    let dir = tempfile::tempdir().unwrap();
    let me = std::env::current_exe().unwrap().display().to_string();
    let traces = dir.path().join("of").display().to_string();
    let test = "system_calls_per_execution_stay_within_budget";
    let role = format!("{} {runs}", name_of(level));
    let strace = [&["strace", "-ff", "-o", &traces], options].concat();
    let request = host::request_through(&strace, test, &role)
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
fn added_up(traces: &BTreeMap<String, String>, host: &str) -> Calls<u32> {
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

fn count(calls: &mut Calls<u32>, who: Who, names: &[&str]) {
    let counts = calls.entry(who).or_default();
    for name in names.iter().filter(|name| !NOT_COUNTED.contains(name)) {
        *counts.entry((*name).to_string()).or_default() += 1;
    }
}
