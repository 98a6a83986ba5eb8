//! `exeng fleet`: sets fleets up, shows them, and drains their workers.

mod artifacts;
mod drain;
mod init;
mod keys;
mod status;
mod workers;

use bytes::Bytes;
use clap::{Args, Subcommand};
use execution_engine_fleet::{Cluster as _, Presence, decode};
use execution_engine_fleet_nats::NatsCluster;

use super::servers::{Access, chosen};
use crate::cli::GlobalOptions;
use crate::examples;
use crate::failure::Failure;

/// Options of `fleet`.
#[derive(Debug, Args)]
pub(crate) struct FleetOptions {
    #[command(subcommand)]
    verb: FleetVerb,
}

#[derive(Debug, Subcommand)]
enum FleetVerb {
    /// Set a fleet up on its servers, or add pools and tenants to one; what it has stays as it is
    #[command(after_help = examples::FLEET_INIT)]
    Init(init::InitOptions),
    /// Show how a fleet is set up, what waits, and what survives which fault
    #[command(after_help = examples::FLEET_STATUS)]
    Status(ShowOptions),
    /// List the workers of a fleet
    #[command(after_help = examples::FLEET_WORKERS)]
    Workers(ShowOptions),
    /// List the files that an execution of a fleet has left (--collect), and fetch them
    #[command(after_help = examples::FLEET_ARTIFACTS)]
    Artifacts(artifacts::ArtifactsOptions),
    /// Let a worker take no more executions, and end when none runs
    #[command(after_help = examples::FLEET_DRAIN)]
    Drain(drain::DrainOptions),
}

/// Options of verbs that show something.
#[derive(Debug, Args)]
struct ShowOptions {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Does it, and returns the code to exit with.
pub(crate) async fn run(global: &GlobalOptions, options: &FleetOptions) -> Result<u8, Failure> {
    match &options.verb {
        FleetVerb::Init(options) => init::run(global, options).await,
        FleetVerb::Status(options) => status::run(global, options).await,
        FleetVerb::Workers(options) => workers::run(global, options).await,
        FleetVerb::Artifacts(options) => artifacts::run(global, options).await,
        FleetVerb::Drain(options) => drain::run(global, options).await,
    }
}

async fn connect(global: &GlobalOptions, access: &Access) -> Result<NatsCluster, Failure> {
    let servers = chosen(global, access)?.servers;
    NatsCluster::connect(&servers).await.map_err(super::of_init)
}

/// Returns what the workers say of themselves, by name.
async fn presences(cluster: &NatsCluster) -> Result<Vec<Presence>, Failure> {
    let present = cluster.workers().await.map_err(Failure::new)?;
    let read = |(name, bytes): (String, Bytes)| {
        // A worker of another version is shown by its name.
        decode::<Presence>(&bytes[..])
            .unwrap_or_else(|_| Presence { worker: name, ..Presence::default() })
    };
    let mut presences: Vec<_> = present.into_iter().map(read).collect();
    presences.sort_by(|one, other| one.worker.cmp(&other.worker));
    Ok(presences)
}
