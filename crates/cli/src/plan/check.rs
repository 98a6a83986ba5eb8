//! `exeng plan check`: what plans would run, or their mistakes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use execution_engine::StepOptions;
use serde_json::{Value, json};

use super::order::{order, waits_for};
use crate::failure::Failure;
use crate::plan_file::{self, Format, PlanFile, Unusable};
use crate::{data, exit_code, message, terminal_text};

/// Options of `plan check`.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Files with plans; - reads stdin
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Format of the files, if their names do not say it
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Print a line of JSON for each file: its steps, or its mistakes
    #[arg(long)]
    json: bool,
}

/// Checks all files, and returns the code to exit with.
pub(super) fn run(options: &CheckOptions) -> ExitCode {
    let mut is_valid = true;
    for file in &options.files {
        match check(file, options) {
            Ok(valid) => is_valid &= valid,
            Err(failure) => return failure.report(),
        }
    }
    if is_valid { ExitCode::SUCCESS } else { ExitCode::from(exit_code::OURS) }
}

/// Says what one file has. Returns `false` if it is no valid plan.
fn check(file: &Path, options: &CheckOptions) -> Result<bool, Failure> {
    let shown = match file.as_os_str() == "-" {
        true => "stdin".to_string(),
        false => file.display().to_string(),
    };
    match plan_file::load(file, options.format) {
        Ok(plan) if options.json => data::json(&as_json(&shown, &plan)).map(|()| true),
        Ok(plan) => data::bytes(as_text(&shown, &plan).as_bytes()).map(|()| true),
        Err(Unusable::Invalid(mistakes)) if options.json => {
            let more = mistakes.more;
            data::json(&json!({
                "file": shown, "valid": false, "mistakes": mistakes.list, "more_mistakes": more,
            }))?;
            Ok(false)
        }
        Err(unusable) => {
            message::print(Failure::from(unusable));
            Ok(false)
        }
    }
}

/// Characters of a command that are shown.
const LONGEST_COMMAND: usize = 60;

fn as_text(file: &str, plan: &PlanFile) -> String {
    let waits = waits_for(&plan.spec);
    let steps = match waits.len() {
        1 => "1 step".to_string(),
        count => format!("{count} steps, in this order"),
    };
    let mut text = format!("{}: {steps}\n", terminal_text::one_line(file));
    let names: Vec<String> = (0..waits.len()).map(|index| plan.name(index)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
    for index in order(&waits) {
        let command = plan.spec.plan.commands[index].command.to_string();
        let mut line = format!("  {:width$}  {}", names[index], shortened(&command));
        for note in notes(plan.spec.options.steps.get(index), &waits[index], &names) {
            line.push_str("  ");
            line.push_str(&note);
        }
        text.push_str(&terminal_text::one_line(&line));
        text.push('\n');
    }
    text
}

fn shortened(command: &str) -> String {
    let line = command.lines().next().unwrap_or_default();
    let shown: String = line.chars().take(LONGEST_COMMAND).collect();
    if shown.len() < command.trim_end().len() { format!("{shown}..") } else { shown }
}

/// Returns what decides when a step runs.
fn notes(step: Option<&StepOptions>, waits: &[usize], names: &[String]) -> Vec<String> {
    const SHOWN: usize = 4;
    let mut notes = Vec::new();
    if !waits.is_empty() {
        let mut on: Vec<&str> = waits.iter().take(SHOWN).map(|index| &*names[*index]).collect();
        let more = format!("{} more", waits.len().saturating_sub(SHOWN));
        if waits.len() > SHOWN {
            on.push(&more);
        }
        notes.push(format!("after {}", on.join(", ")));
    }
    let Some(step) = step else { return notes };
    notes.extend(step.only_if.iter().map(|condition| format!("if {condition}")));
    notes.extend(step.allow_failure.then(|| "may fail".to_string()));
    notes.extend(step.always.then(|| "always".to_string()));
    notes
}

fn as_json(file: &str, plan: &PlanFile) -> Value {
    let waits = waits_for(&plan.spec);
    let step = |index: usize| {
        let options = plan.spec.options.steps.get(index);
        let after: Vec<String> = waits[index].iter().map(|before| plan.name(*before)).collect();
        json!({
            "index": index,
            "name": options.and_then(|step| step.name.as_deref()),
            "line": plan.lines[index],
            "command": plan.spec.plan.commands[index].command.to_string(),
            "after": after,
            "only_if": options.map_or(&[][..], |step| &step.only_if),
            "allow_failure": options.is_some_and(|step| step.allow_failure),
            "always": options.is_some_and(|step| step.always),
        })
    };
    let steps: Vec<Value> = order(&waits).into_iter().map(step).collect();
    json!({
        "file": file,
        "valid": true,
        "description": plan.spec.plan.description,
        "count": steps.len(),
        "steps": steps,
    })
}
