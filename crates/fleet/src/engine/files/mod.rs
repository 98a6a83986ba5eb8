//! Files of executions: stored by their content, placed before a start, collected after it.
//!
//! | module | content |
//! |---|---|
//! | `content` | reads and writes content, and compares its digest |
//! | `open` | opens files that were found |
//! | `place` | places files, whatever is put in their way |
//! | `pattern` | which files patterns name |
//! | `workspace` | the directory of a start |

mod content;
mod open;
mod pattern;
mod place;
mod workspace;

pub(super) use content::{read, store};
pub(super) use workspace::Workspace;
