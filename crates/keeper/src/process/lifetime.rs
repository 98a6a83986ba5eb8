use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::keeper::{Keeper, Shared};
use crate::lock::HeldLock;

/// Pause between two looks at the name of the lock: one that was removed wakes no task.
const LOCK_PAUSE: Duration = Duration::from_secs(2);

/// Signals that a keeper acts on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Of a terminal that is closed. It is waited for so that it does not end the process.
    hangup: Signal,
    /// Of a file that may not grow, which is an error of the write then.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }
}

/// Waits until the keeper has nothing left to do, see [`run`](super::run). Returns `true` if it has forgotten everything.
pub(super) async fn wait_for_end(
    keeper: &Arc<Keeper>,
    mut signals: Signals,
    lock: &HeldLock,
) -> bool {
    let shared = &keeper.shared;
    let idle_exit = keeper.options.idle_exit;
    let mut idle_since = None;
    let mut is_told = false;
    let mut last_moment = None;
    let mut useless = pin!(until_useless(shared, lock));
    loop {
        let (is_stopping, is_empty) = (shared.is_stopping(), shared.is_empty());
        if is_stopping && !is_told {
            is_told = true;
            last_moment = stop(keeper);
        }
        if is_empty && (is_stopping || shared.is_draining()) && shared.close_if_empty(false) {
            return true;
        }
        // What is being stopped has its ending in its journal before the keeper goes.
        let has_nothing_to_do = is_empty || (is_stopping && shared.have_all_ended());
        let is_idle = has_nothing_to_do && shared.client_count() == 0;
        idle_since = is_idle.then(|| idle_since.unwrap_or_else(Instant::now));
        let end_of_idle = idle_since.and_then(|since: Instant| since.checked_add(idle_exit));
        tokio::select! {
            () = shared.changed.notified() => {}
            _ = signals.terminate.recv() => drop(shared.stop()),
            _ = signals.interrupt.recv() => drop(shared.stop()),
            _ = signals.hangup.recv() => tracing::info!("a hangup is ignored"),
            () = &mut useless => {
                tracing::info!("its directory was removed");
                return close(shared);
            }
            () = until(last_moment) => {
                tracing::warn!("ends before everything is forgotten");
                return close(shared);
            }
            () = until(end_of_idle) => {
                if shared.close_if_empty(true) {
                    return true;
                }
                if is_stopping && shared.client_count() == 0 && shared.have_all_ended() {
                    return close(shared);
                }
            }
        }
    }
}

/// Takes nothing any more. Returns `true` if everything is forgotten.
fn close(shared: &Shared) -> bool {
    shared.close();
    shared.is_empty()
}

/// Waits until the directory was removed and nothing runs. Cancel safe.
async fn until_useless(shared: &Shared, lock: &HeldLock) {
    let mut looks = interval(LOCK_PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut was_useless = false;
    loop {
        looks.tick().await;
        let is_useless = lock.has_no_name() && shared.have_all_ended();
        // A client has the time between two looks to learn of the last ending.
        if is_useless && was_useless {
            return;
        }
        was_useless = is_useless;
    }
}

/// Stops what runs. Returns when the keeper ends at the latest, if that can be told.
fn stop(keeper: &Arc<Keeper>) -> Option<Instant> {
    tracing::info!("stops what runs");
    let (grace, limit) = (keeper.options.stop_grace, keeper.options.stop_limit);
    let stopped = Arc::clone(keeper);
    tokio::spawn(async move { stopped.engine.shutdown(grace).await });
    Instant::now().checked_add(grace)?.checked_add(limit)
}

/// Waits for a moment, or for ever.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
