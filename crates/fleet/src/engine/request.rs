//! From a request of the engine to a ticket, and back.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use execution_engine::{
    Command, ExecutionError, ExecutionOptions, ExecutionRequest, OsText, StdinSource,
    ValidationError,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::place::Requires;
use crate::pool::Pool;
use crate::record::Ticket;
use crate::seal::{Opener, SealError, SealedFor, SealedPart, seal};
use crate::wire::MAX_TEXT_BYTES;

/// Largest input in a ticket, in bytes. Larger ones are written while the program runs.
pub(crate) const MAX_STDIN_BYTES: usize = 512 * 1024;

/// What servers, disks and other tenants never have of a request, if its pool has a sealing key.
#[derive(Default, Serialize, Deserialize)]
struct Secrets {
    request_env: HashMap<String, String>,
    options_env: BTreeMap<OsText, OsText>,
    stdin: StdinSource,
}

/// Why a request is no ticket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TicketError {
    #[error(transparent)]
    Field(#[from] ValidationError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the request has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<TicketError> for ExecutionError {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Field(field) => field.into(),
            other => Self::backend(other.to_string()),
        }
    }
}

fn refused(field: &'static str, what: &str) -> ValidationError {
    ValidationError::invalid_option(field, what)
}

/// Checks that a request means the same on another machine.
pub(super) fn check(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
) -> Result<(), ValidationError> {
    if request.working_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
        return Err(refused(
            "working_dir",
            "is relative, and a worker has another current directory; use an absolute path",
        ));
    }
    if is_relative(&request.command) {
        return Err(refused(
            "command",
            "is a relative path, and a worker has another current directory; use an absolute path, a name that is looked up, or \
             a shell line (sh -c ./script) for a file among its inputs",
        ));
    }
    if request.output_log_path.is_some() {
        return Err(refused(
            "output_log_path",
            "would be a file of the worker; leave it out and read the output here",
        ));
    }
    if options.group.is_some() {
        return Err(refused(
            "group",
            "is of one engine; use a pool or a tenant with its own limit",
        ));
    }
    if options.retry.is_some() {
        return Err(refused(
            "retry",
            "is for one machine; use max_attempts, or retry in the program",
        ));
    }
    match &options.stdin {
        StdinSource::File { .. } => Err(refused(
            "stdin",
            "is a file of this machine; pass its bytes, or write it while the program runs",
        )),
        StdinSource::Bytes { data } if data.len() > MAX_STDIN_BYTES => {
            Err(refused("stdin", "has more than 512 KiB; write it while the program runs (piped)"))
        }
        _ => Ok(()),
    }
}

/// Returns `true` for a program or script at a path that depends on the current directory.
fn is_relative(command: &Command) -> bool {
    let is_relative = |path: &Path| !path.is_absolute() && path.components().count() > 1;
    match command {
        Command::Script { path, .. } | Command::ScriptWithArgs { path, .. } => !path.is_absolute(),
        Command::Exec { program, .. } => is_relative(Path::new(program)),
        Command::ExecOs { program, .. } => is_relative(Path::new(program)),
        _ => false,
    }
}

/// Returns what a request requires of a worker.
pub(crate) fn requires(options: &ExecutionOptions) -> Requires {
    let of = options.requires.clone().unwrap_or_default();
    Requires {
        pool: of.pool,
        labels: of.labels,
        cpu_milli: of.cpu_milli,
        memory_bytes: of.memory_bytes,
        resources: of.resources,
    }
}

/// Returns the priority of the queue: 0 is first.
pub(super) fn queue_priority(options: &ExecutionOptions) -> u8 {
    match options.priority {
        1.. => 0,
        0 => 1,
        ..0 => 2,
    }
}

