//! Streams and consumers, as the servers are asked for them.
//!
//! Each is a JSON object. What is named here is compared with what the servers have; other settings
//! may differ, so that an operator may add a placement or a description.

use std::collections::BTreeMap;
use std::time::Duration;

use execution_engine_fleet::QueueName;
use serde_json::{Value, json};

use crate::names::{
    BUCKET, LIVE, consumer, log_stream, objects_of, objects_stream, queue_filter, work_stream,
};
use crate::setup::{Fleet, Tenant};

/// How long the servers remember the names of records.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(10 * 60);
/// When a delivery that was not settled comes again. The second net, behind the sweeper.
const ACK_WAIT: Duration = Duration::from_secs(45);
/// Requests that may wait at one consumer: each worker has one.
const MAX_WAITING: u32 = 10_000;
/// Priorities of a queue.
const PRIORITIES: u8 = 3;

/// Returns all streams of a fleet.
pub(crate) fn streams(fleet: &Fleet) -> Vec<Value> {
    let shards = fleet.shards.get();
    let logs = fleet
        .tenants
        .keys()
        .flat_map(|tenant| (0..shards).map(move |shard| log(fleet, tenant, shard)));
    let queues = fleet.tenants.iter().map(|(name, tenant)| work(fleet, name, tenant));
    let objects = fleet.tenants.keys().map(|tenant| objects(fleet, tenant));
    // Those that reserve room come first: without it there is no fleet.
    objects.chain([live(fleet)]).chain(logs).chain(queues).collect()
}

/// Returns the stream of the bucket, in the form that clients of NATS give to buckets.
pub(crate) fn bucket(fleet: &Fleet) -> Value {
    stream(
        fleet,
        BUCKET,
        "$KV.EXENG_FLEET.>",
        json!({
            "max_msgs_per_subject": 1, "discard": "new", "allow_rollup_hdrs": true,
            "deny_delete": true, "allow_direct": true,
        }),
    )
}

/// Returns a stream of a tenant's records. It is of one tenant, since a server cannot see in a read whose records
/// are read.
fn log(fleet: &Fleet, tenant: &str, shard: u16) -> Value {
    stream(
        fleet,
        &log_stream(tenant, shard),
        &format!("exeng.x.{tenant}.{shard}.*.*"),
        json!({
            "max_age": nanos(fleet.log_age()), "discard": "old", "allow_direct": true,
            "duplicate_window": nanos(DUPLICATE_WINDOW), "allow_atomic": true,
            "republish": { "src": "exeng.x.>", "dest": "exeng.r.>", "headers_only": true },
        }),
    )
}

fn work(fleet: &Fleet, name: &str, tenant: &Tenant) -> Value {
    stream(
        fleet,
        &work_stream(name),
        &format!("exeng.w.{name}.>"),
        json!({
            "retention": "workqueue", "discard": "new", "max_msgs_per_subject": 1,
            "discard_new_per_subject": true, "max_msgs": tenant.max_queue,
        }),
    )
}

fn live(fleet: &Fleet) -> Value {
    // A single server forgets a stream in memory when it is started again, not only what is in it.
    let storage = if fleet.replicas == 1 { "file" } else { "memory" };
    stream(
        fleet,
        LIVE,
        "exeng.p.*",
        json!({
            "subjects": ["exeng.p.*", "exeng.sweep.*"], "storage": storage, "discard": "old",
            "max_msgs_per_subject": 1, "allow_msg_ttl": true, "allow_direct": true,
        }),
    )
}

/// Returns the stream of a tenant's objects. It is of one tenant like that of records, and its bound is a quota.
fn objects(fleet: &Fleet, tenant: &str) -> Value {
    // What lies there stays until it is too old: new objects are refused beyond the bound.
    let (discard, max_bytes) = match fleet.object_bytes {
        0 => ("old", json!(-1)),
        bytes => ("new", json!(bytes)),
    };
    stream(
        fleet,
        &objects_stream(tenant),
        &format!("{}>", objects_of(tenant, None)),
        json!({
            "max_msgs_per_subject": 1, "discard": discard, "allow_direct": true,
            "max_age": nanos(fleet.object_age()), "max_bytes": max_bytes,
        }),
    )
}

fn stream(fleet: &Fleet, name: &str, subject: &str, settings: Value) -> Value {
    let mut config = json!({
        "name": name, "subjects": [subject], "retention": "limits", "storage": "file",
        "num_replicas": fleet.replicas, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
        "max_age": 0,
    });
    if let (Some(config), Value::Object(settings)) = (config.as_object_mut(), settings) {
        config.extend(settings);
    }
    config
}

/// Returns the consumers of a fleet, with their streams. One place makes them all, so that no two
/// filters match the same ticket: servers refuse that in a work queue.
pub(crate) fn consumers(fleet: &Fleet) -> Vec<(String, Value)> {
    let mut consumers = BTreeMap::new();
    for (name, tenant) in &fleet.tenants {
        for (pool, classes) in &fleet.pools {
            for class in classes {
                for priority in 0..PRIORITIES {
                    let queue = QueueName {
                        tenant: name.clone(),
                        pool: pool.clone(),
                        class: class.clone(),
                        priority,
                    };
                    let config = json!({
                        "durable_name": consumer(&queue), "name": consumer(&queue),
                        "filter_subject": queue_filter(&queue), "deliver_policy": "all",
                        "ack_policy": "explicit", "ack_wait": nanos(ACK_WAIT), "max_deliver": -1,
                        "max_ack_pending": tenant.max_running, "max_waiting": MAX_WAITING,
                        "replay_policy": "instant",
                    });
                    consumers.insert(queue, (work_stream(name), config));
                }
            }
        }
    }
    consumers.into_values().collect()
}

/// Returns the first setting that differs: its name, what it is, and what it must be.
pub(crate) fn difference(wanted: &Value, is: &Value) -> Option<(String, String, String)> {
    let wanted = wanted.as_object()?;
    let differs = |(_, value, found): &(&String, &Value, &Value)| value != found;
    let pairs = wanted.iter().map(|(key, value)| (key, value, &is[key]));
    // Servers leave out what is zero or false.
    let is_default = |value: &Value| *value == json!(0) || *value == json!(false);
    let mut other =
        pairs.filter(differs).filter(|(_, value, found)| !(found.is_null() && is_default(value)));
    let (key, value, found) = other.next()?;
    Some((key.clone(), found.to_string(), value.to_string()))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_setting() {
        let wanted = json!({ "num_replicas": 3, "max_age": 0, "discard": "new" });
        let cases = [
            (json!({ "num_replicas": 3, "discard": "new", "other": 1 }), None),
            (json!({ "num_replicas": 1, "discard": "new" }), Some("num_replicas")),
            (json!({ "num_replicas": 3, "max_age": 5, "discard": "new" }), Some("max_age")),
            (json!({ "num_replicas": 3 }), Some("discard")),
        ];
        for (is, expected) in cases {
            let found = difference(&wanted, &is).map(|(key, _, _)| key);
            assert_eq!(found.as_deref(), expected, "{is}");
        }
    }
}
