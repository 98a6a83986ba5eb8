//! The processes of an app: its drivers, its own, and those in which WebKit draws its page.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

use super::until;

/// Names, of which the kernel has the first 15 bytes.
const DRIVER: &str = "WebKitWebDriver";
const PAGE: &str = "WebKitWebProces";
const NETWORK: &str = "WebKitNetworkPr";

/// What the kernel tells of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    name: String,
    /// `Z` for one that has ended and was not waited for.
    state: char,
    parent: u32,
}

impl Process {
    fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// Returns `true` if a process lives, and its id was not given to another one.
fn is_still(pid: u32, before: &Process) -> bool {
    process(pid).is_some_and(|now| now.name == before.name && now.lives())
}

/// The processes that a driver has started, and those that these have started.
pub struct Processes {
    driver: u32,
    first: BTreeMap<u32, Process>,
}

impl Processes {
    /// Returns those that there are now.
    pub fn of(driver: u32) -> Self {
        Self { driver, first: below(driver) }
    }

    /// Returns the id of the one that draws the page now, if there is one.
    pub fn page(&self) -> Option<u32> {
        let now = below(self.driver);
        let mut living = now.iter().filter(|(_, process)| process.lives());
        living.find(|(_, process)| process.name == PAGE).map(|(pid, _)| *pid)
    }

    /// Returns the id of the one of those at first that is for the network.
    pub fn network(&self) -> Option<u32> {
        self.first.iter().find(|(_, process)| process.name == NETWORK).map(|(pid, _)| *pid)
    }

    /// Returns `true` if the one of those at first that is for the network has ended.
    pub fn network_has_ended(&self) -> bool {
        let mut first = self.first.iter().filter(|(_, process)| process.name == NETWORK);
        first.any(|(pid, process)| !is_still(*pid, process))
    }

    /// Returns `true` if the app lives with the page that it had at first.
    pub fn app_goes_on(&self) -> bool {
        let is_gone = |(pid, process): (&u32, &Process)| {
            process.name != DRIVER && process.name != NETWORK && !is_still(*pid, process)
        };
        self.first.values().any(|process| process.name == PAGE) && !self.first.iter().any(is_gone)
    }

    /// Returns those at first that live.
    pub fn living(&self) -> Vec<u32> {
        let living = self.first.iter().filter(|(pid, process)| is_still(**pid, process));
        living.map(|(pid, _)| *pid).collect()
    }
}

/// Says which processes there were at first, and which there are now.
impl fmt::Display for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = below(self.driver);
        let list = |processes: &BTreeMap<u32, Process>| {
            let one = |(pid, p): (&u32, &Process)| format!("{} {pid} {}", p.name, p.state);
            processes.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        write!(f, "processes at first: {}; now: {}", list(&self.first), list(&now))
    }
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Process { name: name.to_owned(), state, parent })
}

fn below(root: u32) -> BTreeMap<u32, Process> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut all: BTreeMap<u32, Process> =
        pids.filter_map(|pid| Some((pid, process(pid)?))).collect();
    let parents: BTreeMap<u32, u32> = all.iter().map(|(pid, p)| (*pid, p.parent)).collect();
    all.retain(|pid, _| {
        let mut above = std::iter::successors(parents.get(pid), |parent| parents.get(parent));
        above.any(|parent| *parent == root)
    });
    all
}

/// Returns `true` if a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    process(pid).is_some_and(|process| process.lives())
}

/// Waits until all of these processes have exited.
pub async fn until_exited(pids: &[u32]) {
    until(&format!("the processes {pids:?} have exited"), async || {
        !pids.iter().any(|pid| is_alive(*pid))
    })
    .await;
}

fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.is_ok(), "kill could not be run");
}

pub fn terminate(pid: u32) {
    signal("-TERM", pid);
}

pub fn kill(pid: u32) {
    signal("-KILL", pid);
}
