//! All executions by id. One short lock; no foreign code and no I/O under it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use uuid::Uuid;

use super::ended::Record;
use super::retention::Retention;
use crate::submit::{Admitted, Ask, Full, Permits};

/// Executions by id; `L` is what a live one is to the room that runs it.
#[derive(Debug)]
pub(crate) struct Registry<L> {
    inner: Mutex<Inner<L>>,
    permits: Arc<Permits>,
}

#[derive(Debug)]
struct Inner<L> {
    entries: HashMap<Uuid, Slot<L>>,
    /// The ended ones, oldest ending first.
    order: BTreeMap<u64, (Instant, Uuid)>,
    next: u64,
    /// Nobody is admitted any more.
    closed: bool,
}

#[derive(Debug)]
enum Slot<L> {
    Live(Arc<L>),
    Ended(Arc<Record>, u64),
}

/// One execution as the registry knows it.
#[derive(Debug)]
pub(crate) enum Entry<L> {
    Live(Arc<L>),
    Ended(Arc<Record>),
}

/// Why an execution was not admitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Duplicate,
    Full(Full),
    Closed,
}

impl<L> Slot<L> {
    fn entry(&self) -> Entry<L> {
        match self {
            Self::Live(live) => Entry::Live(Arc::clone(live)),
            Self::Ended(record, _) => Entry::Ended(Arc::clone(record)),
        }
    }
}

impl<L> Registry<L> {
    pub(crate) fn new(permits: Arc<Permits>) -> Self {
        let inner =
            Inner { entries: HashMap::new(), order: BTreeMap::new(), next: 0, closed: false };
        Self { inner: Mutex::new(inner), permits }
    }

    pub(crate) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Takes an execution in and gives it its permit or its place in the queue, or refuses it and
    /// changes nothing.
    pub(crate) fn admit(&self, id: Uuid, live: &Arc<L>, ask: Ask) -> Result<Admitted, Refusal> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refusal::Closed);
        }
        if inner.entries.contains_key(&id) {
            return Err(Refusal::Duplicate);
        }
        let admitted = self.permits.ask(ask).map_err(Refusal::Full)?;
        inner.entries.insert(id, Slot::Live(Arc::clone(live)));
        Ok(admitted)
    }

    /// Takes back an admission that came to nothing.
    pub(crate) fn discard(&self, id: Uuid) {
        self.lock().entries.remove(&id);
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Entry<L>> {
        self.lock().entries.get(&id).map(Slot::entry)
    }

    pub(crate) fn all(&self) -> Vec<Entry<L>> {
        self.lock().entries.values().map(Slot::entry).collect()
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
        let live = |slot: &Slot<L>| match slot {
            Slot::Live(live) => Some(Arc::clone(live)),
            Slot::Ended(..) => None,
        };
        self.lock().entries.values().filter_map(live).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Replaces a live execution by its record. What retention then pushes out is returned, to be
    /// dropped outside the lock: dropping a record may remove a file.
    pub(crate) fn end(
        &self,
        record: &Arc<Record>,
        now: Instant,
        retention: Option<Retention>,
    ) -> Vec<Arc<Record>> {
        let mut inner = self.lock();
        let seq = inner.next;
        inner.next += 1;
        let id = record.profile.id;
        inner.entries.insert(id, Slot::Ended(Arc::clone(record), seq));
        inner.order.insert(seq, (now, id));
        retention.map_or_else(Vec::new, |retention| inner.evict(now, retention))
    }

    /// Forgets what retention says, and returns it to be dropped outside the lock.
    pub(crate) fn evict(&self, now: Instant, retention: Retention) -> Vec<Arc<Record>> {
        self.lock().evict(now, retention)
    }

    /// Forgets an ended execution: None if there is none of that id, `Live` if it still runs.
    pub(crate) fn remove(&self, id: Uuid) -> Option<Entry<L>> {
        let mut inner = self.lock();
        let (entry, seq) = match inner.entries.get(&id)? {
            live @ Slot::Live(_) => return Some(live.entry()),
            ended @ Slot::Ended(_, seq) => (ended.entry(), *seq),
        };
        inner.entries.remove(&id);
        inner.order.remove(&seq);
        Some(entry)
    }

    /// When the oldest record ended.
    pub(crate) fn oldest_ending(&self) -> Option<Instant> {
        self.lock().order.first_key_value().map(|(_, (at, _))| *at)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<L>> {
        // No code that can panic half-way runs under the lock, so what it guards is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> Inner<L> {
    fn evict(&mut self, now: Instant, retention: Retention) -> Vec<Arc<Record>> {
        let surplus = retention.surplus(now, self.order.values().map(|(at, _)| *at));
        let mut evicted = Vec::with_capacity(surplus);
        for _ in 0..surplus {
            let Some((_, (_, id))) = self.order.pop_first() else { break };
            if let Some(Slot::Ended(record, _)) = self.entries.remove(&id) {
                evicted.push(record);
            }
        }
        evicted
    }
}
