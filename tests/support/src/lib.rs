//! Helpers of the library's tests: engines, observers of events, and views of the processes of this
//! machine.
//!
//! Tests wait for events with one generous deadline; no outcome depends on timing.

pub mod host;
pub mod levels;
pub mod lifeline;
pub mod links;
mod processes;
mod race;
mod recorder;
pub mod seccomp;
mod traces;

use std::fs::{self, Permissions};
use std::future::Future;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use execution_engine::*;

pub use processes::*;
pub use race::*;
pub use recorder::*;
pub use traces::*;

/// Longer than anything takes on a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at a fact that no event announces.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Creates an engine with the defaults.
pub fn engine() -> ExecutionEngine {
    ExecutionEngine::new(ExecutionConfig::default()).unwrap()
}

/// Creates an engine with changes to the default configuration.
pub fn engine_with(change: impl FnOnce(&mut ExecutionConfig)) -> ExecutionEngine {
    let mut config = ExecutionConfig::default();
    change(&mut config);
    ExecutionEngine::new(config).unwrap()
}

/// Creates the request for a shell line.
pub fn shell(line: impl Into<String>) -> ExecutionRequest {
    ExecutionRequest::shell(line)
}

/// Creates the request for a program without arguments.
pub fn exec(program: impl AsRef<Path>) -> ExecutionRequest {
    ExecutionRequest::program(text(program.as_ref()))
}

/// Returns the text of a path, which is UTF-8 in tests.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes an executable file and returns its path.
pub fn executable(path: impl Into<PathBuf>, content: impl AsRef<[u8]>) -> PathBuf {
    let path = path.into();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// Returns a shell line that waits until a file exists.
pub fn wait_for(file: &Path) -> String {
    format!("until [ -e '{}' ]; do sleep 0.01; done", file.display())
}

/// Returns the numbers from 1 on, one a line, as `seq` prints them.
pub fn numbers(last: u32) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

/// Runs a request to its end.
pub async fn run(engine: &ExecutionEngine, request: ExecutionRequest) -> ExecutionResult {
    soon("the end of the execution", engine.run(request)).await.unwrap()
}

/// Runs a request with options to its end.
pub async fn run_with(
    engine: &ExecutionEngine,
    request: ExecutionRequest,
    options: ExecutionOptions,
) -> ExecutionResult {
    let id = engine.execute_with(request, options).await.unwrap();
    ended(engine, id).await
}

/// Waits for the end of an execution.
pub async fn ended(engine: &ExecutionEngine, id: Uuid) -> ExecutionResult {
    soon("the end of the execution", engine.wait_for_completion(id)).await.unwrap()
}

/// Waits until an execution runs.
pub async fn running(engine: &ExecutionEngine, id: Uuid) {
    let mut records = engine.subscribe(id).await.unwrap();
    soon("its start", async {
        while let Some(record) = records.next().await {
            let to = ExecutionStatus::Running;
            if matches!(record.event, ExecutionEvent::StatusChanged { to: is, .. } if is == to) {
                return;
            }
        }
        panic!("{id} ended without a start");
    })
    .await;
}

/// Returns the value of a call that never suspends, without a runtime.
pub fn at_once<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the call waits"),
    }
}

/// Waits for an event that is bound to happen.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long: {what}"),
    }
}

/// Waits until a fact that no event announces is true.
///
/// Facts of the engine have events; this is for files, processes and threads.
pub async fn until(what: &str, mut fact: impl FnMut() -> bool) {
    soon(what, async {
        while !fact() {
            pause(POLL_INTERVAL).await;
        }
    })
    .await;
}

/// Waits for a time.
///
/// The one sleep of the tests: between two looks of [`until`], and where a race is swept.
#[expect(clippy::disallowed_methods, reason = "the one place where tests may sleep")]
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until a file has a whole line, and returns its content: children report their ids so.
pub async fn when_written(file: &Path) -> String {
    let mut content = String::new();
    until(&format!("{} has a line", file.display()), || {
        content = fs::read_to_string(file).unwrap_or_default();
        content.ends_with('\n')
    })
    .await;
    content
}
