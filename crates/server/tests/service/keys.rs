//! Idempotency: one run for a key or an id.

use std::fs;

use execution_engine_server::*;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn one_key_a_hundred_times_is_one_run() {
    let home = Home::new();
    let log = home.file("log");
    let new = || shell(format!("echo ran >> {}", log.display()));
    let service = home.open().await;
    // The keeper is there then, so that those that come take slots.
    let first = submit(&service, shell("true")).await;
    ended(&service, first).await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        let (service, new) = (service.clone(), new());
        calls.push(tokio::spawn(async move {
            service.submit(new, Some("nightly-7"), OWNER).await.unwrap()
        }));
    }
    let mut all = Vec::new();
    for call in calls {
        all.push(call.await.unwrap());
    }
    let id = all[0].execution.id;
    assert!(all.iter().all(|submitted| submitted.execution.id == id));
    assert_eq!(all.iter().filter(|submitted| submitted.created).count(), 1);
    ended(&service, id).await;
    let status = service.status().await;
    assert_eq!(
        (status.running, status.queued),
        (0, 0),
        "no slot is lost to those that were not accepted"
    );
    service.close().await;

    let mut remote = Remote::start(&home, None);
    assert_eq!(remote.submit(&new(), Some("nightly-7")), id);
    remote.kill();
    let service = home.open().await;
    let again = service.submit(new(), Some("nightly-7"), OWNER).await.unwrap();
    assert_eq!((again.execution.id, again.created), (id, false));
    let other =
        service.submit(shell("something else"), Some("nightly-7"), OWNER).await.unwrap_err();
    assert_eq!((other.code, other.field.as_deref()), (ErrorCode::KeyReused, Some("key")));
    let of_another_user = service.submit(new(), Some("nightly-7"), OWNER + 1).await.unwrap();
    assert!(of_another_user.created);
    ended(&service, of_another_user.execution.id).await;
    assert_eq!(fs::read_to_string(log).unwrap(), "ran\nran\n");
    service.close().await;
}

#[tokio::test]
async fn one_id_a_hundred_times_is_one_run() {
    let home = Home::new().max_running(2);
    let log = home.file("log");
    let id = Uuid::new_v4();
    let new = || {
        let mut new = shell(format!("echo ran >> {}; sleep 0.1", log.display()));
        new.request.id = id;
        new
    };
    let service = home.open().await;
    let mut calls = Vec::new();
    for _ in 0..100 {
        let (service, new) = (service.clone(), new());
        calls.push(tokio::spawn(async move { service.submit(new, None, OWNER).await.unwrap() }));
    }
    let mut created = 0;
    for call in calls {
        created += usize::from(call.await.unwrap().created);
    }
    assert_eq!(created, 1);
    ended(&service, id).await;
    let again = service.submit(new(), None, OWNER).await.unwrap();
    assert!(!again.created && again.execution.status.is_terminal());
    let mut other = new();
    other.request.timeout_ms = Some(5);
    for key in [None, Some("free")] {
        let error = service.submit(other.clone(), key, OWNER).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (ErrorCode::IdReused, Some("request.id")));
        assert!(error.to_string().contains("it differs in request.timeout_ms"), "{error}");
    }
    let mut schedule = NewSchedule::new("1h", new());
    service.create_schedule(schedule.clone(), None, OWNER).await.unwrap();
    schedule.every = "2h".to_string();
    let error = service.create_schedule(schedule, Some("free"), OWNER).await.unwrap_err();
    let field = Some("execution.request.id");
    assert_eq!((error.code, error.field.as_deref()), (ErrorCode::IdReused, field));
    assert_eq!(fs::read_to_string(log).unwrap(), "ran\n");
    service.close().await;
}
