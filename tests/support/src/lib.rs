//! What the tests share: engines, an observer of events, and a look at the processes of this
//! machine. Tests wait for events with a generous deadline; no outcome depends on timing.

pub mod host;
pub mod levels;
pub mod lifeline;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use execution_engine::*;
use tokio::sync::Notify;

/// Longer than anything takes on a machine that is very busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An engine with the defaults.
pub fn engine() -> ExecutionEngine {
    ExecutionEngine::new(ExecutionConfig::default()).unwrap()
}

/// An engine with these settings.
pub fn engine_with(change: impl FnOnce(&mut ExecutionConfig)) -> ExecutionEngine {
    let mut config = ExecutionConfig::default();
    change(&mut config);
    ExecutionEngine::new(config).unwrap()
}

/// Shorthand for a shell line.
pub fn shell(line: impl Into<String>) -> ExecutionRequest {
    ExecutionRequest::shell(line)
}

/// A shell line that waits until a file is there.
pub fn wait_for(file: &Path) -> String {
    format!("until [ -e '{}' ]; do sleep 0.01; done", file.display())
}

/// What a call gives that never waits, without any runtime.
pub fn at_once<T>(call: impl Future<Output = T>) -> T {
    let mut nobody = Context::from_waker(Waker::noop());
    match pin!(call).poll(&mut nobody) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

/// Waits for something that is bound to happen.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long: {what}"),
    }
}

/// Waits until a fact about the world outside, which rings no bell, is true.
pub async fn until(what: &str, mut fact: impl FnMut() -> bool) {
    soon(what, async {
        while !fact() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

/// The ids of all processes.
pub fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Waits until a file has a whole line, and returns its content: how children tell their ids.
pub async fn told(file: &Path) -> String {
    let mut content = String::new();
    until(&format!("{} has a line", file.display()), || {
        content = std::fs::read_to_string(file).unwrap_or_default();
        content.ends_with('\n')
    })
    .await;
    content
}

/// The process ids in a text, one a line.
pub fn pids(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// Whether a process can still do anything: it is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// The state letter of a process; None if there is none.
pub fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The zombies that this process has left.
pub fn own_zombies() -> usize {
    let me = std::process::id().to_string();
    let is_mine = |stat: &str| {
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        fields.next() == Some("Z") && fields.next() == Some(me.as_str())
    };
    let stat = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    processes().into_iter().filter_map(stat).filter(|stat| is_mine(stat)).count()
}

/// How many descriptors this process has open.
pub fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many threads this process has.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A handler that remembers every event.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<ExecutionEvent>>,
    more: Notify,
}

impl Recorder {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The events of one execution so far.
    pub fn of(&self, id: Uuid) -> Vec<ExecutionEvent> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event.execution_id() == id).cloned().collect()
    }

    /// The events of one execution, once its terminal event is there.
    pub async fn all_of(&self, id: Uuid) -> Vec<ExecutionEvent> {
        self.when(id, |events| events.iter().any(ExecutionEvent::is_terminal)).await
    }

    /// The events of one execution, once they satisfy a condition.
    pub async fn when(
        &self,
        id: Uuid,
        condition: impl Fn(&[ExecutionEvent]) -> bool,
    ) -> Vec<ExecutionEvent> {
        soon("the events", async {
            loop {
                let changed = self.more.notified();
                let events = self.of(id);
                if condition(&events) {
                    return events;
                }
                changed.await;
            }
        })
        .await
    }
}

#[async_trait]
impl EventHandler for Recorder {
    async fn handle_event(&self, event: ExecutionEvent) {
        self.events.lock().unwrap().push(event);
        self.more.notify_waiters();
    }
}

/// The lines of one stream among events.
pub fn lines_of(events: &[ExecutionEvent], of: OutputStream) -> Vec<String> {
    let line = |event: &ExecutionEvent| match (event, of) {
        (ExecutionEvent::Stdout { line, .. }, OutputStream::Stdout)
        | (ExecutionEvent::Stderr { line, .. }, OutputStream::Stderr) => Some(line.clone()),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

/// Remembers what the library traces in this process, level and text.
#[derive(Debug, Clone, Default)]
pub struct Traces(Arc<Mutex<Vec<String>>>);

impl Traces {
    /// Returns the collector of this process; the first call installs it.
    pub fn of_this_process() -> &'static Self {
        static TRACES: OnceLock<Traces> = OnceLock::new();
        TRACES.get_or_init(|| {
            let traces = Self::default();
            tracing::subscriber::set_global_default(traces.clone()).unwrap();
            traces
        })
    }

    /// All that was traced.
    pub fn so_far(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Traces {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("execution_engine")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.0.lock().unwrap().push(format!("{span:?}"));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.0.lock().unwrap().push(format!("{values:?}"));
    }

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            text.push_str(&format!(" {}={value:?}", field.name()));
        });
        self.0.lock().unwrap().push(text);
    }

    fn enter(&self, _span: &tracing::span::Id) {}

    fn exit(&self, _span: &tracing::span::Id) {}
}
