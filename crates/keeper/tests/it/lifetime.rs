//! When a keeper ends, and when it does not.

use execution_engine::*;
use execution_engine_journal::Kind;
use execution_engine_keeper::*;
use rustix::process::{Pid, Signal as SystemSignal, kill_process};
use test_support::{pause, until};

use crate::support::*;

fn short_idle() -> Setup {
    Setup { idle: Some(Duration::from_millis(100)), ..Setup::default() }
}

fn signal(keeper: &TestKeeper, signal: SystemSignal) {
    kill_process(Pid::from_raw(keeper.process.id() as i32).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn idle_keeper_ends_and_leaves_nothing() {
    let mut keeper = TestKeeper::start_with(short_idle());
    keeper.ended().await;
    assert!(!keeper.dir.exists());
    assert_eq!(keepers(keeper.state.path()).unwrap(), []);
}

#[tokio::test]
async fn keeper_stays_while_a_client_is_there_something_runs_or_is_not_forgotten() {
    let mut keeper = TestKeeper::start_with(short_idle());
    let go = keeper.state.path().join("go");
    let client = keeper.connect().await;
    // Several times its patience: nothing tells that something does not happen.
    let several = Duration::from_millis(500);
    pause(several).await;
    let id = start(&client, test_support::wait_for(&go)).await;
    drop(client);
    pause(several).await;
    assert!(keeper.info().alive, "something runs");
    std::fs::write(&go, "").unwrap();
    until("it has ended", || {
        let records = keeper.records(id);
        records.last().and_then(execution_engine_journal::Record::event).is_some_and(|event| {
            matches!(event, execution_engine_journal::JournalEvent::Ended { .. })
        })
    })
    .await;
    pause(several).await;
    assert!(keeper.info().alive, "something is not forgotten");
    let client = keeper.connect().await;
    assert_eq!(client.list().await.unwrap().len(), 1);
    client.forget(id).await.unwrap();
    pause(several).await;
    assert!(keeper.info().alive, "a client is there");
    drop(client);
    keeper.ended().await;
    assert!(!keeper.dir.exists());
}

#[tokio::test]
async fn old_keeper_drains_while_a_new_one_takes_work() {
    let mut old = TestKeeper::start();
    let go = old.state.path().join("go");
    let spec = shell(test_support::wait_for(&go));
    let client = old.connect().await;
    start_spec(&client, &spec).await;
    client.drain().await.unwrap();
    let error = client.start(&shell("true")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Draining), "{error}");
    assert_eq!(client.list().await.unwrap().len(), 1, "it is not known");
    assert_eq!(start_spec(&client, &spec).await, StartAnswer::AlreadyKnown);
    assert!(old.connect().await.hello().draining);

    let dir = old.state.path().join("keepers/89abcdef");
    let mut new = spawn(&command(&dir, Setup::default())).unwrap();
    let pids: Vec<_> = keepers(old.state.path()).unwrap().iter().map(|one| one.pid).collect();
    assert_eq!(pids, [old.process.id(), new.id()], "the oldest first");
    let other = KeeperClient::connect(&dir).await.unwrap();
    let id = run_to_end(&other, "true").await;
    other.forget(id).await.unwrap();

    let notices = client.notices();
    std::fs::write(&go, "").unwrap();
    ended(&notices, spec.request.id).await;
    assert!(old.info().alive, "its ending was not taken over");
    client.forget(spec.request.id).await.unwrap();
    old.ended().await;
    assert!(!old.dir.exists());
    let alive: Vec<_> = keepers(old.state.path()).unwrap().iter().map(|one| one.alive).collect();
    assert_eq!(alive, [true]);
    new.kill().unwrap();
    new.wait().unwrap();
}

#[tokio::test]
async fn terminated_keeper_stops_its_programs_and_hands_their_endings_over() {
    let mut keeper = TestKeeper::start();
    let seen = keeper.state.path().join("seen");
    let client = keeper.connect().await;
    let notices = client.notices();
    let line = format!(
        "trap 'echo asked > {0}; exit 0' TERM; echo r > {0}; while :; do sleep 0.05; done",
        seen.display()
    );
    let id = start(&client, line).await;
    until("it runs", || seen.exists()).await;
    signal(&keeper, SystemSignal::HUP);
    signal(&keeper, SystemSignal::TERM);
    ended(&notices, id).await;
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "asked\n", "politely");
    assert_eq!(result(&keeper.records(id)).ending, Ending::EngineClosed);
    let error = client.start(&shell("true")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Stopping), "{error}");
    assert!(keeper.info().alive, "its ending was not taken over");
    client.forget(id).await.unwrap();
    keeper.ended().await;
    assert!(!keeper.dir.exists());
}

