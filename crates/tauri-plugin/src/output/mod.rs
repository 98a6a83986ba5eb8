//! Output by lines, and searches in it: for a view that shows a part of the output and fetches more as
//! its user scrolls, so that no page has to hold all of it.
//!
//! The engine reads by bytes ([`read_output`](execution_engine::ExecutionEngine::read_output)). A
//! [`LineIndex`] per execution remembers where some of the lines begin, so that a range far inside is
//! found without reading all before it. It holds no output, and continues where it stopped.

mod cache;
mod frame;
mod index;
mod lines;
mod place;
mod search;
mod styles;
#[cfg(test)]
mod tests;

pub(crate) use cache::IndexCache;
pub(crate) use frame::page_frame;
pub(crate) use index::LineIndex;
pub(crate) use lines::{LinesQuery, read_lines};
pub(crate) use place::EnginePages;
#[cfg(test)]
pub(crate) use search::{OutputMatch, SearchDirection, SearchFrom};
pub(crate) use search::{OutputMatches, SearchQuery, search};
