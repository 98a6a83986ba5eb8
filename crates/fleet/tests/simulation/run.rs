//! One play: hosts, faults, and what the client sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use execution_engine_fleet::{
    ClusterError, FleetClient, FleetError, FleetEvent, LargeOutput, Outcome, Position, Presence,
    QueueName, QueuePlace, Requires, Signer, Ticket, Verifier, Worker, WorkerError, WorkerOptions,
    WorkerTimes,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use turmoil::Sim;
use uuid::Uuid;

use super::cluster::SimulatedCluster;
use super::programs::{Plan, SimulatedClock, SimulatedGuard, SimulatedRunner, chunk, now};
use super::servers::{ACK_WAIT, Servers};
use super::world::pass;
use super::world::{SharedWorld, World};

const WORKERS: usize = 3;
const EXECUTIONS: usize = 12;

/// Until when there are faults.
const FAULTS_END: Duration = Duration::from_secs(60);

/// Until when every execution has ended.
const LIMIT: Duration = Duration::from_secs(400);

/// Pause of the client after a call that failed.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    None,
    /// Nothing ends what a worker runs when its lease lapses.
    NoLeaseGuard,
    /// The store takes lower fences, and there is no lease guard.
    NoFences,
    /// The servers lose acknowledged records.
    LosesRecords,
    /// The servers lose some objects that they have stored.
    LosesObjects,
}

/// What happened in plays.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) broken: Vec<String>,
    pub(crate) history: Vec<String>,
    pub(crate) crashes: usize,
    pub(crate) partitions: usize,
    pub(crate) second_starts: usize,
    pub(crate) lost: usize,
    pub(crate) cancelled: usize,
    pub(crate) ended: usize,
    pub(crate) objects: usize,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.second_starts += other.second_starts;
        self.lost += other.lost;
        self.cancelled += other.cancelled;
        self.ended += other.ended;
        self.objects += other.objects;
    }
}

type Outcomes = Arc<Mutex<BTreeMap<Uuid, Outcome>>>;

/// Plays one seed.
pub(crate) fn play(seed: u64, fault: Fault) -> Report {
    let world: SharedWorld = Arc::default();
    world.lock().unwrap().has_fences = fault != Fault::NoFences;
    let servers = Servers::new(seed, fault);
    let at_the_end = Arc::clone(&servers);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(Duration::from_millis(20))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(40))
        .simulation_duration(LIMIT + Duration::from_secs(60))
        .tcp_capacity(4096)
        .build();
    sim.host("servers", move || Arc::clone(&servers).serve());
    for number in 0..WORKERS {
        let world = Arc::clone(&world);
        let starts = Arc::new(Mutex::new(0));
        sim.host(format!("w{number}"), move || {
            let mut starts = starts.lock().unwrap();
            *starts += 1;
            work(Arc::clone(&world), format!("w{number}-{starts}"), fault)
        });
    }
    let outcomes = Outcomes::default();
    sim.client("client", submit_all(seed, Arc::clone(&world), Arc::clone(&outcomes)));
    let mut report = Report::default();
    drive(&mut sim, seed, &mut report, &world);
    world.lock().unwrap().check_overlaps();
    report.objects = at_the_end.objects();
    finish(&world, &outcomes, report)
}

fn finish(world: &SharedWorld, outcomes: &Outcomes, mut report: Report) -> Report {
    let World { broken, history, lives, .. } = &mut *world.lock().unwrap();
    report.broken.append(broken);
    report.history.append(history);
    for outcome in outcomes.lock().unwrap().values() {
        match outcome {
            Outcome::WorkerLost { .. } => report.lost += 1,
            Outcome::Cancelled { .. } => report.cancelled += 1,
            _ => report.ended += 1,
        }
    }
    report.second_starts = lives.len().saturating_sub(EXECUTIONS);
    report
}

