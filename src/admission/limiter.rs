//! Who may run now: an exact count of the executions alive, and the queue of those who wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{AdmissionQueue, GroupId, QueueKey};
use crate::types::Admission;

/// A group of executions with a limit of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupLimit {
    pub(crate) name: String,
    pub(crate) limit: usize,
}

/// As many permits as executions may be alive.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    admission: Admission,
    groups: Box<[GroupLimit]>,
    state: Mutex<LimiterState>,
}

#[derive(Debug)]
struct LimiterState {
    line: AdmissionQueue<QueuedWaiter>,
    /// How many of those in line count against `max_waiting`.
    queued: usize,
}

/// Somebody in line.
#[derive(Debug)]
struct QueuedWaiter {
    call: oneshot::Sender<Permit>,
    patience: QueuePolicy,
}

/// How an execution asks for its permit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionRequest {
    pub(crate) group: GroupId,
    pub(crate) priority: i32,
    pub(crate) patience: QueuePolicy,
}

/// Whether it would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueuePolicy {
    /// As the engine's admission says.
    AsConfigured,
    /// Always, and however many wait: it is part of something that was accepted as a whole.
    Unbounded,
}

/// Why there is neither a permit nor a place in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    Engine { limit: usize },
    Group { group: String, limit: usize },
    Queue { max_waiting: usize },
}

/// An execution that was not refused.
#[derive(Debug)]
pub(crate) enum Admitted {
    Permit(Permit),
    /// On the heap, so that those who need not wait stay small.
    Ticket(Box<Ticket>),
}

/// The right of one execution to be alive; given back when dropped, and then to the first in line.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<ConcurrencyLimiter>,
    group: GroupId,
}

/// A place in the queue, left when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    permits: Arc<ConcurrencyLimiter>,
    place: QueueSlot,
    permit: oneshot::Receiver<Permit>,
}

