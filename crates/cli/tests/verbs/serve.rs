//! `serve`: the service in the foreground.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Done, Host, PATIENCE, Served, finish, send, until};

#[test]
fn ready_line_names_socket_and_process() {
    let host = Host::new();
    let served = host.serve();
    let socket = host.state().join("exeng.sock");
    let expected = format!("exeng: ready on {} (process {})\n", socket.display(), served.pid());
    assert_eq!(served.line, expected);
    assert_eq!(host.service(), Some(served.pid()));
}

#[test]
fn second_service_is_refused_and_names_the_first() {
    let host = Host::new();
    let served = host.serve();
    let said = host.exeng(&["serve"]).refused();
    assert!(said.contains(&served.pid().to_string()), "{said}");
    host.ok(&["submit", "--no-start", "--wait", "--", "true"]);
}

#[test]
fn socket_of_another_service_is_not_taken() {
    let (host, other) = (Host::new(), Host::new());
    let served = host.serve();
    let socket = host.state().join("exeng.sock");
    let said = other.exeng(&["serve", "--socket", socket.to_str().unwrap()]).refused();
    assert!(said.contains("another state directory"), "{said}");
    assert_eq!(host.service(), Some(served.pid()));
    host.ok(&["ls", "--no-start"]);
    // Neither is a file that is no socket.
    let file = other.state().join("precious");
    fs::write(&file, "precious").unwrap();
    let said = other.exeng(&["serve", "--socket", file.to_str().unwrap()]).refused();
    assert!(said.contains("precious"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn stale_socket_and_lock_are_no_obstacle() {
    let host = Host::new();
    let served = host.serve();
    let socket = host.state().join("exeng.sock");
    assert_eq!(served.end(Signal::KILL).code, Some(-9));
    assert!(socket.exists() && host.state().join("lock").exists(), "they are left over");
    let served = host.serve();
    host.ok(&["ls", "--no-start"]);
    assert_eq!(served.end(Signal::TERM).code, Some(0));
    assert!(!socket.exists());
}

#[test]
fn end_of_the_service_is_not_held_up_by_followers_and_leaves_what_runs() {
    let host = Host::new();
    let served = host.serve();
    let id = host.submit("echo line; sleep 1000");
    let [text, events] = ["text", "events"].map(|name| host.file(name));
    let follow = |options: &str, file: &str| {
        let line = format!("exec exeng logs -f --no-start {options} {id} >'{file}'");
        let child = host.shell(&line).spawn().unwrap();
        until("it follows", || fs::read_to_string(file).is_ok_and(|text| text.contains("line")));
        (child, line)
    };
    let followers = [follow("", &text), follow("--json", &events)];
    let keepers = host.keepers();
    let begin = Instant::now();
    assert_eq!(served.end(Signal::TERM).code, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_eq!(host.keepers(), keepers, "the programs go on");
    let _served = host.serve();
    assert_eq!(host.show(&id)["status"], "running");
    host.ok(&["stop", &id]);
    for (child, line) in followers {
        finish(child, &line).ok();
    }
    assert_eq!(fs::read_to_string(&text).unwrap(), "line\n");
    let events = fs::read_to_string(&events).unwrap();
    assert_eq!(events, host.ok(&["logs", "--json", &id]) + "\n");
}

#[test]
fn service_that_is_stopped_is_told_once_and_waited_for() {
    let host = Host::new();
    let served = host.serve();
    send(served.pid(), Signal::STOP);
    let mut child = host.command(&["ls"]).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || stderr.lines().try_for_each(|line| sender.send(line.unwrap())));
    let said = lines.recv_timeout(PATIENCE);
    send(served.pid(), Signal::CONT);
    let expected = format!("exeng: waiting for the service (process {})..", served.pid());
    assert_eq!(said.as_deref(), Ok(&*expected));
    assert_eq!(finish(child, "ls").code, Some(0));
    assert!(lines.recv_timeout(PATIENCE).is_err(), "it is told once");
}

#[test]
fn socket_that_is_removed_is_made_again() {
    let host = Host::new();
    // In a directory of its own, which goes with a session.
    let run = host.dir().join("run/exeng");
    let socket = run.join("exeng.sock");
    let with_socket = |args: &[&str]| {
        let mut command = host.command(args);
        command.env("EXENG_SOCKET", &socket);
        finish(command.spawn().unwrap(), "exeng")
    };
    with_socket(&["submit", "--wait", "--", "true"]).ok();
    let pid = host.service();
    for gone in [&socket, &run] {
        if gone.is_dir() {
            fs::remove_dir_all(gone).unwrap();
        } else {
            fs::remove_file(gone).unwrap();
        }
        with_socket(&["submit", "--wait", "--", "true"]).ok();
        assert_eq!(host.service(), pid);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&run), mode(&socket)), (0o700, 0o600));
    }

    // A client that looks in another place is told at once, and not to end a service that works.
    let begun = Instant::now();
    let said = host.exeng(&["ls"]).refused();
    assert!(begun.elapsed() < PATIENCE / 2, "{said}");
    assert!(said.contains(&format!("--socket {}", socket.display())), "{said}");
    assert!(!said.contains("kill") && !said.contains("end it"), "{said}");
    let doctor = host.exeng(&["doctor"]);
    assert!(doctor.code == Some(125) && doctor.text().contains("--socket"), "{doctor:?}");
}

