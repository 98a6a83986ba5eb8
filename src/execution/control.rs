//! Control requests: what a running execution can be asked for, beside ending it.

use std::io;

use execution_engine_process::{Child, Signal};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::time::Deadline;
use crate::types::{ControlAction, ExecutionStatus};

/// Why an action was not carried out.
#[derive(Debug)]
pub(crate) enum ControlRefusal {
    /// It has ended, or is being ended.
    Ended(ExecutionStatus),
    /// There is no process now.
    NotRunning(&'static str),
    System(io::Error),
}

/// Action, and the channel for its result: the number of processes that it reached.
#[derive(Debug)]
pub(super) struct ControlRequest {
    pub(super) action: ControlAction,
    pub(super) reply: oneshot::Sender<io::Result<u32>>,
}

/// Control requests that the supervisor has not carried out yet. It is closed once the ending of
/// the attempt is decided, so that no caller waits for a reply that never comes.
#[derive(Debug, Default)]
pub(super) struct ControlInbox(Mutex<InboxState>);

#[derive(Debug, Default)]
struct InboxState {
    requests: Vec<ControlRequest>,
    is_closed: bool,
}

impl ControlInbox {
    /// Adds a request and returns the channel for its result. None if the inbox is closed.
    pub(super) fn put(&self, action: ControlAction) -> Option<oneshot::Receiver<io::Result<u32>>> {
        let mut inbox = self.0.lock();
        if inbox.is_closed {
            return None;
        }
        let (reply, answer) = oneshot::channel();
        inbox.requests.push(ControlRequest { action, reply });
        Some(answer)
    }

    /// Takes all requests out.
    pub(super) fn take(&self) -> Vec<ControlRequest> {
        std::mem::take(&mut self.0.lock().requests)
    }

    /// Takes requests again, for another attempt.
    pub(super) fn open(&self) {
        *self.0.lock() = InboxState::default();
    }

    /// Turns requests away from now on. Those that are inside get no reply, which their callers see
    /// as an execution that has ended.
    pub(super) fn close(&self) {
        *self.0.lock() = InboxState { is_closed: true, ..InboxState::default() };
    }
}

/// Carries out a request and replies with its result.
pub(super) fn apply_control(child: &mut Child, request: ControlRequest, deadline: &Deadline) {
    let done = match request.action {
        ControlAction::Signal(signal) => child.signal(signal),
        ControlAction::Pause => child.pause().map(|()| 0),
        ControlAction::Resume => child.resume().map(|()| 0),
    };
    match request.action {
        _ if done.is_err() => {}
        ControlAction::Pause => deadline.pause(),
        // SIGCONT ends a pause, whatever the pause was made of.
        ControlAction::Resume | ControlAction::Signal(Signal::Continue) => deadline.resume(),
        ControlAction::Signal(_) => {}
    }
    // The caller may have dropped its future.
    let _unread = request.reply.send(done);
}

/// Ends a pause, if there is one.
pub(super) fn resume_paused(child: &mut Child, deadline: &Deadline) {
    if !deadline.is_paused() {
        return;
    }
    if let Err(error) = child.resume() {
        tracing::warn!(%error, "a paused tree could not be resumed");
    }
    deadline.resume();
}
