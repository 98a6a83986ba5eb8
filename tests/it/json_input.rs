//! What is read from JSON: the short forms, and errors that speak of the JSON and of no type that
//! only the library has.

use std::fmt::Debug;

use execution_engine::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

// -------------------------------------------------------------------------------------- short forms

/// Checks that a short form means the same as the long one, which is what is written.
#[track_caller]
fn is_short<T: DeserializeOwned + Serialize + PartialEq + Debug>(short: &Value, long: &Value) {
    let read: T = serde_json::from_value(short.clone()).unwrap_or_else(|e| panic!("{short}: {e}"));
    assert_eq!(read, serde_json::from_value(long.clone()).unwrap(), "{short}");
    assert_eq!(&serde_json::to_value(&read).unwrap(), long, "{short}");
}

#[test]
fn the_name_of_a_type_that_needs_nothing_else_is_enough() {
    for name in ["null", "piped", "inherit"] {
        is_short::<StdinSource>(&json!(name), &json!({"type": name}));
    }
    for name in ["any_exit_code", "signal", "timeout", "spawn_failure"] {
        is_short::<RetryOn>(&json!(name), &json!({"type": name}));
    }
    is_short::<Admission>(&json!("reject"), &json!({"type": "reject"}));
    is_short::<InputTarget>(&json!("stdin"), &json!({"type": "stdin"}));
    is_short::<StepCondition>(&json!("any_failed"), &json!({"type": "any_failed"}));
    is_short::<StepCondition>(&json!("none_failed"), &json!({"type": "none_failed"}));
    is_short::<InheritEnv>(&json!("all"), &json!({"type": "all"}));
    is_short::<InheritEnv>(&json!("nothing"), &json!({"type": "nothing"}));
    is_short::<ExecutionStrategy>(&json!("parallel"), &json!({"type": "parallel"}));

    let missing = serde_json::from_value::<Admission>(json!("queue")).unwrap_err().to_string();
    assert_eq!(missing, "missing field `max_waiting`");
    let unknown = serde_json::from_value::<StdinSource>(json!("pipe")).unwrap_err().to_string();
    assert!(unknown.contains("unknown variant `pipe`, expected one of `null`"), "{unknown}");
}

#[test]
fn lists_of_words_and_lines_are_short() {
    let names = json!({"type": "only", "names": ["PATH", "HOME"]});
    is_short::<InheritEnv>(&json!(["PATH", "HOME"]), &names);
    let status = json!({"type": "exec", "program": "git", "args": ["status", "-s"]});
    is_short::<Command>(&json!(["git", "status", "-s"]), &status);
    is_short::<Command>(&json!(["ls"]), &json!({"type": "exec", "program": "ls", "args": []}));
    let line = json!({"type": "shell", "command": "ls | wc", "shell": "/bin/sh"});
    is_short::<Command>(&json!("ls | wc"), &line);
    let empty = serde_json::from_value::<Command>(json!([])).unwrap_err().to_string();
    assert!(empty.contains("no program"), "{empty}");
}

