//! Exact limit of concurrent executions, with a queue for those that wait.

use std::sync::Arc;

use execution_engine_process::live_children;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::descriptors::DescriptorBudget;
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
    descriptors: Arc<DescriptorBudget>,
    state: Mutex<LimiterState>,
}

#[derive(Debug)]
struct LimiterState {
    queue: AdmissionQueue<QueuedWaiter>,
    /// Number of waiters that count against `max_waiting`.
    counted: usize,
    /// A waiter was not given its permit for lack of descriptors.
    lacks_descriptors: bool,
    /// A task refreshes from time to time.
    is_watched: bool,
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
    /// None once it was returned.
    limiter: Option<Arc<ConcurrencyLimiter>>,
    group: GroupId,
}

/// Permit that was returned and goes to the first waiter, if there is one, when this is dropped.
#[derive(Debug)]
#[must_use = "the waiter gets it when this is dropped, which wakes the waiter"]
pub(crate) struct ReturnedPermit(Option<(oneshot::Sender<Permit>, Permit)>);

/// Right to a permit, in the order of the queue. When it is dropped, its place is left.
#[derive(Debug)]
pub(crate) struct Ticket {
    place: QueuePlace,
    permit: oneshot::Receiver<Permit>,
}

/// Place in the queue.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlace {
    limiter: Arc<ConcurrencyLimiter>,
    group: GroupId,
    key: QueueKey,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(
        limit: usize,
        admission: Admission,
        groups: Vec<GroupLimit>,
        descriptors: Arc<DescriptorBudget>,
    ) -> Arc<Self> {
        let queue = AdmissionQueue::new(limit, usize::MAX, groups.iter().map(|group| group.limit));
        let state = LimiterState { queue, counted: 0, lacks_descriptors: false, is_watched: false };
        let state = Mutex::new(state);
        Arc::new(Self { admission, groups: groups.into_boxed_slice(), descriptors, state })
    }

    /// Finds a group by its name.
    pub(crate) fn group(&self, name: &str) -> Option<GroupId> {
        self.groups.iter().position(|group| group.name == name).map(GroupId::named)
    }

    /// Returns the names of the groups.
    pub(crate) fn group_names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(|group| &*group.name)
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
        let mut state = self.state.lock();
        // Those that wait for descriptors were first.
        let has_descriptors = !state.lacks_descriptors && self.has_descriptors(&state);
        if has_descriptors && state.queue.take(group) {
            return Ok(Admitted::Permit(self.permit(group)));
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
        state.lacks_descriptors |= !has_descriptors;
        let (sender, permit) = oneshot::channel();
        let key = state.queue.push(group, priority, QueuedWaiter { permit: sender, policy });
        let place = QueuePlace { limiter: Arc::clone(self), group, key };
        Ok(Admitted::Ticket(Box::new(Ticket { place, permit })))
    }

    /// Returns `true` if there are descriptors for another execution. One may always run: it waits
    /// for nothing that might never happen, and learns from the system if it cannot be started.
    fn has_descriptors(&self, state: &LimiterState) -> bool {
        state.queue.taken() == 0 || self.descriptors.has_room()
    }

    /// Asks the system before the next grant: it has refused a descriptor for an execution.
    pub(crate) fn doubt_descriptors(&self) {
        self.descriptors.doubt();
    }

    /// Returns `true` if an execution for which the system has no descriptor waits until others end:
    /// some programs run, and this one may wait.
    pub(crate) fn may_wait_for_descriptors(&self, policy: QueuePolicy) -> bool {
        let may_wait = policy == QueuePolicy::Unbounded || self.admission != Admission::Reject;
        // Permits do not count: two executions without a program would wait for each other.
        may_wait && live_children() > 0
    }

    /// Returns `true` if a waiter was not given its permit for lack of descriptors.
    pub(crate) fn lacks_descriptors(&self) -> bool {
        self.state.lock().lacks_descriptors
    }

    /// Looks at the descriptors of this process, and lets those go on that have waited for some.
    /// Asks the system, so no lock may be held.
    pub(crate) fn refresh(self: &Arc<Self>) {
        self.descriptors.refresh();
        while self.lacks_descriptors() {
            let next = self.next(&mut self.state.lock());
            if next.0.is_none() {
                return;
            }
            // It is sent to its waiter here.
            drop(next);
        }
    }

    /// Begins a watch, if one is needed and there is none. Returns `true` if the caller is to
    /// [refresh](Self::refresh) from time to time, until [`end_watch`](Self::end_watch) returns `true`:
    /// the host may close files, of which nothing tells.
    pub(crate) fn begin_watch(&self) -> bool {
        let state = &mut *self.state.lock();
        state.lacks_descriptors && !std::mem::replace(&mut state.is_watched, true)
    }

    /// Ends the watch and returns `true` if no execution waits for descriptors any more.
    pub(crate) fn end_watch(&self) -> bool {
        let mut state = self.state.lock();
        state.is_watched = state.lacks_descriptors;
        !state.is_watched
    }

    /// Takes a permit for the first waiter that may have one.
    fn next(self: &Arc<Self>, state: &mut LimiterState) -> ReturnedPermit {
        let has_descriptors = self.has_descriptors(state);
        let next = if has_descriptors { state.queue.next() } else { None };
        // Those that have waited stay ahead of new ones until no more of them can go.
        let may_go_on = state.lacks_descriptors && next.is_some();
        state.lacks_descriptors = state.queue.waiting() > 0 && (!has_descriptors || may_go_on);
        ReturnedPermit(next.map(|(group, waiter)| {
            state.uncount(waiter.policy);
            (waiter.permit, self.permit(group))
        }))
    }

    fn permit(self: &Arc<Self>, group: GroupId) -> Permit {
        self.descriptors.grant();
        Permit { limiter: Some(Arc::clone(self)), group }
    }

    /// Returns the limit that is reached: that of the group only if the engine still has room, and
    /// that of open files only if the group has.
    fn full(&self, queue: &AdmissionQueue<QueuedWaiter>, group: GroupId) -> ExecutionError {
        if queue.has_room_for(group) {
            let (in_use, limit) = self.descriptors.in_use_and_limit();
            return ExecutionError::OpenFileLimitReached { in_use, limit };
        }
        match group.number().filter(|_| queue.has_room()) {
            Some(number) => {
                let GroupLimit { name, limit } = self.groups[number].clone();
                ExecutionError::GroupLimitReached { group: name, limit }
            }
            None => ExecutionError::ConcurrencyLimitReached(queue.limit()),
        }
    }

    fn give_back(self: &Arc<Self>, group: GroupId) -> ReturnedPermit {
        let mut state = self.state.lock();
        state.queue.give_back(group);
        self.descriptors.give_back();
        self.next(&mut state)
    }

    /// Returns the number of permits in use.
    pub(crate) fn taken(&self) -> usize {
        self.state.lock().queue.taken()
    }

    /// Returns the number of free permits.
    pub(crate) fn available(&self) -> usize {
        let state = self.state.lock();
        state.queue.limit() - state.queue.taken()
    }

    /// Returns the number of executions in the queue.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().queue.waiting()
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

