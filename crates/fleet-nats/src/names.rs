//! Names on the servers: subjects, streams and consumers.

use std::num::NonZeroU16;

use execution_engine_fleet::{
    ClusterError, ExecutionName, Lane, LogSubject, ObjectKind, QueueName, QueuePlace, check_name,
    shard_of,
};
use uuid::Uuid;

/// What the subjects of the API of JetStream begin with, in the account that has the streams.
pub(crate) const API: &str = "$JS.API";
/// The same in the account of a tenant: there its own API, which says that it has no JetStream, would answer first.
pub(crate) const TENANT_API: &str = "exeng.api";
/// Stream of presence.
pub(crate) const LIVE: &str = "EXENG_LIVE";
/// Stream of the bucket that tells how the fleet is set up; `nats kv` reads it as `EXENG_FLEET`.
pub(crate) const BUCKET: &str = "KV_EXENG_FLEET";

/// Returns the subject of the right to sweep for a tenant.
pub(crate) fn sweep_subject(tenant: &str) -> String {
    format!("exeng.sweep.{tenant}")
}

/// Returns what the subjects of objects of a tenant begin with; of all kinds or of one.
pub(crate) fn objects_of(tenant: &str, kind: Option<ObjectKind>) -> String {
    match kind {
        None => format!("exeng.b.{tenant}."),
        Some(ObjectKind::Output) => format!("exeng.b.{tenant}.o."),
        Some(ObjectKind::Artifact) => format!("exeng.b.{tenant}.a."),
    }
}

/// Returns the stream of one shard of a tenant's records. The shard is a number, so that no two have
/// the same name.
pub(crate) fn log_stream(tenant: &str, shard: u16) -> String {
    format!("EXENG_LOG_{tenant}_{shard}")
}

pub(crate) fn work_stream(tenant: &str) -> String {
    format!("EXENG_WORK_{tenant}")
}

/// Returns the stream of the objects of a tenant.
pub(crate) fn objects_stream(tenant: &str) -> String {
    format!("EXENG_BIG_{tenant}")
}

/// Returns the consumer of a queue. `=` is no character of a name, so that names cannot run into
/// each other.
pub(crate) fn consumer(queue: &QueueName) -> String {
    format!("{}={}={}", queue.pool, queue.class, queue.priority)
}

pub(crate) fn lane_token(lane: Lane) -> char {
    match lane {
        Lane::Decisions => 's',
        Lane::Output => 'o',
        Lane::Input => 'i',
    }
}

pub(crate) fn log_subject(subject: &LogSubject, shards: NonZeroU16) -> String {
    format!("exeng.x.{}", log_tail(subject, shards))
}

/// Returns the subject on which the servers tell that there is a new record.
pub(crate) fn wake_subject(subject: &LogSubject, shards: NonZeroU16) -> String {
    format!("exeng.r.{}", log_tail(subject, shards))
}

/// Returns the filter for all of these subjects of a tenant.
pub(crate) fn wakes_filter(tenant: &str) -> String {
    format!("exeng.r.{tenant}.>")
}

/// Returns the filter for all decisions of a tenant in a log stream.
pub(crate) fn decisions_filter(tenant: &str, shard: u16) -> String {
    format!("exeng.x.{tenant}.{shard}.*.{}", lane_token(Lane::Decisions))
}

/// Returns the execution that a subject of the log names; `None` for one that this crate does not
/// write.
pub(crate) fn id_of(subject: &str) -> Option<Uuid> {
    let id = subject.strip_prefix("exeng.x.")?.split('.').nth(2)?;
    Uuid::try_parse(id).ok()
}

fn log_tail(subject: &LogSubject, shards: NonZeroU16) -> String {
    let LogSubject { tenant, id, lane } = subject;
    let shard = shard_of(*id, shards);
    format!("{tenant}.{shard}.{}.{}", id.simple(), lane_token(*lane))
}

