//! The cluster as workers and clients of the simulation reach it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use execution_engine_fleet::{
    Changes, Cluster, ClusterError, ControlCall, Delivery, DeliveryHandle, Durability,
    ExecutionName, LogPart, LogSubject, NewRecord, ObjectName, QueueName, QueuePlace, Settle,
};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;
use turmoil::net::TcpStream;
use uuid::Uuid;

use super::calls::{Answer, Call, Reply, receive, send};
use super::servers::PORT;
use super::world::pass;

/// How long an answer may take, beside what the call itself waits.
const LIMIT: Duration = Duration::from_secs(4);

pub(crate) struct SimulatedCluster;

async fn call(call: Call) -> Reply {
    let no_answer = |what: &str| ClusterError::NoAnswer(what.to_owned());
    let wait = if let Call::Fetch { wait, .. } = &call { *wait } else { Duration::ZERO };
    let exchange = async {
        let mut stream = TcpStream::connect(("servers", PORT)).await?;
        send(&mut stream, &call).await?;
        receive::<Reply>(&mut stream).await
    };
    match timeout(LIMIT + wait, exchange).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => Err(no_answer(&error.to_string())),
        Err(_) => Err(no_answer("it took too long")),
    }
}

fn other(answer: &Answer) -> ClusterError {
    ClusterError::Refused(format!("{answer:?} answers another call"))
}

/// Makes a call whose answer is of one kind.
macro_rules! ask {
    ($call:expr, $pattern:pat => $value:expr) => {
        match call($call).await? {
            $pattern => Ok($value),
            answer => Err(other(&answer)),
        }
    };
}

#[async_trait]
impl Cluster for SimulatedCluster {
    fn durability(&self) -> Durability {
        Durability::Power
    }

    async fn append(&self, record: NewRecord) -> Result<u64, ClusterError> {
        ask!(Call::Append(record), Answer::Seq(seq) => seq)
    }

    async fn read(
        &self,
        subject: &LogSubject,
        from: u64,
        until: u64,
    ) -> Result<LogPart, ClusterError> {
        let subject = subject.clone();
        ask!(Call::Read { subject, from, until }, Answer::Part(part) => part)
    }

    async fn newest(&self, subject: &LogSubject) -> Result<u64, ClusterError> {
        ask!(Call::Newest(subject.clone()), Answer::Seq(seq) => seq)
    }

    async fn last(
        &self,
        subjects: &[LogSubject],
    ) -> Result<Vec<Option<(u64, Bytes)>>, ClusterError> {
        ask!(Call::Last(subjects.to_vec()), Answer::LastOf(last) => last)
    }

    async fn changes(&self, subject: &LogSubject) -> Result<Changes, ClusterError> {
        let subject = subject.clone();
        let seen = Arc::new(std::sync::Mutex::new(None));
        Ok(Changes::new(move || {
            let (subject, seen) = (subject.clone(), Arc::clone(&seen));
            Box::pin(async move {
                loop {
                    let after: Option<u64> = *seen.lock().unwrap();
                    let last = call(Call::Last(vec![subject.clone()])).await;
                    if let Ok(Answer::LastOf(last)) = last {
                        let last = last[0].as_ref().map_or(0, |(seq, _)| *seq);
                        *seen.lock().unwrap() = Some(last);
                        if after.is_some_and(|after| last > after) {
                            return;
                        }
                        let change = Call::Change { subject: subject.clone(), after: last };
                        let _answered = call(change).await;
                    } else {
                        pass(Duration::from_secs(1)).await;
                    }
                }
            })
        }))
    }

    async fn enqueue(&self, place: &QueuePlace, ticket: Bytes) -> Result<(), ClusterError> {
        ask!(Call::Enqueue(place.clone(), ticket), Answer::Done => ())
    }

    async fn find_tickets(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Vec<(QueuePlace, Bytes)>, ClusterError> {
        ask!(Call::FindTickets(tenant.to_owned(), id), Answer::Tickets(tickets) => tickets)
    }

    async fn places(&self, tenant: &str) -> Result<Vec<QueuePlace>, ClusterError> {
        ask!(Call::Places(tenant.to_owned()), Answer::PlacesAre(places) => places)
    }

    async fn executions(&self, tenant: &str) -> Result<Vec<Uuid>, ClusterError> {
        Err(ClusterError::Refused(format!("tenant {tenant}: the simulation has no list")))
    }

    async fn fetch(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError> {
        ask!(Call::Fetch { queue: queue.clone(), most, wait }, Answer::Deliveries(got) => got)
    }

    async fn settle(
        &self,
        _tenant: &str,
        handle: &DeliveryHandle,
        how: Settle,
    ) -> Result<(), ClusterError> {
        ask!(Call::Settle(handle.clone(), how), Answer::Done => ())
    }

    async fn announce(
        &self,
        worker: &str,
        presence: Bytes,
        ttl: Duration,
    ) -> Result<(), ClusterError> {
        ask!(Call::Announce(worker.to_owned(), presence, ttl), Answer::Done => ())
    }

    async fn withdraw(&self, worker: &str) -> Result<(), ClusterError> {
        ask!(Call::Withdraw(worker.to_owned()), Answer::Done => ())
    }

    async fn workers(&self) -> Result<Vec<(String, Bytes)>, ClusterError> {
        ask!(Call::Workers, Answer::WorkersAre(workers) => workers)
    }

    async fn take_sweep(
        &self,
        _tenant: &str,
        worker: &str,
        ttl: Duration,
    ) -> Result<bool, ClusterError> {
        ask!(Call::TakeSweep(worker.to_owned(), ttl), Answer::Yes(yes) => yes)
    }

    async fn ask(
        &self,
        worker: &str,
        about: Option<&ExecutionName>,
        bytes: Bytes,
    ) -> Result<Bytes, ClusterError> {
        let (worker, about) = (worker.to_owned(), about.cloned());
        ask!(Call::Ask { worker, about, bytes }, Answer::Bytes(bytes) => bytes)
    }

    async fn next_call(
        &self,
        worker: &str,
        _tenants: &[String],
    ) -> Result<ControlCall, ClusterError> {
        let next = Call::Receive(worker.to_owned());
        let (number, about, bytes) =
            ask!(next, Answer::CallIs { number, about, bytes } => (number, about, bytes))?;
        let answer = move |bytes| -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                let _lost = call(Call::Reply(number, bytes)).await;
            })
        };
        Ok(ControlCall { about, bytes, answer: Box::new(answer) })
    }

    async fn put_object(
        &self,
        object: &ObjectName,
        content: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64, ClusterError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).await.unwrap();
        let size = bytes.len() as u64;
        ask!(Call::PutObject(object.clone(), bytes.into()), Answer::Done => size)
    }

    async fn read_object(
        &self,
        object: &ObjectName,
        from: u64,
        length: u64,
    ) -> Result<Bytes, ClusterError> {
        let object = object.clone();
        ask!(Call::ReadObject { object, from, length }, Answer::Bytes(bytes) => bytes)
    }

    async fn pools(&self) -> Result<Vec<(String, Bytes)>, ClusterError> {
        Ok(Vec::new())
    }
}
