//! `service`: the unit of systemd. Its programs are played by scripts that note what they are asked for
//! and run the unit; systemd-analyze judges the unit itself.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Done, Host, finish, until};

const PLAYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verbs/systemd");

/// A host with a systemd that is played.
struct Systemd {
    host: Host,
    groups: Groups,
}

/// The control groups of scopes, whose names are in a file. Dropped after the host: its end removes them.
struct Groups {
    _dir: tempfile::TempDir,
    file: PathBuf,
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in fs::read_to_string(&self.file).unwrap_or_default().lines() {
            until("the scope is empty", || {
                let _busy = fs::remove_dir(Path::new(group).join("keeper"));
                !matches!(fs::remove_dir(group), Err(error) if error.kind() != ErrorKind::NotFound)
            });
        }
    }
}

impl Systemd {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("groups");
        Self { host: Host::at("state 100%"), groups: Groups { _dir: dir, file } }
    }

    /// Returns a file of the systemd that is played.
    fn file(&self, name: &str) -> PathBuf {
        self.groups.file.with_file_name(name)
    }

    fn unit(&self) -> PathBuf {
        self.host.dir().join("config/systemd/user/exeng.service")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.host.command(args);
        command.env("XDG_CONFIG_HOME", self.host.dir().join("config"));
        command.env("EXENG_TEST_SYSTEMD", self.file(""));
        command.env("PATH", format!("{PLAYED}:{}", std::env::var("PATH").unwrap()));
        command
    }

    fn exeng(&self, args: &[&str]) -> Done {
        finish(self.command(args).spawn().unwrap(), &format!("{args:?}"))
    }

    fn noted(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// A keeper has taken its scope over, and the programs are in groups beside its own.
    fn assert_scope_is_used(&self, keeper: u32, id: &str) {
        let groups = self.noted("groups");
        let Some(scope) = groups.lines().next() else {
            return println!("SKIPPED: control groups cannot be made here");
        };
        let scope = Path::new(scope).file_name().unwrap().to_str().unwrap();
        let mut pid = String::new();
        until("the program runs", || {
            pid = self.exeng(&["logs", id]).text();
            !pid.is_empty()
        });
        let group_of = |pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let (of_keeper, of_program) = (group_of(keeper), group_of(pid.parse().unwrap()));
        assert!(of_keeper.contains(&format!("/{scope}/keeper\n")), "{of_keeper}");
        assert!(of_program.contains(&format!("/{scope}/execution-engine.")), "{of_program}");
    }

    fn status(&self) -> (Option<i32>, Value) {
        let done = self.exeng(&["service", "status", "--json"]);
        (done.code, serde_json::from_str(&done.text()).unwrap())
    }
}

#[test]
fn programs_outlive_the_unit_and_its_restarts() {
    let systemd = Systemd::new();
    let done = systemd.exeng(&["service", "install"]);
    let may_linger = Path::new("/var/lib/systemd/linger").exists();
    assert!(done.err.contains("loginctl enable-linger") || may_linger, "{done:?}");
    assert_eq!(done.code, Some(0), "{done:?}");
    // Where systemd is process 1, it is not asked whether it is there.
    let calls = systemd.noted("calls").replace("--user show-environment\n", "");
    let expected =
        "--user daemon-reload\n--user enable exeng.service\n--user restart exeng.service\n";
    assert_eq!(calls, expected);
    let (code, status) = systemd.status();
    assert_eq!(
        (code, &status["active"], &status["enabled"]),
        (Some(0), &"active".into(), &"enabled".into())
    );
    assert_eq!(status["pid"], systemd.host.service().unwrap());

    // Its keeper is in a scope of its own, and so not in the group of the unit.
    let go = systemd.host.file("go");
    let line = format!("echo $$; until [ -e '{go}' ]; do sleep 0.05; done; echo ended; exit 7");
    let id = systemd.exeng(&["submit", "--no-start", "--shell", &line]).ok();
    let keepers = || systemd.host.keepers();
    until("a keeper runs", || keepers().len() == 1);
    let (scopes, keeper) = (systemd.noted("scopes"), keepers());
    assert_eq!(scopes.lines().count(), 1, "{scopes}");
    for part in ["--user --scope", "--unit=exeng-keeper-", "--property=Delegate=yes"] {
        assert!(scopes.contains(part), "{scopes}");
    }
    systemd.assert_scope_is_used(keeper[0], &id);

    systemd.exeng(&["service", "stop"]).ok();
    assert_eq!((systemd.host.service(), keepers()), (None, keeper.clone()));
    let (code, status) = systemd.status();
    assert_eq!(
        (code, &status["active"], &status["pid"]),
        (Some(3), &"inactive".into(), &Value::Null)
    );
    systemd.exeng(&["service", "start"]).ok();
    systemd.exeng(&["service", "restart"]).ok();
    assert_eq!(keepers(), keeper);
    fs::write(go, "").unwrap();
    assert_eq!(systemd.exeng(&["wait", "--no-start", &id]).code, Some(7));
    assert!(systemd.exeng(&["logs", &id]).text().ends_with("\nended"));

    systemd.exeng(&["service", "uninstall"]).ok();
    assert!(!systemd.unit().exists() && systemd.host.service().is_none());
    assert_eq!(systemd.host.show(&id)["exit_code"], 7, "nothing stored is removed");
    let said = systemd.exeng(&["service", "uninstall"]).refused();
    assert!(said.contains("exeng service install"), "{said}");
}

