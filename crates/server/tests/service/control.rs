//! Stopping, waiting, finding and removing.

use std::time::Duration;

use execution_engine::*;
use execution_engine_keeper::KeeperInfo;
use execution_engine_server::*;
use rustix::process::{Pid, Signal as Sent, kill_process};
use test_support::soon;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn stop_is_polite_then_firm() {
    let home = Home::new();
    let service = home.open().await;
    let mut new = shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    new.options.stop_grace_ms = Some(3_600_000);
    let deaf = submit(&service, new).await;
    started(&service, deaf).await;
    let mut events = service.events(deaf, 0).await.unwrap();
    while !matches!(events.next().await.unwrap().unwrap().kind, EventKind::Output { .. }) {}
    let view = service.stop_execution(deaf, StopMode::Polite).await.unwrap();
    assert_eq!(view.status, ExecutionStatus::Running);
    assert_eq!(
        service.wait(deaf, Some(Duration::from_millis(300))).await.unwrap().status,
        ExecutionStatus::Running
    );
    service.stop_execution(deaf, StopMode::Firm).await.unwrap();
    let view = ended(&service, deaf).await;
    assert_eq!((view.status, view.ending), (ExecutionStatus::Cancelled, Some(Ending::Cancelled)));
    let error = service.stop_execution(deaf, StopMode::Polite).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyEnded);
    service.close().await;
}

#[tokio::test]
async fn one_in_the_queue_ends_at_once_and_never_runs() {
    let home = Home::new().max_running(1);
    let service = home.open().await;
    let log = home.file("log");
    let running = submit(&service, shell("sleep 600")).await;
    started(&service, running).await;
    let queued = submit(&service, shell(format!("echo x >> {}", log.display()))).await;
    let view = service.stop_execution(queued, StopMode::Polite).await.unwrap();
    assert_eq!((view.status, view.ending), (ExecutionStatus::Cancelled, Some(Ending::Cancelled)));
    assert_eq!((view.attempts, view.started_at), (0, None));
    assert_eq!(service.status().await.queued, 0);
    service.stop_execution(running, StopMode::Firm).await.unwrap();
    ended(&service, running).await;
    assert!(!log.exists());
    service.close().await;
}

#[tokio::test]
async fn executions_are_found_by_prefix_and_as_the_last() {
    let home = Home::new();
    let service = home.open().await;
    assert_eq!(service.resolve("@last").await.unwrap_err().code, ErrorCode::UnknownExecution);
    let with_id = |id: &str| {
        let mut new = shell("true");
        new.request.id = id.parse().unwrap();
        new
    };
    let one = submit(&service, with_id("abcd0000-0000-4000-8000-000000000001")).await;
    let two = submit(&service, with_id("abcd1111-0000-4000-8000-000000000002")).await;
    assert_eq!(service.resolve("@last").await.unwrap(), two);
    assert_eq!(service.resolve("abcd0").await.unwrap(), one);
    assert_eq!(service.resolve("ABCD1111-0").await.unwrap(), two);
    assert_eq!(service.resolve(&one.to_string()).await.unwrap(), one);
    let error = service.resolve("abcd").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AmbiguousId);
    assert!(
        error.detail.contains(&one.to_string()) && error.detail.contains(&two.to_string()),
        "{error}"
    );
    assert_eq!(service.resolve("ef").await.unwrap_err().code, ErrorCode::UnknownExecution);
    for text in ["", "make", "@first"] {
        assert_eq!(
            service.resolve(text).await.unwrap_err().code,
            ErrorCode::InvalidRequest,
            "{text}"
        );
    }
    service.close().await;
}

#[tokio::test]
async fn only_what_has_ended_is_removed() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("echo x; sleep 600")).await;
    assert_eq!(service.remove(id).await.unwrap_err().code, ErrorCode::NotEnded);
    service.stop_execution(id, StopMode::Firm).await.unwrap();
    ended(&service, id).await;
    service.remove(id).await.unwrap();
    for error in [
        service.get(id).await.unwrap_err(),
        service.remove(id).await.unwrap_err(),
        service.wait(id, None).await.unwrap_err(),
        service.events(id, 0).await.unwrap_err(),
        service.output(id, None).await.unwrap_err(),
        service.stop_execution(id, StopMode::Polite).await.unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::UnknownExecution);
    }
    service.close().await;
}

/// Stops a keeper, or lets it go on.
fn send(keeper: &KeeperInfo, signal: Sent) {
    kill_process(Pid::from_raw(keeper.pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Begins to send a signal to an execution whose keeper does not answer for now, and lets other tasks go on for so
/// many rounds.
async fn signalling(
    service: &Service,
    id: Uuid,
    signal: Signal,
    rounds: u32,
) -> JoinHandle<Result<u32, ServiceError>> {
    let service = service.clone();
    let call = tokio::spawn(async move { service.signal(id, signal).await });
    for _ in 0..rounds {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    call
}

#[tokio::test]
async fn end_of_a_pause_is_noted_also_if_the_caller_goes() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("exec sleep 600")).await;
    started(&service, id).await;
    service.pause(id).await.unwrap();
    let keeper = home.keeper().await;
    send(&keeper, Sent::STOP);
    let call = signalling(&service, id, Signal::Continue, 100).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    send(&keeper, Sent::CONT);
    soon("it is noted", async {
        while service.get(id).await.unwrap().paused {
            tokio::task::yield_now().await;
        }
    })
    .await;
    service.close().await;
}

#[tokio::test]
async fn signal_that_was_sent_is_not_refused_by_a_service_that_ends() {
    let home = Home::new();
    let mut service = home.open().await;
    // It counts what it gets.
    let count =
        "n=0; trap 'n=$((n + 1))' USR1; trap 'exit $n' USR2; echo; while :; do sleep 0.01; done";
    let id = submit(&service, shell(count)).await;
    soon("it begins", async {
        while service.get(id).await.unwrap().bytes.stdout == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let keeper = home.keeper().await;
    // Nothing tells when it is sent, so it gets more and more time for it.
    for doublings in 0..20 {
        send(&keeper, Sent::STOP);
        let call = signalling(&service, id, Signal::User1, 1 << doublings).await;
        service.close().await;
        let error = call.await.unwrap().unwrap_err();
        send(&keeper, Sent::CONT);
        service = home.open().await;
        if error.code == ErrorCode::KeeperUnavailable {
            service.signal(id, Signal::User2).await.unwrap();
            let code = ended(&service, id).await.exit_code;
            // A client that is told of `Stopping` sends it again, so it was sent never then.
            assert!(code <= Some(1), "{code:?} were sent");
            return service.close().await;
        }
        assert_eq!(error.code, ErrorCode::Stopping, "{error}");
    }
    panic!("it is never sent");
}

#[tokio::test]
async fn those_who_wait_are_told_that_the_service_ends() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("sleep 600")).await;
    started(&service, id).await;
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.wait(id, None).await }
    });
    let mut events = service.events(id, 0).await.unwrap();
    events.next().await.unwrap().unwrap();
    service.close().await;
    assert_eq!(waiting.await.unwrap().unwrap_err().code, ErrorCode::Stopping);
    assert_eq!(events.next().await.unwrap().unwrap_err().code, ErrorCode::Stopping);
    let error = service.submit(shell("true"), None, OWNER).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Stopping);
    assert_eq!(service.get(id).await.unwrap_err().code, ErrorCode::Stopping);
    // What runs goes on.
    assert_eq!(home.keepers().len(), 1);
}
