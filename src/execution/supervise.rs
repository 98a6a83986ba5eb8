//! Supervision: one loop that waits for the exit, for control requests and for the deadline while
//! the output is read.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use execution_engine_process::{Child, Exit};

use super::context::PhaseContext;
use super::control::{apply_control, resume_paused};
use super::drain::read_while;
use super::launch::RunningProgram;
use crate::time::{Deadline, ExpiredLimit, precede_deadlines};
use crate::types::Ending;

/// Waits for the program to exit by itself, and returns how. None if the ending was decided
/// otherwise: by the deadline here, or from outside.
pub(super) async fn supervise(cx: &PhaseContext, program: &mut RunningProgram) -> Option<Exit> {
    let RunningProgram { child, reader, .. } = program;
    let exit = pin!(wait_for_exit(cx, child));
    // The program must never block on a full pipe while it is waited for.
    read_while(cx, reader, exit).await
}

/// What the supervisor was woken for.
enum Wakeup {
    /// The ending was decided from outside, there are control requests, or the deadline may be
    /// nearer.
    Called,
    Exit(io::Result<Exit>),
    /// The deadline, or the end of the longest pause.
    Deadline,
}

async fn wait_for_exit(cx: &PhaseContext, child: &mut Child) -> Option<Exit> {
    let deadline = &cx.active.deadline;
    precede_deadlines();
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
            () = deadline.wakeup() => Wakeup::Deadline,
        };
        match wakeup {
            Wakeup::Called => {
                // Requests that came before a stop are carried out before it.
                let requests = cx.active.inbox.take();
                requests.into_iter().for_each(|it| apply_control(child, it, deadline));
                if cx.active.decision().is_some() {
                    // A stopped process does not act on the signals that end it.
                    resume_paused(child, deadline);
                    return None;
                }
            }
            Wakeup::Exit(Ok(exit)) => {
                // The rest of its tree is still paused.
                resume_paused(child, deadline);
                return Some(exit);
            }
            Wakeup::Exit(Err(error)) => {
                let reason = format!("the end of the program cannot be observed: {error}");
                cx.decide(Ending::EngineFailed { reason });
                return None;
            }
            Wakeup::Deadline if deadline.is_paused() => {
                tracing::info!(id = %cx.active.info().id, "paused for too long; resumed");
                resume_paused(child, deadline);
            }
            Wakeup::Deadline => {
                if let Some(ending) = expired(deadline).await {
                    cx.decide(ending);
                    return None;
                }
            }
        }
    }
}

/// Returns the ending of a program whose time is over. None if its deadline has moved.
async fn expired(deadline: &Deadline) -> Option<Ending> {
    if let Some(ExpiredLimit::Idle(_)) = deadline.expired() {
        // What the program wrote in time may not have been read yet, so the reading beside this gets
        // its turn: the reactor is asked first, then the pipes.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
    }
    Some(match deadline.expired()? {
        ExpiredLimit::Timeout(timeout_ms) => Ending::TimedOut { timeout_ms },
        ExpiredLimit::Idle(idle_timeout_ms) => Ending::IdleTimedOut { idle_timeout_ms },
    })
}
