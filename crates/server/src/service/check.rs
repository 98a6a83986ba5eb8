//! Which requests are accepted. Pure.
//!
//! A request runs in a keeper, whose directory and streams are no client's: what would depend on them
//! is refused here, with the fix, and not found out at the start.

use std::path::Path;

use execution_engine::{Command, ExecutionOptions, ExecutionRequest, OutputMode, StdinSource};
use uuid::Uuid;

use crate::error::ServiceError;
use crate::view::{NewExecution, NewSchedule};

/// Longest idempotency key.
const MAX_KEY_BYTES: usize = 255;
/// Most tags, labels and predecessors of one execution.
const MAX_WORDS: usize = 1000;
/// Longest tag, name of a group, and name or value of a label.
const MAX_WORD_BYTES: usize = 4096;

/// Checks a request.
///
/// # Errors
/// The first field that is not valid, and what to write instead.
pub(crate) fn new_execution(new: &NewExecution) -> Result<(), ServiceError> {
    paths(&new.request, &new.options)?;
    streams(&new.options)?;
    runs_here(&new.options)?;
    command(&new.request.command)?;
    umask(new.inherited_umask)?;
    metadata(&new.request)?;
    if let Some(name) = &new.options.group {
        group("options.group", name)?;
    }
    predecessors("after", &new.after, new.request.id)?;
    predecessors("after_ended", &new.after_ended, new.request.id)
}

/// Checks the executions that one must follow.
fn predecessors(field: &str, others: &[Uuid], id: Uuid) -> Result<(), ServiceError> {
    if others.contains(&id) {
        let text = format!("execution {id} is told to follow itself");
        return Err(ServiceError::invalid(field, text).fix("name other executions"));
    }
    if others.len() > MAX_WORDS {
        let text =
            format!("{field} names {} executions, and {MAX_WORDS} are allowed", others.len());
        return Err(
            ServiceError::invalid(field, text).fix("let one execution follow the others first")
        );
    }
    Ok(())
}

/// Longest name of a schedule.
const MAX_NAME_BYTES: usize = 100;

/// Checks a schedule, but for its expression.
///
/// # Errors
/// The first field that is not valid, and what to write instead.
pub(crate) fn new_schedule(new: &NewSchedule) -> Result<(), ServiceError> {
    let execution = &new.execution;
    let follows = !execution.after.is_empty() || !execution.after_ended.is_empty();
    if follows || execution.start_at.is_some() {
        let field = if follows { "execution.after" } else { "execution.start_at" };
        let text = "a run of a schedule follows its moment, and nothing else";
        return Err(ServiceError::invalid(field, text).fix("leave it out"));
    }
    new_execution(execution)?;
    let Some(name) = &new.name else { return Ok(()) };
    let is_plain = name.trim() == name && !name.contains(char::is_control);
    // What begins with @ is a name of this program's own.
    let is_taken = name.starts_with('@') || Uuid::try_parse(name).is_ok();
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !is_plain || is_taken {
        let text = format!(
            "the name {name:?} is empty, too long, an id, begins with @, or has blanks around it"
        );
        return Err(ServiceError::invalid("name", text)
            .fix(format!("give a word of at most {MAX_NAME_BYTES} bytes")));
    }
    Ok(())
}

/// Checks an idempotency key.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn key(key: Option<&str>) -> Result<(), ServiceError> {
    let Some(key) = key else { return Ok(()) };
    let why = if key.is_empty() {
        "the idempotency key is empty".to_string()
    } else if key.len() > MAX_KEY_BYTES {
        format!("the idempotency key has {} bytes, and {MAX_KEY_BYTES} are allowed", key.len())
    } else {
        return Ok(());
    };
    Err(ServiceError::invalid("key", why).fix("choose a short name that is unique to this work"))
}

