//! The keepers of this state directory: found, started, watched, and cleared away after their death.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use execution_engine::ExecutionResult;
use execution_engine_journal::JournalEvent;
use execution_engine_keeper::{
    KeeperClient, KeeperInfo, Listed, ListedState, Missed, Notice, build_id, keepers, remove_dead,
};
use execution_engine_store::StoredPlace;
use futures_util::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::active::{Active, Phase};
use super::errors::{internal, stopping};
use super::inner::{Inner, pause};
use super::journals::ToldEnd;
use super::link::{KeeperState, Link};
use super::spawn::{self, Starter};
use super::{KeeperProgram, ending::blocking};
use crate::error::{ErrorCode, ServiceError};

/// Pauses between two attempts to reach a keeper that lives.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How many executions of a dead keeper are ended at a time.
const LOST: usize = 32;

/// The keepers that the service knows.
#[derive(Debug)]
pub(crate) struct Keepers {
    /// Where their directories are.
    state_dir: PathBuf,
    /// How one is started.
    program: Starter,
    links: Mutex<Vec<Arc<Link>>>,
    /// Held while a keeper is started, so that one is started and not several.
    starting: Arc<tokio::sync::Mutex<()>>,
}

impl Keepers {
    /// Creates the list from what the state directory has. Blocks.
    ///
    /// # Errors
    /// The directory of the keepers cannot be read.
    pub(crate) fn find(state_dir: PathBuf, program: KeeperProgram) -> Result<Self, ServiceError> {
        let build = build_id();
        let found = keepers(&state_dir).map_err(internal)?;
        let link = |info: KeeperInfo| {
            let is_ours = info.alive && info.build == build;
            Link::new(info, is_ours)
        };
        let links = Mutex::new(found.into_iter().map(link).collect());
        let program = Starter::new(program);
        Ok(Self { state_dir, program, links, starting: Arc::default() })
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.links.lock().clone()
    }

    /// Returns one that takes new work at once.
    pub(crate) fn ready(&self) -> Option<Arc<Link>> {
        self.links.lock().iter().find(|link| link.takes_work() && link.is_here()).cloned()
    }

    /// Returns one that takes new work. Starts one if there is none.
    ///
    /// # Errors
    /// [`ErrorCode::KeeperUnavailable`].
    ///
    /// # Cancel safety
    /// A start that has begun goes on, and the next caller waits for it.
    pub(crate) async fn for_new_work(&self, inner: &Arc<Inner>) -> Result<Arc<Link>, ServiceError> {
        let mut starting = Arc::clone(&self.starting).lock_owned().await;
        loop {
            let takes_work = |link: &&Arc<Link>| link.takes_work() && !link.is_dead();
            let known = self.links.lock().iter().find(takes_work).cloned();
            let link = match known {
                Some(link) => link,
                None => {
                    let inner = Arc::clone(inner);
                    let task = inner.tasks.clone().spawn(async move {
                        let started = inner.keepers.start(&inner).await;
                        (started, starting)
                    });
                    let (started, still_held) = task.await.map_err(internal)?;
                    starting = still_held;
                    started?
                }
            };
            if link.until_here().await {
                return Ok(link);
            }
        }
    }

    /// Returns the one with a name; if there is none, one whose directory is gone.
    pub(crate) fn named(&self, name: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.iter().find(|link| link.name() == name) {
            return Arc::clone(link);
        }
        let link = Link::gone(self.state_dir.join("keepers").join(name));
        links.push(Arc::clone(&link));
        link
    }

    async fn start(&self, inner: &Arc<Inner>) -> Result<Arc<Link>, ServiceError> {
        if inner.closing.is_cancelled() {
            return Err(stopping());
        }
        let parent = self.state_dir.join("keepers");
        // A name that is used by no other, not even by one that has died.
        let dir = parent.join(&Uuid::new_v4().simple().to_string()[..8]);
        let (program, durability) = (self.program.clone(), inner.options.config.durability);
        let (home, new) = (parent.clone(), dir.clone());
        let started = blocking(move || {
            private_dir(&home).map_err(|error| {
                internal(format!("the directory {} cannot be made: {error}", home.display()))
            })?;
            program.start(&new, durability)
        });
        let info = started.await.map_err(|error| {
            // Each attempt has a name of its own, and the reason is the same.
            let of_all = parent.display().to_string();
            let reason = error.detail.replace(&dir.display().to_string(), &of_all);
            let text = format!("no keeper could be started: {reason}");
            ServiceError::new(ErrorCode::KeeperUnavailable, text)
                .fix("executions wait meanwhile; correct that, and they run")
        })?;
        let link = Link::new(info, true);
        self.links.lock().push(Arc::clone(&link));
        inner.watch(&link);
        Ok(link)
    }

