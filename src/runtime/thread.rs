//! A thread with a tokio runtime of its own.

use std::{io, thread};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Thread that runs tokio tasks. It ends when this is dropped, which waits for nothing.
///
/// We make the thread, and not tokio's runtime of many threads: that one panics where the system
/// has no room for another thread.
#[derive(Debug)]
pub(crate) struct RuntimeThread {
    handle: Handle,
    /// Dropped with this; that ends the thread.
    _stop: oneshot::Sender<()>,
}

/// Runtime whose drop is allowed inside async code and waits for no thread of it.
struct OwnedRuntime(Option<Runtime>);

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl RuntimeThread {
    /// Starts the thread, which first calls `begin`.
    ///
    /// # Errors
    /// The system's error where it has no room for a thread or no descriptors for a reactor.
    pub(crate) fn start(name: &str, begin: fn()) -> io::Result<Self> {
        execution_engine_process::check_reactor()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let runtime = OwnedRuntime(Some(runtime));
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(name.to_string()).spawn(move || {
            begin();
            let runtime = runtime;
            if let Some(runtime) = &runtime.0 {
                runtime.block_on(async {
                    // Nothing is sent: the sender is dropped.
                    let _stopped: Result<(), _> = stopped.await;
                });
            }
        })?;
        Ok(Self { handle, _stop: stop })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}
