//! What is said of a plan: the steps in a table, one line at its end, and the exit code.

use execution_engine::{Ending, ExecutionStatus, PlanEnding};
use execution_engine_server::{PlanView, StepCounts, StepStatus, StepView};

use crate::option_names::of_command_line;
use crate::service::table::{Cell, Colour, table};
use crate::service::times::short;
use crate::{data, exit_code, message, terminal_text};

/// Returns the name of a step, or `step 2` for one without a name.
pub(super) fn name_of(step: &StepView) -> String {
    step.name.clone().unwrap_or_else(|| format!("step {}", step.index))
}

/// Returns what came of a step, for people.
pub(super) fn outcome(step: &StepView) -> (String, Colour) {
    let time = step.duration_ms.map(|millis| format!(", {}", short(millis))).unwrap_or_default();
    let text = match &step.ending {
        Some(Ending::Exited { code: 0 }) | None => format!("{}{time}", step.status.as_str()),
        Some(Ending::Exited { code }) => format!("failed with exit code {code}{time}"),
        Some(Ending::NotRun { .. }) => {
            format!("{}: {}", step.status.as_str(), step.error.clone().unwrap_or_default())
        }
        Some(_) => {
            format!("{}: {}{time}", step.status.as_str(), step.error.clone().unwrap_or_default())
        }
    };
    let allowed = if step.failure_allowed { " (allowed)" } else { "" };
    (of_command_line(&format!("{text}{allowed}")), colour(step))
}

fn colour(step: &StepView) -> Colour {
    match step.status {
        StepStatus::Completed => Colour::Green,
        StepStatus::Running => Colour::Cyan,
        StepStatus::Waiting | StepStatus::Queued => Colour::None,
        StepStatus::Cancelled | StepStatus::Skipped => Colour::Yellow,
        _ if step.failure_allowed => Colour::Yellow,
        _ => Colour::Red,
    }
}

/// Returns the steps as a table.
pub(super) fn steps_table(plan: &PlanView) -> String {
    let row = |step: &StepView| {
        let code = match step.ending {
            Some(Ending::Exited { code }) => code.to_string(),
            _ => String::new(),
        };
        let kept = if step.kept { ", kept" } else { "" };
        let allowed = if step.failure_allowed { ", allowed" } else { "" };
        let id = step.execution.map(|id| id.to_string()[..8].to_string());
        vec![
            Cell::plain(terminal_text::one_line(&name_of(step))),
            Cell { text: format!("{}{allowed}{kept}", step.status.as_str()), colour: colour(step) },
            Cell::plain(code),
            Cell::plain(step.duration_ms.map(short).unwrap_or_default()),
            Cell::plain(id.unwrap_or_default()),
            Cell::plain(terminal_text::one_line(&step.command_line)),
        ]
    };
    let rows: Vec<_> = plan.steps.iter().map(row).collect();
    let head = ["STEP", "STATUS", "CODE", "TIME", "ID", "COMMAND"];
    table(&head, &rows, data::width(), data::has_colours())
}

/// Returns how many steps are where, in words.
pub(super) fn counts(counts: &StepCounts) -> String {
    let parts = [
        (counts.running, "running"),
        (counts.waiting, "waiting"),
        (counts.completed, "completed"),
        (counts.failed - counts.allowed_failures, "failed"),
        (counts.allowed_failures, "failed as allowed"),
        (counts.skipped, "skipped"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    let steps = if counts.total == 1 { "step" } else { "steps" };
    format!("{} {steps}: {}", counts.total, parts.join(", "))
}

/// Whether what is left of a plan can be run later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanResume {
    Yes,
    No,
}

/// Says how a plan has ended, and what can be done about it.
pub(super) fn summary(plan: &PlanView, can_resume: CanResume) {
    let why = plan.error.as_ref().map(|why| format!(" ({})", of_command_line(why)));
    let ended = format!(
        "plan {}{}; {}; {}",
        plan.status,
        why.unwrap_or_default(),
        counts(&plan.counts),
        short(plan.duration_ms)
    );
    match plan.status {
        ExecutionStatus::Completed => message::note(ended),
        _ => message::print(ended),
    }
    let has_failed = |step: &&StepView| {
        let is_failure =
            matches!(step.status, StepStatus::Failed | StepStatus::Timeout | StepStatus::Lost);
        is_failure && !step.failure_allowed && step.execution.is_some()
    };
    for step in plan.steps.iter().filter(has_failed).take(5) {
        let id = step.execution.map(|id| id.to_string()[..8].to_string()).unwrap_or_default();
        message::note(format!("output of {}: exeng logs {id}", name_of(step)));
    }
    if plan.status != ExecutionStatus::Completed && can_resume == CanResume::Yes {
        message::note(format!(
            "run what is left of it, as it was submitted: exeng plan resume {}",
            &plan.id.to_string()[..8]
        ));
    }
}

/// Returns the code to exit with for a plan that has ended: that of the step that failed first.
pub(super) fn code(plan: &PlanView) -> u8 {
    match &plan.ending {
        Some(PlanEnding::Completed) => 0,
        Some(PlanEnding::Failed { step }) => {
            let ending = plan.steps.get(step.index).and_then(|step| step.ending.as_ref());
            // A failure is never a success, whatever becomes of its record.
            ending.map_or(exit_code::OURS, |ending| exit_code::of_end(ending, None)).max(1)
        }
        Some(PlanEnding::Cancelled) => exit_code::CANCELLED,
        Some(PlanEnding::DeadlineReached { .. }) => exit_code::TIMEOUT,
        _ => exit_code::OURS,
    }
}