    fn remove(&self, link: &Arc<Link>) {
        self.links.lock().retain(|other| !Arc::ptr_eq(other, link));
    }
}

impl Inner {
    /// Looks after a keeper until it has died or the service ends.
    pub(crate) fn watch(self: &Arc<Self>, link: &Arc<Link>) {
        let (inner, link) = (Arc::clone(self), Arc::clone(link));
        self.tasks.spawn(async move {
            let closing = inner.closing.clone();
            tokio::select! {
                () = closing.cancelled() => {}
                () = inner.attend(link) => {}
            }
        });
    }

    async fn attend(self: Arc<Self>, link: Arc<Link>) {
        let mut delay = RECONNECT.0;
        while !link.is_dead() {
            match KeeperClient::connect(link.dir()).await {
                Ok(client) => {
                    delay = RECONNECT.0;
                    if let Err(error) = self.converse(&link, client).await {
                        tracing::warn!(%error, keeper = link.name(), "the connection to a keeper failed");
                    }
                    link.set(KeeperState::Away);
                }
                Err(error) => {
                    tracing::debug!(%error, keeper = link.name(), "a keeper is not reached");
                }
            }
            match is_alive(&link).await {
                Ok(false) => link.set(KeeperState::Dead),
                // It is about to end, or very busy. Its lock tells, and nothing tells about its lock.
                Ok(true) => {
                    pause(delay).await;
                    delay = (delay * 2).min(RECONNECT.1);
                }
                Err(error) => {
                    tracing::error!(%error, keeper = link.name(), "it is not known whether a keeper lives");
                    pause(RECONNECT.1).await;
                }
            }
        }
        self.bury(&link).await;
    }

    /// Compares what a keeper has with what is stored, and follows it until the connection ends.
    async fn converse(
        self: &Arc<Self>,
        link: &Arc<Link>,
        client: KeeperClient,
    ) -> Result<(), ServiceError> {
        let notices = client.notices();
        let listed = client.list().await.map_err(|error| link.unavailable(&error.to_string()))?;
        self.reconcile(link, &listed)?;
        link.set(KeeperState::Here(client.clone()));
        if !link.takes_work() {
            self.spawn_drain(link, client);
        }
        self.pump.notify_one();
        while let Some(notice) = notices.next().await {
            self.noticed(link, &notice);
        }
        Ok(())
    }

    /// Lets a keeper of another build end after what it has.
    fn spawn_drain(self: &Arc<Self>, link: &Arc<Link>, client: KeeperClient) {
        let (inner, link) = (Arc::clone(self), Arc::clone(link));
        self.tasks.spawn(async move {
            let drain = async {
                // Those that it does not know yet come first: a keeper that drains takes nothing.
                inner.until_told(&link).await;
                if let Err(error) = client.drain().await {
                    tracing::debug!(%error, keeper = link.name(), "it drains when it is back");
                }
            };
            tokio::select! {
                () = inner.closing.cancelled() => {}
                () = drain => {}
            }
        });
    }

    fn noticed(self: &Arc<Self>, link: &Arc<Link>, notice: &Notice) {
        match notice {
            Notice::Progress { id, end, input } => {
                if let Some(active) = self.find(*id) {
                    active.set_progress(*end, *input);
                }
            }
            Notice::Ended { id, end, journal_failed, result, missed } => {
                self.free_slot(*id);
                let Some(active) = self.find(*id) else {
                    self.spawn_forgetting(*id, link);
                    return;
                };
                active.set_end(*end);
                self.take_ending(active, link, *journal_failed, result.as_ref(), *missed);
            }
        }
    }

    /// Stores an ending that is in the journal. Notes one that is not, because the disk is full.
    fn take_ending(
        self: &Arc<Self>,
        active: Arc<Active>,
        link: &Arc<Link>,
        journal_failed: bool,
        result: Option<&Value>,
        missed: Option<Missed>,
    ) {
        if !journal_failed {
            self.spawn_ending(active, Arc::clone(link));
            return;
        }
        let Some(result) = result.and_then(|result| ExecutionResult::deserialize(result).ok())
        else {
            return;
        };
        let missed = missed.map(|missed| JournalEvent::Missed {
            stdout_bytes: missed.stdout_bytes,
            stderr_bytes: missed.stderr_bytes,
            reason: "the disk was full until the keeper had ended".to_string(),
        });
        active.set_told_end(ToldEnd { result, missed });
    }

