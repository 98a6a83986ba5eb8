//! The servers: what they keep, and the host that answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use execution_engine_fleet::{
    ClusterError, Delivery, DeliveryHandle, ExecutionName, Expect, LogPart, LogSubject, NewRecord,
    ObjectName, QueueName, QueuePlace, Settle,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use turmoil::net::TcpListener;
use uuid::Uuid;

use super::calls::{Answer, Call, Reply, receive, send};
use super::run::Fault;

pub(crate) const PORT: u16 = 4222;

/// After this time without progress a ticket is delivered again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(45);

/// Most records in one answer.
const PAGE: usize = 16;

fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

struct Ticket {
    bytes: Bytes,
    deliveries: u64,
    /// When it may be delivered (again).
    due: Duration,
}

/// What survives a crash of the servers.
#[derive(Default)]
struct Disk {
    seq: u64,
    log: BTreeMap<LogSubject, Vec<(u64, Bytes)>>,
    names: BTreeMap<String, u64>,
    queue: BTreeMap<QueuePlace, Ticket>,
    objects: BTreeMap<ObjectName, Bytes>,
}

/// What does not.
#[derive(Default)]
struct Memory {
    presence: BTreeMap<String, (Bytes, Duration)>,
    sweeper: Option<(String, Duration)>,
    mailboxes: BTreeMap<String, VecDeque<(u64, Option<ExecutionName>, Bytes)>>,
    asked: BTreeMap<u64, oneshot::Sender<Bytes>>,
    calls: u64,
}

/// The servers of a fleet, as one: they agree on one order.
pub(crate) struct Servers {
    disk: Mutex<Disk>,
    memory: Mutex<Memory>,
    changed: Notify,
    random: Mutex<fastrand::Rng>,
    /// What is wrong with what they keep.
    fault: Fault,
}

