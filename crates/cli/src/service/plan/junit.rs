//! The result of a plan as JUnit XML, as tools for tests read it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use execution_engine::{OutputStream, Uuid};
use execution_engine_server::client::Client;
use execution_engine_server::{PlanView, StepStatus, StepView};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::{name_of, outcome};
use crate::failure::Failure;

/// Lines of the output of a step that failed, for each stream.
const LINES: u64 = 200;
/// Most bytes of them.
const BYTES: usize = 64 << 10;

/// Creates the file of a report.
pub(super) fn create(path: &Path) -> Result<(File, &Path), Failure> {
    let file = File::create(path).map_err(|error| failed(path, &error))?;
    Ok((file, path))
}

/// Writes the report of a plan that has ended.
pub(super) async fn write(
    plan: &PlanView,
    end_of: impl AsyncFn(Uuid, OutputStream) -> Result<String, Failure>,
    mut file: File,
    path: &Path,
) -> Result<(), Failure> {
    let text = text(plan, end_of).await?;
    file.write_all(text.as_bytes()).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("--junit: {} cannot be written: {error}", path.display()))
}

/// Returns the report of a plan. Steps that failed have the end of their output, which the function returns.
pub(super) async fn text(
    plan: &PlanView,
    end_of: impl AsyncFn(Uuid, OutputStream) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let name = plan.description.clone().unwrap_or_else(|| format!("plan {}", plan.id));
    let mut suite = TestSuite::new(&name);
    suite.set_timestamp(plan.started_at.fixed_offset());
    suite.set_time(Duration::from_millis(plan.duration_ms));
    for step in &plan.steps {
        let mut case = TestCase::new(name_of(step), status(step));
        case.set_classname(&name);
        case.set_time(Duration::from_millis(step.duration_ms.unwrap_or_default()));
        if let Some(started_at) = step.started_at {
            case.set_timestamp(started_at.fixed_offset());
        }
        if let Some(id) = step.execution.filter(|_| step.status != StepStatus::Completed) {
            case.set_system_out(end_of(id, OutputStream::Stdout).await?);
            case.set_system_err(end_of(id, OutputStream::Stderr).await?);
        }
        suite.add_test_case(case);
    }
    let mut report = Report::new("exeng");
    report.set_timestamp(plan.started_at.fixed_offset());
    report.set_time(Duration::from_millis(plan.duration_ms));
    report.add_test_suite(suite);
    report.to_string().map_err(|error| Failure::new(format!("the report cannot be made: {error}")))
}

fn status(step: &StepView) -> TestCaseStatus {
    let (text, _) = outcome(step);
    match step.status {
        StepStatus::Completed => TestCaseStatus::success(),
        StepStatus::Failed | StepStatus::Timeout | StepStatus::Cancelled | StepStatus::Lost
            if !step.failure_allowed =>
        {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(step.status.as_str()).set_message(text);
            status
        }
        // What JUnit has no word for: a failure that is allowed, and a step that has not ended.
        _ => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(text);
            status
        }
    }
}

/// Returns the last lines of the output of an execution; nothing if that is no longer kept.
pub(super) async fn end_of(
    client: &Client,
    id: Uuid,
    stream: OutputStream,
) -> Result<String, Failure> {
    let mut output = match client.output(&id.to_string(), Some(stream), Some(LINES)).await {
        Ok(output) => output,
        Err(error) if error.code().is_some() => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let mut end = End::default();
    while let Some(part) = output.next().await? {
        end.push(&part);
    }
    Ok(end.text())
}

/// The last bytes of an output.
#[derive(Default)]
pub(super) struct End(Vec<u8>);

impl End {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let beyond = self.0.len().saturating_sub(BYTES);
        self.0.drain(..beyond);
    }

    /// Returns the last lines.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines[lines.len().saturating_sub(LINES as usize)..].concat()
    }
}
