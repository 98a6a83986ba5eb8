//! Keepers for tests: this binary, run once more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execution_engine::*;
use execution_engine_journal::{JournalError, JournalEvent, JournalReader, Kind, Record};
use execution_engine_keeper::*;
use tempfile::TempDir;
use test_support::soon;

const DIR: &str = "EXENG_TEST_DIR";
const IDLE_MS: &str = "EXENG_TEST_IDLE_MS";
const LIMIT_MS: &str = "EXENG_TEST_LIMIT_MS";
const FAULT: &str = "EXENG_TEST_FAULT";
const DURABILITY: &str = "EXENG_TEST_DURABILITY";

/// The keeper itself, in the process that [`TestKeeper`] starts.
#[test]
fn keeper_process() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let variable = |name| std::env::var(name).ok();
    let mut options = KeeperOptions::new(dir);
    if let Some(millis) = variable(IDLE_MS) {
        options.idle_exit = Duration::from_millis(millis.parse().unwrap());
    }
    if let Some(millis) = variable(LIMIT_MS) {
        options.stop_limit = Duration::from_millis(millis.parse().unwrap());
        options.stop_grace = Duration::from_millis(100);
    }
    if variable(DURABILITY).is_some() {
        options.durability = Durability::Power;
    }
    if let Some(fault) = variable(FAULT) {
        faults::kill_at(&fault).unwrap();
    }
    run(options).unwrap();
}

/// How a keeper of a test is started.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) idle: Option<Duration>,
    /// With a short grace.
    pub(crate) stop_limit: Option<Duration>,
    pub(crate) fault: Option<String>,
    pub(crate) power: bool,
    /// Program, with its arguments, that executes the arguments which follow.
    pub(crate) through: Vec<OsString>,
}

/// A keeper of a test, killed at its end.
pub(crate) struct TestKeeper {
    pub(crate) dir: PathBuf,
    pub(crate) process: KeeperProcess,
    pub(crate) state: TempDir,
}

impl TestKeeper {
    pub(crate) fn start() -> Self {
        Self::start_with(Setup::default())
    }

    pub(crate) fn start_with(setup: Setup) -> Self {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("keepers/0123abcd");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        Self::start_in(state, dir, setup).unwrap()
    }

    pub(crate) fn start_in(
        state: TempDir,
        dir: PathBuf,
        setup: Setup,
    ) -> Result<Self, KeeperError> {
        let process = spawn(&command(&dir, setup))?;
        Ok(Self { dir, process, state })
    }

    pub(crate) async fn connect(&self) -> KeeperClient {
        soon("a connection", KeeperClient::connect(&self.dir)).await.unwrap()
    }

    /// Returns the whole records of a journal.
    pub(crate) fn records(&self, id: Uuid) -> Vec<Record> {
        records(&journal_path(&self.dir, id))
    }

    /// Returns what the lock says.
    pub(crate) fn info(&self) -> KeeperInfo {
        KeeperInfo::read(&self.dir).unwrap().unwrap()
    }

    /// Waits until the process has ended by itself or by a signal.
    pub(crate) async fn ended(&mut self) {
        soon("the end of the keeper", async {
            while self.process.try_wait().unwrap().is_none() {
                test_support::pause(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for TestKeeper {
    fn drop(&mut self) {
        // It may have ended.
        let _gone = self.process.kill();
        let _status = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log"));
            println!("log of the keeper: {}", log.unwrap_or_default());
        }
    }
}

/// Returns how a keeper in this directory is started.
pub(crate) fn command(dir: &Path, setup: Setup) -> KeeperCommand {
    let mut words = setup.through;
    words.push(std::env::current_exe().unwrap().into());
    // With one thread the name of the test would be before the line that says that the keeper is ready.
    let test = ["support::keeper_process", "--exact", "--nocapture", "--test-threads=2"];
    words.extend(test.map(OsString::from));
    let mut env: Vec<(OsString, OsString)> = vec![(DIR.into(), dir.into())];
    let idle = setup.idle.map(|idle| idle.as_millis().to_string());
    let limit = setup.stop_limit.map(|limit| limit.as_millis().to_string());
    let power = setup.power.then(|| "power".to_string());
    for (name, value) in
        [(IDLE_MS, idle), (LIMIT_MS, limit), (FAULT, setup.fault), (DURABILITY, power)]
    {
        env.extend(value.map(|value| (name.into(), value.into())));
    }
    KeeperCommand { program: words.remove(0).into(), args: words, env, dir: dir.to_path_buf() }
}

/// Returns what starts a shell line.
pub(crate) fn shell(line: impl Into<String>) -> StartSpec {
    let request = ExecutionRequest::shell(line).working_dir("/");
    // A start brings its whole environment.
    let request = request.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    StartSpec { request, options: ExecutionOptions::default() }
}

/// Starts a shell line and returns its id.
pub(crate) async fn start(client: &KeeperClient, line: impl Into<String>) -> Uuid {
    let spec = shell(line);
    assert_eq!(start_spec(client, &spec).await, StartAnswer::Started);
    spec.request.id
}

pub(crate) async fn start_spec(client: &KeeperClient, spec: &StartSpec) -> StartAnswer {
    soon("the answer to a start", client.start(spec)).await.unwrap()
}

/// Waits for the notice of an ending, and returns it.
pub(crate) async fn ended(notices: &Notices, id: Uuid) -> Notice {
    soon("the ending", async {
        loop {
            let notice = notices.next().await.expect("the keeper lives");
            if notice.id() == id && matches!(notice, Notice::Ended { .. }) {
                return notice;
            }
        }
    })
    .await
}

/// Starts a shell line and waits for its end.
pub(crate) async fn run_to_end(client: &KeeperClient, line: impl Into<String>) -> Uuid {
    let notices = client.notices();
    let id = start(client, line).await;
    ended(&notices, id).await;
    id
}

/// Returns the whole records of a journal.
pub(crate) fn records(path: &Path) -> Vec<Record> {
    records_so_far(path).unwrap()
}

/// Returns the whole records of a journal that is written meanwhile. On a full disk its writer may take back what has
/// just been seen here, which is an error.
pub(crate) fn records_so_far(path: &Path) -> Result<Vec<Record>, JournalError> {
    let reader = JournalReader::open(path)?;
    let end = reader.recover()?.end;
    let (mut records, mut position) = (Vec::new(), 0);
    while position < end {
        let batch = reader.read(position, end, 1 << 20)?;
        position = batch.next;
        records.extend(batch.records);
    }
    Ok(records)
}

/// Returns the output of one stream.
pub(crate) fn output(records: &[Record], kind: Kind) -> Vec<u8> {
    let of_kind = records.iter().filter(|record| record.kind == kind);
    of_kind.flat_map(|record| record.payload.to_vec()).collect()
}

/// Returns the events.
pub(crate) fn events(records: &[Record]) -> Vec<JournalEvent> {
    records.iter().filter_map(Record::event).collect()
}

/// Returns the result in the last record.
pub(crate) fn result(records: &[Record]) -> ExecutionResult {
    match records.last().and_then(Record::event) {
        Some(JournalEvent::Ended { result }) => serde_json::from_value(result).unwrap(),
        other => panic!("the last record is {other:?}"),
    }
}
