//! Schedules for people.

use chrono::{DateTime, Utc};
use execution_engine_server::{Counted, MissedPolicy, OverlapPolicy, ScheduleView};

use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::service::table::{Cell, Colour, table};
use crate::service::times::{ago, local, short};
use crate::{data, terminal_text};

/// Prints schedules as a table.
pub(super) fn print_table(schedules: &[ScheduleView]) -> Result<(), Failure> {
    let now = Utc::now();
    let rows: Vec<_> = schedules.iter().map(|schedule| row(schedule, now)).collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["ID", "NAME", "EVERY", "NEXT", "LAST", "RUNS", "LEFT OUT", "COMMAND"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(())
}

fn row(schedule: &ScheduleView, now: DateTime<Utc>) -> Vec<Cell> {
    let left_out = schedule.overlaps.count + schedule.misses.count;
    let last = schedule.last_run_at.map(|at| ago(at, now));
    vec![
        Cell::plain(&schedule.id.to_string()[..8]),
        Cell::plain(terminal_text::one_line(schedule.name.as_deref().unwrap_or_default())),
        Cell::plain(terminal_text::one_line(&schedule.every)),
        next(schedule, now),
        Cell::plain(last.unwrap_or_default()),
        Cell::plain(schedule.runs.to_string()),
        Cell::plain(if left_out > 0 { left_out.to_string() } else { String::new() }),
        Cell::plain(terminal_text::one_line(&schedule.command_line)),
    ]
}

fn next(schedule: &ScheduleView, now: DateTime<Utc>) -> Cell {
    let (text, colour) = match schedule.next_at {
        _ if schedule.paused => ("paused".to_string(), Colour::Yellow),
        None => ("never".to_string(), Colour::Yellow),
        Some(_) if fails(schedule) => ("fails".to_string(), Colour::Red),
        Some(at) => {
            let millis = u64::try_from((at - now).num_milliseconds()).unwrap_or(0);
            (format!("in {}", short(millis)), Colour::None)
        }
    };
    Cell { text, colour }
}

/// Returns `true` if the time that is next has failed.
fn fails(schedule: &ScheduleView) -> bool {
    let failed = schedule.last_error.as_ref().map(|error| error.at);
    failed.is_some() && failed >= schedule.next_at
}

/// Returns the text about a schedule: a line for each thing that is known.
pub(super) fn page(schedule: &ScheduleView) -> String {
    let labels = schedule.labels.iter().map(|(name, value)| format!("{name}={value}"));
    let last_run = schedule.last_run.zip(schedule.last_run_at);
    let error = schedule.last_error.as_ref();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let next = match schedule.next_at {
        _ if schedule.paused => "paused; exeng schedule resume lets it go on".to_string(),
        None => "never: no time follows".to_string(),
        Some(at) => local(at),
    };
    let lines = [
        ("id", Some(schedule.id.to_string())),
        ("name", schedule.name.clone()),
        ("command", Some(schedule.command_line.clone())),
        ("every", Some(format!("{} ({})", schedule.every, schedule.time_zone))),
        ("next", Some(next)),
        ("missed", Some(missed(schedule.missed).to_string())),
        ("overlap", Some(overlap(schedule.overlap).to_string())),
        ("runs", Some(schedule.runs.to_string())),
        ("last run", last_run.map(|(id, at)| format!("{id}, at {}", local(at)))),
        ("left out", counted(schedule.overlaps, "an earlier run had not ended")),
        ("not run for", counted(schedule.misses, "they were missed")),
        (
            "last error",
            error.map(|it| format!("{}, at {}", of_command_line(&it.error), local(it.at))),
        ),
        ("directory", schedule.working_dir.as_ref().map(|dir| dir.display().to_string())),
        ("timeout", schedule.timeout_ms.map(short)),
        ("variables", some(schedule.env_names.join(", "))),
        ("tags", some(schedule.tags.join(", "))),
        ("labels", some(labels.collect::<Vec<_>>().join(", "))),
        ("group", schedule.group.clone()),
        ("priority", Some(schedule.priority.to_string()).filter(|_| schedule.priority != 0)),
        ("made", Some(local(schedule.created_at))),
    ];
    let known = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| format!("{name:<12} {}\n", terminal_text::one_line(&value))).collect()
}

fn missed(policy: MissedPolicy) -> &'static str {
    match policy {
        MissedPolicy::RunOnce => "run-once: one run stands for all times that were missed",
        MissedPolicy::Skip => "skip: times that were missed are not run for",
        MissedPolicy::RunAll => {
            "run-all: each time that was missed has its run, up to the last 100"
        }
    }
}

fn overlap(policy: OverlapPolicy) -> &'static str {
    match policy {
        OverlapPolicy::Skip => "skip: left out while an earlier run waits or runs",
        OverlapPolicy::Queue => "queue: waits for the end of the earlier run",
        OverlapPolicy::Allow => "allow: runs beside the earlier run",
    }
}

fn counted(times: Counted, why: &str) -> Option<String> {
    let last = times.last_at.map(|at| format!(", last at {}", local(at)));
    let of = if times.count == 1 { "time" } else { "times" };
    (times.count > 0).then(|| format!("{} {of}: {why}{}", times.count, last.unwrap_or_default()))
}
