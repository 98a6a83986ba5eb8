//! When a program that failed is started again.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use super::{
    ContainmentReceipt, Ending, ResourceUsage, StreamStats, json_form, millis, whole_millis,
};
use crate::setters::setters;

/// Rule by which a program that failed is started again, for
/// [`ExecutionOptions::retry`](crate::ExecutionOptions::retry).
///
/// The delays grow exponentially: the first is `initial_delay_ms`, each further one `multiplier`
/// times as long, none longer than `max_delay_ms`.
///
/// In JSON every field may be left out:
/// `{"attempts":3,"jitter":"full","retry_on":[{"type":"exit_code","code":75},"timeout"]}`. The
/// option may be the number of attempts alone: `"retry": 3`.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let engine = ExecutionEngine::new(ExecutionConfig::default())?;
/// let retry = RetryPolicy::new(3)
///     .initial_delay(Duration::from_millis(20))
///     .retry_on([RetryOn::ExitCode(75)]);
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
    /// Maximum number of attempts, the first included. Default: 3.
    pub attempts: u32,
    /// Delay after the first attempt, in milliseconds. Default: 1 000.
    pub initial_delay_ms: u64,
    /// Factor by which each further delay grows. Default: 2.
    pub multiplier: u32,
    /// Longest delay, in milliseconds. Default: 60 000.
    pub max_delay_ms: u64,
    /// How much of each delay is random, so that executions that failed together do not retry
    /// together. Default: half of it.
    pub jitter: Jitter,
    /// Endings after which there is another attempt. Default: all that may be listed.
    pub retry_on: Vec<RetryOn>,
}

/// How much of a [retry](RetryPolicy) delay is random.
///
/// In JSON: `"none"`, `"half"`, `"full"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// Nothing: the delay is as computed.
    None,
    /// Half: the delay is between half of the computed one and all of it.
    #[default]
    Half,
    /// All of it: the delay is between 0 and the computed one.
    Full,
}

/// Ending after which there may be another attempt. A cancel, an exceeded limit and the end of the
/// engine are final.
///
/// In JSON: `{"type":"any_exit_code"}`, `{"type":"exit_code","code":75}`, `{"type":"signal"}`,
/// `{"type":"timeout"}`, `{"type":"spawn_failure"}`; or short `"signal"` and the like for all but
/// `exit_code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "RetryOnJson", into = "RetryOnJson")]
#[non_exhaustive]
pub enum RetryOn {
    /// Any exit code other than 0.
    AnyExitCode,
    /// This exit code.
    ExitCode(i32),
    /// A signal that the engine did not send to stop the program.
    Signal,
    /// The timeout or the idle timeout, which start anew with each attempt.
    Timeout,
    /// The program could not be started.
    SpawnFailure,
}

json_form! {
    #[serde(deny_unknown_fields)]
    RetryOnJson for RetryOn {
        AnyExitCode {} = AnyExitCode {};
        ExitCode { code: i32 } = ExitCode(code);
        Signal {} = Signal {};
        Timeout {} = Timeout {};
        SpawnFailure {} = SpawnFailure {};
    }
}

