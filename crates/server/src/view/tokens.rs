//! Tokens of clients that call over the network.

use std::fmt;

use chrono::{DateTime, Utc};
use execution_engine_store::TokenScope;
use serde::{Deserialize, Serialize};

/// A token to make.
///
/// ```
/// use execution_engine_server::{NewToken, TokenScope};
///
/// let new: NewToken = serde_json::from_str(r#"{"name": "ci", "scope": "run"}"#).unwrap();
/// assert_eq!((new.scope, new.expires_at), (TokenScope::Run, None));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, which no other has: letters, digits, and `.`, `_`, `@`, `-` behind the first.
    pub name: String,
    /// What it allows.
    pub scope: TokenScope,
    /// From when on it is refused; None is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token as it is shown, without the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenView {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused; None is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// `true` if that moment has come.
    pub expired: bool,
}

/// A token that was made. It is shown here and never again. `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreatedToken {
    /// The token.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: TokenView,
}

impl fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedToken").field("view", &self.view).finish_non_exhaustive()
    }
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// By their names.
    pub tokens: Vec<TokenView>,
}
