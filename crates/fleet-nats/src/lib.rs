//! [`Cluster`](execution_engine_fleet::Cluster) on NATS JetStream: keeps the records of a fleet in
//! replicated streams.
//!
//! | module | content |
//! |---|---|
//! | `options`, `connect` | [`ServerOptions`]; connections, and what is done when one breaks |
//! | `setup`, `streams` | [`init`]: makes and checks what is kept on the servers |
//! | `names` | subjects, streams and consumers |
//! | `link`, `many` | one request with a bounded time; requests with many answers |
//! | `log`, `queue`, `live`, `objects` | the parts of [`NatsCluster`] |
//! | `durability` | what the servers say of their disks |
//! | `permissions` | [`server_config`]: who may do what, for the configuration of the servers |

mod cluster;
mod connect;
mod durability;
mod link;
mod live;
mod log;
mod many;
mod names;
mod objects;
mod options;
mod permissions;
mod queue;
mod setup;
mod stored;
mod streams;

pub use cluster::NatsCluster;
pub use connect::ConnectError;
pub use options::{Login, ServerOptions};
pub use permissions::{Grant, Identity, Role, server_config};
pub use setup::{Fleet, FleetSetup, InitError, PoolSetup, TenantSetup, init};
