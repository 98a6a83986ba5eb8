//! Searching the whole output of an execution.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::place::{Pages, Piece, Place, WalkEnd, walk};
use super::styles::sequence_end;
use crate::error::Error;

/// Most matches that one call returns.
const MAX_MATCHES: usize = 10_000;
/// Longest line that is searched in one piece, in bytes.
const LONGEST_LINE: usize = 1024 * 1024;
/// Longest time of a search. The output that is kept takes some milliseconds per megabyte.
const LONGEST_SEARCH: Duration = Duration::from_secs(5);
/// Longest text that is looked through for one match, in bytes. The time is checked between two
/// matches, and an expression may have to look at all of the text for each.
const WINDOW: usize = 16 * 1024;
/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4 * 1024;
/// Longest match that is found as a whole wherever it begins, in bytes.
const LONGEST_MATCH: usize = MAX_PATTERN_BYTES;
/// Memory that a pattern may need when compiled, in bytes.
const MAX_PATTERN_SIZE: usize = 1024 * 1024;

/// What to search for, and from where. The text is searched as it is shown: line by line, without
/// escape sequences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SearchQuery {
    pub(crate) pattern: String,
    /// The pattern is a regular expression. Default: a text.
    pub(crate) regex: bool,
    /// Default: letters match in both cases.
    pub(crate) case_sensitive: bool,
    /// Default: the beginning, or the end for a search backward.
    pub(crate) from: Option<SearchFrom>,
    pub(crate) direction: SearchDirection,
    /// Default: 1.
    pub(crate) max_matches: u32,
}

impl Default for SearchQuery {
    fn default() -> Self {
        Self {
            pattern: String::new(),
            regex: false,
            case_sensitive: false,
            from: None,
            direction: SearchDirection::default(),
            max_matches: 1,
        }
    }
}

/// A place from which a search starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SearchFrom {
    /// Number of the line, from 0.
    pub(crate) line: u64,
    /// UTF-16 units of the line before it, as in a string of JavaScript.
    pub(crate) column: u64,
}

/// Direction of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SearchDirection {
    /// The first matches at or behind the place.
    #[default]
    Forward,
    /// The last matches before the place.
    Backward,
}

/// What a search has found.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputMatches {
    /// In the order of the output. If there are none in this direction, those from the other end.
    pub(crate) matches: Vec<OutputMatch>,
    /// How many matches there are before the first of these.
    pub(crate) index: u64,
    /// How many matches there are in all.
    pub(crate) total: u64,
    /// The time was over before all of the output was searched. `total` counts the matches so far,
    /// and `matches` has none from the other end.
    pub(crate) incomplete: bool,
}

/// A match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputMatch {
    /// Number of its line, from 0.
    pub(crate) line: u64,
    /// UTF-16 units of the line before it, and of itself.
    pub(crate) column: u64,
    pub(crate) length: u64,
}

/// Searches the output that is kept, for some seconds at most. The time is linear in the length of
/// the output, unless an expression looks far ahead and then matches little: then it is the product
/// of the number of matches and of what is looked at for one.
pub(crate) fn search(pages: &impl Pages, query: &SearchQuery) -> Result<OutputMatches, Error> {
    let end = Instant::now() + LONGEST_SEARCH;
    search_until(pages, query, || Instant::now() >= end)
}

/// Searches the output that is kept, until the time is over.
pub(super) fn search_until(
    pages: &impl Pages,
    query: &SearchQuery,
    mut is_over: impl FnMut() -> bool,
) -> Result<OutputMatches, Error> {
    let pattern = pattern(query)?;
    let mut found = Found::new(query);
    let (mut line, mut number) = (Vec::new(), 0);
    let mut place = Place::default();
    let walked = walk(pages, &mut place, |at, piece, _| {
        if at.column == 0 || line.len() > LONGEST_LINE {
            found.search(&pattern, number, &line, &mut is_over)?;
            line.clear();
            number = at.line;
        }
        if let Piece::Text { bytes, .. } = piece {
            line.extend_from_slice(bytes);
        }
        ControlFlow::Continue(())
    })?;
    found.incomplete = walked == WalkEnd::Stopped
        || found.search(&pattern, number, &line, &mut is_over).is_break();
    Ok(found.finish())
}

fn pattern(query: &SearchQuery) -> Result<Regex, Error> {
    let length = query.pattern.len();
    if length > MAX_PATTERN_BYTES {
        let reason = format!(
            "query.pattern has {length} bytes, and at most {MAX_PATTERN_BYTES} are allowed; shorten it"
        );
        return Err(Error::InvalidPattern { reason });
    }
    let escaped;
    let pattern = if query.regex {
        &query.pattern
    } else {
        escaped = regex::escape(&query.pattern);
        &escaped
    };
    RegexBuilder::new(pattern)
        .case_insensitive(!query.case_sensitive)
        .size_limit(MAX_PATTERN_SIZE)
        .build()
        .map_err(|error| Error::InvalidPattern { reason: error.to_string() })
}