impl Admitted {
    pub(crate) fn is_queued(&self) -> bool {
        matches!(self, Self::Ticket(_))
    }

    /// Returns the permit; None if it still waits for one, and gives up its place then.
    pub(crate) fn into_permit(self) -> Option<Permit> {
        match self {
            Self::Permit(permit) => Some(permit),
            Self::Ticket(_) => None,
        }
    }
}

impl Permit {
    /// Returns the permit without waking the waiter that gets it: for a caller that holds a lock.
    pub(crate) fn give_back(mut self) -> ReturnedPermit {
        let limiter = self.limiter.take();
        limiter.map_or(ReturnedPermit(None), |limiter| limiter.give_back(self.group))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            drop(limiter.give_back(self.group));
        }
    }
}

impl Drop for ReturnedPermit {
    fn drop(&mut self) {
        // Without a lock: a waiter that has just gone leaves the permit here, and dropping it
        // returns it once more, for the next one.
        if let Some((waiter, permit)) = self.0.take() {
            drop(waiter.send(permit));
        }
    }
}

impl Ticket {
    pub(crate) fn place(&self) -> &QueuePlace {
        &self.place
    }

    /// Waits for the permit.
    ///
    /// # Cancel safety
    /// The permit stays in the ticket until this returns it, so nothing is lost by a drop.
    pub(crate) async fn permit(&mut self) -> Permit {
        match (&mut self.permit).await {
            Ok(permit) => permit,
            // It has left the queue, because it was stopped.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.place.leave();
    }
}

impl QueuePlace {
    /// Returns the position in the queue, the first being 1; None if it no longer waits.
    pub(crate) fn position(&self) -> Option<usize> {
        self.limiter.state.lock().queue.position(self.group, self.key)
    }

