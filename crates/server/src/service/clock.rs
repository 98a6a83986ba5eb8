//! Executions that start at a moment: when it has come, they wait for nothing but a slot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::inner::{Inner, pause};
use super::queue::Hold;

/// Longest time between two looks at the clock: it may be set, and stands while the system sleeps.
const LOOK: Duration = Duration::from_secs(10);

/// Executions that are held until a moment, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Timetable(BTreeSet<(DateTime<Utc>, Uuid)>);

impl Timetable {
    pub(crate) fn add(&mut self, at: DateTime<Utc>, id: Uuid) {
        self.0.insert((at, id));
    }

    /// Removes those whose moment has come.
    fn due(&mut self, now: DateTime<Utc>) -> Vec<Uuid> {
        let later = self.0.split_off(&(now, Uuid::max()));
        let due = std::mem::replace(&mut self.0, later);
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Returns the time until the next moment; `None` if there is none.
    fn next_in(&self, now: DateTime<Utc>) -> Option<Duration> {
        let (at, _) = self.0.first()?;
        Some((*at - now).to_std().unwrap_or_default())
    }
}

impl Inner {
    /// Lets executions go when their moment has come, until the service ends.
    pub(crate) async fn run_clock(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let now = Utc::now();
                // One that has ended meanwhile is not in the queue any more.
                for id in state.timetable.due(now) {
                    state.queue.let_go(id, Hold::Early);
                }
                state.timetable.next_in(now)
            };
            self.pump.notify_one();
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.timetable_changed.notified() => {}
                () = pause(next.unwrap_or(Duration::MAX).min(LOOK)), if next.is_some() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_due_whose_moment_has_come() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let id = |number: u128| Uuid::from_u128(number);
        let mut timetable = Timetable::default();
        assert_eq!((timetable.due(at(9)), timetable.next_in(at(9))), (Vec::new(), None));
        for (seconds, number) in [(30, 3), (10, 1), (20, 2), (10, 4)] {
            timetable.add(at(seconds), id(number));
        }
        assert_eq!(timetable.next_in(at(4)), Some(Duration::from_secs(6)));
        assert!(timetable.due(at(9)).is_empty());
        assert_eq!(timetable.due(at(20)), [id(1), id(4), id(2)]);
        assert_eq!(timetable.next_in(at(40)), Some(Duration::ZERO), "it is late");
        assert_eq!(timetable.due(at(40)), [id(3)]);
    }
}
