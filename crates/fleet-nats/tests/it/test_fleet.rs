//! A fleet of real servers, whose workers are tasks of the test.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use execution_engine::ExecutionEngine;
use execution_engine_fleet::{
    Certificate, Clock, Cluster as _, Description, EngineRunner, FleetBackend, KeyKind,
    LargeOutput, LeaseGuard, LeaseSettings, Opener, PLANS_POOL, PlanIntake, PlanRunner, Pool,
    Presence, QueueName, Runner, SealingKey, Seed, Share, Signer, Size, SizeClass, Verifier,
    Worker, WorkerOptions, WorkerTimes, certify, decode, encode,
};
use execution_engine_fleet_nats::{
    FleetSetup, NatsCluster, PoolSetup, ServerOptions, TenantSetup, init,
};
use tokio::task::JoinHandle;

use crate::common::{Servers, options};

/// Times of leases that are short, for a busy machine.
const LEASE: LeaseSettings = LeaseSettings {
    every: Duration::from_millis(500),
    lease: Duration::from_secs(4),
    ttl: Duration::from_secs(7),
};

pub(crate) struct TestClock(pub(crate) Instant);

impl Clock for TestClock {
    fn since_boot(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
    }
}

/// The worker is a task of this process, which ends with it.
pub(crate) struct NoGuard;

impl LeaseGuard for NoGuard {
    fn extend(&self, _until: Duration) {}
}

/// A fleet with one pool and tenant, and a key for sealed values.
pub(crate) struct TestFleet {
    pub(crate) servers: Servers,
    /// How clients and workers reach them.
    client: ServerOptions,
    as_worker: ServerOptions,
    sealing: Seed,
    /// The key of the pool that certifies workers.
    signing: Option<Seed>,
}

pub(crate) struct TestWorker {
    pub(crate) worker: Worker,
    pub(crate) engine: ExecutionEngine,
    pub(crate) run: JoinHandle<()>,
}

impl TestFleet {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a fleet with this many servers and so much room for objects.
    pub(crate) async fn large(count: u8, object_bytes: u64) -> Self {
        let servers = Servers::start(count.into()).await;
        let setup = FleetSetup { replicas: count, object_bytes, ..FleetSetup::default() };
        let open = options(&servers);
        Self::set_up(servers, [open.clone(), open.clone(), open], None, setup).await
    }

    pub(crate) async fn start_with(signing: Option<Seed>) -> Self {
        let servers = Servers::start(1).await;
        let open = options(&servers);
        Self::start_as(servers, [open.clone(), open.clone(), open], signing).await
    }

    /// Sets a fleet up on servers, as these: an admin, a client of tenant `t`, and a worker for it.
    pub(crate) async fn start_as(
        servers: Servers,
        users: [ServerOptions; 3],
        signing: Option<Seed>,
    ) -> Self {
        let setup = FleetSetup { replicas: 1, ..FleetSetup::default() };
        Self::set_up(servers, users, signing, setup).await
    }

    async fn set_up(
        servers: Servers,
        [admin, client, as_worker]: [ServerOptions; 3],
        signing: Option<Seed>,
        setup: FleetSetup,
    ) -> Self {
        let sealing = Seed::new(KeyKind::Sealing);
        let size = Size::default();
        let pool = Pool {
            name: "p".into(),
            labels: BTreeMap::new(),
            classes: vec![SizeClass { name: "any".into(), size }],
            sealing: vec![SealingKey { id: "first".into(), public: sealing.public().to_owned() }],
            signing: signing.iter().map(|key| key.public().to_owned()).collect(),
            tenants: BTreeMap::from([("t".into(), Share { weight: 1, running: 100 })]),
        };
        let of_plans = Pool {
            name: PLANS_POOL.into(),
            signing: Vec::new(),
            tenants: BTreeMap::new(),
            ..pool.clone()
        };
        let pool_setup = |pool: &Pool| PoolSetup {
            name: pool.name.clone(),
            classes: vec!["any".into()],
            bytes: encode(pool).unwrap().into(),
        };
        let setup = FleetSetup {
            shards: NonZeroU16::new(2).unwrap(),
            pools: vec![pool_setup(&pool), pool_setup(&of_plans)],
            tenants: vec![TenantSetup { name: "t".into(), max_queue: 100, max_running: 100 }],
            ..setup
        };
        init(&admin, &setup).await.unwrap();
        Self { servers, client, as_worker, sealing, signing }
    }

    pub(crate) async fn cluster(&self) -> Arc<NatsCluster> {
        Arc::new(NatsCluster::connect(&self.as_worker).await.unwrap())
    }

