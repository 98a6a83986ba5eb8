//! Until when a worker may run its executions, and when another may say that it is gone; pure.
//!
//! Times are durations since one moment, by one clock that also runs while the machine sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Times of the lease of a worker.
///
/// ```
/// use std::time::Duration;
/// use execution_engine_fleet::LeaseSettings;
///
/// let settings = LeaseSettings::default();
/// assert!(settings.check(Duration::from_millis(200)).is_ok());
/// assert!(settings.check(Duration::from_millis(501)).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseSettings {
    /// How often a worker announces its presence; 2 s by default.
    pub every: Duration,
    /// How long it may run from the moment when it sent the last announcement that was stored; 10 s
    /// by default. Then all that it runs is killed.
    pub lease: Duration,
    /// How long the servers keep its presence, in whole seconds; 15 s by default.
    pub ttl: Duration,
}

impl Default for LeaseSettings {
    fn default() -> Self {
        let (every, lease, ttl) = (2, 10, 15);
        let seconds = Duration::from_secs;
        Self { every: seconds(every), lease: seconds(lease), ttl: seconds(ttl) }
    }
}

/// Error of times that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Two lost announcements would end the lease.
    #[error("a lease of {lease:?} is less than three times {every:?}; announce more often")]
    Seldom {
        /// The lease.
        lease: Duration,
        /// The time between announcements.
        every: Duration,
    },
    /// The servers count whole seconds, from 1 s to a day.
    #[error("a presence of {ttl:?} cannot be stored; use whole seconds, at most 86400")]
    Ttl {
        /// The time that presence is kept.
        ttl: Duration,
    },
    /// A program might run when its worker counts as gone.
    #[error(
        "between a lease of {lease:?} and a presence of {ttl:?} is too little time to kill in {kill:?}; \
         {least:?} would be enough for the presence"
    )]
    Margin {
        /// The lease.
        lease: Duration,
        /// The time that presence is kept.
        ttl: Duration,
        /// How long it takes to kill.
        kill: Duration,
        /// The shortest presence that is long enough.
        least: Duration,
    },
}

/// Longest time of a lease, so that sums have room.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl LeaseSettings {
    /// Checks that all a worker runs is dead when its presence is over. `kill` is how long it took to
    /// kill when that was measured; ten times as much must be enough. Of two clocks each may be wrong
    /// by a tenth.
    ///
    /// # Errors
    ///
    /// [`LeaseError`] with the first condition that does not hold.
    pub fn check(&self, kill: Duration) -> Result<(), LeaseError> {
        let Self { every, lease, ttl } = *self;
        if ttl.subsec_nanos() != 0 || ttl.is_zero() || ttl > LONGEST {
            return Err(LeaseError::Ttl { ttl });
        }
        if every.is_zero() || every > lease / 3 {
            return Err(LeaseError::Seldom { lease, every });
        }
        let least = least_ttl(lease, kill);
        if ttl < least {
            return Err(LeaseError::Margin { lease, ttl, kill, least });
        }
        Ok(())
    }
}

/// Returns the shortest presence for a lease, in whole seconds.
fn least_ttl(lease: Duration, kill: Duration) -> Duration {
    let for_kills = lease.saturating_add(kill.saturating_mul(10));
    // The slow clock of the worker ends the lease late, and the fast one of a server the presence
    // early.
    let ended = (lease.saturating_mul(11) / 10).saturating_add(kill);
    let least = for_kills.max(ended.saturating_mul(10) / 9);
    let part = u64::from(least.subsec_nanos() > 0);
    Duration::from_secs(least.as_secs().saturating_add(part))
}

/// The lease of a worker was over when its announcement was known to be stored. All that it ran is
/// killed, and others may take its work: it goes on as a new worker, with a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease of the worker is over since {since:?}; start it again, with a new name")]
pub struct LeaseOver {
    /// The deadline.
    pub since: Duration,
}

/// Lease of one worker, which is one process.
///
/// ```
/// use std::time::Duration;
/// use execution_engine_fleet::{Lease, LeaseSettings};
///
/// let s = Duration::from_secs;
/// let mut lease = Lease::new(LeaseSettings::default());
/// assert!(!lease.is_held(s(100)));
/// // Sent at 100 s, acknowledged at 103 s: it counts from when it was sent.
/// assert_eq!(lease.stored(s(100), s(103)), Ok(()));
/// assert_eq!(lease.deadline(), Some(s(110)));
/// assert!(lease.is_held(s(109)) && !lease.is_held(s(110)));
/// // What comes too late brings nothing back.
/// assert!(lease.stored(s(108), s(111)).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Lease {
    settings: LeaseSettings,
    deadline: Option<Duration>,
}

impl Lease {
    /// Creates a lease that is not held yet.
    pub fn new(settings: LeaseSettings) -> Self {
        Self { settings, deadline: None }
    }

    /// Takes that the servers stored an announcement. `sent` is the moment before it was sent. The
    /// deadline never goes back, and an answer that took as long as the lease itself gives none.
    ///
    /// # Errors
    ///
    /// [`LeaseOver`] if there was a deadline and it has passed: nothing brings the lease back.
    pub fn stored(&mut self, sent: Duration, now: Duration) -> Result<(), LeaseOver> {
        if let Some(since) = self.deadline.filter(|deadline| *deadline <= now) {
            return Err(LeaseOver { since });
        }
        let deadline = Some(sent.saturating_add(self.settings.lease));
        self.deadline = self.deadline.max(deadline.filter(|deadline| now < *deadline));
        Ok(())
    }

