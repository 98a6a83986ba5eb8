//! [`NatsCluster`]: what a fleet asks of its servers, over one connection.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use bytes::Bytes;
use execution_engine_fleet::{
    Changes, Cluster, ClusterError, ControlCall, Delivery, DeliveryHandle, Durability,
    ExecutionName, LogPart, LogSubject, NewRecord, ObjectName, QueueName, QueuePlace, Settle,
};
use futures_util::stream::SelectAll;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::connect::connect;
use crate::durability;
use crate::link::{Link, rest};
use crate::names::{API, BUCKET, TENANT_API};
use crate::options::ServerOptions;
use crate::setup::{Fleet, InitError, stored_fleet};

/// A fleet's servers. Clones share the connection.
///
/// A call tries again while the servers have no leader, for up to
/// [`patience`](ServerOptions::patience). The connection is made anew when it breaks, for as long as
/// there is a clone.
#[derive(Clone)]
pub struct NatsCluster(Arc<Shared>);

/// Where the requests to a worker come, once it has asked for one.
pub(crate) type Calls = Arc<AsyncMutex<Option<SelectAll<Subscriber>>>>;

struct Shared {
    link: Link,
    fleet: Fleet,
    durability: Arc<Mutex<Durability>>,
    /// First sequences of log streams, by name, and until when they are those.
    first_seqs: Mutex<HashMap<String, (u64, Instant)>>,
    /// Subscriptions to requests, by worker.
    calls: Mutex<HashMap<String, Calls>>,
}

impl std::fmt::Debug for NatsCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsCluster").field("fleet", &self.0.fleet).finish_non_exhaustive()
    }
}

impl NatsCluster {
    /// Connects to the servers of a fleet that [`init`](crate::init) has set up.
    ///
    /// Only the server that is reached is checked for its age: servers of a fleet have one version.
    ///
    /// # Errors
    ///
    /// [`InitError`] if no server can be used, or the fleet is not set up or of another format.
    pub async fn connect(options: &ServerOptions) -> Result<Self, InitError> {
        let (client, told) = connect(options).await?;
        let mut link = Link { client, told, patience: options.patience, api: API };
        let stored = match stored_fleet(&link).await {
            // The account of a tenant has no JetStream of its own.
            Err(refused @ InitError::Cluster(ClusterError::Refused(_))) => {
                link.api = TENANT_API;
                stored_fleet(&link).await.map_err(|error| match error {
                    InitError::Cluster(ClusterError::Refused(_)) => refused,
                    error => error,
                })?
            }
            stored => stored?,
        };
        let fleet = stored.ok_or(InitError::Missing)?;
        let durability = Arc::new(Mutex::new(durability::ask(&link).await));
        let connected = link.told.connected.subscribe();
        let shared = Arc::new(Shared {
            link,
            fleet,
            durability: durability.clone(),
            first_seqs: Mutex::default(),
            calls: Mutex::default(),
        });
        tokio::spawn(observe(connected, Arc::downgrade(&shared), durability));
        Ok(Self(shared))
    }

    /// Returns how the fleet was set up when this connected.
    pub fn fleet(&self) -> &Fleet {
        &self.0.fleet
    }

    /// Returns the name of the server that the connection was made to last.
    pub fn server(&self) -> String {
        self.0.link.client.server_info().server_name
    }

    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(crate) fn shards(&self) -> NonZeroU16 {
        self.0.fleet.shards
    }

    pub(crate) fn first_seqs(&self) -> &Mutex<HashMap<String, (u64, Instant)>> {
        &self.0.first_seqs
    }

    /// Returns where the requests to a worker come.
    pub(crate) fn calls(&self, worker: &str) -> Calls {
        self.0.calls.lock().entry(worker.to_owned()).or_default().clone()
    }
}

