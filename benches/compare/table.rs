//! The table: rows of figures, a ratio and a goal each; as text, JSON and Markdown.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;

use crate::args::{Size, Wanted};
use crate::contender::Contender;
use crate::machine::Machine;
use crate::rounds::Samples;

#[derive(Debug)]
pub struct Table {
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub group: &'static str,
    pub name: String,
    pub unit: Unit,
    /// Figures by contender.
    pub figures: Vec<(Contender, f64)>,
    pub verdict: Option<Verdict>,
}

/// The engine's result compared with its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub against: &'static str,
    pub value: f64,
    /// None for rows that are informative only.
    pub goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Times in seconds.
    Micros,
    /// Megabytes per second.
    Throughput,
    Bytes,
    Count,
}

impl Row {
    pub fn new(group: &'static str, name: impl Into<String>, unit: Unit) -> Self {
        Self { group, name: name.into(), unit, figures: Vec::new(), verdict: None }
    }

    pub fn figure(mut self, contender: Contender, value: f64) -> Self {
        self.figures.push((contender, value));
        self
    }

    /// Returns the medians of the contenders with a column, converted.
    pub fn medians(mut self, samples: &Samples, convert: impl Fn(f64) -> f64) -> Self {
        let median = |contender| (contender, convert(samples.median(contender)));
        let in_columns = |contender: &Contender| Contender::COLUMNS.contains(contender);
        self.figures.extend(samples.contenders().filter(in_columns).map(median));
        self
    }

    pub fn held_against(mut self, against: &'static str, value: f64, goal: Goal) -> Self {
        self.verdict = Some(Verdict { against, value, goal: Some(goal) });
        self
    }

    /// Adds a comparison with another contender, without a goal.
    pub fn beside(mut self, against: &'static str, value: f64) -> Self {
        self.verdict = Some(Verdict { against, value, goal: None });
        self
    }

    /// Adds a comparison with another contender by the ratio of paired samples.
    pub fn paired(self, samples: &Samples, against: Contender, goal: Goal) -> Self {
        let ratio = samples.ratio(Contender::Engine, against);
        let value = match self.unit {
            // Samples are times; the ratio of throughputs is the inverse.
            Unit::Throughput => 1.0 / ratio,
            _ => ratio,
        };
        self.held_against(against.name(), value, goal)
    }

    fn of(&self, contender: Contender) -> Option<f64> {
        self.figures.iter().find(|(of, _)| *of == contender).map(|(_, value)| *value)
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.clone()];
        let text =
            |contender| self.of(contender).map_or_else(String::new, |value| self.unit.show(value));
        cells.extend(Contender::COLUMNS.map(text));
        match &self.verdict {
            None => cells.extend([const { String::new() }; 4]),
            Some(verdict) => {
                let reference = self.of(Contender::Reference).map(|value| self.unit.show(value));
                let against = match reference {
                    Some(value) => format!("{}: {value}", verdict.against),
                    None => verdict.against.to_string(),
                };
                let goal = verdict.goal.map_or_else(String::new, Goal::show);
                let reached = match verdict.is_reached() {
                    Some(true) => "yes",
                    Some(false) => "no",
                    None => "",
                };
                cells.extend([against, number(verdict.value), goal, reached.to_string()]);
            }
        }
        cells
    }
}

impl Verdict {
    pub fn is_reached(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtMost(goal) => self.value <= goal,
            Goal::AtLeast(goal) => self.value >= goal,
        })
    }
}

impl Goal {
    fn show(self) -> String {
        match self {
            Self::AtMost(goal) => format!("≤ {}", number(goal)),
            Self::AtLeast(goal) => format!("≥ {}", number(goal)),
        }
    }
}

/// Formats ratios with two decimals, sizes without.
fn number(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Micros => format!("{:.0} µs", value * 1e6),
            Self::Throughput => format!("{value:.0} MB/s"),
            Self::Bytes => format!("{value:.0} B"),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Micros => "s",
            Self::Throughput => "MB/s",
            Self::Bytes => "B",
            Self::Count => "count",
        }
    }
}

const HEADER: [&str; 10] = [
    "row",
    "floor",
    "raw tokio",
    "duct",
    "async-process",
    "engine",
    "against",
    "ratio",
    "goal",
    "reached",
];

impl Table {
    /// Prints the table, and writes it to the files asked for.
    pub fn report(&self, wanted: &Wanted) -> io::Result<()> {
        let machine = Machine::of_this_host();
        println!("\n{}\n\n{}", machine.in_words(), self.text());
        if let Some(file) = &wanted.json {
            std::fs::write(file, self.json(&machine, wanted.size))?;
        }
        if let Some(file) = &wanted.markdown {
            std::fs::write(file, format!("{}\n\n{}", machine.in_words(), self.markdown()))?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let header = HEADER.map(str::to_string).to_vec();
        std::iter::once(header).chain(self.rows.iter().map(Row::cells)).collect()
    }

    fn text(&self) -> String {
        aligned(&self.lines(), "  ", "")
    }

    fn markdown(&self) -> String {
        let mut lines = self.lines();
        lines.insert(1, HEADER.map(|_| "---".to_string()).to_vec());
        aligned(&lines, " | ", "|")
    }

    fn json(&self, machine: &Machine, size: Size) -> String {
        let rows = self.rows.iter().map(|row| {
            let figures =
                row.figures.iter().map(|(contender, value)| (contender.name(), *value)).collect();
            let verdict = row.verdict.as_ref();
            JsonRow {
                group: row.group,
                row: &row.name,
                unit: row.unit.name(),
                figures,
                against: verdict.map(|verdict| verdict.against),
                ratio: verdict.map(|verdict| verdict.value),
                goal: verdict.and_then(|verdict| verdict.goal).map(Goal::show),
                reached: verdict.and_then(Verdict::is_reached),
            }
        });
        let all = JsonTable { machine, size: size.flag(), rows: rows.collect() };
        serde_json::to_string_pretty(&all).expect("it is plain data")
    }
}

#[derive(Serialize)]
struct JsonTable<'a> {
    machine: &'a Machine,
    size: &'static str,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    group: &'static str,
    row: &'a str,
    unit: &'static str,
    figures: std::collections::BTreeMap<&'static str, f64>,
    against: Option<&'static str>,
    ratio: Option<f64>,
    goal: Option<String>,
    reached: Option<bool>,
}

/// Formats columns of equal width; the first is a name, the others are right-aligned.
fn aligned(lines: &[Vec<String>], between: &str, edge: &str) -> String {
    let width =
        |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADER.len()).map(width).collect();
    let mut text = String::new();
    for cells in lines {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = padded.collect::<Vec<_>>().join(between);
        let space = if edge.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{edge}{space}{}{space}{edge}", line.trim_end());
    }
    text
}
