//! NATS servers for tests: one or three on loopback, each with a directory of its own.
//!
//! They can be killed, stopped for a while, and started again, with their disk or an empty one. A
//! shell between a test and its server ends the server when the test process dies. A server can have
//! a network namespace of its own ([`Host`]), which the test makes.

mod authority;
mod http;
mod process;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

pub use authority::Authority;
use http::is_healthy;
use process::Process;
pub use process::install;

/// Longer than anything takes on a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a fact that no event announces.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Number of servers; more than one are a cluster.
    pub count: usize,
    /// `sync_interval` of JetStream.
    pub sync_interval: String,
    /// What else is in the configuration of each server.
    pub extra: String,
    /// Where each server runs; loopback if empty.
    pub hosts: Vec<Host>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { count: 1, sync_interval: "always".into(), extra: String::new(), hosts: Vec::new() }
    }
}

/// Where a server runs.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its IPv4 address, which this process can reach.
    pub address: String,
    /// A program with arguments that becomes the command behind them, such as one that enters a
    /// network namespace.
    pub enter: Vec<String>,
    /// Directory of its records; one beside its log if `None`.
    pub store: Option<PathBuf>,
}

impl Default for Host {
    fn default() -> Self {
        Self { address: "127.0.0.1".into(), enter: Vec::new(), store: None }
    }
}

/// Servers of a test. They end, and their files are removed, when this is dropped.
#[derive(Debug)]
pub struct Servers {
    binary: PathBuf,
    home: TempDir,
    ports: Vec<Ports>,
    hosts: Vec<Host>,
    processes: Vec<Option<Process>>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    client: u16,
    monitor: u16,
    route: u16,
}

impl Servers {
    /// Starts servers that flush each write, and waits until they serve.
    pub async fn start(count: usize) -> Self {
        Self::start_with(&Setup { count, ..Setup::default() }).await
    }

    /// Starts servers and waits until they serve.
    ///
    /// # Panics
    ///
    /// If they do not serve in time; the text has their logs.
    pub async fn start_with(setup: &Setup) -> Self {
        let binary = install();
        // A port that was free may be taken by another process before the server has it.
        for _ in 0..10 {
            let mut servers = Self::configure(&binary, setup);
            (0..setup.count).for_each(|server| servers.spawn(server));
            if servers.serve().await {
                return servers;
            }
        }
        panic!("no free ports for {} servers", setup.count);
    }

    fn configure(binary: &Path, setup: &Setup) -> Self {
        let home = TempDir::new().unwrap();
        let ports = free_ports(setup.count);
        let mut hosts = setup.hosts.clone();
        hosts.resize_with(setup.count, Host::default);
        let route = |(host, ports): (&Host, &Ports)| url(&host.address, ports.route);
        let routes: Vec<_> = hosts.iter().zip(&ports).map(route).collect();
        for (number, own) in ports.iter().enumerate() {
            let Host { address, store, .. } = &hosts[number];
            let own_store = home.path().join(format!("n{number}"));
            let mut config = format!(
                "server_name: n{number}\nlisten: \"{address}:{}\"\nhttp: \"{address}:{}\"\n\
                 jetstream {{ store_dir: {:?}, sync_interval: {:?}, max_mem: 256M, max_file: 64G }}\n",
                own.client,
                own.monitor,
                store.as_ref().unwrap_or(&own_store),
                setup.sync_interval,
            );
            if setup.count > 1 {
                config += &format!(
                    "cluster {{ name: fleet, listen: \"{address}:{}\", routes: {routes:?} }}\n",
                    own.route
                );
            }
            config += &setup.extra;
            std::fs::write(home.path().join(format!("n{number}.conf")), config).unwrap();
        }
        let processes = (0..setup.count).map(|_| None).collect();
        Self { binary: binary.to_owned(), home, ports, hosts, processes }
    }

