//! How a store is opened.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// How a store is opened.
///
/// ```
/// use std::time::Duration;
/// use execution_engine_store::StoreConfig;
///
/// let config = StoreConfig { max_count: 500, ..StoreConfig::default() };
/// assert_eq!(config.max_age, Duration::from_secs(90 * 24 * 60 * 60));
/// ```
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// How long an execution is kept after its end. Default: 90 days.
    pub max_age: Duration,
    /// How many ended executions are kept. Default: 100,000.
    pub max_count: u64,
    /// How many bytes the database and the files of output may have on disk. Default: 10 GiB.
    pub max_bytes: u64,
    /// Number of threads that read. Default: 2.
    pub readers: usize,
    /// Time between two attempts to write again, while the disk is full or fails. Default: 5 s.
    pub probe_interval: Duration,
    /// For tests.
    #[doc(hidden)]
    pub hooks: Hooks,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(90 * 24 * 60 * 60),
            max_count: 100_000,
            max_bytes: 10 << 30,
            readers: 2,
            probe_interval: Duration::from_secs(5),
            hooks: Hooks::default(),
        }
    }
}

type Fault = dyn Fn(&str, &str) -> io::Result<()> + Send + Sync;
type Clock = dyn Fn() -> DateTime<Utc> + Send + Sync;

/// What tests change.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Hooks {
    fault: Option<Arc<Fault>>,
    clock: Option<Arc<Clock>>,
}

impl Hooks {
    /// Calls `fault(operation, step)` at each step of a write. An error of it fails the operation, if the
    /// step is `"applied"`, as if the system had failed the commit.
    ///
    /// Operations: `accept`, `dispatch`, `lazy`, `ended`, `archive`, `remove`, `pin`,
    /// `retention`, `set_group`, `remove_group`, `retention_preview`, `import`, `probe`. Steps: `applied` (in the transaction, before the commit) and `committed`
    /// (before the caller knows). An archive has three operations more, with the step `done`:
    /// `archive_announced`, `archive_written` (the file is on the disk), `archive_renamed` (so is its name).
    #[must_use]
    pub fn fault(
        mut self,
        fault: impl Fn(&str, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.fault = Some(Arc::new(fault));
        self
    }

    /// Replaces the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    pub(crate) fn at(&self, operation: &str, step: &str) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault(operation, step))
    }

    /// Returns the time in microseconds since 1970-01-01 UTC.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.as_ref().map_or_else(Utc::now, |clock| clock()).timestamp_micros()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
