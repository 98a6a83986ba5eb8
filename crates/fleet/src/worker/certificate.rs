//! Ends a worker before its certificate is over: what it recorded after that would count for no reader.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Phase, WorkerError};
use crate::pause::pause;

/// Longest time before the end of the certificate at which a worker takes its last ticket.
const DRAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time before it at which what still runs is given up.
const EVICT: Duration = Duration::from_secs(60);
/// From when on before the end it is told at each start of a worker.
const WARN: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Longest pause between two looks at the clock. It can be set, and runs on while the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// When a worker is drained and evicted, in milliseconds since 1970-01-01 UTC.
pub(super) struct Validity {
    drain_ms: u64,
    evict_ms: u64,
}

impl Validity {
    /// Returns that of a certificate at the start of a worker: a tenth of the time that is left is for what runs then.
    fn new(now_ms: u64, not_after_ms: u64) -> Self {
        let before = |part: u64, longest: Duration| {
            let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            not_after_ms.saturating_sub(part.min(longest))
        };
        let tenth = not_after_ms.saturating_sub(now_ms) / 10;
        Self { drain_ms: before(tenth, DRAIN), evict_ms: before(tenth / 2, EVICT) }
    }
}

impl Core {
    /// Returns until when the worker may work; `None` without a certificate.
    pub(super) fn certificate(&self) -> Result<Option<Validity>, WorkerError> {
        let Some(not_after_ms) = self.options.signer.not_after_ms() else { return Ok(None) };
        let now_ms = self.clock.unix_ms();
        if now_ms >= not_after_ms {
            return Err(WorkerError::CertificateOver(self.options.id.clone()));
        }
        let left = Duration::from_millis(not_after_ms - now_ms);
        if left < WARN {
            let hours = left.as_secs() / 3600;
            tracing::warn!(hours, "the certificate of this worker is over soon; make a new one");
        }
        Ok(Some(Validity::new(now_ms, not_after_ms)))
    }

    /// Drains and evicts the worker when its certificate asks for it. Does not return.
    pub(super) async fn keep_to(self: Arc<Self>, certificate: Option<Validity>) {
        let Some(Validity { drain_ms, evict_ms }) = certificate else {
            return std::future::pending().await;
        };
        self.wait_until(drain_ms).await;
        tracing::warn!(
            worker = self.options.id,
            "the certificate is over soon: no more executions are taken; start a worker with a new one"
        );
        self.set_phase(Phase::Draining);
        self.wait_until(evict_ms).await;
        tracing::warn!(worker = self.options.id, "the certificate is over: what runs is given up");
        self.set_phase(Phase::Evicting);
        std::future::pending::<()>().await;
    }

    /// Waits until the clock has come to a moment.
    async fn wait_until(&self, unix_ms: u64) {
        while let Some(left) = unix_ms.checked_sub(self.clock.unix_ms()).filter(|left| *left > 0) {
            pause(LOOK_EVERY.min(Duration::from_millis(left))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_ends_before_its_certificate() {
        let (day, hour, minute) = (24 * 3_600_000, 3_600_000, 60_000);
        for (left, drain, evict) in [
            (366 * day, day, minute),
            (day, day / 10, minute),
            (hour, 6 * minute, minute),
            (1000, 100, 50),
        ] {
            let Validity { drain_ms, evict_ms } = Validity::new(7, 7 + left);
            assert_eq!((7 + left - drain_ms, 7 + left - evict_ms), (drain, evict), "{left}");
        }
    }
}
