//! Unusual inputs, places and programs: each is refused with an error or runs, without a panic or a
//! hang.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

fn refused(request: ExecutionRequest) -> ValidationError {
    match at_once(engine().execute(request)) {
        Err(ExecutionError::Validation(error)) => error,
        other => panic!("{other:?}"),
    }
}

// ---------------------------------------------------------------------------------------------- words

#[tokio::test]
async fn shell_line_may_begin_with_a_dash() {
    for sign in ["-", "+", "--", "-c"] {
        let result = run(&engine(), shell(format!("{sign}no-such-command; echo went on"))).await;
        assert_eq!(result.stdout, "went on\n", "{result:?}");
        assert!(result.stderr.contains(&format!("{sign}no-such-command")), "{result:?}");
    }
}

#[tokio::test]
async fn arguments_may_be_empty_long_and_many() {
    let longest = "x".repeat(128 * 1024 - 1);
    let args = [vec![String::new(), longest], vec!["many".to_string(); 10_000]].concat();
    let script = "import sys; print(len(sys.argv) - 1, len(sys.argv[1]), len(sys.argv[2]))";
    let all = ["-c".to_string(), script.to_string()].into_iter().chain(args);
    let result = run(&engine(), ExecutionRequest::exec("python3", all)).await;
    assert_eq!(result.stdout, "10002 0 131071\n", "{result:?}");
}

#[tokio::test]
async fn ten_thousand_variables_arrive() {
    let names = (0..10_000).map(|number| (format!("ODD_{number}"), number.to_string()));
    let mut request = shell("env | grep -c ^ODD_");
    request.env.extend(names);
    assert_eq!(run(&engine(), request).await.stdout, "10000\n");
}

#[tokio::test]
async fn variable_names_and_values_may_hold_anything() {
    let request = exec("env").env("with blank", "a\nb").env("ünïcode", "'\"$`\\").env("EMPTY", "");
    let result = run(&engine(), request).await;
    for text in ["with blank=a\nb\n", "ünïcode='\"$`\\\n", "EMPTY=\n"] {
        assert!(result.stdout.contains(text), "{text:?} is missing");
    }
}

// --------------------------------------------------------------------------------------------- places