    /// Returns the moment at which all that runs is killed; `None` before the first announcement.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns `true` if the worker may claim and run.
    pub fn is_held(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| now < deadline)
    }

    /// Returns `true` if the lease was held and is over for ever.
    pub fn is_over(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// What a sweeper has seen of workers without presence.
///
/// The servers may forget all presence at once, and workers announce themselves anew. So a worker
/// counts as gone when each look during the whole time of a presence has found it absent.
///
/// ```
/// use std::time::Duration;
/// use execution_engine_fleet::{Absences, LeaseSettings};
///
/// let s = Duration::from_secs;
/// let mut absences = Absences::new(LeaseSettings::default());
/// let none = Default::default();
/// for now in [0, 4, 8, 12] {
///     assert!(absences.look(s(now), ["w1"], &none).is_empty());
/// }
/// assert!(absences.look(s(16), ["w1"], &none).contains("w1"));
/// // After a break it begins anew.
/// assert!(absences.look(s(60), ["w1"], &none).is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct Absences {
    settings: LeaseSettings,
    last: Option<Duration>,
    since: BTreeMap<String, Duration>,
}

impl Absences {
    /// Creates it without a look.
    pub fn new(settings: LeaseSettings) -> Self {
        Self { settings, last: None, since: BTreeMap::new() }
    }

    /// Takes a look, and returns the workers that are gone. `named` are those that have work as far
    /// as the log says, and `present` those that the servers have the presence of, both asked for
    /// at `now` or later. A look later than the lease after the last one begins anew.
    pub fn look<'a>(
        &mut self,
        now: Duration,
        named: impl IntoIterator<Item = &'a str>,
        present: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let is_broken = |last: Duration| now.saturating_sub(last) >= self.settings.lease;
        if self.last.is_none_or(is_broken) {
            self.since.clear();
        }
        self.last = Some(now);
        let absent = named.into_iter().filter(|worker| !present.contains(*worker));
        let since = |worker: &str| self.since.get(worker).copied().unwrap_or(now);
        self.since = absent.map(|worker| (worker.to_owned(), since(worker))).collect();
        let is_gone = |since: Duration| now.saturating_sub(since) >= self.settings.ttl;
        let gone = self.since.iter().filter(|(_, since)| is_gone(**since));
        gone.map(|(worker, _)| worker.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_margin_has_room_for_kills_and_clocks() {
        let kill = Duration::from_millis(500);
        let settings = |every, lease, ttl| LeaseSettings { every: s(every), lease: s(lease), ttl };
        assert_eq!(LeaseSettings::default().check(kill), Ok(()));
        let error = settings(2, 10, s(14)).check(kill).unwrap_err();
        assert!(matches!(error, LeaseError::Margin { least, .. } if least == s(15)), "{error}");
        // Long leases: the clocks decide. 110 s and 0.5 s of a slow clock are 122.8 s of a fast one.
        assert!(settings(2, 100, s(122)).check(kill).is_err());
        assert_eq!(settings(2, 100, s(123)).check(kill), Ok(()));
        let seldom = settings(4, 10, s(15)).check(kill);
        assert!(matches!(seldom, Err(LeaseError::Seldom { .. })));
        for ttl in [Duration::ZERO, Duration::from_millis(15_500), s(86_401), Duration::MAX] {
            assert_eq!(settings(2, 10, ttl).check(kill), Err(LeaseError::Ttl { ttl }));
        }
        let endless = LeaseSettings { lease: Duration::MAX, ..LeaseSettings::default() };
        assert!(endless.check(Duration::MAX).is_err());
    }

    #[test]
    fn an_early_answer_takes_nothing_back() {
        let mut lease = Lease::new(LeaseSettings::default());
        for (sent, now, deadline) in [
            (0, 11, None),
            (12, 13, Some(s(22))),
            // The answers to older ones come later.
            (10, 14, Some(s(22))),
            (1, 14, Some(s(22))),
        ] {
            assert_eq!(lease.stored(s(sent), s(now)), Ok(()));
            assert_eq!(lease.deadline(), deadline);
        }
        assert_eq!(lease.stored(s(14), s(22)), Err(LeaseOver { since: s(22) }));
        assert!(lease.is_over(s(22)) && !lease.is_held(s(22)));
    }

    #[test]
    fn a_presence_in_between_begins_the_time_anew() {
        let mut absences = Absences::new(LeaseSettings::default());
        let (none, present) = (BTreeSet::new(), BTreeSet::from(["w1".to_owned()]));
        for now in [0, 5, 10] {
            assert!(absences.look(s(now), ["w1", "w2"], &none).is_empty());
        }
        assert_eq!(absences.look(s(15), ["w1", "w2"], &present), BTreeSet::from(["w2".to_owned()]));
        for now in [20, 25, 30] {
            assert!(absences.look(s(now), ["w1"], &none).is_empty());
        }
        assert!(absences.look(s(35), ["w1"], &none).contains("w1"));
    }
}
