use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ContainmentReceipt, Ending, ResourceUsage, millis, whole_millis};

/// How often a program that has failed is started again, and after which pauses; for
/// [`ExecutionOptions::retry`](crate::ExecutionOptions::retry).
///
/// The pauses grow: the first is `initial_delay_ms`, each further one `multiplier` times as long, none
/// longer than `max_delay_ms`.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let retry = RetryPolicy::new(3).initial_delay(Duration::from_millis(20)).retry_on([RetryOn::ExitCode(75)]);
/// let options = ExecutionOptions::default().retry(retry);
/// let id = engine.execute_with(ExecutionRequest::shell("exit 75"), options).await?;
/// let result = engine.wait_for_completion(id).await?;
/// assert_eq!((result.earlier_attempts.len(), result.exit_code), (2, 75));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How many attempts there are at most, the first included.
    pub attempts: u32,
    /// The pause after the first attempt, in milliseconds. Default: 1 000.
    pub initial_delay_ms: u64,
    /// How many times as long each further pause is. Default: 2.
    pub multiplier: u32,
    /// The longest pause, in milliseconds. Default: 60 000.
    pub max_delay_ms: u64,
    /// How much of each pause is left to chance, so that those who failed together do not come back
    /// together. Default: half of it.
    pub jitter: Jitter,
    /// After which endings. Default: all that there are.
    pub retry_on: Vec<RetryOn>,
}

/// How much of a pause is left to chance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// Nothing: the pause is as long as it says.
    None,
    /// Half: it is between half as long and as long as it says.
    #[default]
    Half,
    /// All of it: it is anything up to as long as it says.
    Full,
}

/// An ending after which there may be another attempt. A cancel, a limit that was broken and the end
/// of the engine are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RetryOn {
    /// Any exit code other than 0.
    AnyExitCode,
    /// This exit code.
    ExitCode(i32),
    /// A signal, but not one by which the engine was stopping it.
    Signal,
    /// The timeout, which each attempt has anew.
    Timeout,
    /// The program could not be started.
    SpawnFailure,
}

/// One attempt to run a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number, the first being 1.
    pub number: u32,
    /// How it ended.
    pub ending: Ending,
    /// When it was started, or should have been.
    pub started_at: DateTime<Utc>,
    /// How long it took; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// What it used; None if it never ran or the system did not tell.
    pub usage: Option<ResourceUsage>,
    /// What was done so that nothing outlives it.
    pub containment: ContainmentReceipt,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            initial_delay_ms: 1_000,
            multiplier: 2,
            max_delay_ms: 60_000,
            jitter: Jitter::default(),
            retry_on: vec![
                RetryOn::AnyExitCode,
                RetryOn::Signal,
                RetryOn::Timeout,
                RetryOn::SpawnFailure,
            ],
        }
    }
}

impl RetryPolicy {
    /// With so many attempts at most, the first included.
    pub fn new(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// Sets [`initial_delay_ms`](Self::initial_delay_ms).
    #[must_use]
    pub fn initial_delay(mut self, pause: Duration) -> Self {
        self.initial_delay_ms = whole_millis(pause);
        self
    }

    /// Sets [`multiplier`](Self::multiplier).
    #[must_use]
    pub fn multiplier(mut self, multiplier: u32) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// Sets [`max_delay_ms`](Self::max_delay_ms).
    #[must_use]
    pub fn max_delay(mut self, pause: Duration) -> Self {
        self.max_delay_ms = whole_millis(pause);
        self
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets [`retry_on`](Self::retry_on).
    #[must_use]
    pub fn retry_on(mut self, endings: impl IntoIterator<Item = RetryOn>) -> Self {
        self.retry_on = endings.into_iter().collect();
        self
    }

    /// Whether an attempt that ended like this may be followed by another one.
    pub(crate) fn covers(&self, ending: &Ending) -> bool {
        let covers = |on: &RetryOn| match (on, ending) {
            (RetryOn::AnyExitCode, Ending::Exited { code }) => *code != 0,
            (RetryOn::ExitCode(wanted), Ending::Exited { code }) => wanted == code && *code != 0,
            (RetryOn::Signal, Ending::Signaled { .. })
            | (RetryOn::Timeout, Ending::TimedOut { .. })
            | (RetryOn::SpawnFailure, Ending::SpawnFailed { .. }) => true,
            _ => false,
        };
        self.retry_on.iter().any(covers)
    }

    /// The pause after so many failed attempts; `chance` is anything.
    pub(crate) fn pause(&self, failed: u32, chance: u64) -> Duration {
        let multiplier = u64::from(self.multiplier).saturating_pow(failed.saturating_sub(1));
        let whole = self.initial_delay_ms.saturating_mul(multiplier).min(self.max_delay_ms);
        let least = match self.jitter {
            Jitter::None => whole,
            Jitter::Half => whole / 2,
            Jitter::Full => 0,
        };
        let open = whole - least;
        Duration::from_millis(least + open.checked_add(1).map_or(chance, |open| chance % open))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let retry = RetryPolicy::new(9)
            .initial_delay(Duration::from_millis(100))
            .multiplier(3)
            .max_delay(Duration::from_millis(1000))
            .jitter(Jitter::None);
        let pauses = [1, 2, 3, 4, 100].map(|failed| retry.pause(failed, 7).as_millis());
        assert_eq!(pauses, [100, 300, 900, 1000, 1000]);
    }

    proptest! {
        #[test]
        fn chance_stays_within_its_part(
            initial_delay_ms: u64,
            multiplier: u32,
            max_delay_ms: u64,
            failed in 1..200u32,
            chance: u64,
        ) {
            let with = |jitter| RetryPolicy { initial_delay_ms, multiplier, max_delay_ms, jitter, ..RetryPolicy::default() };
            let whole = with(Jitter::None).pause(failed, chance);
            prop_assert!(whole <= Duration::from_millis(max_delay_ms));
            let half = with(Jitter::Half).pause(failed, chance);
            prop_assert!(half <= whole && half + Duration::from_millis(1) >= whole / 2);
            prop_assert!(with(Jitter::Full).pause(failed, chance) <= whole);
        }
    }

    #[test]
    fn success_and_what_was_asked_for_are_final() {
        let all = RetryPolicy::default();
        for ending in [
            Ending::Exited { code: 0 },
            Ending::Cancelled,
            Ending::EngineClosed,
            Ending::PlanDeadline { deadline_ms: 1 },
            Ending::StatusUnknown,
        ] {
            assert!(!all.covers(&ending), "{ending:?}");
        }
        assert!(all.covers(&Ending::Exited { code: 1 }));
        let only = RetryPolicy::default().retry_on([RetryOn::ExitCode(75), RetryOn::ExitCode(0)]);
        assert!(only.covers(&Ending::Exited { code: 75 }));
        for ending in [
            Ending::Exited { code: 1 },
            Ending::Exited { code: 0 },
            Ending::TimedOut { timeout_ms: 1 },
        ] {
            assert!(!only.covers(&ending), "{ending:?}");
        }
    }
}
