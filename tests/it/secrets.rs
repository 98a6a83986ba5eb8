//! Secrets: values of the environment appear in no output of the engine, whatever the ending, and
//! files of the engine are private to their user.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use serde::Serialize;
use tempfile::TempDir;
use test_support::*;

const NAME: &str = "SERVICE_PASSWORD";
const SECRET: &str = "correct-horse-battery-staple";

/// All that was shown, for a search at the end.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn debug(&mut self, value: &impl Debug) {
        self.0.extend([format!("{value:?}"), format!("{value:#?}")]);
    }

    fn json(&mut self, value: &(impl Serialize + Debug)) {
        self.debug(value);
        self.0.push(serde_json::to_string(value).unwrap());
    }

    fn error(&mut self, error: &ExecutionError) {
        self.debug(error);
        self.0.extend([error.to_string(), error.error_code().to_string()]);
    }

    fn file(&mut self, path: &Path) {
        self.0.push(fs::read_to_string(path).unwrap());
    }

    #[track_caller]
    fn has(&self, what: &str) {
        assert!(self.0.iter().any(|text| text.contains(what)), "{what} was not shown");
    }

    #[track_caller]
    fn has_not(&self, what: &str) {
        if let Some(text) = self.0.iter().find(|text| text.contains(what)) {
            // The message must not show the secret in the log of this test.
            panic!("it was shown: {}", text.replace(what, "<the secret>"));
        }
    }
}

/// Every way to end, and every kind of refusal.
fn requests(home: &TempDir) -> Vec<ExecutionRequest> {
    let brief = |line: &str| shell(line).timeout(Duration::from_millis(100));
    let file = |name: &str, content: &str| exec(executable(home.path().join(name), content));
    vec![
        // The program itself sees it.
        shell(format!("test \"${NAME}\" = {} || exit 99", reversed())),
        shell("exit 3"),
        shell("kill -SEGV $$"),
        shell("sleep 60 & exit 0"),
        shell("yes"),
        brief("sleep 60"),
        brief("trap '' TERM; sleep 60; sleep 60"),
        file("no-program", "\x7fELF, but not really"),
        file("no-interpreter", "#!/no/such/interpreter\n"),
        exec("no-such-program"),
        exec("no\0program"),
        shell(""),
        shell("exit 0").timeout(Duration::ZERO),
        shell("exit 0").working_dir("/no/such/directory"),
        shell("exit 0").output_log(home.path()),
        ExecutionRequest::script("/no/such/script"),
        shell("exit 0").env("ANOTHER=", SECRET),
        shell("exit 0").env("", SECRET),
        shell("exit 0").env(format!("ANOTHER={SECRET}"), ""),
        shell("exit 0").env("ANOTHER", format!("{SECRET}\0")),
    ]
}

/// Returns an expression for the secret, so that no command line contains it.
fn reversed() -> String {
    format!("$(echo {} | rev)", SECRET.chars().rev().collect::<String>())
}

#[tokio::test]
async fn environment_values_are_shown_nowhere() {
    let home = TempDir::new().unwrap();
    let logs = home.path().join("logs");
    let traces = Traces::of_this_process();
    let recorder = Recorder::new();
    let mut shown = Shown::default();
    let builder = ExecutionEngine::builder()
        .config(ExecutionConfig {
            log_dir: Some(logs.clone()),
            max_output_size_bytes: 100,
            oversized_output_strategy: OversizedOutputStrategy::FailExecution,
            ..Default::default()
        })
        .stop_grace(Duration::from_millis(50))
        .event_handler(Arc::new(LoggingEventHandler))
        .event_handler(recorder.clone());
    shown.debug(&builder);
    let engine = builder.build().unwrap();

    let mut ended = 0;
    for request in requests(&home) {
        let request = request.env(NAME, SECRET).tag("secret");
        shown.debug(&request);
        let id = request.id;
        match engine.execute(request.clone()).await {
            Err(error) => shown.error(&error),
            Ok(_) => {
                shown.error(&engine.execute(request).await.unwrap_err());
                let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
                assert_ne!(result.exit_code, 99, "the program itself did not get it");
                shown.json(&result);
                shown.json(&result.ending);
                if let Err(error) = result.into_result() {
                    shown.error(&error);
                }
                recorder.all_of(id).await.iter().for_each(|event| shown.json(event));
                shown.file(&engine.get_log_path(id).await.unwrap().unwrap());
                shown.0.push(engine.read_logs(id).await.unwrap());
                ended += 1;
            }
        }
    }
    let cancelled = engine.execute(shell("sleep 60").env(NAME, SECRET)).await.unwrap();
    engine.cancel(cancelled).await.unwrap();
    shown.error(&engine.cancel(cancelled).await.unwrap_err());
    engine.list_executions().await.iter().for_each(|one| shown.json(one));
    shown.debug(&engine);
    shown.json(&engine.shutdown(Duration::ZERO).await);
    shown.0.extend(traces.so_far());

    assert_eq!(ended, 9);
    // The search covers what it should.
    for what in [NAME, "no-program", "timed out after 100 ms", "SIGSEGV", "# command", "INFO"] {
        shown.has(what);
    }
    shown.has_not(SECRET);
}

// ------------------------------------------------------------------------------------------ on the disk

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn logs_and_their_directories_are_private() {
    let home = TempDir::new().unwrap();
    let outer = home.path().join("outer");
    let engine = engine_with(|config| config.log_dir = Some(outer.join("logs")));
    let request = shell("echo secret").output_log(home.path().join("raw/out.log"));
    let result = soon("its end", engine.run(request)).await.unwrap();
    let log = engine.get_log_path(result.id).await.unwrap().unwrap();
    assert_eq!((mode(&outer), mode(&outer.join("logs")), mode(&log)), (0o700, 0o700, 0o600));

    // A path of the request gets the modes of the user's own files.
    let theirs = home.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("file"), "").unwrap();
    let raw = home.path().join("raw");
    let modes = (mode(&raw), mode(&raw.join("out.log")));
    assert_eq!(modes, (mode(&theirs), mode(&theirs.join("file"))));
}

#[tokio::test]
async fn existing_log_directory_keeps_its_mode() {
    let home = TempDir::new().unwrap();
    let logs = home.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::set_permissions(&logs, fs::Permissions::from_mode(0o750)).unwrap();
    let engine = engine_with(|config| config.log_dir = Some(logs.clone()));
    let result = soon("its end", engine.run(shell("echo secret"))).await.unwrap();
    let log = engine.get_log_path(result.id).await.unwrap().unwrap();
    assert_eq!((mode(&logs), mode(&log)), (0o750, 0o600));
}

#[tokio::test]
async fn overflow_file_names_are_unpredictable() {
    let engine = engine_with(|config| {
        config.max_output_size_bytes = 1;
        config.oversized_output_strategy = OversizedOutputStrategy::StreamToFile;
    });
    let mut names = std::collections::HashSet::new();
    for _ in 0..10 {
        let result = soon("its end", engine.run(shell("echo secret"))).await.unwrap();
        let file = result.stdout_overflow_file.unwrap();
        assert!(!file.to_str().unwrap().contains(&result.id.to_string()), "{file:?}");
        names.insert(file);
    }
    assert_eq!(names.len(), 10);
}
