//! Bad input is refused with an error that names the field. It leaves no record, permit, file or
//! event, and the id stays free.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Executes an invalid request, checks that it leaves nothing, and returns the error.
async fn invalid(mut request: ExecutionRequest) -> ValidationError {
    let home = TempDir::new().unwrap();
    let recorder = Recorder::new();
    let engine = engine_with(|config| config.log_dir = Some(home.path().join("logs")))
        .with_event_handler(Arc::clone(&recorder) as Arc<dyn EventHandler>);
    request.output_log_path.get_or_insert_with(|| home.path().join("raw/out.log"));
    let id = request.id;

    let error = engine.execute(request).await.unwrap_err();

    assert_eq!((engine.total_count().await, engine.running_count().await), (0, 0), "{error}");
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions, "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "{error}");
    assert_eq!(engine.get_status(id).await, Err(ExecutionError::NotFound(id)));

    // The id is free, and the events are those of this one execution.
    let result = soon("the next one", engine.run(shell("exit 0").id(id))).await.unwrap();
    assert!(result.success, "{error}");
    let events = recorder.all_of(id).await;
    assert!(matches!(events[0], ExecutionEvent::Started { .. }), "{error}: {events:?}");
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1, "{error}");
    match error {
        ExecutionError::Validation(error) => error,
        other => panic!("refused for another reason: {other:?}"),
    }
}

/// Checks that the message of an error has all of these words.
#[track_caller]
fn says(error: &ValidationError, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

fn is_not_found(error: &ValidationError, expected: &str, name: &str) -> bool {
    matches!(error, ValidationError::ProgramNotFound { field, program, .. }
        if *field == expected && program == name)
}

fn file(dir: &TempDir, name: &str, mode: u32, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn aws(service: &str, operation: &str) -> ExecutionRequest {
    ExecutionRequest::new(Command::AwsCli {
        service: service.to_string(),
        operation: operation.to_string(),
        args: Vec::new(),
        profile: None,
        region: None,
    })
}

// ------------------------------------------------------------------------------- empty and blank

#[tokio::test]
async fn blank_field_is_refused_by_name() {
    let cases = [
        ("command", shell("")),
        ("command", shell(" \t\n")),
        ("shell", shell("ls").interpreter(" ")),
        ("program", exec("")),
        ("program", exec("  ")),
        ("service", aws(" ", "list-buckets")),
        ("operation", aws("s3api", "")),
        ("path", ExecutionRequest::script("")),
        ("interpreter", ExecutionRequest::script("/bin/true").interpreter("\t")),
        ("working_dir", shell("ls").working_dir("")),
        ("output_log_path", shell("ls").output_log("")),
    ];
    for (expected, request) in cases {
        let error = invalid(request).await;
        assert!(
            matches!(error, ValidationError::Empty { field, .. } if field == expected),
            "{expected}: {error:?}"
        );
        assert_eq!(error.error_code(), "empty_field");
        says(&error, &[expected, "empty"]);
    }
}

#[tokio::test]
async fn blank_aws_profile_or_region_is_refused() {
    for (expected, profile, region) in [("profile", Some(""), None), ("region", None, Some(" "))] {
        let error = invalid(ExecutionRequest::new(Command::AwsCli {
            service: "s3api".to_string(),
            operation: "list-buckets".to_string(),
            args: Vec::new(),
            profile: profile.map(str::to_string),
            region: region.map(str::to_string),
        }))
        .await;
        assert!(
            matches!(error, ValidationError::Empty { field, .. } if field == expected),
            "{expected}: {error:?}"
        );
    }
}

// -------------------------------------------------------------------------------------- NUL bytes

#[tokio::test]
async fn nul_byte_is_refused_in_every_field() {
    let mut aws_argument = aws("s3api", "list-buckets");
    if let Command::AwsCli { args, .. } = &mut aws_argument.command {
        args.push("a\0b".to_string());
    }
    let cases = [
        ("program", exec("/bin/tr\0ue")),
        ("args[1]", ExecutionRequest::exec("echo", ["fine", "not\0fine"])),
        ("args[0]", aws_argument),
        ("command", shell("echo \0")),
        ("shell", shell("ls").interpreter("/bin/s\0h")),
        ("service", aws("s3\0api", "list-buckets")),
        ("path", ExecutionRequest::script("a\0.sh")),
        ("interpreter", ExecutionRequest::script("/bin/true").interpreter("s\0h")),
        ("env GREETING", shell("ls").env("GREETING", "hel\0lo")),
        (r#"the name of env "A\0B""#, shell("ls").env("A\0B", "hello")),
        ("working_dir", shell("ls").working_dir("/tm\0p")),
        ("output_log_path", shell("ls").output_log("/tmp/a\0b")),
    ];
    for (field, request) in cases {
        let error = invalid(request).await;
        assert_eq!(error, ValidationError::NulByte { field: field.to_string() });
        says(&error, &[field, "NUL"]);
    }
}

#[tokio::test]
async fn errors_show_no_value_of_a_variable() {
    let secret = "hunter2";
    let cases = [
        shell("ls").env("PASSWORD", format!("{secret}\0")),
        shell("").env("PASSWORD", secret),
        exec("no-such-program").env("PASSWORD", secret),
        shell("ls").env("", secret),
        shell("ls").env("a=b", secret),
        shell("ls").env("a\0b", secret),
        shell("ls").env("PASSWORD", secret).working_dir("/no/such/place"),
    ];
    for request in cases {
        let error = invalid(request).await;
        let shown = format!("{error} {error:?} {:?}", ExecutionError::from(error.clone()));
        assert!(!shown.contains(secret), "{shown}");
    }
}

// ------------------------------------------------------------------------------------ environment

#[tokio::test]
async fn variable_name_must_be_nonempty_without_equals_sign() {
    // The text after the sign may be a value, so it is not shown.
    for (name, shown) in [("", ""), ("=", "="), ("PASSWORD=secret", "PASSWORD="), ("=secret", "=")]
    {
        let error = invalid(shell("ls").env(name, "value")).await;
        assert_eq!(error, ValidationError::EnvName { name: shown.to_string() });
        says(&error, &["env", &format!("{shown:?}")]);
    }
}

// ---------------------------------------------------------------------------------------- scripts

#[tokio::test]
async fn missing_script_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("missing.sh");
    for request in [
        ExecutionRequest::script(&path),
        ExecutionRequest::script(&path).interpreter("sh"),
        ExecutionRequest::script("missing.sh").working_dir(dir.path()),
    ] {
        let error = invalid(request).await;
        assert_eq!(error, ValidationError::ScriptNotFound { path: path.clone() });
        says(&error, &["script", text(&path)]);
    }
}

#[tokio::test]
async fn script_below_a_file_is_missing() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "file", 0o644, "").join("job.sh");
    let error = invalid(ExecutionRequest::script(&path)).await;
    assert_eq!(error, ValidationError::ScriptNotFound { path });
}

