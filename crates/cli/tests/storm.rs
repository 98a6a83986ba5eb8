//! The storm: clients submit while the service is killed again and again. What it has acknowledged has run exactly once,
//! with its true ending and every byte, and followers with a cursor have seen each byte once.
//!
//! `EXENG_STORM_SECONDS` is how long it lasts.

#![cfg(target_os = "linux")]

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::Value;
use service_judge::http::Answer;
use service_judge::service::{PATIENCE, Server, Service, processes_with};
use service_judge::work::{Followed, Stream, Work, difference, effects, follow, judge};

const HTTP_CLIENTS: usize = 6;
const COMMAND_CLIENTS: usize = 2;
/// Executions of a client that it has not looked at yet.
const OUTSTANDING: usize = 10;
/// Life of a service.
const BETWEEN_KILLS: Duration = Duration::from_secs(1);

fn seconds() -> u64 {
    std::env::var("EXENG_STORM_SECONDS").map_or(12, |text| text.parse().expect("whole seconds"))
}

struct Storm {
    service: Service,
    effects: PathBuf,
    /// Word that all keys begin with.
    token: String,
    is_over: AtomicBool,
    acknowledged: Mutex<HashSet<String>>,
    followers: AtomicUsize,
    /// How often a follower lost its connection.
    losses: AtomicUsize,
    faults: Mutex<Vec<String>>,
}

/// Submitting and looking, until the service answers.
impl Storm {
    fn new(dir: &Path) -> Self {
        Self {
            service: Service::new(env!("CARGO_BIN_EXE_exeng"), dir.join("state")),
            effects: dir.join("effects"),
            token: format!("storm{}x{}", std::process::id(), fastrand::u32(..)),
            is_over: AtomicBool::new(false),
            acknowledged: Mutex::new(HashSet::new()),
            followers: AtomicUsize::new(0),
            losses: AtomicUsize::new(0),
            faults: Mutex::new(Vec::new()),
        }
    }

    fn fault(&self, fault: String) {
        eprintln!("fault: {fault}");
        self.faults.lock().unwrap().push(fault);
    }

    fn acknowledge(&self, work: &Work) {
        self.acknowledged.lock().unwrap().insert(work.key.clone());
    }

    /// Returns what a client submits, until the storm is over.
    fn works(&self, client: usize) -> impl Iterator<Item = Work> {
        let mut random = Rng::with_seed(client as u64);
        let work =
            move |number| Work::random(format!("{}-{client}-{number}", self.token), &mut random);
        (0..).map(work).take_while(|_| !self.is_over.load(Ordering::Relaxed))
    }

