//! The driver between a test and its app, and what becomes of the test when the driver fails.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::runtime::Builder;

use super::processes::{Processes, kill, terminate};
use super::{free_port, until};

/// How often a test may begin.
const BEGINNINGS: u32 = 3;
/// Longer than any test takes on a very busy machine.
const LONGEST_TEST: Duration = Duration::from_secs(600);
/// Longest time of the one question about a session.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// A session was lost whose app went on.
    static LOST: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test. It begins anew, with another app, if a driver has lost the session of an app that went on
/// with its page: `WebKitWebDriver` does so when the process of WebKit for the network ends.
pub fn in_window(test: impl AsyncFn()) {
    for beginning in 1.. {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(bounded(test())))) {
            Ok(()) => return,
            Err(_) if LOST.take() && beginning < BEGINNINGS => {
                println!("the driver has lost the session; the test begins anew");
            }
            Err(failed) => resume_unwind(failed),
        }
    }
}

/// Fails a test that takes longer than any: a call of the driver may wait for ever.
async fn bounded(test: impl Future<Output = ()>) {
    // Dropped while the thread panics, so that its driver notes what became of the session.
    let mut test = pin!(test);
    let ended = tokio::time::timeout(LONGEST_TEST, test.as_mut()).await;
    assert!(ended.is_ok(), "the test has not ended in {LONGEST_TEST:?}");
}

/// The `tauri-driver` process. Stopped with SIGTERM, because after a SIGKILL its `WebKitWebDriver`
/// would keep running.
pub struct Driver {
    child: Child,
    port: u16,
    /// The session, and the processes at its begin.
    pub session: Option<(String, Processes)>,
}

impl Driver {
    /// Starts one for apps with these environment variables, and waits until it listens.
    pub async fn start(env: &[(&str, &Path)]) -> Self {
        let (port, native) = (free_port(), free_port());
        let child = Command::new("tauri-driver")
            .args(["--port", &port.to_string(), "--native-port", &native.to_string()])
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .spawn()
            .expect("tauri-driver: cargo install tauri-driver --version '^2' --locked");
        let driver = Self { child, port, session: None };
        // tauri-driver accepts calls before WebKitWebDriver does, and fails them.
        until("both drivers listen", async || {
            [port, native].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
        })
        .await;
        driver
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Notes the session, and the processes that it has now.
    pub fn begin(&mut self, session: String) {
        self.session = Some((session, Processes::of(self.child.id())));
    }

    /// Returns `true` if there is a driver that knows the session.
    fn knows(&self, session: &str) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let request = format!(
                "GET /session/{session}/url HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        match ask() {
            Ok(answer) => !answer.is_empty() && !answer.contains("invalid session id"),
            // A page that hangs lets the driver wait, which is the fault of the app.
            Err(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        }
    }
}

/// Notes the loss of the session if the test has failed.
impl Drop for Driver {
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| std::thread::panicking());
        // Without that process the driver may also wait for ever.
        let lost = session
            .filter(|(session, processes)| processes.network_has_ended() || !self.knows(session));
        terminate(self.child.id());
        let _ended = self.child.wait();
        if let Some((_, processes)) = lost {
            LOST.set(processes.app_goes_on());
            // A driver without the session does not end the app.
            processes.living().into_iter().for_each(kill);
        }
    }
}
