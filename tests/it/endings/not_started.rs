//! Programs that the system cannot start.

use super::*;

/// Runs a file that cannot be executed, and checks result and events.
async fn spawn_fails(program: &Path, errno: i32, words: &[&str]) {
    let observed = Observed::new();
    let id = observed.start(exec(program)).await;
    let result = observed.ended(id).await;
    let Ending::SpawnFailed { reason, os_error } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert_eq!(*os_error, Some(errno));
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
    assert_eq!(result.error, Some(format!("could not be started: {reason}")));
    assert_eq!((result.status, result.success), (ExecutionStatus::Failed, false));
    assert_eq!((result.exit_code, result.signal), (-1, None));
    assert_eq!(result.usage, None);
    let error = result.clone().into_result().unwrap_err();
    assert!(
        matches!(&error, ExecutionError::SpawnFailed { reason: r, os_error: e, .. } if (r, e) == (reason, os_error)),
        "{error:?}"
    );

    let events = observed.recorder.all_of(id).await;
    check_order(&events, false, ExecutionStatus::Failed);
    assert_eq!(events.last(), Some(&failed(&result)));
    assert_eq!(observed.engine.running_count().await, 0);
}

#[tokio::test]
async fn file_that_is_not_executable_format_fails_to_spawn() {
    let dir = TempDir::new().unwrap();
    let garbage = executable(dir.path().join("garbage"), b"\x00\x01\x02 no program\n");
    let says = ["executing", text(&garbage), "neither an executable", "#! line"];
    spawn_fails(&garbage, ENOEXEC, &says).await;
}

#[tokio::test]
async fn missing_shebang_interpreter_fails_to_spawn() {
    let dir = TempDir::new().unwrap();
    let script = executable(dir.path().join("job"), b"#!/no/such/interpreter\n");
    let says = ["executing", text(&script), "#! line", "interpreter \"/no/such/interpreter\""];
    spawn_fails(&script, ENOENT, &says).await;
}

#[tokio::test]
async fn too_long_arguments_fail_to_spawn() {
    let observed = Observed::new();
    // The kernel accepts up to 128 KiB for one argument.
    let request = ExecutionRequest::exec("/bin/true", ["x".repeat(200_000)]);
    let id = observed.start(request).await;
    let result = observed.ended(id).await;
    let Ending::SpawnFailed { reason, os_error: Some(7) } = &result.ending else {
        panic!("it ended otherwise: {result:?}");
    };
    assert!(reason.contains("too long"), "{reason}");
    let events = observed.recorder.all_of(id).await;
    check_order(&events, false, ExecutionStatus::Failed);
}