#[tokio::test]
async fn directory_as_script_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_path_buf();
    let error = invalid(ExecutionRequest::script(&path).interpreter("sh")).await;
    assert_eq!(error, ValidationError::ScriptNotAFile { path: path.clone() });
    says(&error, &["script", text(&path)]);
}

#[tokio::test]
async fn script_without_interpreter_or_shebang_is_refused() {
    let dir = TempDir::new().unwrap();
    for (name, content) in [("plain", "echo hello\n"), ("empty", "")] {
        let path = file(&dir, name, 0o644, content);
        let error = invalid(ExecutionRequest::script(&path)).await;
        assert_eq!(error, ValidationError::ScriptNotRunnable { path: path.clone() });
        says(&error, &["script", text(&path), "interpreter", "#!"]);
    }
}

#[tokio::test]
async fn missing_interpreter_is_refused_from_request_and_shebang() {
    let dir = TempDir::new().unwrap();
    let program = "no-such-one".to_string();
    let error = invalid(ExecutionRequest::script("/bin/true").interpreter(&program)).await;
    says(&error, &["interpreter", &program]);
    assert!(is_not_found(&error, "interpreter", &program), "{error:?}");

    let by_line = file(&dir, "by-line", 0o644, "#!/no/such/interpreter -x\n");
    let error = invalid(ExecutionRequest::script(&by_line)).await;
    says(&error, &["path", text(&by_line), "#! line", "interpreter \"/no/such/interpreter\""]);
    assert_eq!(error.error_code(), "program_not_found");
}

// -------------------------------------------------------------------------------------- programs

