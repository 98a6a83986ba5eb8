//! The stop ladder: a polite signal to the whole tree, a grace, then SIGKILL, and a receipt.

use std::time::{Duration, Instant};

use execution_engine_process::{Child, Level, Member, Signal, Tree, Watch, WatchFd};
use tokio::time::{sleep, timeout_at};

use super::active::ActiveExecution;
use crate::types::{ContainmentReceipt, Survivor};

/// The longest grace of a tree whose engine is gone.
const ABANDONED_GRACE: Duration = Duration::from_millis(400);

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
pub(crate) struct StopSequence {
    pub(crate) polite: Signal,
    pub(crate) grace: Duration,
    pub(crate) last: Signal,
}

impl StopSequence {
    /// With the grace that its engine has left to it.
    fn of(live: &ActiveExecution, asked: Self) -> Self {
        let grace = live.grace().unwrap_or(asked.grace);
        if live.is_abandoned() {
            return Self { grace: grace.min(ABANDONED_GRACE), last: Signal::Kill, ..asked };
        }
        Self { grace, ..asked }
    }
}

impl Default for StopSequence {
    fn default() -> Self {
        Self { polite: Signal::Terminate, grace: Duration::from_secs(2), last: Signal::Kill }
    }
}

/// Ends those of the tree who are alive, and tells of it: `tree` is what was just seen of it. Takes no
/// longer than the graces and [`KILL_PATIENCE`].
pub(super) async fn stop_tree(
    child: &mut Child,
    tree: Tree,
    receipt: ContainmentReceipt,
    asked: StopSequence,
    live: &ActiveExecution,
) -> ContainmentReceipt {
    let begun = Instant::now();
    let (mut receipt, mut rest) = (receipt, tree);
    for step in [|ladder: StopSequence| ladder.polite, |ladder: StopSequence| ladder.last] {
        let signal = step(StopSequence::of(live, asked));
        // After SIGKILL there is nothing to be asked for.
        if rest.is_empty() || signal == Signal::Kill {
            break;
        }
        send(child, signal, &mut receipt);
        // A stopped process acts on a signal only once it goes on.
        if let Err(error) = child.signal(Signal::Continue) {
            tracing::debug!(%error, "SIGCONT could not be sent");
        }
        rest = grace(child, asked, live).await;
    }
    let patience = Instant::now() + KILL_PATIENCE;
    while !rest.is_empty() && Instant::now() < patience {
        send(child, Signal::Kill, &mut receipt);
        rest = until_empty(child, Instant::now().checked_add(KILL_ROUND)).await;
    }
    receipt.took = if receipt.signal.is_some() { begun.elapsed() } else { Duration::ZERO };
    left_after(rest, receipt)
}

/// The receipt, with those who are left when no more can be done or nothing is to be done.
pub(super) fn left_after(rest: Tree, receipt: ContainmentReceipt) -> ContainmentReceipt {
    let survivors = rest.members.into_iter().map(|member| survivor(member, SURVIVES));
    let suspects = rest.suspects.into_iter().map(|member| survivor(member, SUSPECT));
    let survivors = survivors.chain(suspects).collect();
    ContainmentReceipt { proven: rest.proven, survivors, ..receipt }
}

/// Waits until the tree is empty or its grace is over, which may become shorter meanwhile.
async fn grace(child: &mut Child, asked: StopSequence, live: &ActiveExecution) -> Tree {
    let end_of_grace = || Instant::now().checked_add(StopSequence::of(live, asked).grace);
    let mut deadline = end_of_grace();
    loop {
        tokio::select! {
            biased;
            () = live.hastened() => deadline = deadline.into_iter().chain(end_of_grace()).min(),
            rest = until_empty(child, deadline) => return rest,
        }
    }
}

const SURVIVES: &str =
    "it was still there after SIGKILL; it may hang in the kernel or belong to another user";
const SUSPECT: &str = "it may belong to the tree, but it runs with the rights of another user, so \
                       that it can be neither examined nor stopped";
const LEFT: &str = "it was left running, as the options ask";

/// Gives up those who are alive, on purpose. None if the system does not let them go.
pub(super) fn leave_tree(child: &mut Child, level: Level) -> Option<ContainmentReceipt> {
    let tree = look(child);
    let mut receipt =
        ContainmentReceipt { proven: tree.proven, ..ContainmentReceipt::nothing(level) };
    receipt.left_running = tree.members.into_iter().map(|member| survivor(member, LEFT)).collect();
    match child.leave() {
        Ok(()) => Some(receipt),
        Err(error) => {
            tracing::warn!(%error, "processes could not be left running and are stopped");
            None
        }
    }
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

/// Who is alive. A tree that cannot be examined may have somebody in it: it is stopped blindly.
pub(super) fn look(child: &mut Child) -> Tree {
    child.tree().unwrap_or_else(|error| {
        tracing::warn!(%error, "a process tree could not be examined");
        Tree::unknown()
    })
}

/// Waits until the tree is empty, woken by the processes themselves; who is left at the deadline.
async fn until_empty(child: &mut Child, deadline: Option<Instant>) -> Tree {
    loop {
        let mut tree = look(child);
        if tree.is_empty() {
            return tree;
        }
        let shrinks = shrinks(std::mem::take(&mut tree.watch));
        let timed_out = match deadline {
            Some(deadline) => timeout_at(deadline.into(), shrinks).await.is_err(),
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