/// Where a ticket stands in the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueSlot {
    group: GroupId,
    rank: QueueKey,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(limit: usize, admission: Admission, groups: Vec<GroupLimit>) -> Arc<Self> {
        let line = AdmissionQueue::new(limit, usize::MAX, groups.iter().map(|group| group.limit));
        let state = Mutex::new(LimiterState { line, queued: 0 });
        Arc::new(Self { admission, groups: groups.into_boxed_slice(), state })
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group.name == name).map(GroupId::named)
    }

    /// The limits of the groups, in the order of their numbers.
    pub(crate) fn group_limits(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.limit).collect()
    }

    pub(crate) fn ask(self: &Arc<Self>, ask: AdmissionRequest) -> Result<Admitted, Rejected> {
        let AdmissionRequest { group, priority, patience } = ask;
        let mut state = self.lock();
        if state.line.take(group) {
            return Ok(Admitted::Permit(Permit { permits: Arc::clone(self), group }));
        }
        if patience == QueuePolicy::AsConfigured {
            match self.admission {
                Admission::Reject => return Err(self.why(&state.line, group)),
                Admission::Queue { max_waiting } if state.queued >= max_waiting => {
                    return Err(Rejected::Queue { max_waiting });
                }
                Admission::Queue { .. } => state.queued += 1,
            }
        }
        let (call, permit) = oneshot::channel();
        let rank = state.line.wait(group, priority, QueuedWaiter { call, patience });
        let place = QueueSlot { group, rank };
        let ticket = Ticket { permits: Arc::clone(self), place, permit };
        Ok(Admitted::Ticket(Box::new(ticket)))
    }

    fn why(&self, line: &AdmissionQueue<QueuedWaiter>, group: GroupId) -> Rejected {
        match group.number().filter(|_| line.has_room()) {
            Some(number) => Rejected::Group {
                group: self.groups[number].name.clone(),
                limit: self.groups[number].limit,
            },
            None => Rejected::Engine { limit: line.limit() },
        }
    }

    fn give_back(self: &Arc<Self>, group: GroupId) {
        let next = {
            let mut state = self.lock();
            state.line.give_back(group);
            let next = state.line.next();
            if let Some((_, waiter)) = &next {
                state.forget(waiter.patience);
            }
            next
        };
        if let Some((group, waiter)) = next {
            // One that has just gone away drops its permit, which calls the one after it.
            let _gone = waiter.call.send(Permit { permits: Arc::clone(self), group });
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.lock().line.taken()
    }

    pub(crate) fn available(&self) -> usize {
        let state = self.lock();
        state.line.limit() - state.line.taken()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().line.waiting()
    }

    /// The position in the queue, the first being 1; None if it does not wait any more.
    pub(crate) fn position(&self, place: QueueSlot) -> Option<usize> {
        self.lock().line.position(place.group, place.rank)
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        // No code that can panic half-way runs under the lock, so what it guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimiterState {
    /// Somebody is in line no more.
    fn forget(&mut self, patience: QueuePolicy) {
        if patience == QueuePolicy::AsConfigured {
            self.queued -= 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.give_back(self.group);
    }
}

impl Ticket {
    pub(crate) fn place(&self) -> QueueSlot {
        self.place
    }

    /// Waits for the permit. Cancel safe.
    pub(crate) async fn permit(&mut self) -> Permit {
        match (&mut self.permit).await {
            Ok(permit) => permit,
            // The sender stays in line until it has sent or the ticket is dropped.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.permits.lock();
        if let Some(waiter) = state.line.leave(self.place.group, self.place.rank) {
            state.forget(waiter.patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYWHERE: AdmissionRequest =
        AdmissionRequest { group: GroupId::NONE, priority: 0, patience: QueuePolicy::AsConfigured };

    fn permit(permits: &Arc<ConcurrencyLimiter>, ask: AdmissionRequest) -> Permit {
        match permits.ask(ask).unwrap() {
            Admitted::Permit(permit) => permit,
            Admitted::Ticket(_) => panic!("has to wait"),
        }
    }

    fn ticket(permits: &Arc<ConcurrencyLimiter>, ask: AdmissionRequest) -> Ticket {
        match permits.ask(ask).unwrap() {
            Admitted::Permit(_) => panic!("does not have to wait"),
            Admitted::Ticket(ticket) => *ticket,
        }
    }

    fn has_permit(ticket: &mut Ticket) -> Option<Permit> {
        ticket.permit.try_recv().ok()
    }

    #[test]
    fn never_more_than_the_limit_and_all_come_back() {
        let permits = ConcurrencyLimiter::new(2, Admission::Reject, Vec::new());
        let first = permit(&permits, ANYWHERE);
        let _second = permit(&permits, ANYWHERE);
        assert_eq!(permits.ask(ANYWHERE).unwrap_err(), Rejected::Engine { limit: 2 });
        drop(first);
        assert_eq!((permits.taken(), permits.available()), (1, 1));
        let _third = permit(&permits, ANYWHERE);
    }

    #[test]
    fn a_permit_goes_to_the_first_in_line_and_past_those_who_left() {
        let permits = ConcurrencyLimiter::new(1, Admission::Queue { max_waiting: 3 }, Vec::new());
        let holder = permit(&permits, ANYWHERE);
        let leaves_in_line = ticket(&permits, ANYWHERE);
        let leaves_called = ticket(&permits, ANYWHERE);
        let mut last = ticket(&permits, ANYWHERE);
        assert_eq!(permits.ask(ANYWHERE).unwrap_err(), Rejected::Queue { max_waiting: 3 });
        assert_eq!(permits.position(last.place()), Some(3));
        drop(leaves_in_line);
        assert_eq!((permits.waiting(), permits.position(last.place())), (2, Some(2)));
        drop(holder);
        assert!(has_permit(&mut last).is_none(), "it is not its turn yet");
        drop(leaves_called);
        let permit = has_permit(&mut last).expect("the one before it has left");
        assert_eq!(permits.position(last.place()), None);
        drop((permit, last));
        assert_eq!((permits.taken(), permits.waiting()), (0, 0));
        // Those who left count no more.
        let _holder = self::permit(&permits, ANYWHERE);
        let _all: Vec<_> = (0..3).map(|_| ticket(&permits, ANYWHERE)).collect();
    }

    #[test]
    fn a_full_group_says_so_by_its_name() {
        let gpu = GroupLimit { name: "gpu".to_string(), limit: 1 };
        let permits = ConcurrencyLimiter::new(2, Admission::Reject, vec![gpu]);
        let on_gpu = AdmissionRequest { group: permits.group("gpu").unwrap(), ..ANYWHERE };
        let _first = permit(&permits, on_gpu);
        let full = Rejected::Group { group: "gpu".to_string(), limit: 1 };
        assert_eq!(permits.ask(on_gpu).unwrap_err(), full);
        let _second = permit(&permits, ANYWHERE);
        assert_eq!(permits.ask(on_gpu).unwrap_err(), Rejected::Engine { limit: 2 });
    }

    #[test]
    fn the_patient_wait_whatever_the_engine_says_and_count_for_nobody() {
        for admission in [Admission::Reject, Admission::Queue { max_waiting: 1 }] {
            let permits = ConcurrencyLimiter::new(1, admission, Vec::new());
            let _holder = permit(&permits, ANYWHERE);
            let patient = AdmissionRequest { patience: QueuePolicy::Unbounded, ..ANYWHERE };
            let _waiting: Vec<_> = (0..5).map(|_| ticket(&permits, patient)).collect();
            assert_eq!(permits.waiting(), 5);
            let asked = permits.ask(ANYWHERE);
            assert_eq!(asked.is_ok(), admission != Admission::Reject);
        }
    }
}
