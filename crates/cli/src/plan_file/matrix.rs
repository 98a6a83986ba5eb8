//! The matrix of a step: its axes, and the combinations of their values that become steps.

use std::collections::HashSet;

use super::fault::{Fault, did_you_mean, listed};
use super::node::{Entry, Node};

/// Steps that a file may become.
pub(super) const MOST_STEPS: usize = 10_000;
/// Bytes of a value, which is copied into every place that names it.
const LONGEST_VALUE: usize = 4096;

/// One value for each axis, in the order of the axes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Combination(pub(super) Vec<(String, String)>);

impl Combination {
    /// Returns the values as a name of a step shows them: `(3.12, linux)`.
    pub(super) fn label(&self) -> String {
        let values: Vec<&str> = self.0.iter().map(|(_, value)| &**value).collect();
        format!("({})", values.join(", "))
    }

    pub(super) fn value(&self, axis: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == axis).map(|(_, value)| &**value)
    }

    /// Returns the values as environment variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().map(|(axis, value)| (variable(axis), &**value))
    }
}

/// Returns the environment variable with the value of an axis.
pub(super) fn variable(axis: &str) -> String {
    format!("MATRIX_{}", axis.to_ascii_uppercase())
}

/// Returns the combinations of a matrix that has the form of one.
///
/// # Errors
/// What is wrong with it.
pub(super) fn combinations(matrix: &Node) -> Result<Vec<Combination>, Vec<Fault>> {
    let mut reader = MatrixReader::default();
    reader.read_axes(matrix);
    let include = reader.rows(matrix.entry("include"));
    let exclude = reader.rows(matrix.entry("exclude"));
    if reader.axes.is_empty()
        && let Some((_, first)) = include.first()
    {
        reader.axes = first.iter().map(|(axis, _)| (axis.clone(), Vec::new())).collect();
    }
    let mut all = reader.product(matrix.at);
    reader.exclude(&exclude, &mut all);
    reader.include(&include, &mut all);
    if all.is_empty() && reader.faults.is_empty() {
        reader.fault(matrix.at, "no combination is left; add a value, or exclude fewer");
    }
    if reader.faults.is_empty() { Ok(all) } else { Err(reader.faults) }
}

/// Table of `include` or `exclude`, with its place.
type Row = (usize, Vec<(String, String)>);

#[derive(Default)]
struct MatrixReader {
    axes: Vec<(String, Vec<String>)>,
    faults: Vec<Fault>,
}

impl MatrixReader {
    fn fault(&mut self, at: usize, text: impl Into<String>) {
        self.faults.push(Fault::new(at, text));
    }

    fn read_axes(&mut self, matrix: &Node) {
        let is_axis = |entry: &&Entry| entry.key != "include" && entry.key != "exclude";
        for Entry { key, at, node } in matrix.entries().iter().filter(is_axis) {
            self.check_name(key, *at);
            let mut values: Vec<String> = Vec::new();
            let mut seen = HashSet::new();
            for item in node.items() {
                match item.as_text() {
                    None => {
                        self.fault(item.at, format!("the values of {key} are texts; write one"));
                    }
                    Some(text) if !seen.insert(text) => {
                        self.fault(item.at, format!("{key} has this value twice; remove one"));
                    }
                    Some(text) => {
                        self.check_value(text, item.at);
                        values.push(text.to_string());
                    }
                }
            }
            self.axes.push((key.clone(), values));
        }
    }

