//! Events: the same for every reader, live or later.

use execution_engine::*;
use execution_engine_server::*;
use test_support::soon;

use crate::support::*;

#[tokio::test]
async fn events_are_the_same_live_and_later() {
    let home = Home::new();
    let service = home.open().await;
    let go = home.file("go");
    let line = format!(
        "echo one; until [ -e {} ]; do sleep 0.01; done; seq 1 30000; echo two >&2",
        go.display()
    );
    let id = submit(&service, shell(line)).await;
    let reader = tokio::spawn({
        let service = service.clone();
        async move { events_after(&service, id, 0).await }
    });
    started(&service, id).await;
    std::fs::write(go, "").unwrap();
    let live = reader.await.unwrap();
    assert!(matches!(live[0].kind, EventKind::Started { pid: Some(_) }), "{:?}", live[0]);
    assert_eq!(bytes_of(&live, OutputStream::Stderr), b"two\n");
    let expected: String =
        ["one\n".to_string()].into_iter().chain((1..=30_000).map(|n| format!("{n}\n"))).collect();
    assert!(bytes_of(&live, OutputStream::Stdout) == expected.as_bytes());
    assert!(live.windows(2).all(|pair| pair[0].cursor < pair[1].cursor));
    let EventKind::Ended { execution } = &live.last().unwrap().kind else { panic!("{live:?}") };
    assert_eq!(execution.status, ExecutionStatus::Completed);

    let later = events_after(&service, id, 0).await;
    assert!(later == live);
    // From each cursor on, what follows is the same.
    for (index, event) in live.iter().enumerate().step_by(live.len() / 10 + 1) {
        assert!(events_after(&service, id, event.cursor).await == live[index + 1..]);
    }
    let last = service.events(id, live.last().unwrap().cursor).await.unwrap();
    assert!(last.is_at_end());
    service.close().await;
}

#[tokio::test]
async fn ending_is_not_told_before_it_is_stored() {
    let home = Home::new();
    let service = home.open().await;
    for _ in 0..20 {
        let id = submit(&service, shell("echo x")).await;
        let mut events = service.events(id, 0).await.unwrap();
        while let Some(event) = soon("the next event", events.next()).await {
            if let EventKind::Ended { execution } = event.unwrap().kind {
                assert_eq!(service.get(id).await.unwrap(), *execution);
                assert!(execution.ending.is_some());
            }
        }
    }
    service.close().await;
}

#[tokio::test]
async fn cursor_that_no_event_has_is_refused() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("echo hello")).await;
    ended(&service, id).await;
    for cursor in [1, 40, 1 << 40] {
        let error = service.events(id, cursor).await.unwrap_err();
        assert_eq!(
            (error.code, error.field.as_deref()),
            (ErrorCode::InvalidRequest, Some("after")),
            "{error}"
        );
    }
    let error = service.events(Uuid::nil(), 0).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownExecution);
    service.close().await;
}

#[tokio::test]
async fn output_so_far_and_events_after_it_are_all_of_it() {
    let home = Home::new();
    let service = home.open().await;
    let go = home.file("go");
    let line =
        format!("seq 1 20000; until [ -e {} ]; do sleep 0.01; done; seq 1 20000", go.display());
    let id = submit(&service, shell(line)).await;
    started(&service, id).await;
    // What is there grows meanwhile.
    let so_far = service.output(id, Some(OutputStream::Stdout)).await.unwrap();
    assert!(!so_far.is_complete());
    let mut all = Vec::new();
    let mut reader = so_far;
    while (all.len() as u64) < reader.len() {
        all.extend_from_slice(&reader.read(all.len() as u64, 777).await.unwrap());
    }
    // Backwards, too.
    if reader.len() > 10 {
        assert_eq!(reader.read(2, 4).await.unwrap(), all[2..6]);
    }
    std::fs::write(go, "").unwrap();
    let rest = events_after(&service, id, reader.cursor()).await;
    all.extend(bytes_of(&rest, OutputStream::Stdout));
    let once: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    assert!(all == once.repeat(2).as_bytes(), "{} of {} bytes", all.len(), once.len() * 2);
    let view = ended(&service, id).await;
    assert_eq!(view.bytes.stdout, once.len() as u64 * 2);
    service.close().await;
}
