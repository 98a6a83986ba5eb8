//! One server process, below a shell that outlives neither it nor the test.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Starts the server, tells its number, and kills it when standard input ends: when the test wants
/// it, or when the test process is gone. The shell waits for it, so that its number stays its own.
const GUARD: &str = r#"config=$1 log=$2; shift 2
"$@" -c "$config" -l "$log" </dev/null >/dev/null & echo $!; read -r _; kill -KILL $!; wait $!"#;

/// A server that runs. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    guard: Child,
    stdin: Option<ChildStdin>,
    pid: u32,
}

impl Process {
    pub(crate) fn start(enter: &[String], binary: &Path, config: &Path, log: &Path) -> Self {
        File::create(log).unwrap();
        let mut guard = command("sh")
            .args(["-c", GUARD, "guard"])
            .args([config, log])
            .args(enter)
            .arg(binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        let stdin = guard.stdin.take();
        Self { guard, stdin, pid }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(Pid::from_raw(self.pid.cast_signed()).unwrap(), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        // Its status is that of a killed process.
        let _killed = self.guard.wait();
    }
}

/// Returns the server of the tests; installs it if it is not there.
///
/// # Panics
///
/// If that fails.
pub fn install() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/fleet-nats/servers/install.sh");
    let output = command("sh").arg(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{script} failed; it needs Python 3 with venv and pip");
    String::from_utf8(output.stdout).unwrap().trim().into()
}

#[expect(clippy::disallowed_methods, reason = "a server of a test is not the engine's to run")]
fn command(program: &str) -> Command {
    Command::new(program)
}
