//! What goes over the simulated network: one call and one answer for each connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use execution_engine_fleet::{
    ClusterError, Delivery, DeliveryHandle, ExecutionName, LogPart, LogSubject, NewRecord,
    ObjectName, QueueName, QueuePlace, Settle,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Call {
    Append(NewRecord),
    Read {
        subject: LogSubject,
        from: u64,
        until: u64,
    },
    Newest(LogSubject),
    Last(Vec<LogSubject>),
    /// Answers when the subject has a record behind this sequence.
    Change {
        subject: LogSubject,
        after: u64,
    },
    Enqueue(QueuePlace, Bytes),
    FindTickets(String, Uuid),
    Places(String),
    Fetch {
        queue: QueueName,
        most: usize,
        wait: Duration,
    },
    Settle(DeliveryHandle, Settle),
    Announce(String, Bytes, Duration),
    Withdraw(String),
    Workers,
    TakeSweep(String, Duration),
    Ask {
        worker: String,
        about: Option<ExecutionName>,
        bytes: Bytes,
    },
    /// Answers with the next request to a worker.
    Receive(String),
    /// The answer of a worker to the request with this number.
    Reply(u64, Bytes),
    PutObject(ObjectName, Bytes),
    ReadObject {
        object: ObjectName,
        from: u64,
        length: u64,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Seq(u64),
    Part(LogPart),
    LastOf(Vec<Option<(u64, Bytes)>>),
    Tickets(Vec<(QueuePlace, Bytes)>),
    PlacesAre(Vec<QueuePlace>),
    Deliveries(Vec<Delivery>),
    WorkersAre(Vec<(String, Bytes)>),
    Yes(bool),
    Bytes(Bytes),
    CallIs { number: u64, about: Option<ExecutionName>, bytes: Bytes },
}

pub(crate) type Reply = Result<Answer, ClusterError>;

pub(crate) async fn send(stream: &mut TcpStream, value: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    stream.write_u32(bytes.len() as u32).await?;
    stream.write_all(&bytes).await
}

pub(crate) async fn receive<T: DeserializeOwned>(stream: &mut TcpStream) -> io::Result<T> {
    let length = stream.read_u32().await?;
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}
