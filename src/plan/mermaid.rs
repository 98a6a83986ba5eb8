//! Picture of a plan as text for [Mermaid](https://mermaid.js.org). Draws plans that validation
//! refuses as well, because a picture may show what is wrong.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use super::dependencies::{RawDependency, raw_dependencies};
use super::validate::label;
use crate::types::{
    Ending, ExecutionPlan, ExecutionResult, ExecutionStatus, InputTarget, PlanExecutionResult,
    PlanOptions, StepRef,
};

/// Characters of a command that are shown.
const MAX_CHARS: usize = 48;

/// Styles of the endings of steps.
const CLASSES: [(&str, &str); 5] = [
    ("completed", "fill:#dcf5e0,stroke:#2e7d32,color:#1b3d1f"),
    ("failed", "fill:#fbdcdc,stroke:#c62828,color:#4a1010"),
    ("cancelled", "fill:#e8e8ee,stroke:#6b6b80,color:#2c2c38"),
    ("timeout", "fill:#fdeccb,stroke:#b26a00,color:#4a2d00"),
    ("not_run", "fill:#ffffff,stroke:#9e9e9e,color:#6b6b6b,stroke-dasharray:4"),
];

impl ExecutionPlan {
    /// Returns the plan as text that [Mermaid](https://mermaid.js.org) draws: a box for each
    /// command, and an arrow from each to those that wait for it.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let plan = ExecutionPlan::serial([
    ///     ExecutionRequest::shell("make"),
    ///     ExecutionRequest::shell("make test"),
    /// ]);
    /// assert_eq!(plan.to_mermaid(), "\
    /// flowchart TD
    ///     s0[\"make\"]
    ///     s1[\"make test\"]
    ///     s0 --> s1
    /// ");
    /// ```
    pub fn to_mermaid(&self) -> String {
        self.to_mermaid_with(&PlanOptions::default())
    }

    /// Like [`to_mermaid`](Self::to_mermaid), but with what the options say: names, and what else
    /// the steps wait for.
    pub fn to_mermaid_with(&self, options: &PlanOptions) -> String {
        draw(self, options, None)
    }

    /// Like [`to_mermaid_with`](Self::to_mermaid_with), but also shows how the commands have ended
    /// and how long they took.
    pub fn to_mermaid_after(&self, options: &PlanOptions, result: &PlanExecutionResult) -> String {
        draw(self, options, Some(&result.results))
    }
}

fn draw(
    plan: &ExecutionPlan,
    options: &PlanOptions,
    results: Option<&[ExecutionResult]>,
) -> String {
    let mut text = String::from("flowchart TD\n");
    let mut classes = BTreeMap::<&str, Vec<String>>::new();
    for (index, request) in plan.commands.iter().enumerate() {
        let mut lines: Vec<String> = label(options, index).name.into_iter().collect();
        let command = request.metadata.description.clone();
        lines.push(command.unwrap_or_else(|| request.command.to_string()));
        if let Some(result) = results.and_then(|results| results.get(index)) {
            lines.push(state(result));
            classes.entry(class(result)).or_default().push(format!("s{index}"));
        }
        let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
        line(&mut text, format_args!("s{index}[\"{}\"]", lines.join("<br/>")));
    }
    for ((from, to), input) in edges(plan, options) {
        let label = input.map_or(String::new(), |input| format!("|\"{}\"|", quoted(&input)));
        line(&mut text, format_args!("s{from} -->{label} s{to}"));
    }
    for (class, look) in CLASSES {
        if let Some(steps) = classes.get(class) {
            line(&mut text, format_args!("classDef {class} {look}"));
            line(&mut text, format_args!("class {} {class}", steps.join(",")));
        }
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ok = writeln!(text, "    {line}");
}

/// Returns the arrows between steps that exist, in order, each with a label that names the inputs
/// along it.
fn edges(plan: &ExecutionPlan, options: &PlanOptions) -> BTreeMap<(usize, usize), Option<String>> {
    let names = options.steps.iter().enumerate();
    let names: HashMap<&str, usize> =
        names.filter_map(|(index, step)| Some((step.name.as_deref()?, index))).collect();
    let mut all = BTreeMap::<_, Option<String>>::new();
    for RawDependency { step, on, input } in raw_dependencies(plan, options) {
        let from = match &*on {
            StepRef::Index(index) => Some(*index),
            StepRef::Name(name) => names.get(&**name).copied(),
        };
        let Some(from) = from.filter(|from| step.max(*from) < plan.commands.len()) else {
            continue;
        };
        let edge = all.entry((from, step)).or_default();
        let name = match input {
            None => continue,
            Some(InputTarget::Stdin) => "stdin",
            Some(InputTarget::Env(name)) => name,
        };
        *edge = Some(match edge.take() {
            None => name.to_string(),
            Some(others) => format!("{others}, {name}"),
        });
    }
    all
}

fn class(result: &ExecutionResult) -> &'static str {
    match (&result.ending, result.status) {
        (Ending::NotRun { .. }, _) => "not_run",
        (_, ExecutionStatus::Completed) => "completed",
        (_, ExecutionStatus::Cancelled) => "cancelled",
        (_, ExecutionStatus::Timeout) => "timeout",
        _ => "failed",
    }
}

