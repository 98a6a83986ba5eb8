//! What others may ask of a running execution beside ending it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use execution_engine_process::Signal;
use tokio::sync::oneshot;

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

/// The controls that the supervisor has not carried out yet. Closed from the moment the execution
/// is being ended, so that nobody waits for a reply that never comes.
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
