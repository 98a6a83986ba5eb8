//! The worker proper: takes executions of the fleet and runs them with an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use execution_engine::{ExecutionConfig, ExecutionEngine};
use execution_engine_fleet::{
    Clock, Cluster as _, Description, EngineRunner, LeaseGuard, Opener, PLANS_POOL, PlanIntake,
    PlanRunner, Pool, Presence, QueueName, Verifier, Worker, WorkerOptions as Settings,
};
use execution_engine_fleet_nats::{InitError, NatsCluster, ServerOptions};
use execution_engine_process::{BootTimer, Containment};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::{WorkerOptions, machine};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::fleet::key_file::Keys;
use crate::fleet::servers::chosen;
use crate::fleet::{decoded, of_init, rest};
use crate::message;

/// Number of priorities of queues.
const PRIORITIES: u8 = 3;

/// Works until it was drained or evicted.
pub(super) async fn run(
    global: &GlobalOptions,
    options: &WorkerOptions,
    name: &str,
) -> Result<u8, Failure> {
    let (mut orders, guard) = pipes()?;
    let mut servers = chosen(global, &options.access)?.servers;
    servers.name = name.to_owned();
    let keys = options.keys.as_deref().map_or_else(Keys::none, Keys::read)?;
    let reached = tokio::select! {
        biased;
        reached = reach(&servers) => reached?,
        // It is to end, or its keeper is gone.
        _order = orders.read_u8() => return Ok(0),
    };
    let (cluster, all) = (Arc::new(reached.0), reached.1);
    let (mut presence, queues) = options.intake(name, &all, keys.pool.as_deref())?;
    let of_plans = options.plan_queues(&mut presence, &all, &keys.opener);
    let settings = Settings {
        id: name.to_owned(),
        slots: presence.slots as usize,
        signer: keys.signer,
        verifiers: verifiers(&presence.tenants, &all)?,
        times: options.times(Duration::from_secs(cluster.fleet().log_age_s)),
        large_output: options.large_output(),
        presence,
        queues,
    };
    let description = options.description(&settings.presence);
    let builder = ExecutionEngine::builder().config(config(settings.slots));
    let opener = Arc::new(keys.opener);
    // What conducts a plan is no program, and two may do so for a moment.
    let of_runner = Description { exclusive: false, ..description.clone() };
    let plans = PlanIntake {
        runner: Arc::new(PlanRunner::new(cluster.clone(), Arc::clone(&opener), of_runner)),
        queues: of_plans,
        slots: options.plans as usize,
    };
    let runner = EngineRunner::new(cluster.clone(), builder, opener, description);
    let runner = Arc::new(runner.map_err(Failure::new)?);
    let engine = runner.engine().clone();
    let (clock, guard) = (Arc::new(Clocks), Arc::new(guard));
    let worker = Worker::with_plans(cluster, runner, clock, guard, settings, Some(plans));
    let obeying = tokio::spawn(obey(worker.clone(), orders));
    let ended = worker.run().await;
    obeying.abort();
    engine.shutdown(Duration::ZERO).await;
    ended.map(|()| 0).map_err(Failure::new)
}

