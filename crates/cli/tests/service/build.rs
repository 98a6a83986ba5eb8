//! An upgrade: the keeper of the previous build drains while the new one takes work.

use std::fs;
use std::path::Path;

use service_judge::service::{Process, Service, until};

use crate::{ended, output, service, show, submit, wait_for};

/// Returns the same service with a program of another build.
pub(crate) fn other_build(service: &Service, dir: &Path) -> Service {
    // The same bytes in another file are another build to the service.
    let program = dir.join("exeng");
    fs::copy(env!("CARGO_BIN_EXE_exeng"), &program).unwrap();
    Service::new(program, service.state())
}

#[test]
fn keeper_of_the_previous_build_drains_while_the_new_one_takes_work() {
    let dir = tempfile::tempdir().unwrap();
    let old = service(dir.path());
    let server = old.serve();
    let go = dir.path().join("go");
    let line = format!("echo before; {}; echo after; exit 7", wait_for(&go));
    let long = submit(&old, &line);
    until("its output", || show(&old, &long)["bytes"]["stdout"] == 7);
    let [(old_keeper, _)] = old.keepers()[..] else { panic!("{:?}", old.keepers()) };
    server.stop();

    let new = other_build(&old, dir.path());
    let server = new.serve();
    assert_eq!(show(&new, &long)["status"], "running");
    assert_eq!(ended(&new, &submit(&new, "exit 9"))["exit_code"], 9);
    let keepers = new.keepers();
    let is_other = |pid: u32| pid != old_keeper;
    assert!(keepers.iter().any(|(pid, _)| is_other(*pid)), "the old one took it: {keepers:?}");
    assert_eq!(keepers.iter().find(|(pid, _)| !is_other(*pid)), Some(&(old_keeper, 1)));

    let keeper = Process::open(old_keeper).unwrap();
    fs::write(&go, "").unwrap();
    assert_eq!(ended(&new, &long)["exit_code"], 7);
    assert_eq!(output(&new, &long, "stdout"), b"before\nafter\n");
    keeper.wait("the end of the drained keeper");
    new.stop_all(Some(server));
}
