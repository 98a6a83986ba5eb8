//! The service that starts by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::{Host, finish, send, until};

#[test]
fn of_many_that_start_a_service_one_wins_and_all_use_it() {
    let host = Host::new();
    let children: Vec<_> =
        (0..8).map(|_| host.command(&["submit", "--", "true"]).spawn().unwrap()).collect();
    let ids: Vec<_> = children.into_iter().map(|child| finish(child, "submit").ok()).collect();
    let list = host.ok(&["ls", "--json", "--all"]);
    for id in &ids {
        assert!(list.contains(id.as_str()), "{id}: {list}");
    }
    assert_eq!(list.lines().count(), 8);
}

#[test]
fn no_start_refuses_with_the_fix() {
    let host = Host::new();
    for args in [&["submit", "--no-start", "--", "true"][..], &["ls", "--no-start"]] {
        let said = host.exeng(args).refused();
        assert!(said.contains("exeng serve") && said.contains("--no-start"), "{said}");
    }
    assert_eq!(host.service(), None);
    let _served = host.serve();
    host.ok(&["submit", "--no-start", "--", "true"]);
}

#[test]
fn service_outlives_the_terminal_of_whoever_started_it() {
    let host = Host::new();
    // A group that is killed as a whole, as at the end of a session.
    let line = "exeng submit -- sleep 1000; kill -9 0";
    let mut shell = host.shell(line);
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let done = finish(shell.spawn().unwrap(), line);
    assert_eq!(done.code, Some(-9), "{done:?}");
    let pid = host.service().expect("it is still there");
    until("it answers", || host.show("@last")["status"] == "running");
    assert_eq!(host.service(), Some(pid));
}

#[test]
fn service_holds_nothing_of_whoever_started_it() {
    let host = Host::new();
    let (lock, directory) = (host.file("lock"), host.dir().join("left"));
    fs::create_dir(&directory).unwrap();
    // The lock of a script must be free when the script has ended.
    let line = format!("exec 9>'{lock}'; flock -n 9 && exeng submit -- true");
    let mut shell = host.shell(&line);
    shell.current_dir(&directory);
    finish(shell.spawn().unwrap(), &line).ok();
    assert!(host.service().is_some());
    host.sh(&format!("exec 9>'{lock}'; flock -n 9 && echo free")).ok();
    for pid in host.keepers().into_iter().chain(host.service()) {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        assert_ne!(cwd, directory, "process {pid}");
    }
}

#[test]
fn programs_have_a_state_that_whoever_started_the_service_did_not_choose() {
    let host = Host::new();
    let look = "umask; ulimit -S -f; ulimit -S -t; ulimit -S -c";
    let lines = |text: String| text.lines().map(str::to_string).collect::<Vec<_>>();
    let hard = lines(host.sh("ulimit -H -f; ulimit -H -t").ok());
    let expected = |umask: &str| [umask, &hard[0], &hard[1], "0"].map(str::to_string);
    // A limit of 0 bytes would end the service at its first write.
    let caller = "umask 000; ulimit -S -f 0; ulimit -S -t 3600; ulimit -S -c 7; exec nice -n 3";
    host.sh(&format!("{caller} exeng submit --wait -- true")).ok();
    for pid in host.keepers().into_iter().chain(host.service()) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("Umask:\t0022"), "{status}");
    }
    let run = |before: &str, option: &str| {
        lines(host.sh(&format!("{before}; exeng submit --follow {option} --shell '{look}'")).ok())
    };
    assert_eq!(run("umask 027", ""), expected("0027"));
    assert_eq!(run("umask 027", "--limit umask=077"), expected("0077"));
    assert_eq!(run("umask 027; ulimit -S -t 99", "--limit cpu=5s")[2], "5");
    if rustix::process::geteuid().is_root() {
        assert_eq!(host.ok(&["submit", "--follow", "--", "nice"]), "0");
    }
}

#[test]
fn failure_of_the_service_is_told_to_whoever_started_it() {
    let host = Host::new();
    host.configure("max_runing = 3");
    let said = host.exeng(&["submit", "--", "true"]).refused();
    assert!(said.contains("max_runing"), "{said}");
    assert!(said.contains(host.state().join("config.toml").to_str().unwrap()), "{said}");
}

#[test]
fn secret_files_are_for_their_owner_whatever_the_umask() {
    let host = Host::new();
    host.sh("umask 0; exeng submit --wait --env TOKEN=hunter2 -- true").ok();
    host.sh("umask 0; exeng submit -- sleep 1000").ok();
    until("it runs", || host.show("@last")["status"] == "running");
    fn check(dir: &std::path::Path) -> u32 {
        let mut count = 0;
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let Ok(found) = path.symlink_metadata() else { continue };
            let mode = found.permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
            count += 1 + if found.is_dir() { check(&path) } else { 0 };
        }
        count
    }
    assert_eq!(host.state().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(check(host.state()) > 5);
}

