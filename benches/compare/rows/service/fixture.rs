//! A service to measure, and clients of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use service_judge::http::{Answer, Connection};
use service_judge::preload::command;
use service_judge::service::{Server, Service};
use tempfile::TempDir;

use crate::child::Cmd;

/// Builds `exeng` as it is used, and returns its path.
pub fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = command(cargo);
    build
        .args(["build", "--release", "--package", "exeng"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(build.status().expect("cargo runs").success(), "exeng cannot be built");
    // This program is target/release/deps/compare-…
    let me = std::env::current_exe().expect("this program has a path");
    let dir = me.parent().and_then(Path::parent).expect("a directory of builds");
    let exeng = dir.join("exeng");
    assert!(exeng.exists(), "{} was not built", exeng.display());
    exeng
}

/// A running service on a state directory of its own.
pub struct Bench {
    pub service: Service,
    server: Option<Server>,
    /// Kept until the service has ended.
    _dir: TempDir,
}

impl Bench {
    pub fn start(exeng: &Path) -> Self {
        Self::start_with(exeng, "", |_, service| service)
    }

    /// Starts a service with a configuration, and with a change that gets the directory.
    pub fn start_with(
        exeng: &Path,
        config: &str,
        change: impl FnOnce(&Path, Service) -> Service,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("state");
        let service = change(dir.path(), Service::new(exeng, &state));
        if !config.is_empty() {
            service_judge::service::private_dir(&state);
            std::fs::write(state.join("config.toml"), config).expect("it is written");
        }
        let server = Some(service.serve());
        Self { service, server, _dir: dir }
    }

    pub fn connect(&self) -> Connection {
        self.service.socket().connect().expect("it serves")
    }

    /// Starts the service anew and returns the seconds until it was ready.
    pub fn restart(&mut self) -> f64 {
        self.server.take().expect("it runs").stop();
        let begun = Instant::now();
        self.server = Some(self.service.serve());
        begun.elapsed().as_secs_f64()
    }

    /// Returns the process ids of the service and of its keeper.
    pub fn processes(&self) -> [u32; 2] {
        let keepers = self.service.keepers();
        let [(keeper, _)] = keepers[..] else { panic!("one keeper: {keepers:?}") };
        [self.server.as_ref().expect("it runs").pid(), keeper]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.service.stop_all(self.server.take());
        }
    }
}

/// Returns the body of a request for a program.
pub fn body(cmd: &Cmd) -> Value {
    let program = match cmd.program.as_str() {
        "true" => "/bin/true",
        other => other,
    };
    json!({"request": {
        "command": {"type": "exec", "program": program, "args": cmd.args},
        "working_dir": "/",
        "timeout_ms": u64::MAX,
        "metadata": {"tags": ["bench"]},
    }})
}

/// Submits and returns the id, with the seconds to the durable answer.
pub fn submit(connection: &mut Connection, body: &Value) -> (String, f64) {
    let begun = Instant::now();
    let answer = connection.request("POST", "/v1/executions", &[], Some(body)).expect("an answer");
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    (answer.json()["id"].as_str().expect("an id").to_string(), took)
}

pub fn get(connection: &mut Connection, target: &str) -> Answer {
    let answer = connection.request("GET", target, &[], None).expect("an answer");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer
}

/// Waits for the end of an execution.
pub fn wait(connection: &mut Connection, id: &str) -> Value {
    let view = get(connection, &format!("/v1/executions/{id}/wait?timeout=100000")).json();
    assert_eq!(view["status"], "completed", "{view}");
    view
}

/// Lets `width` clients do `total` pieces of work on a connection each, and returns what they return.
pub fn clients<T: Send>(
    bench: &Bench,
    total: usize,
    width: usize,
    work: impl Fn(&mut Connection) -> T + Sync,
) -> Vec<T> {
    let taken = AtomicUsize::new(0);
    let client = || {
        let mut connection = bench.connect();
        let mut results = Vec::new();
        while taken.fetch_add(1, Ordering::Relaxed) < total {
            results.push(work(&mut connection));
        }
        results
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..width).map(|_| scope.spawn(client)).collect();
        all.into_iter().flat_map(|client| client.join().expect("it does not panic")).collect()
    })
}