    /// Leaves the queue, unless it has been left or the permit was granted.
    pub(crate) fn leave(&self) {
        let waiter = {
            let mut state = self.limiter.state.lock();
            let waiter = state.queue.remove(self.group, self.key);
            if let Some(waiter) = &waiter {
                state.uncount(waiter.policy);
            }
            state.lacks_descriptors &= state.queue.waiting() > 0;
            waiter
        };
        // Without the lock, because it wakes the task that waits.
        drop(waiter);
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
        let limiter = ConcurrencyLimiter::new(2, Admission::Reject, Vec::new(), Arc::default());
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
        let limiter = ConcurrencyLimiter::new(
            1,
            Admission::Queue { max_waiting: 3 },
            Vec::new(),
            Arc::default(),
        );
        let holder = permit(&limiter, ANYWHERE);
        let leaves_in_the_queue = ticket(&limiter, ANYWHERE);
        let leaves_with_a_permit = ticket(&limiter, ANYWHERE);
        let mut last = ticket(&limiter, ANYWHERE);
        assert_eq!(limiter.admit(ANYWHERE).unwrap_err(), ExecutionError::QueueFull(3));
        assert_eq!(last.place().position(), Some(3));
        drop(leaves_in_the_queue);
        assert_eq!((limiter.waiting(), last.place().position()), (2, Some(2)));
        drop(holder);
        assert!(has_permit(&mut last).is_none(), "it is not its turn yet");
        drop(leaves_with_a_permit);
        let permit = has_permit(&mut last).expect("the waiter before it has left");
        assert_eq!(last.place().position(), None);
        drop((permit, last));
        assert_eq!((limiter.taken(), limiter.waiting()), (0, 0));
        // Waiters that left no longer count.
        let _holder = self::permit(&limiter, ANYWHERE);
        let _all: Vec<_> = (0..3).map(|_| ticket(&limiter, ANYWHERE)).collect();
    }

    #[test]
    fn full_group_is_named_in_the_rejection() {
        let gpu = GroupLimit { name: "gpu".to_string(), limit: 1 };
        let limiter = ConcurrencyLimiter::new(2, Admission::Reject, vec![gpu], Arc::default());
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
            let limiter = ConcurrencyLimiter::new(1, admission, Vec::new(), Arc::default());
            let _holder = permit(&limiter, ANYWHERE);
            let unbounded = AdmissionRequest { policy: QueuePolicy::Unbounded, ..ANYWHERE };
            let _waiting: Vec<_> = (0..5).map(|_| ticket(&limiter, unbounded)).collect();
            assert_eq!(limiter.waiting(), 5);
            let admitted = limiter.admit(ANYWHERE);
            assert_eq!(admitted.is_ok(), admission != Admission::Reject);
        }
    }
}
