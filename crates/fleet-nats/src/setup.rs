//! Makes and checks what a fleet keeps on its servers.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use execution_engine_fleet::{ClusterError, NameError, check_name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connect::{ConnectError, connect};
use crate::link::{Link, Trouble};
use crate::names::{API, BUCKET};
use crate::options::ServerOptions;
use crate::stored::NO_STREAM;
use crate::streams::{bucket, consumers, difference, streams};

/// Version of what is kept on the servers: streams, subjects and consumers.
const FORMAT: u32 = 2;
/// Room for some parts of large output.
const LEAST_OBJECT_BYTES: u64 = 16 * 1024 * 1024;
/// The protocol has signed numbers.
const MOST_OBJECT_BYTES: u64 = i64::MAX as u64;
/// Subject of the key that describes the fleet.
const FLEET: &str = "$KV.EXENG_FLEET.fleet";
/// Code of the error of a consumer that is not there.
const NO_CONSUMER: u64 = 10014;

/// A pool that a fleet is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSetup {
    /// Its name.
    pub name: String,
    /// Its size classes.
    pub classes: Vec<String>,
    /// What [`Cluster::pools`](execution_engine_fleet::Cluster::pools) returns for it.
    pub bytes: Bytes,
}

/// A tenant that a fleet is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSetup {
    /// Its name.
    pub name: String,
    /// Most tickets that wait or run, from 1 on.
    pub max_queue: u64,
    /// Most executions that run at the same time, in each pool, class and priority, from 1 on.
    pub max_running: u32,
}

/// How a fleet is to be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSetup {
    /// Number of log streams of each tenant, up to 256. It cannot be changed later.
    pub shards: NonZeroU16,
    /// Servers that keep each record: 1, 3 or 5.
    pub replicas: u8,
    /// How long records are kept, from 1 h on.
    pub log_age: Duration,
    /// How long objects are kept: large output, and artifacts.
    pub object_age: Duration,
    /// Most bytes of a tenant's objects, on each server that keeps them: from 16 MiB on, or 0 for no bound. Beyond
    /// it new ones are refused. Servers reserve as much.
    pub object_bytes: u64,
    /// Pools. Those that the fleet has already stay.
    pub pools: Vec<PoolSetup>,
    /// Tenants. Those that the fleet has already stay.
    pub tenants: Vec<TenantSetup>,
}

/// 16 log streams for each tenant, 3 replicas, records and objects for 24 h, 2 GiB of objects, no pool
/// and no tenant.
impl Default for FleetSetup {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            shards: const { NonZeroU16::new(16).unwrap() },
            replicas: 3,
            log_age: day,
            object_age: day,
            object_bytes: 2 * 1024 * 1024 * 1024,
            pools: Vec::new(),
            tenants: Vec::new(),
        }
    }
}

/// A fleet, as it is kept on its servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Version of what is kept.
    pub format: u32,
    /// Number of log streams of each tenant.
    pub shards: NonZeroU16,
    /// Servers that keep each record.
    pub replicas: u8,
    /// How long records are kept, in seconds.
    pub log_age_s: u64,
    /// How long objects are kept, in seconds.
    pub object_age_s: u64,
    /// Most bytes of objects; 0 in a fleet of an earlier version, which has no bound.
    #[serde(default)]
    pub object_bytes: u64,
    /// Classes of each pool.
    pub pools: BTreeMap<String, Vec<String>>,
    /// Quotas of each tenant.
    pub tenants: BTreeMap<String, Tenant>,
}

/// Quotas of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Most tickets.
    pub max_queue: u64,
    /// Most executions that run, in each pool, class and priority.
    pub max_running: u32,
}

impl Fleet {
    pub(crate) fn log_age(&self) -> Duration {
        Duration::from_secs(self.log_age_s)
    }

    pub(crate) fn object_age(&self) -> Duration {
        Duration::from_secs(self.object_age_s)
    }
}

