//! Sends the executions of an engine to a fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use execution_engine::{
    Backend, BackendEvent, BackendExecution, BackendRecord, ContentDigest,
    ControlAction as EngineAction, Duration, Ending, Exclusivity, ExecutionError, ExecutionOptions,
    ExecutionRequest, Place, PlaceDurability, Result, ValidationError,
};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{files, request, results};
pub(crate) use crate::client::now_ms;
use crate::client::{Described, FleetClient, FleetEvent, Follower, Position};
use crate::cluster::{Cluster, ClusterError, Durability};
use crate::control::ControlAction;
use crate::error::FleetError;
use crate::place::{QueueName, QueuePlace};
use crate::placement::place;
use crate::pool::Pool;
use crate::record::{Start, Ticket};
use crate::sign::Verifier;
use crate::wire::{MAX_ATTEMPTS, decode};

/// How long [`Backend::next`] waits for a record.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A fleet, as the place where the executions of an engine run.
pub struct FleetBackend {
    cluster: Arc<dyn Cluster>,
    client: FleetClient,
    tenant: String,
    pools: Vec<Pool>,
    /// Tickets whose acceptance is not known. They are submitted again as they were.
    unknown: Mutex<BTreeMap<Uuid, (QueuePlace, Ticket)>>,
    /// Followers that go on where they are.
    following: Mutex<BTreeMap<Uuid, Following>>,
}

/// Bits of a cursor for the place of an event within its record; the others are the sequence of the
/// record. Output changes its stream at most 128 Ki times in a record, so it has fewer events.
pub(super) const EVENT_BITS: u32 = 18;

/// A follower, with what it has told of the present start.
struct Following {
    follower: Follower,
    /// That of the last event.
    cursor: u64,
    start: Option<(Start, bool)>,
}

impl FleetBackend {
    /// Reads the pools of a fleet, for a tenant. `name` stands in the records of what is cancelled.
    ///
    /// # Errors
    ///
    /// [`FleetError`] if the servers do not answer, or a pool cannot be read.
    pub async fn connect(
        cluster: Arc<dyn Cluster>,
        tenant: &str,
        name: &str,
    ) -> std::result::Result<Self, FleetError> {
        let mut pools = Vec::new();
        for (_, bytes) in cluster.pools().await? {
            pools.push(decode::<Pool>(&bytes)?);
        }
        let verifier = Arc::new(Verifier::new(tenant, &pools)?);
        let client = FleetClient::new(Arc::clone(&cluster), verifier, tenant, name);
        let tenant = tenant.to_owned();
        let (unknown, following) = (Mutex::default(), Mutex::default());
        Ok(Self { cluster, client, tenant, pools, unknown, following })
    }

    /// Returns the client that it uses.
    pub fn client(&self) -> &FleetClient {
        &self.client
    }

    /// Stores the content of a file, for the [inputs](ExecutionOptions::inputs) of executions. It is
    /// read twice, and kept as long as the fleet keeps objects; storing it again begins that anew.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if it cannot be read, or the servers do not take it: they may have no
    /// room.
    pub async fn put_artifact(
        &self,
        content: &mut (impl AsyncRead + AsyncSeek + Send + Unpin),
    ) -> std::result::Result<ContentDigest, FleetError> {
        Ok(files::store(&*self.cluster, &self.tenant, content).await?)
    }

    /// Writes the content of a file to a writer: one that was [stored](Self::put_artifact) or
    /// [collected](execution_engine::ExecutionResult::artifacts). Its digest is compared at the end, so after an error
    /// what was written is of no use.
    ///
    /// # Errors
    ///
    /// [`FleetError::Cluster`] if it is not there, is damaged, or cannot be written.
    pub async fn read_artifact(
        &self,
        digest: ContentDigest,
        to: &mut (impl AsyncWrite + Send + Unpin),
    ) -> std::result::Result<(), FleetError> {
        Ok(files::read(&*self.cluster, &self.tenant, digest, to).await?)
    }

    /// Returns the pool that takes an execution with these options, and its queue.
    pub(crate) fn queue(&self, options: &ExecutionOptions) -> Result<(&Pool, QueueName)> {
        let requires = request::requires(options);
        let (pool, class) = place(&self.tenant, &requires, &self.pools)
            .map_err(|error| ValidationError::invalid_option("requires", error.to_string()))?;
        let queue = QueueName {
            tenant: self.tenant.clone(),
            pool: pool.name.clone(),
            class: class.name.clone(),
            priority: request::queue_priority(options),
        };
        Ok((pool, queue))
    }