/// First and longest pause between two tries to reach the servers.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Connects to the servers and reads the pools. Servers that are away are tried again without end: a worker may be
/// started before they are.
async fn reach(servers: &ServerOptions) -> Result<(NatsCluster, Vec<Pool>), Failure> {
    let (mut pause, mut is_told) = (PAUSES.0, false);
    let connect = async || {
        let cluster = NatsCluster::connect(servers).await?;
        let pools = cluster.pools().await?;
        Ok::<_, InitError>((cluster, pools))
    };
    loop {
        match connect().await {
            Ok((cluster, pools)) => {
                if is_told {
                    message::note(format!("worker {}: the servers are there now", servers.name));
                }
                return Ok((cluster, decoded(pools)?));
            }
            Err(error) if error.may_pass() => {
                if !std::mem::replace(&mut is_told, true) {
                    let name = &servers.name;
                    message::print(format!(
                        "worker {name}: {error}; it tries again until it is ended"
                    ));
                }
                rest(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(of_init(error)),
        }
    }
}

/// Returns an engine's configuration for so many executions at a time, without other bounds than they ask for.
fn config(slots: usize) -> ExecutionConfig {
    ExecutionConfig {
        default_timeout_ms: u64::MAX,
        max_timeout_ms: u64::MAX,
        stream_output: false,
        max_concurrent_executions: slots,
        ..ExecutionConfig::default()
    }
}

fn verifiers(
    tenants: &[String],
    pools: &[Pool],
) -> Result<BTreeMap<String, Arc<Verifier>>, Failure> {
    let verifier = |tenant: &String| {
        Verifier::new(tenant, pools).map(|verifier| (tenant.clone(), Arc::new(verifier)))
    };
    tenants.iter().map(verifier).collect::<Result<_, _>>().map_err(Failure::new)
}

impl WorkerOptions {
    /// Returns what the worker says of itself, and the queues that it takes tickets from.
    fn intake(
        &self,
        name: &str,
        all: &[Pool],
        of_keys: Option<&str>,
    ) -> Result<(Presence, Vec<(QueueName, u32)>), Failure> {
        let mut labels = machine::labels();
        labels.extend(self.labels.iter().cloned());
        let mut presence = Presence {
            worker: name.to_owned(),
            labels,
            totals: machine::totals(),
            slots: self.slots.unwrap_or_else(machine::cores),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: machine::kernel(),
            containment: Containment::strongest().level().to_string(),
            sandbox: "none".to_owned(),
            ..Presence::default()
        };
        let (mut queues, mut names, mut tenants) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for pool in self.chosen_pools(all, &presence, of_keys)? {
            for (tenant, share) in &pool.tenants {
                if !self.tenants.is_empty() && !self.tenants.contains(tenant) {
                    continue;
                }
                for class in pool.classes.iter().filter(|class| presence.takes(pool, &class.size)) {
                    names.insert(pool.name.clone());
                    tenants.insert(tenant.clone());
                    queues.extend((0..PRIORITIES).map(|priority| {
                        let (tenant, pool) = (tenant.clone(), pool.name.clone());
                        let class = class.name.clone();
                        (QueueName { tenant, pool, class, priority }, share.weight)
                    }));
                }
            }
        }
        self.check_tenants(all, &tenants)?;
        if queues.is_empty() {
            return Err(Failure::new(
                "no pool of the fleet has executions for this worker: it is too small, or its pools do not serve the \
                 tenants; see exeng fleet status",
            ));
        }
        presence.pools = names.into_iter().collect();
        presence.tenants = tenants.into_iter().collect();
        Ok((presence, queues))
    }

    /// Returns what results say of a worker that is present like this.
    fn description(&self, presence: &Presence) -> Description {
        Description {
            engine: presence.engine.clone(),
            containment: presence.containment.clone(),
            sandbox: presence.sandbox.clone(),
            exclusive: self.is_exclusive,
        }
    }

    /// Returns the queues of plans: those of all tenants that the worker serves. None are in the pool of plans
    /// itself, so that workers and clients that do not know plans leave it alone. A worker that could not open a plan
    /// takes none.
    fn plan_queues(
        &self,
        presence: &mut Presence,
        all: &[Pool],
        opener: &Opener,
    ) -> Vec<(QueueName, u32)> {
        let pool = all.iter().find(|pool| pool.name == PLANS_POOL);
        let Some(pool) = pool.filter(|_| self.plans > 0) else { return Vec::new() };
        if let Some(key) = pool.sealing.first().filter(|key| !opener.has(&key.id)) {
            message::print(format!(
                "this worker conducts no plans: it does not have key {} of pool {PLANS_POOL}; give it a file of keys with \
                 it (--keys), or leave plans out (--plans 0)",
                key.id
            ));
            return Vec::new();
        }
        presence.pools.push(pool.name.clone());
        let mut queues = Vec::new();
        for (tenant, class) in presence
            .tenants
            .iter()
            .flat_map(|tenant| pool.classes.iter().map(move |it| (tenant, it)))
        {
            queues.extend((0..PRIORITIES).map(|priority| {
                let (tenant, pool) = (tenant.clone(), pool.name.clone());
                (QueueName { tenant, pool, class: class.name.clone(), priority }, 1)
            }));
        }
        queues
    }

    /// Refuses tenants that are named and not served.
    fn check_tenants(&self, all: &[Pool], served: &BTreeSet<String>) -> Result<(), Failure> {
        let Some(name) = self.tenants.iter().find(|tenant| !served.contains(*tenant)) else {
            return Ok(());
        };
        let known: BTreeSet<_> = all.iter().flat_map(|pool| pool.tenants.keys()).collect();
        let known = known.into_iter().map(String::as_str).collect::<Vec<_>>();
        Err(Failure::new(match known.contains(&&**name) {
            true => format!(
                "--tenant {name}: no pool of this worker serves it, or the worker is too small; see exeng fleet status"
            ),
            false => format!(
                "--tenant {name}: no pool of the fleet serves it; they serve {}",
                known.join(", ")
            ),
        }))
    }

    /// Returns the pools that the worker belongs to.
    fn chosen_pools<'a>(
        &self,
        all: &'a [Pool],
        presence: &Presence,
        of_keys: Option<&str>,
    ) -> Result<Vec<&'a Pool>, Failure> {
        let mut chosen = Vec::new();
        for name in &self.pools {
            let Some(pool) = all.iter().find(|pool| pool.name == *name) else {
                let known: Vec<_> = all.iter().map(|pool| &*pool.name).collect();
                let known = known.join(", ");
                return Err(Failure::new(format!(
                    "--pool {name}: the fleet has no such pool; it has {known}"
                )));
            };
            if let Some((label, value)) =
                pool.labels.iter().find(|(label, value)| presence.labels.get(*label) != Some(value))
            {
                return Err(Failure::new(format!(
                    "--pool {name}: its workers have the label {label}={value}, and this one has not; if it belongs to \
                     the pool, add --label {label}={value}"
                )));
            }
            chosen.push(pool);
        }
        if self.pools.is_empty() {
            let fits = |pool: &&Pool| {
                pool.name != PLANS_POOL
                    && pool.selects(&presence.labels)
                    && of_keys.is_none_or(|name| name == pool.name)
            };
            chosen.extend(all.iter().filter(fits));
        }
        for pool in &chosen {
            // A record that is not signed for the pool counts for no reader.
            if !pool.signing.is_empty() && of_keys != Some(&*pool.name) {
                let name = &pool.name;
                return Err(Failure::new(match of_keys {
                    Some(other) => format!(
                        "--keys are of pool {other}, and pool {name} has keys of its own; leave it out (--pool), and run \
                         another worker for it"
                    ),
                    None => format!(
                        "pool {name} takes workers with keys alone; give it some (--keys FILE), or name other pools (--pool)"
                    ),
                }));
            }
        }
        Ok(chosen)
    }
}

