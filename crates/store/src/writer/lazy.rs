//! Writes that no caller waits for. They ride on the next commit, and are kept until one succeeds.

use uuid::Uuid;

use super::WriteTx;
use crate::error::Result;

/// A write that no caller waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LazyWrite {
    /// The program was started at this time.
    Started { id: Uuid, at_us: i64 },
    /// The keeper has the environment.
    EraseSealed { id: Uuid },
    /// Files that were removed.
    Removed { paths: Vec<String> },
}

impl LazyWrite {
    pub(super) fn apply(&self, tx: &mut WriteTx<'_>) -> Result<()> {
        match self {
            Self::Started { id, at_us } => tx.started(*id, *at_us),
            Self::EraseSealed { id } => match tx.find(*id)? {
                Some(row) => tx.erase_sealed(row.seq),
                None => Ok(()),
            },
            Self::Removed { paths } => {
                let mut delete =
                    tx.connection.prepare_cached("DELETE FROM unowned_files WHERE path = ?1")?;
                for path in paths {
                    delete.execute([path])?;
                }
                Ok(())
            }
        }
    }
}
