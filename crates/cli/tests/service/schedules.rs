//! Schedules, when the service dies, the disk is full, and the clock jumps.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use serde_json::{Value, json};
use service_judge::service::{Service, until};

use crate::disk::with_faults;
use crate::{ended, service, shell};

/// Steps at which the service dies: those of the transaction of a run, and those behind it.
const STEPS: [&str; 5] = [
    "schedule_run_applied:1",
    "schedule_run_applied:2",
    "schedule_run_committed:1",
    "schedule_run_committed:2",
    "dispatch_before_told:2",
];

/// Makes a schedule of each second that runs for all its moments, and returns its id.
fn make(service: &Service, line: &str, missed: &str) -> String {
    let body =
        json!({"every": "1s", "missed": missed, "overlap": "allow", "execution": shell(line)});
    let answer = service.socket().request("POST", "/v1/schedules", &[], Some(&body)).unwrap();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["id"].as_str().unwrap().to_string()
}

fn schedule(service: &Service, id: &str) -> Value {
    service.socket().get(&format!("/v1/schedules/{id}")).unwrap().json()
}

fn set_paused(service: &Service, id: &str, paused: bool) {
    let body = json!({"paused": paused});
    let path = format!("/v1/schedules/{id}");
    let answer = service.socket().request("PATCH", &path, &[], Some(&body)).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

fn runs(service: &Service, id: &str) -> Vec<Value> {
    let path = format!("/v1/executions?limit=1000&schedule={id}");
    let page = service.socket().get(&path).unwrap().json();
    page["executions"].as_array().unwrap().clone()
}

/// Returns the moments of runs in seconds; each has one.
fn moments(runs: &[Value]) -> Vec<i64> {
    let of = |run: &Value| {
        let text = run["schedule_moment"].as_str().unwrap();
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp()
    };
    let all: BTreeSet<i64> = runs.iter().map(of).collect();
    assert_eq!(all.len(), runs.len(), "a moment has two runs: {runs:?}");
    all.into_iter().collect()
}

/// Starts a service that dies at a step, with a schedule that writes a line for each run.
fn dies_at(step: &str, bare: &Service, effects: &Path) -> String {
    let point = format!("service/{step}");
    let dying = bare.clone().attach(move |command| {
        command.env("EXENG_FAULT", &point);
    });
    let server = dying.serve();
    let id = make(&dying, &format!("echo ran >>'{}'", effects.display()), "run_all");
    assert_eq!(server.ended().signal(), Some(9), "{step}: it died of something else");
    id
}

#[test]
fn death_at_any_step_neither_loses_nor_repeats_a_run() {
    for step in STEPS {
        let dir = tempfile::tempdir().unwrap();
        let effects = dir.path().join("effects");
        let bare = service(dir.path());
        let id = dies_at(step, &bare, &effects);
        let server = bare.serve();
        let known = runs(&bare, &id).len();
        until("it runs on", || runs(&bare, &id).len() >= known + 3);
        set_paused(&bare, &id, true);
        let all = runs(&bare, &id);
        let moments = moments(&all);
        assert!(moments.windows(2).all(|two| two[1] == two[0] + 1), "{step}: {moments:?}");
        for run in &all {
            assert_eq!(ended(&bare, run["id"].as_str().unwrap())["exit_code"], 0, "{step}");
        }
        let ran = fs::read_to_string(&effects).unwrap().lines().count();
        assert_eq!(ran, all.len(), "{step}");
        assert_eq!(schedule(&bare, &id)["runs"], all.len(), "{step}");
        bare.stop_all(Some(server));
    }
}

#[test]
fn clock_that_is_set_repeats_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let (service, faults) = with_faults(dir.path());
    let server = service.serve();
    let id = make(&service, "true", "run_once");
    let ran = |more: usize| {
        let known = runs(&service, &id).len();
        until("it runs on", || runs(&service, &id).len() >= known + more);
    };
    ran(2);
    // Another schedule shows that the clock was looked at.
    faults.shift_clock(-3600);
    let other = make(&service, "true", "run_once");
    until("time goes on", || runs(&service, &other).len() >= 2);
    faults.shift_clock(0);
    ran(2);
    assert_eq!(schedule(&service, &id)["misses"]["count"].as_u64().unwrap() / 1000, 0);
    // A day ahead: one run stands for all that time.
    faults.shift_clock(24 * 3600);
    until("the day is over", || {
        schedule(&service, &id)["misses"]["count"].as_u64() >= Some(80_000)
    });
    ran(1);
    faults.shift_clock(0);
    // Its next moment is a day away. To let it begin from now is a decision of its user.
    set_paused(&service, &id, true);
    let known = moments(&runs(&service, &id));
    set_paused(&service, &id, false);
    ran(2);
    assert!(moments(&runs(&service, &id)).len() > known.len());
    service.stop_all(Some(server));
}

#[test]
fn runs_that_the_disk_has_no_room_for_are_told_and_made_up_for() {
    const NO_SPACE: i32 = 28;
    let dir = tempfile::tempdir().unwrap();
    let (service, faults) = with_faults(dir.path());
    let server = service.serve();
    let id = make(&service, "true", "run_all");
    until("it ran", || !runs(&service, &id).is_empty());
    faults.fail_writes(NO_SPACE);
    until("the error is told", || !schedule(&service, &id)["last_error"].is_null());
    let error = schedule(&service, &id)["last_error"]["error"].as_str().unwrap().to_string();
    assert!(error.contains("full"), "{error}");
    faults.fail_writes(0);
    let known = runs(&service, &id).len();
    until("it runs on", || runs(&service, &id).len() >= known + 3);
    let moments = moments(&runs(&service, &id));
    assert!(moments.windows(2).all(|two| two[1] == two[0] + 1), "{moments:?}");
    until("the error is kept", || !schedule(&service, &id)["last_error"].is_null());
    server.kill();
    let server = service.serve();
    assert_eq!(schedule(&service, &id)["last_error"]["error"], error, "also by the store");
    service.stop_all(Some(server));
}
