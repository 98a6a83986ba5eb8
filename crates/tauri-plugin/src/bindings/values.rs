//! Sample values, as JSON. Types that other types contain have a function of their own.

use serde_json::{Value, json};

pub(super) const ID: &str = "00000000-0000-0000-0000-000000000001";
pub(super) const TIME: &str = "2026-01-02T03:04:05.006Z";

pub(super) fn survivor() -> Value {
    json!({ "pid": 7, "name": "sleep", "reason": "" })
}

pub(super) fn metadata() -> Value {
    json!({ "description": "d", "tags": ["t"], "labels": { "a": "b" } })
}

pub(super) fn summary() -> Value {
    json!({
        "id": ID, "status": "failed", "command": "ls", "pid": 7, "started_at": TIME,
        "completed_at": TIME, "waited_ms": 1, "duration_ms": 1, "attempts": 1,
        "stdout_stats": stream_stats(), "stderr_stats": stream_stats(), "truncated": false,
        "ending": endings()[0], "metadata": metadata()
    })
}

pub(super) fn execution_request() -> Value {
    json!({
        "id": ID, "command": commands()[0], "env": { "A": "b" }, "working_dir": "/",
        "timeout_ms": 1, "output_log_path": "/log", "metadata": metadata()
    })
}

pub(super) fn history_entry() -> Value {
    json!({
        "summary": summary(), "accepted_at": TIME, "request": execution_request(),
        "options": options(), "env_names": ["A"], "result": result()
    })
}

pub(super) fn endings() -> Vec<Value> {
    vec![
        json!({ "type": "exited", "code": 3 }),
        json!({ "type": "signaled", "signal": 9, "core_dumped": false }),
        json!({ "type": "timed_out", "timeout_ms": 5 }),
        json!({ "type": "idle_timed_out", "idle_timeout_ms": 5 }),
        json!({ "type": "cancelled" }),
        json!({ "type": "output_limit", "stream": "stdout", "limit": 5 }),
        json!({ "type": "output_lost", "stream": "stderr", "reason": "disk full" }),
        json!({ "type": "spawn_failed", "reason": "r", "os_error": 8 }),
        json!({ "type": "resource_limit", "limit": "cpu_time" }),
        json!({ "type": "status_unknown" }),
        json!({ "type": "plan_deadline", "deadline_ms": 5 }),
        json!({ "type": "not_run", "reason": skip_reasons()[0] }),
        json!({ "type": "engine_closed" }),
        json!({ "type": "engine_failed", "reason": "r" }),
        json!({ "type": "lost", "reason": "r" }),
        json!({ "type": "worker_lost", "worker": "w", "attempts": 2 }),
        json!({ "type": "unknown", "reason": "r" }),
    ]
}

pub(super) fn stdin_sources() -> Vec<Value> {
    vec![
        json!({ "type": "null" }),
        json!({ "type": "bytes", "data": "a" }),
        json!({ "type": "bytes", "data": [255, 0] }),
        json!({ "type": "file", "path": "/a" }),
        json!({ "type": "piped" }),
        json!({ "type": "inherit" }),
    ]
}

fn environment() -> Value {
    let inherit = json!({ "type": "only", "names": ["PATH"] });
    json!({ "inherit": inherit, "remove": ["A"], "set": { "B": "c" } })
}

pub(super) fn launch_request() -> Value {
    json!({
        "id": ID, "rule": "r", "sidecar": "binaries/a", "args": ["a"], "command": commands()[0], "env": { "A": "b" },
        "working_dir": "/", "timeout_ms": 1, "output_log_path": "/log", "metadata": metadata()
    })
}

pub(super) fn commands() -> Vec<Value> {
    vec![
        json!({ "type": "script", "path": "a.py", "interpreter": "python3", "args": ["-v"] }),
        json!({ "type": "exec", "program": "ls", "args": ["-l"] }),
        json!({ "type": "shell", "command": "ls", "shell": "/bin/sh" }),
        json!({
            "type": "aws_cli", "service": "s3api", "operation": "list-buckets", "args": [],
            "profile": "p", "region": "r"
        }),
    ]
}