#[tokio::test]
async fn program_that_is_not_found_is_refused() {
    let dir = TempDir::new().unwrap();
    let absolute = dir.path().join("tool");
    let cases = [
        // Not in any PATH; in that of this process but not in that of the child; not at its path.
        ("program", "no-such-program-anywhere", exec("no-such-program-anywhere")),
        ("program", "cat", exec("cat").env("PATH", text(dir.path()))),
        ("program", text(&absolute), exec(text(&absolute))),
        ("program", "./tool", exec("./tool").working_dir(dir.path())),
        ("shell", "/no/such/shell", shell("ls").interpreter("/no/such/shell")),
        ("program", "aws", aws("s3api", "list-buckets").env("PATH", text(dir.path()))),
    ];
    for (field, program, request) in cases {
        let error = invalid(request).await;
        assert!(is_not_found(&error, field, program), "{error:?}");
        says(&error, &[field, program, if program.contains('/') { "path" } else { "PATH" }]);
    }
}

#[tokio::test]
async fn program_without_execute_permission_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "tool", 0o644, "#!/bin/sh\n");
    for request in [exec(text(&path)), exec("tool").env("PATH", text(dir.path()))] {
        let error = invalid(request).await;
        let expected = ValidationError::PermissionDenied { field: "program", path: path.clone() };
        assert_eq!(error, expected);
        says(&error, &["program", "permission", text(&path)]);
    }
}

#[tokio::test]
async fn directory_as_program_is_refused() {
    let dir = TempDir::new().unwrap();
    let error = invalid(exec(text(dir.path()))).await;
    assert!(
        matches!(&error, ValidationError::Inaccessible { field: "program", path, .. }
            if path == dir.path()),
        "{error:?}"
    );
    says(&error, &["program", "directory"]);
}

// ----------------------------------------------------------------------------- working directory

#[tokio::test]
async fn missing_working_dir_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("missing");
    let error = invalid(shell("ls").working_dir(&path)).await;
    assert_eq!(error, ValidationError::WorkingDirNotFound { path: path.clone() });
    says(&error, &["working_dir", text(&path)]);
}

#[tokio::test]
async fn working_dir_below_a_file_is_missing() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "file", 0o644, "").join("below");
    let error = invalid(shell("ls").working_dir(&path)).await;
    assert_eq!(error, ValidationError::WorkingDirNotFound { path });
}

#[tokio::test]
async fn invalid_stdin_path_is_refused_by_code() {
    let engine = engine();
    for (path, code) in [("", "empty_field"), ("/tm\0p", "nul_byte")] {
        let options = ExecutionOptions::default().stdin(StdinSource::file(path));
        let error = engine.execute_with(shell("cat"), options.clone()).await.unwrap_err();
        assert_eq!(error.error_code(), code, "{error}");
        assert!(error.to_string().contains("stdin"), "{error}");
        let plan = ExecutionPlan::serial([shell("cat")]);
        let step = PlanOptions::default().defaults(options);
        let error = engine.execute_plan(PlanSpec::new(plan, step)).await.unwrap_err();
        assert_eq!(error.error_code(), code, "{error}");
    }
    assert_eq!(engine.total_count().await, 0);
}

#[tokio::test]
async fn file_as_working_dir_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "file", 0o755, "");
    let error = invalid(shell("ls").working_dir(&path)).await;
    assert_eq!(error, ValidationError::WorkingDirNotADirectory { path: path.clone() });
    says(&error, &["working_dir", text(&path)]);
}

// --------------------------------------------------------------------------------------- timeouts

#[tokio::test]
async fn zero_timeout_is_refused() {
    let error = invalid(shell("ls").timeout(Duration::ZERO)).await;
    assert_eq!(error, ValidationError::TimeoutZero);
    says(&error, &["timeout_ms"]);
}

#[tokio::test]
async fn timeout_above_the_maximum_is_refused_with_both_values() {
    for timeout_ms in [3_600_001, u64::MAX] {
        let mut request = shell("ls");
        request.timeout_ms = Some(timeout_ms);
        let error = invalid(request).await;
        assert_eq!(error, ValidationError::TimeoutTooLarge { timeout_ms, max_ms: 3_600_000 });
        says(&error, &["timeout_ms", &timeout_ms.to_string(), "3600000", "max_timeout_ms"]);
    }
}

