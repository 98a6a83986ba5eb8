//! Overflow files: private, counted, taken by the caller, and a full disk ends only the execution that
//! needs it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use execution_engine::OversizedOutputStrategy::StreamToFile;
use execution_engine::*;
use tempfile::{tempdir, tempdir_in};
use test_support::levels::announce;
use test_support::*;

fn spilling(limit: usize) -> ExecutionConfig {
    ExecutionConfig {
        max_output_size_bytes: limit,
        oversized_output_strategy: StreamToFile,
        ..Default::default()
    }
}

fn engine_that_spills(limit: usize) -> ExecutionEngine {
    ExecutionEngine::new(spilling(limit)).unwrap()
}

/// The output of `seq 1 LAST`.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Checks that stdout is the beginning of `whole` and has the length of its statistics.
fn assert_beginning(result: &ExecutionResult, whole: &str) {
    let rest = result.stdout_overflow_file.as_ref().map(|file| fs::read(file).unwrap());
    let kept = [&result.stdout_bytes()[..], &rest.unwrap_or_default()].concat();
    assert!(whole.as_bytes().starts_with(&kept), "{} bytes are no beginning", kept.len());
    assert_eq!(result.stdout_stats.kept_bytes, kept.len() as u64);
    assert!(kept.len() as u64 <= result.stdout_stats.seen_bytes);
    assert!(!result.stdout.contains("truncated"), "{:?}", result.stdout);
}

// Location.

#[tokio::test]
async fn overflow_files_are_private_and_unpredictable() {
    let mut dirs = HashSet::new();
    let mut names = HashSet::new();
    for _ in 0..3 {
        let engine = engine_that_spills(1);
        for _ in 0..3 {
            let result = engine.run(shell("echo out; echo err >&2")).await.unwrap();
            let files = [result.stdout_overflow_file, result.stderr_overflow_file];
            for file in files.into_iter().flatten() {
                let name = file.file_name().unwrap().to_str().unwrap().to_string();
                assert!(!name.contains(&result.id.to_string()), "{name}");
                // As a word: the id of process 1 is part of many names by chance.
                let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
                assert!(words.all(|word| word != std::process::id().to_string()), "{name}");
                assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
                dirs.insert(file.parent().unwrap().to_path_buf());
                names.insert(name);
            }
        }
    }
    assert_eq!((dirs.len(), names.len()), (3, 18));
}

#[tokio::test]
async fn removed_overflow_directory_is_created_again() {
    let engine = engine_that_spills(1);
    let first = engine.run(shell("echo first")).await.unwrap();
    fs::remove_dir_all(first.stdout_overflow_file.unwrap().parent().unwrap()).unwrap();
    let second = engine.run(shell("echo second")).await.unwrap();
    assert_beginning(&second, "second\n");
    let file = second.stdout_overflow_file.unwrap();
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[tokio::test]
async fn overflow_files_are_removed_with_the_engine_despite_subscriptions() {
    let engine = engine_that_spills(1);
    let every = engine.subscribe_all().await;
    let result = engine.run(shell("echo something")).await.unwrap();
    let one = engine.subscribe(result.id).await.unwrap();
    let file = result.stdout_overflow_file.unwrap();
    let running = engine.execute(shell("seq 1 1000; exec sleep 1000")).await.unwrap();
    drop(engine);
    until("the directory is gone", || !file.parent().unwrap().exists()).await;
    drop((every, one, running));
}

#[tokio::test]
async fn output_lost_after_the_ending_is_reported_beside_it() {
    let builder = ExecutionEngine::builder().config(spilling(100)).overflow_disk_limit(10_000);
    let engine = builder.build().unwrap();
    let line = "trap 'seq 1 100000; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let id = engine.execute(shell(line)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    while let Some(record) = soon("it is ready", records.next()).await {
        if matches!(record.event, ExecutionEvent::Stdout { .. }) {
            break;
        }
    }
    engine.cancel(id).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_beginning(&result, &format!("ready\n{}", numbers(100_000)));
    assert_eq!(result.ending, Ending::Cancelled);
    assert!(result.stdout_stats.kept_bytes < result.stdout_stats.seen_bytes);
    let error = result.output_error.unwrap();
    assert!(error.starts_with("stdout: ") && error.contains("overflow_disk_limit"), "{error}");
}

// take_overflow.

