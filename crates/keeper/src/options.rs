use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a journal survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of any process.
    #[default]
    Process,
    /// Also a loss of power, but for the output of the last 250 ms or 4 MiB.
    Power,
}

/// Settings of a keeper.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeeperOptions {
    /// Directory of the keeper, which is used by no other and only once. It is created if it is missing.
    pub dir: PathBuf,
    /// How long the keeper stays with nothing to do and without a client. Default: 60 s.
    pub idle_exit: Duration,
    /// Time between the stop signal and SIGKILL for the programs of a keeper that is told to end. Default: 5 s.
    pub stop_grace: Duration,
    /// How long a keeper that is told to end waits, beyond the grace, for a client to take over what has ended. What is
    /// not taken over stays in its directory. Default: 30 s.
    pub stop_limit: Duration,
    /// What a journal survives.
    pub durability: Durability,
    /// Control group below which those of the programs are made. Default: that of the keeper.
    pub control_group: Option<PathBuf>,
    /// Name of the build, for clients. Default: [`build_id`](crate::build_id).
    pub build: String,
}

impl KeeperOptions {
    /// Returns the defaults for a keeper in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            idle_exit: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
            stop_limit: Duration::from_secs(30),
            durability: Durability::default(),
            control_group: None,
            build: crate::build_id(),
        }
    }
}
