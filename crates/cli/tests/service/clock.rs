//! A time of day that jumps.

use std::fs;

use service_judge::service::until;

use crate::disk::with_faults;
use crate::{ended, post, shell, show, submit, wait_for};

const DAY: i64 = 24 * 60 * 60;

#[test]
fn clock_that_jumps_ends_nothing_and_shuffles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (service, faults) = with_faults(dir.path());
    let server = service.serve();

    let mut ids = Vec::new();
    for (number, shift) in [DAY, -DAY, 3 * DAY, 0].into_iter().enumerate() {
        let go = dir.path().join(format!("go{number}"));
        let mut body = shell(&format!("{}; exit 7", wait_for(&go)));
        body["request"]["timeout_ms"] = 3_600_000.into();
        let answer = post(&service, &body);
        assert_eq!(answer.status, 201);
        let id = answer.json()["id"].as_str().unwrap().to_string();
        until("its start", || show(&service, &id)["status"] == "running");
        // While it runs.
        faults.shift_clock(shift);
        ids.insert(0, submit(&service, "exit 7"));
        fs::write(go, "").unwrap();
        let view = ended(&service, &id);
        assert_eq!(view["exit_code"], 7, "{view}");
        let took = view["duration_ms"].as_u64().unwrap();
        assert!(took < 600_000, "a jump of {shift} s counts as {took} ms: {view}");
        ids.insert(1, id);
    }
    for id in &ids {
        assert_eq!(ended(&service, id)["exit_code"], 7);
    }
    let list = service.socket().get("/v1/executions").unwrap().json();
    let listed: Vec<_> =
        list["executions"].as_array().unwrap().iter().map(|view| &view["id"]).collect();
    assert_eq!(listed, ids.iter().collect::<Vec<_>>(), "newest first, by acceptance");
    service.stop_all(Some(server));
}
