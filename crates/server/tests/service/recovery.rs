//! A service that ends or is killed, and the next one.

use std::fs;

use execution_engine::*;
use execution_engine_server::*;
use test_support::until;

use crate::support::*;

#[tokio::test]
async fn closed_service_leaves_programs_to_the_next_one() {
    let home = Home::new().max_running(2);
    let service = home.open().await;
    let (go, log) = (home.file("go"), home.file("log"));
    let line =
        format!("echo begin; until [ -e {} ]; do sleep 0.01; done; echo end; exit 4", go.display());
    let running = submit(&service, shell(line)).await;
    let ends_meanwhile = submit(
        &service,
        shell(format!("until [ -e {}2 ]; do sleep 0.01; done; seq 1 50000", go.display())),
    )
    .await;
    let mut queued = shell(format!("echo \"$WORD\" >> {}", log.display()));
    queued.request.env.insert("WORD".to_string(), "queued".to_string());
    queued.after = vec![running];
    queued.options.priority = 1;
    let refused = submit(&service, queued.clone()).await;
    queued.request.id = Uuid::new_v4();
    queued.after = vec![ends_meanwhile];
    let queued = submit(&service, queued).await;
    started(&service, ends_meanwhile).await;
    let mut follower = service.events(running, 0).await.unwrap();
    let mut seen = Vec::new();
    while bytes_of(&seen, OutputStream::Stdout).is_empty() {
        seen.push(follower.next().await.unwrap().unwrap());
    }
    let keeper = home.keeper().await;
    service.close().await;
    fs::write(home.file("go2"), "").unwrap();
    let ended_file = keeper.dir.join("journals").join(ends_meanwhile.to_string());
    until("it has ended without a service", || {
        fs::metadata(&ended_file).is_ok_and(|it| it.len() > 200_000)
    })
    .await;

    let service = home.open().await;
    assert_eq!(ended(&service, ends_meanwhile).await.status, ExecutionStatus::Completed);
    assert_eq!(service.get(running).await.unwrap().status, ExecutionStatus::Running);
    assert_eq!(ended(&service, queued).await.status, ExecutionStatus::Completed);
    assert_eq!(fs::read_to_string(&log).unwrap(), "queued\n");
    assert_eq!(home.keeper().await.pid, keeper.pid, "the same keeper is used");
    fs::write(go, "").unwrap();
    let rest = events_after(&service, running, follower.cursor()).await;
    seen.extend(rest);
    assert_eq!(bytes_of(&seen, OutputStream::Stdout), b"begin\nend\n");
    assert_eq!(ended(&service, running).await.exit_code, Some(4));
    let reason = SkipReason::AfterFailed { execution: running };
    assert_eq!(ended(&service, refused).await.ending, Some(Ending::NotRun { reason }));
    assert_eq!(events_after(&service, running, 0).await, seen);
    service.close().await;
}

#[tokio::test]
async fn killed_service_loses_nothing_and_runs_nothing_twice() {
    let home = Home::new().max_running(4);
    let log = home.file("log");
    let mut all = Vec::new();
    for round in 0..4 {
        let mut remote = Remote::start(&home, None);
        for number in 0..12 {
            let word = format!("{round}-{number}");
            let line = format!("echo {word} >> {}; seq 1 500; exit {}", log.display(), number % 3);
            all.push((remote.submit(&shell(line), None), word, number % 3));
        }
        remote.kill();
    }
    let service = home.open().await;
    let numbers: String = (1..=500).map(|number| format!("{number}\n")).collect();
    for (id, word, code) in &all {
        let view = ended(&service, *id).await;
        assert_eq!(view.exit_code, Some(*code), "{word}: {view:?}");
        assert!(output(&service, *id, Some(OutputStream::Stdout)).await == numbers.as_bytes());
    }
    let ran = fs::read_to_string(log).unwrap();
    let mut ran: Vec<&str> = ran.lines().collect();
    let mut expected: Vec<&str> = all.iter().map(|(_, word, _)| word.as_str()).collect();
    ran.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ran, expected);
    let keeper = home.keeper().await;
    let journals = || fs::read_dir(keeper.dir.join("journals")).unwrap().count();
    until("the keeper has forgotten them", || journals() == 0).await;
    service.close().await;
}

#[tokio::test]
async fn two_services_do_not_run_at_once() {
    let home = Home::new();
    let service = home.open().await;
    let error = Service::open(home.options()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AlreadyRunning);
    assert!(error.detail.contains(&std::process::id().to_string()), "{error}");
    assert!(error.detail.contains(home.state().to_str().unwrap()), "{error}");
    let id = submit(&service, shell("true")).await;
    ended(&service, id).await;
    service.close().await;
    // The file is still there, and no process holds it.
    assert!(home.state().join("lock").exists());
    home.open().await.close().await;
}

#[tokio::test]
async fn dropped_service_frees_its_directory() {
    let home = Home::new();
    let service = home.open().await;
    let id = submit(&service, shell("echo x")).await;
    ended(&service, id).await;
    drop(service);
    until("the lock is free", || home.options().state_dir.holder().is_none()).await;
    let service = home.open().await;
    assert_eq!(output(&service, id, None).await, b"x\n");
    service.close().await;
}
