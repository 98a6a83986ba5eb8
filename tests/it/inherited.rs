//! Streams that a program inherits from its host, and descriptors that are passed on.

use std::fs::{self, File};
use std::io::Write as _;

use execution_engine::*;
use tempfile::TempDir;
use test_support::host::{self, role};
use test_support::levels::{engine_at, levels};
use test_support::*;

const HOST: &str = "inherited::streams_of_the_host_are_inherited";

fn options() -> ExecutionOptions {
    ExecutionOptions::default()
}

/// Runs this binary as a host in a role, with this input.
async fn host(role: &str, input: &str) -> ExecutionResult {
    let options = options().stdin(StdinSource::bytes(input.to_string()));
    let result = run_with(&engine(), host::request(HOST, role), options).await;
    assert!(result.success, "{role}: {result:?}");
    result
}

/// Plays a host.
async fn play(part: &str) {
    const LINE: &str = "read -r line; echo \"out $line\"; echo \"err $line\" >&2";
    let inherit = options().stdin(StdinSource::Inherit);
    let request = shell(LINE);
    match part {
        "both" => {
            let inherit = inherit.output(OutputMode::Inherit);
            let result = run_with(&engine(), request, inherit).await;
            assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("", ""), "{result:?}");
            assert!(result.success && result.stdout_stats.seen_bytes == 0, "{result:?}");
        }
        "stderr" => {
            let inherit = inherit.output(OutputMode::InheritStderr);
            let result = run_with(&engine(), request, inherit).await;
            let output = (result.stdout.as_str(), result.stderr.as_str());
            assert_eq!(output, ("out hello\n", ""), "{result:?}");
        }
        part => panic!("no such part: {part}"),
    }
}

#[tokio::test]
async fn streams_of_the_host_are_inherited() {
    if let Some(words) = role() {
        return play(&words[0]).await;
    }
    let both = host("both", "hello\n").await;
    assert!(both.stdout.contains("out hello\n"), "{both:?}");
    assert!(both.stderr.contains("err hello\n"), "{both:?}");
    let stderr = host("stderr", "hello\n").await;
    assert!(!stderr.stdout.contains("out hello"), "{stderr:?}");
    assert!(stderr.stderr.contains("err hello\n"), "{stderr:?}");
}

#[tokio::test]
async fn what_needs_output_is_refused_without() {
    let dir = TempDir::new().unwrap();
    let inherit = || options().output(OutputMode::Inherit);
    for (named, request, options) in [
        ("output_log_path", shell("true").output_log(dir.path().join("log")), inherit()),
        ("idle_timeout_ms", shell("true"), inherit().idle_timeout(Duration::from_secs(9))),
    ] {
        let refused = engine().execute_with(request, options).await.unwrap_err();
        assert_eq!(refused.error_code(), "invalid_option");
        assert!(refused.to_string().contains(named), "{refused}");
    }
}

#[tokio::test]
async fn stopping_works_without_pipes() {
    for level in levels() {
        let engine = engine_at(level);
        let inherit = options().output(OutputMode::Inherit);
        let request = shell("sleep 300 & sleep 300").timeout(Duration::from_millis(200));
        let result = run_with(&engine, request, inherit).await;
        assert!(matches!(result.ending, Ending::TimedOut { .. }), "{level}: {result:?}");
        assert!(result.containment.survivors.is_empty(), "{level}: {result:?}");
    }
}

/// Returns the reading end of a pipe that has this text in it.
fn pipe_with(text: &str) -> std::io::PipeReader {
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(text.as_bytes()).unwrap();
    read
}

#[tokio::test]
async fn descriptors_are_passed_under_their_numbers() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "content").unwrap();
    for level in levels() {
        let engine = engine_at(level);
        let mut passed = PassedDescriptors::new();
        // The numbers are likely to be those of other descriptors of this process.
        for number in 3..9 {
            passed = passed.pass(number, pipe_with(&format!("pipe {number}\n"))).unwrap();
        }
        let file = File::open(dir.path().join("file")).unwrap();
        passed = passed.pass(PassedDescriptors::LAST, file).unwrap();
        let line = "for n in 3 4 5 6 7 8; do eval \"read -r line <&$n\"; echo \"$line\"; done; \
                    cat /proc/self/fd/255; exec ls /proc/self/fd";
        let execution = engine.start_passing(shell(line), options(), passed).await.unwrap();
        let result = soon("its end", execution.wait()).await.unwrap();
        let pipes: String = (3..9).map(|number| format!("pipe {number}\n")).collect();
        // ls reads the directory by number 9.
        let listed = ["0", "1", "2", "255", "3", "4", "5", "6", "7", "8", "9", ""].join("\n");
        let expected = format!("{pipes}content{listed}");
        assert_eq!(result.stdout, expected, "{level}: {result:?}");
    }
}

#[tokio::test]
async fn each_attempt_gets_the_descriptors() {
    let dir = TempDir::new().unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    let passed = PassedDescriptors::new().pass(3, log).unwrap();
    let retry = options().retry(RetryPolicy::new(3).initial_delay(Duration::from_millis(1)));
    let request = shell("echo tried >&3; exit 1");
    let engine = engine();
    let execution = engine.start_passing(request, retry, passed).await.unwrap();
    let result = soon("its end", execution.wait()).await.unwrap();
    assert_eq!(result.attempts, 3, "{result:?}");
    assert_eq!(fs::read_to_string(dir.path().join("log")).unwrap(), "tried\n".repeat(3));
}

#[tokio::test]
async fn passed_descriptors_are_closed_at_the_end() {
    let (read, write) = std::io::pipe().unwrap();
    let engine = engine();
    let passed = PassedDescriptors::new().pass(3, write).unwrap();
    let execution = engine.start_passing(shell("echo hello >&3"), options(), passed).await.unwrap();
    let reader = tokio::task::spawn_blocking(move || std::io::read_to_string(read).unwrap());
    assert_eq!(soon("the end of the pipe", reader).await.unwrap(), "hello\n");
    drop(execution);
}