#[tokio::test]
async fn taken_overflow_file_belongs_to_the_caller() {
    let here = tempdir().unwrap();
    // On most machines another file system than that of temporary files.
    let elsewhere = tempdir_in("/dev/shm").unwrap();
    for dir in [&here, &elsewhere] {
        let engine = engine_that_spills(10);
        let result = engine.run(shell("seq 1 50000")).await.unwrap();
        let (id, old) = (result.id, result.stdout_overflow_file.unwrap());
        let target = dir.path().join("taken");
        let expected = &numbers(50_000)[10..];
        let taken = engine.take_overflow(id, OutputStream::Stdout, &target).await;
        assert_eq!(taken, Ok(expected.len() as u64));
        assert!(!old.exists(), "it is moved");
        assert_eq!(mode(&target), 0o600);

        let again = engine.take_overflow(id, OutputStream::Stdout, dir.path().join("again")).await;
        let none = |stream| Err(ExecutionError::NoOverflow { id, stream });
        assert_eq!(again, none(OutputStream::Stdout));
        assert_eq!(
            engine.take_overflow(id, OutputStream::Stderr, dir.path().join("err")).await,
            none(OutputStream::Stderr)
        );
        let result = engine.wait_for_completion(id).await.unwrap();
        assert_eq!(result.stdout_overflow_file, None);
        let stats = result.stdout_stats;
        assert_eq!(stats.kept_bytes, stats.seen_bytes);
        engine.remove_execution(id).await.unwrap();
        drop(engine);
        until("the directory is gone", || !old.parent().unwrap().exists()).await;
        assert!(fs::read_to_string(&target).unwrap() == expected);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn take_overflow_replaces_no_file() {
    let here = tempdir().unwrap();
    let elsewhere = tempdir_in("/dev/shm").unwrap();
    for dir in [&here, &elsewhere] {
        let engine = engine_that_spills(1);
        let result = engine.run(shell("echo something")).await.unwrap();
        let file = result.stdout_overflow_file.unwrap();
        let [there, link, nowhere] =
            ["there", "link", "not/there"].map(|name| dir.path().join(name));
        fs::write(&there, "precious").unwrap();
        std::os::unix::fs::symlink(dir.path().join("aim"), &link).unwrap();
        for target in [&there, &link, &nowhere, &dir.path().to_path_buf()] {
            let refused = engine.take_overflow(result.id, OutputStream::Stdout, target).await;
            let refused = refused.unwrap_err();
            assert!(matches!(refused, ExecutionError::Overflow { .. }), "{refused:?}");
            assert!(refused.to_string().contains(target.to_str().unwrap()), "{refused}");
            assert!(file.exists(), "it is still there");
        }
        assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
        assert!(!dir.path().join("aim").exists(), "no link is followed");
        let target = dir.path().join("at last");
        assert_eq!(engine.take_overflow(result.id, OutputStream::Stdout, target).await, Ok(9));
    }
}

#[tokio::test]
async fn overflow_file_is_taken_once_and_after_the_end() {
    let dir = tempdir().unwrap();
    let engine = engine_that_spills(1);
    let id = engine.execute(shell("seq 1 1000; exec sleep 1000")).await.unwrap();
    let early = engine.take_overflow(id, OutputStream::Stdout, dir.path().join("early")).await;
    assert_eq!(early, Err(ExecutionError::StillRunning(id)));
    let unknown = Uuid::new_v4();
    let never = engine.take_overflow(unknown, OutputStream::Stdout, dir.path().join("never")).await;
    assert_eq!(never, Err(ExecutionError::NotFound(unknown)));
    let mut records = engine.subscribe(id).await.unwrap();
    while let Some(record) = soon("all lines", records.next()).await {
        if matches!(&record.event, ExecutionEvent::Stdout { line, .. } if line == "1000") {
            break;
        }
    }
    engine.cancel(id).await.unwrap();
    soon("the end", engine.wait_for_completion(id)).await.unwrap();

    let takers = (0..8).map(|number| {
        let (engine, target) = (engine.clone(), dir.path().join(number.to_string()));
        tokio::spawn(async move { engine.take_overflow(id, OutputStream::Stdout, target).await })
    });
    let mut taken = Vec::new();
    for taker in takers.collect::<Vec<_>>() {
        taken.extend(soon("a taker", taker).await.unwrap().ok());
    }
    assert_eq!(taken, [numbers(1000).len() as u64 - 1]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

// Limits of the disk.

#[tokio::test]
async fn overflow_disk_limit_ends_only_the_execution_that_reaches_it() {
    const MOST: u64 = 1_000_000;
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let builder = ExecutionEngine::builder().config(spilling(10)).overflow_disk_limit(MOST);
    let engine = builder.build().unwrap();
    let line = format!("seq 1 5000; {}; exit 4", wait_for(&go));
    let other = engine.execute(shell(line)).await.unwrap();

    let greedy = shell("seq 1 400000; exec sleep 1000");
    let result = soon("the limit", engine.run(greedy)).await.unwrap();
    let Ending::OutputLost { stream: OutputStream::Stdout, reason } = &result.ending else {
        panic!("{:?}", result.ending);
    };
    assert!(reason.contains("1000000 bytes (overflow_disk_limit)"), "{reason}");
    assert_eq!(result.status, ExecutionStatus::Failed);
    assert_beginning(&result, &numbers(400_000));
    let kept = result.stdout_stats.kept_bytes;
    assert!(kept > MOST / 2 && kept < MOST, "{kept} bytes fit");

    fs::write(go, "").unwrap();
    let unharmed = soon("the other", engine.wait_for_completion(other)).await.unwrap();
    assert_eq!(unharmed.ending, Ending::Exited { code: 4 });
    let rest = fs::read_to_string(unharmed.stdout_overflow_file.unwrap()).unwrap();
    assert!(unharmed.stdout + &rest == numbers(5000));

    // Removed and taken files make room for the next.
    let next = || soon("the next", engine.run(shell("seq 1 140000")));
    engine.remove_execution(result.id).await.unwrap();
    let first = next().await.unwrap();
    assert_eq!(first.ending, Ending::Exited { code: 0 });
    let second = next().await.unwrap();
    assert!(matches!(second.ending, Ending::OutputLost { .. }), "{:?}", second.ending);
    engine.remove_execution(second.id).await.unwrap();
    let target = dir.path().join("taken");
    engine.take_overflow(first.id, OutputStream::Stdout, target).await.unwrap();
    assert_eq!(next().await.unwrap().ending, Ending::Exited { code: 0 });
}

#[tokio::test]
async fn full_disk_ends_only_the_execution_that_needs_it() {
    const NOT_ALLOWED: i32 = 77;
    if let Some(disk) = host::role() {
        return fill(Path::new(&disk[0])).await;
    }
    let dir = tempdir().unwrap();
    let disk = text(dir.path());
    // In a mount namespace of its own, so that it goes with the host.
    let line = format!(
        "mount -t tmpfs -o size=1m none '{disk}' || exit {NOT_ALLOWED}; exec \"$0\" \"$@\""
    );
    let host = host::request_through(&["unshare", "-m", "sh", "-c", &line], test_name!(), disk);
    let result = engine().run(host.env("TMPDIR", disk)).await;
    match &result {
        Err(error) => return announce(&format!("SKIPPED: {error}")),
        Ok(result)
            if result.exit_code == NOT_ALLOWED || result.stderr.contains("unshare failed") =>
        {
            return announce(&format!("SKIPPED: no disk can be mounted: {}", result.stderr));
        }
        Ok(_) => host::assert_passed(&result),
    }
}

/// Fills the small disk that is the temporary directory of this process.
async fn fill(disk: &Path) {
    let engine = engine_that_spills(1000);
    let result = soon("the full disk", engine.run(shell("seq 1 1000000"))).await.unwrap();
    let Ending::OutputLost { stream: OutputStream::Stdout, reason } = &result.ending else {
        panic!("{:?}", result.ending);
    };
    assert!(reason.contains("No space left"), "{reason}");
    assert_beginning(&result, &numbers(1_000_000));
    assert!(result.stdout_stats.kept_bytes > 500_000);

    // Executions without overflow continue, and report what their logs could not hold.
    let unharmed = engine.run(shell("echo fine")).await.unwrap();
    assert_eq!((unharmed.ending, unharmed.stdout.as_str()), (Ending::Exited { code: 0 }, "fine\n"));
    let logging = engine_with(|config| config.log_dir = Some(disk.join("logs")));
    let raw = disk.join("raw");
    let request = shell("seq 1 50000; exit 3").output_log(&raw);
    let logged = soon("the logged", logging.run(request)).await.unwrap();
    assert_eq!(logged.ending, Ending::Exited { code: 3 });
    assert!(logged.stdout == numbers(50_000));
    let error = logged.output_error.unwrap();
    assert!(error.contains("log") && error.contains("No space left"), "{error}");
    assert!(numbers(50_000).as_bytes().starts_with(&fs::read(&raw).unwrap()));

    // Freed room is used again.
    fs::remove_file(raw).unwrap();
    engine.remove_execution(result.id).await.unwrap();
    let result = soon("the next", engine.run(shell("seq 1 50000"))).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_beginning(&result, &numbers(50_000));
}
