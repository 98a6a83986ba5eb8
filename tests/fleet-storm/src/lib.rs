//! A fleet of real servers and workers under faults, and the checks of what it promises.
//!
//! | module | content |
//! |---|---|
//! | `clock` | clocks that are wrong, and set |
//! | `cost` | what the processes have used |
//! | `disk` | a disk that can be filled |
//! | `network` | namespaces with links that can be taken down |
//! | `workers` | `exeng worker` on each node |
//! | `register` | a store that knows fences, and notes who lived when |
//! | `fleet` | all of these together, and the client |
//! | `faults` | what is killed, stopped and cut off, at random from a seed |
//! | `reading` | reads an execution and checks its output |
//! | `verdict` | the promises, checked over all that was seen |

mod clock;
mod cost;
mod disk;
mod faults;
mod fleet;
mod network;
mod reading;
mod register;
mod verdict;
mod workers;

pub use clock::{WallClock, started_earlier};
pub use cost::Cost;
pub use disk::SmallDisk;
pub use faults::{Faults, Log, run as run_faults};
pub use fleet::{Fleet, FleetSetup, Programs, Work, pause};
pub use network::{Network, enter_namespaces};
pub use reading::{Told, Watch, read, watch};
pub use register::{Life, Overlap, Register, Seen};
pub use verdict::{Submitted, Verdict, judge};
pub use workers::{Part, WorkerLife, WorkerNode};

/// The tenant of all executions.
pub(crate) const TENANT: &str = "t";
/// The one pool.
pub(crate) const POOL: &str = "p";