/// Steps the simulation until the client is done, with faults in its first part.
fn drive(sim: &mut Sim<'_>, seed: u64, report: &mut Report, world: &SharedWorld) {
    let mut random = fastrand::Rng::with_seed(seed ^ 0xfa017);
    // What is broken, and when it is mended.
    let mut mends: Vec<(Duration, String, bool)> = Vec::new();
    let mut next_fault = Duration::from_secs(2);
    loop {
        match sim.step() {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                return world.lock().unwrap().broken.push(format!("the simulation ended: {error}"));
            }
        }
        let elapsed = sim.elapsed();
        let due = |mend: &(Duration, String, bool)| mend.0 <= elapsed;
        for (_, host, is_crash) in mends.extract_if(.., |mend| due(mend)).collect::<Vec<_>>() {
            match is_crash {
                true => sim.bounce(host),
                false => sim.repair(host, "servers"),
            }
        }
        if elapsed < next_fault || elapsed > FAULTS_END {
            continue;
        }
        next_fault = elapsed + Duration::from_millis(random.u64(500..8000));
        let host = match random.usize(0..WORKERS + 1) {
            WORKERS => "servers".to_owned(),
            number => format!("w{number}"),
        };
        if mends.iter().any(|(_, broken, _)| *broken == host) {
            continue;
        }
        let mend_at = elapsed + Duration::from_millis(random.u64(500..30_000));
        let is_crash = host == "servers" || random.bool();
        match is_crash {
            true => {
                report.crashes += 1;
                sim.crash(host.as_str());
            }
            false => {
                report.partitions += 1;
                sim.partition(host.as_str(), "servers");
            }
        }
        mends.push((mend_at, host, is_crash));
    }
}

fn queue() -> QueueName {
    QueueName { tenant: "t".into(), pool: "p".into(), class: "c".into(), priority: 1 }
}

/// A host that runs one worker after the other.
async fn work(world: SharedWorld, host: String, fault: Fault) -> turmoil::Result {
    let is_on = !matches!(fault, Fault::NoLeaseGuard | Fault::NoFences);
    for number in 0.. {
        let id = format!("{host}-{number}");
        let guard = SimulatedGuard { world: Arc::clone(&world), worker: id.clone(), is_on };
        let runner = SimulatedRunner { world: Arc::clone(&world), worker: id.clone() };
        let worker = Worker::new(
            Arc::new(SimulatedCluster),
            Arc::new(runner),
            Arc::new(SimulatedClock),
            Arc::new(guard),
            options(id, is_on),
        );
        match worker.run().await {
            Err(WorkerError::LeaseOver(worker)) => {
                world.lock().unwrap().note(format!("{worker} is over"));
            }
            done => return Ok(done?),
        }
    }
    Ok(())
}

fn options(id: String, is_on: bool) -> WorkerOptions {
    let mut times = WorkerTimes { progress_every: ACK_WAIT / 3, ..WorkerTimes::default() };
    if !is_on {
        times.lease.lease = Duration::from_secs(3600);
    }
    WorkerOptions {
        presence: Presence { worker: id.clone(), ..Presence::default() },
        id,
        queues: vec![(queue(), 1)],
        slots: 4,
        signer: Signer::unsigned(),
        verifiers: BTreeMap::from([("t".to_owned(), Arc::new(Verifier::unsigned()))]),
        times,
        // Some programs write a few pieces more than this, which have 4 to 8 bytes each.
        large_output: LargeOutput { after: 60, part_bytes: 16, ..LargeOutput::default() },
    }
}

/// The client: submits, cancels some, and follows all to their ends.
async fn submit_all(seed: u64, world: SharedWorld, outcomes: Outcomes) -> turmoil::Result {
    let mut random = fastrand::Rng::with_seed(seed ^ 0xc11e47);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..EXECUTIONS {
        let case = Case {
            id: Uuid::from_u128(random.u128(..)),
            max_attempts: random.u32(1..5),
            plan: Plan { chunks: random.u32(0..40), pause_ms: random.u64(20..1500) },
            begin: Duration::from_millis(random.u64(0..30_000)),
            cancel: (random.u32(0..100) < 30).then(|| Duration::from_millis(random.u64(0..20_000))),
        };
        tasks.spawn(case.play(Arc::clone(&world), Arc::clone(&outcomes)));
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    Ok(())
}

struct Case {
    id: Uuid,
    max_attempts: u32,
    plan: Plan,
    begin: Duration,
    cancel: Option<Duration>,
}

/// What a reader saw of an execution.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    starts: Vec<(u32, u64)>,
    output: Vec<u8>,
    missed: u64,
    outcome: Option<Outcome>,
    has_end: bool,
}

impl Case {
    async fn play(self, world: SharedWorld, outcomes: Outcomes) {
        pass(self.begin).await;
        let client = FleetClient::new(
            Arc::new(SimulatedCluster),
            Arc::new(Verifier::unsigned()),
            "t",
            "simulation",
        );
        let submitted = self.submit(&client).await;
        let mut broken = Vec::new();
        if let Err(error) = submitted {
            broken.push(format!("submit: {error}"));
        }
        let (cancelled, seen) = tokio::join!(self.cancel(&client), self.follow(&client));
        let again = self.follow(&client).await;
        broken.extend(self.check(&seen, cancelled));
        if again != seen {
            broken.push(format!("a second reader saw {again:?}, the first {seen:?}"));
        }
        let mut world = world.lock().unwrap();
        world.note(format!("{} is seen as {:?}", self.id, seen.outcome));
        world.broken.extend(broken.into_iter().map(|what| format!("{}: {what}", self.id)));
        outcomes.lock().unwrap().extend(seen.outcome.map(|outcome| (self.id, outcome)));
    }