    /// Returns the pool with this name.
    pub(crate) fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// Returns the tenant that it is for.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns the ticket of a request and its place.
    fn ticket(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> Result<(QueuePlace, Ticket)> {
        let (pool, queue) = self.queue(options)?;
        let ticket = request::ticket(&self.tenant, pool, request, options, now_ms())?;
        Ok((QueuePlace { queue, id: request.id }, ticket))
    }

    /// Submits a ticket. One whose acceptance is not known is kept, and is submitted again as it was.
    pub(crate) async fn submit_ticket(
        &self,
        place: QueuePlace,
        ticket: Ticket,
    ) -> std::result::Result<(), FleetError> {
        let id = place.id;
        let (place, ticket) = self.unknown.lock().get(&id).cloned().unwrap_or((place, ticket));
        let submitted = self.client.submit(&ticket, &place).await;
        let mut unknown = self.unknown.lock();
        match &submitted {
            Err(
                FleetError::OutcomeUnknown { .. } | FleetError::Cluster(ClusterError::NoAnswer(_)),
            ) => {
                unknown.insert(id, (place, ticket));
            }
            _ => drop(unknown.remove(&id)),
        }
        submitted
    }

    /// Returns a follower behind a cursor: the one that is there, or a new one.
    async fn following(&self, id: Uuid, after: u64) -> Result<Following> {
        let kept = self.following.lock().remove(&id);
        if let Some(kept) = kept.filter(|kept| kept.cursor <= after) {
            return Ok(kept);
        }
        // For an unknown id there would never be a record.
        self.client.state(id).await.map_err(|error| results::to_engine(id, error))?;
        let mut follower = self.client.follow(id, Position::default());
        follower.skip_output_before(after >> EVENT_BITS);
        Ok(Following { follower, cursor: 0, start: None })
    }

    /// Returns records of an execution behind a cursor, as [`next`](Backend::next) does, but those alone that the
    /// log has now: none at their end.
    ///
    /// # Errors
    ///
    /// Those of [`next`](Backend::next).
    pub async fn next_now(&self, id: Uuid, after: u64) -> Result<Vec<BackendRecord>> {
        self.read(id, after, None).await
    }

    /// Reads records behind a cursor, or none if none comes until a moment; `None` does not wait.
    async fn read(
        &self,
        id: Uuid,
        after: u64,
        until: Option<Instant>,
    ) -> Result<Vec<BackendRecord>> {
        // Dropped while it waits, the follower is made anew by the next call: it has taken nothing.
        let mut following = self.following(id, after).await?;
        let records = self.read_with(&mut following, id, after, until).await;
        if !following.follower.has_ended() {
            self.following.lock().insert(id, following);
        }
        records
    }

    async fn read_with(
        &self,
        following: &mut Following,
        id: Uuid,
        after: u64,
        until: Option<Instant>,
    ) -> Result<Vec<BackendRecord>> {
        let failed = |error| results::to_engine(id, error);
        let mut records = Vec::new();
        while records.is_empty() || following.follower.has_more() {
            let next = match until {
                None => following.follower.next_now().await,
                Some(until) => match timeout_at(until, following.follower.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            let Some((position, event)) = next.map_err(failed)? else { break };
            let is_dated = !matches!(&event, FleetEvent::Ended { end, .. } if !results::is_dated(end.as_deref()));
            for mut event in self.events(id, event, &mut following.start) {
                if let BackendEvent::Ended(result) = &mut event
                    && !is_dated
                {
                    let described = self.client.describe(id).await.map_err(failed)?;
                    results::date(result, &described);
                }
                let cursor = (following.cursor + 1).max(position.seq << EVENT_BITS);
                following.cursor = cursor;
                if cursor > after {
                    records.push(BackendRecord { cursor, event });
                }
            }
        }
        Ok(records)
    }

    /// Returns what the engine is told of an event of the fleet.
    fn events(
        &self,
        id: Uuid,
        event: FleetEvent,
        present: &mut Option<(Start, bool)>,
    ) -> Vec<BackendEvent> {
        let place = present.as_ref().map(|present| self.place(present));
        vec![match event {
            FleetEvent::Claimed { start, exclusive } => {
                *present = Some((start, exclusive));
                return Vec::new();
            }
            FleetEvent::Started(started) => {
                let Some(place) = place else { return Vec::new() };
                BackendEvent::Started {
                    place,
                    pid: started.pid,
                    at: results::moment(started.at_ms),
                }
            }
            FleetEvent::Output { runs, bytes } => return results::output(&runs, bytes),
            FleetEvent::Missed(stream, bytes) => {
                BackendEvent::OutputMissed { stream: results::to_stream(stream), bytes }
            }
            FleetEvent::Lost(start) => BackendEvent::AttemptLost {
                ending: Ending::WorkerLost { worker: start.worker, attempts: start.attempt },
                delay: Duration::ZERO,
            },
            FleetEvent::Ended { outcome, end } => {
                BackendEvent::Ended(Box::new(results::result(id, &outcome, end, place)))
            }
        }]
    }

    /// Writes input, sealed to the pool that the ticket is for.
    async fn write(&self, id: Uuid, bytes: Bytes, eof: bool) -> Result<()> {
        let failed = |error: FleetError| results::to_engine(id, error);
        let queued = self.cluster.find_tickets(&self.tenant, id).await;
        let queued = queued.map_err(|error| failed(error.into()))?;
        let Some((place, ticket)) = queued.first() else {
            // It has ended, or is not known.
            let state = self.client.state(id).await.map_err(failed)?;
            return Err(failed(FleetError::AlreadyEnded { id, state: Box::new(state) }));
        };
        let ticket: Ticket = decode(ticket).map_err(|error| failed(error.into()))?;
        if ticket.options.pointer("/stdin/type").is_none_or(|source| source != "piped") {
            return Err(ExecutionError::StdinNotPiped(id));
        }
        if bytes.is_empty() && !eof {
            return Ok(());
        }
        let pool =
            self.pools.iter().find(|pool| pool.name == place.queue.pool).ok_or_else(|| {
                let name = &place.queue.pool;
                ExecutionError::backend(format!("pool {name} is new; connect to the fleet again"))
            })?;
        self.client.write_input(id, pool, bytes, eof).await.map_err(failed)
    }

    fn execution(&self, id: Uuid, described: &Described) -> BackendExecution {
        let start = described.state.starts().last().cloned();
        let place = start.map(|start| self.place(&(start, described.exclusive)));
        results::execution(id, described, place)
    }

    fn place(&self, (start, exclusive): &(Start, bool)) -> Place {
        let durability = match self.cluster.durability() {
            Durability::Power => PlaceDurability::Power,
            Durability::Process => PlaceDurability::Process,
            Durability::Unknown => PlaceDurability::Unknown,
        };
        let exclusive = if *exclusive { Exclusivity::Proven } else { Exclusivity::Assumed };
        Place::new(&start.worker, start.attempt, start.fence)
            .exclusive(exclusive)
            .durability(durability)
    }
}

#[async_trait]
impl Backend for FleetBackend {
    fn check(
        &self,
        request: &ExecutionRequest,
        options: &ExecutionOptions,
    ) -> std::result::Result<(), ValidationError> {
        request::check(request, options)?;
        if options.max_attempts.is_some_and(|attempts| attempts > MAX_ATTEMPTS) {
            let reason = format!("is more than {MAX_ATTEMPTS}; use at most that");
            return Err(ValidationError::invalid_option("max_attempts", reason));
        }
        let requires = request::requires(options);
        let placed = place(&self.tenant, &requires, &self.pools).map(drop);
        placed.map_err(|error| ValidationError::invalid_option("requires", error.to_string()))
    }

    async fn submit(&self, request: &ExecutionRequest, options: &ExecutionOptions) -> Result<()> {
        let (place, ticket) = self.ticket(request, options)?;
        let submitted = self.submit_ticket(place, ticket).await;
        submitted.map_err(|error| results::to_engine(request.id, error))
    }

    async fn cancel(&self, id: Uuid, grace: Option<Duration>) -> Result<()> {
        self.client
            .cancel(id, "a client cancelled it", grace)
            .await
            .map_err(|error| results::to_engine(id, error))
    }

    async fn control(&self, id: Uuid, action: EngineAction) -> Result<u32> {
        let action = match action {
            EngineAction::Signal(signal) => ControlAction::Signal { signal: signal.number() },
            EngineAction::Pause => ControlAction::Pause,
            EngineAction::Resume => ControlAction::Resume,
            other => {
                let reason = format!("a fleet does not know {other:?}");
                return Err(ExecutionError::control(id, reason));
            }
        };
        self.client.control(id, action).await.map_err(|error| results::to_engine(id, error))
    }

    async fn write_stdin(&self, id: Uuid, bytes: Bytes) -> Result<usize> {
        let length = bytes.len();
        self.write(id, bytes, false).await?;
        Ok(length)
    }

    async fn close_stdin(&self, id: Uuid) -> Result<()> {
        self.write(id, Bytes::new(), true).await
    }

    async fn next(&self, id: Uuid, after: u64) -> Result<Vec<BackendRecord>> {
        self.read(id, after, Some(Instant::now() + LONGEST_WAIT)).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<BackendExecution>> {
        match self.client.describe(id).await {
            Ok(described) => Ok(Some(self.execution(id, &described))),
            Err(FleetError::NotFound(_)) => Ok(None),
            Err(error) => Err(results::to_engine(id, error)),
        }
    }

    async fn list(&self) -> Result<Vec<BackendExecution>> {
        let failed = |error| results::to_engine(Uuid::nil(), error);
        let described = self.client.describe_all().await.map_err(failed)?.into_iter();
        // Plans have a list of their own.
        let described = described.filter(|(_, it)| it.plan.is_none());
        let mut executions: Vec<_> = described.map(|(id, it)| self.execution(id, &it)).collect();
        executions.sort_by_key(|execution| execution.accepted_at);
        Ok(executions)
    }
}