    pub(crate) async fn engine(&self) -> ExecutionEngine {
        let cluster = Arc::new(NatsCluster::connect(&self.client).await.unwrap());
        let backend = FleetBackend::connect(cluster, "t", "test").await.unwrap();
        ExecutionEngine::builder().backend(Arc::new(backend)).build().unwrap()
    }

    /// Returns a signer with a certificate of the pool, if it has a key.
    fn signer(&self) -> Signer {
        let Some(signing) = &self.signing else { return Signer::unsigned() };
        let key = Seed::new(KeyKind::Worker);
        let certificate =
            Certificate { key: key.public().to_owned(), pool: "p".into(), not_after_ms: u64::MAX };
        Signer::new(&key, &certify(signing, &certificate).unwrap()).unwrap()
    }

    pub(crate) async fn worker(&self, id: &str) -> TestWorker {
        self.worker_with(id, self.signer()).await
    }

    pub(crate) async fn worker_with(&self, id: &str, signer: Signer) -> TestWorker {
        self.worker_for(id, signer, LargeOutput::default()).await
    }

    /// Starts a worker that conducts plans and runs nothing.
    pub(crate) async fn conductor(&self, id: &str) -> TestWorker {
        self.conductor_for(id, self.opener(), LargeOutput::default()).await
    }

    pub(crate) async fn conductor_for(
        &self,
        id: &str,
        opener: Arc<Opener>,
        large_output: LargeOutput,
    ) -> TestWorker {
        let options = self.options(id, self.signer(), large_output, 0).await;
        self.start_with_options(opener, options, 8).await
    }

    pub(crate) async fn worker_for(
        &self,
        id: &str,
        signer: Signer,
        large_output: LargeOutput,
    ) -> TestWorker {
        let options = self.options(id, signer, large_output, 8).await;
        self.start_with_options(self.opener(), options, 0).await
    }

    async fn start_with_options(
        &self,
        opener: Arc<Opener>,
        options: WorkerOptions,
        plans: usize,
    ) -> TestWorker {
        let runner = self.runner().await;
        let engine = runner.engine().clone();
        let cluster = self.cluster().await;
        let conductor = PlanRunner::new(cluster.clone(), opener, description());
        let plans = PlanIntake {
            runner: Arc::new(conductor),
            queues: queues(PLANS_POOL, plans),
            slots: plans,
        };
        let clock = Arc::new(TestClock(Instant::now()));
        let (runner, guard) = (Arc::new(runner), Arc::new(NoGuard));
        let worker = Worker::with_plans(cluster, runner, clock, guard, options, Some(plans));
        let running = worker.clone();
        let run = tokio::spawn(async move { running.run().await.unwrap() });
        TestWorker { worker, engine, run }
    }

    /// Returns what runs the programs of a worker.
    pub(crate) async fn runner(&self) -> EngineRunner {
        let (cluster, builder) = (self.cluster().await, ExecutionEngine::builder());
        EngineRunner::new(cluster, builder, self.opener(), description()).unwrap()
    }

    pub(crate) fn opener(&self) -> Arc<Opener> {
        Arc::new(Opener::new([("first".to_owned(), &self.sealing)]).unwrap())
    }

    /// Returns a worker that does nothing yet.
    pub(crate) async fn idle_worker(
        &self,
        id: &str,
        signer: Signer,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
    ) -> Worker {
        let options = self.options(id, signer, LargeOutput::default(), 8).await;
        Worker::new(self.cluster().await, runner, clock, Arc::new(NoGuard), options)
    }

    async fn options(
        &self,
        id: &str,
        signer: Signer,
        large_output: LargeOutput,
        slots: usize,
    ) -> WorkerOptions {
        let pools = self.cluster().await.pools().await.unwrap();
        let pools: Vec<Pool> = pools.iter().map(|(_, bytes)| decode(bytes).unwrap()).collect();
        let verifier = Arc::new(Verifier::new("t", &pools).unwrap());
        WorkerOptions {
            id: id.into(),
            queues: queues("p", slots),
            slots,
            presence: Presence { worker: id.into(), slots: 8, ..Presence::default() },
            signer,
            verifiers: BTreeMap::from([("t".into(), verifier)]),
            times: WorkerTimes {
                lease: LEASE,
                sweep_every: Duration::from_secs(1),
                sweep_ttl: LEASE.ttl,
                later: Duration::from_secs(1),
                ..WorkerTimes::default()
            },
            large_output,
        }
    }
}

fn description() -> Description {
    Description { engine: "test".into(), ..Description::default() }
}

/// Returns the queues of a pool, if a worker has slots for them.
fn queues(pool: &str, slots: usize) -> Vec<(QueueName, u32)> {
    let queue = |priority| QueueName {
        tenant: "t".into(),
        pool: pool.into(),
        class: "any".into(),
        priority,
    };
    (0..3).filter(|_| slots > 0).map(|priority| (queue(priority), 1)).collect()
}
