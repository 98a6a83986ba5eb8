//! JSON forms: each value reads back as it was, and has the documented text. Texts in columns.

use std::fmt::{Debug, Display};

use chrono::DateTime;
use execution_engine_process::{Level, Signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

/// Checks the JSON of a value in both directions.
#[track_caller]
fn has_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: Value) {
    assert_eq!(serde_json::to_value(value).unwrap(), json, "{value:?}");
    assert!(serde_json::from_value::<T>(json).is_ok_and(|read| read == *value), "{value:?}");
}

#[test]
fn enums_with_data_are_objects_with_a_type() {
    has_json(&RetryOn::ExitCode(75), json!({"type": "exit_code", "code": 75}));
    has_json(&RetryOn::Timeout, json!({"type": "timeout"}));
    has_json(&InputTarget::Stdin, json!({"type": "stdin"}));
    has_json(&InputTarget::Env("X".to_string()), json!({"type": "env", "name": "X"}));
    let files = |directory| InputTarget::Files { pattern: "*".to_string(), directory };
    has_json(&files(None), json!({"type": "files", "pattern": "*"}));
    let below = json!({"type": "files", "pattern": "*", "directory": "d"});
    has_json(&files(Some("d".to_string())), below);
    has_json(&Admission::Reject, json!({"type": "reject"}));
    has_json(&Admission::Queue { max_waiting: 3 }, json!({"type": "queue", "max_waiting": 3}));
    has_json(&StdinSource::bytes("hi"), json!({"type": "bytes", "data": "hi"}));
    has_json(&StdinSource::bytes(vec![255]), json!({"type": "bytes", "data": [255]}));
    has_json(&Ending::Exited { code: 3 }, json!({"type": "exited", "code": 3}));
    has_json(&Ending::Cancelled, json!({"type": "cancelled"}));
    let step = PlanStep { index: 1, name: Some("build".to_string()) };
    has_json(
        &Ending::NotRun { reason: SkipReason::DependencyFailed { step } },
        json!({
            "type": "not_run",
            "reason": {"type": "dependency_failed", "step": {"index": 1, "name": "build"}}
        }),
    );
}

#[test]
fn enums_without_data_are_strings() {
    has_json(&ExecutionStatus::Pending, json!("pending"));
    has_json(&OutputStream::Stdout, json!("stdout"));
    has_json(&Jitter::Full, json!("full"));
    has_json(&Trim::LineEndings, json!("line_endings"));
    has_json(&FailurePolicy::FinishIndependent, json!("finish_independent"));
    has_json(&ResourceLimit::CpuTime, json!("cpu_time"));
    let strategy = crate::OversizedOutputStrategy::KeepHeadAndTail;
    has_json(&strategy, json!("keep_head_and_tail"));
    has_json(&crate::LogRetention::WithRecord, json!("with_record"));
    has_json(&StepRef::Index(2), json!(2));
    has_json(&StepRef::from("build"), json!("build"));
}

#[test]
fn unknown_fields_are_refused_beside_a_type() {
    for json in [r#"{"type": "timeout", "code": 1}"#, r#"{"type": "exit_code", "code": 1, "x": 1}"#]
    {
        assert!(serde_json::from_str::<RetryOn>(json).is_err(), "{json}");
    }
    assert!(serde_json::from_str::<InputTarget>(r#"{"type": "stdin", "name": "X"}"#).is_err());
    assert!(serde_json::from_str::<Admission>(r#"{"type": "reject", "max_waiting": 1}"#).is_err());
}

#[test]
fn chunk_records_have_a_json_form() {
    let record = |content| ChunkRecord {
        sequence: 7,
        timestamp: DateTime::UNIX_EPOCH,
        execution_id: Uuid::nil(),
        content,
    };
    let with = |content: Value| {
        json!({
            "sequence": 7,
            "timestamp": "1970-01-01T00:00:00Z",
            "execution_id": "00000000-0000-0000-0000-000000000000",
            "content": content,
        })
    };
    let output = |bytes: &'static [u8]| ChunkContent::Output {
        stream: OutputStream::Stderr,
        bytes: bytes.into(),
    };
    let text = json!({"type": "output", "stream": "stderr", "data": "hi\n"});
    has_json(&record(output(b"hi\n")), with(text));
    let cut_in_a_character = json!({"type": "output", "stream": "stderr", "data": [195]});
    has_json(&record(output(b"\xc3")), with(cut_in_a_character));
    let missed = ExecutionEvent::OutputMissed { execution_id: Uuid::nil(), bytes: 9 };
    let event = json!({
        "type": "event",
        "event": {
            "type": "output_missed",
            "execution_id": "00000000-0000-0000-0000-000000000000",
            "bytes": 9
        }
    });
    has_json(&record(ChunkContent::Event(missed)), with(event));
}

#[test]
fn plan_spec_reads_without_options() {
    let request = ExecutionRequest::program("true");
    let spec = PlanSpec::from(ExecutionPlan::serial([request]));
    let mut json = serde_json::to_value(&spec).unwrap();
    json.as_object_mut().unwrap().remove("options");
    assert_eq!(serde_json::from_value::<PlanSpec>(json).unwrap(), spec);
}

#[test]
fn texts_fit_into_columns() {
    let step = || PlanStep { index: 1, name: Some("build".to_string()) };
    let script = Command::Script { path: "a.py".into(), interpreter: None };
    let shown: [&dyn Display; _] = [
        &ExecutionStatus::Completed,
        &Ending::Exited { code: 3 },
        &Ending::Cancelled,
        &Ending::NotRun { reason: SkipReason::PlanCancelled },
        &SkipReason::PlanDeadline,
        &SkipReason::PlanStopped { step: step() },
        &ResourceLimit::CpuTime,
        &OutputStream::Stderr,
        &Level::Cgroup,
        &Signal::Terminate,
        &Signal::Other(40),
        &step(),
        &PlanStep { index: 1, name: None },
        &StepRef::Index(2),
        &StepCondition::AnyFailed,
        &StepRef::from("build"),
        &ExecutionRequest::shell("ls").command,
        &ExecutionRequest::program("ls").command,
        &script,
        &OsText::from("word"),
    ];
    for value in shown {
        let text = value.to_string();
        assert_eq!(format!("{value:<60}|"), format!("{text:<60}|"));
        assert_eq!(format!("{value:>60}|"), format!("{text:>60}|"));
        assert_eq!(format!("{value:-^60}|"), format!("{text:-^60}|"));
        assert_eq!(format!("{value:.1}|"), format!("{text:.1}|"));
    }
}
