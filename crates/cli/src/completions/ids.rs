//! Ids of executions that fit a verb.

use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use clap_complete::engine::ValueCompleter;
use execution_engine::ExecutionStatus;
use execution_engine_server::{ExecutionView, Query};

use super::{LOOKED_AT, STATUSES, ask};
use crate::terminal_text;

/// Most ids that are offered.
const OFFERED: usize = 50;
/// Number of characters of an id in tables.
const SHORT: usize = 8;

/// Which executions fit a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// All.
    Any,
    /// What waits or runs.
    Unended,
    /// What is paused.
    Paused,
    /// What has ended.
    Ended,
}

impl ValueCompleter for Ids {
    /// Offers ids, the newest first, each with its command: short ones, as tables have them, or whole ones if more is
    /// written already.
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(current) = current.to_str() else { return Vec::new() };
        let (newest, found): (Option<ExecutionView>, Vec<ExecutionView>) = ask(async |client| {
            let newest = client.list(&Query { limit: Some(1), ..Query::default() }).await;
            let limit = Some(LOOKED_AT);
            let fitting = Query { status: self.statuses(), limit, ..Query::default() };
            let found = client.list(&fitting).await.ok()?.executions;
            Some((newest.ok()?.executions.pop(), found))
        });
        let last = match &newest {
            Some(newest) => self.fits(newest),
            None => *self == Self::Any,
        };
        let last = last.then(|| CompletionCandidate::new("@last").help(Some("the newest".into())));
        let last = last.filter(|_| "@last".starts_with(current));
        last.into_iter().chain(offered(*self, current, &found)).enumerate().map(in_order).collect()
    }
}

/// Keeps the order for the shell.
fn in_order((place, candidate): (usize, CompletionCandidate)) -> CompletionCandidate {
    candidate.display_order(Some(place))
}

impl Ids {
    fn statuses(self) -> Vec<ExecutionStatus> {
        match self {
            Self::Any => Vec::new(),
            Self::Ended => STATUSES.into_iter().filter(|status| status.is_terminal()).collect(),
            Self::Unended | Self::Paused => {
                STATUSES.into_iter().filter(|status| !status.is_terminal()).collect()
            }
        }
    }

    fn fits(self, execution: &ExecutionView) -> bool {
        let statuses = self.statuses();
        let has_status = statuses.is_empty() || statuses.contains(&execution.status);
        has_status && (self != Self::Paused || execution.paused)
    }
}

fn offered(
    ids: Ids,
    current: &str,
    found: &[ExecutionView],
) -> impl Iterator<Item = CompletionCandidate> {
    let all: Vec<String> = found.iter().map(|execution| execution.id.to_string()).collect();
    let fitting = found.iter().zip(&all).filter(|(execution, _)| ids.fits(execution));
    let named =
        fitting.filter_map(|(execution, id)| Some((execution, written(current, id, &all)?)));
    let candidates = named.take(OFFERED).map(|(execution, name)| {
        let command = terminal_text::one_line(&execution.command_line);
        let help = format!("{} {command}", execution.status);
        CompletionCandidate::new(name).help(Some(help.into()))
    });
    candidates.collect::<Vec<_>>().into_iter()
}

/// Returns what completes a text to an id: its short form, or all of it if the text is longer than that.
fn written(current: &str, id: &str, all: &[String]) -> Option<String> {
    let is_unique = |length: &usize| {
        let others = all.iter().filter(|other| *other != id);
        !others.into_iter().any(|other| other.starts_with(&id[..*length]))
    };
    let length = (SHORT..id.len()).find(is_unique).unwrap_or(id.len());
    if !id.starts_with(current) {
        return None;
    }
    let length = if current.len() < length { length } else { id.len() };
    Some(id[..length].to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_short_as_they_are_unique() {
        let all = ["01234567-89ab", "01234567-8fff", "11234567-89ab"].map(str::to_string);
        let of = |current, at: usize| written(current, &all[at], &all);
        assert_eq!(of("", 2).as_deref(), Some("11234567"));
        assert_eq!(of("1", 2).as_deref(), Some("11234567"));
        assert_eq!(of("", 0).as_deref(), Some("01234567-89"), "another one begins as it does");
        assert_eq!(of("11234567", 2).as_deref(), Some("11234567-89ab"));
        assert_eq!(of("11234567-8", 2).as_deref(), Some("11234567-89ab"));
        assert_eq!(of("0", 2), None);
    }
}
