//! `exeng ls`, `show` and `wait` of a fleet.

use chrono::Utc;
use execution_engine::{BackendExecution, ExecutionResult, Uuid};
use serde_json::{Map, Value, json};

use super::output::tell;
use super::{Remote, output, refuse};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::option_names::of_command_line;
use crate::run::report::report;
use crate::service::ls::{LsOptions, colour};
use crate::service::selection::Conditions;
use crate::service::show::ShowOptions;
use crate::service::table::{Cell, table};
use crate::service::times::{ago, local, short};
use crate::service::wait::WaitOptions;
use crate::terminal_text::one_line;
use crate::{data, exit_code, message};

/// Lists executions, newest first.
pub(super) async fn ls(global: &GlobalOptions, options: &LsOptions) -> Result<u8, Failure> {
    check(&options.conditions)?;
    let remote = Remote::connect(global).await?;
    let mut found = remote.list().await?;
    found.retain(|execution| meets(&options.conditions, execution));
    found.sort_by_key(|execution| std::cmp::Reverse(execution.accepted_at));
    let most = if options.all { usize::MAX } else { options.limit };
    let has_more = found.len() > most;
    found.truncate(most);
    if options.json {
        found.iter().try_for_each(|execution| data::json(&view(execution)))?;
    } else {
        print_table(&found)?;
    }
    if has_more {
        message::note("there are more; use --limit N or --all");
    }
    Ok(0)
}

/// Prints a table of executions.
pub(super) fn print_table(found: &[BackendExecution]) -> Result<(), Failure> {
    let now = Utc::now();
    let rows: Vec<_> = found.iter().map(|execution| row(execution, now)).collect();
    if !rows.is_empty() || data::is_for_people() {
        let head = ["ID", "STATUS", "AGE", "WORKER", "TAGS", "COMMAND"];
        data::bytes(table(&head, &rows, data::width(), data::has_colours()).as_bytes())?;
    }
    Ok(())
}

/// Refuses conditions about what a fleet has not.
fn check(conditions: &Conditions) -> Result<(), Failure> {
    refuse(&[
        (conditions.group.is_some(), "--group"),
        (conditions.plan.is_some(), "--plan"),
        (conditions.schedule.is_some(), "--schedule"),
    ])
}

fn meets(conditions: &Conditions, execution: &BackendExecution) -> bool {
    let metadata = &execution.metadata;
    let has_label = |(name, value): &(String, String)| metadata.labels.get(name) == Some(value);
    (conditions.status.is_empty() || conditions.status.contains(&execution.status))
        && conditions.tags.iter().all(|tag| metadata.tags.contains(tag))
        && conditions.labels.iter().all(has_label)
        && conditions.since.is_none_or(|since| execution.accepted_at >= since)
        && conditions.until.is_none_or(|until| execution.accepted_at < until)
        && conditions.search.as_ref().is_none_or(|text| execution.command.contains(text))
}

fn row(execution: &BackendExecution, now: chrono::DateTime<Utc>) -> Vec<Cell> {
    let id = execution.id.to_string();
    vec![
        Cell::plain(&id[..8]),
        Cell { text: execution.status.to_string(), colour: colour(execution.status) },
        Cell::plain(ago(execution.accepted_at, now)),
        Cell::plain(execution.place.as_ref().map_or("", |place| &*place.worker)),
        Cell::plain(one_line(&execution.metadata.tags.join(","))),
        Cell::plain(one_line(&execution.command)),
    ]
}

