//! Workers: their presence, the right to sweep, and requests to them.

use std::time::Duration;

use async_nats::{HeaderMap, Subscriber};
use bytes::Bytes;
use execution_engine_fleet::{ClusterError, ControlCall, ExecutionName};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;

use crate::cluster::NatsCluster;
use crate::link::Trouble;
use crate::names::{
    LIVE, call_subject, called, calls_filter, checked, sweep_subject, worker_subject,
};

/// Longest time of a request to a worker.
const ANSWER: Duration = Duration::from_secs(5);
/// Workers whose presence is read at once.
const PRESENCES: usize = 256;

impl NatsCluster {
    pub(crate) async fn store_presence(
        &self,
        worker: &str,
        presence: Bytes,
        ttl: Duration,
    ) -> Result<(), ClusterError> {
        checked("worker", worker)?;
        let subject = format!("exeng.p.{worker}");
        self.link().publish(&subject, with_ttl(ttl), presence).await?;
        Ok(())
    }

    /// Stores an empty presence for the shortest time that there is. Removing it would need the right
    /// to remove that of others.
    pub(crate) async fn remove_presence(&self, worker: &str) -> Result<(), ClusterError> {
        self.store_presence(worker, Bytes::new(), Duration::from_secs(1)).await
    }

    pub(crate) async fn present_workers(&self) -> Result<Vec<(String, Bytes)>, ClusterError> {
        // The leader says who is present; what they say may come from a replica that is behind.
        let subjects = self.link().subjects(LIVE, "exeng.p.*").await?;
        let mut workers = Vec::new();
        for part in subjects.chunks(PRESENCES) {
            let mut batch = self.link().last_of(LIVE, part).await?;
            for subject in part {
                let known = batch.messages.iter().position(|kept| kept.subject == *subject);
                let bytes = match known {
                    Some(index) => Some(batch.messages.swap_remove(index).bytes),
                    None => self.link().newest(LIVE, subject).await?.map(|(_, bytes)| bytes),
                };
                if let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) {
                    workers.push((subject.trim_start_matches("exeng.p.").to_owned(), bytes));
                }
            }
        }
        Ok(workers)
    }

    pub(crate) async fn take_or_renew_sweep(
        &self,
        tenant: &str,
        worker: &str,
        ttl: Duration,
    ) -> Result<bool, ClusterError> {
        checked("tenant", tenant)?;
        checked("worker", worker)?;
        let subject = sweep_subject(tenant);
        let last = match self.link().newest(LIVE, &subject).await? {
            Some((_, owner)) if owner != worker.as_bytes() => return Ok(false),
            Some((seq, _)) => seq,
            None => 0,
        };
        let mut headers = with_ttl(ttl);
        headers.insert("Nats-Expected-Last-Subject-Sequence", last.to_string());
        let owner = Bytes::copy_from_slice(worker.as_bytes());
        match self.link().publish(&subject, headers, owner).await {
            Ok(_) => Ok(true),
            Err(Trouble::Api(error)) if error.conflict().is_some() => Ok(false),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Asks once: a control that is repeated could be done twice.
    pub(crate) async fn ask_worker(
        &self,
        worker: &str,
        about: Option<&ExecutionName>,
        bytes: Bytes,
    ) -> Result<Bytes, ClusterError> {
        checked("worker", worker)?;
        about.map_or(Ok(()), |of| checked("tenant", &of.tenant))?;
        let subject = about.map_or_else(|| worker_subject(worker), |of| call_subject(worker, of));
        let within = ANSWER.min(self.link().patience);
        Ok(self.link().ask_once(&subject, None, bytes, within).await?)
    }

    pub(crate) async fn receive_call(
        &self,
        worker: &str,
        tenants: &[String],
    ) -> Result<ControlCall, ClusterError> {
        checked("worker", worker)?;
        tenants.iter().try_for_each(|tenant| checked("tenant", tenant))?;
        let client = &self.link().client;
        let calls = self.calls(worker);
        let mut calls = calls.lock().await;
        let listened = match calls.take() {
            Some(listened) => listened,
            None => self.listen(worker, tenants).await?,
        };
        let listened = calls.insert(listened);
        loop {
            let Some(message) = listened.next().await else {
                *calls = None;
                return Err(ClusterError::NoAnswer("the connection was closed".to_owned()));
            };
            // A request of something else than this crate is passed over.
            let (Some(about), Some(reply)) = (called(&message.subject), message.reply) else {
                continue;
            };
            let client = client.clone();
            let answer = Box::new(move |bytes: Bytes| {
                let answer: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(async move {
                        if let Err(error) = client.publish(reply, bytes).await {
                            tracing::warn!(%error, "an answer to a request was not sent");
                        }
                        // The worker may end now, and the answer must not end with it.
                        let _flushed = tokio::time::timeout(ANSWER, client.flush()).await;
                    });
                answer
            });
            return Ok(ControlCall { about, bytes: message.payload, answer });
        }
    }

    /// Subscribes to the requests to a worker, of each tenant on its own: rights name the tenant.
    async fn listen(
        &self,
        worker: &str,
        tenants: &[String],
    ) -> Result<SelectAll<Subscriber>, ClusterError> {
        let of_tenants = tenants.iter().map(|tenant| calls_filter(worker, tenant));
        let mut listened = SelectAll::new();
        for subject in of_tenants.chain([worker_subject(worker)]) {
            let subscribed = self.link().client.subscribe(subject).await;
            listened.push(subscribed.map_err(|error| ClusterError::NoAnswer(error.to_string()))?);
        }
        Ok(listened)
    }
}

/// Returns the headers of a message that passes. Servers count whole seconds, from 1 on.
fn with_ttl(ttl: Duration) -> HeaderMap {
    let seconds = ttl.as_millis().div_ceil(1000).max(1);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-TTL", format!("{seconds}s"));
    headers
}
