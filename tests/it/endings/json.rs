//! Requests, results, endings and events as JSON.

use super::*;

/// Returns a value after a round trip through JSON.
fn travelled<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Checks that an object with an unknown field is refused by the name of the field.
#[track_caller]
fn refuses_more<T: Serialize + DeserializeOwned>(value: &T, place: &str) {
    let mut json = serde_json::to_value(value).unwrap();
    json.pointer_mut(place).unwrap()["surprise"] = json!(1);
    let error = serde_json::from_value::<T>(json).err().unwrap().to_string();
    assert!(error.contains("surprise"), "{error}");
}

fn whole_ms(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis().try_into().unwrap())
}

#[tokio::test]
async fn results_round_trip_with_whole_milliseconds() {
    let engine = engine();
    for line in ["echo out; echo err >&2; printf '\\377'", "exit 7", "kill -KILL $$"] {
        let mut result = soon("the run", engine.run(shell(line))).await.unwrap();
        let back = travelled(&result);
        result.duration = whole_ms(result.duration);
        result.containment.took = whole_ms(result.containment.took);
        let usage = result.usage.as_mut().unwrap();
        (usage.user, usage.system) = (whole_ms(usage.user), whole_ms(usage.system));
        if let Some(tree) = &mut usage.tree {
            (tree.user, tree.system) = (whole_ms(tree.user), whole_ms(tree.system));
        }
        assert_eq!(back, result);
        assert_eq!(
            serde_json::to_value(&result).unwrap()["duration_ms"],
            json!(result.duration.as_millis())
        );
    }
}

fn commands() -> [Command; 4] {
    [
        Command::Script { path: "a b.py".into(), interpreter: Some("python3".to_string()) },
        Command::Exec { program: "ls".to_string(), args: vec!["-l".to_string(), String::new()] },
        Command::Shell { command: "ls | wc".to_string(), shell: "/bin/bash".to_string() },
        Command::AwsCli {
            service: "s3api".to_string(),
            operation: "list-buckets".to_string(),
            args: vec!["--max-items".to_string(), "3".to_string()],
            profile: Some("work".to_string()),
            region: None,
        },
    ]
}

#[test]
fn requests_round_trip_and_refuse_unknown_fields() {
    for command in commands() {
        let plain = ExecutionRequest::new(command.clone());
        assert_eq!(travelled(&plain), plain);
        let full = ExecutionRequest::new(command)
            .env("NAME", "value \u{fc} \n\"")
            .working_dir("/tmp")
            .timeout(Duration::from_secs(1))
            .output_log("/tmp/log")
            .description("what it is")
            .tag("nightly")
            .label("ticket", "42");
        assert_eq!(travelled(&full), full);
        for place in ["", "/command", "/metadata"] {
            refuses_more(&full, place);
        }
    }
}

#[test]
fn request_needs_only_a_command() {
    let json = r#"{"command":{"type":"shell","command":"ls"}}"#;
    let request: ExecutionRequest = serde_json::from_str(json).unwrap();
    let other: ExecutionRequest = serde_json::from_str(json).unwrap();
    assert_eq!(request, shell("ls").id(request.id));
    assert_ne!(request.id, other.id);

    let minimal = [
        json!({"type": "exec", "program": "ls"}),
        json!({"type": "script", "path": "a.sh"}),
        json!({"type": "aws_cli", "service": "s3api", "operation": "list-buckets"}),
    ];
    for command in minimal {
        serde_json::from_value::<ExecutionRequest>(json!({"command": command})).unwrap();
    }
    assert!(serde_json::from_str::<ExecutionRequest>("{}").is_err());
    assert!(serde_json::from_value::<Command>(json!({"type": "telepathy"})).is_err());
}

