//! `exeng fleet status`: how a fleet is set up, and what waits.

use std::fmt::Write as _;

use execution_engine_fleet::{Cluster as _, Durability, Pool, Presence};
use execution_engine_fleet_nats::NatsCluster;
use serde_json::{Value, json};

use super::{ShowOptions, connect, presences};
use crate::cli::GlobalOptions;
use crate::data;
use crate::failure::Failure;
use crate::fleet::pools;
use crate::terminal_text::lines;

/// What is shown.
struct Status {
    cluster: NatsCluster,
    pools: Vec<Pool>,
    workers: Vec<Presence>,
    /// Tenants with how many executions of theirs wait or run.
    queued: Vec<(String, usize)>,
}

/// Shows the fleet.
pub(super) async fn run(global: &GlobalOptions, options: &ShowOptions) -> Result<u8, Failure> {
    let cluster = connect(global, &options.access).await?;
    let mut queued = Vec::new();
    for tenant in cluster.fleet().tenants.keys() {
        let places = cluster.places(tenant).await.map_err(Failure::new)?;
        queued.push((tenant.clone(), places.len()));
    }
    let (pools, workers) = (pools(&cluster).await?, presences(&cluster).await?);
    let status = Status { cluster, pools, workers, queued };
    match options.json {
        true => data::json(&status.json())?,
        false => data::bytes(lines(&status.text()).as_bytes())?,
    }
    Ok(0)
}

impl Status {
    fn json(&self) -> Value {
        let (fleet, durability) = (self.cluster.fleet(), self.cluster.durability());
        let queued: serde_json::Map<_, _> =
            self.queued.iter().map(|(tenant, count)| (tenant.clone(), json!(count))).collect();
        json!({
            "durability": durability, "shards": fleet.shards, "replicas": fleet.replicas,
            "log_age_s": fleet.log_age_s, "pools": self.pools, "tenants": fleet.tenants,
            "queued": queued, "workers": self.workers.len(), "server": self.cluster.server(),
        })
    }

    fn text(&self) -> String {
        let fleet = self.cluster.fleet();
        let survives = match self.cluster.durability() {
            Durability::Power => "a power failure of all servers",
            Durability::Process => {
                "the loss of a minority of servers (for power failures set sync_interval: always)"
            }
            Durability::Unknown => "unknown: the servers do not say how they write to their disks",
        };
        let hours = fleet.log_age_s / 3600;
        let mut text = format!(
            "records     kept {hours} h by {} of the servers, in {} streams\nsurvives    {survives}\nserver      {}\n",
            fleet.replicas,
            fleet.shards,
            self.cluster.server(),
        );
        for pool in &self.pools {
            let of = |worker: &&Presence| worker.pools.contains(&pool.name);
            let workers = self.workers.iter().filter(of).count();
            let classes: Vec<_> = pool.classes.iter().map(|class| &*class.name).collect();
            let labels: Vec<_> = pool.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let keys = if pool.signing.is_empty() { "without keys" } else { "with keys" };
            let _infallible = writeln!(
                text,
                "pool        {}: {workers} workers, classes {}, {keys}{}{}",
                pool.name,
                classes.join(", "),
                if labels.is_empty() { "" } else { ", labels " },
                labels.join(" "),
            );
        }
        for (tenant, queued) in &self.queued {
            let Some(quota) = fleet.tenants.get(tenant) else { continue };
            let _infallible = writeln!(
                text,
                "tenant      {tenant}: {queued} of {} wait or run, {} may run in each pool, class and priority",
                quota.max_queue, quota.max_running,
            );
        }
        text
    }
}
