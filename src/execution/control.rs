//! What others may ask of a running execution beside ending it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use execution_engine_process::{Child, Signal};
use tokio::sync::oneshot;

use super::clock::Clock;

/// Something to be done to the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Signal(Signal),
    Pause,
    Resume,
}

/// An action, and who wants to know how it went: how many processes it reached.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) action: Action,
    pub(super) reply: oneshot::Sender<io::Result<u32>>,
}

/// The controls that the supervisor has not carried out yet. Closed once the ending of the attempt is
/// decided, so that nobody waits for a reply that never comes.
#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Debug)]
enum State {
    Open(Vec<Control>),
    Closed,
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

impl Inbox {
    /// The way to the reply; None if it is closed.
    pub(super) fn put(&self, action: Action) -> Option<oneshot::Receiver<io::Result<u32>>> {
        match &mut *self.lock() {
            State::Closed => None,
            State::Open(controls) => {
                let (reply, answer) = oneshot::channel();
                controls.push(Control { action, reply });
                Some(answer)
            }
        }
    }

    pub(super) fn take(&self) -> Vec<Control> {
        match &mut *self.lock() {
            State::Closed => Vec::new(),
            State::Open(controls) => std::mem::take(controls),
        }
    }

    pub(super) fn open(&self) {
        *self.lock() = State::default();
    }

    pub(super) fn close(&self) {
        *self.lock() = State::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what was asked for, and tells who asked.
pub(super) fn carry_out(child: &mut Child, control: Control, clock: &mut Clock) {
    let done = match control.action {
        Action::Signal(signal) => child.signal(signal).inspect(|_| {
            // It ends a pause, whatever the pause was made of.
            if signal == Signal::Continue {
                clock.resume(Instant::now());
            }
        }),
        Action::Pause => child.pause().map(|()| {
            clock.pause(Instant::now());
            0
        }),
        Action::Resume => child.resume().map(|()| {
            clock.resume(Instant::now());
            0
        }),
    };
    // Whoever asked may have gone meanwhile.
    let _nobody = control.reply.send(done);
}

/// Ends a pause that nobody has ended.
pub(super) fn go_on(child: &mut Child, clock: &mut Clock) {
    if let Err(error) = child.resume() {
        tracing::warn!(%error, "a paused tree could not be resumed");
    }
    clock.resume(Instant::now());
}