    /// Waits until all that run serve. `false` if a port was taken.
    async fn serve(&self) -> bool {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut healthy = true;
            for number in 0..self.ports.len() {
                if self.log(number).contains("address already in use") {
                    return false;
                }
                let runs = self.processes[number].is_some();
                healthy &= !runs || self.is_healthy(number).await;
            }
            if healthy {
                return true;
            }
            let logs = || (0..self.ports.len()).map(|n| self.log(n)).collect::<String>();
            assert!(tokio::time::Instant::now() < deadline, "servers do not serve:\n{}", logs());
            pause().await;
        }
    }

    /// Returns `true` if a server says that it serves, JetStream included.
    async fn is_healthy(&self, number: usize) -> bool {
        is_healthy(&self.hosts[number].address, self.ports[number].monitor).await
    }

    /// Returns the addresses of all servers, from the first on.
    pub fn urls(&self) -> Vec<String> {
        let hosts = self.hosts.iter().zip(&self.ports);
        hosts.map(|(host, ports)| url(&host.address, ports.client)).collect()
    }

    /// Returns the number of the server with a name, such as `n0`.
    pub fn number_of(&self, name: &str) -> usize {
        name.strip_prefix('n').and_then(|number| number.parse().ok()).unwrap()
    }

    /// Returns what a server has written to its log.
    pub fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.home.path().join(format!("n{number}.log"))).unwrap_or_default()
    }

    /// Returns the process of a server that runs.
    pub fn pid(&self, number: usize) -> u32 {
        self.processes[number].as_ref().unwrap().pid()
    }

    /// Kills a server with SIGKILL, and waits until it has ended.
    pub fn kill(&mut self, number: usize) {
        self.processes[number] = None;
    }

    /// Stops a server with SIGSTOP, or lets it go on with SIGCONT.
    pub fn freeze(&self, number: usize, frozen: bool) {
        self.processes[number].as_ref().unwrap().freeze(frozen);
    }

    /// Removes the disk of a server that was killed.
    pub fn erase(&self, number: usize) {
        assert!(self.processes[number].is_none(), "server {number} runs");
        std::fs::remove_dir_all(self.home.path().join(format!("n{number}"))).unwrap();
    }

    /// Gives a server that was killed another `sync_interval`.
    pub fn set_sync_interval(&self, number: usize, interval: &str) {
        assert!(self.processes[number].is_none(), "server {number} runs");
        let path = self.home.path().join(format!("n{number}.conf"));
        let config = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = config.split_once("sync_interval: \"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        std::fs::write(&path, format!("{before}sync_interval: {interval:?}{after}")).unwrap();
    }

    /// Starts a server that was killed, and does not wait until it serves.
    pub fn revive(&mut self, number: usize) {
        assert!(self.processes[number].is_none(), "server {number} runs");
        self.spawn(number);
    }

    /// Starts servers that were killed, and waits until all that run serve. A majority must run then.
    pub async fn start_again(&mut self, numbers: &[usize]) {
        for number in numbers {
            self.revive(*number);
        }
        assert!(self.serve().await, "a port of servers {numbers:?} was taken");
    }

    fn spawn(&mut self, number: usize) {
        let config = self.home.path().join(format!("n{number}.conf"));
        let log = self.home.path().join(format!("n{number}.log"));
        let enter = &self.hosts[number].enter;
        self.processes[number] = Some(Process::start(enter, &self.binary, &config, &log));
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Before their directory is removed.
        self.processes.clear();
    }
}

fn url(address: &str, port: u16) -> String {
    format!("nats://{address}:{port}")
}

/// Returns ports that are free now. All are taken until the last one is known, so that they differ.
fn free_ports(count: usize) -> Vec<Ports> {
    let taken: Vec<_> = (0..count * 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |index: usize| taken[index].local_addr().unwrap().port();
    (0..count)
        .map(|n| Ports { client: port(3 * n), monitor: port(3 * n + 1), route: port(3 * n + 2) })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "no event announces that a server serves")]
async fn pause() {
    tokio::time::sleep(POLL_INTERVAL).await;
}
