//! Power failures: the service's writes are recorded, and the state directory is rebuilt as a disk could hold it at many
//! points. What was acknowledged before the point is there, what was told to have ended is whole, nothing starts twice.
//!
//! `EXENG_POWER_POINTS` is the number of points.

#![cfg(target_os = "linux")]

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::thread;

use fastrand::Rng;
use serde_json::Value;
use service_judge::disk::{self, Disk, Kept};
use service_judge::recording::Recorder;
use service_judge::service::{PATIENCE, Service, private_dir, until};
use service_judge::work::{Stream, Work, effects, judge};

/// Recordings, each of which is replayed on its own.
const RECORDINGS: usize = 2;
const CLIENTS: usize = 4;
const WORKS_OF_A_CLIENT: usize = 8;

fn points() -> usize {
    std::env::var("EXENG_POWER_POINTS").map_or(24, |text| text.parse().expect("a number"))
}

/// What had happened before a point.
#[derive(Debug, Default)]
struct Known {
    /// Ids by key.
    acknowledged: HashMap<String, String>,
    started: HashSet<String>,
    ended: HashSet<String>,
}

impl Known {
    /// Reads the marks: a program appends its key, `mark KEY` as a whole; clients say more.
    fn at(disk: &Disk, point: usize) -> Self {
        let mut known = Self::default();
        for mark in disk.marks(point) {
            match mark.split(' ').collect::<Vec<_>>()[..] {
                ["acknowledged", key, id] => {
                    known.acknowledged.insert(key.to_string(), id.to_string());
                }
                ["ended", key] => {
                    known.ended.insert(key.to_string());
                }
                [key] => {
                    known.started.insert(key.to_string());
                }
                _ => panic!("unknown mark: {mark}"),
            }
        }
        known
    }
}

fn request(service: &Service, target: &str) -> service_judge::http::Answer {
    service.socket().get(target).unwrap()
}

/// Submits works, waits for their ends, and marks what it is told.
fn client(service: &Service, recorder: &Recorder, works: &[Work]) {
    for pair in works.chunks(2) {
        let mut ids = Vec::new();
        for work in pair {
            let body = work.body(recorder.log());
            let answer = service.socket().request("POST", "/v1/executions", &[], Some(&body));
            let answer = answer.unwrap();
            assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
            let id = answer.json()["id"].as_str().unwrap().to_string();
            recorder.mark(&format!("acknowledged {} {id}", name(work)));
            ids.push(id);
        }
        for (work, id) in pair.iter().zip(ids) {
            let view = request(service, &format!("/v1/executions/{id}/wait?timeout=60000")).json();
            assert_eq!(view["exit_code"], work.exit_code, "{view}");
            recorder.mark(&format!("ended {}", name(work)));
        }
    }
}

/// Returns the key without the word that makes it a mark in the log.
fn name(work: &Work) -> &str {
    work.key.strip_prefix("mark ").unwrap()
}

fn works(client: usize) -> Vec<Work> {
    let mut random = Rng::with_seed(client as u64);
    let work = |number| Work::random(format!("mark k{client}-{number}"), &mut random);
    (0..WORKS_OF_A_CLIENT).map(work).collect()
}

/// Lets clients use a service, and returns what its disk saw.
fn record(recorder: &Recorder) -> Disk {
    let attached = recorder.clone();
    let service = Service::new(env!("CARGO_BIN_EXE_exeng"), recorder.root());
    let service = service.attach(move |command| attached.attach(command));
    let server = service.serve();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let service = &service;
            scope.spawn(move || client(service, recorder, &works(number)));
        }
    });
    service.stop_all(Some(server));
    let disk = Disk::new(recorder.entries()).unwrap();
    let all = disk.after(disk.points(), Kept::Everything);
    assert_eq!(disk::differences(&all, &disk::read(recorder.root())), [""; 0], "not all was seen");
    disk
}

/// Starts the service on what a power failure left, and judges it.
fn recover(root: &Path, log: &Path, known: &Known) -> Vec<String> {
    let service = Service::new(env!("CARGO_BIN_EXE_exeng"), root);
    let server = match service.try_serve() {
        Ok(server) => server,
        Err(refused) => return vec![format!("the service does not start: {refused:?}")],
    };
    let mut faults = Vec::new();
    let works: HashMap<_, _> =
        (0..CLIENTS).flat_map(works).map(|work| (name(&work).to_string(), work)).collect();
    for (key, id) in &known.acknowledged {
        let answer = request(&service, &format!("/v1/executions/{id}/wait?timeout=60000"));
        if answer.status != 200 {
            faults.push(format!("{key} was acknowledged and is gone: {}", answer.status));
            continue;
        }
        let view = answer.json();
        if view["status"] == "lost" && !known.ended.contains(key) {
            continue;
        }
        let output = |stream: Stream| {
            request(&service, &format!("/v1/executions/{id}/output?stream={}", stream.name())).body
        };
        let (stdout, stderr) = (output(Stream::Stdout), output(Stream::Stderr));
        faults.extend(judge(&works[key], &view, &stdout, &stderr));
    }
    wait_for_all(&service);
    service.stop_all(Some(server));
    for (key, times) in effects(log) {
        let key = key.strip_prefix("mark ").unwrap_or(&key);
        if known.started.contains(key) || times > 1 {
            faults.push(format!("{key} was started again"));
        }
    }
    faults.extend(disk::integrity(&root.join("exeng.db")).err());
    faults
}