/// The matches so far.
struct Found {
    direction: SearchDirection,
    from: Option<SearchFrom>,
    most: usize,
    total: u64,
    /// The first of all, or the last of all for a search backward: the answer if there is none in the
    /// direction.
    others: VecDeque<OutputMatch>,
    matches: VecDeque<OutputMatch>,
    /// Number of matches before the place.
    before: u64,
    incomplete: bool,
}

impl Found {
    fn new(query: &SearchQuery) -> Self {
        Self {
            direction: query.direction,
            from: query.from,
            most: usize::try_from(query.max_matches).unwrap_or(MAX_MATCHES).clamp(1, MAX_MATCHES),
            total: 0,
            others: VecDeque::new(),
            matches: VecDeque::new(),
            before: 0,
            incomplete: false,
        }
    }

    /// Searches a line; breaks when the time is over.
    fn search(
        &mut self,
        pattern: &Regex,
        line: u64,
        bytes: &[u8],
        is_over: &mut impl FnMut() -> bool,
    ) -> ControlFlow<()> {
        let shown = shown(bytes);
        let (mut passed, mut column) = (0, 0);
        let mut windows = Windows { pattern, text: &shown, at: 0 };
        loop {
            if is_over() {
                return ControlFlow::Break(());
            }
            let Some(found) = windows.next() else { return ControlFlow::Continue(()) };
            if found.is_empty() {
                continue;
            }
            column += utf16_length(&shown[passed..found.start]);
            passed = found.start;
            self.add(OutputMatch { line, column, length: utf16_length(&shown[found]) });
        }
    }

    fn add(&mut self, found: OutputMatch) {
        let OutputMatch { line, column, .. } = found;
        let is_before = self.from.is_some_and(|from| SearchFrom { line, column } < from);
        self.total += 1;
        self.before += u64::from(is_before);
        let is_wanted = match self.direction {
            SearchDirection::Forward => !is_before,
            SearchDirection::Backward => is_before || self.from.is_none(),
        };
        self.keep(&found, is_wanted);
    }

    /// Keeps a match for the answer, if it is one of those.
    fn keep(&mut self, found: &OutputMatch, is_wanted: bool) {
        let Self { direction, most, others, matches, .. } = self;
        for list in [Some(others), is_wanted.then_some(matches)].into_iter().flatten() {
            match direction {
                SearchDirection::Forward if list.len() == *most => continue,
                SearchDirection::Forward => {}
                SearchDirection::Backward if list.len() == *most => drop(list.pop_front()),
                SearchDirection::Backward => {}
            }
            list.push_back(found.clone());
        }
    }

    fn finish(self) -> OutputMatches {
        let Self { direction, from, total, others, matches, before, incomplete, .. } = self;
        // The rest of the output may have some in this direction.
        let others = if incomplete { VecDeque::new() } else { others };
        let last = if from.is_some() { before } else { total };
        let (matches, index) = match direction {
            SearchDirection::Forward if matches.is_empty() => (others, 0),
            SearchDirection::Forward => (matches, before),
            SearchDirection::Backward if matches.is_empty() => {
                let index = total - others.len() as u64;
                (others, index)
            }
            SearchDirection::Backward => {
                let index = last - matches.len() as u64;
                (matches, index)
            }
        };
        OutputMatches { matches: matches.into(), index, total, incomplete }
    }
}

/// Searches a text in windows that overlap.
struct Windows<'a> {
    pattern: &'a Regex,
    text: &'a str,
    /// Up to here the text was searched.
    at: usize,
}

impl Windows<'_> {
    /// Looks through one window. Returns the match that begins first in it, or an empty range if
    /// there is none, and None at the end of the text.
    fn next(&mut self) -> Option<Range<usize>> {
        if self.at >= self.text.len() {
            return None;
        }
        let end = self.text.floor_char_boundary(self.at + WINDOW);
        // A match that begins behind this is searched for again, with more of what follows it.
        let last = if end == self.text.len() { end } else { end - LONGEST_MATCH };
        let found = self.pattern.find_at(&self.text[..end], self.at);
        Some(match found.map(|found| found.range()).filter(|found| found.start < last) {
            Some(found) if found.is_empty() => {
                self.at = self.text.ceil_char_boundary(found.end + 1);
                found
            }
            Some(found) => {
                self.at = found.end;
                found
            }
            None => {
                self.at = self.text.floor_char_boundary(last);
                self.at..self.at
            }
        })
    }
}

fn utf16_length(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}

/// Returns a line as a terminal shows it: without escape sequences, and what was written over it
/// last.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = &line[memchr::memrchr(b'\r', line).map_or(0, |at| at + 1)..];
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        text.extend_from_slice(&rest[..at]);
        let end = sequence_end(&rest[at..]).unwrap_or(rest.len() - at);
        rest = &rest[at + end..];
    }
    text.extend_from_slice(rest);
    match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}
