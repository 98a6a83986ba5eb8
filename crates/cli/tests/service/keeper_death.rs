//! A keeper that dies: its programs are gone at once, its executions are lost with all output up to then, nothing runs
//! again, and another keeper's are untouched.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;
use service_judge::service::{Process, processes_with, until};
use service_judge::work::effects;

use crate::build::other_build;
use crate::{ended, output, service, show, submit, wait_for};

const EXECUTIONS: usize = 5;

#[test]
fn dead_keeper_loses_its_programs_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let first = service(dir.path());
    let server = first.serve();
    let (ran, go) = (dir.path().join("ran"), dir.path().join("go"));
    let program = |name: &str| {
        let (ran, go) = (ran.display(), wait_for(&go));
        format!("echo {name} >> '{ran}'; seq 1 2000; (sleep 1000; : child-{name}) & {go}; exit 7")
    };
    let written: Vec<u8> =
        (1..=2000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let doomed: Vec<_> = (0..EXECUTIONS)
        .map(|number| submit(&first, &program(&format!("doomed{number}"))))
        .collect();
    let is_written = |id: &String| show(&first, id)["bytes"]["stdout"] == written.len();
    until("all output", || doomed.iter().all(is_written));
    let [(old_keeper, _)] = first.keepers()[..] else { panic!("{:?}", first.keepers()) };
    server.stop();

    // Another build has a keeper of its own.
    let second = other_build(&first, dir.path());
    let server = second.serve();
    let other = submit(&second, &program("other"));
    until("its output", || show(&second, &other)["bytes"]["stdout"] == written.len());

    let keeper = Process::open(old_keeper).unwrap();
    keeper.signal(Signal::KILL);
    keeper.wait("the end of a killed keeper");
    let start = Instant::now();
    until("the end of its programs", || processes_with("doomed").is_empty());
    println!("its programs were gone after {:?}", start.elapsed());
    for id in &doomed {
        let view = ended(&second, id);
        assert_eq!(view["status"], "lost", "{view}");
        assert!(output(&second, id, "stdout") == written, "output is missing");
        assert_eq!(second.run(&["wait", id]).status.code(), Some(125));
    }
    assert_eq!(show(&second, &other)["status"], "running");
    fs::write(&go, "").unwrap();
    assert_eq!(ended(&second, &other)["exit_code"], 7);
    let ran = effects(&ran);
    assert!(ran.len() == EXECUTIONS + 1 && ran.values().all(|times| *times == 1), "{ran:?}");
    second.stop_all(Some(server));
}
