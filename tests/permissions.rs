//! Paths that this user may not read, run, enter or write are refused by field. Root has all rights,
//! so these tests run as the user `nobody` then.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::levels::levels;
use test_support::*;

/// One test at a time: a process that changes its user looks like an orphan of another test that has
/// done so.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Returns `true` if this process is root, after it has run a test as another user.
async fn done_as_nobody(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    let home = TempDir::new().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Other users may have no access to the directory of cargo.
    let itself = home.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &itself).unwrap();
    let args =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--", "./test", "--exact", test];
    let request = ExecutionRequest::exec("setpriv", args)
        .working_dir(home.path())
        .env("TMPDIR", "/tmp")
        .env("HOME", "/");
    let _alone = ALONE.lock().await;
    match soon("the test", engine().run(request)).await {
        Ok(result) => {
            assert!(result.success, "{}\n{}", result.stdout, result.stderr);
            assert!(result.stdout.contains("1 passed"), "{}", result.stdout);
        }
        Err(error) => eprintln!("SKIPPED: this is root, and setpriv cannot be used: {error}"),
    }
    true
}

fn with_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn file(path: PathBuf, mode: u32) -> PathBuf {
    fs::write(&path, "#!/bin/sh\necho ran\n").unwrap();
    with_mode(&path, mode);
    path
}

#[tokio::test]
async fn inaccessible_paths_are_refused() {
    if done_as_nobody("inaccessible_paths_are_refused").await {
        return;
    }
    let home = TempDir::new().unwrap();
    let path = |name: &str| home.path().join(name);
    let unreadable = file(path("unreadable"), 0o200);
    let not_executable = file(path("not-executable"), 0o644);
    let closed = path("closed");
    fs::create_dir(&closed).unwrap();
    let inside = file(closed.join("inside"), 0o755);
    let inner = closed.join("inner");
    fs::create_dir(&inner).unwrap();
    with_mode(&closed, 0o600);

    let script = |path: &Path| ExecutionRequest::script(path);
    for (field, place, request) in [
        ("path", &unreadable, script(&unreadable)),
        ("path", &unreadable, script(&unreadable).interpreter("sh")),
        ("path", &inside, script(&inside)),
        (
            "interpreter",
            &not_executable,
            script(&not_executable).interpreter(text(&not_executable)),
        ),
        ("program", &not_executable, exec(&not_executable)),
        ("program", &inside, exec(&inside)),
        ("shell", &inside, shell("true").interpreter(text(&inside))),
        ("working_dir", &closed, shell("true").working_dir(&closed)),
        ("working_dir", &inner, shell("true").working_dir(&inner)),
    ] {
        let engine = engine();
        let refused = engine.execute(request).await.unwrap_err();
        let expected = ValidationError::PermissionDenied { field, path: place.clone() };
        assert_eq!(refused, ExecutionError::Validation(expected), "{refused}");
        assert_eq!((engine.total_count().await, engine.running_count().await), (0, 0));
    }
    with_mode(&closed, 0o700);
}

/// What becomes so after the check is found out when the start has failed.
#[tokio::test]
async fn failed_start_names_what_this_user_may_not_do() {
    if done_as_nobody("failed_start_names_what_this_user_may_not_do").await {
        return;
    }
    let home = TempDir::new().unwrap();
    let (closed, script) = (home.path().join("closed"), home.path().join("script"));
    fs::create_dir(&closed).unwrap();
    let inside = file(closed.join("inside"), 0o755);
    fs::write(&script, format!("#!{}\n", inside.display())).unwrap();
    with_mode(&script, 0o755);
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_concurrent_executions: 1, ..ExecutionConfig::default() })
        .admission(Admission::Queue { max_waiting: 9 })
        .build()
        .unwrap();
    let holder = engine.execute(shell("sleep 300")).await.unwrap();
    let mut ids = Vec::new();
    for request in [exec(&inside), exec(&script), shell("true").working_dir(&closed)] {
        ids.push(engine.execute(request).await.unwrap());
    }
    with_mode(&closed, 0o600);
    engine.cancel(holder).await.unwrap();
    let quoted = |path: &Path| format!("{path:?}");
    let may_not_search = format!("this user may not search {}", quoted(&closed));
    for (id, says) in ids.into_iter().zip([
        [quoted(&inside), format!("it cannot be reached, for {may_not_search}")],
        [quoted(&script), format!("which cannot be reached, for {may_not_search}")],
        [quoted(&closed), "it may not be entered by this user (its mode is 0600)".to_string()],
    ]) {
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
        assert_eq!(*os_error, Some(libc::EACCES), "{reason}");
        assert!(says.iter().all(|says| reason.contains(says)), "{says:?} is not in {reason}");
    }
    with_mode(&closed, 0o700);
}

