//! What the system offers for containing and limiting programs.

use execution_engine::{ContainmentLevel, Limits};
use execution_engine_process::Containment;
use rustix::process::{Resource, getrlimit};

use super::report::{ContainmentReport, LimitReport, LimitsReport, Problem, Unavailable};

/// Descriptors below which a busy service runs into its limit.
const FEW_FILES: u64 = 1_024;

const LEVELS: [ContainmentLevel; 3] =
    [ContainmentLevel::Cgroup, ContainmentLevel::ProcessTree, ContainmentLevel::ProcessGroup];

/// Finds the strongest level, and why the stronger ones are not offered.
pub(super) fn containment(problems: &mut Vec<Problem>) -> ContainmentReport {
    let mut unavailable = Vec::new();
    for level in LEVELS {
        match Containment::at(level) {
            Ok(containment) => {
                if let Some(Unavailable { reason, .. }) = unavailable.first() {
                    problems.push(weaker(level, reason));
                }
                let tree_memory = check(&containment, Limits::default().tree_memory_bytes(1 << 30));
                let tree_processes = check(&containment, Limits::default().tree_processes(1_000));
                let level = Some(level);
                return ContainmentReport { level, unavailable, tree_memory, tree_processes };
            }
            Err(error) => unavailable.push(Unavailable { level, reason: error.reason }),
        }
    }
    let what = "no program can be started: no containment level is available".to_string();
    problems.push(Problem::error(what, "run it on a host with /proc, and a shell in /bin/sh"));
    let no = Some("there is no containment".to_string());
    ContainmentReport { level: None, unavailable, tree_memory: no.clone(), tree_processes: no }
}

fn weaker(level: ContainmentLevel, reason: &str) -> Problem {
    let what = format!("containment is at the level {level}, which proves less: {reason}");
    Problem::warning(what, "docs/containment.md says what the cgroup level needs")
}

/// Returns why limits cannot be enforced; None if they can.
fn check(containment: &Containment, limits: Limits) -> Option<String> {
    containment.check(&limits).err().map(|error| error.reason)
}

/// Returns the limits of this process. A service that it starts has the same hard ones.
pub(super) fn limits(problems: &mut Vec<Problem>) -> LimitsReport {
    let of = |resource| {
        let limit = getrlimit(resource);
        LimitReport { soft: limit.current, hard: limit.maximum }
    };
    let open_files = of(Resource::Nofile);
    if let Some(hard) = open_files.hard.filter(|hard| *hard < FEW_FILES) {
        let what = format!("only {hard} files may be open at a time");
        problems.push(Problem::warning(
            what,
            "raise the hard limit before the service starts: ulimit -Hn 65536",
        ));
    }
    LimitsReport { open_files, processes: of(Resource::Nproc) }
}
