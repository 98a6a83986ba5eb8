//! A network of namespaces, one for each server and worker, whose links can be taken down.
//!
//! The process that makes it must be alone in a network and a mount namespace of its own, as
//! [`enter_namespaces`] makes them: all that is made here ends with those. Each node has a link to this
//! process's namespace, which forwards between them.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use fleet_servers::Host;

/// Set for the process in the namespaces.
const INSIDE: &str = "EXENG_FLEET_STORM_INSIDE";

/// How the nodes of a storm are connected.
#[derive(Debug)]
pub enum Network {
    /// All on loopback: links are not taken down.
    Loopback,
    /// Each node has a namespace and a link.
    Namespaces {
        /// How many nodes were made.
        nodes: usize,
    },
}

/// Runs a test of this binary again in namespaces of its own, if the host allows it, with this
/// variable. Returns `true` if that was done; then the test has passed.
///
/// # Panics
///
/// If the test failed there.
pub fn enter_namespaces(test: &str, variable: (&str, &Path)) -> bool {
    if is_inside() {
        return false;
    }
    // There is no way to the package registries from inside.
    fleet_servers::install();
    let probe = "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add probe \
                 && ip link add probe type veth peer name eth0 netns probe \
                 && echo 1 > /proc/sys/net/ipv4/ip_forward";
    if !unshare(&["sh", "-c", probe], Stdio::null(), variable).success() {
        println!(
            "no network namespaces on this host: all is on loopback, and no link is taken down"
        );
        return false;
    }
    let binary = std::env::current_exe().unwrap();
    // The shell is process 1 there, and waits for processes that have lost their parent.
    let script = "mount -t tmpfs tmpfs /run && mkdir /run/netns && \"$@\"; exit $?";
    let arguments = ["sh", "-c", script, "sh", binary.to_str().unwrap()];
    let test = [test, "--exact", "--nocapture", "--include-ignored"];
    let ended = unshare(&[&arguments[..], &test[..]].concat(), Stdio::inherit(), variable);
    assert!(ended.success(), "the test failed in its namespaces: {ended}");
    true
}

/// Returns `true` in the namespaces of a test.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

fn unshare(arguments: &[&str], output: Stdio, (name, value): (&str, &Path)) -> ExitStatus {
    command("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(arguments)
        .env(INSIDE, "1")
        .env(name, value)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::inherit())
        .status()
        .unwrap()
}

impl Network {
    /// Makes the links of so many nodes, if this process is in namespaces of its own.
    pub fn make(nodes: usize) -> Self {
        if !is_inside() {
            return Self::Loopback;
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        ip("link set lo up");
        for node in 0..nodes {
            ip(&format!("netns add n{node}"));
            ip(&format!("link add v{node} type veth peer name eth0 netns n{node}"));
            ip(&format!("addr add 10.77.{node}.1/24 dev v{node}"));
            ip(&format!("-n n{node} addr add {}/24 dev eth0", address(node)));
            ip(&format!("-n n{node} link set lo up"));
            ip(&format!("-n n{node} link set eth0 up"));
            ip(&format!("link set v{node} up"));
            ip(&format!("-n n{node} route add default via 10.77.{node}.1"));
        }
        Self::Namespaces { nodes }
    }

    /// Returns where the server on a node runs.
    pub fn host(&self, node: usize) -> Host {
        match self {
            Self::Loopback => Host::default(),
            Self::Namespaces { .. } => {
                Host { address: address(node), enter: enter(node), ..Host::default() }
            }
        }
    }

    /// Returns what begins a command that is to run on a node.
    pub fn enter(&self, node: usize) -> Vec<String> {
        match self {
            Self::Loopback => Vec::new(),
            Self::Namespaces { .. } => enter(node),
        }
    }

    /// Returns `true` if links can be taken down.
    pub fn has_links(&self) -> bool {
        matches!(self, Self::Namespaces { .. })
    }

    /// Takes the link of a node down, or up again.
    pub fn set_link(&self, node: usize, is_up: bool) {
        let Self::Namespaces { nodes } = self else { return };
        assert!(node < *nodes, "no node {node}");
        // On this side: the other one keeps its route.
        ip(&format!("link set v{node} {}", if is_up { "up" } else { "down" }));
    }
}

fn address(node: usize) -> String {
    format!("10.77.{node}.2")
}

fn enter(node: usize) -> Vec<String> {
    vec!["nsenter".to_owned(), format!("--net=/run/netns/n{node}")]
}

fn ip(arguments: &str) {
    let status = command("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

#[expect(clippy::disallowed_methods, reason = "tools of a test are not the engine's to run")]
pub(crate) fn command(program: &str) -> Command {
    Command::new(program)
}
