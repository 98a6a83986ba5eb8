//! A disk that is full: programs go on, what is missing is told, and new work is refused.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use execution_engine::*;
use execution_engine_journal::{JournalEvent, Kind, Record};
use execution_engine_keeper::*;
use test_support::{soon, until};

use crate::support::*;

/// Starts a keeper in a file system of its own, with these mount options, where a file takes all but 1 MiB. `None` if this machine does not allow it.
fn keeper_on_small_disk(mebibytes: u32, options: &str) -> Option<TestKeeper> {
    let kinds: &[&str] = if rustix::process::geteuid().is_root() { &["-m"] } else { &["-Urm"] };
    if !test_support::host::can_unshare(kinds) {
        println!("not tested: this machine has no mount namespaces for tests");
        return None;
    }
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("keepers/0123abcd");
    std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
    let line = format!(
        "mount -t tmpfs -o size={mebibytes}m{options} tmpfs '{0}' && head -c {1}M /dev/zero > '{0}/ballast'; \
         exec \"$0\" \"$@\"",
        dir.parent().unwrap().display(),
        mebibytes - 1
    );
    let through = ["unshare", kinds[0], "sh", "-c", &line].map(OsString::from).to_vec();
    let setup = Setup { through, ..Setup::default() };
    let mut keeper = TestKeeper::start_in(state, dir, setup).unwrap();
    // The other side of the mount.
    let root = PathBuf::from(format!("/proc/{}/root", keeper.process.id()));
    keeper.dir = root.join(keeper.dir.strip_prefix("/").unwrap());
    Some(keeper)
}

fn remove_ballast(keeper: &TestKeeper) {
    std::fs::remove_file(keeper.dir.parent().unwrap().join("ballast")).unwrap();
}

/// Appends to a file until there is no room.
fn fill(path: &Path) {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    while file.write_all(&[b'x'; 64]).is_ok() {}
}

/// Adds up what a journal says is missing of standard output.
fn missed(path: &Path) -> u64 {
    missed_in(&records(path))
}

fn missed_in(records: &[Record]) -> u64 {
    let events = events(records);
    let of = |event: &JournalEvent| match event {
        JournalEvent::Missed { stdout_bytes, reason, .. } => {
            assert!(reason.contains("space"), "{reason}");
            *stdout_bytes
        }
        _ => 0,
    };
    events.iter().map(of).sum()
}