#[tokio::test]
async fn too_long_path_is_refused_by_field() {
    let home = TempDir::new().unwrap();
    let (here, there) = (home.path().join("here"), home.path().join("there"));
    symlink(&here, &there).unwrap();
    symlink(&there, &here).unwrap();
    let too_long = format!("/{}", "x".repeat(5000));
    let long_name = format!("/tmp/{}", "x".repeat(300));
    for path in [too_long.as_str(), &long_name, here.to_str().unwrap()] {
        for (field, request) in [
            ("working_dir", shell("true").working_dir(path)),
            ("path", ExecutionRequest::script(path)),
            ("program", exec(path)),
            ("interpreter", ExecutionRequest::script("/etc/passwd").interpreter(path)),
            ("shell", shell("true").interpreter(path)),
        ] {
            let error = refused(request);
            let ValidationError::Inaccessible { field: named, .. } = &error else {
                panic!("{field}: {error:?}")
            };
            assert_eq!(*named, field, "{error}");
        }
        let error = at_once(engine().execute(shell("true").output_log(path))).unwrap_err();
        assert!(matches!(error, ExecutionError::Log { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn working_directory_may_be_deeper_than_path_max() {
    // As long as a path may be in all.
    let home = TempDir::new().unwrap();
    let mut dir = home.path().to_path_buf();
    while dir.as_os_str().len() < 3800 {
        dir.push("d".repeat(200));
    }
    fs::create_dir_all(&dir).unwrap();
    executable(dir.join("tool"), "#!/bin/sh\necho found\n");
    let result = run(&engine(), exec("./tool").working_dir(&dir)).await;
    assert_eq!(result.stdout, "found\n", "{result:?}");
}

#[tokio::test]
async fn file_names_may_hold_anything() {
    let home = TempDir::new().unwrap();
    for name in [&b"new\nline"[..], b" blank ", b"not utf-8 \xff\xfe", b"$(echo no)", b"'\"\\*?["] {
        let dir = home.path().join(OsStr::from_bytes(name));
        fs::create_dir(&dir).unwrap();
        let script = dir.join(OsStr::from_bytes(name));
        fs::write(&script, "#!/bin/sh\npwd >there; echo ran\n").unwrap();
        let engine = engine_with(|config| config.log_dir = Some(dir.join("logs")));
        let request = ExecutionRequest::script(&script)
            .interpreter("sh")
            .working_dir(&dir)
            .output_log(dir.join("raw"));
        let result = soon("its end", engine.run(request)).await.unwrap();
        assert_eq!((result.stdout.as_str(), result.success), ("ran\n", true), "{result:?}");
        assert!(dir.join("there").exists() && dir.join("raw").exists());
        assert!(engine.read_logs(result.id).await.unwrap().contains("out | ran\n"));
    }
}

#[tokio::test]
async fn special_file_as_script_is_refused() {
    let home = TempDir::new().unwrap();
    let fifo = home.path().join("fifo");
    let made = run(&engine(), ExecutionRequest::exec("mkfifo", [fifo.to_str().unwrap()])).await;
    assert!(made.success, "{made:?}");
    for path in [fifo.as_path(), Path::new("/dev/null")] {
        for request in
            [ExecutionRequest::script(path), ExecutionRequest::script(path).interpreter("sh")]
        {
            let error = refused(request);
            assert!(matches!(error, ValidationError::ScriptNotAFile { .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn executable_script_without_a_shebang_names_what_is_missing() {
    let home = TempDir::new().unwrap();
    for (content, says) in [
        ("", "it is empty"),
        ("echo no first line\n", "nor a script with a #! line"),
        ("#!\n", "it has a #! line that names no interpreter"),
    ] {
        let script = home.path().join("script");
        executable(&script, content);
        let result = run(&engine(), ExecutionRequest::script(&script)).await;
        assert!(matches!(result.ending, Ending::SpawnFailed { .. }), "{content:?}: {result:?}");
        let error = result.error.unwrap();
        assert!(error.contains(says), "{content:?}: {error}");
        let named = run(&engine(), ExecutionRequest::script(&script).interpreter("sh")).await;
        assert!(named.success, "{named:?}");
    }
}

#[tokio::test]
async fn working_directory_may_vanish_while_the_program_runs() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let request = shell("rmdir \"$PWD\" && echo still here").working_dir(&dir);
    let result = run(&engine(), request).await;
    assert_eq!(result.stdout, "still here\n", "{result:?}");
    assert!(!dir.exists());
}

// ------------------------------------------------------------------------------------------- programs

#[tokio::test]
async fn fork_bomb_is_stopped_with_all_its_processes() {
    let recorder = Recorder::new();
    let engine = engine().with_event_handler(recorder.clone());
    // Each makes two more and waits, four times over: 31 shells, and a sleep below each of the last.
    let line = r#"f() { if [ $1 -gt 0 ]; then f $(($1-1)) & f $(($1-1)) & wait
                  else sh -c 'echo $$; exec sleep 300'; fi; }; f 4"#;
    let id = engine.execute(shell(line)).await.unwrap();
    recorder.when(id, |events| lines_of(events, OutputStream::Stdout).len() == 16).await;
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    assert!(result.containment.stopped >= 31, "{result:?}");
    assert!(!pids(&result.stdout).into_iter().any(is_alive), "{result:?}");
}

#[tokio::test]
async fn endlessly_forking_program_is_stopped() {
    let line = "i=0; while [ $i -lt 2000 ]; do sleep 300 & i=$((i+1)); done";
    let request = shell(line).timeout(Duration::from_millis(200));
    let result = run(&engine(), request).await;
    assert!(result.containment.survivors.is_empty(), "{result:?}");
    assert!(result.containment.stopped > 0, "{result:?}");
}

#[tokio::test]
async fn program_may_change_its_name_streams_and_directory() {
    let line = "cd /; exec >/dev/null 2>&1 </dev/null; exec -a other sleep 300";
    let request = shell(line).interpreter("/bin/bash").timeout(Duration::from_millis(300));
    let result = run(&engine(), request).await;
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 300 });
    assert_eq!(result.signal, Some(15), "{result:?}");
}

#[tokio::test]
async fn signal_to_its_own_group_reaches_the_program_only() {
    let mine = shell("trap '' TERM; kill -TERM 0; echo alive; kill -KILL 0");
    let result = run(&engine(), mine).await;
    assert_eq!(result.stdout, "alive\n");
    assert_eq!(result.ending, Ending::Signaled { signal: 9, core_dumped: false });
}

// ------------------------------------------------------------------------------------------- settings

#[tokio::test]
async fn longest_durations_are_accepted() {
    let engine = ExecutionEngine::builder()
        .config(ExecutionConfig { max_timeout_ms: u64::MAX, ..Default::default() })
        .stop_grace(Duration::MAX)
        .drain_limit(Duration::MAX)
        .max_pause(Duration::MAX)
        .handler_stall_limit(Duration::MAX)
        .event_handler(Recorder::new())
        .build()
        .unwrap();
    let request = shell("echo fine; sleep 300 &").timeout(Duration::MAX);
    let result = soon("its end", engine.run(request)).await.unwrap();
    assert_eq!((result.stdout.as_str(), result.success), ("fine\n", true));

    let id = engine.execute(shell("sleep 300")).await.unwrap();
    engine.pause(id).await.unwrap();
    engine.resume(id).await.unwrap();
    engine.cancel(id).await.unwrap();
    let result = soon("its end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Cancelled);
}

#[tokio::test]
async fn shortest_durations_are_accepted() {
    let engine = ExecutionEngine::builder()
        .stop_grace(Duration::ZERO)
        .drain_limit(Duration::ZERO)
        .max_pause(Duration::ZERO)
        .handler_stall_limit(Duration::from_nanos(1))
        .event_handler(Recorder::new())
        .build()
        .unwrap();
    let result = soon("its end", engine.run(shell("sleep 300 & exit 3"))).await.unwrap();
    assert_eq!(result.exit_code, 3);
    let request = shell("sleep 300").timeout(Duration::from_nanos(1));
    let result = soon("its end", engine.run(request)).await.unwrap();
    assert_eq!(result.ending, Ending::TimedOut { timeout_ms: 1 });
}
