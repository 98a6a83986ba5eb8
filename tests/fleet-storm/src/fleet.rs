//! Servers, workers, register and client of a storm.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use execution_engine::{ExecutionConfig, ExecutionEngine, ExecutionOptions, ExecutionRequest};
use execution_engine_fleet::{FleetBackend, FleetClient, shard_of};
use execution_engine_fleet_nats::{
    Grant, Identity, NatsCluster, Role, ServerOptions, server_config,
};
use fleet_servers::{Authority, Host, PATIENCE, Servers, Setup};
use tempfile::TempDir;
use uuid::Uuid;

use crate::cost::Cost;
use crate::network::{Network, command};
use crate::register::Register;
use crate::workers::{WorkerLife, WorkerNode};
use crate::{POOL, TENANT};

/// Number of servers.
pub(crate) const SERVERS: usize = 3;

/// Streams that the records are spread over.
const SHARDS: u16 = 4;
/// Users of the servers.
const ADMIN: &str = "admin";
const CLIENT: &str = "client";
const WORKER: &str = "worker";
/// Times of leases, so that much happens within a minute. They are longer than servers take to elect a leader (2
/// to 4 s): with a lease of 3 s each killed server ended all workers, and nothing else was tried.
const LEASE: &str = "1s,6s,9s";

/// The programs of a storm.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `exeng`.
    pub exeng: PathBuf,
    /// Another build of it, for every second worker.
    pub other: Option<PathBuf>,
    /// `storm-program`.
    pub program: PathBuf,
}

/// What a fleet of a storm has.
#[derive(Debug, Clone)]
pub struct FleetSetup {
    /// How many workers.
    pub workers: usize,
    /// Most executions of a worker at a time.
    pub slots: usize,
    /// Most executions that are queued or run.
    pub max_queue: u64,
    /// Whether the register refuses what it must.
    pub is_fencing: bool,
    /// `sync_interval` of the servers.
    pub sync_interval: &'static str,
    /// Directories of the records of the servers, from the first on; their own if there are fewer.
    pub stores: Vec<PathBuf>,
}

impl Default for FleetSetup {
    fn default() -> Self {
        Self {
            workers: 4,
            slots: 4,
            max_queue: 100_000,
            is_fencing: true,
            sync_interval: "always",
            stores: Vec::new(),
        }
    }
}

/// What an execution does: it prints numbered lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// How many lines.
    pub lines: u64,
    /// Pause after each.
    pub pause: Duration,
    /// Bytes of a line with its end.
    pub line_bytes: usize,
    /// How often it may be started.
    pub max_attempts: u32,
}

/// A fleet with its faults' targets. All processes end when this is dropped.
pub struct Fleet {
    /// The workers, without processes at first.
    pub workers: Vec<WorkerNode>,
    /// The servers, which run.
    pub servers: Servers,
    /// The links.
    pub network: Network,
    /// The store of the programs.
    pub register: Register,
    programs: Programs,
    home: TempDir,
}

impl Fleet {
    /// Starts the servers and sets the fleet up, with encryption, users, and keys for its workers. Workers
    /// are started one by one.
    pub async fn start(programs: Programs, setup: &FleetSetup) -> Self {
        let home = TempDir::new().unwrap();
        let network = Network::make(SERVERS + setup.workers);
        let store = |node: usize| setup.stores.get(node).cloned();
        let host = |node| Host { store: store(node), ..network.host(node) };
        let hosts: Vec<_> = (0..SERVERS).map(host).collect();
        let extra = protection(home.path(), &hosts);
        let sync_interval = setup.sync_interval.into();
        let servers =
            Servers::start_with(&Setup { count: SERVERS, sync_interval, extra, hosts }).await;
        let register = Register::start(&socket(&home), setup.is_fencing);
        let workers = Vec::new();
        let mut fleet = Self { workers, servers, network, register, programs, home };
        fleet.init(setup).await;
        fleet.workers = (0..setup.workers).map(|node| fleet.node(node, setup)).collect();
        fleet
    }

    /// Runs `exeng fleet init` until the servers are ready for it.
    async fn init(&self, setup: &FleetSetup) {
        let keys = self.keys();
        let (shards, max_queue) = (SHARDS.to_string(), setup.max_queue.to_string());
        let init = ["fleet", "init", "--shards", &shards, "--max-queue", &max_queue];
        let names = ["--pool", POOL, "--tenant", TENANT, "--keys", keys.to_str().unwrap()];
        let until = Instant::now() + PATIENCE;
        loop {
            let mut words = vec![self.programs.exeng.to_str().unwrap().to_owned()];
            words.extend(init.into_iter().chain(names).map(str::to_owned));
            words.extend(self.access(ADMIN));
            let Output { status, stderr, .. } =
                command(&words[0]).args(&words[1..]).output().unwrap();
            if status.success() {
                return;
            }
            assert!(Instant::now() < until, "{}", String::from_utf8_lossy(&stderr));
            pause(Duration::from_millis(500)).await;
        }
    }

    fn node(&self, number: usize, setup: &FleetSetup) -> WorkerNode {
        let node = SERVERS + number;
        let other = self.programs.other.as_ref().filter(|_| number % 2 == 1);
        let program = other.unwrap_or(&self.programs.exeng);
        let keys = self.keys().join(format!("worker-{POOL}.keys"));
        let (name, slots) = (format!("n{node}"), setup.slots.to_string());
        let mut worker = vec![program.to_str().unwrap().to_owned()];
        let options = ["worker", "--name", &name, "--slots", &slots, "--lease", LEASE];
        worker.extend(options.map(str::to_owned));
        worker.extend(["--keys".to_owned(), keys.to_str().unwrap().to_owned()]);
        worker.extend(self.access(WORKER));
        WorkerNode::new(self.network.enter(node), worker, self.home.path().join("state"))
    }

