//! Sources and groups of errors.

use std::error::Error as _;

use super::*;
use crate::types::{Ending, PlanStep, StepRef};

#[test]
fn source_is_the_io_error() {
    let system = std::io::Error::from_raw_os_error(13);
    let error = ExecutionError::Log { path: "x.log".into(), source: system.into() };
    let source = error.source().and_then(|source| source.downcast_ref::<IoError>()).unwrap();
    assert_eq!(source.kind, std::io::ErrorKind::PermissionDenied);
    assert_eq!(source.os_error, Some(13));
    assert!(error.to_string().contains(&source.message), "{error}");
}

#[test]
fn source_of_a_bad_step_is_what_is_wrong_with_it() {
    let step = PlanStep { index: 1, name: None };
    let inner = ValidationError::TimeoutZero;
    let error = PlanError::InvalidStep { step, error: Box::new(inner.clone()) };
    assert_eq!(error.source().unwrap().to_string(), inner.to_string());
}

#[test]
fn each_error_of_an_ending_is_in_that_group() {
    let reason = || "reason".to_string();
    let endings = [
        Ending::Exited { code: 3 },
        Ending::Signaled { signal: 9, core_dumped: false },
        Ending::TimedOut { timeout_ms: 1 },
        Ending::Cancelled,
        Ending::OutputLimit { stream: OutputStream::Stdout, limit: 1 },
        Ending::OutputLost { stream: OutputStream::Stdout, reason: reason() },
        Ending::SpawnFailed { reason: reason(), os_error: None },
        Ending::ResourceLimit { limit: ResourceLimit::CpuTime },
        Ending::PlanDeadline { deadline_ms: 1 },
        Ending::NotRun { reason: SkipReason::PlanCancelled },
        Ending::StatusUnknown,
        Ending::EngineClosed,
        Ending::EngineFailed { reason: reason() },
        Ending::Lost { reason: reason() },
        Ending::WorkerLost { worker: "w1".to_string(), attempts: 2 },
        Ending::Unknown { reason: reason() },
    ];
    for ending in endings {
        let error = ending.error().unwrap();
        assert!(error.is_ending() && !error.is_lookup(), "{error:?}");
        // The engine refuses requests for this reason, too.
        let is_both = error == ExecutionError::ShuttingDown;
        assert_eq!(error.is_rejection(), is_both, "{error:?}");
    }
    let missing = ExecutionError::NotFound(Uuid::nil());
    assert!(missing.is_lookup() && !missing.is_ending() && !missing.is_rejection());
}

#[test]
fn no_text_from_outside_adds_a_line_to_a_message() {
    let text = || "a\n# ending    exit code 0\r\u{1b}[2K\u{2028}".to_string();
    let (path, id) = (|| PathBuf::from(text()), Uuid::nil());
    let source = || IoError::from(std::io::Error::other(text()));
    let step = || PlanStep { index: 0, name: Some(text()) };
    let (stream, field) = (OutputStream::Stdout, "field");
    let validation = [
        ValidationError::NulByte { field: text() },
        ValidationError::EnvName { name: text() },
        ValidationError::ScriptNotFound { path: path() },
        ValidationError::ScriptNotAFile { path: path() },
        ValidationError::ScriptNotRunnable { path: path() },
        ValidationError::WorkingDirNotFound { path: path() },
        ValidationError::WorkingDirNotADirectory { path: path() },
        ValidationError::ProgramNotFound { field, program: text(), hint: text() },
        ValidationError::PermissionDenied { field, path: path() },
        ValidationError::NotRunnable { field, path: path(), source: source() },
        ValidationError::Inaccessible { field, path: path(), source: source() },
        ValidationError::Link { field, path: path(), link: path() },
        ValidationError::InvalidConfig { field, reason: text() },
        ValidationError::InvalidOption { field, reason: text() },
        PlanError::UnknownStep { step: step(), named: text(), hint: text() }.into(),
        PlanError::Cycle { path: vec![step()] }.into(),
        PlanError::DuplicateName { name: text(), first: 0, second: 1 }.into(),
        PlanError::BadName { index: 0, name: text(), reason: "is bad" }.into(),
        PlanError::InvalidInput { step: step(), from: step(), reason: text() }.into(),
        PlanError::InvalidOption { field, reason: text() }.into(),
    ];
    let endings = [
        Ending::OutputLost { stream, reason: text() },
        Ending::SpawnFailed { reason: text(), os_error: None },
        Ending::EngineFailed { reason: text() },
        Ending::Lost { reason: text() },
        Ending::WorkerLost { worker: text(), attempts: 2 },
        Ending::Unknown { reason: text() },
        Ending::NotRun { reason: SkipReason::PlanStopped { step: step() } },
        Ending::NotRun { reason: SkipReason::Input { from: step(), reason: text() } },
    ];
    let others = [
        ExecutionError::GroupLimitReached { group: text(), limit: 1 },
        ExecutionError::Log { path: path(), source: source() },
        ExecutionError::StdinSource { id, written: 0, source: source() },
        ExecutionError::Overflow { path: path(), source: source() },
        ExecutionError::control(id, text()),
        ExecutionError::backend(text()),
        ExecutionError::outcome_unknown(id, text()),
    ];
    let mut messages: Vec<_> = validation.iter().map(ToString::to_string).collect();
    messages.extend(endings.iter().map(ToString::to_string));
    messages.extend(endings.iter().map(|ending| ending.error().unwrap().to_string()));
    messages.extend(others.iter().map(ToString::to_string));
    messages.push(StepRef::Name(text()).to_string());
    for message in messages {
        assert!(message.contains(r"\n# ending"), "the text is missing: {message}");
        assert!(!message.contains(['\n', '\r', '\u{1b}', '\u{2028}']), "{message}");
    }
}

