//! Reading: all records of an execution, and its state after them.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::cluster::{Cluster, ClusterError, Lane, LogPart, LogSubject};
use crate::error::FleetError;
use crate::fold::{State, fold_part};
use crate::pause::pause;
use crate::sign::Verifier;

/// First and longest pause between two tries of the same call.
const RETRY_PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What the log says of an execution.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: State,
    /// Sequence of the last record that decides, legal or not; 0 if there is none.
    pub(crate) last: u64,
}

/// Returns the subject of what decides about an execution.
pub(crate) fn decisions(tenant: &str, id: Uuid) -> LogSubject {
    LogSubject { tenant: tenant.to_owned(), id, lane: Lane::Decisions }
}

/// Reads all records of a subject from a sequence on.
pub(crate) async fn read_all(
    cluster: &dyn Cluster,
    subject: &LogSubject,
    from: u64,
    until: u64,
) -> Result<LogPart, ClusterError> {
    let mut all = LogPart::default();
    let mut next = from;
    loop {
        let part = cluster.read(subject, next, until).await?;
        all.first_seq = part.first_seq;
        all.records.extend(part.records);
        match all.records.last() {
            Some((last, _)) if part.more => next = last + 1,
            _ => return Ok(all),
        }
    }
}

/// Reads what decides about an execution, with all records up to the sequence `until`.
pub(crate) async fn read_state(
    cluster: &dyn Cluster,
    verifier: &Verifier,
    subject: &LogSubject,
    until: u64,
) -> Result<Known, FleetError> {
    let part = read_all(cluster, subject, 1, until).await?;
    let last = part.records.last().map_or(0, |(seq, _)| *seq);
    Ok(Known { state: fold_part(verifier, subject, &part)?, last })
}

/// Repeats a call that got no answer until this moment.
pub(crate) async fn repeat<T, E, F>(until: Instant, mut call: impl FnMut() -> F) -> Result<T, E>
where
    E: NoAnswer,
    F: Future<Output = Result<T, E>>,
{
    let (mut rest, longest) = RETRY_PAUSES;
    loop {
        match call().await {
            Err(error) if error.is_no_answer() && Instant::now() + rest < until => {
                tracing::debug!(%error, "the cluster is asked again");
                pause(rest).await;
            }
            done => return done,
        }
        rest = (rest * 2).min(longest);
    }
}

/// An error that may be a lost answer, so that the call is repeated.
pub(crate) trait NoAnswer: std::fmt::Display {
    fn is_no_answer(&self) -> bool;
}

impl NoAnswer for ClusterError {
    fn is_no_answer(&self) -> bool {
        matches!(self, Self::NoAnswer(_))
    }
}

impl NoAnswer for FleetError {
    fn is_no_answer(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.is_no_answer())
    }
}
