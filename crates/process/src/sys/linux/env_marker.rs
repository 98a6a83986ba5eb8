//! The mark that tells, in the environment of a process, which trees it belongs to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Leftovers;

/// The variable. Its value is a list, so that a tree within a tree belongs to both.
pub(super) const VARIABLE: &str = "EXECUTION_ENGINE_TREE";

/// Makes the marks of one containment.
#[derive(Debug)]
pub(super) struct EnvMarker {
    /// Random, so that no other containment of this machine has it.
    owner: String,
    next: AtomicU64,
}

impl EnvMarker {
    pub(super) fn new() -> Self {
        Self { owner: random(), next: AtomicU64::new(0) }
    }

    /// What the sentinel looks for: the beginning of all marks whose processes must not outlive
    /// the host.
    pub(super) fn bound(&self) -> String {
        format!("{}-bound-", self.owner)
    }

    pub(super) fn next(&self, leftovers: Leftovers) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // The dot ends it, so that the mark 1 is not found in the mark 12.
        match leftovers {
            Leftovers::Stop => format!("{}{number}.", self.bound()),
            Leftovers::Leave => format!("{}-free-{number}.", self.owner),
        }
    }
}

/// An unpredictable name of 16 characters.
pub(super) fn random() -> String {
    // Seeded by the system for each process, and different with each call.
    let state = std::collections::hash_map::RandomState::new();
    format!("{:016x}", std::hash::BuildHasher::hash_one(&state, std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_must_not_outlive_the_host_are_bound_to_it() {
        let marks = EnvMarker::new();
        let (bound, free) = (marks.next(Leftovers::Stop), marks.next(Leftovers::Leave));
        assert!(bound.contains(&marks.bound()) && !free.contains(&marks.bound()));
    }
}