/// The kernel executes it all the same, and finds out what it is.
#[tokio::test]
async fn interpreter_that_cannot_be_read_is_left_to_the_kernel() {
    if done_as_nobody("interpreter_that_cannot_be_read_is_left_to_the_kernel").await {
        return;
    }
    let home = TempDir::new().unwrap();
    let (interpreter, script) = (home.path().join("interpreter"), home.path().join("script"));
    fs::copy("/bin/echo", &interpreter).unwrap();
    with_mode(&interpreter, 0o111);
    fs::write(&script, format!("#!{} -n\n", interpreter.display())).unwrap();
    let result = soon("its end", engine().run(ExecutionRequest::script(&script))).await.unwrap();
    assert_eq!(result.stdout, script.display().to_string(), "{result:?}");
}

#[tokio::test]
async fn unsearchable_path_entry_is_skipped() {
    if done_as_nobody("unsearchable_path_entry_is_skipped").await {
        return;
    }
    let home = TempDir::new().unwrap();
    let (closed, open) = (home.path().join("closed"), home.path().join("open"));
    for dir in [&closed, &open] {
        fs::create_dir(dir).unwrap();
        file(dir.join("tool"), 0o755);
    }
    with_mode(&closed, 0o600);
    let path = format!("{}:{}", closed.display(), open.display());
    let tool = || ExecutionRequest::exec::<String>("tool", []);
    let result = soon("the tool", engine().run(tool().env("PATH", path))).await.unwrap();
    assert_eq!(result.stdout, "ran\n");

    // Its existence is unknown, so it counts as not found.
    let refused = engine().execute(tool().env("PATH", text(&closed))).await.unwrap_err();
    assert_eq!(refused.error_code(), "program_not_found", "{refused}");
    assert!(refused.to_string().contains("\"tool\""), "{refused}");
    with_mode(&closed, 0o700);
}

#[tokio::test]
async fn unwritable_log_refuses_the_request() {
    if done_as_nobody("unwritable_log_refuses_the_request").await {
        return;
    }
    let home = TempDir::new().unwrap();
    let fixed = home.path().join("fixed");
    fs::create_dir(&fixed).unwrap();
    with_mode(&fixed, 0o500);
    let touches = home.path().join("ran");
    let line = format!("echo >'{}'", touches.display());
    let logged = engine_with(|config| config.log_dir = Some(fixed.join("logs")));
    for (engine, request) in [
        (engine(), shell(&line).output_log(fixed.join("out.log"))),
        (engine(), shell(&line).output_log(fixed.join("deeper/out.log"))),
        (logged, shell(&line)),
    ] {
        let refused = engine.execute(request).await.unwrap_err();
        assert_eq!(refused.error_code(), "log_failed", "{refused}");
        assert!(refused.to_string().contains("ermission denied"), "{refused}");
        assert_eq!((engine.total_count().await, engine.available_permits()), (0, 100));
    }
    assert!(!touches.exists());
}

#[tokio::test]
async fn unprivileged_user_can_run_executions() {
    if done_as_nobody("unprivileged_user_can_run_executions").await {
        return;
    }
    let engine = engine();
    let id = engine.execute(shell("sleep 300 & sleep 300")).await.unwrap();
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    let result = soon("its end", engine.run(shell("id -u"))).await.unwrap();
    assert_eq!(result.stdout.trim(), rustix::process::geteuid().as_raw().to_string());
}