#[tokio::test]
async fn maximum_timeout_is_accepted() {
    let engine = engine_with(|config| config.max_timeout_ms = 3_600_000);
    let mut request = shell("exit 0");
    request.timeout_ms = Some(3_600_000);
    assert!(soon("the run", engine.run(request)).await.unwrap().success);
}

// ------------------------------------------------------------------------------------------- logs

#[tokio::test]
async fn unopenable_log_refuses_the_request_and_removes_the_other_log() {
    let home = TempDir::new().unwrap();
    // Directories that were created for it are removed, too.
    let engine = engine_with(|config| config.log_dir = Some(home.path().join("new/logs")));
    let directory = TempDir::new().unwrap();
    let request = shell("ls").output_log(directory.path());
    let id = request.id;

    let error = engine.execute(request).await.unwrap_err();

    let expected = directory.path();
    assert!(matches!(&error, ExecutionError::Log { path, .. } if path == expected), "{error:?}");
    assert!(error.to_string().contains(text(expected)));
    assert_eq!((engine.total_count().await, engine.running_count().await), (0, 0));
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    assert!(soon("the next one", engine.run(shell("exit 0").id(id))).await.unwrap().success);
}

// --------------------------------------------------------------------------------------------- ids

#[tokio::test]
async fn id_in_use_is_refused_until_it_is_removed() {
    let home = TempDir::new().unwrap();
    let engine = engine();
    let id = engine.execute(shell("exec sleep 1000")).await.unwrap();
    let again = || shell("echo other").id(id).output_log(home.path().join("raw/out.log"));

    assert_eq!(engine.execute(again()).await, Err(ExecutionError::DuplicateId(id)));
    assert_eq!((engine.total_count().await, engine.running_count().await), (1, 1));
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions - 1);
    assert_eq!(engine.get_status(id).await, Ok(ExecutionStatus::Running));

    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    let error = engine.execute(again()).await.unwrap_err();
    assert_eq!(error, ExecutionError::DuplicateId(id));
    assert!(error.to_string().contains(&id.to_string()));
    assert_eq!((engine.total_count().await, engine.running_count().await), (1, 0));
    assert_eq!(engine.available_permits(), engine.config().max_concurrent_executions);
    assert_eq!(engine.get_result(id).await, Ok(Some(result)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);

    engine.remove_execution(id).await.unwrap();
    let result = soon("the other", engine.run(again())).await.unwrap();
    assert_eq!((result.id, result.stdout.as_str()), (id, "other\n"));
}

#[tokio::test]
async fn unknown_id_is_not_found_by_any_call() {
    let engine = engine();
    soon("another one", engine.run(shell("exit 0"))).await.unwrap();
    let id = Uuid::new_v4();
    let not_found = ExecutionError::NotFound(id);
    let unknown = || Err(not_found.clone());
    assert_eq!(engine.wait_for_completion(id).await.map(|_| ()), unknown());
    assert_eq!(engine.get_status(id).await.map(|_| ()), unknown());
    assert_eq!(engine.get_result(id).await.map(|_| ()), unknown());
    assert_eq!(engine.cancel(id).await, unknown());
    assert_eq!(engine.read_logs(id).await.map(|_| ()), unknown());
    assert_eq!(engine.get_log_path(id).await.map(|_| ()), unknown());
    assert_eq!(engine.remove_execution(id).await, unknown());
    assert_eq!(engine.signal(id, Signal::Hangup).await.map(|_| ()), unknown());
    assert_eq!(engine.pause(id).await, unknown());
    assert_eq!(engine.resume(id).await, unknown());
    assert_eq!(engine.queue_position(id).await.map(|_| ()), unknown());
    assert_eq!(
        engine.take_overflow(id, OutputStream::Stdout, "/tmp/x").await.map(|_| ()),
        unknown()
    );
    assert_eq!(engine.subscribe(id).await.map(|_| ()), unknown());
    assert_eq!(engine.subscribe_from(id, 7).await.map(|_| ()), unknown());
    assert_eq!(engine.subscribe_chunks(id).await.map(|_| ()), unknown());
    assert_eq!(engine.subscribe_chunks_from(id, 7).await.map(|_| ()), unknown());
    assert_eq!(engine.write_stdin(id, "text").await.map(|_| ()), unknown());
    assert_eq!(engine.pipe_stdin(id, &b"text"[..]).await.map(|_| ()), unknown());
    assert_eq!(engine.close_stdin(id).await, unknown());
    assert!(not_found.to_string().contains(&id.to_string()));
    assert_eq!(engine.total_count().await, 1);
}

