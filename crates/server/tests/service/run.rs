//! An execution from its acceptance to its ending.

use execution_engine::*;
use execution_engine_server::*;

use crate::support::*;

#[tokio::test]
async fn execution_runs_and_is_there_afterwards() {
    let home = Home::new();
    let service = home.open().await;
    let mut new = shell("echo out; echo err >&2; exit 3");
    new.request = new.request.tag("nightly").label("branch", "main").description("a test");
    new.options.group = Some("builds".to_string());
    let id = submit(&service, new).await;
    let view = ended(&service, id).await;
    assert_eq!((view.status, view.exit_code), (ExecutionStatus::Failed, Some(3)));
    assert_eq!(view.ending, Some(Ending::Exited { code: 3 }));
    assert_eq!(view.bytes, OutputBytes { stdout: 4, stderr: 4 });
    assert_eq!((view.attempts, view.tags.as_slice()), (1, ["nightly".to_string()].as_slice()));
    assert_eq!((view.labels["branch"].as_str(), view.group.as_deref()), ("main", Some("builds")));
    assert!(view.containment.is_some_and(|receipt| receipt.survivors.is_empty()));
    assert!(view.created_at <= view.started_at.unwrap() && view.started_at < view.ended_at);
    assert_eq!(view.env_names, ["PATH"]);
    assert_eq!(output(&service, id, Some(OutputStream::Stdout)).await, b"out\n");
    assert_eq!(output(&service, id, Some(OutputStream::Stderr)).await, b"err\n");
    assert_eq!(output(&service, id, None).await.len(), 8);

    let page = service
        .list(Query { tags: vec!["nightly".to_string()], ..Query::default() })
        .await
        .unwrap();
    assert_eq!(page.executions, [service.get(id).await.unwrap()]);
    service.close().await;
}

#[tokio::test]
async fn program_has_nothing_of_the_environment_of_the_service() {
    let home = Home::new();
    let service = home.open().await;
    let request = ExecutionRequest::exec("env", [] as [&str; 0]).working_dir("/").env("ONE", "1");
    let id = submit(&service, NewExecution::new(request)).await;
    assert_eq!(ended(&service, id).await.status, ExecutionStatus::Completed);
    let lines = String::from_utf8(output(&service, id, Some(OutputStream::Stdout)).await).unwrap();
    let mut names: Vec<_> =
        lines.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| *name != "EXECUTION_ENGINE_TREE");
    names.sort_unstable();
    assert_eq!(names, ["ONE", "PWD"]);
    service.close().await;
}

#[tokio::test]
async fn large_output_is_whole_in_its_archive() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("seq 1 200000; seq 1 1000 >&2")).await;
    let view = ended(&service, id).await;
    let expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(view.bytes.stdout, expected.len() as u64);
    // Compressed in the background; the output is the same before, meanwhile and afterwards.
    let archive =
        || home.contents().into_keys().any(|path| path.extension().is_some_and(|it| it == "zst"));
    assert!(output(&service, id, Some(OutputStream::Stdout)).await == expected.as_bytes());
    test_support::until("an archive", archive).await;
    assert!(output(&service, id, Some(OutputStream::Stdout)).await == expected.as_bytes());
    let keeper = home.keeper().await;
    let journals = || std::fs::read_dir(keeper.dir.join("journals")).unwrap().count();
    test_support::until("the journal is removed", || journals() == 0).await;
    let mut tail = service.output(id, Some(OutputStream::Stdout)).await.unwrap();
    assert!(tail.is_complete());
    assert_eq!(&tail.read(expected.len() as u64 - 7, 100).await.unwrap()[..], b"200000\n");
    service.close().await;
}

#[tokio::test]
async fn program_that_cannot_run_is_an_ending() {
    let home = Home::new();
    let service = home.open().await;
    let request = ExecutionRequest::program("/nonexistent/program").working_dir("/");
    let id = submit(&service, NewExecution::new(request)).await;
    let view = ended(&service, id).await;
    assert_eq!(view.status, ExecutionStatus::Failed);
    assert!(view.error.is_some_and(|error| error.contains("/nonexistent/program")));
    assert_eq!(view.exit_code, None);
    service.close().await;
}

#[tokio::test]
async fn program_that_is_tried_again_has_all_its_output() {
    let home = Home::new();
    let service = home.open().await;
    let mut new =
        shell(format!("echo try; mkdir {} && exit 7; echo done", home.file("once").display()));
    new.options.retry = Some(RetryPolicy::new(3));
    let id = submit(&service, new).await;
    let view = ended(&service, id).await;
    assert_eq!((view.status, view.attempts), (ExecutionStatus::Completed, 2));
    assert_eq!(output(&service, id, Some(OutputStream::Stdout)).await, b"try\ntry\ndone\n");
    let events = events_after(&service, id, 0).await;
    let retries = events.iter().filter(|event| matches!(event.kind, EventKind::Retrying { .. }));
    assert_eq!(retries.count(), 1);
    let attempts: Vec<u32> = events.iter().map(|event| event.attempt).collect();
    assert!(attempts.is_sorted() && attempts.contains(&2), "{attempts:?}");
    service.close().await;
}

#[tokio::test]
async fn invalid_requests_are_refused_with_their_field() {
    let home = Home::new();
    let service = home.open().await;
    let mut new = shell("true");
    new.request.working_dir = Some("relative".into());
    let error = service.submit(new, None, OWNER).await.unwrap_err();
    assert_eq!(
        (error.code, error.field.as_deref()),
        (ErrorCode::InvalidRequest, Some("request.working_dir"))
    );
    assert!(error.fix.is_some());
    assert!(service.list(Query::default()).await.unwrap().executions.is_empty());
    service.close().await;
}
