//! Reason why an entry of a capability file is invalid.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reason why a rule is invalid.
///
/// ```
/// use tauri_plugin_execution_engine_rules::Rule;
///
/// let rule = Rule { name: "log".into(), program: Some("./git".into()), ..Rule::default() };
/// let invalid = rule.validate().unwrap_err();
/// assert_eq!((invalid.rule.as_deref(), invalid.field.as_str()), (Some("log"), "program"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {reason}", described(.rule.as_deref()))]
#[non_exhaustive]
pub struct InvalidRule {
    /// Name of the rule, if it has one.
    pub rule: Option<String>,
    /// Path of the field, for instance `args[1].regex`; `.` is the rule as a whole.
    pub field: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

fn described(rule: Option<&str>) -> String {
    rule.map_or_else(|| "a rule without a name".to_string(), |name| format!("rule `{name}`"))
}

impl InvalidRule {
    /// Creates the reason for a field of a rule.
    pub fn new(
        rule: impl Into<String>,
        field: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { rule: Some(rule.into()), field: field.into(), reason: reason.into() }
    }
}

/// Reads an entry; the error names the rule and the field.
pub(crate) fn read<T: DeserializeOwned>(entry: Value) -> Result<T, InvalidRule> {
    let rule = entry.get("name").and_then(Value::as_str).map(str::to_string);
    serde_path_to_error::deserialize(entry).map_err(|error| InvalidRule {
        rule,
        field: error.path().to_string(),
        reason: error.inner().to_string(),
    })
}
