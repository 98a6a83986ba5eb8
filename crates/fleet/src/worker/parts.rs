//! Output that is too much for the log, as objects.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::{Duration, Instant, timeout_at};

use super::{Core, OnSlow};
use crate::cluster::{ClusterError, LogSubject, ObjectKind, ObjectName};
use crate::pause::pause;
use crate::reader::NoAnswer as _;
use crate::record::OutputObject;

/// Pause between two tries, and the least time that a try gets.
const TRY: Duration = Duration::from_secs(1);

/// Stores the parts of the output of a start.
pub(super) struct Parts<'a> {
    core: &'a Core,
    subject: LogSubject,
    fence: u64,
    count: u64,
    /// Since when the servers have taken no part.
    failing_since: Option<Instant>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(core: &'a Core, subject: LogSubject, fence: u64) -> Self {
        Self { core, subject, fence, count: 0, failing_since: None }
    }

    /// Stores a part, and returns what a record says of it; `None` if it is given up. Beyond the time
    /// for that, each part gets one try, so that the program goes on.
    pub(super) async fn store(&mut self, bytes: &Bytes) -> Option<OutputObject> {
        self.count += 1;
        let LogSubject { tenant, id, .. } = &self.subject;
        let name = format!("{}/{}/{}", id.simple(), self.fence, self.count);
        let kind = ObjectKind::Output;
        let object = ObjectName { tenant: tenant.clone(), kind, name };
        let settings = &self.core.options.large_output;
        let begun = Instant::now();
        loop {
            let Err(error) = self.try_store(&object, bytes, begun).await else {
                if self.failing_since.take().is_some() {
                    tracing::info!(%id, "the servers take output again");
                }
                let (size, sha256) = (bytes.len() as u64, Sha256::digest(bytes).into());
                return Some(OutputObject { name: object.name, size, sha256 });
            };
            if self.failing_since.is_none() {
                tracing::warn!(%id, %error, "output could not be stored; trying again");
            }
            let since = *self.failing_since.get_or_insert(begun);
            let may_miss = settings.on_slow == OnSlow::Miss || !error.is_no_answer();
            if may_miss && since.elapsed() >= settings.give_up_after {
                let bytes = bytes.len();
                tracing::warn!(%id, %error, bytes, "output is given up; its readers are told");
                return None;
            }
            pause(TRY).await;
        }
    }

    /// Tries once; for a bounded time if the part may be given up for slowness.
    async fn try_store(
        &self,
        object: &ObjectName,
        bytes: &Bytes,
        begun: Instant,
    ) -> Result<u64, ClusterError> {
        let settings = &self.core.options.large_output;
        let mut content = &bytes[..];
        let put = self.core.cluster.put_object(object, &mut content);
        if settings.on_slow == OnSlow::Pace {
            return put.await;
        }
        let since = self.failing_since.unwrap_or(begun);
        let until = (since + settings.give_up_after).max(Instant::now() + TRY);
        let late =
            || ClusterError::NoAnswer(format!("the object {:?} takes too long", object.name));
        timeout_at(until, put).await.unwrap_or_else(|_| Err(late()))
    }
}
