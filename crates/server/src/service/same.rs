//! What makes two requests the same, when a key or an id comes again. Pure.

use execution_engine::StdinSource;
use execution_engine_store::{NewExecution as Row, StoredExecution};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{ErrorCode, ServiceError};
use crate::view::NewExecution;

/// Largest request in its JSON form. A keeper takes calls of at most 16 MiB.
const MAX_BODY_BYTES: usize = 12 << 20;

/// Returns what of a request must be the same when its key or its id comes again. An id is no part of
/// it: a client that leaves it out gets another one each time. Neither is what is only inherited, nor the moment at
/// which it starts.
///
/// # Errors
/// The request is too large, or has no JSON form.
pub(super) fn body(new: &NewExecution) -> Result<Vec<u8>, ServiceError> {
    let invalid = |error: serde_json::Error| {
        ServiceError::invalid("request", format!("the request has no JSON form: {error}"))
            .fix("use names of variables that are UTF-8")
    };
    // The map of a value is sorted, that of a request is not.
    let mut value = serde_json::to_value(new).map_err(invalid)?;
    let mut bytes = 0;
    if let Some(body) = value.as_object_mut() {
        // `--at 2h` is another moment each time.
        body.remove("start_at");
        if let Some(inherited) = body.remove("inherited_env") {
            bytes += serde_json::to_vec(&inherited).map_err(invalid)?.len();
        }
        body.remove("inherited_umask");
        if let Some(Value::Object(request)) = body.get_mut("request") {
            request.remove("id");
        }
    }
    let body = serde_json::to_vec(&value).map_err(invalid)?;
    bytes += body.len();
    if bytes > MAX_BODY_BYTES {
        let text = format!("the request has {bytes} bytes, and {MAX_BODY_BYTES} are allowed");
        return Err(ServiceError::invalid("request", text).fix("put large input into a file"));
    }
    Ok(body)
}

/// Returns the fields in which a request is not what was stored. Empty if only values of variables or
/// input can be it, which are not kept, or a umask: it is not kept whether that was inherited.
fn differences(stored: &StoredExecution, new: &Row) -> Vec<String> {
    let mut fields = different("request.", &stored.request, &new.request, &["id", "env"]);
    let has_bytes =
        stored.stdin_bytes.is_some() || matches!(new.options.stdin, StdinSource::Bytes { .. });
    let hidden: &[&str] = if has_bytes { &["env", "stdin"] } else { &["env"] };
    let mut options = new.options.clone();
    options.limits.umask = stored.options.limits.umask;
    fields.extend(different("options.", &stored.options, &options, hidden));
    if stored.after != new.after {
        fields.push("after".to_string());
    }
    if stored.after_ended != new.after_ended {
        fields.push("after_ended".to_string());
    }
    fields
}

/// Returns the names of fields that two values do not have in common.
fn different<T: Serialize>(prefix: &str, one: &T, other: &T, but: &[&str]) -> Vec<String> {
    let fields = |value: &T| match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (one, other) = (fields(one), fields(other));
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    let differs =
        |name: &&String| !but.contains(&name.as_str()) && one.get(*name) != other.get(*name);
    names.into_iter().filter(differs).map(|name| format!("{prefix}{name}")).collect()
}

/// What of a request belongs to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reused {
    Key,
    /// The id, with the field that has it.
    Id(&'static str),
}

/// Returns the refusal of a key or an id that belongs to another request: that of `other`. What is known of how the two
/// differ follows.
pub(super) fn reused(reused: Reused, other: &str, difference: &str) -> ServiceError {
    let (code, what, field) = match reused {
        Reused::Key => (ErrorCode::KeyReused, "the idempotency key", "key"),
        Reused::Id(field) => (ErrorCode::IdReused, "the id", field),
    };
    let text = format!("{what} belongs to {other}, which is not the same request{difference}");
    ServiceError::new(code, text)
        .field(field)
        .fix("use another one, or send what was sent the first time")
}

/// Returns in words in which fields a request differs from a stored one.
pub(super) fn difference(stored: &StoredExecution, new: &Row) -> String {
    let fields = differences(stored, new);
    match fields.is_empty() {
        true => ": a variable that was asked for, the umask, or the input differs".to_string(),
        false => format!(": it differs in {}", fields.join(", ")),
    }
}
