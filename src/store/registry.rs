//! All executions by id. One short lock; no foreign code and no I/O under it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::record::Record;
use super::retention::RetentionPolicy;
use crate::admission::{AdmissionRequest, Admitted, ConcurrencyLimiter, Rejected};

/// Executions by id; `L` is what a live one is to the room that runs it.
#[derive(Debug)]
pub(crate) struct Registry<L> {
    inner: Mutex<RegistryState<L>>,
    permits: Arc<ConcurrencyLimiter>,
}

#[derive(Debug)]
struct RegistryState<L> {
    /// A tree, which grows and shrinks with what is in it. A hash table does not: where as many go as
    /// come, it grows for those who have gone.
    slots: BTreeMap<Uuid, Slot<L>>,
    /// Oldest ending first, which is by number.
    ended: VecDeque<EndedRecord>,
    next_number: u64,
    /// Nobody is admitted any more.
    closed: bool,
}

#[derive(Debug)]
enum Slot<L> {
    Live(Arc<L>),
    /// The number of its ending.
    Ended(u64),
}

#[derive(Debug)]
struct EndedRecord {
    number: u64,
    at: Instant,
    record: Arc<Record>,
}

/// One execution as the registry knows it.
#[derive(Debug)]
pub(crate) enum ExecutionEntry<L> {
    Live(Arc<L>),
    Ended(Arc<Record>),
}

/// Why an execution was not admitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AdmissionError {
    Duplicate,
    Full(Rejected),
    Closed,
}

impl<L> Registry<L> {
    pub(crate) fn new(permits: Arc<ConcurrencyLimiter>) -> Self {
        let inner = RegistryState {
            slots: BTreeMap::new(),
            ended: VecDeque::new(),
            next_number: 0,
            closed: false,
        };
        Self { inner: Mutex::new(inner), permits }
    }

    pub(crate) fn permits(&self) -> &ConcurrencyLimiter {
        &self.permits
    }

    /// Takes an execution in and gives it its permit or its place in the queue, or refuses it and
    /// changes nothing.
    pub(crate) fn admit(
        &self,
        id: Uuid,
        live: &Arc<L>,
        ask: AdmissionRequest,
    ) -> Result<Admitted, AdmissionError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(AdmissionError::Closed);
        }
        if inner.slots.contains_key(&id) {
            return Err(AdmissionError::Duplicate);
        }
        let admitted = self.permits.ask(ask).map_err(AdmissionError::Full)?;
        inner.slots.insert(id, Slot::Live(Arc::clone(live)));
        Ok(admitted)
    }

    /// Takes back an admission that came to nothing.
    pub(crate) fn discard(&self, id: Uuid) {
        self.lock().slots.remove(&id);
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<ExecutionEntry<L>> {
        self.lock().entry(id)
    }

    pub(crate) fn all(&self) -> Vec<ExecutionEntry<L>> {
        let inner = self.lock();
        let ended =
            inner.ended.iter().map(|ended| ExecutionEntry::Ended(Arc::clone(&ended.record)));
        ended.chain(inner.live().map(ExecutionEntry::Live)).collect()
    }

    /// Admits nobody any more; those that are alive now.
    pub(crate) fn close(&self) -> Vec<Arc<L>> {
        self.lock().closed = true;
        self.live()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn live(&self) -> Vec<Arc<L>> {
        self.lock().live().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// Replaces a live execution by its record. What retention then pushes out is returned, to be
    /// dropped outside the lock: dropping a record may remove a file.
    pub(crate) fn end(
        &self,
        record: &Arc<Record>,
        now: Instant,
        retention: Option<RetentionPolicy>,
    ) -> Vec<Arc<Record>> {
        let mut inner = self.lock();
        let number = inner.next_number;
        inner.next_number += 1;
        inner.slots.insert(record.id(), Slot::Ended(number));
        inner.ended.push_back(EndedRecord { number, at: now, record: Arc::clone(record) });
        retention.map_or_else(Vec::new, |retention| inner.evict(now, retention))
    }

    /// Forgets what retention says, and returns it to be dropped outside the lock.
    pub(crate) fn evict(&self, now: Instant, retention: RetentionPolicy) -> Vec<Arc<Record>> {
        self.lock().evict(now, retention)
    }

    /// Forgets an ended execution: None if there is none of that id, `ActiveExecution` if it still runs.
    pub(crate) fn remove(&self, id: Uuid) -> Option<ExecutionEntry<L>> {
        let mut inner = self.lock();
        let number = match inner.slots.get(&id)? {
            Slot::Live(live) => return Some(ExecutionEntry::Live(Arc::clone(live))),
            Slot::Ended(number) => *number,
        };
        inner.slots.remove(&id);
        let index = inner.index(number)?;
        inner.ended.remove(index).map(|ended| ExecutionEntry::Ended(ended.record))
    }

    /// When the oldest record ended.
    pub(crate) fn oldest_ending(&self) -> Option<Instant> {
        self.lock().ended.front().map(|oldest| oldest.at)
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState<L>> {
        // No code that can panic half-way runs under the lock, so what it guards is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> RegistryState<L> {
    fn entry(&self, id: Uuid) -> Option<ExecutionEntry<L>> {
        match self.slots.get(&id)? {
            Slot::Live(live) => Some(ExecutionEntry::Live(Arc::clone(live))),
            Slot::Ended(number) => {
                let ended = &self.ended[self.index(*number)?];
                Some(ExecutionEntry::Ended(Arc::clone(&ended.record)))
            }
        }
    }

    fn live(&self) -> impl Iterator<Item = Arc<L>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Live(live) => Some(Arc::clone(live)),
            Slot::Ended(_) => None,
        })
    }

    fn index(&self, number: u64) -> Option<usize> {
        self.ended.binary_search_by_key(&number, |ended| ended.number).ok()
    }

    fn evict(&mut self, now: Instant, retention: RetentionPolicy) -> Vec<Arc<Record>> {
        let surplus = retention.surplus(now, self.ended.iter().map(|ended| ended.at));
        let evicted: Vec<_> = self.ended.drain(..surplus).map(|ended| ended.record).collect();
        for record in &evicted {
            self.slots.remove(&record.id());
        }
        evicted
    }
}
