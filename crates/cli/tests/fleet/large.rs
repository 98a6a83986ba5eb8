//! Programs with much output or with files: bounded memory, and what is left when their worker dies.

use std::io::Read as _;
use std::process::{ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

const MIB: u64 = 1024 * 1024;
/// Bytes of a line of [`numbers`].
const LINE: u64 = 16;

/// Most memory of a worker, with one program of any output. Without such a program it has about 40 MiB.
const WORKER_MEMORY: u64 = 96 * MIB;

/// Returns a command that writes so many bytes: numbers, so that the content tells its place.
fn numbers(bytes: u64) -> String {
    format!("seq -f %015.0f 1 {}", bytes / LINE)
}

/// Reads to the end, and returns how many bytes there were. They are the first of [`numbers`].
fn read_numbers(mut output: ChildStdout) -> u64 {
    let (mut count, mut buffer, mut rest) = (0, vec![0; 1 << 20], Vec::new());
    loop {
        let read = output.read(&mut buffer).unwrap();
        if read == 0 {
            return count * LINE + rest.len() as u64;
        }
        rest.extend_from_slice(&buffer[..read]);
        let whole = rest.len() - rest.len() % LINE as usize;
        for line in rest.drain(..whole).as_slice().chunks(LINE as usize) {
            count += 1;
            assert_eq!(line, format!("{count:015}\n").as_bytes());
        }
    }
}

/// Returns the most memory that a process has had.
fn highest_memory(pid: Pid) -> u64 {
    let status = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// With 1 GiB: `FLEET_OUTPUT_MIB=1024`.
#[tokio::test]
async fn much_output_goes_through_a_worker_with_little_memory() {
    let mib = std::env::var("FLEET_OUTPUT_MIB").map_or(64, |text| text.parse().unwrap());
    let fleet = Fleet::of(3).await;
    let mut worker = fleet.worker_that_waits(&["--slots", "1"]);
    let (_, proper) = worker_of(&worker.wait_for("is ready"));
    let mut run = fleet.command(&["run", "--shell", &numbers(mib * MIB)]);
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(read_numbers(run.stdout.take().unwrap()), mib * MIB);
    let ended = run.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{:?}", texts(&ended));
    let memory = highest_memory(proper);
    assert!(memory < WORKER_MEMORY, "the worker had {} MiB", memory / MIB);
}

#[tokio::test]
async fn output_of_a_killed_worker_has_no_gap() {
    let fleet = Fleet::start().await;
    let mut worker = fleet.worker_that_waits(&["--slots", "1"]);
    let (_, proper) = worker_of(&worker.wait_for("is ready"));
    let line = format!("{}; sleep 600", numbers(15 * MIB));
    let id = fleet.told(&["submit", "--shell", &line]);
    let logs = || {
        let mut logs = fleet.command(&["logs", id.trim()]);
        let mut logs = logs.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let count = read_numbers(logs.stdout.take().unwrap());
        (count, texts(&logs.wait_with_output().unwrap()).1)
    };
    until("output is in objects", || logs().0 > 8 * MIB + MIB);
    kill_process(proper, Signal::KILL).unwrap();
    let lost = fleet.output(&["wait", id.trim()]);
    assert!(!lost.status.success());
    let (count, told) = logs();
    assert!(count > 8 * MIB && !told.contains("missing"), "{count}: {told}");
}

#[tokio::test]
async fn files_go_to_a_worker_and_come_back() {
    let fleet = Fleet::start().await;
    let _worker = fleet.worker(&["--slots", "1"]);
    let data = fleet.home.path().join("data.txt");
    std::fs::write(&data, "b\na\n").unwrap();
    let input = format!("{}=in/data.txt", data.display());
    let line = "mkdir out; sort in/data.txt > out/sorted.txt";
    let words =
        ["run", "--input", &input, "--collect", "out/*", "--collect", "no", "--shell", line];
    let output = fleet.output(&words);
    let (_, told) = texts(&output);
    assert!(output.status.success() && told.contains("not collected: no: "), "{told}");
    let to = fleet.home.path().join("results");
    let listed = fleet.told(&["fleet", "artifacts", "@last", "--to", to.to_str().unwrap()]);
    assert!(listed.ends_with("/4  out/sorted.txt\n"), "{listed}");
    assert_eq!(std::fs::read_to_string(to.join("out/sorted.txt")).unwrap(), "a\nb\n");
}

#[tokio::test]
async fn an_input_that_is_no_file_is_refused_at_once() {
    let fleet = Fleet::start().await;
    let pipe = fleet.home.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for file in [&*pipe, fleet.home.path()] {
        let output = fleet.output(&["run", "--input", file.to_str().unwrap(), "--", "true"]);
        let (_, told) = texts(&output);
        assert_eq!(output.status.code(), Some(125), "{told}");
        let file = file.to_str().unwrap();
        assert!(told.contains("no regular file") && told.contains(file), "{told}");
    }
}
