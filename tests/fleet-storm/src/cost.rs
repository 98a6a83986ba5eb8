//! What the processes of a fleet have used, as the kernel counts it.

use std::ops::Sub;
use std::time::Duration;

/// Processor time and writes to disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Of all servers.
    pub servers: Duration,
    /// Of all workers, with the programs that have ended.
    pub workers: Duration,
    /// Of this process: the client, and the register.
    pub client: Duration,
    /// Bytes that the servers have sent to their disks.
    pub written: u64,
}

impl Cost {
    /// Returns what processes have used since they began.
    ///
    /// # Panics
    ///
    /// If one of them has ended.
    pub(crate) fn of(servers: &[u32], workers: &[u32]) -> Self {
        let total = |pids: &[u32]| pids.iter().map(|pid| processor_time(&pid.to_string())).sum();
        Self {
            servers: total(servers),
            workers: total(workers),
            client: processor_time("self"),
            written: servers.iter().map(|pid| written(*pid)).sum(),
        }
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            servers: self.servers - earlier.servers,
            workers: self.workers - earlier.workers,
            client: self.client - earlier.client,
            written: self.written - earlier.written,
        }
    }
}

/// Returns the time of a process and of its children that have ended: fields 14 to 17 of `proc_pid_stat(5)`.
fn processor_time(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may have spaces.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}
