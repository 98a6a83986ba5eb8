//! What others may ask of a running execution beside ending it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use execution_engine_process::{Child, Signal};
use tokio::sync::oneshot;

use super::deadline::PausableDeadline;

/// Something to be done to the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlAction {
    Signal(Signal),
    Pause,
    Resume,
}

/// An action, and who wants to know how it went: how many processes it reached.
#[derive(Debug)]
pub(super) struct ControlRequest {
    pub(super) action: ControlAction,
    pub(super) reply: oneshot::Sender<io::Result<u32>>,
}

/// The controls that the supervisor has not carried out yet. Closed once the ending of the attempt is
/// decided, so that nobody waits for a reply that never comes.
#[derive(Debug, Default)]
pub(super) struct ControlInbox(Mutex<InboxState>);

#[derive(Debug)]
enum InboxState {
    Open(Vec<ControlRequest>),
    Closed,
}

impl Default for InboxState {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

impl ControlInbox {
    /// The way to the reply; None if it is closed.
    pub(super) fn put(&self, action: ControlAction) -> Option<oneshot::Receiver<io::Result<u32>>> {
        match &mut *self.lock() {
            InboxState::Closed => None,
            InboxState::Open(controls) => {
                let (reply, answer) = oneshot::channel();
                controls.push(ControlRequest { action, reply });
                Some(answer)
            }
        }
    }

    pub(super) fn take(&self) -> Vec<ControlRequest> {
        match &mut *self.lock() {
            InboxState::Closed => Vec::new(),
            InboxState::Open(controls) => std::mem::take(controls),
        }
    }

    pub(super) fn open(&self) {
        *self.lock() = InboxState::default();
    }

    pub(super) fn close(&self) {
        *self.lock() = InboxState::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what was asked for, and tells who asked.
pub(super) fn carry_out(child: &mut Child, control: ControlRequest, clock: &mut PausableDeadline) {
    let done = match control.action {
        ControlAction::Signal(signal) => child.signal(signal).inspect(|_| {
            // It ends a pause, whatever the pause was made of.
            if signal == Signal::Continue {
                clock.resume(Instant::now());
            }
        }),
        ControlAction::Pause => child.pause().map(|()| {
            clock.pause(Instant::now());
            0
        }),
        ControlAction::Resume => child.resume().map(|()| {
            clock.resume(Instant::now());
            0
        }),
    };
    // Whoever asked may have gone meanwhile.
    let _nobody = control.reply.send(done);
}

/// Ends a pause that nobody has ended.
pub(super) fn go_on(child: &mut Child, clock: &mut PausableDeadline) {
    if let Err(error) = child.resume() {
        tracing::warn!(%error, "a paused tree could not be resumed");
    }
    clock.resume(Instant::now());
}
