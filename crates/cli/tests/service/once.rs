//! The same request again: one execution.

use std::collections::HashSet;
use std::thread;

use service_judge::http::Answer;
use service_judge::service::Service;
use service_judge::work::effects;

use crate::{ended, service, shell};

const CLIENTS: usize = 100;

fn submit(service: &Service, line: &str) -> Answer {
    let headers = [("Idempotency-Key", "nightly-7")];
    service.socket().request("POST", "/v1/executions", &headers, Some(&shell(line))).unwrap()
}

#[test]
fn key_that_comes_often_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = service(dir.path());
    let server = service.serve();
    let ran = dir.path().join("ran");
    let line = format!("echo run >> '{}'; exit 7", ran.display());
    let answers: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| submit(&service, &line))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let id = |answer: &Answer| answer.json()["id"].as_str().unwrap().to_string();
    let ids: HashSet<_> = answers.iter().map(id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), CLIENTS - 1);

    server.kill();
    let server = service.serve();
    let again = submit(&service, &line);
    assert_eq!((again.status, ids.contains(&id(&again))), (200, true));
    assert_eq!(ended(&service, &id(&again))["exit_code"], 7);
    let other = submit(&service, "exit 8");
    assert_eq!((other.status, &other.json()["code"]), (422, &"key_reused".into()));
    assert_eq!(effects(&ran).values().collect::<Vec<_>>(), [&1]);
    service.stop_all(Some(server));
}