pub(super) fn events() -> Vec<Value> {
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

pub(super) fn step() -> Value {
    json!({ "index": 1, "name": "build" })
}

pub(super) fn skip_reasons() -> Vec<Value> {
    vec![
        json!({ "type": "dependency_failed", "step": step() }),
        json!({ "type": "dependency_skipped", "step": step() }),
        json!({ "type": "condition", "condition": conditions()[0] }),
        json!({ "type": "plan_stopped", "step": step() }),
        json!({ "type": "plan_cancelled" }),
        json!({ "type": "plan_deadline" }),
        json!({ "type": "engine_closed" }),
        json!({ "type": "after_failed", "execution": ID }),
        json!({ "type": "start_by", "moment_ms": 1 }),
        json!({ "type": "input", "from": step(), "reason": "r" }),
    ]
}

pub(super) fn limits() -> Value {
    json!({
        "cpu_seconds": 1, "address_space_bytes": 1, "open_files": 1, "file_size_bytes": 1,
        "processes": 1, "core_bytes": 1, "nice": 1, "umask": 63, "tree_memory_bytes": 1,
        "tree_processes": 1
    })
}

pub(super) fn usage() -> Value {
    json!({
        "user_ms": 1, "system_ms": 1, "peak_memory_bytes": 1, "voluntary_switches": 1,
        "involuntary_switches": 1,
        "tree": { "user_ms": 1, "system_ms": 1, "peak_memory_bytes": null }
    })
}

pub(super) fn receipt() -> Value {
    json!({
        "level": "cgroup", "proven": true, "stopped": 1, "signal": "terminate", "took_ms": 1,
        "survivors": [survivor()], "left_running": [survivor()]
    })
}

pub(super) fn result() -> Value {
    json!({
        "id": ID, "status": "failed", "success": false, "exit_code": 3, "stdout": "a",
        "stderr": "", "duration_ms": 1, "waited_ms": 0, "started_at": TIME, "completed_at": TIME, "error": null,
        "stdout_overflow_file": "/a", "stderr_overflow_file": null,
        "ending": { "type": "exited", "code": 3 }, "signal": null, "usage": usage(),
        "stdout_stats": { "seen_bytes": 1, "kept_bytes": 1 },
        "stderr_stats": { "seen_bytes": 0, "kept_bytes": 0 }, "truncated": false,
        "containment": receipt(), "output_error": null, "lines_missed": 0,
        "attempts": 2, "earlier_attempts": [attempt()], "place": place(),
        "artifacts": [artifact()], "collect_errors": ["reason"]
    })
}

pub(super) fn stream_stats() -> Value {
    json!({ "seen_bytes": 1, "kept_bytes": 1 })
}

pub(super) fn options() -> Value {
    json!({
        "stop_grace_ms": 1, "stop_signal": "interrupt", "final_signal": 40,
        "idle_timeout_ms": 1, "leftovers_wait_ms": 1, "leftovers": "leave", "limits": limits(),
        "env": environment(), "user": { "uid": 1, "gid": 2, "groups": [3] }, "stdin": { "type": "piped" },
        "links": "refuse",
        "output": "merged", "partial_lines_after_ms": 100, "priority": 1, "group": "g",
        "retry": retry_policy(), "requires": requires(), "max_attempts": 2, "start_by_ms": 5,
        "inputs": [artifact()], "collect": ["out/*"]
    })
}

pub(super) fn artifact() -> Value {
    json!({ "path": "a", "digest": format!("{}/7", "0a".repeat(32)), "executable": true })
}

pub(super) fn requires() -> Value {
    json!({
        "pool": "p", "labels": { "a": "b" }, "cpu_milli": 1, "memory_bytes": 2,
        "resources": { "gpu": 3 }
    })
}

pub(super) fn place() -> Value {
    json!({
        "worker": "w", "attempt": 2, "fence": 7, "exclusive": "proven", "durability": "power"
    })
}

pub(super) fn input_targets() -> [Value; 3] {
    [
        json!({ "type": "stdin" }),
        json!({ "type": "env", "name": "A" }),
        json!({ "type": "files", "pattern": "out/*", "directory": "data" }),
    ]
}

pub(super) fn step_options() -> Value {
    let input = json!({ "from": 0, "to": input_targets()[0] });
    json!({
        "name": "build", "after": [0, "lint"], "inputs": [input], "options": options(),
        "allow_failure": true, "always": true, "only_if": conditions()
    })
}

pub(super) fn conditions() -> Vec<Value> {
    vec![
        json!({ "type": "succeeded", "step": "build" }),
        json!({ "type": "failed", "step": 0 }),
        json!({ "type": "exit_code", "step": 0, "codes": [2] }),
        json!({ "type": "skipped", "step": 0 }),
        json!({ "type": "any_failed" }),
        json!({ "type": "none_failed" }),
    ]
}

pub(super) fn retry_policy() -> Value {
    json!({
        "attempts": 3, "initial_delay_ms": 1, "multiplier": 2, "max_delay_ms": 1, "jitter": "half",
        "retry_on": retry_on()
    })
}

pub(super) fn retry_on() -> Vec<Value> {
    vec![
        json!({ "type": "any_exit_code" }),
        json!({ "type": "exit_code", "code": 75 }),
        json!({ "type": "signal" }),
        json!({ "type": "timeout" }),
        json!({ "type": "spawn_failure" }),
    ]
}

pub(super) fn attempt() -> Value {
    json!({
        "number": 1, "ending": endings()[0], "started_at": TIME, "duration_ms": 1,
        "usage": usage(), "containment": receipt(), "stdout": "a", "stderr": "b",
        "stdout_stats": stream_stats(), "stderr_stats": stream_stats()
    })
}

pub(super) fn step_report() -> Value {
    json!({ "name": "build", "failure_allowed": true })
}

pub(super) fn stats() -> Value {
    json!({
        "total": 7, "completed": 1, "failed": 1, "allowed_failures": 1, "cancelled": 1,
        "timeout": 1, "not_run": 2
    })
}
