//! Subscriptions of all executions.

use super::*;

/// Returns the records of one execution.
fn of(records: &[EventRecord], id: Uuid) -> Vec<EventRecord> {
    records.iter().filter(|record| record.execution_id == id).cloned().collect()
}

/// Returns the records until a number of executions have ended.
async fn until_ended(records: &mut Subscription, count: usize) -> Vec<EventRecord> {
    let mut seen = Vec::new();
    let ended =
        |seen: &[EventRecord]| seen.iter().filter(|record| record.event.is_terminal()).count();
    while ended(&seen) < count {
        seen.push(next_that(records, |_| true).await);
    }
    seen
}

#[tokio::test]
async fn subscribe_all_equals_each_single_subscription() {
    let engine = engine();
    let mut every = engine.subscribe_all().await;
    let mut ids = Vec::new();
    for number in 0..30 {
        let line = format!("seq {number} 200; seq {number} 200 >&2; exit {number}");
        ids.push(engine.execute(shell(line)).await.unwrap());
    }
    let seen = until_ended(&mut every, ids.len()).await;
    for id in ids {
        let alone = all(engine.subscribe(id).await.unwrap()).await;
        assert!(of(&seen, id) == alone);
    }
}

#[tokio::test]
async fn subscribe_all_starts_at_the_present() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo before; {}; echo after", wait_for(&go));
    let old = engine.execute(shell(line)).await.unwrap();
    let mut alone = engine.subscribe(old).await.unwrap();
    next_that(&mut alone, |record| line_of(record).is_some()).await;

    let mut every = engine.subscribe_all().await;
    let new = engine.run(shell("echo new")).await.unwrap().id;
    fs::write(go, "").unwrap();
    let seen = until_ended(&mut every, 2).await;
    // The first line may have been on its way by then.
    assert_eq!(lines(&of(&seen, old), OutputStream::Stdout).last(), Some(&"after"));
    assert!(
        !of(&seen, old).iter().any(|record| matches!(record.event, ExecutionEvent::Started { .. }))
    );
    assert!(of(&seen, new) == all(engine.subscribe(new).await.unwrap()).await);
}

#[tokio::test]
async fn subscribe_all_counts_missed_executions() {
    let engine = engine_with(|config| config.max_in_memory_executions = 2);
    let every = engine.subscribe_all().await;
    for number in 0..6 {
        engine.run(shell(format!("echo {number}"))).await.unwrap();
    }
    drop(engine);
    let seen: Vec<EventRecord> = soon("the end", every.collect()).await;
    let count = |record: &EventRecord| match record.event {
        ExecutionEvent::ExecutionsMissed { count } => Some(count),
        _ => None,
    };
    assert_eq!(seen.iter().filter_map(count).sum::<u64>(), 4, "{seen:#?}");
    assert!(
        seen.iter()
            .filter(|record| count(record).is_some())
            .all(|record| { record.execution_id.is_nil() && record.event.execution_id().is_nil() })
    );
    assert_eq!(lines(&seen, OutputStream::Stdout), ["4", "5"]);
}

#[tokio::test]
async fn subscribe_all_separates_executions_of_a_reused_id() {
    // The id is reused after this many records of the first execution were read.
    for taken in 0..=5 {
        let engine = engine();
        let mut every = engine.subscribe_all().await;
        let mut other = engine.subscribe_all().await;
        let id = Uuid::new_v4();
        engine.run(shell("echo first").id(id)).await.unwrap();
        until_ended(&mut other, 1).await;
        let mut seen = Vec::new();
        for _ in 0..taken {
            seen.extend(soon("a record", every.next()).await);
        }
        engine.remove_execution(id).await.unwrap();
        engine.run(shell("echo second").id(id)).await.unwrap();
        drop(engine);
        seen.extend(soon("the end", every.collect::<Vec<_>>()).await);

        // An execution whose records were begun is complete; one that was removed before is missed.
        let missed = usize::from(taken == 0);
        let of_missed = |record: &&EventRecord| {
            matches!(record.event, ExecutionEvent::ExecutionsMissed { count: 1 })
        };
        assert_eq!(seen.iter().filter(of_missed).count(), missed, "{taken} taken: {seen:#?}");
        let expected = &["first", "second"][missed..];
        assert_eq!(lines(&seen, OutputStream::Stdout), expected, "{taken} taken: {seen:#?}");
        let ends = seen.iter().filter(|record| record.event.is_terminal()).count();
        assert_eq!(ends, expected.len(), "{taken} taken: {seen:#?}");
    }
}

#[tokio::test]
async fn subscribe_all_includes_output_beyond_the_limit() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine_with(|config| config.max_output_size_bytes = 10);
    let mut every = engine.subscribe_all().await;
    let line = format!("echo first; {}; seq 1 20000", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    next_that(&mut every, |record| line_of(record).is_some()).await;
    fs::write(go, "").unwrap();
    // The subscription is read again only after the end.
    soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let seen = until_ended(&mut every, 1).await;
    assert_eq!(missed(&seen), 0);
    assert_eq!(lines(&seen, OutputStream::Stdout).len(), 20_000);
    assert_numbered(&seen, OutputStream::Stdout, 1..=20_000);
}