fn state(result: &ExecutionResult) -> String {
    match result.ending {
        Ending::NotRun { .. } => "never ran".to_string(),
        Ending::Exited { code } if code != 0 => {
            format!("exit code {code}, {}", rounded(result.duration))
        }
        _ => format!("{}, {}", result.status, rounded(result.duration)),
    }
}

fn rounded(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ ..1_000 => format!("{ms} ms"),
        ms @ ..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// Returns text as one line for a quoted label, shortened and escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (at, character) in one_line.chars().enumerate() {
        if at == MAX_CHARS {
            quoted.push('…');
            break;
        }
        match character {
            // Quotes end the label. The others are markup even inside quotes: HTML (`<`, `>`, `&`),
            // Mermaid's own codes (`#`, `;`), Markdown (backtick, backslash), and in some versions
            // of its parser the brackets of shapes and the `|` of arrow labels. Its codes work for
            // all of them.
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | '[' | ']' | '{' | '}' | '|' | ';' => {
                let _ok = write!(quoted, "#{};", u32::from(character));
            }
            // Terminal colours and the like, which no font can show.
            other if other.is_control() => {}
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ExecutionRequest, PlanSpec, StepInput, StepOptions};

    fn shell(line: &str) -> ExecutionRequest {
        ExecutionRequest::shell(line)
    }

    #[test]
    fn names_inputs_and_odd_characters() {
        let PlanSpec { plan, options } = ExecutionPlan::builder()
            .step("get it", shell("curl \"$URL\" > x"))
            .step("use it", shell("wc\n -l"))
            .stdin_from("get it")
            .env_from("TEXT", "get it")
            .step("clean", shell("rm x").description("tidy up"))
            .after_all(["get it", "use it"])
            .build()
            .unwrap();
        let picture = "\
flowchart TD
    s0[\"get it<br/>curl #34;$URL#34; #62; x\"]
    s1[\"use it<br/>wc -l\"]
    s2[\"clean<br/>tidy up\"]
    s0 -->|\"stdin, TEXT\"| s1
    s0 --> s2
    s1 --> s2
";
        assert_eq!(plan.to_mermaid_with(&options), picture);
    }

    #[test]
    fn long_commands_are_shortened_at_a_character() {
        let long = "é".repeat(100);
        let plan = ExecutionPlan::parallel([shell(&long)]);
        let shown = format!("s0[\"{}…\"]", "é".repeat(MAX_CHARS));
        assert!(plan.to_mermaid().contains(&shown), "{}", plan.to_mermaid());
    }

    #[test]
    fn dependencies_on_unknown_steps_are_left_out() {
        let plan = ExecutionPlan::graph([shell("a"), shell("b")], [(1, vec![0, 7]), (9, vec![0])]);
        let options = PlanOptions::default()
            .step(StepOptions::named("one").after("nobody").input(StepInput::stdin("nobody")));
        let picture = plan.to_mermaid_with(&options);
        assert_eq!(picture.lines().filter(|line| line.contains("-->")).count(), 1, "{picture}");
    }

    #[test]
    fn durations_are_rounded_for_people() {
        let shown = [7, 1_234, 61_500].map(|ms| rounded(Duration::from_millis(ms)));
        assert_eq!(shown, ["7 ms", "1.2 s", "1 min 1 s"]);
    }
}