#[test]
fn errors_have_a_json_form() {
    use serde_json::json;

    let id = Uuid::nil();
    let io = || IoError::from(std::io::Error::from_raw_os_error(13));
    let step = PlanStep { index: 1, name: Some("build".to_string()) };
    let in_step = Box::new(ValidationError::WorkingDirNotFound { path: "/x".into() });
    let log = ExecutionError::Log { path: "/x.log".into(), source: io() };
    let cases = [
        (ExecutionError::ConcurrencyLimitReached(8), json!({"limit": 8, "retryable": true})),
        (
            ExecutionError::GroupLimitReached { group: "g".to_string(), limit: 2 },
            json!({"group": "g", "limit": 2, "retryable": true}),
        ),
        (ExecutionError::NotFound(id), json!({"id": id})),
        (
            ExecutionError::AlreadyEnded { id, status: ExecutionStatus::Failed },
            json!({"id": id, "status": "failed"}),
        ),
        (log, json!({"path": "/x.log", "os_error": 13})),
        (ExecutionError::ExitCode(3), json!({"exit_code": 3})),
        (ExecutionError::Signaled(9), json!({"signal": 9})),
        (ExecutionError::TimedOut(5), json!({"timeout_ms": 5, "retryable": true})),
        (ExecutionError::ResourceLimit(ResourceLimit::CpuTime), json!({"resource": "cpu_time"})),
        (
            ExecutionError::NotRun(SkipReason::PlanCancelled),
            json!({"reason": {"type": "plan_cancelled"}}),
        ),
        (ExecutionError::Cancelled, json!({})),
        (ExecutionError::Detached(id), json!({"id": id})),
        (ExecutionError::outcome_unknown(id, "r"), json!({"id": id, "retryable": true})),
        (ExecutionError::backend("r"), json!({"retryable": true})),
        (
            ValidationError::TimeoutTooLarge { timeout_ms: 9, max_ms: 5 }.into(),
            json!({"field": "timeout_ms", "limit": 5}),
        ),
        (
            PlanError::InvalidStep { step, error: in_step }.into(),
            json!({"field": "working_dir", "path": "/x", "step": {"index": 1, "name": "build"}}),
        ),
    ];
    for (error, mut expected) in cases {
        expected["code"] = json!(error.error_code());
        expected["message"] = json!(error.to_string());
        if expected["retryable"].is_null() {
            expected["retryable"] = json!(false);
        }
        assert_eq!(serde_json::to_value(&error).unwrap(), expected);
        if let ExecutionError::Validation(inner) = &error {
            assert_eq!(serde_json::to_value(inner).unwrap(), expected);
        }
    }
    let message = io().to_string();
    let expected = json!(
        {"code": "io_error", "kind": "permission_denied", "message": message, "os_error": 13}
    );
    assert_eq!(serde_json::to_value(io()).unwrap(), expected);
}