/// A service whose state and socket are where the XDG directories say.
struct Session {
    host: Host,
    runtime: PathBuf,
}

impl Session {
    fn new() -> Self {
        let host = Host::at("state/exeng");
        let runtime = host.dir().join("run/1000");
        fs::create_dir_all(&runtime).unwrap();
        Self { host, runtime }
    }

    /// Runs the program with an `XDG_RUNTIME_DIR` or without one.
    fn exeng(&self, runtime: Option<&Path>, args: &[&str]) -> Done {
        let mut command = self.host.command(args);
        command.env_remove("EXENG_STATE_DIR").env_remove("XDG_RUNTIME_DIR");
        command.env("XDG_STATE_HOME", self.host.state().parent().unwrap());
        command.env("XDG_CONFIG_HOME", self.host.dir().join("config"));
        command.envs(runtime.map(|dir| ("XDG_RUNTIME_DIR", dir)));
        finish(command.spawn().unwrap(), &format!("exeng {args:?}"))
    }

    fn socket(&self) -> PathBuf {
        self.runtime.join("exeng/exeng.sock")
    }
}

#[test]
fn service_is_the_same_with_and_without_a_session() {
    let session = Session::new();
    let id = session.exeng(Some(&session.runtime), &["submit", "--wait", "--", "true"]).ok();
    assert!(session.socket().exists());
    let pid = session.host.service();
    // From cron, or after the variable has outlived its directory.
    let gone = session.host.dir().join("run/1001");
    for runtime in [None, Some(&*gone)] {
        assert!(session.exeng(runtime, &["show", "--no-start", &id]).ok().contains(&id));
    }
    assert!(!gone.exists() && session.host.service() == pid);
}

#[test]
fn service_is_found_when_the_directory_of_the_session_has_gone() {
    let session = Session::new();
    let id = session.exeng(Some(&session.runtime), &["submit", "--wait", "--", "true"]).ok();
    let pid = session.host.service();
    // Only root can make it again. A file in its place holds root back, too.
    fs::remove_dir_all(&session.runtime).unwrap();
    fs::write(&session.runtime, "").unwrap();
    let spare = session.host.state().join("exeng.sock");
    until("it listens in the state directory", || spare.exists());
    for runtime in [None, Some(&*session.runtime)] {
        assert!(session.exeng(runtime, &["show", "--no-start", &id]).ok().contains(&id));
    }
    // The next session has the socket where it belongs.
    fs::remove_file(&session.runtime).unwrap();
    fs::create_dir(&session.runtime).unwrap();
    until("it is back", || session.socket().exists() && !spare.exists());
    for runtime in [None, Some(&*session.runtime)] {
        assert!(session.exeng(runtime, &["show", "--no-start", &id]).ok().contains(&id));
    }
    let doctor = session.exeng(Some(&session.runtime), &["doctor", "--json"]);
    let doctor: serde_json::Value = serde_json::from_str(&doctor.text()).unwrap();
    assert_eq!(doctor["service"]["pid"], session.host.service().unwrap());
    assert_eq!(session.host.service(), pid);
}

#[test]
fn end_of_a_service_leaves_the_socket_of_the_one_that_took_its_name() {
    let (host, other) = (Host::new(), Host::new());
    let socket = host.dir().join("run/exeng.sock");
    let serve = |host: &Host| {
        let mut command = host.command(&["serve"]);
        Served::new(command.env("EXENG_SOCKET", &socket).spawn().unwrap())
    };
    let list = |host: &Host| {
        let mut command = host.command(&["ls", "--no-start"]);
        finish(command.env("EXENG_SOCKET", &socket).spawn().unwrap(), "ls").ok()
    };
    let first = serve(&host);
    // It knows its socket when it answers.
    list(&host);
    // So that it does not make it again at once.
    send(first.pid(), Signal::STOP);
    fs::remove_file(&socket).unwrap();
    let second = serve(&other);
    send(first.pid(), Signal::CONT);
    let spare = host.state().join("exeng.sock");
    until("the first has another one", || spare.exists());
    assert_eq!(first.end(Signal::TERM).code, Some(0));
    assert!(!spare.exists());
    list(&other);
    assert_eq!(second.end(Signal::TERM).code, Some(0));
    assert!(!socket.exists());
}
