//! The TypeScript types in `guest-js/types.ts` are those of Rust. Here the Rust side is checked
//! against samples, and the samples are written as TypeScript, which its compiler checks (`npm
//! test`). So a field or a variant that only one side has is found.
//!
//! `BLESS=1 cargo test` writes the samples anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use execution_engine::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::request::{LaunchRequest, PlanRequest};

const ID: &str = "00000000-0000-0000-0000-000000000001";
const TIME: &str = "2026-01-02T03:04:05.006Z";

/// The TypeScript that has all samples.
struct Samples(String);

impl Samples {
    /// A struct, or an enum of structs, which is checked to be read and written just so.
    fn add<T: Serialize + DeserializeOwned>(&mut self, name: &str, samples: &[Value]) {
        for sample in samples {
            let read: T = serde_json::from_value(sample.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}: {sample}"));
            assert_eq!(serde_json::to_value(&read).unwrap(), *sample, "{name}");
        }
        if let Some(tags) = expected::<T>("variant", &json!({ "type": "?" })) {
            let have: BTreeSet<_> =
                samples.iter().map(|sample| sample["type"].as_str().unwrap().to_string()).collect();
            assert_eq!(have, tags, "{name}: a variant has no sample");
            self.keys(&format!("{name}[\"type\"]"), &tags);
        }
        self.fields::<T>(name, samples);
        self.write(name, samples);
    }

    /// Something that is only read.
    fn add_input<T: DeserializeOwned>(&mut self, name: &str, samples: &[Value]) {
        for sample in samples {
            assert!(serde_json::from_value::<T>(sample.clone()).is_ok(), "{name}: {sample}");
        }
        self.fields::<T>(name, samples);
        self.write(name, samples);
    }

    /// An enum of words.
    fn add_words<T: Serialize + DeserializeOwned>(&mut self, name: &str) {
        let words = expected::<T>("variant", &json!("?")).unwrap();
        for word in &words {
            let read: T = serde_json::from_value(json!(word)).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), json!(word));
        }
        self.keys(name, &words);
    }

    /// Where Rust refuses unknown fields, it tells the known ones: a sample has them all.
    fn fields<T: DeserializeOwned>(&self, name: &str, samples: &[Value]) {
        for sample in samples {
            let mut odd = sample.clone();
            odd["?"] = json!(0);
            let Some(fields) = expected::<T>("field", &odd) else { continue };
            let mut have: BTreeSet<_> = sample.as_object().unwrap().keys().cloned().collect();
            // The tag of an enum is read before its fields are.
            if !fields.contains("type") {
                have.remove("type");
            }
            assert_eq!(have, fields, "{name}: a field has no sample");
        }
    }

    fn write(&mut self, name: &str, samples: &[Value]) {
        let list = serde_json::to_string_pretty(samples).unwrap();
        let variable = lower(name);
        writeln!(self.0, "\nexport const {variable}: Required<types.{name}>[] = {list};").unwrap();
    }

    /// A record needs every key and allows no other: all words, and only these.
    fn keys(&mut self, name: &str, words: &BTreeSet<String>) {
        let variable = lower(&name.replace("[\"type\"]", "Tags"));
        let all: Vec<_> = words.iter().map(|word| format!("{word}: true")).collect();
        let all = all.join(", ");
        writeln!(
            self.0,
            "\nexport const {variable}: Record<Extract<types.{name}, string>, true> = {{ {all} }};"
        )
        .unwrap();
    }
}

