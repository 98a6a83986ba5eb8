//! Groups of executions.

use serde::{Deserialize, Deserializer, Serialize};

/// A group of executions: those that name it in their [options](execution_engine::ExecutionOptions::group).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// How many of its executions run at a time; None is as many as the service runs.
    pub max_running: Option<u32>,
    /// `true` if it starts nothing.
    pub paused: bool,
    /// `true` if a client has set it. Others are known only while they have executions that wait or run.
    pub set: bool,
    /// Number of its executions that wait, whatever for.
    pub waiting: usize,
    /// Number of its executions that run.
    pub running: usize,
}

/// All groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupList {
    /// By their names.
    pub groups: Vec<GroupView>,
}

/// What to change of a group. What is None, or left out in JSON, stays as it is.
///
/// ```
/// use execution_engine_server::GroupChange;
///
/// let change: GroupChange = serde_json::from_str(r#"{"max_running": null}"#).unwrap();
/// assert_eq!(change, GroupChange { max_running: Some(None), paused: None });
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupChange {
    /// How many of its executions run at a time, at least 1. `Some(None)`, or null in JSON, is no limit.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_running: Option<Option<u32>>,
    /// Whether it starts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// Reads a value that is given, also if it is null.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Why an execution that could start otherwise waits for its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupWait {
    /// As many of the group run as may.
    Full,
    /// The group is paused.
    Paused,
}
