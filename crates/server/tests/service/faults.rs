//! A service, and a keeper, that die at each step of the write path.

use std::fs;

use execution_engine::*;
use execution_engine_keeper::faults::FaultPoint;
use execution_engine_keeper::keepers;
use execution_engine_server::*;
use test_support::{pause, soon, until};

use crate::support::*;

/// Points that an execution passes whose output is large, if it has to wait in the queue before.
const POINTS: [&str; 17] = [
    "accept_applied",
    "accept_committed",
    "accept_committed:2",
    "dispatch_applied",
    "dispatch_committed",
    "dispatch_before_told",
    "dispatch_after_told",
    "ended_before_commit",
    "ended_applied",
    "ended_committed",
    "ended_after_commit",
    "before_archive",
    "archive_renamed_done",
    "archive_committed",
    "after_archive",
    "before_forget",
    "after_forget",
];

#[tokio::test]
async fn death_at_any_step_loses_nothing_and_runs_nothing_twice() {
    for point in POINTS {
        let home = Home::new().max_running(1);
        let log = home.file("log");
        let new =
            |word: &str| shell(format!("echo {word} >> {}; seq 1 20000; exit 9", log.display()));
        let mut remote = Remote::start(&home, Some(point));
        for word in ["one", "two"] {
            remote.send(&new(word), Some(word));
        }
        until(&format!("it dies at {point}"), || remote.has_ended()).await;

        let service = home.open().await;
        let numbers: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        for word in ["one", "two"] {
            // A client that got no answer asks again with its key.
            let id = service.submit(new(word), Some(word), OWNER).await.unwrap().execution.id;
            let view = ended(&service, id).await;
            assert_eq!(
                (view.status, view.exit_code),
                (ExecutionStatus::Failed, Some(9)),
                "{point}: {view:?}"
            );
            assert!(
                output(&service, id, Some(OutputStream::Stdout)).await == numbers.as_bytes(),
                "{point}"
            );
        }
        let ran = fs::read_to_string(log).unwrap();
        let mut ran: Vec<_> = ran.lines().collect();
        ran.sort_unstable();
        assert_eq!(ran, ["one", "two"], "{point}");
        let keeper = home.keeper().await;
        let journals = || fs::read_dir(keeper.dir.join("journals")).unwrap().count();
        until(&format!("nothing is left of {point}"), || journals() == 0).await;
        assert_eq!(service.list(Query::default()).await.unwrap().executions.len(), 2, "{point}");
        service.close().await;
    }
}

#[tokio::test]
async fn death_of_a_keeper_at_any_step_runs_nothing_twice() {
    for point in FaultPoint::ALL {
        let name = point.name();
        let home = Home::new();
        let mut options = home.options();
        options.keeper = keeper_program(&format!("{name} {}", home.file("first-keeper").display()));
        let service = Service::open(options).await.unwrap();
        let dying = home.keeper().await;
        let log = home.file("log");
        let line = format!("echo ran >> {}; seq 1 20000; exit 9", log.display());
        let id = submit(&service, shell(line)).await;
        let view = ended(&service, id).await;
        let has_died = async || {
            while service.status().await.keepers.iter().any(|keeper| keeper.pid == dying.pid) {
                pause(Duration::from_millis(10)).await;
            }
        };
        soon(&format!("the service knows that its keeper died at {name}"), has_died()).await;
        let told = output(&service, id, Some(OutputStream::Stdout)).await;
        let numbers: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        assert!(numbers.as_bytes().starts_with(&told), "{name}");
        assert_eq!(view.bytes.stdout, told.len() as u64, "{name}");
        // Whether it has ended is known from the moment that its journal says so.
        let is_written = FaultPoint::ALL.iter().rev().take(5).any(|later| *later == point);
        if is_written {
            assert_eq!(view.exit_code, Some(9), "{name}: {view:?}");
            assert_eq!(told.len(), numbers.len(), "{name}");
        } else {
            assert_eq!(view.status, ExecutionStatus::Lost, "{name}: {view:?}");
        }
        let next = submit(&service, shell("echo next")).await;
        assert_eq!(ended(&service, next).await.status, ExecutionStatus::Completed, "{name}");
        let ran = fs::read_to_string(&log).unwrap_or_default();
        assert!(ran.is_empty() || ran == "ran\n", "{name}: {ran}");
        assert!(!is_written || !ran.is_empty(), "{name}");
        assert_eq!(service.get(id).await.unwrap(), view, "{name}");
        until(&format!("one keeper is left after {name}"), || {
            keepers(&home.state()).unwrap().len() == 1
        })
        .await;
        service.close().await;
    }
}
