//! The example programs, as their users run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use execution_engine::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::*;

/// Returns an example program, built from its present source.
async fn example(name: &str) -> PathBuf {
    let build = ExecutionRequest::exec(env!("CARGO"), ["build", "--quiet", "--example", name])
        .working_dir(env!("CARGO_MANIFEST_DIR"))
        .timeout(Duration::from_secs(600));
    let built = engine().run(build).await.unwrap();
    assert!(built.success, "{}", built.stderr);
    let tests = std::env::current_exe().unwrap();
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let profile = match target {
        Some(target) => Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("debug"),
        // Tests are in target/PROFILE/deps.
        None => tests.ancestors().nth(3).unwrap().join("debug"),
    };
    profile.join("examples").join(name)
}

async fn ci(pipeline: &str, dir: &Path) -> ExecutionResult {
    let file = dir.join("pipeline.yaml");
    fs::write(&file, pipeline).unwrap();
    let request = exec(example("ci").await).arg(&file).arg(dir);
    run(&engine(), request).await
}

#[tokio::test]
async fn ci_runs_a_pipeline() {
    let result = run(&engine(), exec(example("ci").await)).await;
    assert!(result.success, "{}{}", result.stdout, result.stderr);
    assert!(result.stderr.contains("test: OK"), "{}", result.stderr);
    for line in ["spelling", "exit code 1 (allowed)", "report", "never ran", "completed in"] {
        assert!(result.stdout.contains(line), "{line}: {}", result.stdout);
    }
}

#[tokio::test]
async fn ci_reports_failures_and_cleans_up() {
    let dir = TempDir::new().unwrap();
    let failing = "
        steps:
          - {name: bad, run: 'echo before; false; echo after'}
          - {name: next, run: 'true', after: [bad]}
          - {name: clean, run: 'echo cleaned >clean', after: [next], always: true}";
    let result = ci(failing, dir.path()).await;
    assert_eq!(result.exit_code, 1, "{result:?}");
    assert!(result.stdout.contains("bad: before\n") && !result.stdout.contains("after\n"));
    assert_eq!(fs::read_to_string(dir.path().join("clean")).unwrap(), "cleaned\n");
    for (wrong, named) in [
        ("steps: [{name: a, run: 'true', affter: [b]}]", "affter"),
        ("steps: [{name: a, run: 'true', after: [b]}]", "unknown step \"b\""),
    ] {
        let result = ci(wrong, dir.path()).await;
        assert!(!result.success && result.stderr.contains(named), "{named}: {}", result.stderr);
    }
}

/// An agent and its answers.
struct Agent {
    engine: ExecutionEngine,
    id: Uuid,
    answers: Subscription,
    calls: u64,
    early: BTreeMap<u64, Value>,
}

impl Agent {
    async fn start() -> Self {
        let engine = engine();
        let options = ExecutionOptions::default().stdin(StdinSource::Piped);
        let id = engine.execute_with(exec(example("agent").await), options).await.unwrap();
        let answers = engine.subscribe(id).await.unwrap();
        Self { engine, id, answers, calls: 0, early: BTreeMap::new() }
    }

    /// Sends a call and returns its number.
    async fn send(&mut self, mut call: Value) -> u64 {
        self.calls += 1;
        call["call"] = json!(self.calls);
        self.engine.write_stdin(self.id, format!("{call}\n")).await.unwrap();
        self.calls
    }

    /// Waits for the answer to a call.
    async fn answer(&mut self, call: u64) -> Value {
        loop {
            if let Some(answer) = self.early.remove(&call) {
                return answer;
            }
            let record = soon("an answer", self.answers.next()).await.unwrap();
            if let ExecutionEvent::Stdout { line, .. } = record.event {
                let answer: Value = serde_json::from_str(&line).unwrap();
                self.early.insert(answer["call"].as_u64().unwrap(), answer);
            }
        }
    }

