use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::keeper::Keeper;

/// Signals that a keeper acts on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Of a terminal that is closed. It is waited for so that it does not end the process.
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits until the keeper has nothing left to do, see [`run`](super::run). Returns `true` if it has forgotten everything.
pub(super) async fn wait_for_end(keeper: &Arc<Keeper>, mut signals: Signals) -> bool {
    let shared = &keeper.shared;
    let idle_exit = keeper.options.idle_exit;
    let mut idle_since = None;
    let mut is_told = false;
    loop {
        let (is_stopping, is_empty) = (shared.is_stopping(), shared.is_empty());
        if is_stopping && !is_told {
            is_told = true;
            tracing::info!("stops what runs");
            let keeper = Arc::clone(keeper);
            tokio::spawn(async move { keeper.engine.shutdown(keeper.options.stop_grace).await });
        }
        if is_empty && (is_stopping || shared.is_draining()) && shared.close_if_empty(false) {
            return true;
        }
        // What is being stopped has its ending in its journal before the keeper goes.
        let has_nothing_to_do = is_empty || (is_stopping && shared.have_all_ended());
        let is_idle = has_nothing_to_do && shared.client_count() == 0;
        idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
        let end_of_idle = async {
            match idle_since.and_then(|since: Instant| since.checked_add(idle_exit)) {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.changed.notified() => {}
            _ = signals.terminate.recv() => drop(shared.stop()),
            _ = signals.interrupt.recv() => drop(shared.stop()),
            _ = signals.hangup.recv() => tracing::info!("a hangup is ignored"),
            () = end_of_idle => {
                if shared.close_if_empty(true) {
                    return true;
                }
                if is_stopping && shared.client_count() == 0 && shared.have_all_ended() {
                    shared.close();
                    return shared.is_empty();
                }
            }
        }
    }
}
