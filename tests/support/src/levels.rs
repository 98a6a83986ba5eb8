//! The containment levels that this machine offers. Where all three are a must, as in CI, a missing
//! one is a failure; elsewhere it is skipped, loudly.

use std::io::Write as _;

use execution_engine::*;

const ALL: [ContainmentLevel; 3] =
    [ContainmentLevel::Cgroup, ContainmentLevel::ProcessTree, ContainmentLevel::ProcessGroup];

pub fn levels() -> Vec<ContainmentLevel> {
    let is_offered = |level: &ContainmentLevel| {
        let Err(error) = ExecutionEngine::builder().containment(*level).build() else {
            return true;
        };
        let all = std::env::var_os("EXECUTION_ENGINE_ALL_LEVELS").is_some();
        assert!(!all, "all levels are to be tested here, and one cannot: {error}");
        announce(&format!("SKIPPED: {error}"));
        false
    };
    ALL.into_iter().filter(is_offered).collect()
}

/// Says something that is seen although the test passes.
pub fn announce(line: &str) {
    // Not a macro's output, which is shown for failed tests alone.
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A level by the name that it has in JSON.
pub fn level_named(name: &str) -> ContainmentLevel {
    serde_json::from_value(name.into()).unwrap()
}

pub fn name_of(level: ContainmentLevel) -> String {
    serde_json::to_value(level).unwrap().as_str().unwrap().to_string()
}
