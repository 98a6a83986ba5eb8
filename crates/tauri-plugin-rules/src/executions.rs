//! Which executions and plans a window may see and control.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::InvalidRule;
use crate::invalid::read;

/// Entry of a permission that reads or controls, such as `execution-engine:read` and
/// `execution-engine:control`: `{ "executions": "all" }`.
///
/// A window always has its own. An entry under `allow` adds others, one under `deny` takes away, and
/// wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutionsRule {
    /// Whose executions and plans: `own` (the default), `all`, or `window:NAME`.
    pub executions: Executions,
}

/// Whose executions and plans.
///
/// In JSON: `"own"`, `"all"`, `"window:NAME"`.
///
/// ```
/// use tauri_plugin_execution_engine_rules::Executions;
///
/// let of_window: Executions = "window:build".parse().unwrap();
/// assert_eq!(of_window, Executions::Window("build".into()));
/// assert!("everything".parse::<Executions>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Executions {
    /// What the window has started itself, or was given by the app.
    Own,
    /// What a window with this label has started or was given.
    Window(String),
    /// Those of all windows, and of the app's own Rust code.
    All,
}

/// Error for a text that is no [`Executions`].
const EXPECTED: &str = "must be `own`, `all` or `window:NAME`";

impl std::str::FromStr for Executions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("window:")) {
            ("own", _) => Ok(Self::Own),
            ("all", _) => Ok(Self::All),
            (_, Some(label)) if !label.trim().is_empty() => Ok(Self::Window(label.to_string())),
            _ => Err(EXPECTED.to_string()),
        }
    }
}

impl TryFrom<String> for Executions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Executions> for String {
    fn from(executions: Executions) -> Self {
        executions.to_string()
    }
}

/// `own`, `all`, or `window:NAME`.
impl fmt::Display for Executions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.pad("own"),
            Self::All => f.pad("all"),
            Self::Window(label) => write!(f, "window:{label}"),
        }
    }
}

impl JsonSchema for Executions {
    fn schema_name() -> String {
        "Executions".to_string()
    }

    fn json_schema(generator: &mut schemars::r#gen::SchemaGenerator) -> schemars::schema::Schema {
        let mut schema = String::json_schema(generator).into_object();
        schema.string().pattern = Some("^(own|all|window:.+)$".to_string());
        schema.into()
    }
}

impl ExecutionsRule {
    /// Reads an entry of a capability file.
    ///
    /// # Errors
    /// [`InvalidRule`] names the field.
    pub fn read(entry: Value) -> Result<Self, InvalidRule> {
        if let Some(name) = entry.get("name").and_then(Value::as_str) {
            let reason = "this permission starts nothing: move the rule to \
                          `execution-engine:launch`, and say here whose executions, for instance \
                          { \"executions\": \"all\" }";
            return Err(InvalidRule::new(name, "name", reason));
        }
        read(entry)
    }
}