#[tokio::test]
async fn cancel_after_the_end_reports_the_status_and_changes_nothing() {
    let engine = engine();
    for (line, status) in
        [("exit 0", ExecutionStatus::Completed), ("exit 9", ExecutionStatus::Failed)]
    {
        let result = soon("the run", engine.run(shell(line))).await.unwrap();
        let id = result.id;
        for _ in 0..2 {
            let error = engine.cancel(id).await.unwrap_err();
            assert_eq!(error, ExecutionError::AlreadyEnded { id, status });
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
        assert_eq!(engine.get_status(id).await, Ok(status));
        assert_eq!(engine.get_result(id).await, Ok(Some(result)));
    }
}

// ----------------------------------------------------------------------------------- configuration

type Change = fn(&mut ExecutionConfig);

/// Returns the field that a changed configuration is refused for, and the message.
fn refused_field(change: Change) -> (&'static str, String) {
    let mut config = ExecutionConfig::default();
    change(&mut config);
    let error = config.validate().unwrap_err();
    assert_eq!(ExecutionEngine::new(config).unwrap_err(), error.clone().into());
    match &error {
        ValidationError::InvalidConfig { field, .. } => (field, error.to_string()),
        other => panic!("refused for another reason: {other:?}"),
    }
}

#[test]
fn zero_in_a_configuration_field_is_refused_by_name() {
    let cases: [(&str, Change); 7] = [
        ("default_timeout_ms", |config| config.default_timeout_ms = 0),
        ("max_timeout_ms", |config| config.max_timeout_ms = 0),
        ("max_concurrent_executions", |config| config.max_concurrent_executions = 0),
        ("max_in_memory_executions", |config| config.max_in_memory_executions = 0),
        ("execution_retention_secs", |config| config.execution_retention_secs = 0),
        ("max_output_size_bytes", |config| config.max_output_size_bytes = 0),
        ("log_dir", |config| config.log_dir = Some(PathBuf::new())),
    ];
    for (expected, change) in cases {
        let (field, message) = refused_field(change);
        assert_eq!(field, expected);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn default_timeout_above_the_maximum_is_refused_with_both_values() {
    let (field, message) = refused_field(|config| {
        config.default_timeout_ms = 2001;
        config.max_timeout_ms = 2000;
    });
    assert_eq!(field, "default_timeout_ms");
    for word in ["2001", "2000", "max_timeout_ms"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn largest_configuration_values_mean_unlimited() {
    for strategy in [
        OversizedOutputStrategy::TruncateWithWarning,
        OversizedOutputStrategy::FailExecution,
        OversizedOutputStrategy::StreamToFile,
    ] {
        let engine = engine_with(|config| {
            config.default_timeout_ms = u64::MAX;
            config.max_timeout_ms = u64::MAX;
            config.max_concurrent_executions = usize::MAX;
            config.max_in_memory_executions = usize::MAX;
            config.execution_retention_secs = u64::MAX;
            config.max_output_size_bytes = usize::MAX;
            config.oversized_output_strategy = strategy;
        });
        for timeout_ms in [None, Some(u64::MAX), Some(u64::MAX - 1), Some(u64::MAX / 2)] {
            let mut request = shell("echo one; echo two >&2");
            request.timeout_ms = timeout_ms;
            let options = ExecutionOptions::default().stop_grace(Duration::MAX);
            let id = engine.execute_with(request, options).await.unwrap();
            let result = soon("the run", engine.wait_for_completion(id)).await.unwrap();
            assert!(result.success, "{strategy:?} {timeout_ms:?}: {result:?}");
            assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("one\n", "two\n"));
        }
        assert_eq!(engine.cleanup_old_executions().await, 0);
        assert_eq!((engine.total_count().await, engine.available_permits()), (4, usize::MAX));
    }
}

#[test]
fn invalid_builder_setting_is_refused_by_name() {
    let error = ExecutionEngine::builder().handler_stall_limit(Duration::ZERO).build().unwrap_err();
    assert!(
        matches!(
            &error,
            ExecutionError::Validation(ValidationError::InvalidOption {
                field: "handler_stall_limit",
                ..
            })
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("handler_stall_limit"));
}
