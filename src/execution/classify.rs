//! Classification of an exit: the ending that it stands for, and the resources that were used.

use std::time::Duration;

use execution_engine_process::{Child, Exit, Limits, Signal, TreeUsage as CountedTree, Usage};

use crate::types::{Ending, ResourceLimit, ResourceUsage, TreeUsage};

/// Returns the ending for an exit: how the program ended, or the limit for which the system ended
/// it.
pub(super) fn classify_exit(exit: Exit, limits: Option<&Limits>, child: &Child) -> Ending {
    if let Some(limit) = limits.and_then(|limits| exceeded_limit(exit, limits, child)) {
        return Ending::ResourceLimit { limit };
    }
    match exit {
        Exit::Code(code) => Ending::Exited { code },
        Exit::Signaled { signal, core_dumped } => Ending::Signaled { signal, core_dumped },
        Exit::Unknown => Ending::StatusUnknown,
    }
}

fn exceeded_limit(exit: Exit, limits: &Limits, child: &Child) -> Option<ResourceLimit> {
    let killed_for_memory = || child.tree_usage().is_some_and(|tree| tree.memory_kills > 0);
    if limits.tree_memory_bytes.is_some() && killed_for_memory() {
        return Some(ResourceLimit::TreeMemory);
    }
    let Exit::Signaled { signal, .. } = exit else { return None };
    match (limits.cpu_seconds, limits.file_size_bytes) {
        (Some(_), _) if signal == Signal::CpuLimit.number() => Some(ResourceLimit::CpuTime),
        // A program that ignores SIGXCPU is killed after another second of CPU time. The kernel
        // counts ticks for the limit but reports the exact time, which may be shorter: hence the
        // margin.
        (Some(seconds), _) if signal == Signal::Kill.number() => {
            let used_up = Duration::from_secs(seconds.saturating_add(1)).mul_f64(0.95);
            let used = child.cpu_time()? + Duration::from_millis(500);
            (used >= used_up).then_some(ResourceLimit::CpuTime)
        }
        (_, Some(_)) if signal == Signal::FileSizeLimit.number() => Some(ResourceLimit::FileSize),
        _ => None,
    }
}

/// Returns what the program used, and its tree.
pub(super) fn usage(usage: &Usage, tree: Option<CountedTree>) -> ResourceUsage {
    ResourceUsage {
        tree: tree.map(|tree| TreeUsage {
            user: tree.user,
            system: tree.system,
            peak_memory_bytes: tree.peak_memory_bytes,
        }),
        user: usage.user,
        system: usage.system,
        peak_memory_bytes: usage.peak_memory_bytes,
        voluntary_switches: usage.voluntary_switches.unwrap_or(0),
        involuntary_switches: usage.involuntary_switches.unwrap_or(0),
    }
}
