//! Tokens with which clients call the service over the network. Only their digests are stored.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::store::Store;
use crate::time::of_us;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenScope {
    /// To look at executions and their output.
    Read,
    /// To submit and control executions, and to look.
    Run,
    /// Everything that HTTP offers, tokens included.
    Admin,
    /// To speak MCP, and nothing else.
    Mcp,
}

impl TokenScope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Run, Self::Admin, Self::Mcp];

    /// Returns its name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Admin => "admin",
            Self::Mcp => "mcp",
        }
    }

    /// Returns `true` if it allows what `needed` allows: `admin` includes all, and `run` includes `read`.
    ///
    /// ```
    /// use execution_engine_store::TokenScope::{Admin, Mcp, Read, Run};
    ///
    /// assert!(Admin.includes(Run) && Admin.includes(Mcp) && Run.includes(Read) && Mcp.includes(Mcp));
    /// assert!(!Read.includes(Run) && !Run.includes(Admin) && !Run.includes(Mcp) && !Mcp.includes(Read));
    /// ```
    pub fn includes(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Run => matches!(needed, Self::Run | Self::Read),
            Self::Read | Self::Mcp => self == needed,
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TokenScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no scope; write read, run, admin or mcp"))
    }
}

/// A token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Its name, which no other has.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// What it allows.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused; None is never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Returns all tokens, by their names.
    ///
    /// # Errors
    ///
    /// [`Database`](crate::StoreError::Database).
    pub async fn tokens(&self) -> Result<Vec<StoredToken>> {
        self.read(|connection| {
            let query =
                "SELECT name, digest, scope, created_at, expires_at FROM tokens ORDER BY name";
            let mut query = connection.prepare_cached(query)?;
            let mut rows = query.query([])?;
            let mut tokens = Vec::new();
            while let Some(row) = rows.next()? {
                tokens.push(of_row(row)?);
            }
            Ok(tokens)
        })
        .await
    }

    /// Stores a token. Returns `false`, and changes nothing, if another one has its name. When this returns, it is on
    /// the disk. Times are kept to the microsecond.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be stored all the same.
    pub async fn create_token(&self, token: StoredToken) -> Result<bool> {
        self.write("create_token", token.name.len() + 256, move |tx| {
            let insert =
                "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING";
            let stored = tx.connection.prepare_cached(insert)?.execute(params![
                token.name,
                token.digest,
                token.scope.as_str(),
                token.created_at.timestamp_micros(),
                token.expires_at.map(|at| at.timestamp_micros()),
            ])?;
            Ok(stored > 0)
        })
        .await
    }

    /// Removes a token. Returns `false` if there is none of this name. When this returns, that is on the disk.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::StoreError::Full) and [`ReadOnly`](crate::StoreError::ReadOnly): nothing was changed.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it may be removed all the same.
    pub async fn remove_token(&self, name: &str) -> Result<bool> {
        let name = name.to_string();
        self.write("remove_token", 256, move |tx| {
            let delete = "DELETE FROM tokens WHERE name = ?1";
            Ok(tx.connection.prepare_cached(delete)?.execute([&name])? > 0)
        })
        .await
    }
}

fn of_row(row: &Row<'_>) -> Result<StoredToken> {
    let scope: String = row.get(2)?;
    Ok(StoredToken {
        name: row.get(0)?,
        digest: row.get(1)?,
        scope: scope.parse().map_err(|reason| StoreError::Database { reason })?,
        created_at: of_us(row.get(3)?),
        expires_at: row.get::<_, Option<i64>>(4)?.map(of_us),
    })
}
