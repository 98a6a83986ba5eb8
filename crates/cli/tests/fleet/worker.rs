//! Workers: what they run, how they end, and what ends them.

use fleet_servers::Setup;
use rustix::process::{Signal, kill_process, test_kill_process};

use crate::support::*;

#[tokio::test]
async fn a_command_runs_on_a_worker_as_if_it_ran_here() {
    let fleet = Fleet::start().await;
    let mut worker = fleet.worker(&["--slots", "2", "--name", "one"]);
    let output = fleet.output(&["run", "--shell", "echo out; echo err >&2; exit 3"]);
    assert_eq!(
        (output.status.code(), &*texts(&output).0, &*texts(&output).1),
        (Some(3), "out\n", "err\n")
    );
    assert!(fleet.told(&["fleet", "workers"]).contains("one-"));
    worker.signal(Signal::TERM);
    assert_eq!(worker.code(), Some(0), "{:?}", worker.seen);
    assert_eq!(fleet.told(&["fleet", "workers", "--json"]), "");
}

/// A worker that stands still is killed with all that it runs when its lease is over, and another one finishes its work.
#[tokio::test]
async fn a_worker_that_stands_still_is_ended_with_its_programs() {
    let fleet = Fleet::start().await;
    let mut first = fleet.worker_that_waits(&["--slots", "1"]);
    let (name, proper) = worker_of(&first.wait_for("is ready"));
    let pids = fleet.home.path().join("pids");
    let line = format!(
        "echo $$ $EXECUTION_ENGINE_FENCE >> {0}; [ $(wc -l < {0}) -gt 1 ] || exec sleep 600",
        pids.display()
    );
    let id = fleet.told(&["submit", "--max-attempts", "2", "--shell", &line]);
    let starts = || {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        let numbers =
            |line: &str| line.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<u64>>();
        text.lines().map(numbers).collect::<Vec<_>>()
    };
    until("the program runs", || starts().len() == 1);
    kill_process(proper, Signal::STOP).unwrap();
    first.wait_for("its lease is over");
    // Told once nothing of it lives; who reaps an orphan is the system's.
    let proper = u32::try_from(proper.as_raw_nonzero().get()).unwrap();
    let program = u32::try_from(starts()[0][0]).unwrap();
    for (what, pid) in [("worker", proper), ("program", program)] {
        assert!(!test_support::is_alive(pid), "the {what} lives");
    }
    let (second, _) = worker_of(&first.wait_for("is ready"));
    assert_ne!(name, second);
    fleet.told(&["wait", id.trim()]);
    let starts = starts();
    assert!(starts.len() == 2 && starts[1][1] > starts[0][1], "{starts:?}");
}

#[tokio::test]
async fn a_drained_worker_finishes_what_it_runs() {
    let fleet = Fleet::start().await;
    let mut worker = fleet.worker(&["--slots", "1"]);
    let go = fleet.home.path().join("go");
    let line = format!("echo up; until [ -e {} ]; do sleep 0.05; done; exit 4", go.display());
    let id = fleet.told(&["submit", "--shell", &line]);
    let id = id.trim();
    until("it runs", || fleet.told(&["logs", id]) == "up\n");
    let workers = fleet.told(&["fleet", "workers", "--json"]);
    let name = workers.split("\"worker\":\"").nth(1).unwrap().split('"').next().unwrap();
    let drained = fleet.told(&["fleet", "drain", &name[..name.len() - 2]]);
    assert!(drained.contains(name) && drained.contains("runs 1"), "{drained}");
    let later = fleet.told(&["submit", "--", "true"]);
    std::fs::write(&go, "").unwrap();
    assert_eq!(worker.code(), Some(0), "{:?}", worker.seen);
    assert_eq!(fleet.output(&["wait", id]).status.code(), Some(4));
    let shown = fleet.told(&["show", "--json", later.trim()]);
    assert!(shown.contains("\"pending\""), "{shown}");
}

#[tokio::test]
async fn a_second_signal_gives_what_runs_to_another_worker() {
    let fleet = Fleet::start().await;
    let mut first = fleet.worker(&["--slots", "1"]);
    let seen = fleet.home.path().join("seen");
    let line = format!("[ -e {0} ] || {{ touch {0}; exec sleep 600; }}", seen.display());
    let id = fleet.told(&["submit", "--max-attempts", "2", "--shell", &line]);
    until("it runs", || seen.exists());
    let _second = fleet.worker(&[]);
    first.signal(Signal::INT);
    first.wait_for("takes no more");
    first.signal(Signal::INT);
    assert_eq!(first.code(), Some(0), "{:?}", first.seen);
    fleet.told(&["wait", id.trim()]);
}

#[tokio::test]
async fn nothing_of_a_worker_outlives_its_keeper() {
    let fleet = Fleet::start().await;
    let mut worker = fleet.worker_that_waits(&[]);
    let (_, proper) = worker_of(&worker.wait_for("is ready"));
    worker.signal(Signal::KILL);
    until("the worker ends", || test_kill_process(proper).is_err());
}

#[tokio::test]
async fn a_worker_that_is_started_before_its_servers_waits_for_them() {
    let mut fleet = Fleet::start().await;
    fleet.servers.kill(0);
    let mut worker = fleet.worker_that_waits(&[]);
    let mut other = fleet.worker_that_waits(&[]);
    worker.wait_for("it tries again until it is ended");
    other.wait_for("it tries again until it is ended");
    other.signal(Signal::TERM);
    assert_eq!(other.code(), Some(0), "{:?}", other.seen);
    fleet.servers.start_again(&[0]).await;
    worker.wait_for("is ready");
    fleet.told(&["run", "--", "true"]);
}

#[tokio::test]
async fn a_worker_whose_login_is_refused_ends() {
    let extra = "authorization { user: a, password: b }\n".to_owned();
    let servers = Servers::start_with(&Setup { extra, ..Setup::default() }).await;
    let fleet = Fleet { servers, home: tempfile::tempdir().unwrap() };
    let refused = fleet.output(&["worker"]);
    assert_eq!(refused.status.code(), Some(125), "{refused:?}");
    assert!(texts(&refused).1.contains("check the login"), "{refused:?}");
}
