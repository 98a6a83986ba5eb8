//! Sources and groups of errors.

use std::error::Error as _;

use super::*;
use crate::types::{Ending, PlanStep};

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
    ];
    for ending in endings {
        let error = ending.error().unwrap();
        assert!(error.is_ending() && !error.is_lookup(), "{error:?}");
        // The engine refuses requests for these two reasons, too.
        let is_both = matches!(error, ExecutionError::ShuttingDown | ExecutionError::Engine(_));
        assert_eq!(error.is_rejection(), is_both, "{error:?}");
    }
    let missing = ExecutionError::NotFound(Uuid::nil());
    assert!(missing.is_lookup() && !missing.is_ending() && !missing.is_rejection());
}