    fn keys(&self) -> PathBuf {
        self.home.path().join("keys")
    }

    /// Returns the options of `exeng` with which a user reaches the servers.
    fn access(&self, user: &str) -> Vec<String> {
        let options = self.options(user);
        let (certificate, key) = options.client_certificate.unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let pairs = [
            ("--on", options.urls.join(",")),
            ("--ca", text(options.ca.unwrap())),
            ("--cert", text(certificate)),
            ("--key", text(key)),
            ("--inbox", options.inbox),
        ];
        pairs.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }

    fn options(&self, user: &str) -> ServerOptions {
        let file = |name: String| self.home.path().join(name);
        ServerOptions {
            require_tls: true,
            ca: Some(file("ca.pem".to_owned())),
            client_certificate: Some((file(format!("{user}.crt")), file(format!("{user}.key")))),
            inbox: format!("_INBOX_{user}"),
            ..ServerOptions::new(self.servers.urls())
        }
    }

    /// Starts a worker on each node.
    pub fn start_workers(&mut self) {
        self.workers.iter_mut().for_each(WorkerNode::start);
    }

    /// Returns all workers so far, with the ends of those that have ended.
    pub fn lives(&self) -> Vec<WorkerLife> {
        self.workers.iter().flat_map(WorkerNode::lives).collect()
    }

    /// Returns what all processes of the fleet have used so far.
    pub fn cost(&self) -> Cost {
        let workers: Vec<_> = self.lives().iter().map(|life| life.pid).collect();
        let servers: Vec<_> = (0..SERVERS).map(|number| self.servers.pid(number)).collect();
        Cost::of(&servers, &workers)
    }

    /// Connects to the servers as a worker does, with nothing of ours between.
    pub async fn bare_client(&self) -> async_nats::Client {
        let options = self.options(WORKER);
        let (certificate, key) = options.client_certificate.unwrap();
        async_nats::ConnectOptions::new()
            .require_tls(true)
            .add_root_certificates(options.ca.unwrap())
            .add_client_certificate(certificate, key)
            .custom_inbox_prefix(options.inbox)
            .connect(&options.urls[..])
            .await
            .unwrap()
    }

    /// Returns the subject of the decisions about an execution.
    pub fn log_subject(id: Uuid) -> String {
        format!("exeng.x.{TENANT}.{}.{}.s", shard_of(id, SHARDS.try_into().unwrap()), id.simple())
    }

    /// Connects as a client that follows.
    pub async fn client(&self) -> FleetClient {
        self.backend().await.client().clone()
    }

    async fn backend(&self) -> FleetBackend {
        let cluster = NatsCluster::connect(&self.options(CLIENT)).await.unwrap();
        FleetBackend::connect(Arc::new(cluster), TENANT, "storm").await.unwrap()
    }

    /// Connects as an engine that sends its executions to the fleet.
    pub async fn engine(&self) -> ExecutionEngine {
        let backend = self.backend().await;
        let config =
            ExecutionConfig { max_concurrent_executions: 1_000_000, ..ExecutionConfig::default() };
        ExecutionEngine::builder().config(config).backend(Arc::new(backend)).build().unwrap()
    }

    /// Returns the request of an execution.
    pub fn request(&self, work: Work) -> (ExecutionRequest, ExecutionOptions) {
        let register = socket(&self.home);
        let arguments = [
            register.to_str().unwrap().to_owned(),
            work.lines.to_string(),
            work.pause.as_millis().to_string(),
            work.line_bytes.to_string(),
        ];
        let mut request =
            ExecutionRequest::exec(self.programs.program.to_str().unwrap(), arguments);
        request.id = Uuid::new_v4();
        // Values are sealed for the workers.
        request.env.insert("STORM_SECRET".into(), format!("secret of {}", request.id.simple()));
        (request, ExecutionOptions::default().max_attempts(work.max_attempts))
    }

    /// Returns what servers and workers have logged, for a test that failed.
    pub fn logs(&self) -> String {
        self.workers.iter().map(WorkerNode::logs).collect()
    }
}

fn socket(home: &TempDir) -> PathBuf {
    Path::join(home.path(), "register")
}

/// Makes certificates of an authority, and returns the part of the servers' configuration that says who
/// may do what.
fn protection(home: &Path, hosts: &[Host]) -> String {
    let authority = Authority::new(home, "ca");
    let addresses: Vec<_> = hosts.iter().map(|host| host.address.clone()).collect();
    let server = authority.sign("server", &addresses);
    let grant = |(name, role): (&str, Role)| {
        authority.sign(name, &[]);
        let identity = Identity::Certificate(format!("CN={name}"));
        Grant { name: name.into(), identity, role }
    };
    let tenant = TENANT.to_owned();
    let roles = [
        (ADMIN, Role::Admin),
        (CLIENT, Role::Client { tenant: tenant.clone() }),
        (WORKER, Role::Worker { tenants: vec![tenant], plans: true }),
    ];
    authority.tls(&server) + &server_config(SHARDS, &roles.map(grant)).unwrap()
}

/// Waits while faults take their time.
#[expect(
    clippy::disallowed_methods,
    reason = "faults last for a time, and no event announces them"
)]
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