    /// Sends a request until there is an answer, whatever happens to the service.
    fn insist(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let start = Instant::now();
        loop {
            let answer = self.service.socket().request(method, target, headers, body);
            match answer {
                // 503: the service was ending, or had no keeper yet.
                Ok(answer) if answer.status != 503 => return answer,
                Ok(_) | Err(_) => {}
            }
            assert!(start.elapsed() < PATIENCE, "no answer to {method} {target}: {answer:?}");
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn get(&self, target: &str) -> Answer {
        self.insist("GET", target, &[], None)
    }

    /// Runs a verb until it does not fail for want of a service.
    fn insist_on(&self, args: &[&str]) -> Output {
        let start = Instant::now();
        loop {
            let output = self.service.run(args);
            if output.status.code() != Some(125) {
                return output;
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(start.elapsed() < PATIENCE, "exeng {args:?}: {errors}");
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn submit(&self, work: &Work) -> Option<String> {
        let body = work.body(&self.effects);
        let headers = [("Idempotency-Key", work.key.as_str())];
        let answer = self.insist("POST", "/v1/executions", &headers, Some(&body));
        if !matches!(answer.status, 200 | 201) {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            self.fault(format!("{}: submit: {} {text}", work.key, answer.status));
            return None;
        }
        self.acknowledge(work);
        Some(answer.json()["id"].as_str().expect("an id").to_string())
    }

    fn follow(&self, id: &str) -> Option<Followed> {
        let start = Instant::now();
        let again = |error: &io::Error| {
            assert!(start.elapsed() < 2 * PATIENCE, "follower of {id}: {error}");
            thread::park_timeout(Duration::from_millis(20));
        };
        follow(&self.service.socket(), id, again).map_err(|fault| self.fault(fault)).ok()
    }
}

/// Judging.
impl Storm {
    /// Follows an execution while it runs, and again after its end: both see the same.
    fn follow_twice(&self, work: &Work, id: &str) {
        let Some(live) = self.follow(id) else { return };
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.losses.fetch_add(live.losses, Ordering::Relaxed);
        for fault in judge(work, &live.ended, &live.stdout, &live.stderr) {
            self.fault(format!("follower of {id}: {fault}"));
        }
        let Some(later) = self.follow(id) else { return };
        if live.events != later.events {
            self.fault(format!("{id}: {:?} live, {:?} later", live.events, later.events));
        }
        let behind_the_last = format!("/v1/executions/{id}/events?after={}", live.cursor);
        let status = self.get(&behind_the_last).status;
        if status != 204 {
            self.fault(format!("{id}: {status} behind the last event"));
        }
    }

    /// Waits for the end of an execution and judges what the service says about it.
    fn judge(&self, work: &Work, id: &str) {
        let view = self.get(&format!("/v1/executions/{id}/wait?timeout=60000"));
        if view.status != 200 {
            self.fault(format!("{}: acknowledged as {id}, now {}", work.key, view.status));
            return;
        }
        let [stdout, stderr] = Stream::BOTH.map(|stream| {
            let answer = self.get(&format!("/v1/executions/{id}/output?stream={}", stream.name()));
            if answer.status != 200 {
                self.fault(format!("{id}: output: {}", answer.status));
            }
            answer.body
        });
        for fault in judge(work, &view.json(), &stdout, &stderr) {
            self.fault(format!("{id}: {fault}"));
        }
    }

    /// Judges what must be so when all is done.
    fn judge_all(&self) {
        let unfinished = self.get("/v1/executions?status=running&status=pending").json();
        if unfinished["executions"].as_array().is_none_or(|left| !left.is_empty()) {
            self.fault(format!("not ended: {unfinished}"));
        }
        for (pid, running) in self.service.keepers() {
            if running != 0 {
                self.fault(format!("keeper {pid} runs {running}"));
            }
        }
        let programs = processes_with(&format!("{}-", self.token));
        if !programs.is_empty() {
            self.fault(format!("programs are left: {programs:?}"));
        }
        let ran = effects(&self.effects);
        let acknowledged = self.acknowledged.lock().unwrap();
        for key in &*acknowledged {
            match ran.get(key) {
                Some(1) => {}
                Some(times) => self.fault(format!("{key} ran {times} times")),
                None => self.fault(format!("{key} never ran")),
            }
        }
        for key in ran.keys().filter(|key| !acknowledged.contains(*key)) {
            self.fault(format!("{key} ran, and nobody was told"));
        }
    }
}

/// Those who act until the storm is over.
impl Storm {
    fn http_client(&self, client: usize) {
        let mut outstanding = VecDeque::new();
        for (number, work) in self.works(client).enumerate() {
            let Some(id) = self.submit(&work) else { continue };
            if number % 4 == 0 {
                self.follow_twice(&work, &id);
            }
            outstanding.push_back((work, id));
            if outstanding.len() > OUTSTANDING
                && let Some((work, id)) = outstanding.pop_front()
            {
                self.judge(&work, &id);
            }
        }
        for (work, id) in outstanding {
            self.judge(&work, &id);
        }
    }

    fn command_client(&self, client: usize) {
        for (number, work) in self.works(client).enumerate() {
            let arguments = work.arguments(&self.effects);
            let mut args = vec!["submit", "--json", "--key", &work.key, "--tag", "storm", "--"];
            args.extend(arguments.iter().map(String::as_str));
            let submitted = self.insist_on(&args);
            let answer = serde_json::from_slice(&submitted.stdout).unwrap_or(Value::Null);
            let Some(id) = answer["id"].as_str() else {
                self.fault(format!("{}: submit: {submitted:?}", work.key));
                continue;
            };
            self.acknowledge(&work);
            if number % 2 == 0 {
                let logs = self.insist_on(&["logs", "-f", "--raw", "--stream", "stdout", id]);
                if let Some(fault) = difference(&work.output(Stream::Stdout), &logs.stdout) {
                    self.fault(format!("{id}: logs -f: {fault}"));
                }
            }
            let waited = self.insist_on(&["wait", id]);
            if waited.status.code() != Some(work.exit_code) {
                let errors = String::from_utf8_lossy(&waited.stderr);
                let codes = format!("{} instead of {}", waited.status, work.exit_code);
                self.fault(format!("{id}: wait: {codes}: {errors}"));
            }
            self.judge(&work, id);
        }
    }

    /// Kills the service again and again, and starts it. Returns how often, and the service that runs at last if this
    /// process has started it.
    fn kill_for(&self, time: Duration, mut server: Option<Server>) -> (usize, Option<Server>) {
        let start = Instant::now();
        let mut kills = 0;
        while start.elapsed() < time {
            let born = Instant::now();
            while born.elapsed() < BETWEEN_KILLS {
                thread::park_timeout(BETWEEN_KILLS.saturating_sub(born.elapsed()));
            }
            if let Some(process) = self.service.process() {
                process.signal(Signal::KILL);
                process.wait("the end of a killed service");
                kills += 1;
            }
            drop(server.take());
            if kills % 2 == 0 {
                // A client may have started one in the meantime.
                server = self.service.try_serve().ok();
            } else {
                self.insist_on(&["ls"]);
            }
        }
        (kills, server)
    }
}

#[test]
fn what_was_acknowledged_runs_once_while_the_service_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let storm = Storm::new(dir.path());
    let first = storm.service.serve();
    let (kills, server) = thread::scope(|scope| {
        let storm = &storm;
        for client in 0..HTTP_CLIENTS {
            scope.spawn(move || storm.http_client(client));
        }
        for client in HTTP_CLIENTS..HTTP_CLIENTS + COMMAND_CLIENTS {
            scope.spawn(move || storm.command_client(client));
        }
        let ended = storm.kill_for(Duration::from_secs(seconds()), Some(first));
        storm.is_over.store(true, Ordering::Relaxed);
        ended
    });
    storm.judge_all();
    storm.service.stop_all(server);

    let executions = storm.acknowledged.lock().unwrap().len();
    let (followers, losses) = (storm.followers.into_inner(), storm.losses.into_inner());
    println!("{executions} executions, {kills} kills, {followers} followers lost {losses} times");
    let faults = storm.faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    // A storm in which nothing happened proves nothing.
    assert!(kills >= usize::try_from(seconds() / 3).unwrap(), "{kills} kills");
    assert!(executions > 30 && followers > 5 && losses > 0, "too little happened");
}
