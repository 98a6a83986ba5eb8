//! What the service is told. The `Debug` output shows neither values of variables nor bytes of input.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use execution_engine::{ExecutionOptions, ExecutionRequest, OsText};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An execution to accept.
///
/// The program has the environment that the request brings and nothing of the service's. The `Debug` output
/// shows names of variables and no values.
///
/// ```
/// use execution_engine_server::NewExecution;
///
/// let new: NewExecution = serde_json::from_str(
///     r#"{"request": {"command": {"type": "shell", "command": "make"}, "working_dir": "/srv"}}"#,
/// ).unwrap();
/// assert!(new.after.is_empty() && !new.pinned);
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewExecution {
    /// What to run. Its id is that of the execution.
    pub request: ExecutionRequest,
    /// Settings beyond the request.
    #[serde(default)]
    pub options: ExecutionOptions,
    /// Executions that must have succeeded first. If one of them ends in another way, this one ends
    /// without a start, and its ending names that one. It makes no difference whether they have
    /// ended already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Uuid>,
    /// Executions that must have ended first, however: by a failure, or without a start, too. It makes no difference
    /// whether they have ended already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_ended: Vec<Uuid>,
    /// The moment before which it does not start, by the clock of the service. One that has passed makes
    /// no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<DateTime<Utc>>,
    /// Keeps it from being removed by retention.
    #[serde(default)]
    pub pinned: bool,
    /// Variables that just happen to be set where it is submitted. The program has them unless request
    /// or options set or remove them. They are no part of what must be the same when a key or an id
    /// comes again: a shell changes some with each line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inherited_env: BTreeMap<OsText, OsText>,
    /// Umask where it is submitted. The program has it unless the limits in the options have one; as little as
    /// `inherited_env` it is part of what must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_umask: Option<u32>,
}

impl NewExecution {
    /// Creates one with the default options.
    pub fn new(request: ExecutionRequest) -> Self {
        Self {
            request,
            options: ExecutionOptions::default(),
            after: Vec::new(),
            after_ended: Vec::new(),
            start_at: None,
            pinned: false,
            inherited_env: BTreeMap::new(),
            inherited_umask: None,
        }
    }
}

impl fmt::Debug for NewExecution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewExecution")
            .field("request", &self.request)
            .field("options", &self.options)
            .field("after", &self.after)
            .field("after_ended", &self.after_ended)
            .field("start_at", &self.start_at)
            .field("pinned", &self.pinned)
            .field("inherited_env (names)", &self.inherited_env.keys().collect::<Vec<_>>())
            .field("inherited_umask", &self.inherited_umask)
            .finish()
    }
}

/// What an execution needs to [run again](crate::Service::rerun). The `Debug` output shows names of variables and no
/// values.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rerun {
    /// Id of the new execution; None is a new one. The same id again is the same execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Variables to set: those that it was asked to have, whose values are not kept, and others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<OsText, OsText>,
    /// As in [`NewExecution::inherited_env`]; not used if it inherited none the first time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inherited_env: BTreeMap<OsText, OsText>,
}

impl fmt::Debug for Rerun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rerun")
            .field("id", &self.id)
            .field("env (names)", &self.env.keys().collect::<Vec<_>>())
            .field("inherited_env (names)", &self.inherited_env.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Something to write to the standard input of a program. The `Debug` output shows no byte of it.
#[derive(Clone)]
pub struct NewInput {
    /// The client that writes it, by a name of its own choice: what comes again from the same writer at the same place
    /// is not written twice.
    pub writer: String,
    /// Place of the first byte in the whole input; None is behind what is there, also if others write meanwhile.
    pub offset: Option<u64>,
    /// The bytes.
    pub bytes: Bytes,
    /// Whether the input is closed behind it.
    pub eof: bool,
}

impl fmt::Debug for NewInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewInput")
            .field("writer", &self.writer)
            .field("offset", &self.offset)
            .field("bytes (number)", &self.bytes.len())
            .field("eof", &self.eof)
            .finish()
    }
}