#[test]
fn long_state_directory_is_no_obstacle() {
    let host = Host::at(&format!("{}/{}", "a".repeat(120), "b".repeat(120)));
    let id = host.submit("echo here");
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert_eq!(host.ok(&["logs", &id]), "here");
}

#[test]
fn service_that_was_killed_is_started_again_by_the_next_verb() {
    let host = Host::new();
    let id = host.submit("sleep 1000");
    until("it runs", || host.show(&id)["status"] == "running");
    let (first, keepers) = (host.service().unwrap(), host.keepers());
    send(first, Signal::KILL);
    until("it is gone", || host.service() != Some(first));
    assert_eq!(host.show(&id)["status"], "running");
    assert_ne!(host.service().unwrap(), first);
    assert_eq!(host.keepers(), keepers);
}

#[test]
fn what_waits_says_why_no_keeper_can_be_started() {
    let host = Host::new();
    host.configure("");
    // With something in it that is not known, only its owner closes it to others.
    let owned = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(host.state(), owned).unwrap();
    let keepers = host.state().join("keepers");
    std::os::unix::fs::symlink(host.dir().join("nowhere"), &keepers).unwrap();
    let id = host.submit("echo ran");
    until("the reason is shown", || host.show(&id)["start_error"].is_string());
    let text = host.show(&id)["start_error"].as_str().unwrap().to_string();
    assert!(text.contains(keepers.to_str().unwrap()), "{text}");
    assert!(host.ok(&["show", &id]).contains(&text));
    let doctor = host.exeng(&["doctor"]);
    assert!(doctor.code == Some(125) && doctor.text().contains(&text), "{doctor:?}");
    let said = fs::read_to_string(host.state().join("service.log")).unwrap();
    assert_eq!(said.matches("stay in the queue").count(), 1, "{said}");

    fs::remove_file(&keepers).unwrap();
    assert_eq!(host.exeng(&["wait", &id]).code, Some(0));
    assert!(host.show(&id)["start_error"].is_null());
    let report: serde_json::Value =
        serde_json::from_str(&host.exeng(&["doctor", "--json"]).text()).unwrap();
    let has_error = |problem: &serde_json::Value| problem["error"] == true;
    assert!(!report["problems"].as_array().unwrap().iter().any(has_error), "{report}");
}

#[test]
fn service_whose_program_was_removed_still_starts_keepers() {
    let host = Host::new();
    let program = host.dir().join("exeng-copy");
    fs::copy(env!("CARGO_BIN_EXE_exeng"), &program).unwrap();
    let mut serve = host.shell(&format!("exec '{}' serve", program.display()));
    let _served = crate::support::Served::new(serve.spawn().unwrap());
    host.ok(&["submit", "--wait", "--", "true"]);
    for replaced in [false, true] {
        let _gone = fs::remove_file(&program);
        if replaced {
            fs::write(&program, "no program").unwrap();
        }
        for keeper in host.keepers() {
            send(keeper, Signal::KILL);
        }
        let left = || fs::read_dir(host.state().join("keepers")).unwrap().count();
        until("the service knows it", || left() == 0);
        let done = host.exeng(&["submit", "--follow", "--", "echo", "ran"]);
        assert!(done.code == Some(0) && done.out == b"ran\n"[..], "{done:?}");
    }
}

#[test]
fn log_of_the_service_says_when() {
    let host = Host::new();
    let before = chrono::Utc::now();
    host.ok(&["ls"]);
    let log = fs::read_to_string(host.state().join("service.log")).unwrap();
    let line = log.lines().find(|line| line.contains("ready on")).expect("a line");
    let (time, _) = line.strip_prefix("exeng: ").unwrap().split_once(": ").unwrap();
    let time = chrono::DateTime::parse_from_rfc3339(time).unwrap();
    // It is written in whole milliseconds.
    assert!(
        time > before - chrono::TimeDelta::milliseconds(1) && time <= chrono::Utc::now(),
        "{line}"
    );
}

#[test]
fn service_that_could_serve_nobody_for_lack_of_descriptors_is_refused() {
    let host = Host::new();
    for limit in [18, 32, 63] {
        let said = host.sh(&format!("ulimit -n {limit}; exec exeng ls")).refused();
        assert!(said.contains("ulimit"), "{limit}: {said}");
        assert_eq!(host.service(), None);
    }
    host.sh("ulimit -n 64; exec exeng submit --wait -- true").ok();
}
