//! Journals that a loss of power must not take.

use execution_engine::*;
use execution_engine_journal::Kind;
use test_support::{pause, soon};

use crate::support::*;

/// Returns the bytes that a process has handed to a disk, where the system counts them.
fn written_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
}

#[tokio::test]
async fn keeper_that_syncs_its_journals_has_the_same_output() {
    let keeper = TestKeeper::start_with(Setup { power: true, ..Setup::default() });
    let client = keeper.connect().await;
    let line = "seq 1 1500000; sleep 0.6; seq 1 10 >&2";
    let id = run_to_end(&client, line).await;
    let records = keeper.records(id);
    assert!(output(&records, Kind::Stdout) == test_support::numbers(1_500_000).into_bytes());
    assert_eq!(output(&records, Kind::Stderr), test_support::numbers(10).into_bytes());
    assert!(result(&records).success);
    // Nothing is written when nothing runs. The last wakes of its threads may come behind the end.
    let silence = async {
        loop {
            let before = written_bytes(keeper.process.id());
            pause(Duration::from_millis(600)).await;
            if written_bytes(keeper.process.id()) == before {
                return;
            }
        }
    };
    soon("a keeper that writes nothing", silence).await;
    client.forget(id).await.unwrap();
}