    fn check_name(&mut self, axis: &str, at: usize) {
        let is_start = axis.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_start || !axis.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let text = "an axis has a name of letters, digits and `_`, because it becomes a variable; \
                        rename it";
            self.fault(at, text);
        }
        if self.axes.iter().any(|(other, _)| other.eq_ignore_ascii_case(axis)) {
            let text = format!("two axes would be {}; rename one", variable(axis));
            self.fault(at, text);
        }
    }

    fn check_value(&mut self, value: &str, at: usize) {
        if value.len() > LONGEST_VALUE {
            self.fault(at, format!("a value has at most {LONGEST_VALUE} bytes; shorten it"));
        }
        if value.contains('\0') {
            self.fault(at, "a value has no NUL byte; remove it");
        }
    }

    /// Reads `include` or `exclude`.
    fn rows(&mut self, entry: Option<&Entry>) -> Vec<Row> {
        let items = entry.map_or(&[][..], |entry| entry.node.items());
        if let Some(item) = items.get(MOST_STEPS) {
            self.fault(item.at, format!("the list has at most {MOST_STEPS} tables; shorten it"));
            return Vec::new();
        }
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            if item.entries().is_empty() {
                self.fault(item.at, "write a table of axes and values, such as { os = \"linux\" }");
                continue;
            }
            let values = item.entries().iter();
            let values = values.filter_map(|it| Some((it.key.clone(), it.node.as_text()?.into())));
            let values: Vec<(String, String)> = values.collect();
            for (axis, value) in &values {
                self.check_value(value, item.entry(axis).map_or(item.at, |it| it.node.at));
            }
            rows.push((item.at, values));
        }
        rows
    }

    /// Returns all combinations of the axes; none if there would be too many.
    fn product(&mut self, at: usize) -> Vec<Combination> {
        let is_list_of_rows = self.axes.iter().any(|(_, values)| values.is_empty());
        if self.axes.is_empty() || is_list_of_rows {
            return Vec::new();
        }
        let mut sizes = self.axes.iter().map(|(_, values)| values.len());
        let count = sizes.try_fold(1_usize, usize::checked_mul);
        if count.is_none_or(|count| count > MOST_STEPS) {
            self.fault(at, format!("makes more than {MOST_STEPS} steps; use fewer values"));
            return Vec::new();
        }
        let mut all = vec![Vec::new()];
        for (axis, values) in &self.axes {
            let longer = |row: Vec<(String, String)>| {
                let with = move |value: &String| {
                    let mut row = row.clone();
                    row.push((axis.clone(), value.clone()));
                    row
                };
                values.iter().map(with)
            };
            all = all.into_iter().flat_map(longer).collect();
        }
        all.into_iter().map(Combination).collect()
    }

    fn exclude(&mut self, rows: &[Row], all: &mut Vec<Combination>) {
        for (at, row) in rows {
            for (axis, value) in row {
                if let Some((_, values)) = self.axes.iter().find(|(name, _)| name == axis) {
                    if !values.contains(value) {
                        let fix = did_you_mean(value, values.iter().map(String::as_str));
                        let fix = fix.unwrap_or_else(|| "remove it".to_string());
                        self.fault(*at, format!("{axis} has no such value; {fix}"));
                    }
                } else {
                    self.unknown_axis(*at, axis);
                }
            }
            let is_meant =
                |it: &Combination| row.iter().all(|(axis, value)| it.value(axis) == Some(&**value));
            all.retain(|combination| !is_meant(combination));
        }
    }

    fn include(&mut self, rows: &[Row], all: &mut Vec<Combination>) {
        let mut seen: HashSet<Combination> = all.iter().cloned().collect();
        for (at, row) in rows {
            for (index, (axis, _)) in row.iter().enumerate() {
                if !self.axes.iter().any(|(name, _)| name == axis) {
                    self.unknown_axis(*at, axis);
                } else if row[..index].iter().any(|(other, _)| other == axis) {
                    self.fault(*at, format!("names {axis} twice; remove one"));
                }
            }
            let value = |axis: &String| row.iter().find(|(name, _)| name == axis).cloned();
            let axes = self.axes.iter().map(|(axis, _)| value(axis).ok_or_else(|| axis.clone()));
            match axes.collect::<Result<Vec<_>, _>>() {
                Err(axis) => {
                    self.fault(
                        *at,
                        format!("is a combination of its own and lacks {axis}; add it"),
                    );
                }
                Ok(values) => {
                    let combination = Combination(values);
                    if !seen.insert(combination.clone()) {
                        self.fault(*at, "this combination is there already; remove it");
                    }
                    all.push(combination);
                }
            }
        }
    }

    fn unknown_axis(&mut self, at: usize, axis: &str) {
        let axes = self.axes.iter().map(|(name, _)| &**name);
        let fix = did_you_mean(axis, axes.clone())
            .unwrap_or_else(|| format!("the axes are {}", listed(axes)));
        self.fault(at, format!("there is no axis `{axis}`; {fix}"));
    }
}