/// Checks the name of a group.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn group(field: &str, name: &str) -> Result<(), ServiceError> {
    let why = if name.trim().is_empty() {
        "the name of the group is empty".to_string()
    } else if name.len() > MAX_WORD_BYTES {
        format!("the name of the group has {} bytes, and {MAX_WORD_BYTES} are allowed", name.len())
    } else {
        return Ok(());
    };
    Err(ServiceError::invalid(field, why).fix("choose a short name"))
}

fn paths(request: &ExecutionRequest, options: &ExecutionOptions) -> Result<(), ServiceError> {
    absolute("request.working_dir", request.working_dir.as_deref())?;
    absolute("request.output_log_path", request.output_log_path.as_deref())?;
    match &options.stdin {
        StdinSource::File { path } => absolute("options.stdin.path", Some(path)),
        _ => Ok(()),
    }
}

fn absolute(field: &str, path: Option<&Path>) -> Result<(), ServiceError> {
    match path {
        Some(path) if !path.is_absolute() => {
            let text =
                format!("{field} {} is relative, and the service has no directory", path.display());
            Err(ServiceError::invalid(field, text).fix("write the path from / on"))
        }
        _ => Ok(()),
    }
}

fn streams(options: &ExecutionOptions) -> Result<(), ServiceError> {
    match options.stdin {
        StdinSource::Inherit => {
            return Err(ServiceError::invalid(
                "options.stdin",
                "a program of the service can inherit no stdin",
            )
            .fix("use null, bytes, a file, or piped"));
        }
        StdinSource::Piped if options.retry.is_some() => {
            return Err(ServiceError::invalid(
                "options.retry",
                "input that is written while it runs cannot be given twice",
            )
            .fix("leave retry out, or use bytes or a file as stdin"));
        }
        _ => {}
    }
    match options.output {
        OutputMode::Separate | OutputMode::Merged => Ok(()),
        _ => Err(ServiceError::invalid(
            "options.output",
            "a program of the service can inherit no stream",
        )
        .fix("use separate or merged")),
    }
}

/// Refuses what only an engine with a backend can do, as the keeper would at the start.
fn runs_here(options: &ExecutionOptions) -> Result<(), ServiceError> {
    let field = if options.requires.is_some() {
        "options.requires"
    } else if options.max_attempts.is_some_and(|attempts| attempts > 1) {
        "options.max_attempts"
    } else if options.start_by_ms.is_some() {
        "options.start_by_ms"
    } else if !options.inputs.is_empty() {
        "options.inputs"
    } else if !options.collect.is_empty() {
        "options.collect"
    } else {
        return Ok(());
    };
    let text = "the programs of the service run on this machine, and are started by it alone";
    Err(ServiceError::invalid(field, text).fix("leave it out"))
}

fn command(command: &Command) -> Result<(), ServiceError> {
    let (field, is_empty) = match command {
        Command::Exec { program, .. } => ("request.command.program", program.is_empty()),
        Command::ExecOs { program, .. } => {
            ("request.command.program", program.as_os_str().is_empty())
        }
        Command::Script { path, .. } | Command::ScriptWithArgs { path, .. } => {
            ("request.command.path", path.as_os_str().is_empty())
        }
        _ => return Ok(()),
    };
    match is_empty {
        true => {
            Err(ServiceError::invalid(field, format!("{field} is empty")).fix("name a program"))
        }
        false => Ok(()),
    }
}

fn umask(umask: Option<u32>) -> Result<(), ServiceError> {
    match umask {
        Some(mask @ 0o1000..) => {
            let text = format!("inherited_umask is {mask}, and a umask has nine bits");
            Err(ServiceError::invalid("inherited_umask", text).fix("write at most 511 (0o777)"))
        }
        _ => Ok(()),
    }
}

