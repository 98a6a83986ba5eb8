//! A keeper that is killed: its trees are gone, and its journals have all that was told.

use execution_engine::*;
use execution_engine_journal::{JournalEvent, Kind, Record};
use execution_engine_keeper::faults::FaultPoint;
use execution_engine_keeper::*;
use test_support::{is_alive, pids, soon, until, when_written};

use crate::support::*;

#[tokio::test]
async fn trees_of_a_killed_keeper_are_gone_and_its_journals_are_whole() {
    let mut keeper = TestKeeper::start();
    let other = TestKeeper::start();
    let (client, other_client) = (keeper.connect().await, other.connect().await);
    let untouched = start(&other_client, "exec sleep 600").await;
    let file = keeper.state.path().join("pids");
    let notices = client.notices();
    let line = format!(
        "sleep 600 & (setsid sleep 600 & echo $! >> '{0}.more'); echo $$ $! $(cat '{0}.more') > '{0}'; \
         i=0; while :; do echo $i; i=$((i+1)); done",
        file.display()
    );
    let id = start(&client, line).await;
    let tree = pids(&when_written(&file).await);
    assert_eq!(tree.len(), 3);
    // What has been told is in the journal, whenever the keeper dies.
    let told = soon("some output", async {
        let mut told = 0;
        while told < 200_000 {
            if let Some(Notice::Progress { end, .. }) = notices.next().await {
                told = end;
            }
        }
        told
    })
    .await;
    let killed = std::time::Instant::now();
    keeper.process.kill().unwrap();
    keeper.process.wait().unwrap();
    until("its trees are gone", || tree.iter().all(|pid| !is_alive(*pid))).await;
    println!("gone after {:?}", killed.elapsed());

    assert!(!keeper.info().alive);
    let records = keeper.records(id);
    assert!(records.last().unwrap().end >= told);
    assert!(!events(&records).iter().any(|event| matches!(event, JournalEvent::Ended { .. })));
    let output = String::from_utf8(output(&records, Kind::Stdout)).unwrap();
    let numbers = output.lines().enumerate();
    // The last line may be half a number.
    let whole = output.lines().count() - 1;
    assert!(numbers.take(whole).all(|(number, line)| line == number.to_string()));

    let alive = other_client.list().await.unwrap();
    assert_eq!((alive[0].id, alive[0].state), (untouched, ListedState::Running));
    assert!(other.info().alive);
    remove_dead(&keeper.dir).unwrap();
}

/// What a client does with an execution, until the keeper dies.
async fn whole_life(client: &KeeperClient, spec: &StartSpec) -> Result<(), KeeperError> {
    let notices = client.notices();
    client.start(spec).await?;
    loop {
        match notices.next().await {
            Some(Notice::Ended { journal_failed, .. }) => {
                assert!(!journal_failed);
                break;
            }
            Some(_) => {}
            None => return Err(KeeperError::Disconnected),
        }
    }
    client.forget(spec.request.id).await
}

#[tokio::test]
async fn keeper_may_die_at_every_step() {
    for point in FaultPoint::ALL {
        let fault = Some(point.name().to_string());
        let mut keeper = TestKeeper::start_with(Setup { fault, ..Setup::default() });
        let runs = keeper.state.path().join("runs");
        let spec = shell(format!("echo run >> '{}'; echo output", runs.display()));
        let client = keeper.connect().await;
        let life = soon("the death of the keeper", whole_life(&client, &spec)).await;
        let error = life.expect_err(point.name());
        assert!(matches!(error, KeeperError::Disconnected), "{point:?}: {error}");
        keeper.ended().await;
        assert!(!keeper.info().alive);

        let reached = |other: FaultPoint| {
            let place = |point| FaultPoint::ALL.iter().position(|one| *one == point).unwrap();
            place(point) >= place(other)
        };
        let may_have_run = reached(FaultPoint::Started);
        let has_run = std::fs::read_to_string(&runs).unwrap_or_default();
        assert!(has_run.is_empty() || (may_have_run && has_run == "run\n"), "{point:?}: {has_run}");
        let path = journal_path(&keeper.dir, spec.request.id);
        let has_journal =
            reached(FaultPoint::JournalCreated) && !reached(FaultPoint::JournalRemoved);
        assert_eq!(path.exists(), has_journal, "{point:?}");
        if has_journal {
            let records = keeper.records(spec.request.id);
            let is_ended =
                matches!(records.last().and_then(Record::event), Some(JournalEvent::Ended { .. }));
            assert_eq!(is_ended, reached(FaultPoint::EndedWritten), "{point:?}");
            if reached(FaultPoint::BeforeEnded) {
                assert_eq!(has_run, "run\n");
                assert_eq!(output(&records, Kind::Stdout), b"output\n");
            }
        }
    }
}
