//! A state directory of a test, services in it, and the roles of this binary.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use execution_engine::*;
use execution_engine_keeper::{KeeperInfo, KeeperOptions, keepers, run};
use execution_engine_server::*;
use tempfile::TempDir;
use test_support::host::{self, Host};
use test_support::{is_alive, kill, soon, until};
use uuid::Uuid;

/// User id that the tests submit with.
pub(crate) const OWNER: u32 = 1000;

/// A state directory. Keepers that are left in it die with it.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) config: Config,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), config: Config::default() }
    }

    /// Lets so many programs run at a time.
    pub(crate) fn max_running(mut self, number: usize) -> Self {
        self.config.max_running = number;
        self
    }

    /// Returns a path beside the state.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.file("state")
    }

    pub(crate) fn options(&self) -> ServiceOptions {
        options(&self.state(), self.config.clone())
    }

    pub(crate) async fn open(&self) -> Service {
        Service::open(self.options()).await.unwrap()
    }

    /// Returns the keepers that live.
    pub(crate) fn keepers(&self) -> Vec<KeeperInfo> {
        let all = keepers(&self.state()).unwrap_or_default();
        all.into_iter().filter(|keeper| keeper.alive).collect()
    }

    /// Returns the one keeper, as soon as it is there.
    pub(crate) async fn keeper(&self) -> KeeperInfo {
        until("a keeper", || self.keepers().len() == 1).await;
        self.keepers().remove(0)
    }

    /// Returns the bytes of all files below the state directory, by path.
    pub(crate) fn contents(&self) -> HashMap<PathBuf, Vec<u8>> {
        let mut all = HashMap::new();
        read_files(&self.state(), &mut all);
        all
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        kill_keepers(&self.state());
    }
}

/// Kills the keepers of a state directory.
pub(crate) fn kill_keepers(state: &Path) {
    let all = keepers(state).unwrap_or_default();
    // Each holds its lock, so the number is its own.
    all.into_iter().filter(|keeper| keeper.alive).for_each(|keeper| kill(keeper.pid));
}

/// Kills a keeper and waits until it is gone.
pub(crate) async fn kill_keeper(keeper: &KeeperInfo) {
    kill(keeper.pid);
    until("the keeper is gone", || !is_alive(keeper.pid)).await;
}

fn read_files(dir: &Path, all: &mut HashMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            read_files(&path, all);
        } else if let Ok(bytes) = fs::read(&path) {
            all.insert(path, bytes);
        }
    }
}

/// Returns the options of a service whose keepers are this binary.
pub(crate) fn options(state: &Path, config: Config) -> ServiceOptions {
    let paths = PathOptions { state_dir: Some(state.to_path_buf()), ..PathOptions::default() };
    let state_dir = StateDir::resolve(&paths, |_| None).unwrap();
    ServiceOptions { state_dir, config, keeper: keeper_program("") }
}

/// Returns the program of keepers that are this binary. `fault` is empty, or a point at which the first
/// of them kills itself, and a file that it makes before.
pub(crate) fn keeper_program(fault: &str) -> KeeperProgram {
    // The keeper's arguments would be options of the test harness.
    let script = format!(
        r#"EXECUTION_ENGINE_TEST_ROLE="keeper $2 {fault}" exec "$0" support::roles --exact --nocapture --test-threads=1"#
    );
    let itself = std::env::current_exe().unwrap().to_str().unwrap().to_string();
    KeeperProgram {
        program: "/bin/sh".into(),
        args: vec!["-c".to_string(), script, itself],
        scope: None,
    }
}

/// Returns a shell line as an execution with a usual environment.
pub(crate) fn shell(line: impl Into<String>) -> NewExecution {
    let request =
        ExecutionRequest::shell(line).working_dir("/").env("PATH", "/usr/local/bin:/usr/bin:/bin");
    NewExecution::new(request)
}

/// Submits an execution and returns its id.
pub(crate) async fn submit(service: &Service, new: NewExecution) -> Uuid {
    let submitted = service.submit(new, None, OWNER).await.unwrap();
    assert!(submitted.created);
    submitted.execution.id
}

/// Waits until an execution has ended.
pub(crate) async fn ended(service: &Service, id: Uuid) -> ExecutionView {
    let view = soon("its end", service.wait(id, None)).await.unwrap();
    assert!(view.status.is_terminal(), "{view:?}");
    view
}

/// Waits until the program of an execution has started.
pub(crate) async fn started(service: &Service, id: Uuid) {
    let mut events = service.events(id, 0).await.unwrap();
    let first = soon("its start", events.next()).await.unwrap().unwrap();
    assert!(matches!(first.kind, EventKind::Started { .. }), "{first:?}");
}