#[test]
fn service_that_a_verb_has_started_is_replaced_and_its_programs_go_on() {
    let systemd = Systemd::new();
    let go = systemd.host.file("go");
    let id = systemd.host.submit(&format!("until [ -e '{go}' ]; do sleep 0.05; done; exit 3"));
    let before = systemd.host.service().unwrap();
    systemd.exeng(&["service", "install"]).ok();
    let of_unit: u32 = systemd.noted("pid").parse().unwrap();
    assert_ne!(before, of_unit);
    assert_eq!(systemd.host.service(), Some(of_unit));
    fs::write(go, "").unwrap();
    assert_eq!(systemd.exeng(&["wait", "--no-start", &id]).code, Some(3));
    // And so is one that a verb has started while the unit was stopped.
    systemd.exeng(&["service", "stop"]).ok();
    systemd.host.ok(&["ls"]);
    systemd.exeng(&["service", "start"]).ok();
    assert_eq!(systemd.host.service(), Some(systemd.noted("pid").parse().unwrap()));
}

#[test]
fn keeper_is_started_without_a_scope_where_systemd_makes_none() {
    let systemd = Systemd::new();
    fs::create_dir(systemd.file("bin")).unwrap();
    std::os::unix::fs::symlink(Path::new(PLAYED).join("systemctl"), systemd.file("bin/systemctl"))
        .unwrap();
    std::os::unix::fs::symlink("/bin/false", systemd.file("bin/systemd-run")).unwrap();
    let path = format!("{}:{}", systemd.file("bin").display(), std::env::var("PATH").unwrap());
    let run = |args: &[&str]| {
        let mut command = systemd.command(args);
        finish(command.env("PATH", &path).spawn().unwrap(), &format!("{args:?}"))
    };
    run(&["service", "install"]).ok();
    assert_eq!(run(&["submit", "--wait", "--no-start", "--shell", "exit 5"]).code, Some(5));
    assert!(systemd.noted("log").contains("systemd starts no keeper in a scope"));
}

#[test]
fn host_without_systemd_is_told_what_else_there_is() {
    let systemd = Systemd::new();
    let run = |args: &[&str]| {
        let mut command = systemd.command(args);
        finish(command.env("PATH", systemd.host.dir()).spawn().unwrap(), &format!("{args:?}"))
    };
    let said = run(&["service", "install"]).refused();
    assert!(said.contains("no systemd") && said.contains("exeng serve"), "{said}");
    assert!(!systemd.unit().exists());

    // Without a unit the verbs are about the service that others start.
    let (code, status) = systemd.status();
    assert_eq!((code, &status["pid"], &status["unit"]), (Some(3), &Value::Null, &Value::Null));
    run(&["service", "start"]).ok();
    let first = systemd.host.service().unwrap();
    assert!(run(&["service", "status"]).ok().contains(&format!("running (process {first})")));
    run(&["service", "restart"]).ok();
    assert_ne!(systemd.host.service().unwrap(), first);
    run(&["service", "stop"]).ok();
    assert_eq!(systemd.host.service(), None);
    run(&["service", "stop"]).ok();
}

#[test]
fn systemctl_that_fails_is_quoted() {
    let systemd = Systemd::new();
    systemd.exeng(&["service", "install"]).ok();
    let unit = fs::read_to_string(systemd.unit()).unwrap();
    fs::write(systemd.unit(), unit.replace("serve", "no-such-verb")).unwrap();
    let said = systemd.exeng(&["service", "restart"]).refused();
    assert!(
        said.contains("Job for exeng.service failed.") && said.contains("journalctl --user"),
        "{said}"
    );
}

#[test]
fn unit_passes_the_check_of_systemd() {
    let systemd = Systemd::new();
    let file = systemd.file("exeng.service");
    for (instance, options) in
        [("--user", &[][..]), ("--system", &["--system", "--user", "daemon"])]
    {
        let line = [&["service", "install", "--dry-run"], options].concat();
        let text = systemd.exeng(&line).ok();
        fs::write(&file, format!("{text}\n")).unwrap();
        assert!(!systemd.unit().exists(), "nothing is installed");
        let state = "state 100%%";
        assert!(text.contains(state), "{text}");
        assert_eq!(text.contains("\nUser=daemon\n"), instance == "--system", "{text}");
        #[expect(clippy::disallowed_methods, reason = "the judge is no execution")]
        let mut judge = Command::new("systemd-analyze");
        judge.args([instance, "verify"]).arg(&file).env("XDG_RUNTIME_DIR", systemd.host.dir());
        match judge.output() {
            Err(error) => println!("SKIPPED: systemd-analyze: {error}"),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && !said.contains("exeng.service"), "{said}");
                assert!(!said.contains("does not match"), "{said}");
            }
        }
    }
    let said = systemd.exeng(&["service", "install", "--user", "daemon"]);
    assert_eq!(said.code, Some(125), "{said:?}");
}
