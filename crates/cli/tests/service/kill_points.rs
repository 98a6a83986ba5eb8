//! SIGKILL at every step of the write path.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::thread;

use fastrand::Rng;
use service_judge::http::Answer;
use service_judge::service::{Service, until};
use service_judge::work::{Stream, Work, effects, judge};

use crate::{ended, output};

/// Steps of a keeper at which it can be told to die, each with the hit at which it does.
const OF_THE_KEEPER: [&str; 10] = [
    "start_begin:2",
    "journal_created:2",
    "started:2",
    "output_written:5",
    "before_ended:2",
    "ended_written:2",
    "ended_told:2",
    "before_forget:2",
    "journal_removed:2",
    "forgotten:2",
];

const CLIENTS: usize = 3;
const WORKS_OF_A_CLIENT: usize = 4;

fn works(client: usize) -> Vec<Work> {
    let mut random = Rng::with_seed(client as u64);
    let work = |number| {
        let work = Work::random(format!("work-{client}-{number}"), &mut random);
        // The first has more output than is kept beside its row.
        let lines = if number == 0 { 3_000 } else { work.lines };
        Work { lines, pause_every: 0, ..work }
    };
    (0..WORKS_OF_A_CLIENT).map(work).collect()
}

/// Submits with the key of the work; `None` if no service answers.
fn submit(service: &Service, work: &Work, effects: &Path) -> Option<Answer> {
    let headers = [("Idempotency-Key", work.key.as_str())];
    let body = work.body(effects);
    let answer = service.socket().request("POST", "/v1/executions", &headers, Some(&body));
    // 503: there is no keeper at the moment.
    answer.ok().filter(|answer| answer.status != 503)
}

/// Submits all works to a service of which a process dies meanwhile, and returns the ids of those that it acknowledged.
fn load(service: &Service, effects: &Path) -> HashMap<String, String> {
    let client = |number: usize| {
        let mut acknowledged = HashMap::new();
        for work in works(number) {
            let answer = submit(service, &work, effects);
            if let Some(answer) = answer.filter(|answer| matches!(answer.status, 200 | 201)) {
                let id = answer.json()["id"].as_str().unwrap().to_string();
                acknowledged.insert(work.key, id);
            }
        }
        acknowledged
    };
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Judges all works after a recovery. Those of a keeper that died may be lost.
fn judge_all(
    service: &Service,
    effects_file: &Path,
    acknowledged: &HashMap<String, String>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = acknowledged.clone();
    for work in (0..CLIENTS).flat_map(works) {
        // Who was not answered asks again.
        let mut again = None;
        until("an answer", || {
            again = submit(service, &work, effects_file);
            again.is_some()
        });
        let id = again.unwrap().json()["id"].as_str().expect("an id").to_string();
        if ids.insert(work.key.clone(), id.clone()).is_some_and(|before| before != id) {
            faults.push(format!("{} has two executions", work.key));
        }
        let view = ended(service, &id);
        if view["status"] != "lost" {
            let out = output(service, &id, Stream::Stdout.name());
            let err = output(service, &id, Stream::Stderr.name());
            faults.extend(judge(&work, &view, &out, &err));
        }
        let ran = effects(effects_file).get(&work.key).copied().unwrap_or(0);
        let is_right = ran == 1 || ran == 0 && view["status"] == "lost";
        if !is_right {
            faults.push(format!("{} ran {ran} times: {}", work.key, view["status"]));
        }
    }
    faults
}

/// Lets processes of a service die at a step.
fn dying(bare: &Service, fault: String) -> Service {
    bare.clone().attach(move |command| {
        command.env("EXENG_FAULT", &fault);
    })
}

#[test]
fn keeper_that_dies_at_any_step_starts_nothing_twice() {
    let mut faults = Vec::new();
    for point in OF_THE_KEEPER {
        let dir = tempfile::tempdir().unwrap();
        let (effects, reached) = (dir.path().join("effects"), dir.path().join("reached"));
        // Only the first keeper dies: the file says that it has.
        let service =
            dying(&crate::service(dir.path()), format!("keeper/{point}@{}", reached.display()));
        let server = service.serve();
        let acknowledged = load(&service, &effects);
        until(&format!("the death of a keeper at {point}"), || reached.exists());
        let found = judge_all(&service, &effects, &acknowledged);
        faults.extend(found.into_iter().map(|fault| format!("{point}: {fault}")));
        service.stop_all(Some(server));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Returns the number of executions that were lost.
fn lost(service: &Service) -> usize {
    let list = service.socket().get("/v1/executions?status=lost").unwrap().json();
    list["executions"].as_array().expect("a list").len()
}

/// Steps of the service, and of the store in it, at which it can be told to die.
const OF_THE_SERVICE: [&str; 13] = [
    "accept_applied:2",
    "accept_committed:2",
    "dispatch_before_told:2",
    "dispatch_after_told:2",
    "lazy_applied:1",
    "ended_before_commit:2",
    "ended_applied:2",
    "ended_committed:2",
    "ended_after_commit:2",
    "before_archive:1",
    "after_archive:1",
    "before_forget:2",
    "after_forget:2",
];

#[test]
fn service_that_dies_at_any_step_loses_nothing() {
    let mut faults = Vec::new();
    for point in OF_THE_SERVICE {
        let dir = tempfile::tempdir().unwrap();
        let effects = dir.path().join("effects");
        let bare = crate::service(dir.path());
        let service = dying(&bare, format!("service/{point}"));
        let server = service.serve();
        let acknowledged = load(&service, &effects);
        assert_eq!(server.ended().signal(), Some(9), "{point}: it died of something else");
        let server = bare.serve();
        let found = judge_all(&bare, &effects, &acknowledged);
        faults.extend(found.into_iter().map(|fault| format!("{point}: {fault}")));
        match lost(&bare) {
            0 => {}
            lost => faults.push(format!("{point}: {lost} were lost, and the keeper lives")),
        }
        bare.stop_all(Some(server));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