/// Returns all output of one stream, or of both.
pub(crate) async fn output(service: &Service, id: Uuid, stream: Option<OutputStream>) -> Vec<u8> {
    let mut output = service.output(id, stream).await.unwrap();
    let mut all = Vec::new();
    while (all.len() as u64) < output.len() {
        let piece = output.read(all.len() as u64, 100_000).await.unwrap();
        assert!(!piece.is_empty(), "there are {} bytes, and {} were read", output.len(), all.len());
        all.extend_from_slice(&piece);
    }
    assert!(output.read(output.len(), 10).await.unwrap().is_empty());
    all
}

/// Returns all events behind a cursor, until the last.
pub(crate) async fn events_after(service: &Service, id: Uuid, after: u64) -> Vec<Event> {
    let mut events = service.events(id, after).await.unwrap();
    let mut all = Vec::new();
    while let Some(event) = soon("the next event", events.next()).await {
        all.push(event.unwrap());
    }
    assert!(events.is_at_end());
    all
}

/// Returns the output in events.
pub(crate) fn bytes_of(events: &[Event], of: OutputStream) -> Vec<u8> {
    let chunks = events.iter().filter_map(|event| match &event.kind {
        EventKind::Output { stream, bytes } if *stream == of => Some(&bytes[..]),
        _ => None,
    });
    chunks.flatten().copied().collect()
}

/// What stands in the place of a key if a plan follows.
const PLAN: &str = "plan!";

/// A service in a process of its own, which can be killed.
pub(crate) struct Remote {
    host: Host,
    next: AtomicU64,
}

impl Remote {
    /// Starts one. `fault` is a point at which it kills itself.
    pub(crate) fn start(home: &Home, fault: Option<&str>) -> Self {
        let max = home.config.max_running;
        let role = format!("service {} {max} {}", home.state().display(), fault.unwrap_or("-"));
        let host = Host::start("support::roles", &role);
        assert_eq!(host.next_line(), "ready");
        Self { host, next: AtomicU64::new(0) }
    }

    /// Submits an execution without waiting for the answer.
    pub(crate) fn send(&mut self, new: &NewExecution, key: Option<&str>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let new = serde_json::to_string(new).unwrap();
        self.host.tell(&format!("{number} {} {new}", key.unwrap_or("-")));
        number
    }

    /// Submits a plan without waiting for the answer.
    pub(crate) fn send_plan(&mut self, new: &NewPlan) {
        self.host.tell(&format!("0 {PLAN} {}", serde_json::to_string(new).unwrap()));
    }

    /// Submits an execution and waits until it is accepted.
    pub(crate) fn submit(&mut self, new: &NewExecution, key: Option<&str>) -> Uuid {
        let number = self.send(new, key);
        let answer = self.host.next_line();
        let (to, id) = answer.split_once(' ').unwrap();
        assert_eq!(to, number.to_string());
        id.parse().unwrap_or_else(|_| panic!("{answer}"))
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.host.kill();
    }

    /// Returns `true` if it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.host.has_ended()
    }
}

/// Plays the roles of this binary: a keeper, or a service that takes executions on its input.
#[test]
fn roles() {
    let Some(role) = host::role() else { return };
    match role.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["keeper", dir] => keep(dir),
        ["keeper", dir, fault, file] => {
            if fs::File::create_new(file).is_ok() {
                execution_engine_keeper::faults::kill_at(fault).unwrap();
            }
            keep(dir);
        }
        ["service", state, max, fault] => serve(Path::new(state), max.parse().unwrap(), fault),
        _ => panic!("{role:?}"),
    }
}

fn keep(dir: &str) {
    // The test harness has begun a line.
    println!();
    let mut options = KeeperOptions::new(dir);
    // Short, so that the keeper of a test that was killed is not long in the way.
    options.idle_exit = Duration::from_secs(10);
    run(options).unwrap();
}

#[tokio::main]
async fn serve(state: &Path, max_running: usize, fault: &str) {
    if fault != "-" {
        faults::kill_at(fault);
    }
    let mut config = Config::default();
    config.max_running = max_running;
    let service = Service::open(options(state, config)).await.unwrap();
    host::say("ready");
    while let Ok(Some(line)) = tokio::task::spawn_blocking(read_line).await {
        let mut words = line.splitn(3, ' ');
        let [number, key, new] = [(); 3].map(|()| words.next().unwrap().to_string());
        let service = service.clone();
        if key == PLAN {
            let new: NewPlan = serde_json::from_str(&new).unwrap();
            tokio::spawn(async move { service.submit_plan(new, None, OWNER).await });
            continue;
        }
        let new: NewExecution = serde_json::from_str(&new).unwrap();
        tokio::spawn(async move {
            let key = (key != "-").then_some(&*key);
            match service.submit(new, key, OWNER).await {
                Ok(submitted) => host::say(&format!("{number} {}", submitted.execution.id)),
                Err(error) => host::say(&format!("{number} error: {error}")),
            }
        });
    }
    service.close().await;
}

fn read_line() -> Option<String> {
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line).unwrap();
    (length > 0).then(|| line.trim_end().to_string())
}
