//! Sockets that another user listens on.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{Host, finish};

const NOBODY: u32 = 65534;

/// Listens, says so, and prints what the first client sends before it closes the connection.
const LISTENER: &str = "
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print('ready', flush=True)
client, _ = listener.accept()
print(client.recv(65536), flush=True)
";

/// A listener of another user. Dropping it kills it.
struct Stranger {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Stranger {
    #[expect(clippy::disallowed_methods, reason = "the listener is no execution")]
    fn listen(socket: &Path) -> Self {
        let id = NOBODY.to_string();
        let user = ["--reuid", &id, "--regid", &id, "--clear-groups"];
        let mut command = Command::new("setpriv");
        command.args(user).args(["/usr/bin/env", "python3", "-c", LISTENER]).arg(socket);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut stranger = Self { child, said };
        assert_eq!(stranger.line(), "ready\n");
        stranger
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn nothing_is_sent_to_a_service_of_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can let another user listen");
        return;
    }
    for args in [&["submit", "--", "true"][..], &["ls"], &["serve"]] {
        let host = Host::new();
        fs::set_permissions(host.dir(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(host.state()).unwrap();
        chown(host.state(), Some(NOBODY), Some(NOBODY)).unwrap();
        let socket = host.state().join("exeng.sock");
        let mut stranger = Stranger::listen(&socket);
        let mut command = host.command(args);
        command.env("TOKEN", "hunter2");
        let said = finish(command.spawn().unwrap(), "exeng of root").refused();
        if args != ["serve"] {
            assert!(said.contains(socket.to_str().unwrap()), "{said}");
            assert!(said.contains("user 65534") && said.contains("user 0"), "{said}");
        }
        assert!(said.contains("EXENG_STATE_DIR"), "{said}");
        // Where no connection was made, this one ends the wait.
        drop(UnixStream::connect(&socket));
        assert_eq!(stranger.line(), "b''\n", "{args:?}");
    }
}

#[test]
fn directory_of_a_project_is_not_closed_for_a_socket_in_it() {
    let host = Host::new();
    let project = host.dir().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("config.toml"), "").unwrap();
    fs::set_permissions(&project, Permissions::from_mode(0o755)).unwrap();
    let mode = || fs::metadata(&project).unwrap().permissions().mode() & 0o7777;
    let submit = |name: &str, value: &str| {
        let mut command = host.command(&["submit", "--", "true"]);
        command.current_dir(&project).env(name, value);
        finish(command.spawn().unwrap(), name).refused()
    };
    for socket in ["x.sock", "/tmp/execution-engine-test.sock"] {
        let said = submit("EXENG_SOCKET", socket);
        assert!(said.contains("the directory of the socket"), "{said}");
        assert!(said.contains("--socket") && !said.contains("chmod"), "{said}");
    }
    fs::write(project.join("main.rs"), "").unwrap();
    let said = submit("EXENG_STATE_DIR", ".");
    assert!(said.contains("can be entered by other users"), "{said}");
    assert_eq!(mode(), 0o755);
}