/// Waits until nothing is queued or running, of that, too, which no client was told about.
fn wait_for_all(service: &Service) {
    let unfinished = "/v1/executions?status=pending&status=running";
    let start = std::time::Instant::now();
    loop {
        let list = request(service, unfinished).json();
        let Some(id) = list["executions"][0]["id"].as_str() else { return };
        assert!(start.elapsed() < PATIENCE, "not ended: {list}");
        let _view: Value =
            request(service, &format!("/v1/executions/{id}/wait?timeout=1000")).json();
    }
}

/// Records once and replays many failures; returns how many, and what was wrong.
fn failures(seed: u64, points: usize) -> (usize, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(dir.path());
    let disk = record(&recorder);
    let points = disk::choose_points(&disk, points, seed);
    let mut faults = Vec::new();
    for point in &points {
        let kept = match point % 4 {
            0 => Kept::Everything,
            1 => Kept::Random(seed + *point as u64),
            _ => Kept::Nothing,
        };
        // The requests name the log, so each failure has the places of the recording to itself.
        std::fs::remove_dir_all(recorder.root()).unwrap();
        private_dir(recorder.root());
        std::fs::write(recorder.log(), "").unwrap();
        disk::write(&disk.after(*point, kept), recorder.root());
        let found = recover(recorder.root(), recorder.log(), &Known::at(&disk, *point));
        faults.extend(found.into_iter().map(|fault| {
            eprintln!("point {point} of {}, {kept:?}: {fault}", disk.points());
            format!("recording {seed}, point {point}, {kept:?}: {fault}")
        }));
    }
    (points.len(), faults)
}

#[test]
fn a_power_failure_loses_nothing_that_was_told_and_starts_nothing_twice() {
    let each = points().div_ceil(RECORDINGS);
    let results: Vec<_> = thread::scope(|scope| {
        let recordings = (0..RECORDINGS)
            .map(|seed| scope.spawn(move || failures(seed as u64, each)))
            .collect::<Vec<_>>();
        recordings.into_iter().map(|recording| recording.join().unwrap()).collect()
    });
    let replayed: usize = results.iter().map(|(points, _)| points).sum();
    let faults: Vec<_> = results.into_iter().flat_map(|(_, faults)| faults).collect();
    println!("{replayed} power failures");
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    assert!(replayed >= points(), "only {replayed} points");
}

/// Bytes that a program prints at once.
const PRINTED: usize = 12 << 20;
/// What a power failure may take of it, with what is on its way: documented are 4 MiB.
const MAY_BE_LOST: usize = 5 << 20;

/// Returns how much output of an execution is on the disk after a power failure, and some bytes of its events.
fn printed_on(disk: &Disk, point: usize, kept: Kept, id: &str) -> usize {
    let files = disk.after(point, kept);
    let journal = files.iter().find(|(path, _)| path.contains("/journals/") && path.ends_with(id));
    journal.map_or(0, |(_, bytes)| bytes.iter().filter(|byte| **byte == b'x').count())
}

/// Lets a program print and wait, and returns what the disk saw until `is_over`, with its id.
fn record_output(durability: &str, is_over: impl Fn(&Disk, &str) -> bool) -> (Disk, String) {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(dir.path());
    let settings = format!("durability = \"{durability}\"\n");
    std::fs::write(recorder.root().join("config.toml"), settings).unwrap();
    let attached = recorder.clone();
    let service = Service::new(env!("CARGO_BIN_EXE_exeng"), recorder.root());
    let service = service.attach(move |command| attached.attach(command));
    let server = service.serve();
    let line = format!("head -c {PRINTED} /dev/zero | tr '\\0' x; exec sleep 300");
    let id = service.print(&["submit", "--", "sh", "-c", &line]);
    let id = String::from_utf8(id).unwrap().trim().to_string();
    let target = format!("/v1/executions/{id}");
    until("the output", || request(&service, &target).json()["bytes"]["stdout"] == PRINTED);
    until("the end of the recording", || is_over(&Disk::new(recorder.entries()).unwrap(), &id));
    let disk = Disk::new(recorder.entries()).unwrap();
    service.print(&["stop", &id]);
    service.stop_all(Some(server));
    (disk, id)
}

#[test]
fn output_of_a_program_that_runs_on_survives_a_power_failure_if_that_is_asked_for() {
    let all = |disk: &Disk, id: &str| printed_on(disk, disk.points(), Kept::Nothing, id) >= PRINTED;
    let (disk, id) = record_output("power", all);
    for point in disk::choose_points(&disk, 30, 0) {
        let written = printed_on(&disk, point, Kept::Everything, &id);
        let certain = printed_on(&disk, point, Kept::Nothing, &id);
        assert!(written - certain <= MAY_BE_LOST, "{written} were written, {certain} are certain");
    }

    let (disk, id) = record_output("process", |_, _| true);
    let certain = printed_on(&disk, disk.points(), Kept::Nothing, &id);
    assert_eq!(certain, 0, "synchronized without being asked");
}