/// Returns what is known of an execution, with the names that the service has for it.
pub(super) fn view(execution: &BackendExecution) -> Map<String, Value> {
    let metadata = &execution.metadata;
    let view = json!({
        "id": execution.id, "status": execution.status, "command_line": execution.command,
        "created_at": execution.accepted_at, "tags": metadata.tags, "labels": metadata.labels,
        "description": metadata.description, "place": execution.place,
        "started_at": execution.started_at,
    });
    match view {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Returns what is known of an execution that has ended.
fn ended_view(execution: &BackendExecution, result: &ExecutionResult) -> Map<String, Value> {
    let mut fields = view(execution);
    if let Value::Object(of_result) = report(result, bytes_of(result)) {
        fields.extend(of_result);
    }
    if result.place.is_none() {
        fields.insert("started_at".into(), Value::Null);
    }
    fields
}

fn bytes_of(result: &ExecutionResult) -> crate::run::relay::Bytes {
    crate::run::relay::Bytes {
        stdout: result.stdout_stats.seen_bytes,
        stderr: result.stderr_stats.seen_bytes,
    }
}

/// Shows an execution.
pub(super) async fn show(global: &GlobalOptions, options: &ShowOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let id = remote.id(&options.id).await?;
    let execution = known(&remote, id).await?;
    if remote.client.describe(id).await.is_ok_and(|it| it.plan.is_some()) {
        return Err(Failure::new(format!("{id} is a plan; see exeng plan show, logs and wait")));
    }
    let result = match execution.status.is_terminal() {
        true => Some(output::result(&remote, id).await?),
        false => None,
    };
    if options.json {
        data::json(&match &result {
            Some(result) => ended_view(&execution, result),
            None => view(&execution),
        })?;
        return Ok(0);
    }
    data::bytes(lines(&execution, result.as_ref()).as_bytes())?;
    Ok(0)
}

/// Returns what is shown of an execution.
fn lines(execution: &BackendExecution, result: Option<&ExecutionResult>) -> String {
    let place = result.and_then(|result| result.place.as_ref()).or(execution.place.as_ref());
    // Without a place it was never started.
    let ran = result.filter(|result| result.place.is_some());
    let started = ran.map(|result| result.started_at).or(execution.started_at);
    let lines = [
        ("id", Some(execution.id.to_string())),
        ("command", Some(execution.command.clone())),
        ("status", Some(execution.status.to_string())),
        ("ending", result.map(|result| of_command_line(&result.ending.to_string()))),
        ("accepted", Some(local(execution.accepted_at))),
        ("started", started.map(local)),
        ("ended", result.map(|result| local(result.completed_at))),
        ("ran for", ran.and_then(|it| Some(short(u64::try_from(it.duration.as_millis()).ok()?)))),
        ("worker", place.map(|place| place.worker.clone())),
        ("attempt", place.map(|place| place.attempt.to_string())),
        ("fence", place.map(|place| place.fence.to_string())),
        ("tags", Some(execution.metadata.tags.join(", ")).filter(|tags| !tags.is_empty())),
    ];
    let known = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| format!("{name:<12} {}\n", one_line(&value))).collect()
}

pub(super) async fn known(remote: &Remote, id: Uuid) -> Result<BackendExecution, Failure> {
    remote.list_one(id).await?.ok_or_else(|| {
        Failure::new(format!(
            "no execution {id} is known to the fleet; its id may be wrong, or its records have passed their age"
        ))
    })
}

/// Waits for executions, and returns the code of the first that is not 0.
pub(super) async fn wait(global: &GlobalOptions, options: &WaitOptions) -> Result<u8, Failure> {
    options.which.check()?;
    check(&options.which.conditions)?;
    let remote = Remote::connect(global).await?;
    let mut ids = Vec::new();
    for name in &options.which.ids {
        ids.push(remote.id(name).await?);
    }
    if ids.is_empty() {
        let found = remote.list().await?.into_iter();
        ids.extend(found.filter(|it| meets(&options.which.conditions, it)).map(|it| it.id));
    }
    let all = async {
        let mut first = 0;
        for id in ids {
            let ended = output::result(&remote, id).await?;
            if options.json {
                data::json(&ended_view(&known(&remote, id).await?, &ended))?;
            }
            tell(&ended);
            if first == 0 {
                first = exit_code::of_end(&ended.ending, ended.signal);
            }
        }
        Ok(first)
    };
    match options.timeout {
        None => all.await,
        Some(time) => match tokio::time::timeout(time, all).await {
            Ok(code) => code,
            Err(_) => {
                message::print("not all of them have ended in this time; they go on");
                Ok(exit_code::TIMEOUT)
            }
        },
    }
}
