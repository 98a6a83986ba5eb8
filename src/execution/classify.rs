//! What a program's end means: the ending that goes with it, and what it used.

use std::time::Duration;

use execution_engine_process::{Child, Exit, Limits, Signal, TreeUsage as Counted, Usage};

use crate::types::{Ending, ResourceLimit, ResourceUsage, TreeUsage};

/// How the program ended, or which limit the system ended it for.
pub(super) fn ending_of(exit: Exit, limits: Option<&Limits>, child: &Child) -> Ending {
    if let Some(limit) = limits.and_then(|limits| reached(exit, limits, child)) {
        return Ending::ResourceLimit { limit };
    }
    match exit {
        Exit::Code(code) => Ending::Exited { code },
        Exit::Signaled { signal, core_dumped } => Ending::Signaled { signal, core_dumped },
        Exit::Unknown => Ending::StatusUnknown,
    }
}

fn reached(exit: Exit, limits: &Limits, child: &Child) -> Option<ResourceLimit> {
    let killed_for_memory = || child.tree_usage().is_some_and(|tree| tree.memory_kills > 0);
    if limits.tree_memory_bytes.is_some() && killed_for_memory() {
        return Some(ResourceLimit::TreeMemory);
    }
    let Exit::Signaled { signal, .. } = exit else { return None };
    match (limits.cpu_seconds, limits.file_size_bytes) {
        (Some(_), _) if signal == Signal::CpuLimit.number() => Some(ResourceLimit::CpuTime),
        // One that ignores SIGXCPU is killed a second of CPU time later. The system counts in ticks
        // for that, and tells the exact time, which may be shorter.
        (Some(seconds), _) if signal == Signal::Kill.number() => {
            let used_up = Duration::from_secs(seconds.saturating_add(1)).mul_f64(0.95);
            let used = child.cpu_time()? + Duration::from_millis(500);
            (used >= used_up).then_some(ResourceLimit::CpuTime)
        }
        (_, Some(_)) if signal == Signal::FileSizeLimit.number() => Some(ResourceLimit::FileSize),
        _ => None,
    }
}

/// What the program used, and what its tree did.
pub(super) fn usage(usage: &Usage, counted: Option<Counted>) -> ResourceUsage {
    ResourceUsage {
        tree: counted.map(|tree| TreeUsage {
            user: tree.user,
            system: tree.system,
            peak_memory_bytes: tree.peak_memory_bytes,
        }),
        user: usage.user,
        system: usage.system,
        peak_memory_bytes: usage.peak_memory_bytes,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
}