/// Why a fleet was not set up, or cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A setting cannot be.
    #[error("{field} {what}")]
    Invalid {
        /// The setting.
        field: &'static str,
        /// What is wrong, and what it may be.
        what: String,
    },
    /// A name could not be a part of a subject.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The servers have no fleet.
    #[error("the servers have no fleet; set it up first (`init`)")]
    Missing,
    /// Another version of the engine has set the fleet up.
    #[error(
        "the fleet has format {is} and this program knows {FORMAT}; use the version that set it up, or set a new fleet up \
         with this one, in another account (docs/fleet.md, Upgrades)"
    )]
    Format {
        /// Its format.
        is: u32,
    },
    /// What is there differs from what is asked for. Nothing was changed.
    #[error(
        "{thing} has {setting} {is} and {wanted} is asked for; ask for what it has, or change it with the tools of NATS"
    )]
    Differs {
        /// The stream, consumer or key.
        thing: String,
        /// The setting.
        setting: String,
        /// Its value.
        is: String,
        /// The value that was asked for.
        wanted: String,
    },
    /// The servers have not as much room as is to be reserved.
    #[error(
        "the servers cannot reserve {bytes} bytes for stream {stream}: {reason}; ask for less (object_bytes), or give \
         them more (max_file_store)"
    )]
    NoRoom {
        /// The stream.
        stream: String,
        /// How many bytes.
        bytes: u64,
        /// What the servers say.
        reason: String,
    },
    /// The servers did not do it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl InitError {
    /// Returns `true` if the servers may only be away or without a leader for now, so that another try
    /// may do.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Connect(ConnectError::Failed { .. }) | Self::Cluster(ClusterError::NoAnswer(_))
        )
    }
}

impl From<Trouble> for InitError {
    fn from(trouble: Trouble) -> Self {
        Self::Cluster(trouble.into())
    }
}

/// Sets a fleet up, or adds pools and tenants to one, and returns it. What is there is checked and
/// never changed. It can be repeated, also after it was cut off.
///
/// # Errors
///
/// [`InitError`] if no server can be used, a setting cannot be, or something differs.
pub async fn init(servers: &ServerOptions, setup: &FleetSetup) -> Result<Fleet, InitError> {
    check(setup)?;
    let (client, told) = connect(servers).await?;
    let link = Link { client, told, patience: servers.patience, api: API };
    let before = stored_fleet(&link).await?;
    let fleet = merged(before.clone(), setup)?;
    make_stream(&link, &bucket(&fleet)).await?;
    for stream in streams(&fleet) {
        make_stream(&link, &stream).await?;
    }
    for (stream, consumer) in consumers(&fleet) {
        make_consumer(&link, &stream, &consumer).await?;
    }
    for pool in &setup.pools {
        store_pool(&link, pool).await?;
    }
    // Last: a fleet that is described is whole.
    if before.as_ref() != Some(&fleet) {
        let described = json!(fleet).to_string();
        link.publish(FLEET, HeaderMap::new(), described.into()).await?;
    }
    Ok(fleet)
}

/// Returns the fleet that the servers have; `None` if there is none.
pub(crate) async fn stored_fleet(link: &Link) -> Result<Option<Fleet>, InitError> {
    let described = match link.newest(BUCKET, FLEET).await {
        Ok(Some((_, described))) => described,
        Ok(None) => return Ok(None),
        Err(Trouble::Api(error)) if error.err_code == NO_STREAM => return Ok(None),
        Err(trouble) => return Err(trouble.into()),
    };
    let foreign = |error: serde_json::Error| {
        ClusterError::Refused(format!("the key `fleet` of EXENG_FLEET is not understood: {error}"))
    };
    // The format first: the rest of another one may have another form.
    let value: Value = serde_json::from_slice(&described).map_err(foreign)?;
    let format = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
    match format.unwrap_or(0) {
        FORMAT => Ok(Some(serde_json::from_value(value).map_err(foreign)?)),
        is => Err(InitError::Format { is }),
    }
}

fn check(setup: &FleetSetup) -> Result<(), InitError> {
    let invalid = |field, what: &str| Err(InitError::Invalid { field, what: what.to_owned() });
    if setup.shards.get() > 256 {
        return invalid("shards", "may be 1 to 256");
    }
    if ![1, 3, 5].contains(&setup.replicas) {
        return invalid("replicas", "may be 1, 3 or 5");
    }
    if setup.log_age < Duration::from_secs(3600) || setup.object_age < Duration::from_secs(3600) {
        return invalid("log_age and object_age", "may be 1 h or more");
    }
    if !matches!(setup.object_bytes, 0 | LEAST_OBJECT_BYTES..=MOST_OBJECT_BYTES) {
        return invalid("object_bytes", "may be 16777216 (16 MiB) or more, or 0 for no bound");
    }
    for pool in &setup.pools {
        check_name("pool", &pool.name)?;
        pool.classes.iter().try_for_each(|class| check_name("class", class))?;
    }
    for tenant in &setup.tenants {
        check_name("tenant", &tenant.name)?;
        // The protocol has signed numbers, and servers take 0 for no bound.
        if tenant.max_queue == 0 || i64::try_from(tenant.max_queue).is_err() {
            return invalid("max_queue", "may be 1 to 9223372036854775807");
        }
        if tenant.max_running == 0 || i32::try_from(tenant.max_running).is_err() {
            return invalid("max_running", "may be 1 to 2147483647");
        }
    }
    Ok(())
}