#[test]
fn configuration_and_options_round_trip_and_refuse_unknown_fields() {
    let config = ExecutionConfig {
        default_timeout_ms: u64::MAX,
        max_timeout_ms: u64::MAX,
        stream_output: false,
        log_dir: Some("/var/log/engine".into()),
        max_concurrent_executions: 1,
        max_in_memory_executions: 2,
        execution_retention_secs: 3,
        enable_auto_cleanup: false,
        max_output_size_bytes: usize::MAX,
        oversized_output_strategy: OversizedOutputStrategy::StreamToFile,
    };
    assert_eq!(travelled(&config), config);
    assert_eq!(travelled(&ExecutionConfig::default()), ExecutionConfig::default());
    assert_eq!(serde_json::from_str::<ExecutionConfig>("{}").unwrap(), ExecutionConfig::default());
    refuses_more(&config, "");

    let options = ExecutionOptions::default().stop_grace(Duration::from_millis(200));
    assert_eq!(travelled(&options), options);
    assert_eq!(serde_json::to_value(ExecutionOptions::default()).unwrap(), json!({}));
    assert_eq!(travelled(&ExecutionOptions::default()), ExecutionOptions::default());
    refuses_more(&options, "");

    let requires = Requires::default()
        .pool("p")
        .label("arch", "arm64")
        .cpu_milli(1)
        .memory_bytes(2)
        .resource("gpu", 3);
    let options = ExecutionOptions::default().requires(requires.clone()).max_attempts(2);
    let options = options.start_by(Duration::from_millis(5));
    let digest = ContentDigest { sha256: [0xa1; 32], size: 7 };
    let options = options.input("in/a", digest).collect("out/*");
    assert_eq!(travelled(&options), options);
    let json = json!({"requires": {
        "pool": "p", "labels": {"arch": "arm64"}, "cpu_milli": 1, "memory_bytes": 2,
        "resources": {"gpu": 3},
    }, "max_attempts": 2, "start_by_ms": 5, "collect": ["out/*"], "inputs": [
        {"path": "in/a", "digest": format!("{}/7", "a1".repeat(32))},
    ]});
    assert_eq!(serde_json::to_value(&options).unwrap(), json);
    refuses_more(&options.inputs[0], "");
    refuses_more(&requires, "");
}

#[test]
fn endings_round_trip_under_stable_names() {
    let reason = || "no space".to_string();
    let cases = [
        ("exited", Ending::Exited { code: 7 }),
        ("signaled", Ending::Signaled { signal: 11, core_dumped: true }),
        ("timed_out", Ending::TimedOut { timeout_ms: 5 }),
        ("idle_timed_out", Ending::IdleTimedOut { idle_timeout_ms: 5 }),
        ("cancelled", Ending::Cancelled),
        ("output_limit", Ending::OutputLimit { stream: OutputStream::Stdout, limit: usize::MAX }),
        ("output_lost", Ending::OutputLost { stream: OutputStream::Stderr, reason: reason() }),
        ("spawn_failed", Ending::SpawnFailed { reason: reason(), os_error: Some(8) }),
        ("spawn_failed", Ending::SpawnFailed { reason: reason(), os_error: None }),
        ("status_unknown", Ending::StatusUnknown),
        ("resource_limit", Ending::ResourceLimit { limit: ResourceLimit::CpuTime }),
        ("engine_closed", Ending::EngineClosed),
        ("engine_failed", Ending::EngineFailed { reason: reason() }),
        ("lost", Ending::Lost { reason: reason() }),
        ("worker_lost", Ending::WorkerLost { worker: "w1".to_string(), attempts: 2 }),
        ("unknown", Ending::Unknown { reason: reason() }),
    ];
    for (name, ending) in cases {
        assert_eq!(travelled(&ending), ending);
        assert_eq!(serde_json::to_value(&ending).unwrap()["type"], name);
        assert!(ending.status().is_terminal());
        assert!(ending.error().is_some() && !ending.is_success());
    }
}

#[test]
fn events_round_trip_under_stable_names() {
    let execution_id = Uuid::new_v4();
    let duration = Duration::from_millis(1234);
    let (line, command) = ("caf\u{e9} \u{fffd}\"".to_string(), "ls 'a b'".to_string());
    let cases = [
        ("started", ExecutionEvent::Started { execution_id, command, pid: 42 }),
        ("stdout", ExecutionEvent::Stdout { execution_id, line: line.clone() }),
        ("stderr", ExecutionEvent::Stderr { execution_id, line: line.clone() }),
        (
            "status_changed",
            ExecutionEvent::StatusChanged {
                execution_id,
                from: ExecutionStatus::Running,
                to: ExecutionStatus::Timeout,
            },
        ),
        ("lines_missed", ExecutionEvent::LinesMissed { execution_id, count: 3 }),
        (
            "completed",
            ExecutionEvent::Completed { execution_id, success: false, exit_code: -1, duration },
        ),
        ("failed", ExecutionEvent::Failed { execution_id, error: line, duration }),
        ("cancelled", ExecutionEvent::Cancelled { execution_id, duration }),
        ("timeout", ExecutionEvent::Timeout { execution_id, timeout_ms: 5, duration }),
    ];
    for (name, event) in cases {
        assert_eq!(travelled(&event), event);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!((&json["type"], &json["execution_id"]), (&json!(name), &json!(execution_id)));
        let told_ms = json.get("duration_ms").and_then(Value::as_u64);
        assert_eq!(told_ms, event.is_terminal().then_some(1234));
    }
}
