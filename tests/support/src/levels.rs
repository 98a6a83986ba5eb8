//! Containment levels that this machine offers.
//!
//! A level that is missing is skipped with a notice. Where `EXECUTION_ENGINE_ALL_LEVELS` is set, as
//! in CI, a missing level is a failure.

use std::io::Write as _;

use execution_engine::*;

const ALL: [ContainmentLevel; 3] =
    [ContainmentLevel::Cgroup, ContainmentLevel::ProcessTree, ContainmentLevel::ProcessGroup];

/// Returns the levels that this machine offers, the strongest first.
pub fn levels() -> Vec<ContainmentLevel> {
    let missed = |error| {
        let all = std::env::var_os("EXECUTION_ENGINE_ALL_LEVELS").is_some();
        assert!(!all, "EXECUTION_ENGINE_ALL_LEVELS is set, and a level is missing: {error}");
        announce(&format!("SKIPPED: {error}"));
    };
    ALL.into_iter().filter(|level| unavailable(*level).map(missed).is_none()).collect()
}

/// Returns the levels that are left to a host that has given up rights, the strongest first.
pub fn levels_left() -> Vec<ContainmentLevel> {
    ALL.into_iter().filter(|level| unavailable(*level).is_none()).collect()
}

fn unavailable(level: ContainmentLevel) -> Option<ExecutionError> {
    ExecutionEngine::builder().containment(level).build().err()
}

/// Creates an engine at a level that gives programs a short time to stop.
pub fn engine_at(level: ContainmentLevel) -> ExecutionEngine {
    let builder = ExecutionEngine::builder().containment(level);
    builder.stop_grace(Duration::from_millis(200)).build().unwrap()
}

/// Prints a line that is seen although the test passes.
pub fn announce(line: &str) {
    // The harness captures what the macros print, and shows it for failed tests alone.
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Returns the level with a name, as it is in JSON.
pub fn level_named(name: &str) -> ContainmentLevel {
    serde_json::from_value(name.into()).unwrap()
}

/// Returns the name of a level, as it is in JSON.
pub fn name_of(level: ContainmentLevel) -> String {
    serde_json::to_value(level).unwrap().as_str().unwrap().to_string()
}