/// Returns the ticket of a request for a pool.
pub(super) fn ticket(
    tenant: &str,
    pool: &Pool,
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    now_ms: u64,
) -> Result<Ticket, TicketError> {
    let asked = asked(request, options, !pool.sealing.is_empty())?;
    let (mut request, mut options) = (request.clone(), options.clone());
    let requires = requires(&options);
    let max_attempts = options.max_attempts.take().unwrap_or(1);
    let start_by_ms = options.start_by_ms.take().map(|longest| now_ms.saturating_add(longest));
    options.requires = None;
    let mut sealed = None;
    if !pool.sealing.is_empty() {
        let is_piped = matches!(options.stdin, StdinSource::Piped | StdinSource::Null);
        let secrets = Secrets {
            request_env: std::mem::take(&mut request.env),
            options_env: std::mem::take(&mut options.env.set),
            stdin: if is_piped { StdinSource::Null } else { std::mem::take(&mut options.stdin) },
        };
        let of = SealedFor { tenant, id: request.id, part: SealedPart::Ticket };
        let bytes = Zeroizing::new(serde_json::to_vec(&secrets)?);
        sealed = Some(seal(pool, of, &bytes)?);
    }
    Ok(Ticket {
        id: request.id,
        tenant: tenant.to_owned(),
        command: short(&request.command.to_string()),
        request: serde_json::to_value(&request)?,
        options: serde_json::to_value(&options)?,
        requires,
        max_attempts,
        start_by_ms,
        submitted_at_ms: now_ms,
        sealed,
        plan: None,
        asked: Some(asked),
    })
}

/// Returns the SHA-256 of what makes two requests the same: all but the id. What is sealed counts by its names
/// alone: a digest would let others try values.
fn asked(
    request: &ExecutionRequest,
    options: &ExecutionOptions,
    is_sealed: bool,
) -> Result<Bytes, TicketError> {
    let (mut request, mut options) = (request.clone(), options.clone());
    request.id = Uuid::nil();
    if is_sealed {
        request.env.values_mut().for_each(String::clear);
        clear_values(&mut options);
    }
    digest_of((request, options))
}

/// Returns the SHA-256 of a value in its serde form.
pub(crate) fn digest_of(value: impl Serialize) -> Result<Bytes, TicketError> {
    // The map of a value is sorted, that of a request is not.
    let value = serde_json::to_value(value)?;
    Ok(Bytes::copy_from_slice(&Sha256::digest(value.to_string())))
}

/// Clears the values in options that are sealed.
pub(crate) fn clear_values(options: &mut ExecutionOptions) {
    options.env.set.values_mut().for_each(|value| *value = OsText::default());
    if matches!(options.stdin, StdinSource::Bytes { .. }) {
        options.stdin = StdinSource::Null;
    }
}

/// Returns the first part of a text that fits a record.
pub(crate) fn short(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES.min(text.len()));
    text[..end].to_owned()
}

/// Returns the request of a ticket, with what was sealed.
pub(super) fn open(
    ticket: Ticket,
    opener: &Opener,
) -> Result<(ExecutionRequest, ExecutionOptions), TicketError> {
    let mut request: ExecutionRequest = serde_json::from_value(ticket.request)?;
    let mut options: ExecutionOptions = serde_json::from_value(ticket.options)?;
    if let Some(sealed) = &ticket.sealed {
        let of = SealedFor { tenant: &ticket.tenant, id: ticket.id, part: SealedPart::Ticket };
        let secrets: Secrets = serde_json::from_slice(&opener.open(of, sealed)?)?;
        request.env.extend(secrets.request_env);
        options.env.set.extend(secrets.options_env);
        if !matches!(secrets.stdin, StdinSource::Null) {
            options.stdin = secrets.stdin;
        }
    }
    Ok((request, options))
}

/// Returns the bytes of a piece of input.
pub(crate) fn open_input(
    opener: &Opener,
    tenant: &str,
    id: Uuid,
    input: crate::record::Input,
) -> Result<Bytes, SealError> {
    let Some(key_id) = input.key_id else { return Ok(input.bytes) };
    let of = SealedFor { tenant, id, part: SealedPart::Input { from: input.from } };
    let sealed = crate::record::Sealed { key_id, bytes: input.bytes };
    Ok(Bytes::from(opener.open(of, &sealed)?.to_vec()))
}
