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

pub(super) fn receipt(level: Level) -> ContainmentReceipt {
    ContainmentReceipt {
        level,
        proven: true,
        stopped: 0,
        signal: None,
        took: Duration::ZERO,
        survivors: Vec::new(),
    }
}

/// Ends whatever of the tree is alive. Takes no longer than the grace and [`KILL_PATIENCE`].
pub(super) async fn stop_tree(
    child: &mut Child,
    level: Level,
    grace: Duration,
) -> ContainmentReceipt {
    let begun = Instant::now();
    let mut receipt = receipt(level);
    let mut rest = look(child);
    if !rest.is_empty() {
        send(child, Signal::Terminate, &mut receipt);
        // A stopped process acts on TERM only once it goes on.
        if let Err(error) = child.signal(Signal::Continue) {
            tracing::debug!(%error, "SIGCONT could not be sent");
        }
        rest = until_empty(child, grace).await;
    }
    let patience = Instant::now() + KILL_PATIENCE;
    while !rest.is_empty() && Instant::now() < patience {
        send(child, Signal::Kill, &mut receipt);
        rest = until_empty(child, KILL_ROUND).await;
    }
    receipt.proven = rest.proven;
    receipt.took = if receipt.signal.is_some() { begun.elapsed() } else { Duration::ZERO };
    receipt.survivors = rest.members.into_iter().map(survivor).collect();
    receipt
}

fn send(child: &mut Child, signal: Signal, receipt: &mut ContainmentReceipt) {
    match child.signal(signal) {
        Ok(reached) => {
            receipt.stopped = receipt.stopped.max(reached);
            receipt.signal = Some(signal);
        }
        Err(error) => {
            tracing::warn!(%error, signal = %signal.name(), "a tree could not be signalled");
        }
    }
}

fn survivor(member: Member) -> Survivor {
    let reason =
        "it was still there after SIGKILL; it may hang in the kernel or belong to another \
                  user"
            .to_string();
    Survivor { pid: member.pid, name: member.name, reason }
}

/// Who is alive. A tree that cannot be examined counts as empty and not proven.
fn look(child: &mut Child) -> Tree {
    child.tree().unwrap_or_else(|error| {
        tracing::warn!(%error, "a process tree could not be examined");
        Tree { members: Vec::new(), proven: false, watch: Vec::new() }
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
