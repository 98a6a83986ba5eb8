use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::keeper::Shared;
use crate::{Durability, KeeperError, KeeperOptions, directory};

/// Most bytes of a journal that a loss of power may take.
pub(super) const MAX_UNSYNCED: u64 = 4 * 1024 * 1024;
/// Longest time for which a loss of power may take output.
const MAX_AGE: Duration = Duration::from_millis(250);
/// Directories that lead to a journal from that of the service: `STATE/keepers/NAME/journals`.
const DIRECTORIES: usize = 4;

/// Syncs of journals, so that a loss of power does not take them.
#[derive(Debug)]
pub(super) struct PowerSync {
    /// Those of the journals, whose names have to be there, too.
    directories: Vec<Arc<File>>,
    /// The runtime of this process; the engine calls on threads of its own.
    runtime: Handle,
}

impl PowerSync {
    /// Returns the syncs of a keeper; `None` if a loss of power may take its output. Within its runtime.
    pub(super) fn of(options: &KeeperOptions) -> Result<Option<Arc<Self>>, KeeperError> {
        if options.durability == Durability::Process {
            return Ok(None);
        }
        let journals = directory::journals(&options.dir);
        let open = |dir: &std::path::Path| {
            File::open(dir).map(Arc::new).map_err(KeeperError::io("open", dir))
        };
        let directories = journals.ancestors().take(DIRECTORIES).map(open);
        let directories = directories.collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(Self { directories, runtime: Handle::current() })))
    }

    /// Syncs journals that have grown, as long as the runtime runs.
    pub(super) fn start(self: &Arc<Self>, shared: &Arc<Shared>) {
        let (this, shared) = (Arc::clone(self), Arc::clone(shared));
        self.runtime.spawn(async move {
            loop {
                shared.grown.notified().await;
                tokio::time::sleep_until(Instant::now() + MAX_AGE).await;
                let all = shared.all();
                this.sync(all.iter().filter_map(|one| one.take_unsynced(1)).collect()).await;
            }
        });
    }

    /// Syncs journals and their names on a thread that may block.
    pub(super) async fn sync(&self, mut files: Vec<Arc<File>>) {
        files.extend(self.directories.iter().cloned());
        let syncs = self.runtime.spawn_blocking(move || {
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
}