    async fn ask(&mut self, call: Value) -> Value {
        let call = self.send(call).await;
        let answer = self.answer(call).await;
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].clone()
    }
}

#[tokio::test]
async fn agent_runs_commands_for_json_lines() {
    let mut agent = Agent::start().await;
    let started = agent
        .ask(json!({
            "method": "start",
            "request": {"command": {"type": "shell", "command": "echo ready; read x; echo \"got $x\""}},
            "options": {"stdin": {"type": "piped"}}
        }))
        .await;
    let id = &started["execution"];
    let page =
        agent.ask(json!({"method": "read", "execution": id, "query": {"wait_ms": 60000}})).await;
    assert_eq!(page["parts"][0]["data"], "ready\n");
    let cursor = &page["next"];
    let query = json!({"cursor": cursor, "wait_ms": 60000});
    let waits = agent.send(json!({"method": "read", "execution": id, "query": query})).await;
    // A read that waits holds up nothing.
    let written = agent.ask(json!({"method": "write", "execution": id, "data": "input\n"})).await;
    assert_eq!(written["written"], 6);
    let page = agent.answer(waits).await["result"].clone();
    assert_eq!(page["parts"][0]["data"], "got input\n");
    let query = json!({"cursor": page["next"], "wait_ms": 60000});
    let last = agent.ask(json!({"method": "read", "execution": id, "query": query})).await;
    assert!(page["ended"] == true || last["ended"] == true, "{page} {last}");
    let summary = agent.ask(json!({"method": "summary", "execution": id})).await;
    assert_eq!((&summary["status"], &summary["ending"]["code"]), (&json!("completed"), &json!(0)));

    let unknown = agent.send(json!({"method": "cancel", "execution": Uuid::new_v4()})).await;
    assert_eq!(agent.answer(unknown).await["error"]["code"], "not_found");

    // What still runs at the end of the input is stopped.
    let command = json!({"type": "shell", "command": "sleep 300"});
    agent.ask(json!({"method": "start", "request": {"command": command}})).await;
    agent.engine.close_stdin(agent.id).await.unwrap();
    assert!(ended(&agent.engine, agent.id).await.success);
}

#[tokio::test]
async fn jobs_go_on_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let database = dir.path().join("jobs.db");
    let program = example("jobs").await;
    let request = || exec(&program).arg(&database).args(["40", "2"]);
    let stored = || {
        let connection = rusqlite::Connection::open(&database).ok()?;
        connection.busy_timeout(PATIENCE).ok()?;
        let query = "SELECT number, output, seconds FROM jobs WHERE ending IS NOT NULL";
        let mut query = connection.prepare(query).ok()?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).ok()?;
        rows.collect::<rusqlite::Result<BTreeMap<u32, (String, f64)>>>().ok()
    };
    let engine = engine();
    let id = engine.execute(request()).await.unwrap();
    until("some results", || stored().is_some_and(|rows| rows.len() >= 3)).await;
    engine.signal(id, Signal::Kill).await.unwrap();
    let killed = ended(&engine, id).await;
    assert!(!killed.success, "{killed:?}");
    let before = stored().unwrap();
    assert!(before.len() < 40, "it was killed too late to show anything");

    let second = run(&engine, request()).await;
    assert!(second.success, "{}{}", second.stdout, second.stderr);
    assert!(second.stdout.contains(&format!("{} of 40 jobs", 40 - before.len())), "{second:?}");
    let after = stored().unwrap();
    assert_eq!(after.len(), 40);
    // None that had a result ran again.
    before.iter().for_each(|(number, row)| assert_eq!(&after[number], row));
    let numbers: Vec<_> =
        after.values().map(|(output, _)| output.parse::<u32>().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[0] == 8 && numbers[39] == 139, "{numbers:?}");
    let third = run(&engine, request()).await;
    assert!(third.stdout.contains("0 of 40 jobs"), "{third:?}");
}
