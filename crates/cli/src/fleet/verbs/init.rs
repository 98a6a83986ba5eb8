//! `exeng fleet init`: sets a fleet up, or adds to one.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use execution_engine_fleet::{PLANS_POOL, Pool, Seed, Share, Size, SizeClass, check_name, encode};
use execution_engine_fleet_nats::{
    Fleet, FleetSetup, InitError, NatsCluster, PoolSetup, ServerOptions, TenantSetup, init,
};

use super::keys::KeyDir;
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::fleet::servers::{Access, chosen};
use crate::fleet::{of_init, pools};
use crate::service::submit::label;
use crate::{duration, message, size};

/// Options of `fleet init`.
#[derive(Debug, Args)]
pub(super) struct InitOptions {
    /// Servers that keep each record: 1, 3 or 5 [without: that of the fleet, or as many as are named]
    #[arg(long, value_name = "N", value_parser = replicas)]
    replicas: Option<u8>,
    /// Streams that the records of each tenant are spread over; it cannot be changed later [without: that of the fleet,
    /// or 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    /// A pool of workers, and labels that its workers have; may be repeated [without: default]
    #[arg(long = "pool", value_name = "NAME[:LABEL=VALUE,..]", value_parser = new_pool)]
    pools: Vec<NewPool>,
    /// A tenant, which the new pools serve; may be repeated [without: default]
    #[arg(long = "tenant", value_name = "NAME", value_parser = tenant)]
    tenants: Vec<String>,
    /// Most executions of each new tenant that wait or run [without: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    max_queue: Option<u64>,
    /// Most executions of each new tenant that run in each pool, size class and priority [without: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i32::MAX as i64))]
    max_running: Option<u32>,
    /// Most bytes of large output and artifacts of each tenant, on each server that keeps them, as 10G; 0 is no bound. Servers reserve
    /// as much [without: that of the fleet, or 2G]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    object_bytes: Option<u64>,
    /// How long records, large output and artifacts are kept, from 1h on; it bounds the disks of the servers, and cannot be
    /// changed later [without: that of the fleet, or 24h]
    #[arg(long, value_name = "TIME", value_parser = age)]
    age: Option<Duration>,
    /// Make keys for the new pools in this directory, and for each the keys of its workers: then workers sign what they
    /// record, and values of environments and input are sealed to them
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

const NAME: &str = "default";
const MAX_QUEUE: u64 = 100_000;
const MAX_RUNNING: u32 = 1000;
const LEAST_AGE: Duration = Duration::from_secs(3600);

/// A pool, as it is named on the command line.
#[derive(Debug, Clone, Default)]
struct NewPool {
    name: String,
    labels: BTreeMap<String, String>,
}

fn new_pool(text: &str) -> Result<NewPool, String> {
    let (name, labels) = text.split_once(':').unwrap_or((text, ""));
    check_name("the name", name).map_err(|error| error.to_string())?;
    if name == PLANS_POOL {
        return Err("is the pool of plans, which each fleet has; leave it out".to_owned());
    }
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(label);
    Ok(NewPool { name: name.to_owned(), labels: labels.collect::<Result<_, _>>()? })
}

fn tenant(text: &str) -> Result<String, String> {
    check_name("the name", text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn replicas(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| [1, 3, 5].contains(number));
    number.ok_or_else(|| "may be 1, 3 or 5".to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    let age = duration::parse_positive(text)?;
    let is_allowed = age >= LEAST_AGE && age.subsec_nanos() == 0;
    is_allowed.then_some(age).ok_or_else(|| "may be 1h or more, in whole seconds".to_owned())
}

/// What a fleet has already.
struct Before {
    fleet: Fleet,
    pools: Vec<Pool>,
}

/// Sets the fleet up, and says what it has.
pub(super) async fn run(global: &GlobalOptions, options: &InitOptions) -> Result<u8, Failure> {
    let servers = chosen(global, &options.access)?.servers;
    let before = before(&servers).await?;
    let keys = options.keys.as_deref().map(KeyDir::new);
    let setup = options.setup(before.as_ref(), servers.urls.len(), keys.as_ref())?;
    let fleet = init(&servers, &setup).await.map_err(of_init)?;
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
    message::note(format!(
        "the fleet has pools {} and tenants {}, {} streams of records for each tenant, each kept by {} servers",
        names(fleet.pools.keys().collect()),
        names(fleet.tenants.keys().collect()),
        fleet.shards,
        fleet.replicas,
    ));
    Ok(0)
}

async fn before(servers: &ServerOptions) -> Result<Option<Before>, Failure> {
    match NatsCluster::connect(servers).await {
        Ok(cluster) => {
            let (fleet, pools) = (cluster.fleet().clone(), pools(&cluster).await?);
            Ok(Some(Before { fleet, pools }))
        }
        Err(InitError::Missing) => Ok(None),
        Err(error) => Err(of_init(error)),
    }
}

impl InitOptions {
    fn setup(
        &self,
        before: Option<&Before>,
        servers: usize,
        keys: Option<&KeyDir>,
    ) -> Result<FleetSetup, Failure> {
        let usual = FleetSetup::default();
        let of_fleet = before.map(|before| &before.fleet);
        let shards = self.shards.and_then(NonZeroU16::new);
        let named = match servers {
            0..=2 => 1,
            3..=4 => 3,
            _ => 5,
        };
        let tenants = self.tenants(of_fleet)?;
        let pools = self.pools(&tenants, before, keys)?;
        Ok(FleetSetup {
            shards: shards.or(of_fleet.map(|fleet| fleet.shards)).unwrap_or(usual.shards),
            replicas: self.replicas.or(of_fleet.map(|fleet| fleet.replicas)).unwrap_or(named),
            log_age: self.age_or(of_fleet.map(|fleet| fleet.log_age_s), usual.log_age),
            object_age: self.age_or(of_fleet.map(|fleet| fleet.object_age_s), usual.object_age),
            object_bytes: self
                .object_bytes
                .or(of_fleet.map(|fleet| fleet.object_bytes))
                .unwrap_or(usual.object_bytes),
            pools,
            tenants,
        })
    }

    fn age_or(&self, of_fleet: Option<u64>, usual: Duration) -> Duration {
        self.age.or(of_fleet.map(Duration::from_secs)).unwrap_or(usual)
    }

    /// Returns the tenants. Quotas of one that is there stay.
    fn tenants(&self, fleet: Option<&Fleet>) -> Result<Vec<TenantSetup>, Failure> {
        let names = match self.tenants.is_empty() {
            true => vec![NAME.to_owned()],
            false => self.tenants.clone(),
        };
        let tenant = |name: String| {
            let known = fleet.and_then(|fleet| fleet.tenants.get(&name));
            let stays = |option: &str, is: u64| {
                Failure::new(format!(
                    "{option}: tenant {name} is there with {is}, and stays as it is; leave {option} out, or name a new tenant \
                     with --tenant"
                ))
            };
            if let Some(known) = known {
                if self.max_queue.is_some_and(|wanted| wanted != known.max_queue) {
                    return Err(stays("--max-queue", known.max_queue));
                }
                if self.max_running.is_some_and(|wanted| wanted != known.max_running) {
                    return Err(stays("--max-running", known.max_running.into()));
                }
            }
            let max_queue = self.max_queue.or(known.map(|known| known.max_queue));
            let max_running = self.max_running.or(known.map(|known| known.max_running));
            Ok(TenantSetup {
                name,
                max_queue: max_queue.unwrap_or(MAX_QUEUE),
                max_running: max_running.unwrap_or(MAX_RUNNING),
            })
        };
        names.into_iter().map(tenant).collect()
    }

    /// Returns the pools. Keys are made when nothing else can be wrong.
    fn pools(
        &self,
        tenants: &[TenantSetup],
        before: Option<&Before>,
        keys: Option<&KeyDir>,
    ) -> Result<Vec<PoolSetup>, Failure> {
        let default = [NewPool { name: NAME.to_owned(), ..NewPool::default() }];
        let wanted = if self.pools.is_empty() { &default[..] } else { &self.pools };
        let running = self.max_running.unwrap_or(MAX_RUNNING);
        let pools = wanted.iter().map(|pool| pool.pool(tenants, before, keys.is_some(), running));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        check_keys(tenants, &pools, before, keys.is_some())?;
        let (of_plans, plans_key) = plans_pool(before, keys)?;
        let equipped = pools.into_iter().map(|pool| match keys {
            Some(keys) => keys.equip(pool, plans_key.as_ref()),
            None => Ok(pool),
        });
        equipped.chain([Ok(of_plans)]).map(|pool| pool_setup(&pool?)).collect()
    }
}

/// Refuses pools of a tenant with keys and without: what runs in the latter would end for no reader.
fn check_keys(
    tenants: &[TenantSetup],
    pools: &[Pool],
    before: Option<&Before>,
    makes_keys: bool,
) -> Result<(), Failure> {
    let old = before.map_or(&[][..], |before| &before.pools);
    let is_new = |pool: &Pool| old.iter().all(|old| old.name != pool.name);
    let new = pools.iter().filter(|pool| is_new(pool)).map(|pool| (pool, makes_keys));
    let all: Vec<_> = old.iter().map(|pool| (pool, !pool.signing.is_empty())).chain(new).collect();
    for TenantSetup { name, .. } in tenants {
        let of =
            |keyed| all.iter().find(|(pool, has)| *has == keyed && pool.tenants.contains_key(name));
        if let (Some((with, _)), Some((without, _))) = (of(true), of(false)) {
            return Err(Failure::new(format!(
                "tenant {name} would have pool {} with keys and pool {} without, whose workers no reader would believe; \
                 make keys for all pools of a tenant (--keys) or for none, or name a tenant of its own for the other pool",
                with.name, without.name
            )));
        }
    }
    Ok(())
}

/// Returns the pool of plans, and the private half of its key, if it has one. It serves no tenant by itself: workers
/// conduct the plans of the tenants that they serve.
fn plans_pool(
    before: Option<&Before>,
    keys: Option<&KeyDir>,
) -> Result<(Pool, Option<Seed>), Failure> {
    let known = before.and_then(|it| it.pools.iter().find(|pool| pool.name == PLANS_POOL));
    let mut pool = known.cloned().unwrap_or_else(|| pool_of(PLANS_POOL));
    let key = match keys {
        Some(keys) if known.is_none() || !pool.sealing.is_empty() => {
            Some(keys.plans_key(&mut pool)?)
        }
        _ => None,
    };
    Ok((pool, key))
}

/// Returns a pool with one size class that needs nothing.
fn pool_of(name: &str) -> Pool {
    Pool {
        name: name.to_owned(),
        labels: BTreeMap::new(),
        classes: vec![SizeClass { name: "any".to_owned(), size: Size::default() }],
        sealing: Vec::new(),
        signing: Vec::new(),
        tenants: BTreeMap::new(),
    }
}

impl NewPool {
    /// Returns the pool with one size class that needs nothing; the pool as it is if the fleet has it.
    fn pool(
        &self,
        tenants: &[TenantSetup],
        before: Option<&Before>,
        makes_keys: bool,
        running: u32,
    ) -> Result<Pool, Failure> {
        let Self { name, labels } = self;
        let stays = |what: String, fix: &str| {
            Failure::new(format!("pool {name} is there {what}, and stays as it is; {fix}"))
        };
        let Some(known) = before.and_then(|it| it.pools.iter().find(|pool| pool.name == *name))
        else {
            let share = Share { weight: 1, running };
            return Ok(Pool {
                labels: labels.clone(),
                tenants: tenants.iter().map(|it| (it.name.clone(), share.clone())).collect(),
                ..pool_of(name)
            });
        };
        if let Some(tenant) = tenants.iter().find(|it| !known.tenants.contains_key(&it.name)) {
            let what = format!("and does not serve tenant {}", tenant.name);
            return Err(stays(what, "name a new pool for the tenant with --pool"));
        }
        if !labels.is_empty() && *labels != known.labels {
            return Err(stays(
                "with other labels".to_owned(),
                "leave them out, or name a new pool",
            ));
        }
        if makes_keys && known.signing.is_empty() {
            let fix = "name a new pool with --pool, or leave --keys out";
            return Err(stays("without keys".to_owned(), fix));
        }
        Ok(known.clone())
    }
}

fn pool_setup(pool: &Pool) -> Result<PoolSetup, Failure> {
    Ok(PoolSetup {
        name: pool.name.clone(),
        classes: pool.classes.iter().map(|class| class.name.clone()).collect(),
        bytes: encode(pool).map_err(Failure::new)?.into(),
    })
}