/// How often the servers are asked again what survives which fault.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Asks the servers again what survives which fault, each time the connection was lost, and from time to time: any
/// server may have been started with other settings. Ends with the last clone.
async fn observe(
    mut connected: watch::Receiver<bool>,
    shared: std::sync::Weak<Shared>,
    durability: Arc<Mutex<Durability>>,
) {
    loop {
        tokio::select! {
            changed = connected.changed() => {
                if changed.is_err() {
                    return;
                }
                // The servers may be others now.
                *durability.lock() = Durability::Unknown;
            }
            () = rest(ASK_AGAIN) => {}
        }
        let is_connected = *connected.borrow_and_update();
        let Some(shared) = shared.upgrade() else { return };
        if is_connected {
            let said = durability::ask(&shared.link).await;
            *durability.lock() = said;
        }
    }
}

#[async_trait]
impl Cluster for NatsCluster {
    fn durability(&self) -> Durability {
        *self.0.durability.lock()
    }

    async fn append(&self, record: NewRecord) -> Result<u64, ClusterError> {
        self.append_record(record).await
    }

    async fn read(
        &self,
        subject: &LogSubject,
        from: u64,
        until: u64,
    ) -> Result<LogPart, ClusterError> {
        self.read_records(subject, from, until).await
    }

    async fn newest(&self, subject: &LogSubject) -> Result<u64, ClusterError> {
        self.newest_record(subject).await
    }

    async fn last(
        &self,
        subjects: &[LogSubject],
    ) -> Result<Vec<Option<(u64, Bytes)>>, ClusterError> {
        self.last_records(subjects).await
    }

    async fn changes(&self, subject: &LogSubject) -> Result<Changes, ClusterError> {
        self.watch_subject(subject).await
    }

    async fn enqueue(&self, place: &QueuePlace, ticket: Bytes) -> Result<(), ClusterError> {
        self.put_ticket(place, ticket).await
    }

    async fn find_tickets(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Vec<(QueuePlace, Bytes)>, ClusterError> {
        self.tickets_of(tenant, id).await
    }

    async fn places(&self, tenant: &str) -> Result<Vec<QueuePlace>, ClusterError> {
        self.places_of(tenant).await
    }

    async fn executions(&self, tenant: &str) -> Result<Vec<Uuid>, ClusterError> {
        self.executions_of(tenant).await
    }

    async fn fetch(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError> {
        self.take(queue, most, wait).await
    }

    async fn settle(
        &self,
        tenant: &str,
        handle: &DeliveryHandle,
        how: Settle,
    ) -> Result<(), ClusterError> {
        self.answer(tenant, handle, how).await
    }

    async fn announce(
        &self,
        worker: &str,
        presence: Bytes,
        ttl: Duration,
    ) -> Result<(), ClusterError> {
        self.store_presence(worker, presence, ttl).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), ClusterError> {
        self.remove_presence(worker).await
    }

    async fn workers(&self) -> Result<Vec<(String, Bytes)>, ClusterError> {
        self.present_workers().await
    }

    async fn take_sweep(
        &self,
        tenant: &str,
        worker: &str,
        ttl: Duration,
    ) -> Result<bool, ClusterError> {
        self.take_or_renew_sweep(tenant, worker, ttl).await
    }

    async fn ask(
        &self,
        worker: &str,
        about: Option<&ExecutionName>,
        bytes: Bytes,
    ) -> Result<Bytes, ClusterError> {
        self.ask_worker(worker, about, bytes).await
    }

    async fn next_call(
        &self,
        worker: &str,
        tenants: &[String],
    ) -> Result<ControlCall, ClusterError> {
        self.receive_call(worker, tenants).await
    }

    async fn put_object(
        &self,
        object: &ObjectName,
        content: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<u64, ClusterError> {
        self.store_object(object, content).await
    }

    async fn read_object(
        &self,
        object: &ObjectName,
        from: u64,
        length: u64,
    ) -> Result<Bytes, ClusterError> {
        self.load_object(object, from, length).await
    }

    async fn pools(&self) -> Result<Vec<(String, Bytes)>, ClusterError> {
        let mut pools = BTreeMap::new();
        let prefix = "$KV.EXENG_FLEET.pool.";
        for subject in self.link().subjects(BUCKET, &format!("{prefix}*")).await? {
            if let Some((_, bytes)) = self.link().newest(BUCKET, &subject).await? {
                pools.insert(subject.trim_start_matches(prefix).to_owned(), bytes);
            }
        }
        Ok(pools.into_iter().collect())
    }
}