pub(crate) fn work_subject(place: &QueuePlace, shards: NonZeroU16) -> String {
    let QueueName { tenant, pool, class, priority } = &place.queue;
    let shard = shard_of(place.id, shards);
    format!("exeng.w.{tenant}.{pool}.{class}.{priority}.{shard}.{}", place.id.simple())
}

/// Returns the filter that matches the tickets of one queue, and of no other.
pub(crate) fn queue_filter(queue: &QueueName) -> String {
    let QueueName { tenant, pool, class, priority } = queue;
    format!("exeng.w.{tenant}.{pool}.{class}.{priority}.*.*")
}

/// Returns the place that a subject of the queue names; `None` for one that this crate does not write.
pub(crate) fn place_of(subject: &str) -> Option<QueuePlace> {
    let mut parts = subject.strip_prefix("exeng.w.")?.split('.');
    let mut next = || parts.next();
    let (tenant, pool, class) = (next()?.to_owned(), next()?.to_owned(), next()?.to_owned());
    let priority = next()?.parse().ok()?;
    let _shard = next()?;
    let id = Uuid::try_parse(next()?).ok()?;
    let queue = QueueName { tenant, pool, class, priority };
    (parts.next().is_none() && queue.check().is_ok()).then_some(QueuePlace { queue, id })
}

/// Returns the subject of requests about an execution to the worker that runs it. The tenant is in it,
/// so that rights can name it.
pub(crate) fn call_subject(worker: &str, of: &ExecutionName) -> String {
    format!("exeng.ctl.{worker}.{}.{}", of.tenant, of.id.simple())
}

/// Returns the filter for all requests to a worker about executions of a tenant.
pub(crate) fn calls_filter(worker: &str, tenant: &str) -> String {
    format!("exeng.ctl.{worker}.{tenant}.*")
}

/// Returns the subject of requests to a worker about itself.
pub(crate) fn worker_subject(worker: &str) -> String {
    format!("exeng.adm.{worker}")
}

/// Returns what a request to a worker is about, `None` within for the worker itself; `None` for a subject that
/// this crate does not write.
pub(crate) fn called(subject: &str) -> Option<Option<ExecutionName>> {
    if subject.starts_with("exeng.adm.") {
        return Some(None);
    }
    let mut parts = subject.strip_prefix("exeng.ctl.")?.split('.').skip(1);
    let (tenant, id) = (parts.next()?.to_owned(), Uuid::try_parse(parts.next()?).ok()?);
    parts.next().is_none().then_some(Some(ExecutionName { tenant, id }))
}

/// Checks a name before it becomes a part of a subject.
pub(crate) fn checked(field: &'static str, name: &str) -> Result<(), ClusterError> {
    check_name(field, name).map_err(|error| ClusterError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_is_about_is_read_from_its_subject() {
        let of = ExecutionName { tenant: "a_1".into(), id: Uuid::from_u128(7) };
        let cases = [
            (call_subject("w-1", &of), Some(Some(of))),
            (worker_subject("w-1"), Some(None)),
            ("exeng.ctl.w.a".into(), None),
            ("exeng.ctl.w.a.7".into(), None),
            ("exeng.x.a".into(), None),
        ];
        for (subject, expected) in cases {
            assert_eq!(called(&subject), expected, "{subject}");
        }
    }

    #[test]
    fn a_place_is_read_from_its_subject() {
        let queue =
            QueueName { tenant: "a".into(), pool: "p-1".into(), class: "big".into(), priority: 2 };
        let place = QueuePlace { queue, id: Uuid::from_u128(77) };
        let subject = work_subject(&place, NonZeroU16::MIN);
        assert_eq!(place_of(&subject), Some(place));
        for other in
            ["exeng.w.a.p.c.0.3", "exeng.w.a.p.c.7.3.0", "exeng.x.a", &format!("{subject}.x")]
        {
            assert_eq!(place_of(other), None, "{other}");
        }
    }
}
