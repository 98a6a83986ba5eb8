//! What the servers say of their disks.
//!
//! A server flushes a write before it acknowledges it only with `sync_interval: always`. Whether it
//! does is not in anything that an ordinary user may ask: neither in the first line of a connection,
//! nor in `$JS.API.INFO`, nor in what a stream or a consumer says. It is in the answer to
//! `$SYS.REQ.SERVER.PING.JSZ`, which belongs to the system account, and in `/jsz` of the monitoring
//! port. So [`server_config`](crate::server_config) exports this one request from the system account
//! to that of the fleet. Where that is not done, or a server does not answer, it is
//! [`Durability::Unknown`].

use std::collections::BTreeMap;

use execution_engine_fleet::Durability;
use serde::Deserialize;
use serde_json::json;

use crate::link::Link;

/// The request, as the export names it.
pub(crate) const ASK: &str = "$SYS.REQ.SERVER.PING.JSZ";
/// Most servers that are waited for.
const MAX_SERVERS: usize = 64;

#[derive(Debug, Deserialize)]
struct Answer {
    server: Server,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Server {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(default)]
    config: Config,
    meta_cluster: Option<MetaCluster>,
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

#[derive(Debug, Deserialize)]
struct MetaCluster {
    cluster_size: usize,
}

/// Asks all servers and returns what they agree on.
pub(crate) async fn ask(link: &Link) -> Durability {
    // The first answer tells how many there are.
    let Some(first) = answers(link, 1).await.into_values().next() else {
        return Durability::Unknown;
    };
    let count = first.meta_cluster.map_or(1, |cluster| cluster.cluster_size);
    judge(count, &answers(link, count.min(MAX_SERVERS)).await)
}

async fn answers(link: &Link, most: usize) -> BTreeMap<String, Data> {
    let Ok(answers) = link.gather(ASK, &json!({}), most).await else { return BTreeMap::new() };
    let told = answers.messages.iter().filter_map(|message| {
        let Answer { server, data } = serde_json::from_slice(&message.payload).ok()?;
        Some((server.id, data))
    });
    told.collect()
}

fn judge(count: usize, servers: &BTreeMap<String, Data>) -> Durability {
    if servers.len() < count {
        Durability::Unknown
    } else if servers.values().all(|server| server.config.sync_always) {
        Durability::Power
    } else {
        Durability::Process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_said_only_when_all_servers_say_so() {
        let server = |sync_always| Data { config: Config { sync_always }, meta_cluster: None };
        let servers = |flushes: &[bool]| {
            let told = flushes.iter().enumerate();
            told.map(|(n, sync_always)| (n.to_string(), server(*sync_always))).collect()
        };
        let cases: [(&[bool], Durability); 4] = [
            (&[true, true, true], Durability::Power),
            (&[true, false, true], Durability::Process),
            (&[true, true], Durability::Unknown),
            (&[], Durability::Unknown),
        ];
        for (flushes, expected) in cases {
            assert_eq!(judge(3, &servers(flushes)), expected, "{flushes:?}");
        }
    }
}
