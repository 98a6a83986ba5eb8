//! Which moments of a schedule have come, and which of them get a run.

use chrono::{DateTime, TimeDelta, Utc};
use execution_engine_store::MissedPolicy;

use super::Timetable;

/// How late a run may be for its moment not to count as missed: the clock is looked at every 10 s.
const ON_TIME: TimeDelta = TimeDelta::seconds(30);
/// Most runs that are made up for at a time.
const MADE_UP: usize = 100;

/// What is due of a schedule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// The moments that get a run, the earliest first.
    pub(crate) runs: Vec<DateTime<Utc>>,
    /// How many were missed and get no run of their own.
    pub(crate) missed: u64,
    /// The moment that follows; None if none does.
    pub(crate) next_at: Option<DateTime<Utc>>,
}

/// Returns what is due at a time of a schedule whose next moment is `next_at`. A clock that was set back makes nothing
/// due again: moments before `next_at` never count.
pub(crate) fn due(
    table: &Timetable,
    next_at: DateTime<Utc>,
    now: DateTime<Utc>,
    policy: MissedPolicy,
) -> Due {
    let come = table.come(next_at, now, MADE_UP);
    let Some(last) = come.last.back().copied() else {
        return Due { runs: Vec::new(), missed: 0, next_at: Some(next_at) };
    };
    let is_on_time = now - last <= ON_TIME;
    let runs = match policy {
        MissedPolicy::RunOnce => vec![last],
        MissedPolicy::Skip if is_on_time => vec![last],
        MissedPolicy::Skip => Vec::new(),
        MissedPolicy::RunAll => come.last.into(),
    };
    let missed = come.count - runs.len() as u64;
    Due { runs, missed, next_at: table.next_after(now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MissedPolicy::{RunAll, RunOnce, Skip};

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    #[test]
    fn moments_that_were_missed_have_the_runs_that_the_policy_gives() {
        let table = Timetable::parse("0 * * * *", "UTC", at("30T00:30:00")).unwrap();
        let three = ["30T01:00:00", "30T02:00:00", "30T03:00:00"];
        for (now, policy, runs, missed, next) in [
            // Not yet; and a clock that was set back.
            ("30T00:59:59", RunAll, &three[..0], 0, "30T01:00:00"),
            ("29T01:00:00", RunAll, &three[..0], 0, "30T01:00:00"),
            // In time, and a little late.
            ("30T01:00:00", RunOnce, &three[..1], 0, "30T02:00:00"),
            ("30T01:00:30", Skip, &three[..1], 0, "30T02:00:00"),
            // Missed.
            ("30T01:00:31", Skip, &three[..0], 1, "30T02:00:00"),
            ("30T01:50:00", RunOnce, &three[..1], 0, "30T02:00:00"),
            ("30T03:30:00", RunOnce, &three[2..], 2, "30T04:00:00"),
            ("30T03:30:00", Skip, &three[..0], 3, "30T04:00:00"),
            ("30T03:30:00", RunAll, &three[..], 0, "30T04:00:00"),
            // Two were missed, and one is in time.
            ("30T03:00:05", Skip, &three[2..], 2, "30T04:00:00"),
        ] {
            let runs = runs.iter().map(|moment| at(moment)).collect();
            let expected = Due { runs, missed, next_at: Some(at(next)) };
            assert_eq!(
                due(&table, at("30T01:00:00"), at(now), policy),
                expected,
                "{now} {policy:?}"
            );
        }
    }

    #[test]
    fn no_more_than_the_last_are_made_up_for() {
        let table = Timetable::parse("1s", "UTC", at("30T00:00:00")).unwrap();
        let late = due(&table, at("30T00:00:01"), at("30T01:00:00"), RunAll);
        assert_eq!((late.runs.len(), late.missed), (MADE_UP, 3600 - MADE_UP as u64));
        assert_eq!(late.runs.last(), Some(&at("30T01:00:00")));
        assert_eq!(late.next_at, Some(at("30T01:00:01")));
    }
}
