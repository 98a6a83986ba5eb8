//! The connection to one keeper. It is made again as long as the keeper lives.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use execution_engine::{ExecutionOptions, ExecutionRequest, Limits, Signal};
use execution_engine_keeper::{
    ErrorCode, InputPiece, InputTaken, KeeperClient, KeeperError, KeeperInfo, RefusedLimit,
    StartAnswer, StartSpec, journal_path,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::errors::already_ended;
use super::inner::{RETRY, pause};
use super::input::nothing;
use crate::error::{ErrorCode as Code, ServiceError};
use crate::faults;
use crate::view::StopMode;

/// Pause after a call whose connection has gone, until that is known everywhere.
const RECONNECT: Duration = Duration::from_millis(10);

/// A keeper, and the connection to it.
#[derive(Debug)]
pub(crate) struct Link {
    name: String,
    dir: PathBuf,
    /// What its lock said; None if its directory is gone.
    info: Option<KeeperInfo>,
    /// It is of our build and not about to end, so it gets new work.
    takes_work: AtomicBool,
    connection: watch::Sender<KeeperState>,
}

/// State of a connection.
#[derive(Debug, Clone)]
pub(crate) enum KeeperState {
    /// There is none at present.
    Away,
    /// There is one, and what the keeper has is known.
    Here(KeeperClient),
    /// There will be none: the keeper has died.
    Dead,
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The program was started, now or by an earlier call.
    Started,
    /// The keeper has it, and it has ended without a start.
    Refused,
    /// The keeper is about to end and has not taken it.
    Leaving,
    /// The keeper has died; it may have started it.
    Dead,
}

impl Link {
    /// Creates a link that is not connected.
    pub(crate) fn new(info: KeeperInfo, takes_work: bool) -> Arc<Self> {
        let first = if info.alive { KeeperState::Away } else { KeeperState::Dead };
        Self::with(info.dir.clone(), Some(info), takes_work, first)
    }

    /// Creates the link of a keeper whose directory is gone.
    pub(crate) fn gone(dir: PathBuf) -> Arc<Self> {
        Self::with(dir, None, false, KeeperState::Dead)
    }

    fn with(
        dir: PathBuf,
        info: Option<KeeperInfo>,
        takes_work: bool,
        first: KeeperState,
    ) -> Arc<Self> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (takes_work, connection) = (AtomicBool::new(takes_work), watch::Sender::new(first));
        Arc::new(Self { name, dir, info, takes_work, connection })
    }

    /// Returns its name, that of its directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns what its lock said.
    pub(crate) fn info(&self) -> Option<&KeeperInfo> {
        self.info.as_ref()
    }

    /// Returns the path of a journal.
    pub(crate) fn journal(&self, id: Uuid) -> PathBuf {
        journal_path(self.dir(), id)
    }

    /// Returns `true` if it gets new work.
    pub(crate) fn takes_work(&self) -> bool {
        self.takes_work.load(Ordering::Acquire)
    }

    /// Returns `true` if there is a connection.
    pub(crate) fn is_here(&self) -> bool {
        matches!(*self.connection.borrow(), KeeperState::Here(_))
    }

    /// Returns `true` if the keeper is known to have died.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(*self.connection.borrow(), KeeperState::Dead)
    }

    /// Notes the state of the connection.
    pub(crate) fn set(&self, connection: KeeperState) {
        self.connection.send_replace(connection);
    }

    /// Waits for a connection. None if the keeper has died.
    async fn client(&self) -> Option<KeeperClient> {
        let mut connection = self.connection.subscribe();
        let here = connection.wait_for(|it| !matches!(it, KeeperState::Away)).await.ok()?;
        match &*here {
            KeeperState::Here(client) => Some(client.clone()),
            _ => None,
        }
    }

    /// Waits until there is a connection, or the keeper has died. Returns `true` for a connection.
    pub(crate) async fn until_here(&self) -> bool {
        self.client().await.is_some()
    }

    /// Tells the keeper to start an execution, until it knows it.
    pub(crate) async fn start(&self, work: (ExecutionRequest, ExecutionOptions)) -> Told {
        let (request, mut options) = work;
        // The queue is here.
        options.priority = 0;
        options.group = None;
        let spec = StartSpec { request, options };
        loop {
            let Some(client) = self.client().await else { return Told::Dead };
            let error = match client.start(&spec).await {
                Ok(StartAnswer::Started | StartAnswer::AlreadyKnown) => return Told::Started,
                Ok(_) => return Told::Refused,
                Err(error) => error,
            };
            match error.code() {
                Some(ErrorCode::Draining | ErrorCode::Stopping) => {
                    self.takes_work.store(false, Ordering::Release);
                    return Told::Leaving;
                }
                _ => self.before_repeat(&error).await,
            }
        }
    }

    /// Passes a stop on. Returns when the keeper has it, or has died.
    pub(crate) async fn stop(&self, id: Uuid, mode: StopMode) {
        while let Some(client) = self.client().await {
            match client.stop(id, mode == StopMode::Firm).await {
                Ok(_) => return,
                Err(error) => self.before_repeat(&error).await,
            }
        }
    }

    /// Passes a signal on, once. Returns the number of processes that got it.
    pub(crate) async fn signal(&self, id: Uuid, signal: Signal) -> Result<u32, ServiceError> {
        // What a dead keeper had is about to end as lost.
        let client = self.client().await.ok_or_else(|| already_ended(id))?;
        let sent = client.signal(id, signal).await.map_err(|error| self.refused(id, &error))?;
        sent.ok_or_else(|| already_ended(id))
    }

    /// Passes a pause, or its end, on. Returns when the keeper has done it.
    pub(crate) async fn set_paused(&self, id: Uuid, paused: bool) -> Result<(), ServiceError> {
        loop {
            let client = self.client().await.ok_or_else(|| already_ended(id))?;
            match client.set_paused(id, paused).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(already_ended(id)),
                Err(KeeperError::Disconnected) => pause(RECONNECT).await,
                Err(error) => return Err(self.refused(id, &error)),
            }
        }
    }

    /// Passes input on. Returns how far it was taken, at once.
    pub(crate) async fn input(
        &self,
        id: Uuid,
        piece: &InputPiece,
    ) -> Result<InputTaken, ServiceError> {
        let mut repeated = false;
        loop {
            let client = self.client().await.ok_or_else(|| already_ended(id))?;
            match client.input(id, piece).await {
                Ok(taken) => return taken.ok_or_else(|| already_ended(id)),
                // What comes again is not written twice.
                Err(KeeperError::Disconnected) => pause(RECONNECT).await,
                Err(error) if repeated && error.code() == Some(ErrorCode::InputMoved) => {
                    // Unless the keeper would not know the writer any more, it has not taken it.
                    let now = client.input(id, &nothing()).await.ok().flatten();
                    let is_told = now.is_some_and(|now| now.forgotten <= piece.offset);
                    let lost = KeeperError::Disconnected;
                    return Err(self.refused(id, if is_told { &error } else { &lost }));
                }
                Err(error) => return Err(self.refused(id, &error)),
            }
            repeated = true;
        }
    }

    /// Asks the keeper which of these limits its programs cannot have. None also if it cannot be asked.
    pub(crate) async fn refused_limit(&self, limits: Limits) -> Option<RefusedLimit> {
        let client = self.client().await?;
        client.check_limits(limits).await.unwrap_or_else(|error| {
            tracing::debug!(%error, keeper = self.name, "limits are checked at the start");
            None
        })
    }

    /// Lets the keeper forget an execution. If it is away, that is done when it is back.
    pub(crate) async fn forget(&self, id: Uuid) {
        let KeeperState::Here(client) = self.connection.borrow().clone() else { return };
        faults::at("before_forget");
        match client.forget(id).await {
            Ok(_) => faults::at("after_forget"),
            Err(error) => tracing::debug!(%error, %id, keeper = self.name, "it is forgotten later"),
        }
    }

    async fn before_repeat(&self, error: &KeeperError) {
        match error {
            KeeperError::Disconnected => pause(RECONNECT).await,
            _ => {
                tracing::warn!(%error, keeper = self.name, "a call to a keeper failed; trying again");
                pause(RETRY).await;
            }
        }
    }

    /// Returns what the error of a call about an execution is to the client that asked for it.
    fn refused(&self, id: Uuid, error: &KeeperError) -> ServiceError {
        match error.code() {
            Some(ErrorCode::UnknownCall) => {
                let text = format!(
                    "execution {id} runs in a keeper of an older version, which cannot do this"
                );
                ServiceError::new(Code::KeeperOutdated, text).fix(
                    "wait for its end, or stop it; what is submitted now runs in a newer keeper",
                )
            }
            Some(ErrorCode::NoInput) => {
                let text = format!("execution {id} has no input that can be written");
                ServiceError::new(Code::NoInput, text)
                    .fix("submit it with --stdin pipe (options.stdin: {\"type\": \"piped\"})")
            }
            Some(ErrorCode::InputClosed) => ServiceError::new(Code::InputClosed, error.to_string()),
            Some(ErrorCode::InputMoved) => {
                ServiceError::new(Code::InputMoved, error.to_string()).field("Upload-Offset")
            }
            Some(_) => ServiceError::new(Code::ControlFailed, error.to_string())
                .fix("look at the execution, and try again if it still runs"),
            None => self.outcome_unknown(error),
        }
    }

    /// Returns the error of a call whose answer did not come.
    pub(crate) fn outcome_unknown(&self, why: &impl Display) -> ServiceError {
        let text = format!("it is not known whether keeper {} has done it: {why}", self.name);
        ServiceError::new(Code::KeeperUnavailable, text)
            .fix("look at the execution, and repeat the call")
    }

    /// Returns the error of a keeper that cannot be used.
    pub(crate) fn unavailable(&self, why: &str) -> ServiceError {
        let text = format!("keeper {} cannot be used: {why}", self.name);
        ServiceError::new(Code::KeeperUnavailable, text)
            .fix(format!("look into {}", self.dir().join("log").display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_keepers_say_what_to_do() {
        let link = Link::gone("/state/keepers/0123abcd".into());
        let refused = |code| {
            let message = "the reason".to_string();
            link.refused(Uuid::nil(), &KeeperError::Refused { code, message })
        };
        let outdated = refused(ErrorCode::UnknownCall);
        assert_eq!(outdated.code, Code::KeeperOutdated);
        assert!(outdated.to_string().contains("newer keeper"), "{outdated}");
        let failed = refused(ErrorCode::ControlFailed);
        assert_eq!((failed.code, failed.detail.as_str()), (Code::ControlFailed, "the reason"));
        let unknown = link.refused(Uuid::nil(), &KeeperError::Disconnected);
        assert_eq!(unknown.code, Code::KeeperUnavailable);
        assert!(unknown.detail.contains("0123abcd"), "{unknown}");
    }
}