#[tokio::test]
async fn ending_on_a_full_disk_is_told_and_written_when_there_is_room() {
    const LAST: u32 = 1000;
    let Some(keeper) = keeper_on_small_disk(2, "") else { return };
    let client = keeper.connect().await;
    let notices = client.notices();
    let go = keeper.state.path().join("go");
    // Small records fill what is left of the last page, so that not even an ending fits.
    let line = format!(
        "seq 1 {LAST}; {}; i=0; while [ $i -lt 400 ]; do /bin/echo x; i=$((i+1)); done; exit 7",
        test_support::wait_for(&go)
    );
    let id = start(&client, line).await;
    let path = journal_path(&keeper.dir, id);
    let numbers = test_support::numbers(LAST).len();
    until("its first output", || output(&records(&path), Kind::Stdout).len() == numbers).await;
    fill(&keeper.dir.parent().unwrap().join("more"));
    std::fs::write(&go, "").unwrap();
    let Notice::Ended { end, result: told, journal_failed, missed: untold, .. } =
        ended(&notices, id).await
    else {
        panic!("no ending")
    };
    assert!(journal_failed, "the disk has room");
    let told: ExecutionResult = serde_json::from_value(told.unwrap()).unwrap();
    assert_eq!((told.exit_code, told.truncated), (7, true));
    let total = numbers as u64 + 800;
    let StreamStats { seen_bytes, kept_bytes } = told.stdout_stats;
    assert_eq!(seen_bytes, total);
    let kept = output(&records(&path), Kind::Stdout).len() as u64;
    assert_eq!(kept, kept_bytes);
    assert_eq!(untold.unwrap().stdout_bytes + missed(&path) + kept, total);
    let [listed] = &client.list().await.unwrap()[..] else { panic!("one is known") };
    assert!(listed.journal_failed && listed.missed == untold && listed.end == end);
    assert!(listed.result.is_some());

    remove_ballast(&keeper);
    let Notice::Ended { journal_failed, end, .. } = ended(&notices, id).await else {
        panic!("no ending")
    };
    assert!(!journal_failed);
    let records = records(&path);
    assert_eq!(records.last().unwrap().end, end);
    assert_eq!(missed(&path) + kept, total);
    assert_eq!(result(&records), told);
    client.forget(id).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn output_is_kept_again_when_there_is_room() {
    // The file that is removed is larger than all that is printed.
    let Some(keeper) = keeper_on_small_disk(6, "") else { return };
    let client = keeper.connect().await;
    let notices = client.notices();
    let go = keeper.state.path().join("go");
    let line = format!("seq 1 600000; echo full >&2; {}; echo again", test_support::wait_for(&go));
    let id = start(&client, line).await;
    let path = journal_path(&keeper.dir, id);
    until("the disk is full", || records_so_far(&path).is_ok_and(|seen| missed_in(&seen) > 0))
        .await;
    remove_ballast(&keeper);
    std::fs::write(&go, "").unwrap();
    ended(&notices, id).await;
    let records = records(&path);
    let output = output(&records, Kind::Stdout);
    assert!(output.ends_with(b"again\n"));
    let total = test_support::numbers(600_000).len() as u64 + 6;
    assert_eq!(missed(&path) + output.len() as u64, total);
    assert!(result(&records).truncated);
    // What is missing in one place is told once, although the disk had room for a few of these records.
    let is_missed = |record: &Record| matches!(record.event(), Some(JournalEvent::Missed { .. }));
    let twice = records.windows(2).filter(|pair| pair.iter().all(is_missed)).count();
    assert_eq!(twice, 0, "{:?}", events(&records));
}

#[tokio::test]
async fn keeper_goes_on_without_any_room() {
    let Some(keeper) = keeper_on_small_disk(2, "") else { return };
    let client = keeper.connect().await;
    let notices = client.notices();
    // Not even its log has room.
    for name in ["keepers/more", "keepers/0123abcd/log"] {
        fill(&keeper.dir.ancestors().nth(2).unwrap().join(name));
    }
    let id = start(&client, "echo 12345; echo 67 >&2; exit 3").await;
    let Notice::Ended { journal_failed, result: told, missed: untold, end, .. } =
        ended(&notices, id).await
    else {
        panic!("no ending")
    };
    assert!(journal_failed);
    assert_eq!((end, told.unwrap()["exit_code"].as_i64()), (0, Some(3)));
    let untold = untold.unwrap();
    assert_eq!((untold.stdout_bytes, untold.stderr_bytes), (6, 3));
    client.signal(id, Signal::Interrupt).await.unwrap_err();
    remove_ballast(&keeper);
    ended(&notices, id).await;
    let records = records(&journal_path(&keeper.dir, id));
    let events = events(&records);
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(matches!(events[0], JournalEvent::Started { attempt: 1, .. }), "{events:?}");
    assert_eq!(missed(&journal_path(&keeper.dir, id)), 6);
    assert_eq!(result(&records).exit_code, 3);
}

#[tokio::test]
async fn start_without_a_journal_is_refused_and_starts_nothing() {
    // Room for some names only.
    let Some(keeper) = keeper_on_small_disk(2, ",nr_inodes=9") else { return };
    let client = keeper.connect().await;
    let mut known = Vec::new();
    let runs = keeper.state.path().join("runs");
    let (refused, error) = soon("a start without a journal", async {
        loop {
            let spec = shell(format!("echo '{}' >> '{}'", known.len(), runs.display()));
            match client.start(&spec).await {
                Ok(StartAnswer::Started) => known.push(spec.request.id),
                Ok(other) => panic!("{other:?}"),
                Err(error) => return (spec, error),
            }
        }
    })
    .await;
    assert_eq!(error.code(), Some(ErrorCode::JournalFailed), "{error}");
    let text = error.to_string();
    assert!(text.contains(&refused.request.id.to_string()) && text.contains("space"), "{text}");
    until("the others have ended", || {
        std::fs::read_to_string(&runs).is_ok_and(|text| text.lines().count() == known.len())
    })
    .await;
    let listed: Vec<_> = client.list().await.unwrap().iter().map(|one| one.id).collect();
    known.sort_unstable();
    assert_eq!(listed, known);
    // With room the same start is a new one.
    let notices = client.notices();
    let last = known[0];
    soon("its end", async {
        while client.forget(last).await.is_err() {
            notices.next().await;
        }
    })
    .await;
    assert_eq!(start_spec(&client, &refused).await, StartAnswer::Started);
    ended(&notices, refused.request.id).await;
}