#[tokio::test]
async fn terminated_keeper_without_a_client_leaves_its_journals() {
    let mut keeper = TestKeeper::start_with(short_idle());
    let client = keeper.connect().await;
    // It takes longer to stop than the keeper waits for a client.
    let line = "trap 'sleep 0.5; echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let id = start(&client, line).await;
    until("it is ready", || output(&keeper.records(id), Kind::Stdout) == b"ready\n").await;
    client.shutdown().await.unwrap();
    drop(client);
    keeper.ended().await;
    let records = keeper.records(id);
    assert_eq!(result(&records).ending, Ending::EngineClosed);
    assert_eq!(output(&records, Kind::Stdout), b"ready\nbye\n");
    assert!(!keeper.info().alive);
    remove_dead(&keeper.dir).unwrap();
    assert!(!keeper.dir.exists());
}

#[tokio::test]
async fn terminated_keeper_ends_although_nobody_takes_over() {
    let limit = Some(Duration::from_millis(300));
    let mut keeper = TestKeeper::start_with(Setup { stop_limit: limit, ..Setup::default() });
    let client = keeper.connect().await;
    let notices = client.notices();
    // It stays in the list, and the client stays, too.
    let id = start(&client, "trap '' TERM; echo ready; while :; do sleep 0.05; done").await;
    until("it is ready", || output(&keeper.records(id), Kind::Stdout) == b"ready\n").await;
    signal(&keeper, SystemSignal::TERM);
    ended(&notices, id).await;
    keeper.ended().await;
    assert_eq!(result(&keeper.records(id)).ending, Ending::EngineClosed);
}

#[tokio::test]
async fn keeper_whose_directory_was_removed_ends_with_its_work() {
    let mut keeper = TestKeeper::start();
    let (go, pid) = (keeper.state.path().join("go"), keeper.state.path().join("pid"));
    let client = keeper.connect().await;
    let notices = client.notices();
    let line = format!("echo $$ > {}; {}", pid.display(), test_support::wait_for(&go));
    let id = start(&client, line).await;
    until("it runs", || pid.exists()).await;
    std::fs::remove_dir_all(&keeper.dir).unwrap();
    // Longer than between two looks: nothing tells that something does not happen.
    pause(Duration::from_secs(3)).await;
    assert!(keeper.process.try_wait().unwrap().is_none(), "something runs");
    std::fs::write(&go, "").unwrap();
    ended(&notices, id).await;
    keeper.ended().await;

    // One that runs something is ended by a signal.
    let mut keeper = TestKeeper::start();
    let pid = keeper.state.path().join("pid");
    let client = keeper.connect().await;
    start(&client, format!("echo $$ > {}; exec sleep 600", pid.display())).await;
    until("it runs", || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))).await;
    std::fs::remove_dir_all(&keeper.dir).unwrap();
    signal(&keeper, SystemSignal::TERM);
    keeper.ended().await;
    let program: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    until("its program is gone", || !test_support::is_alive(program)).await;
}

#[tokio::test]
async fn directory_is_used_by_one_keeper_once() {
    let mut keeper = TestKeeper::start();
    let second = spawn(&command(&keeper.dir, Setup::default()));
    assert!(matches!(second, Err(KeeperError::NotReady { .. })), "{second:?}");
    assert!(matches!(remove_dead(&keeper.dir), Err(KeeperError::AlreadyRunning(_))));
    let client = keeper.connect().await;
    let id = run_to_end(&client, "true").await;
    keeper.process.kill().unwrap();
    keeper.process.wait().unwrap();
    let third = spawn(&command(&keeper.dir, Setup::default()));
    assert!(matches!(third, Err(KeeperError::NotReady { .. })), "{third:?}");
    assert!(journal_path(&keeper.dir, id).exists());
}

#[tokio::test]
async fn keeper_is_in_a_session_of_its_own() {
    let keeper = TestKeeper::start();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", keeper.process.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let session: u32 = fields.split(' ').nth(3).unwrap().parse().unwrap();
    assert_eq!(session, keeper.process.id());
    let log = keeper.dir.join("log");
    // The one that says that it is ready comes before.
    until("its streams are its log", || {
        let link = |stream| {
            std::fs::read_link(format!("/proc/{}/fd/{stream}", keeper.process.id())).unwrap()
        };
        [1, 2].map(link).iter().all(|link| *link == std::fs::canonicalize(&log).unwrap())
    })
    .await;
    assert_eq!(
        std::fs::read_link(format!("/proc/{}/cwd", keeper.process.id())).unwrap().to_str(),
        Some("/")
    );
}
