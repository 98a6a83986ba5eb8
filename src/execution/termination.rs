//! Termination: the stop sequence (a signal to the whole tree, a grace, then SIGKILL; without a grace
//! SIGKILL alone), and the receipt.
//!
//! When SIGKILL is sent is decided here, in [`stop_tree`]; how it reaches each process depends on
//! the containment level:
//!
//! | level | sent by (below `crates/process/src/sys`) |
//! |---|---|
//! | cgroup | `linux/cgroup`: `cgroup.kill`, and each member by its id |
//! | process tree | `linux/descendants.rs`: the process group, and each descendant that is found |
//! | process group | `linux/group.rs`, `unix/group.rs`: the process group |
//! | any, when the task is lost | `Child::drop` |
//! | any, when the host dies | the host guard's script, process `sys/host_guard/` |

use std::pin::pin;
use std::time::{Duration, Instant};

use execution_engine_process::{Child, Leftovers, Member, Signal, Tree};

use super::active::ActiveExecution;
use super::context::PhaseContext;
use super::drain::read_while;
use super::launch::RunningProgram;
use super::run::boxed;
use crate::time;
use crate::types::{ContainmentReceipt, Survivor};

/// The longest grace of a tree whose engine was dropped.
const ABANDONED_GRACE: Duration = Duration::from_millis(400);
/// How long a process may take to die of SIGKILL. One that hangs in the kernel takes longer, and is
/// named as a survivor.
const KILL_LIMIT: Duration = Duration::from_secs(3);
/// How long one SIGKILL is given before the tree is examined and killed again: a process may have
/// been forked between the examination and the signal.
const KILL_ROUND: Duration = Duration::from_millis(100);

const SURVIVES: &str =
    "it was still alive after SIGKILL; it may hang in the kernel or belong to another user";
const UNREACHED: &str = "it is still alive: SIGKILL could not be sent to it, or has not ended it; it may \
                         belong to another user, or a sandbox may refuse the signal";
const SUSPECT: &str = "it may belong to the tree, but it runs with the rights of another user, \
                       so it can be neither examined nor stopped";
const UNKNOWN: &str =
    "some of its processes may be left: the system lets the engine neither list nor count them";
const LEFT: &str = "it was left running, as the options ask";

/// The signals that end a tree, and the time between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopSequence {
    pub(crate) term_signal: Signal,
    pub(crate) grace: Duration,
    /// SIGKILL follows it after another grace, if it is another signal.
    pub(crate) kill_signal: Signal,
}

impl StopSequence {
    /// Returns the sequence with the grace that the engine has left to the execution.
    fn current(self, active: &ActiveExecution) -> Self {
        let grace = active.grace().unwrap_or(self.grace);
        if active.is_abandoned() {
            let grace = grace.min(ABANDONED_GRACE);
            return Self { grace, kill_signal: Signal::Kill, ..self };
        }
        Self { grace, ..self }
    }
}

impl Default for StopSequence {
    fn default() -> Self {
        let grace = Duration::from_secs(2);
        Self { term_signal: Signal::Terminate, grace, kill_signal: Signal::Kill }
    }
}

/// Ends what is left of the tree, and returns the receipt.
pub(super) async fn terminate(
    cx: &PhaseContext,
    program: &mut RunningProgram,
) -> ContainmentReceipt {
    let may_leave = may_leave(&cx.active);
    if may_leave && let Some(longest) = program.params.leftovers_wait {
        boxed(wait_for_leftovers(cx, program, longest)).await;
    }
    if may_leave
        && program.params.leftovers == Leftovers::Leave
        && let Some(receipt) = leave_tree(&mut program.child)
    {
        return receipt;
    }
    let tree = look(&mut program.child);
    if tree.is_empty() {
        return with_survivors(&program.child, tree, nothing_yet(&program.child), SURVIVES);
    }
    boxed(stop(cx, program, tree)).await
}

/// Returns true if processes may be left running: the program ended by itself, and no attempt
/// follows, for which nothing of this one may be in the way.
fn may_leave(active: &ActiveExecution) -> bool {
    // Asked first: a cancel that comes in between takes the next attempt away, and is not an ending
    // of the program's own.
    let is_last = !active.will_retry();
    is_last && active.decision().is_some_and(|ending| ending.is_own())
}

/// Waits until what the program has left behind has ended, or is to be waited for no longer.
async fn wait_for_leftovers(cx: &PhaseContext, program: &mut RunningProgram, longest: Duration) {
    let RunningProgram { child, reader, .. } = program;
    let end = Instant::now().checked_add(longest);
    let wait = pin!(async {
        tokio::select! {
            biased;
            () = cx.active.stop_accelerated() => {}
            _left = wait_until_empty(child, end) => {}
        }
    });
    read_while(cx, reader, wait).await;
}

async fn stop(cx: &PhaseContext, program: &mut RunningProgram, tree: Tree) -> ContainmentReceipt {
    let RunningProgram { child, reader, params, .. } = program;
    let stop = pin!(stop_tree(child, tree, params.stop, &cx.active));
    // A process that blocks on a full pipe could not act on the signal.
    read_while(cx, reader, stop).await
}