#[tokio::test]
async fn exiting_processes_of_this_user_are_no_survivors() {
    if done_as_nobody("exiting_processes_of_this_user_are_no_survivors").await {
        return;
    }
    // The environment of an exiting process cannot be read, like that of another user's process.
    let level = ContainmentLevel::ProcessTree;
    let engine = ExecutionEngine::builder().containment(level).build().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400 {
        if tasks.len() == 40 {
            tasks.join_next().await.unwrap().unwrap();
        }
        let engine = engine.clone();
        tasks.spawn(async move {
            let request = shell(format!("exit {}", number % 3));
            let result = soon("its end", engine.run(request)).await.unwrap();
            assert!(result.containment.survivors.is_empty(), "{result:?}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// A host may have the rights of another user (setuid), or more capabilities than its user. Access is
/// checked with the rights that it has.
#[tokio::test]
async fn effective_user_decides_access() {
    if !rustix::process::geteuid().is_root() {
        return levels::announce("SKIPPED: this is not root, who can act as another user");
    }
    let home = TempDir::new().unwrap();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    with_mode(&closed, 0o700);
    let program = closed.join("program");
    fs::copy("/bin/cat", &program).unwrap();
    with_mode(&program, 0o700);
    let script = file(closed.join("script"), 0o600);
    let input = ExecutionOptions::default().stdin(StdinSource::file(script.clone()));
    // Not the user of the other tests, which might count these programs as theirs.
    let starter = 61_835;
    // SAFETY: The call takes numbers only. It affects this thread alone, which starts the programs.
    let acts_as_root = unsafe { libc::syscall(libc::SYS_setresuid, starter, 0, 0) };
    assert_eq!(acts_as_root, 0);
    let engine = engine();
    for request in [
        exec(&program),
        ExecutionRequest::script(&script).interpreter("cat"),
        ExecutionRequest::exec::<String>("cat", []).working_dir(&closed),
    ] {
        let id = engine.execute_with(request, input.clone()).await.unwrap();
        let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
        assert!(result.success && result.stdout.contains("ran"), "{result:?}");
    }
}

/// Returns the words that a program prints as another user.
async fn words_as(user: UserIds, level: ContainmentLevel, line: &str) -> Vec<String> {
    let engine = ExecutionEngine::builder().containment(level).build().unwrap();
    let options = ExecutionOptions::default().user(user);
    let result = run_with(&engine, shell(line).working_dir("/"), options).await;
    assert!(result.success, "{level}: {result:?}");
    result.stdout.split_whitespace().map(str::to_string).collect()
}

#[tokio::test]
async fn program_runs_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _alone = ALONE.lock().await;
    for level in levels() {
        let user = UserIds::new(65534, 65533).groups([7, 9]);
        let line = "sed -nE 's/^(Uid|Gid|Groups|CapEff)://p' /proc/self/status";
        let words = words_as(user.clone(), level, line).await;
        let expected = ["65534", "65533"].map(|id| vec![id; 4]).concat();
        assert_eq!(words[..8], expected, "{level}");
        assert_eq!(words[8..], ["7", "9", "0000000000000000"], "{level}");
        assert_eq!(words_as(UserIds::new(1, 1), level, "id -G").await, ["1"], "{level}");
        // The streams can be opened by name, and what is root's cannot.
        let line = "echo named >/dev/stdout; cat /proc/1/environ 2>/dev/null || echo refused";
        assert_eq!(words_as(user, level, line).await, ["named", "refused"], "{level}");
    }
}

#[tokio::test]
async fn tree_of_another_user_is_ended() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _alone = ALONE.lock().await;
    for level in levels() {
        let engine = ExecutionEngine::builder().containment(level).build().unwrap();
        let options = ExecutionOptions::default().user(UserIds::new(65534, 65534));
        // More rights than the user has are those of the host.
        let options = options.limits(Limits::default().nice(-3));
        let line = "cut -d ' ' -f 19 /proc/self/stat; sleep 300 & sleep 300";
        let request = shell(line).working_dir("/").timeout(Duration::from_millis(500));
        let result = run_with(&engine, request, options).await;
        assert!(matches!(result.ending, Ending::TimedOut { .. }), "{level}: {result:?}");
        assert_eq!(result.stdout, "-3\n", "{level}");
        assert!(result.containment.survivors.is_empty(), "{level}: {result:?}");
    }
}

#[tokio::test]
async fn host_without_the_right_cannot_change_the_user() {
    if done_as_nobody("host_without_the_right_cannot_change_the_user").await {
        return;
    }
    let options = ExecutionOptions::default().user(UserIds::new(1, 1));
    let result = run_with(&engine(), shell("true"), options).await;
    let Ending::SpawnFailed { reason, os_error } = &result.ending else { panic!("{result:?}") };
    assert_eq!(*os_error, Some(libc::EPERM), "{result:?}");
    assert!(reason.contains("as user 1 and group 1") && reason.contains("only root"), "{reason}");
}

#[tokio::test]
async fn ids_that_mean_unchanged_are_refused() {
    for user in [UserIds::new(u32::MAX, 1), UserIds::new(1, u32::MAX)] {
        let options = ExecutionOptions::default().user(user);
        let refused = engine().execute_with(shell("true"), options).await.unwrap_err();
        assert_eq!(refused.error_code(), "invalid_option", "{refused}");
    }
}
