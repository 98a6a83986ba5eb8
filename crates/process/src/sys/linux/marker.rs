//! The marker by which a process says to which tree it belongs.
//!
//! A descendant inherits it wherever it moves and whatever it calls itself. It is in the environment,
//! until a program clears that, and in a resource limit that limits nothing: Linux has not bounded
//! the number of file locks (`RLIMIT_LOCKS`) since version 2.4.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, Rlimit};

use super::resources::own_limit;
use crate::Leftovers;
use crate::launch::TREE_VARIABLE;

/// Variable that holds the markers.
pub(super) const VARIABLE: &str = TREE_VARIABLE;

/// Numbers of one kind of trees, and the two kinds: those that must not outlive their host, and those
/// that may.
const TREES: u64 = 1_000_000_000;
const BOUND: u64 = 1;
const FREE: u64 = 2;

/// Marker of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// In the variable.
    pub(super) text: String,
    /// Value of the limit. A tree within a tree has the inner one.
    locks: u64,
    /// Hard limit of the host, which stays as it is: anyone may change the soft one below it.
    most_locks: u64,
}

/// Source of the markers of one containment.
#[derive(Debug)]
pub(super) struct MarkerSource {
    /// Random, so that no other containment of this machine has it.
    owner: String,
    /// Random as well: nine digits.
    digits: u64,
    /// 0 if the system does not tell it.
    most_locks: u64,
    next: AtomicU64,
}

impl MarkerSource {
    pub(super) fn new() -> Self {
        let digits = 100_000_000 + random() % 900_000_000;
        let most_locks = own_limit(Resource::Locks).map_or(0, |(_, hard)| hard);
        Self { owner: random_name(), digits, most_locks, next: AtomicU64::new(0) }
    }

    /// Returns the beginning of all markers whose processes must not outlive the host: that of the
    /// text, and that of the limit in digits.
    pub(super) fn bound_prefixes(&self) -> [String; 2] {
        [format!("{}-bound-", self.owner), format!("{}{BOUND}", self.digits)]
    }

    /// Returns the marker of the next tree.
    pub(super) fn next(&self, leftovers: Leftovers) -> Marker {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // The dot ends it, so that marker 1 is not found in marker 12.
        let (text, kind) = match leftovers {
            Leftovers::Stop => (format!("{}-bound-{number}.", self.owner), BOUND),
            Leftovers::Leave => (format!("{}-free-{number}.", self.owner), FREE),
        };
        let locks = (self.digits * 10 + kind) * TREES + number % TREES;
        Marker { text, locks, most_locks: self.most_locks }
    }
}

impl Marker {
    /// Returns the limit that marks a process; `None` if it cannot be set.
    pub(super) fn limit(&self) -> Option<Rlimit> {
        let limit = Rlimit { current: Some(self.locks), maximum: bound(self.most_locks) };
        (self.locks <= self.most_locks).then_some(limit)
    }

    /// Returns `true` if a process with this text of `/proc/PID/limits` has the marker.
    pub(super) fn is_limit_of(&self, limits: &[u8]) -> bool {
        let limits = String::from_utf8_lossy(limits);
        let locks = limits.lines().find_map(|line| line.strip_prefix("Max file locks"));
        locks.and_then(|locks| locks.split_whitespace().next()?.parse().ok()) == Some(self.locks)
    }
}

/// Returns the limit of a process that belongs to no tree; `None` if this one has no marker.
pub(super) fn unmarked_limit() -> Option<Rlimit> {
    let (soft, hard) = own_limit(Resource::Locks)?;
    (soft != hard).then_some(Rlimit { current: bound(hard), maximum: bound(hard) })
}

/// Returns a limit as a bound, of which there is none for the highest number.
fn bound(limit: u64) -> Option<u64> {
    Some(limit).filter(|limit| *limit != u64::MAX)
}

/// Returns an unpredictable name of 16 characters.
pub(super) fn random_name() -> String {
    format!("{:016x}", random())
}

fn random() -> u64 {
    // The system seeds it for each process, and each call has other keys.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trees_that_must_not_outlive_the_host_have_the_bound_prefixes() {
        let source = MarkerSource::new();
        let (bound, free) = (source.next(Leftovers::Stop), source.next(Leftovers::Leave));
        let [text, digits] = source.bound_prefixes();
        assert!(bound.text.starts_with(&text) && !free.text.starts_with(&text));
        let starts = |marker: &Marker| marker.locks.to_string().starts_with(&digits);
        assert!(starts(&bound) && !starts(&free), "{bound:?} {free:?}");
    }

    #[test]
    fn the_limit_is_read_as_the_system_writes_it() {
        let limits = std::fs::read("/proc/self/limits").unwrap();
        let text = String::from_utf8(limits.clone()).unwrap();
        let marker = |locks| Marker { text: String::new(), locks, most_locks: u64::MAX };
        assert!(!marker(1_234_567_891_000_000_007).is_limit_of(&limits));
        let line = text.lines().find(|line| line.starts_with("Max file locks")).unwrap();
        let marked = text.replace(line, "Max file locks   1234567891000000007   unlimited   locks");
        assert!(marker(1_234_567_891_000_000_007).is_limit_of(marked.as_bytes()));
        assert!(!marker(1_234_567_891_000_000_000).is_limit_of(marked.as_bytes()));
    }
}
