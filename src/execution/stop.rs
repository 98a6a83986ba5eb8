//! The stop ladder: a polite signal to the whole tree, a grace, then SIGKILL, and a receipt.

use std::time::{Duration, Instant};

use execution_engine_process::{Child, Level, Member, Signal, Tree, Watch, WatchFd};
use tokio::time::{sleep, timeout_at};

use crate::model::{ContainmentReceipt, Survivor};

/// How long a process may take to die of SIGKILL. One that hangs in the kernel takes longer, and
/// is named as a survivor.
const KILL_PATIENCE: Duration = Duration::from_secs(3);
/// How long one KILL is given before the tree is looked at and killed again: a process may have
/// been forked between the look and the signal.
const KILL_ROUND: Duration = Duration::from_millis(100);
/// How soon to look again where the system cannot wake us when a process has gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The signals that end a tree, and the time between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ladder {
    pub(crate) polite: Signal,
    pub(crate) grace: Duration,
    pub(crate) last: Signal,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { polite: Signal::Terminate, grace: Duration::from_secs(2), last: Signal::Kill }
    }
}

pub(super) fn receipt(level: Level) -> ContainmentReceipt {
    ContainmentReceipt {
        level,
        proven: true,
        stopped: 0,
        signal: None,
        took: Duration::ZERO,
        survivors: Vec::new(),
        left_running: Vec::new(),
    }
}

/// Ends whatever of the tree is alive. Takes no longer than the graces and [`KILL_PATIENCE`].
pub(super) async fn stop_tree(
    child: &mut Child,
    level: Level,
    ladder: Ladder,
) -> ContainmentReceipt {
    let begun = Instant::now();
    let mut receipt = receipt(level);
    let mut rest = look(child);
    let polite = [ladder.polite, ladder.last].into_iter().filter(|signal| *signal != Signal::Kill);
    for signal in polite {
        if !rest.is_empty() {
            send(child, signal, &mut receipt);
            // A stopped process acts on a signal only once it goes on.
            if let Err(error) = child.signal(Signal::Continue) {
                tracing::debug!(%error, "SIGCONT could not be sent");
            }
            rest = until_empty(child, ladder.grace).await;
        }
    }
    let patience = Instant::now() + KILL_PATIENCE;
    while !rest.is_empty() && Instant::now() < patience {
        send(child, Signal::Kill, &mut receipt);
        rest = until_empty(child, KILL_ROUND).await;
    }
    receipt.proven = rest.proven;
    receipt.took = if receipt.signal.is_some() { begun.elapsed() } else { Duration::ZERO };
    let survivors = rest.members.into_iter().map(|member| survivor(member, SURVIVES));
    let suspects = rest.suspects.into_iter().map(|member| survivor(member, SUSPECT));
    receipt.survivors = survivors.chain(suspects).collect();
    receipt
}

const SURVIVES: &str =
    "it was still there after SIGKILL; it may hang in the kernel or belong to another user";
const SUSPECT: &str = "it may belong to the tree, but it runs with the rights of another user, so \
                       that it can be neither examined nor stopped";
const LEFT: &str = "it was left running, as the options ask";

/// Gives up those who are alive, on purpose.
pub(super) fn leave_tree(child: &mut Child, level: Level) -> ContainmentReceipt {
    let tree = look(child);
    let mut receipt = ContainmentReceipt { proven: tree.proven, ..receipt(level) };
    receipt.left_running = tree.members.into_iter().map(|member| survivor(member, LEFT)).collect();
    if let Err(error) = child.leave() {
        tracing::warn!(%error, "processes could not be left running and end with the engine");
    }
    receipt
}

fn send(child: &mut Child, signal: Signal, receipt: &mut ContainmentReceipt) {
    match child.signal(signal) {
        Ok(0) => {}
        Ok(reached) => {
            receipt.stopped = receipt.stopped.max(reached);
            receipt.signal = Some(signal);
        }
        Err(error) => {
            tracing::warn!(%error, signal = %signal.name(), "a tree could not be signalled");
        }
    }
}

fn survivor(member: Member, reason: &str) -> Survivor {
    Survivor { pid: member.pid, name: member.name, reason: reason.to_string() }
}
/// Who is alive. A tree that cannot be examined counts as empty and not proven.
fn look(child: &mut Child) -> Tree {
    child.tree().unwrap_or_else(|error| {
        tracing::warn!(%error, "a process tree could not be examined");
        Tree::unknown()
    })
}

/// Waits until the tree is empty, woken by the processes themselves; who is left at the deadline.
async fn until_empty(child: &mut Child, patience: Duration) -> Tree {
    let deadline = tokio::time::Instant::now().checked_add(patience);
    loop {
        let mut tree = look(child);
        if tree.is_empty() {
            return tree;
        }
        let shrinks = shrinks(std::mem::take(&mut tree.watch));
        let timed_out = match deadline {
            Some(deadline) => timeout_at(deadline, shrinks).await.is_err(),
            None => {
                shrinks.await;
                false
            }
        };
        if timed_out {
            return look(child);
        }
    }
}

/// Waits until every one of the watched has told that something has gone.
async fn shrinks(watch: Vec<WatchFd>) {
    if watch.is_empty() {
        return sleep(LOOK_AGAIN).await;
    }
    for one in watch {
        let ready = async { Watch::tree(one)?.ready().await };
        if ready.await.is_err() {
            sleep(LOOK_AGAIN).await;
        }
    }
}