impl Servers {
    pub(crate) fn new(seed: u64, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            disk: Mutex::default(),
            memory: Mutex::default(),
            changed: Notify::new(),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            fault,
        })
    }

    /// Returns how many objects were stored.
    pub(crate) fn objects(&self) -> usize {
        self.disk.lock().unwrap().objects.len()
    }

    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap().u32(0..100) < percent
    }

    /// Serves until the host crashes. What was in memory is gone at a start.
    pub(crate) async fn serve(self: Arc<Self>) -> turmoil::Result {
        *self.memory.lock().unwrap() = Memory::default();
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            let servers = Arc::clone(&self);
            tokio::spawn(async move {
                let Ok(call) = receive::<Call>(&mut stream).await else { return };
                let reply = servers.answer(call).await;
                // An answer gets lost although it was done.
                if !servers.chance(3) {
                    let _gone = send(&mut stream, &reply).await;
                }
            });
        }
    }

    async fn answer(&self, call: Call) -> Reply {
        match call {
            Call::Append(record) => self.append(record),
            Call::Read { subject, from, until } => {
                Ok(Answer::Part(self.read(&subject, from, until)))
            }
            Call::Newest(subject) => Ok(Answer::Seq(self.last_seq(&subject))),
            Call::Last(subjects) => Ok(Answer::LastOf(self.last(&subjects))),
            Call::Change { subject, after } => {
                let changed = self.until(|| self.last_seq(&subject) > after);
                Ok(Answer::Yes(timeout(Duration::from_secs(3), changed).await.is_ok()))
            }
            Call::Enqueue(place, ticket) => self.enqueue(place, ticket),
            Call::FindTickets(tenant, id) => Ok(Answer::Tickets(self.find(&tenant, id))),
            Call::Places(tenant) => Ok(Answer::PlacesAre(self.places(&tenant))),
            Call::Fetch { queue, most, wait } => {
                Ok(Answer::Deliveries(self.fetch(&queue, most, wait).await))
            }
            Call::Settle(handle, how) => {
                self.settle(&handle, how);
                Ok(Answer::Done)
            }
            Call::PutObject(object, bytes) => {
                // An upload that is cut off leaves no object.
                if self.chance(5) {
                    return Err(ClusterError::NoAnswer("the upload was cut off".to_owned()));
                }
                if !(self.fault == Fault::LosesObjects && self.chance(5)) {
                    self.disk.lock().unwrap().objects.insert(object, bytes);
                }
                Ok(Answer::Done)
            }
            Call::ReadObject { object, from, length } => self.read_object(object, from, length),
            other => self.answer_from_memory(other).await,
        }
    }

    async fn answer_from_memory(&self, call: Call) -> Reply {
        match call {
            Call::Announce(worker, presence, ttl) => {
                let until = now() + ttl;
                self.memory.lock().unwrap().presence.insert(worker, (presence, until));
                Ok(Answer::Done)
            }
            Call::Withdraw(worker) => {
                self.memory.lock().unwrap().presence.remove(&worker);
                Ok(Answer::Done)
            }
            Call::Workers => {
                let memory = self.memory.lock().unwrap();
                let present = memory.presence.iter().filter(|(_, (_, until))| *until > now());
                Ok(Answer::WorkersAre(present.map(|(w, (b, _))| (w.clone(), b.clone())).collect()))
            }
            Call::TakeSweep(worker, ttl) => {
                let mut memory = self.memory.lock().unwrap();
                let is_free = memory
                    .sweeper
                    .as_ref()
                    .is_none_or(|(holder, until)| *holder == worker || *until <= now());
                if is_free {
                    memory.sweeper = Some((worker, now() + ttl));
                }
                Ok(Answer::Yes(is_free))
            }
            Call::Ask { worker, about, bytes } => self.ask(worker, about, bytes).await,
            Call::Receive(worker) => {
                let has_call = || {
                    let memory = self.memory.lock().unwrap();
                    memory.mailboxes.get(&worker).is_some_and(|calls| !calls.is_empty())
                };
                let none = ClusterError::NoAnswer("there is no request".to_owned());
                timeout(Duration::from_secs(3), self.until(has_call)).await.map_err(|_| none)?;
                let mut memory = self.memory.lock().unwrap();
                let call = memory.mailboxes.get_mut(&worker).and_then(VecDeque::pop_front);
                let (number, about, bytes) =
                    call.ok_or(ClusterError::NoAnswer("another took it".to_owned()))?;
                Ok(Answer::CallIs { number, about, bytes })
            }
            Call::Reply(number, bytes) => {
                let asked = self.memory.lock().unwrap().asked.remove(&number);
                asked.map(|asked| asked.send(bytes));
                Ok(Answer::Done)
            }
            other => Err(ClusterError::Refused(format!("{other:?} is not known"))),
        }
    }

    /// Waits until something is so that only changes with `changed`.
    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }

    fn append(&self, record: NewRecord) -> Reply {
        let mut disk = self.disk.lock().unwrap();
        if let Some(seq) = disk.names.get(&record.name) {
            return Ok(Answer::Seq(*seq));
        }
        let last =
            disk.log.get(&record.subject).and_then(|log| log.last()).map_or(0, |(seq, _)| *seq);
        // A condition that did not hold slips through now and then.
        if matches!(record.expect, Expect::Last(expected) if expected != last) && !self.chance(10) {
            return Err(ClusterError::Conflict { last });
        }
        disk.seq += 1;
        let seq = disk.seq;
        disk.names.insert(record.name, seq);
        if !(self.fault == Fault::LosesRecords && self.chance(5)) {
            disk.log.entry(record.subject).or_default().push((seq, record.bytes));
        }
        drop(disk);
        self.changed.notify_waiters();
        Ok(Answer::Seq(seq))
    }

    fn last_seq(&self, subject: &LogSubject) -> u64 {
        let disk = self.disk.lock().unwrap();
        disk.log.get(subject).and_then(|log| log.last()).map_or(0, |(seq, _)| *seq)
    }

    fn read(&self, subject: &LogSubject, from: u64, until: u64) -> LogPart {
        let disk = self.disk.lock().unwrap();
        let all = disk.log.get(subject).map_or(&[][..], Vec::as_slice);
        // A replica may be behind, but not behind what was asked for.
        let is_behind = self.chance(20);
        let horizon = if is_behind { until.max(disk.seq.saturating_sub(4)) } else { u64::MAX };
        let mut records: Vec<_> = all
            .iter()
            .filter(|(seq, _)| (from..=horizon).contains(seq))
            .take(PAGE + 1)
            .cloned()
            .collect();
        let more = records.len() > PAGE;
        records.truncate(PAGE);
        LogPart { first_seq: 1, records, more }
    }

    fn read_object(&self, object: ObjectName, from: u64, length: u64) -> Reply {
        let disk = self.disk.lock().unwrap();
        let none = |name| ClusterError::NoObject { name, what: "is not there".to_owned() };
        let bytes = disk.objects.get(&object).ok_or_else(|| none(object.name))?;
        let place = |place: u64| (place as usize).min(bytes.len());
        Ok(Answer::Bytes(bytes.slice(place(from)..place(from.saturating_add(length)))))
    }

    fn last(&self, subjects: &[LogSubject]) -> Vec<Option<(u64, Bytes)>> {
        let disk = self.disk.lock().unwrap();
        subjects.iter().map(|s| disk.log.get(s).and_then(|log| log.last()).cloned()).collect()
    }

    fn enqueue(&self, place: QueuePlace, bytes: Bytes) -> Reply {
        let mut disk = self.disk.lock().unwrap();
        let name = format!("ticket {place:?}");
        if disk.names.contains_key(&name) {
            return match disk.queue.get(&place) {
                Some(ticket) if ticket.bytes != bytes => Err(ClusterError::AlreadyQueued),
                _ => Ok(Answer::Done),
            };
        }
        disk.names.insert(name, 0);
        disk.queue.insert(place, Ticket { bytes, deliveries: 0, due: now() });
        drop(disk);
        self.changed.notify_waiters();
        Ok(Answer::Done)
    }

    fn find(&self, tenant: &str, id: Uuid) -> Vec<(QueuePlace, Bytes)> {
        let disk = self.disk.lock().unwrap();
        let of = disk.queue.iter().filter(|(p, _)| p.queue.tenant == tenant && p.id == id);
        of.map(|(place, ticket)| (place.clone(), ticket.bytes.clone())).collect()
    }

    fn places(&self, tenant: &str) -> Vec<QueuePlace> {
        let disk = self.disk.lock().unwrap();
        disk.queue.keys().filter(|place| place.queue.tenant == tenant).cloned().collect()
    }

    async fn fetch(&self, queue: &QueueName, most: usize, wait: Duration) -> Vec<Delivery> {
        let until = now() + wait;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let got = self.deliver(queue, most);
            let rest = until.saturating_sub(now());
            if !got.is_empty() || rest.is_zero() {
                return got;
            }
            // Tickets also become due by time alone.
            let _late = timeout(rest.min(Duration::from_secs(1)), changed).await;
        }
    }

    fn deliver(&self, queue: &QueueName, most: usize) -> Vec<Delivery> {
        let mut disk = self.disk.lock().unwrap();
        let due = disk.queue.iter_mut().filter(|(p, t)| p.queue == *queue && t.due <= now());
        due.take(most)
            .map(|(place, ticket)| {
                ticket.due = now() + ACK_WAIT;
                ticket.deliveries += 1;
                let handle = serde_json::to_string(&(place, ticket.deliveries)).unwrap();
                Delivery {
                    place: place.clone(),
                    ticket: ticket.bytes.clone(),
                    handle: DeliveryHandle(handle),
                }
            })
            .collect()
    }

    fn settle(&self, handle: &DeliveryHandle, how: Settle) {
        let (place, delivery): (QueuePlace, u64) = serde_json::from_str(&handle.0).unwrap();
        let mut disk = self.disk.lock().unwrap();
        let Some(ticket) = disk.queue.get_mut(&place) else { return };
        let is_last = ticket.deliveries == delivery;
        match how {
            Settle::Done => {
                disk.queue.remove(&place);
            }
            Settle::Progress => ticket.due = now() + ACK_WAIT,
            // An earlier delivery has no say in when the next one is.
            Settle::Again if is_last => ticket.due = now(),
            Settle::Later(after) if is_last => ticket.due = now() + after,
            Settle::Again | Settle::Later(_) => {}
        }
        drop(disk);
        self.changed.notify_waiters();
    }

    async fn ask(&self, worker: String, about: Option<ExecutionName>, bytes: Bytes) -> Reply {
        let (answered, answer) = oneshot::channel();
        {
            let mut memory = self.memory.lock().unwrap();
            memory.calls += 1;
            let number = memory.calls;
            memory.asked.insert(number, answered);
            memory.mailboxes.entry(worker).or_default().push_back((number, about, bytes));
        }
        self.changed.notify_waiters();
        match timeout(Duration::from_secs(3), answer).await {
            Ok(Ok(bytes)) => Ok(Answer::Bytes(bytes)),
            _ => Err(ClusterError::NoAnswer("the worker does not answer".to_owned())),
        }
    }
}