fn metadata(request: &ExecutionRequest) -> Result<(), ServiceError> {
    let (tags, labels) = (&request.metadata.tags, &request.metadata.labels);
    for (field, number) in
        [("request.metadata.tags", tags.len()), ("request.metadata.labels", labels.len())]
    {
        if number > MAX_WORDS {
            let text = format!("{field} has {number} entries, and {MAX_WORDS} are allowed");
            return Err(ServiceError::invalid(field, text).fix("leave some out"));
        }
    }
    let words = tags.iter().map(|tag| ("request.metadata.tags", tag));
    let pairs = labels.iter().flat_map(|(name, value)| [name, value]);
    for (field, word) in words.chain(pairs.map(|word| ("request.metadata.labels", word))) {
        if word.len() > MAX_WORD_BYTES {
            let text = format!(
                "{field} has a text of {} bytes, and {MAX_WORD_BYTES} are allowed",
                word.len()
            );
            return Err(ServiceError::invalid(field, text).fix("shorten it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use execution_engine::Requires;

    use super::*;

    fn field_of(change: impl FnOnce(&mut NewExecution)) -> Option<String> {
        let mut new = NewExecution::new(ExecutionRequest::program("true").working_dir("/"));
        change(&mut new);
        new_execution(&new).err().map(|error| {
            assert!(error.fix.is_some(), "{error:?}");
            error.field.unwrap()
        })
    }

    #[test]
    fn each_error_names_its_field() {
        assert_eq!(field_of(|_| {}), None);
        let of = |change: fn(&mut NewExecution)| field_of(change).unwrap();
        assert_eq!(of(|new| new.request.working_dir = Some("x".into())), "request.working_dir");
        assert_eq!(
            of(|new| new.request.output_log_path = Some("x".into())),
            "request.output_log_path"
        );
        assert_eq!(of(|new| new.options.stdin = StdinSource::file("x")), "options.stdin.path");
        assert_eq!(of(|new| new.options.stdin = StdinSource::Inherit), "options.stdin");
        assert_eq!(field_of(|new| new.options.stdin = StdinSource::Piped), None);
        let again = |new: &mut NewExecution| {
            new.options.stdin = StdinSource::Piped;
            new.options.retry = Some(execution_engine::RetryPolicy::new(2));
        };
        assert_eq!(of(again), "options.retry");
        assert_eq!(of(|new| new.options.output = OutputMode::Inherit), "options.output");
        assert_eq!(of(|new| new.options.output = OutputMode::InheritStderr), "options.output");
        assert_eq!(of(|new| new.options.requires = Some(Requires::default())), "options.requires");
        assert_eq!(field_of(|new| new.options.max_attempts = Some(1)), None);
        assert_eq!(of(|new| new.options.max_attempts = Some(2)), "options.max_attempts");
        assert_eq!(of(|new| new.options.start_by_ms = Some(1)), "options.start_by_ms");
        assert_eq!(of(|new| new.options.collect.push("out".into())), "options.collect");
        let input = |new: &mut NewExecution| {
            let digest = execution_engine::ContentDigest { sha256: [0; 32], size: 0 };
            new.options = new.options.clone().input("in", digest);
        };
        assert_eq!(of(input), "options.inputs");
        assert_eq!(
            of(|new| new.request.command = ExecutionRequest::program("").command),
            "request.command.program"
        );
        assert_eq!(of(|new| new.inherited_umask = Some(0o1000)), "inherited_umask");
        assert_eq!(of(|new| new.after = vec![new.request.id]), "after");
        assert_eq!(
            of(|new| new.request.metadata.tags = vec![String::new(); 1001]),
            "request.metadata.tags"
        );
        let long = |new: &mut NewExecution| {
            new.request.metadata.labels.insert("name".to_string(), "x".repeat(4097));
        };
        assert_eq!(of(long), "request.metadata.labels");
        assert_eq!(of(|new| new.options.group = Some(" ".to_string())), "options.group");
        assert_eq!(of(|new| new.options.group = Some("g".repeat(4097))), "options.group");
    }

    #[test]
    fn a_key_is_short_and_not_empty() {
        assert!(key(None).is_ok() && key(Some("nightly-7")).is_ok());
        assert_eq!(key(Some("")).unwrap_err().field.as_deref(), Some("key"));
        assert_eq!(key(Some(&"x".repeat(256))).unwrap_err().field.as_deref(), Some("key"));
    }
}