    async fn submit(&self, client: &FleetClient) -> Result<(), FleetError> {
        let ticket = Ticket {
            id: self.id,
            tenant: "t".into(),
            command: "simulated".into(),
            request: serde_json::to_value(&self.plan).unwrap(),
            options: json!({}),
            requires: Requires::default(),
            max_attempts: self.max_attempts,
            start_by_ms: None,
            submitted_at_ms: 0,
            sealed: None,
            plan: None,
            asked: None,
        };
        let place = QueuePlace { queue: queue(), id: self.id };
        loop {
            match client.submit(&ticket, &place).await {
                Err(
                    FleetError::OutcomeUnknown { .. }
                    | FleetError::Cluster(ClusterError::NoAnswer(_)),
                ) => pass(AFTER_FAILURE).await,
                done => return done,
            }
        }
    }

    /// Cancels if it is to be, and returns what came of it.
    async fn cancel(&self, client: &FleetClient) -> Option<Result<(), FleetError>> {
        pass(self.cancel?).await;
        loop {
            match client.cancel(self.id, "the play says so", None).await {
                Err(FleetError::Cluster(ClusterError::NoAnswer(_))) => pass(AFTER_FAILURE).await,
                done => return Some(done),
            }
        }
    }

    async fn follow(&self, client: &FleetClient) -> Seen {
        let mut seen = Seen::default();
        let mut position = Position::default();
        let mut follower = client.follow(self.id, position);
        let mut events = 0;
        while now() < LIMIT {
            let event = match follower.next().await {
                Ok(Some((behind, event))) => {
                    position = behind;
                    event
                }
                Ok(None) => break,
                Err(_) => {
                    pass(AFTER_FAILURE).await;
                    continue;
                }
            };
            events += 1;
            match event {
                FleetEvent::Claimed { start, .. } => {
                    seen.starts.push((start.attempt, start.fence));
                    seen.output.clear();
                    seen.missed = 0;
                }
                FleetEvent::Output { bytes, .. } => seen.output.extend_from_slice(&bytes),
                FleetEvent::Missed(_, bytes) => seen.missed += bytes,
                FleetEvent::Ended { outcome, end } => {
                    seen.outcome = Some(outcome);
                    seen.has_end = end.is_some();
                }
                _ => {}
            }
            // Goes on as another process would, at the place that was kept. An event of the same
            // record may come with others, so only where the record is used up.
            if events % 7 == 0 && seen.outcome.is_none() && !follower.has_more() {
                follower = client.follow(self.id, position);
            }
        }
        seen
    }

    fn check(&self, seen: &Seen, cancelled: Option<Result<(), FleetError>>) -> Vec<String> {
        let mut broken = Vec::new();
        let grow = seen.starts.windows(2).all(|pair| pair[0] < pair[1] && pair[0].1 < pair[1].1);
        if !grow || seen.starts.len() > self.max_attempts as usize {
            broken.push(format!("starts {:?} of {}", seen.starts, self.max_attempts));
        }
        let fence = seen.starts.last().map_or(0, |(_, fence)| *fence);
        let whole: String = (0..self.plan.chunks).map(|number| chunk(fence, number)).collect();
        if !whole.as_bytes().starts_with(&seen.output) || seen.missed != 0 {
            broken.push(format!("its output is {seen:?}"));
        }
        match &seen.outcome {
            None => broken.push(format!("it has not ended: {seen:?}")),
            Some(Outcome::Ended) if seen.output != whole.as_bytes() => {
                broken.push(format!("it ended with a part of its output: {seen:?}"));
            }
            Some(Outcome::WorkerLost { attempts, .. }) if *attempts != self.max_attempts => {
                broken.push(format!("lost after {attempts} of {}", self.max_attempts));
            }
            Some(_) => {}
        }
        let is_cancelled = matches!(seen.outcome, Some(Outcome::Cancelled { .. }));
        match cancelled {
            Some(Ok(())) if !is_cancelled => broken.push(format!("cancelled, but {seen:?}")),
            Some(Err(FleetError::AlreadyEnded { state, .. }))
                if state.outcome() != seen.outcome.as_ref() =>
            {
                broken.push(format!("told {:?}, but {seen:?}", state.outcome()));
            }
            Some(Err(FleetError::AlreadyEnded { .. }) | Ok(())) | None => {}
            Some(Err(error)) => broken.push(format!("cancel: {error}")),
        }
        broken
    }
}
