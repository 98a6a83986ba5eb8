use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::keeper::Keeper;
use crate::{Durability, directory};

/// Most bytes of a journal that a loss of power may take.
pub(super) const MAX_UNSYNCED: u64 = 4 * 1024 * 1024;
/// Longest time for which a loss of power may take output.
const MAX_AGE: Duration = Duration::from_millis(250);

/// Syncs the journals that have grown, if a loss of power must not take them.
pub(super) fn start(keeper: &Arc<Keeper>) {
    if keeper.options.durability == Durability::Process {
        return;
    }
    let journals = directory::journals(&keeper.options.dir);
    let shared = Arc::clone(&keeper.shared);
    tokio::spawn(async move {
        loop {
            shared.grown.notified().await;
            tokio::time::sleep_until(Instant::now() + MAX_AGE).await;
            let all = shared.all();
            let mut files: Vec<_> = all.iter().filter_map(|one| one.take_unsynced(1)).collect();
            // The names of new journals.
            match File::open(&journals) {
                Ok(dir) => files.push(Arc::new(dir)),
                Err(error) => tracing::error!(%error, "the directory of journals cannot be synced"),
            }
            sync_later(&Handle::current(), files).await;
        }
    });
}

/// Syncs files on a thread that may block.
pub(super) async fn sync_later(runtime: &Handle, files: Vec<Arc<File>>) {
    let syncs = runtime.spawn_blocking(move || {
        for file in files {
            if let Err(error) = file.sync_data() {
                tracing::error!(%error, "a journal cannot be synced; a loss of power may take output");
            }
        }
    });
    if let Err(error) = syncs.await {
        tracing::error!(%error, "journals were not synced");
    }
}
