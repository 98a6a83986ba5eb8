//! Exact limit of concurrent executions, with a queue for those that wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{AdmissionQueue, GroupId, QueueKey};
use crate::error::ExecutionError;
use crate::types::Admission;

/// Named group of executions with its own limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupLimit {
    pub(crate) name: String,
    pub(crate) limit: usize,
}

/// Limiter of an engine: hands out one permit per execution, up to the limits.
///
/// A [`tokio::sync::Semaphore`] would do for a plain limit; groups, priorities and the position in
/// the queue need more.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    admission: Admission,
    groups: Box<[GroupLimit]>,
    state: Mutex<LimiterState>,
}

#[derive(Debug)]
struct LimiterState {
    queue: AdmissionQueue<QueuedWaiter>,
    /// Number of waiters that count against `max_waiting`.
    counted: usize,
}

/// Waiter in the queue, which is sent its permit.
#[derive(Debug)]
struct QueuedWaiter {
    permit: oneshot::Sender<Permit>,
    policy: QueuePolicy,
}

/// Request for a permit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdmissionRequest {
    pub(crate) group: GroupId,
    pub(crate) priority: i32,
    pub(crate) policy: QueuePolicy,
}

/// Whether an execution may wait in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueuePolicy {
    /// As the engine's [`Admission`] says.
    AsConfigured,
    /// Always, and without counting against `max_waiting`: it is part of a plan, which was accepted
    /// as a whole.
    Unbounded,
}

/// Answer to an [`AdmissionRequest`] that was not refused.
#[derive(Debug)]
pub(crate) enum Admitted {
    Permit(Permit),
    // Boxed, because most executions do not wait and should stay small.
    Ticket(Box<Ticket>),
}

/// Right of one execution to run. When it is dropped, the first waiter gets it.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<ConcurrencyLimiter>,
    group: GroupId,
}

/// Place in the queue, given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    limiter: Arc<ConcurrencyLimiter>,
    slot: QueueSlot,
    permit: oneshot::Receiver<Permit>,
}