/// Reads the field of the options: a policy, or only its number of attempts.
pub(super) fn policy_or_attempts<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<RetryPolicy>, D::Error> {
    struct PolicyOrAttempts;

    impl<'de> Visitor<'de> for PolicyOrAttempts {
        type Value = Option<RetryPolicy>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of attempts, or an object with `attempts`")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_any(self)
        }

        fn visit_u64<E: Error>(self, attempts: u64) -> Result<Self::Value, E> {
            let too_many = |_| E::invalid_value(Unexpected::Unsigned(attempts), &self);
            u32::try_from(attempts)
                .map(|attempts| Some(RetryPolicy::new(attempts)))
                .map_err(too_many)
        }

        fn visit_i64<E: Error>(self, attempts: i64) -> Result<Self::Value, E> {
            let negative = |_| E::invalid_value(Unexpected::Signed(attempts), &self);
            u64::try_from(attempts).map_err(negative).and_then(|attempts| self.visit_u64(attempts))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            RetryPolicy::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    from.deserialize_any(PolicyOrAttempts)
}

/// Attempt to run a program that was followed by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number, the first being 1.
    pub number: u32,
    /// How it ended.
    pub ending: Ending,
    /// When the program was started, or should have been.
    pub started_at: DateTime<Utc>,
    /// From its start to its end; in JSON as `duration_ms`.
    #[serde(rename = "duration_ms", with = "millis")]
    pub duration: Duration,
    /// Resources it used; None if it never ran or the system did not report them.
    pub usage: Option<ResourceUsage>,
    /// What was done so that nothing outlives it.
    pub containment: ContainmentReceipt,
    /// The last 4 KiB of its standard output, as text like that of a
    /// [result](crate::ExecutionResult::stdout).
    #[serde(default)]
    pub stdout: String,
    /// Like `stdout`, but of standard error.
    #[serde(default)]
    pub stderr: String,
    /// Number of bytes of its standard output, and how many of them are in `stdout`.
    #[serde(default)]
    pub stdout_stats: StreamStats,
    /// Like `stdout_stats`, but of standard error.
    #[serde(default)]
    pub stderr_stats: StreamStats,
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
    /// Creates a policy with a maximum number of attempts, the first included, and the default
    /// delays.
    pub fn new(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    setters! {
        /// Sets [`initial_delay_ms`](Self::initial_delay_ms).
        initial_delay(delay: Duration) => initial_delay_ms = whole_millis(delay);

        /// Sets [`multiplier`](Self::multiplier).
        multiplier(multiplier: u32) => multiplier = multiplier;

        /// Sets [`max_delay_ms`](Self::max_delay_ms).
        max_delay(delay: Duration) => max_delay_ms = whole_millis(delay);

        /// Sets [`jitter`](Self::jitter).
        jitter(jitter: Jitter) => jitter = jitter;

        /// Sets [`retry_on`](Self::retry_on).
        retry_on(endings: impl IntoIterator<Item = RetryOn>) =>
            retry_on = endings.into_iter().collect();
    }

    /// Returns `true` if an attempt with this ending may be followed by another one.
    pub(crate) fn covers(&self, ending: &Ending) -> bool {
        let covers = |on: &RetryOn| match (on, ending) {
            (RetryOn::AnyExitCode, Ending::Exited { code }) => *code != 0,
            (RetryOn::ExitCode(wanted), Ending::Exited { code }) => wanted == code && *code != 0,
            (RetryOn::Signal, Ending::Signaled { .. })
            | (RetryOn::Timeout, Ending::TimedOut { .. } | Ending::IdleTimedOut { .. })
            | (RetryOn::SpawnFailure, Ending::SpawnFailed { .. }) => true,
            _ => false,
        };
        self.retry_on.iter().any(covers)
    }

    /// Returns the delay after a number of failed attempts; `chance` is a random number.
    pub(crate) fn delay(&self, failed: u32, chance: u64) -> Duration {
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
    fn delays_grow_to_the_longest() {
        let retry = RetryPolicy::new(9)
            .initial_delay(Duration::from_millis(100))
            .multiplier(3)
            .max_delay(Duration::from_millis(1000))
            .jitter(Jitter::None);
        let delays = [1, 2, 3, 4, 100].map(|failed| retry.delay(failed, 7).as_millis());
        assert_eq!(delays, [100, 300, 900, 1000, 1000]);
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
            let whole = with(Jitter::None).delay(failed, chance);
            prop_assert!(whole <= Duration::from_millis(max_delay_ms));
            let half = with(Jitter::Half).delay(failed, chance);
            prop_assert!(half <= whole && half + Duration::from_millis(1) >= whole / 2);
            prop_assert!(with(Jitter::Full).delay(failed, chance) <= whole);
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
            Ending::Lost { reason: "the host died".to_string() },
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