/// Returns the fleet with what is asked for; an error if that contradicts what it has.
fn merged(before: Option<Fleet>, setup: &FleetSetup) -> Result<Fleet, InitError> {
    let asked = Fleet {
        format: FORMAT,
        shards: setup.shards,
        replicas: setup.replicas,
        log_age_s: setup.log_age.as_secs(),
        object_age_s: setup.object_age.as_secs(),
        object_bytes: setup.object_bytes,
        pools: setup.pools.iter().map(|p| (p.name.clone(), p.classes.clone())).collect(),
        tenants: setup
            .tenants
            .iter()
            .map(|TenantSetup { name, max_queue, max_running }| {
                (name.clone(), Tenant { max_queue: *max_queue, max_running: *max_running })
            })
            .collect(),
    };
    let Some(mut fleet) = before else { return Ok(asked) };
    // What both have must be the same; what only one has is added.
    for key in ["pools", "tenants"] {
        let (is, wanted) = (&json!(fleet)[key], &json!(asked)[key]);
        let both =
            wanted.as_object().into_iter().flatten().filter(|(name, _)| !is[*name].is_null());
        let both: serde_json::Map<_, _> = both.map(|(k, v)| (k.clone(), v.clone())).collect();
        same(&format!("{key} of the fleet"), &Value::Object(both), is)?;
    }
    fleet.pools.extend(asked.pools.clone());
    fleet.tenants.extend(asked.tenants.clone());
    let asked = Fleet { pools: fleet.pools.clone(), tenants: fleet.tenants.clone(), ..asked };
    same("the fleet", &json!(asked), &json!(fleet))?;
    Ok(fleet)
}

fn same(thing: &str, wanted: &Value, is: &Value) -> Result<(), InitError> {
    match difference(wanted, is) {
        None => Ok(()),
        Some((setting, is, wanted)) => {
            Err(InitError::Differs { thing: thing.to_owned(), setting, is, wanted })
        }
    }
}

async fn make_stream(link: &Link, wanted: &Value) -> Result<(), InitError> {
    let name = wanted["name"].as_str().unwrap_or_default();
    if let Some(info) = link.info(name).await? {
        return same(&format!("stream {name}"), wanted, &info.config);
    }
    let made = link.api::<Value>(&format!("STREAM.CREATE.{name}"), wanted).await;
    let made =
        made.map_err(|trouble| no_room(&trouble, wanted).unwrap_or_else(|| trouble.into()))?;
    same(&format!("stream {name}"), wanted, &made["config"])
}

/// Returns the error of a stream whose bytes could not be reserved. Servers of a cluster say in words alone why no
/// three of them take a stream.
fn no_room(trouble: &Trouble, wanted: &Value) -> Option<InitError> {
    let bytes = wanted["max_bytes"].as_u64()?;
    let Trouble::Api(error) = trouble else { return None };
    let reason = error.description.clone();
    let stream = wanted["name"].as_str().unwrap_or_default().to_owned();
    reason.contains("storage").then_some(InitError::NoRoom { stream, bytes, reason })
}

async fn make_consumer(link: &Link, stream: &str, wanted: &Value) -> Result<(), InitError> {
    let name = wanted["name"].as_str().unwrap_or_default();
    let thing = format!("consumer {name} of {stream}");
    let known = link.api::<Value>(&format!("CONSUMER.INFO.{stream}.{name}"), &json!({})).await;
    match known {
        Ok(info) => return same(&thing, wanted, &info["config"]),
        Err(Trouble::Api(error)) if error.err_code == NO_CONSUMER => (),
        Err(trouble) => return Err(trouble.into()),
    }
    let request = json!({ "stream_name": stream, "config": wanted, "action": "create" });
    let made: Value =
        link.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), &request).await?;
    same(&thing, wanted, &made["config"])
}

async fn store_pool(link: &Link, pool: &PoolSetup) -> Result<(), InitError> {
    let subject = format!("$KV.EXENG_FLEET.pool.{}", pool.name);
    match link.newest(BUCKET, &subject).await? {
        Some((_, bytes)) if bytes == pool.bytes => Ok(()),
        Some((_, bytes)) => Err(InitError::Differs {
            thing: format!("pool {}", pool.name),
            setting: "a description of".into(),
            is: format!("{} bytes", bytes.len()),
            wanted: format!("another one of {} bytes", pool.bytes.len()),
        }),
        None => {
            link.publish(&subject, HeaderMap::new(), pool.bytes.clone()).await?;
            Ok(())
        }
    }
}
