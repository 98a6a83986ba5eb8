//! Executions that another engine has started, and engines that end before their executions.

use execution_engine::prelude::*;
use test_support::*;

use super::machine::Machine;

#[tokio::test]
async fn an_engine_finds_what_another_one_has_started() {
    let machine = Machine::new();
    let first = machine.client();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let request = shell("echo ready; cat").tag("nightly");
    let id = first.execute_with(request, options).await.unwrap();

    let second = machine.client();
    let mut events = second.subscribe(id).await.unwrap();
    let mut lines = Vec::new();
    while let Some(record) = soon("a record", events.next()).await {
        if let ExecutionEvent::Stdout { line, .. } = record.event {
            if line == "ready" {
                assert_eq!(second.get_status(id).await, Ok(ExecutionStatus::Running));
                second.write_stdin(id, "written\n").await.unwrap();
                second.close_stdin(id).await.unwrap();
            }
            lines.push(line);
        }
    }
    assert_eq!(lines, ["ready", "written"]);
    let here = soon("its end", second.wait_for_completion(id)).await.unwrap();
    let there = soon("its end", first.wait_for_completion(id)).await.unwrap();
    assert_eq!((&here.stdout, &here.ending), (&there.stdout, &there.ending));
    assert_eq!(second.get_summary(id).await.unwrap().metadata.tags, ["nightly"]);

    // One that has ended is found with its result at once.
    let third = machine.client();
    assert_eq!(third.get_status(id).await, Ok(ExecutionStatus::Completed));
    let result = third.get_result(id).await.unwrap().unwrap();
    assert_eq!(result.stdout, "ready\nwritten\n");
    let (fourth, query) = (machine.client(), OutputQuery::default().wait(Duration::from_secs(60)));
    let page = fourth.read_output(id, query);
    assert!(!page.await.unwrap().parts.is_empty());
    let known = third.list_backend().await.unwrap();
    assert_eq!(known.iter().map(|known| known.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test]
async fn a_cancel_by_another_engine_is_the_ending_for_both() {
    let machine = Machine::new();
    let first = machine.client();
    let id = first.execute(exec("sleep").arg("300")).await.unwrap();
    machine.client().cancel(id).await.unwrap();
    let result = soon("its end", first.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
}

#[tokio::test]
async fn an_id_that_nobody_has_started_is_unknown() {
    let engine = Machine::new().client();
    let id = Uuid::new_v4();
    let unknown = Err(ExecutionError::NotFound(id));
    assert_eq!(engine.get_status(id).await, unknown);
    assert_eq!(engine.cancel(id).await, Err(ExecutionError::NotFound(id)));
    assert_eq!(test_support::engine().list_backend().await, Err(ExecutionError::NoBackend));
}

#[tokio::test]
async fn a_dropped_engine_leaves_its_executions_running() {
    let machine = Machine::new();
    let engine = machine.client();
    let execution = engine.start(exec("sleep").arg("300")).await.unwrap();
    let mut events = execution.events().await.unwrap();
    let id = execution.id();
    drop(engine);
    let waited = soon("the end of the wait", execution.wait()).await;
    assert_eq!(waited, Err(ExecutionError::Detached(id)));
    while let Some(record) = soon("the end of the records", events.next()).await {
        assert!(!record.event.is_terminal(), "no ending is invented: {record:?}");
    }
    assert_eq!(execution.cancel().await, Err(ExecutionError::Detached(id)));
    let next = machine.client();
    assert_eq!(next.get_status(id).await, Ok(ExecutionStatus::Running));
    next.cancel(id).await.unwrap();
    assert_eq!(next.wait_for_completion(id).await.unwrap().ending, Ending::Cancelled);
}

#[tokio::test]
async fn a_shutdown_leaves_executions_and_ends_plans() {
    let machine = Machine::new();
    let engine = machine.client();
    let id = engine.execute(exec("sleep").arg("300")).await.unwrap();
    let plan = ExecutionPlan::serial([exec("sleep").arg("300"), shell("echo never")]);
    let step = plan.commands[0].id;
    let plan = engine.execute_plan(plan).await.unwrap();
    until("both run", || at_once(machine.engine().list_executions()).len() == 2).await;
    let report = soon("the shutdown", engine.shutdown(Duration::from_secs(60))).await;
    assert_eq!((report.ended.len(), report.survivors.len()), (0, 0));
    let result = engine.wait_for_plan(plan).await.unwrap();
    assert!(matches!(result.results[0].ending, Ending::Unknown { .. }), "{result:?}");
    assert!(matches!(result.results[1].ending, Ending::NotRun { .. }), "{result:?}");
    assert_eq!(engine.execute(shell("ls")).await, Err(ExecutionError::ShuttingDown));
    for id in [id, step] {
        assert_eq!(machine.engine().get_status(id).await, Ok(ExecutionStatus::Running));
        machine.engine().cancel(id).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_the_backend_forgets_is_followed_no_longer_and_has_no_ending() {
    let machine = Machine::played();
    let engine = machine.client();
    let execution = engine.start(shell("make")).await.unwrap();
    machine.forget(execution.id());
    let waited = soon("the end of the wait", execution.wait()).await;
    assert_eq!(waited, Err(ExecutionError::NotFound(execution.id())));
    let unknown = Err(ExecutionError::NotFound(execution.id()));
    assert_eq!(engine.get_status(execution.id()).await, unknown);
}