#[test]
fn a_number_of_attempts_is_a_policy() {
    let read =
        |retry: &str| serde_json::from_str::<ExecutionOptions>(&format!(r#"{{"retry": {retry}}}"#));
    assert_eq!(read("3").unwrap().retry, Some(RetryPolicy::new(3)));
    assert_eq!(read("null").unwrap().retry, None);
    assert_eq!(read("{}").unwrap().retry, Some(RetryPolicy::default()));
    for wrong in ["-1", "4294967296", "true", "\"3\"", "[3]"] {
        let error = read(wrong).unwrap_err().to_string();
        assert!(error.contains("a number of attempts, or an object"), "{wrong}: {error}");
    }
    // What is written reads back.
    let options = ExecutionOptions::default().retry(RetryPolicy::new(4));
    let json = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<ExecutionOptions>(&json).unwrap(), options);
}

#[tokio::test]
async fn a_request_in_short_forms_runs() {
    let engine = test_support::engine();
    let request: ExecutionRequest = serde_json::from_str(r#"{"command": "cat | wc -c"}"#).unwrap();
    let options = r#"{"stdin": {"type": "bytes", "data": "12345"}, "retry": 2}"#;
    let options = serde_json::from_str(options).unwrap();
    let result = test_support::soon("the run", engine.run_with(request, options)).await.unwrap();
    assert_eq!(result.stdout.trim(), "5");
}

// ------------------------------------------------------------------------------------------- errors

/// Words with capital letters that are no names of types.
const WORDS: [&str; 4] = ["UUID", "Unicode", "JSON", "EOF"];

/// Public types that are objects in JSON: errors may name them.
const OBJECTS: [&str; 15] = [
    "ExecutionRequest",
    "ExecutionOptions",
    "ExecutionMetadata",
    "ExecutionConfig",
    "ExecutionPlan",
    "PlanOptions",
    "PlanSpec",
    "StepOptions",
    "StepInput",
    "RetryPolicy",
    "EnvOptions",
    "Limits",
    "UserIds",
    "OutputQuery",
    "OutputCursor",
];

#[track_caller]
fn speaks_of_json(json: &Value, error: &serde_json::Error) {
    let message = error.to_string();
    let quoted_apart = message.split(['`', '"']).step_by(2).collect::<Vec<_>>().join(" ");
    for word in quoted_apart.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        let is_name = word.starts_with(char::is_uppercase) || word.contains("::");
        let is_public = WORDS.contains(&word) || OBJECTS.contains(&word);
        assert!(!is_name || is_public, "{word:?} in {message:?} of {json}");
    }
    for words in ["tagged", "did not match any variant", "tuple", "newtype"] {
        assert!(!message.contains(words), "{words:?} in {message:?} of {json}");
    }
}

/// Values of which most types take at most one or two.
fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-5),
        json!(5.5),
        json!(u64::MAX),
        json!("nonsense"),
        json!([]),
        json!([1]),
        json!(["nonsense", 300]),
        json!([{"type": 1}]),
        json!({}),
        json!({"type": 5}),
        json!({"type": "nonsense"}),
        json!({"type": null, "nonsense": 1}),
        json!({"nonsense": 1}),
        json!({"1": ["x"]}),
    ]
}

/// Reads a type from odd values, and from its examples with an odd value in each place, at any
/// depth.
#[track_caller]
fn reads<T: DeserializeOwned>(examples: &[Value]) {
    let mut refused = 0;
    let mut check = |json: Value| {
        if let Err(error) = serde_json::from_value::<T>(json.clone()) {
            speaks_of_json(&json, &error);
            refused += 1;
        }
    };
    odd_values().into_iter().for_each(&mut check);
    for example in examples {
        assert!(serde_json::from_value::<T>(example.clone()).is_ok(), "{example}");
        for place in places(example, "") {
            for odd in odd_values() {
                let mut json = example.clone();
                *json.pointer_mut(&place).unwrap() = odd;
                check(json);
            }
        }
        if example.is_object() {
            let mut json = example.clone();
            json["nonsense"] = json!(1);
            check(json);
        }
    }
    assert!(refused > 5, "{refused}");
}

