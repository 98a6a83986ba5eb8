//! Limits that programs cannot have where they would run, refused before anything is accepted.

use std::sync::Arc;
use std::time::Duration;

use execution_engine::Limits;
use execution_engine_keeper::RefusedLimit;
use tokio::time::timeout;

use super::inner::Inner;
use crate::error::ServiceError;

/// Longest time for an answer. A keeper that is stopped or very busy gives none, and the start finds out.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

impl Inner {
    /// Refuses limits that programs of the keeper for new work cannot have. It is asked, because it may be in
    /// another control group than this process, or have other rights. Where none can be asked, the start finds out,
    /// which checks in any case: the host may be another one by then.
    ///
    /// # Errors
    /// The first limit that cannot be enforced, and what to do; or the service is ending.
    pub(super) async fn check_limits(
        self: &Arc<Self>,
        limits: &Limits,
    ) -> Result<(), ServiceError> {
        if !is_asked(limits) {
            return Ok(());
        }
        let asked = async {
            let link = match self.keepers.ready() {
                Some(link) => link,
                None => self.keepers.for_new_work(self).await.ok()?,
            };
            link.refused_limit(*limits).await
        };
        match self.unless_closing(timeout(ANSWER_LIMIT, asked)).await? {
            Ok(Some(limit)) => Err(refusal(limit)),
            Ok(None) => Ok(()),
            Err(_elapsed) => {
                tracing::warn!("a keeper does not answer, so limits are checked at the start");
                Ok(())
            }
        }
    }
}

/// Returns `true` if a keeper is asked about limits. A umask can be had everywhere, and all that was typed in a shell has
/// one.
pub(super) fn is_asked(limits: &Limits) -> bool {
    let mut others = *limits;
    others.umask = others.umask.filter(|umask| *umask > 0o777);
    !others.is_empty()
}

/// Returns the error for a limit. Its reason ends with what to do, as a rule.
fn refusal(RefusedLimit { field, reason, .. }: RefusedLimit) -> ServiceError {
    let (why, fix) = reason.split_once("; ").unwrap_or((&reason, "change it, or leave it out"));
    ServiceError::invalid(format!("options.limits.{field}"), format!("limits: {field}: {why}"))
        .fix(fix)
}