/// Returns where the keeper gives its orders, and what tells it the deadlines.
fn pipes() -> Result<(pipe::Receiver, Guard), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("the worker has no pipes to its keeper: {error}; run exeng worker"))
    };
    let orders = rustix::stdio::stdin().try_clone_to_owned().map_err(failed)?;
    let orders = pipe::Receiver::from_owned_fd(orders).map_err(failed)?;
    let told = rustix::stdio::stdout().try_clone_to_owned().map_err(failed)?;
    // A keeper that is stopped reads nothing, and must not hold the worker up.
    let flags = fcntl_getfl(&told).map_err(|error| failed(error.into()))?;
    fcntl_setfl(&told, flags | OFlags::NONBLOCK).map_err(|error| failed(error.into()))?;
    Ok((orders, Guard(told)))
}

/// Does what the keeper says, and gives everything back when it is gone.
async fn obey(worker: Worker, mut orders: pipe::Receiver) {
    loop {
        match orders.read_u8().await {
            Ok(b'd') => worker.drain(),
            Ok(_) => worker.evict(),
            Err(_) => return worker.evict(),
        }
    }
}

/// Tells the keeper until when this process may live.
struct Guard(OwnedFd);

impl LeaseGuard for Guard {
    fn extend(&self, until: Duration) {
        let line = format!("{}\n", until.as_nanos());
        // One that does not arrive leaves the keeper with an earlier deadline.
        if let Err(error) = rustix::io::write(&self.0, line.as_bytes()) {
            tracing::warn!(%error, "the keeper of the lease could not be told that it goes on");
        }
    }
}

struct Clocks;

impl Clock for Clocks {
    fn since_boot(&self) -> Duration {
        BootTimer::now()
    }

    fn unix_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }
}