/// Returns the places within a value as JSON pointers.
fn places(value: &Value, at: &str) -> Vec<String> {
    let below = |(name, value): (String, &Value)| {
        let at = format!("{at}/{name}");
        let mut all = places(value, &at);
        all.push(at);
        all
    };
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), value)).flat_map(below).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| (i.to_string(), item))
            .flat_map(below)
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn errors_of_enums_name_what_is_expected_in_json() {
    reads::<Command>(&[
        json!({"type": "exec", "program": "git", "args": ["status", [102, 255]]}),
        json!({"type": "script", "path": "a.py", "interpreter": "python3", "args": ["-v"]}),
        json!({"type": "shell", "command": "ls", "shell": "/bin/sh"}),
        json!({"type": "aws_cli", "service": "s3", "operation": "ls", "args": ["x"], "profile": "p"}),
    ]);
    reads::<StdinSource>(&[
        json!({"type": "bytes", "data": [1, 2]}),
        json!({"type": "file", "path": "/a"}),
        json!({"type": "piped"}),
    ]);
    reads::<Admission>(&[json!({"type": "queue", "max_waiting": 3}), json!({"type": "reject"})]);
    reads::<RetryOn>(&[json!({"type": "exit_code", "code": 3}), json!({"type": "signal"})]);
    reads::<InheritEnv>(&[json!({"type": "only", "names": ["A"]}), json!({"type": "nothing"})]);
    reads::<InputTarget>(&[json!({"type": "env", "name": "A"}), json!({"type": "stdin"})]);
    reads::<LogTail>(&[json!({"type": "lines", "count": 3})]);
    reads::<StepCondition>(&[
        json!({"type": "exit_code", "step": "a", "codes": [1]}),
        json!({"type": "any_failed"}),
    ]);
    reads::<ExecutionStrategy>(&[
        json!({"type": "serial", "stop_on_error": true}),
        json!({"type": "parallel", "max_concurrency": 3}),
        json!({"type": "dependency_graph", "dependencies": {"2": [0, 1]}}),
    ]);
    reads::<StepRef>(&[json!(1), json!("a")]);
    reads::<OsText>(&[json!("a"), json!([102, 255])]);
    reads::<Signal>(&[json!("terminate"), json!(40)]);
    reads::<OutputMode>(&[json!("merged")]);
    reads::<Leftovers>(&[json!("leave")]);
    reads::<Jitter>(&[json!("full")]);
    reads::<FailurePolicy>(&[json!("continue")]);
    reads::<Trim>(&[json!("nothing")]);
    reads::<OutputWindow>(&[json!("tail")]);
    reads::<OversizedOutputStrategy>(&[json!("fail_execution")]);
    reads::<LogRetention>(&[json!("keep")]);
}

#[test]
fn errors_of_objects_name_what_is_expected_in_json() {
    let request = json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "command": {"type": "exec", "program": "git", "args": ["status"]},
        "env": {"A": "b"},
        "working_dir": "/srv",
        "timeout_ms": 5,
        "output_log_path": "/tmp/x",
        "metadata": {"description": "d", "tags": ["t"], "labels": {"l": "v"}},
    });
    let options = json!({
        "stop_grace_ms": 5,
        "stop_signal": "terminate",
        "final_signal": 9,
        "idle_timeout_ms": 5,
        "leftovers": "leave",
        "limits": {"cpu_seconds": 1, "nice": 1},
        "priority": 5,
        "group": "g",
        "env": {"inherit": {"type": "all"}, "remove": ["A"], "set": {"A": "b"}},
        "stdin": {"type": "bytes", "data": "x"},
        "output": "merged",
        "user": {"uid": 1, "gid": 1, "groups": [1]},
        "retry": {"attempts": 3, "jitter": "full", "retry_on": [{"type": "exit_code", "code": 75}]},
    });
    let plan = json!({
        "description": "d",
        "strategy": {"type": "dependency_graph", "dependencies": {"0": []}},
        "commands": [request],
    });
    let plan_options = json!({
        "steps": [{
            "name": "a",
            "after": ["b", 1],
            "inputs": [{"from": "b", "to": {"type": "env", "name": "X"}, "trim": "nothing"}],
            "options": {"priority": 1},
        }],
        "failure_policy": "continue",
        "max_concurrency": 1,
        "deadline_ms": 5,
        "env": {"A": "b"},
        "working_dir": "/",
        "defaults": {"group": "g"},
    });
    let mut in_one = plan_options.clone();
    let mut step = plan_options["steps"][0].clone();
    step.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
    in_one["steps"] = json!([step]);
    in_one["strategy"] = plan["strategy"].clone();
    reads::<PlanSpec>(&[json!({"plan": plan, "options": plan_options}), in_one]);
    reads::<ExecutionOptions>(&[options]);
    reads::<ExecutionRequest>(&[request]);
    reads::<ExecutionPlan>(&[plan]);
    reads::<PlanOptions>(&[plan_options]);
    reads::<ExecutionConfig>(&[json!({
        "default_timeout_ms": 5,
        "stream_output": true,
        "log_dir": "/x",
        "max_concurrent_executions": 1,
        "oversized_output_strategy": "stream_to_file",
    })]);
    reads::<OutputQuery>(&[json!({
        "cursor": {"stdout": 1, "stderr": 2},
        "stream": "stdout",
        "max_bytes": 10,
        "window": "tail",
        "wait_ms": 5,
    })]);
}