fn lower(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

/// The names that serde would have expected instead of what is there.
fn expected<T: DeserializeOwned>(kind: &str, value: &Value) -> Option<BTreeSet<String>> {
    let error = serde_json::from_value::<T>(value.clone()).err()?.to_string();
    if !error.starts_with(&format!("unknown {kind}")) {
        return None;
    }
    // unknown variant `?`, expected one of `a`, `b`
    Some(error.split('`').skip(3).step_by(2).map(str::to_string).collect())
}

fn survivor() -> Value {
    json!({ "pid": 7, "name": "sleep", "reason": "" })
}

fn metadata() -> Value {
    json!({ "description": "d", "tags": ["t"], "labels": { "a": "b" } })
}

fn endings() -> Vec<Value> {
    vec![
        json!({ "type": "exited", "code": 3 }),
        json!({ "type": "signaled", "signal": 9, "core_dumped": false }),
        json!({ "type": "timed_out", "timeout_ms": 5 }),
        json!({ "type": "cancelled" }),
        json!({ "type": "output_limit", "stream": "stdout", "limit": 5 }),
        json!({ "type": "output_lost", "stream": "stderr", "reason": "disk full" }),
        json!({ "type": "spawn_failed", "reason": "r", "os_error": 8 }),
        json!({ "type": "resource_limit", "limit": "cpu_time" }),
        json!({ "type": "status_unknown" }),
        json!({ "type": "plan_deadline", "deadline_ms": 5 }),
        json!({ "type": "not_run", "reason": not_run()[0] }),
        json!({ "type": "engine_closed" }),
        json!({ "type": "engine_failed", "reason": "r" }),
    ]
}

fn commands() -> Vec<Value> {
    vec![
        json!({ "type": "script", "path": "a.py", "interpreter": "python3" }),
        json!({ "type": "exec", "program": "ls", "args": ["-l"] }),
        json!({ "type": "shell", "command": "ls", "shell": "/bin/sh" }),
        json!({
            "type": "aws_cli", "service": "s3api", "operation": "list-buckets", "args": [],
            "profile": "p", "region": "r"
        }),
    ]
}

fn events() -> Vec<Value> {
    vec![
        json!({ "type": "started", "execution_id": ID, "command": "ls", "pid": 7 }),
        json!({ "type": "stdout", "execution_id": ID, "line": "a" }),
        json!({ "type": "stderr", "execution_id": ID, "line": "a" }),
        json!({ "type": "status_changed", "execution_id": ID, "from": "pending", "to": "running" }),
        json!({ "type": "lines_missed", "execution_id": ID, "count": 1 }),
        json!({ "type": "output_missed", "execution_id": ID, "bytes": 1 }),
        json!({ "type": "executions_missed", "count": 1 }),
        json!({
            "type": "retrying", "execution_id": ID, "attempt": 1, "ending": endings()[0],
            "delay_ms": 1
        }),
        json!({
            "type": "progress", "plan_id": ID, "completed": 1, "total": 2, "step": step(),
            "execution_id": ID, "status": "running", "current_command": "ls"
        }),
        json!({ "type": "plan_ended", "plan_id": ID, "status": "completed", "duration_ms": 1 }),
        json!({
            "type": "completed", "execution_id": ID, "success": true, "exit_code": 0,
            "duration_ms": 1
        }),
        json!({ "type": "failed", "execution_id": ID, "error": "e", "duration_ms": 1 }),
        json!({ "type": "cancelled", "execution_id": ID, "duration_ms": 1 }),
        json!({ "type": "timeout", "execution_id": ID, "timeout_ms": 1, "duration_ms": 1 }),
    ]
}

fn step() -> Value {
    json!({ "index": 1, "name": "build" })
}

fn not_run() -> Vec<Value> {
    vec![
        json!({ "type": "dependency_failed", "step": step() }),
        json!({ "type": "plan_stopped", "step": step() }),
        json!({ "type": "plan_cancelled" }),
        json!({ "type": "plan_deadline" }),
        json!({ "type": "engine_closed" }),
        json!({ "type": "input", "from": step(), "reason": "r" }),
    ]
}

fn limits() -> Value {
    json!({
        "cpu_seconds": 1, "address_space_bytes": 1, "open_files": 1, "file_size_bytes": 1,
        "processes": 1, "core_bytes": 1, "nice": 1, "umask": 63, "tree_memory_bytes": 1,
        "tree_processes": 1
    })
}

fn usage() -> Value {
    json!({
        "user_ms": 1, "system_ms": 1, "peak_memory_bytes": 1, "voluntary_switches": 1,
        "involuntary_switches": 1,
        "tree": { "user_ms": 1, "system_ms": 1, "peak_memory_bytes": null }
    })
}

fn receipt() -> Value {
    json!({
        "level": "cgroup", "proven": true, "stopped": 1, "signal": "terminate", "took_ms": 1,
        "survivors": [survivor()], "left_running": [survivor()]
    })
}

fn result() -> Value {
    json!({
        "id": ID, "status": "failed", "success": false, "exit_code": 3, "stdout": "a",
        "stderr": "", "duration_ms": 1, "waited_ms": 0, "started_at": TIME, "completed_at": TIME, "error": null,
        "stdout_overflow_file": "/a", "stderr_overflow_file": null,
        "ending": { "type": "exited", "code": 3 }, "signal": null, "usage": usage(),
        "stdout_stats": { "seen_bytes": 1, "kept_bytes": 1 },
        "stderr_stats": { "seen_bytes": 0, "kept_bytes": 0 },
        "containment": receipt(), "output_error": null, "lines_missed": 0,
        "earlier_attempts": [attempt()]
    })
}

fn options() -> Value {
    json!({
        "stop_grace_ms": 1, "stop_signal": "interrupt", "final_signal": 40,
        "leftovers": "leave", "limits": limits(), "stdin": { "type": "piped" },
        "output": "merged", "partial_lines_after_ms": 100, "priority": 1, "group": "g",
        "retry": retry()
    })
}

fn step_options() -> Value {
    let input = json!({ "from": 0, "to": { "type": "stdin" } });
    json!({ "name": "build", "after": [0, "lint"], "inputs": [input], "options": options() })
}

fn retry() -> Value {
    json!({
        "attempts": 3, "initial_delay_ms": 1, "multiplier": 2, "max_delay_ms": 1, "jitter": "half",
        "retry_on": retry_on()
    })
}

fn retry_on() -> Vec<Value> {
    vec![
        json!({ "type": "any_exit_code" }),
        json!({ "type": "exit_code", "code": 75 }),
        json!({ "type": "signal" }),
        json!({ "type": "timeout" }),
        json!({ "type": "spawn_failure" }),
    ]
}

fn attempt() -> Value {
    json!({
        "number": 1, "ending": endings()[0], "started_at": TIME, "duration_ms": 1,
        "usage": usage(), "containment": receipt()
    })
}

fn stats() -> Value {
    json!({ "total": 6, "completed": 1, "failed": 1, "cancelled": 1, "timeout": 1, "not_run": 2 })
}

fn samples() -> String {
    let mut all = Samples(
        "// Made by src/types.rs of the plugin; `BLESS=1 cargo test` writes it anew.\n\nimport type * as types from \"../types.js\";\n"
            .to_string(),
    );
    all.add_words::<OutputStream>("OutputStream");
    all.add_words::<ExecutionStatus>("ExecutionStatus");
    all.add_words::<ContainmentLevel>("ContainmentLevel");
    all.add_words::<ResourceLimit>("ResourceLimit");
    all.add_words::<Signal>("Signal");
    all.add::<Command>("Command", &commands());
    all.add::<ExecutionMetadata>("ExecutionMetadata", &[metadata()]);
    all.add::<Limits>("Limits", &[limits()]);
    all.add::<StdinSource>(
        "StdinSource",
        &[
            json!({ "type": "null" }),
            json!({ "type": "bytes", "data": "a" }),
            json!({ "type": "bytes", "data": [255, 0] }),
            json!({ "type": "file", "path": "/a" }),
            json!({ "type": "piped" }),
        ],
    );
    all.add_words::<Jitter>("Jitter");
    all.add::<RetryOn>("RetryOn", &retry_on());
    all.add::<RetryPolicy>("RetryPolicy", &[retry()]);
    all.add::<ExecutionOptions>("ExecutionOptions", &[options()]);
    all.add_input::<LaunchRequest>(
        "LaunchRequest",
        &[json!({
            "id": ID, "rule": "r", "args": ["a"], "command": commands()[0], "env": { "A": "b" },
            "working_dir": "/", "timeout_ms": 1, "output_log_path": "/log", "metadata": metadata()
        })],
    );
    all.add::<PlanStep>("PlanStep", &[step()]);
    all.add::<SkipReason>("SkipReason", &not_run());
    all.add::<Ending>("Ending", &endings());
    all.add::<StreamStats>("StreamStats", &[json!({ "seen_bytes": 1, "kept_bytes": 1 })]);
    all.add::<TreeUsage>("TreeUsage", &[usage()["tree"].clone()]);
    all.add::<ResourceUsage>("ResourceUsage", &[usage()]);
    all.add::<Survivor>("Survivor", &[survivor()]);
    all.add::<ContainmentReceipt>("ContainmentReceipt", &[receipt()]);
    all.add::<Attempt>("Attempt", &[attempt()]);
    all.add::<ExecutionResult>("ExecutionResult", &[result()]);
    all.add::<ExecutionSummary>(
        "ExecutionSummary",
        &[json!({
            "id": ID, "status": "failed", "command": "ls", "started_at": TIME, "duration_ms": 1,
            "ending": endings()[0], "metadata": metadata()
        })],
    );
    all.add_words::<Trim>("Trim");
    all.add_words::<FailurePolicy>("FailurePolicy");
    all.add::<ExecutionStrategy>(
        "ExecutionStrategy",
        &[
            json!({ "type": "serial", "stop_on_error": true }),
            json!({ "type": "parallel", "max_concurrency": 2 }),
            json!({ "type": "dependency_graph", "dependencies": { "1": [0] } }),
        ],
    );
    all.add::<StepInput>(
        "StepInput",
        &[
            json!({ "from": "build", "to": { "type": "env", "name": "A" }, "trim": "nothing", "max_bytes": 1 }),
            json!({ "from": 0, "to": { "type": "stdin" }, "trim": "white_space", "max_bytes": 1 }),
        ],
    );
    all.add::<StepOptions>("StepOptions", &[step_options()]);
    all.add::<PlanOptions>(
        "PlanOptions",
        &[json!({
            "steps": [step_options()], "failure_policy": "continue", "max_concurrency": 2,
            "deadline_ms": 1, "env": { "A": "b" }, "working_dir": "/", "defaults": options()
        })],
    );
    all.add_input::<PlanRequest>(
        "PlanRequest",
        &[json!({
            "id": ID, "description": "d", "strategy": { "type": "parallel", "max_concurrency": 2 },
            "commands": [{ "rule": "r" }], "metadata": metadata()
        })],
    );
    all.add::<PlanEnding>(
        "PlanEnding",
        &[
            json!({ "type": "completed" }),
            json!({ "type": "failed", "step": step() }),
            json!({ "type": "cancelled" }),
            json!({ "type": "deadline_reached", "deadline_ms": 1 }),
            json!({ "type": "engine_closed" }),
            json!({ "type": "engine_failed", "reason": "r" }),
        ],
    );
    all.add::<PlanStats>("PlanStats", &[stats()]);
    all.add::<PlanExecutionResult>(
        "PlanExecutionResult",
        &[json!({
            "plan_id": ID, "status": "completed", "results": [result()], "total_duration_ms": 1,
            "stats": stats(), "ending": { "type": "completed" }, "started_at": TIME
        })],
    );
    all.add::<PlanSummary>(
        "PlanSummary",
        &[json!({
            "id": ID, "status": "running", "description": null, "total": 2, "ended": 1,
            "started_at": TIME, "duration_ms": 1, "metadata": metadata()
        })],
    );
    all.add::<ExecutionEvent>("ExecutionEvent", &events());
    all.add::<EventRecord>(
        "EventRecord",
        &[json!({
            "sequence": 1, "timestamp": TIME, "execution_id": ID, "partial": false,
            "event": events()[0], "containment": receipt()
        })],
    );
    all.0
}

#[test]
fn the_samples_of_the_bindings_are_those_of_the_rust_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest-js/test/samples.ts");
    let samples = samples();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &samples).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == samples,
        "the types have changed: BLESS=1 cargo test, then bring types.ts in line (npm test)"
    );
}
