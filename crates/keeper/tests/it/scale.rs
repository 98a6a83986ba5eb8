//! Many executions at a time.

use execution_engine::*;
use execution_engine_keeper::*;
use test_support::soon;

use crate::support::*;

/// Returns a number of `/proc/PID/status` in KiB.
fn status_kib(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

async fn run_many(count: usize) {
    let keeper = TestKeeper::start();
    let client = keeper.connect().await;
    let notices = client.notices();
    let pid = keeper.process.id();
    let idle = status_kib(pid, "VmRSS");
    let starts = (0..count).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { start(&client, "exec sleep 600").await })
    });
    let mut ids = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        ids.push(start.await.unwrap());
    }
    let listed = soon("the list", client.list()).await.unwrap();
    assert_eq!(listed.len(), count);
    let running = status_kib(pid, "VmRSS");
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    println!("{count} running: {idle} KiB idle, {running} KiB, {files} descriptors");
    for id in &ids {
        client.stop(*id, true).await.unwrap();
    }
    let mut left: std::collections::HashSet<_> = ids.iter().copied().collect();
    soon("all endings", async {
        while !left.is_empty() {
            if let Some(Notice::Ended { id, .. }) = notices.next().await {
                left.remove(&id);
            }
        }
    })
    .await;
    for id in ids {
        assert_eq!(result(&keeper.records(id)).ending, Ending::Cancelled);
        client.forget(id).await.unwrap();
    }
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert!(files < 64, "{files} descriptors are left");
}

#[tokio::test]
async fn many_run_at_a_time() {
    run_many(150).await;
}

/// More than a machine of CI likes: `cargo test -p execution-engine-keeper -- --ignored --nocapture thousand`.
#[tokio::test]
#[ignore = "takes a thousand processes"]
async fn thousand_run_at_a_time() {
    run_many(1000).await;
}
