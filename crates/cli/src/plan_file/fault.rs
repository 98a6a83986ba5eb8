//! Mistakes in a plan file: where each stands, what is wrong, and how it is mended. None of them shows a
//! value, which may be a secret of an environment.

use std::fmt::Write as _;

use execution_engine::PlanStep;
use serde::Serialize;

/// Mistake by its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset of the first byte that it is about.
    pub(super) at: usize,
    /// The step by its index in the file.
    pub(super) step: Option<usize>,
    /// The field within the step or the plan, `options.retry`; empty if it is about the whole.
    pub(super) field: String,
    /// What is wrong, and the fix.
    pub(super) text: String,
}

impl Fault {
    /// Creates one that is about no step.
    pub(super) fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, step: None, field: String::new(), text: text.into() }
    }
}

/// Mistake for people and programs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mistake {
    /// Counted from 1.
    pub(crate) line: usize,
    /// In characters, counted from 1.
    pub(crate) column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<PlanStep>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) field: String,
    pub(crate) message: String,
}

/// All mistakes of a file, at least one.
#[derive(Debug)]
pub(crate) struct Mistakes {
    /// The file, as it was given.
    pub(crate) file: String,
    pub(crate) list: Vec<Mistake>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// Mistakes that are told; more are counted. To find the line of each takes a pass over the file.
const MOST_TOLD: usize = 50;

impl Mistakes {
    /// Finds the lines of faults, in the order of the file, each once.
    pub(super) fn new(
        file: &str,
        text: &str,
        mut faults: Vec<Fault>,
        name: impl Fn(usize) -> Option<String>,
    ) -> Self {
        faults.sort_by_key(|fault| fault.at);
        // A step with a matrix has the same mistake in each combination.
        let mut once: Vec<Fault> = Vec::with_capacity(faults.len());
        for fault in faults {
            if !once.iter().rev().take_while(|it| it.at == fault.at).any(|it| *it == fault) {
                once.push(fault);
            }
        }
        let mistake = |Fault { at, step, field, text: message }| {
            let (line, column) = place(text, at);
            let step = step.map(|index| PlanStep { index, name: name(index) });
            Mistake { line, column, step, field, message }
        };
        let more = once.len().saturating_sub(MOST_TOLD);
        once.truncate(MOST_TOLD);
        Self { file: file.to_string(), list: once.into_iter().map(mistake).collect(), more }
    }

    /// Returns them as text, a line for each.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (index, mistake) in self.list.iter().enumerate() {
            let Mistake { line, column, step, field, message } = mistake;
            // Writing to a string cannot fail.
            let _ok = write!(text, "{}{}:{line}:{column}: ", newline(index), self.file);
            if let Some(step) = step {
                let _ok = write!(text, "{step}: ");
            }
            if !field.is_empty() {
                let _ok = write!(text, "{field}: ");
            }
            text.push_str(message);
        }
        if self.more > 0 {
            let _ok = write!(text, "\n{}: {} more mistakes", self.file, self.more);
        }
        text
    }
}

fn newline(index: usize) -> &'static str {
    if index == 0 { "" } else { "\n" }
}

/// Returns line and column of a byte, both counted from 1. A place beyond the end is the end.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() + 1;
    (line, column)
}

/// Mistakes after which none is compared any more with what may be meant.
pub(super) const MOST_SUGGESTIONS: usize = 100;

/// Returns `did you mean ..?` if a name is close to one of these, else nothing.
pub(super) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, known).map(|nearest| format!("did you mean `{nearest}`?"))
}

/// Returns the one of these names that another is a slip of, if any.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // As many letters as a slip takes: a third of the longer one, at most three.
    let most = |known: &str| (known.len().max(name.len()) / 3).clamp(1, 3);
    // What is much longer is no slip, and to compare it would take long.
    let known = known.into_iter().filter(|known| {
        name.len() <= LONGEST_COMPARED && known.len().abs_diff(name.len()) <= most(known) * 4
    });
    let distance = |known: &str| strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase());
    let close = known.map(|known| (distance(known), known));
    close.filter(|(distance, known)| *distance <= most(known)).min().map(|(_, nearest)| nearest)
}

/// Bytes of a name that is compared with others.
const LONGEST_COMPARED: usize = 200;

/// Returns names for a list in an error, cut if there are many.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 30;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(MOST);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Returns the lines of places, in one pass.
pub(super) fn lines(text: &str, places: &[usize]) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at);
    let ends: Vec<usize> = ends.collect();
    places.iter().map(|at| ends.partition_point(|end| end < at) + 1).collect()
}