/// Stops the processes of `tree`, which was just examined. Takes no longer than the graces and
/// [`KILL_LIMIT`].
pub(super) async fn stop_tree(
    child: &mut Child,
    mut tree: Tree,
    stop: StopSequence,
    active: &ActiveExecution,
) -> ContainmentReceipt {
    let start = Instant::now();
    let mut receipt = nothing_yet(child);
    for step in [|stop: StopSequence| stop.term_signal, |stop: StopSequence| stop.kill_signal] {
        let current = stop.current(active);
        let signal = step(current);
        // SIGKILL has rounds of its own, below. Without a grace no process could act on another
        // signal, which would still decide, by chance, what the program dies of.
        if tree.is_empty() || signal == Signal::Kill || current.grace.is_zero() {
            break;
        }
        send(child, signal, &mut receipt);
        // A stopped process acts on a signal only when it is continued.
        if let Err(error) = child.signal(Signal::Continue) {
            tracing::debug!(%error, "SIGCONT could not be sent");
        }
        tree = wait_for_grace(child, stop, active).await;
    }
    let limit = Instant::now() + KILL_LIMIT;
    let mut reason = UNREACHED;
    while !tree.is_empty() && Instant::now() < limit {
        let reached = send(child, Signal::Kill, &mut receipt);
        reason = if reached < tree.members.len() { UNREACHED } else { SURVIVES };
        tree = wait_until_empty(child, Instant::now().checked_add(KILL_ROUND)).await;
    }
    receipt.took = if receipt.signal.is_some() { start.elapsed() } else { Duration::ZERO };
    with_survivors(child, tree, receipt, reason)
}

/// Waits until the tree is empty or its grace is over. A shutdown may shorten the grace meanwhile.
async fn wait_for_grace(child: &mut Child, stop: StopSequence, active: &ActiveExecution) -> Tree {
    let end_of_grace = || Instant::now().checked_add(stop.current(active).grace);
    let mut deadline = end_of_grace();
    loop {
        tokio::select! {
            biased;
            () = active.stop_accelerated() => {
                // Never longer than before.
                deadline = deadline.into_iter().chain(end_of_grace()).min();
            }
            tree = wait_until_empty(child, deadline) => return tree,
        }
    }
}

/// Waits until the tree is empty, woken by its processes. Returns what is left at the deadline.
async fn wait_until_empty(child: &mut Child, deadline: Option<Instant>) -> Tree {
    loop {
        let tree = look(child);
        if tree.is_empty() {
            return tree;
        }
        tokio::select! {
            biased;
            () = tree.changed() => {}
            () = time::sleep_until(deadline) => return look(child),
        }
    }
}

/// Leaves the processes of a tree running, on purpose. None if the system does not let them go.
fn leave_tree(child: &mut Child) -> Option<ContainmentReceipt> {
    let tree = look(child);
    let left_running = tree.members.into_iter().map(|member| survivor(member, LEFT)).collect();
    let nothing = nothing_yet(child);
    match child.leave() {
        Ok(()) => Some(ContainmentReceipt { proven: tree.proven, left_running, ..nothing }),
        Err(error) => {
            tracing::warn!(%error, "processes could not be left running and are stopped");
            None
        }
    }
}

/// Returns the receipt of a child of which nothing has been stopped. The level is that of the child:
/// the engine may have chosen another one since.
fn nothing_yet(child: &Child) -> ContainmentReceipt {
    ContainmentReceipt::nothing(child.level())
}

/// Returns the number of processes that got the signal.
fn send(child: &mut Child, signal: Signal, receipt: &mut ContainmentReceipt) -> usize {
    let reached = child.signal(signal).unwrap_or_else(|error| {
        tracing::warn!(%error, signal = %signal.name(), "a tree could not be signalled");
        0
    });
    if reached > 0 {
        receipt.stopped = receipt.stopped.max(reached);
        receipt.signal = Some(signal);
    }
    reached.try_into().unwrap_or(usize::MAX)
}

/// Examines the tree. One that cannot be examined counts as alive, and is stopped blindly.
pub(super) fn look(child: &mut Child) -> Tree {
    child.tree().unwrap_or_else(|error| {
        tracing::warn!(%error, "a process tree could not be examined");
        Tree::unknown()
    })
}

/// Adds to the receipt the processes that are left when nothing more can be done.
fn with_survivors(
    child: &Child,
    tree: Tree,
    receipt: ContainmentReceipt,
    reason: &str,
) -> ContainmentReceipt {
    let is_unknown = !tree.is_empty() && tree.members.is_empty();
    let unknown = is_unknown.then(|| Member { pid: child.id(), name: "(process tree)".into() });
    let members = tree.members.into_iter().map(|member| survivor(member, reason));
    let suspects = tree.suspects.into_iter().map(|member| survivor(member, SUSPECT));
    let unknown = unknown.map(|member| survivor(member, UNKNOWN));
    let survivors = members.chain(suspects).chain(unknown).collect();
    ContainmentReceipt { proven: tree.proven, survivors, ..receipt }
}

fn survivor(member: Member, reason: &str) -> Survivor {
    Survivor { pid: member.pid, name: member.name, reason: reason.to_string() }
}
