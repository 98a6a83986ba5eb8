//! The marker in the environment of a process that says to which trees it belongs.
//!
//! A descendant inherits it wherever it moves and whatever it calls itself, until it clears its
//! environment.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Leftovers;

/// Variable that holds the markers. Its value is a list, so that a tree within a tree belongs to
/// both.
pub(super) const VARIABLE: &str = "EXECUTION_ENGINE_TREE";

/// Source of the markers of one containment.
#[derive(Debug)]
pub(super) struct EnvMarker {
    /// Random, so that no other containment of this machine has it.
    owner: String,
    next: AtomicU64,
}

impl EnvMarker {
    pub(super) fn new() -> Self {
        Self { owner: random_name(), next: AtomicU64::new(0) }
    }

    /// Returns the common prefix of all markers whose processes must not outlive the host.
    pub(super) fn bound_prefix(&self) -> String {
        format!("{}-bound-", self.owner)
    }

    /// Returns the marker of the next tree.
    pub(super) fn next(&self, leftovers: Leftovers) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // The dot ends it, so that marker 1 is not found in marker 12.
        match leftovers {
            Leftovers::Stop => format!("{}{number}.", self.bound_prefix()),
            Leftovers::Leave => format!("{}-free-{number}.", self.owner),
        }
    }
}

/// Returns an unpredictable name of 16 characters.
pub(super) fn random_name() -> String {
    // The system seeds it for each process, and each call has other keys.
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trees_that_must_not_outlive_the_host_have_the_bound_prefix() {
        let marker = EnvMarker::new();
        let (bound, free) = (marker.next(Leftovers::Stop), marker.next(Leftovers::Leave));
        assert!(bound.contains(&marker.bound_prefix()) && !free.contains(&marker.bound_prefix()));
    }
}
