//! Executions on many machines.
//!
//! | module | content |
//! |---|---|
//! | `servers` | which servers: `--on`, the profiles of the configuration file, TLS and login |
//! | `request` | options of the verbs that start programs |
//! | `verbs` | `exeng fleet` |
//! | `worker` | `exeng worker`, and the process that watches over it |
//! | `key_file` | the keys of a worker in a file |

mod key_file;
pub(crate) mod request;
pub(crate) mod servers;
pub(crate) mod verbs;
pub(crate) mod worker;

use std::time::Duration;

use bytes::Bytes;
use execution_engine_fleet::{Cluster as _, Pool, RecordError, decode};
use execution_engine_fleet_nats::{InitError, NatsCluster};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::failure::Failure;

/// Returns the pools of a fleet.
pub(crate) async fn pools(cluster: &NatsCluster) -> Result<Vec<Pool>, Failure> {
    decoded(cluster.pools().await.map_err(Failure::new)?)
}

/// Returns pools as the servers have them.
fn decoded(pools: Vec<(String, Bytes)>) -> Result<Vec<Pool>, Failure> {
    let failed = |name: String, error: RecordError| Failure::new(format!("pool {name}: {error}"));
    let pools = pools.into_iter();
    pools.map(|(name, bytes)| decode(&bytes).map_err(|error| failed(name, error))).collect()
}

/// Returns the failure of a fleet that cannot be used, with what to do here.
pub(crate) fn of_init(error: InitError) -> Failure {
    match error {
        InitError::Missing => {
            Failure::new("the servers have no fleet; set one up first: exeng fleet init --on ..")
        }
        error => Failure::new(error),
    }
}

/// Waits for a time, where no event says more. Cancel safe.
pub(crate) fn rest(time: Duration) -> Sleep {
    sleep_until(Instant::now() + time)
}
