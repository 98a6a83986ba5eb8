//! Supervision: one loop that waits for the exit, for control requests and for the deadline while
//! the output is read.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use execution_engine_process::{Child, Exit};

use super::context::PhaseContext;
use super::control::{apply_control, resume_paused};
use super::deadline::PausableDeadline;
use super::drain::read_while;
use super::launch::{ExecutionParams, RunningProgram};
use crate::time;
use crate::types::Ending;

/// Waits for the program to exit by itself, and returns how. None if the ending was decided
/// otherwise: by the deadline here, or from outside.
pub(super) async fn supervise(cx: &PhaseContext, program: &mut RunningProgram) -> Option<Exit> {
    let RunningProgram { child, reader, params, .. } = program;
    let exit = pin!(wait_for_exit(cx, child, params));
    // The program must never block on a full pipe while it is waited for.
    read_while(cx, reader, exit).await
}

/// What the supervisor was woken for.
enum Wakeup {
    /// The ending was decided from outside, or there are control requests.
    Called,
    Exit(io::Result<Exit>),
    /// The deadline, or the end of the longest pause.
    Deadline,
}

async fn wait_for_exit(
    cx: &PhaseContext,
    child: &mut Child,
    &ExecutionParams { timeout, max_pause, .. }: &ExecutionParams,
) -> Option<Exit> {
    let mut deadline = PausableDeadline::new(cx.attempt_start, timeout, max_pause);
    // The wake-up of what came while the start was retried is used up, so it is not waited for.
    cx.active.wake();
    loop {
        // Ties are decided by this order. A stop from outside has already decided the ending in the
        // state machine, so it comes first. An exit at the deadline is an exit: the program has
        // done its work in time, and a timeout would stop nothing. No timeout can win any more
        // while its last output is drained, although the ending is decided only then.
        let wakeup = tokio::select! {
            biased;
            () = cx.active.woken() => Wakeup::Called,
            exit = poll_fn(|cx| child.poll_exit(cx)) => Wakeup::Exit(exit),
            () = time::sleep_until(deadline.next_wakeup()) => Wakeup::Deadline,
        };
        match wakeup {
            Wakeup::Called => {
                // Requests that came before a stop are carried out before it.
                let requests = cx.active.inbox.take();
                requests.into_iter().for_each(|it| apply_control(child, it, &mut deadline));
                if cx.active.decision().is_some() {
                    // A stopped process does not act on the signals that end it.
                    resume_paused(child, &mut deadline);
                    return None;
                }
            }
            Wakeup::Exit(Ok(exit)) => {
                // The rest of its tree is still paused.
                resume_paused(child, &mut deadline);
                return Some(exit);
            }
            Wakeup::Exit(Err(error)) => {
                cx.decide(Ending::EngineFailed { reason: error.to_string() });
                return None;
            }
            Wakeup::Deadline if deadline.is_paused() => {
                tracing::info!(id = %cx.active.info().id, "paused for too long; resumed");
                resume_paused(child, &mut deadline);
            }
            Wakeup::Deadline => {
                let timeout_ms = timeout.unwrap_or_default().as_millis();
                let timeout_ms = u64::try_from(timeout_ms).unwrap_or(u64::MAX);
                cx.decide(Ending::TimedOut { timeout_ms });
                return None;
            }
        }
    }
}
