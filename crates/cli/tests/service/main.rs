//! The service as its users see it, when the machine is against it: files, disks, clocks and processes.
//!
//! What needs root or a tool that is missing prints a line with SKIPPED.

#![cfg(target_os = "linux")]

mod build;
mod clock;
mod disk;
mod keeper_death;
mod kill_points;
mod once;
mod schedules;
mod secrets;
mod state_dir;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use service_judge::http::Answer;
use service_judge::service::{PATIENCE, Service};

/// Names a service in a directory.
fn service(dir: &Path) -> Service {
    Service::new(env!("CARGO_BIN_EXE_exeng"), dir.join("state"))
}

/// Returns the body of a request for a shell line.
fn shell(line: &str) -> Value {
    json!({"request": {
        "command": {"type": "exec", "program": "/bin/sh", "args": ["-c", line]},
        "env": {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        "working_dir": "/",
    }})
}

fn post(service: &Service, body: &Value) -> Answer {
    service.socket().request("POST", "/v1/executions", &[], Some(body)).unwrap()
}

/// Submits a shell line and returns its id.
fn submit(service: &Service, line: &str) -> String {
    let answer = post(service, &shell(line));
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["id"].as_str().expect("an id").to_string()
}

fn show(service: &Service, id: &str) -> Value {
    let answer = service.socket().get(&format!("/v1/executions/{id}")).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// Waits for the end of an execution.
fn ended(service: &Service, id: &str) -> Value {
    let timeout = PATIENCE.as_millis();
    let target = format!("/v1/executions/{id}/wait?timeout={timeout}");
    let view = service.socket().get(&target).unwrap().json();
    assert!(!view["ended_at"].is_null(), "not ended: {view}");
    view
}

fn output(service: &Service, id: &str, stream: &str) -> Vec<u8> {
    let target = format!("/v1/executions/{id}/output?stream={stream}");
    let answer = service.socket().get(&target).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.body
}

/// Returns a shell line that waits for a file.
fn wait_for(file: &Path) -> String {
    format!("until [ -e '{}' ]; do sleep 0.02; done", file.display())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test did not run.
fn skip(why: &str) {
    println!("SKIPPED: {why}");
}

/// Between two looks at a fact that no event announces.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}