    /// Lets a keeper forget an execution whose ending is stored, or that the store does not know: it was
    /// removed, or the database was replaced while it ran.
    fn spawn_forgetting(self: &Arc<Self>, id: Uuid, link: &Arc<Link>) {
        let (inner, link) = (Arc::clone(self), Arc::clone(link));
        self.tasks.spawn(async move {
            let forget = async {
                match inner.is_kept(id).await {
                    Ok(true) if link.until_here().await => link.forget(id).await,
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, %id, "an execution is forgotten later"),
                }
            };
            tokio::select! {
                () = inner.closing.cancelled() => {}
                () = forget => {}
            }
        });
    }

    /// Goes through the list of a keeper.
    fn reconcile(
        self: &Arc<Self>,
        link: &Arc<Link>,
        listed: &[Listed],
    ) -> Result<(), ServiceError> {
        for entry in listed {
            let Some(active) = self.find(entry.id) else {
                if entry.state == ListedState::Ended {
                    self.spawn_forgetting(entry.id, link);
                }
                continue;
            };
            active.set_progress(entry.end, entry.input);
            active.set_running();
            if entry.state == ListedState::Running {
                self.spawn_noting_pause(&active, entry.paused);
            }
            // An earlier service may have died between the answer of the keeper and this.
            self.store.erase_env(entry.id)?;
            if entry.state == ListedState::Ended {
                self.free_slot(entry.id);
                let result = entry.result.as_ref();
                self.take_ending(active, link, entry.journal_failed, result, entry.missed);
            }
        }
        let known: HashSet<Uuid> = listed.iter().map(|entry| entry.id).collect();
        for active in self.of_keeper(link.name()) {
            if !known.contains(&active.id) {
                self.spawn_telling(active, Arc::clone(link), None);
            }
        }
        Ok(())
    }

    /// Returns `true` if nothing of an execution that has ended is in its journal alone.
    async fn is_kept(&self, id: Uuid) -> Result<bool, ServiceError> {
        let is_journal =
            self.store.get(id).await?.is_some_and(|stored| stored.output == StoredPlace::Journal);
        Ok(!is_journal || self.archive(id).await)
    }

    /// Waits until the keeper knows all that it should have.
    async fn until_told(&self, link: &Link) {
        for active in self.of_keeper(link.name()) {
            let mut live = active.subscribe();
            let _ = live.wait_for(|live| !matches!(live.phase, Phase::Dispatched(_))).await;
        }
    }

    /// Ends what a dead keeper had, and removes its directory once nothing in it is needed.
    pub(crate) async fn bury(self: &Arc<Self>, link: &Arc<Link>) {
        let reason = reason_of(link);
        let lost = self.of_keeper(link.name());
        let end = async |active: Arc<Active>| {
            self.free_slot(active.id);
            self.end_lost(active, link, &reason).await;
        };
        futures_util::stream::iter(lost).for_each_concurrent(LOST, end).await;
        let Some(unarchived) =
            self.until_stored(|| async { Ok(self.store.unarchived().await?) }).await
        else {
            return;
        };
        let mut is_empty = true;
        for (id, _) in unarchived.iter().filter(|(_, path)| path.starts_with(link.dir())) {
            is_empty &= self.archive(*id).await;
        }
        if is_empty && !self.closing.is_cancelled() {
            let dir = link.dir().to_path_buf();
            if let Err(error) = blocking(move || remove_dead(&dir).map_err(internal)).await {
                tracing::warn!(%error, "the directory of a dead keeper stays");
            }
        }
        self.keepers.remove(link);
        self.pump.notify_one();
    }
}

/// Makes the directory of all keepers, with its mode whatever the umask is.
fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

async fn is_alive(link: &Link) -> Result<bool, ServiceError> {
    let dir = link.dir().to_path_buf();
    let info = blocking(move || KeeperInfo::read(&dir).map_err(internal)).await?;
    // A keeper that ends with nothing left removes its directory.
    Ok(info.is_some_and(|info| info.alive))
}

/// Says what happened to a keeper.
pub(crate) fn reason_of(link: &Link) -> String {
    let Some(info) = link.info() else {
        return format!("its keeper and the directory {} have gone", link.dir().display());
    };
    match &info.boot_id {
        Some(boot) if spawn::boot_id().is_some_and(|now| now != *boot) => {
            format!("the system was restarted while its keeper ran (process {})", info.pid)
        }
        _ => format!("its keeper ended unexpectedly (process {})", info.pid),
    }
}