/// Key of a ticket in the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueSlot {
    group: GroupId,
    key: QueueKey,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(limit: usize, admission: Admission, groups: Vec<GroupLimit>) -> Arc<Self> {
        let queue = AdmissionQueue::new(limit, usize::MAX, groups.iter().map(|group| group.limit));
        let state = Mutex::new(LimiterState { queue, counted: 0 });
        Arc::new(Self { admission, groups: groups.into_boxed_slice(), state })
    }

    /// Finds a group by its name.
    pub(crate) fn group(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group.name == name).map(GroupId::named)
    }

    /// Returns the limits of the groups, in the order of their numbers.
    pub(crate) fn group_limits(&self) -> Vec<usize> {
        self.groups.iter().map(|group| group.limit).collect()
    }

    /// Takes a permit if one is free, else a place in the queue if the policy allows it.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(crate) fn admit(
        self: &Arc<Self>,
        request: AdmissionRequest,
    ) -> Result<Admitted, ExecutionError> {
        let AdmissionRequest { group, priority, policy } = request;
        let mut state = self.lock();
        if state.queue.take(group) {
            return Ok(Admitted::Permit(Permit { limiter: Arc::clone(self), group }));
        }
        if policy == QueuePolicy::AsConfigured {
            match self.admission {
                Admission::Reject => return Err(self.full(&state.queue, group)),
                Admission::Queue { max_waiting } if state.counted >= max_waiting => {
                    return Err(ExecutionError::QueueFull(max_waiting));
                }
                Admission::Queue { .. } => state.counted += 1,
            }
        }
        let (sender, permit) = oneshot::channel();
        let key = state.queue.push(group, priority, QueuedWaiter { permit: sender, policy });
        let slot = QueueSlot { group, key };
        Ok(Admitted::Ticket(Box::new(Ticket { limiter: Arc::clone(self), slot, permit })))
    }

    /// Returns the limit that is reached: that of the group only if the engine still has room.
    fn full(&self, queue: &AdmissionQueue<QueuedWaiter>, group: GroupId) -> ExecutionError {
        match group.number().filter(|_| queue.has_room()) {
            Some(number) => {
                let GroupLimit { name, limit } = self.groups[number].clone();
                ExecutionError::GroupLimitReached { group: name, limit }
            }
            None => ExecutionError::ConcurrencyLimitReached(queue.limit()),
        }
    }

    fn give_back(self: &Arc<Self>, group: GroupId) {
        let next = {
            let mut state = self.lock();
            state.queue.give_back(group);
            let next = state.queue.next();
            if let Some((_, waiter)) = &next {
                state.uncount(waiter.policy);
            }
            next
        };
        // Outside the lock. If the waiter has just gone, `send` returns the permit, and dropping it
        // comes back here for the next one; under the lock that would be a deadlock.
        if let Some((group, waiter)) = next {
            drop(waiter.permit.send(Permit { limiter: Arc::clone(self), group }));
        }
    }

    /// Returns the number of permits in use.
    pub(crate) fn taken(&self) -> usize {
        self.lock().queue.taken()
    }

    /// Returns the number of free permits.
    pub(crate) fn available(&self) -> usize {
        let state = self.lock();
        state.queue.limit() - state.queue.taken()
    }

    /// Returns the number of executions in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.waiting()
    }

    /// Returns the position in the queue, the first being 1; None if it no longer waits.
    pub(crate) fn position(&self, slot: QueueSlot) -> Option<usize> {
        self.lock().queue.position(slot.group, slot.key)
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        // No code that can panic half-way runs under the lock, so the state is consistent even if a
        // thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimiterState {
    /// Stops counting a waiter that has left the queue.
    fn uncount(&mut self, policy: QueuePolicy) {
        if policy == QueuePolicy::AsConfigured {
            self.counted -= 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.give_back(self.group);
    }
}

impl Ticket {
    /// Returns its key in the queue.
    pub(crate) fn slot(&self) -> QueueSlot {
        self.slot
    }

    /// Waits for the permit.
    ///
    /// # Cancel safety
    /// The permit stays in the ticket until this returns it, so nothing is lost by a drop.
    pub(crate) async fn permit(&mut self) -> Permit {
        match (&mut self.permit).await {
            Ok(permit) => permit,
            // The sender stays in the queue until it has sent or the ticket is dropped.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        if let Some(waiter) = state.queue.remove(self.slot.group, self.slot.key) {
            state.uncount(waiter.policy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYWHERE: AdmissionRequest =
        AdmissionRequest { group: GroupId::NONE, priority: 0, policy: QueuePolicy::AsConfigured };

    fn permit(limiter: &Arc<ConcurrencyLimiter>, request: AdmissionRequest) -> Permit {
        match limiter.admit(request).unwrap() {
            Admitted::Permit(permit) => permit,
            Admitted::Ticket(_) => panic!("has to wait"),
        }
    }

    fn ticket(limiter: &Arc<ConcurrencyLimiter>, request: AdmissionRequest) -> Ticket {
        match limiter.admit(request).unwrap() {
            Admitted::Permit(_) => panic!("does not have to wait"),
            Admitted::Ticket(ticket) => *ticket,
        }
    }

    fn has_permit(ticket: &mut Ticket) -> Option<Permit> {
        ticket.permit.try_recv().ok()
    }

    #[test]
    fn permits_never_exceed_the_limit_and_all_come_back() {
        let limiter = ConcurrencyLimiter::new(2, Admission::Reject, Vec::new());
        let first = permit(&limiter, ANYWHERE);
        let _second = permit(&limiter, ANYWHERE);
        assert_eq!(
            limiter.admit(ANYWHERE).unwrap_err(),
            ExecutionError::ConcurrencyLimitReached(2)
        );
        drop(first);
        assert_eq!((limiter.taken(), limiter.available()), (1, 1));
        let _third = permit(&limiter, ANYWHERE);
    }

    #[test]
    fn permit_goes_to_the_first_waiter_that_has_not_left() {
        let limiter = ConcurrencyLimiter::new(1, Admission::Queue { max_waiting: 3 }, Vec::new());
        let holder = permit(&limiter, ANYWHERE);
        let leaves_in_the_queue = ticket(&limiter, ANYWHERE);
        let leaves_with_a_permit = ticket(&limiter, ANYWHERE);
        let mut last = ticket(&limiter, ANYWHERE);
        assert_eq!(limiter.admit(ANYWHERE).unwrap_err(), ExecutionError::QueueFull(3));
        assert_eq!(limiter.position(last.slot()), Some(3));
        drop(leaves_in_the_queue);
        assert_eq!((limiter.waiting(), limiter.position(last.slot())), (2, Some(2)));
        drop(holder);
        assert!(has_permit(&mut last).is_none(), "it is not its turn yet");
        drop(leaves_with_a_permit);
        let permit = has_permit(&mut last).expect("the waiter before it has left");
        assert_eq!(limiter.position(last.slot()), None);
        drop((permit, last));
        assert_eq!((limiter.taken(), limiter.waiting()), (0, 0));
        // Waiters that left no longer count.
        let _holder = self::permit(&limiter, ANYWHERE);
        let _all: Vec<_> = (0..3).map(|_| ticket(&limiter, ANYWHERE)).collect();
    }

    #[test]
    fn full_group_is_named_in_the_rejection() {
        let gpu = GroupLimit { name: "gpu".to_string(), limit: 1 };
        let limiter = ConcurrencyLimiter::new(2, Admission::Reject, vec![gpu]);
        let on_gpu = AdmissionRequest { group: limiter.group("gpu").unwrap(), ..ANYWHERE };
        let _first = permit(&limiter, on_gpu);
        let full = ExecutionError::GroupLimitReached { group: "gpu".to_string(), limit: 1 };
        assert_eq!(limiter.admit(on_gpu).unwrap_err(), full);
        let _second = permit(&limiter, ANYWHERE);
        assert_eq!(limiter.admit(on_gpu).unwrap_err(), ExecutionError::ConcurrencyLimitReached(2));
    }

    #[test]
    fn unbounded_waiters_always_wait_and_are_not_counted() {
        for admission in [Admission::Reject, Admission::Queue { max_waiting: 1 }] {
            let limiter = ConcurrencyLimiter::new(1, admission, Vec::new());
            let _holder = permit(&limiter, ANYWHERE);
            let unbounded = AdmissionRequest { policy: QueuePolicy::Unbounded, ..ANYWHERE };
            let _waiting: Vec<_> = (0..5).map(|_| ticket(&limiter, unbounded)).collect();
            assert_eq!(limiter.waiting(), 5);
            let admitted = limiter.admit(ANYWHERE);
            assert_eq!(admitted.is_ok(), admission != Admission::Reject);
        }
    }
}
