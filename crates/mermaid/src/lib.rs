//! Pictures of plans as text for [Mermaid](https://mermaid.js.org). Draws plans that the engine
//! refuses as well, because a picture may show what is wrong.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use execution_engine::{
    Ending, ExecutionStatus, ExecutionStrategy, InputTarget, PlanExecutionResult, PlanSpec,
    StepCondition, StepOptions, StepRef, StepReport,
};

/// Characters of a command that are shown.
const MAX_CHARS: usize = 48;

/// Styles of the endings of steps.
const CLASSES: [(&str, &str); 6] = [
    ("completed", "fill:#dcf5e0,stroke:#2e7d32,color:#1b3d1f"),
    ("failed", "fill:#fbdcdc,stroke:#c62828,color:#4a1010"),
    ("allowed", "fill:#fff6d6,stroke:#c62828,color:#4a2d00"),
    ("cancelled", "fill:#e8e8ee,stroke:#6b6b80,color:#2c2c38"),
    ("timeout", "fill:#fdeccb,stroke:#b26a00,color:#4a2d00"),
    ("not_run", "fill:#ffffff,stroke:#9e9e9e,color:#6b6b6b,stroke-dasharray:4"),
];

/// Returns a plan as text that [Mermaid](https://mermaid.js.org) draws: a box for each command, and
/// an arrow from each to those that wait for it, with the output and the conditions between the
/// two.
///
/// ```
/// use execution_engine::{ExecutionPlan, ExecutionRequest};
/// use execution_engine_mermaid::diagram;
///
/// # fn main() -> execution_engine::Result<()> {
/// let plan = ExecutionPlan::builder()
///     .step("build", ExecutionRequest::shell("make"))
///     .step("test", ExecutionRequest::shell("make test"))
///     .after("build")
///     .build()?;
/// assert_eq!(diagram(&plan), "\
/// flowchart TD
///     s0[\"build<br/>make\"]
///     s1[\"test<br/>make test\"]
///     s0 --> s1
/// ");
/// # Ok(()) }
/// ```
///
/// A plan without options is one with `into`: `diagram(&plan.into())`.
pub fn diagram(plan: &PlanSpec) -> String {
    diagram_with(plan, |_| None)
}

/// Like [`diagram`], but also shows how the commands have ended and how long they took.
pub fn diagram_after(plan: &PlanSpec, result: &PlanExecutionResult) -> String {
    diagram_with(plan, |index| {
        let (ended, report) = (result.results.get(index)?, result.steps.get(index)?);
        let StepReport { failure_allowed, .. } = *report;
        Some(StepEnd { ending: &ended.ending, duration: ended.duration, failure_allowed })
    })
}

/// How a step has ended, for [`diagram_with`].
#[derive(Debug, Clone, Copy)]
pub struct StepEnd<'a> {
    /// Its ending.
    pub ending: &'a Ending,
    /// How long it took; not shown for one that never ran.
    pub duration: Duration,
    /// Whether it failed and was allowed to.
    pub failure_allowed: bool,
}

/// Like [`diagram`], but also shows how those commands have ended for which `end` returns it, by the
/// index of the command.
///
/// ```
/// use std::time::Duration;
///
/// use execution_engine::{Ending, ExecutionPlan, ExecutionRequest};
/// use execution_engine_mermaid::{StepEnd, diagram_with};
///
/// let plan = ExecutionPlan::serial([ExecutionRequest::shell("make")]).into();
/// let (ending, duration) = (Ending::Exited { code: 2 }, Duration::from_secs(3));
/// let text = diagram_with(&plan, |_| Some(StepEnd { ending: &ending, duration, failure_allowed: false }));
/// assert!(text.contains("exit code 2, 3.0 s"));
/// ```
pub fn diagram_with<'a>(spec: &PlanSpec, end: impl Fn(usize) -> Option<StepEnd<'a>>) -> String {
    let PlanSpec { plan, options } = spec;
    let mut text = String::from("flowchart TD\n");
    let mut classes = BTreeMap::<&str, Vec<String>>::new();
    for (index, request) in plan.commands.iter().enumerate() {
        let step = options.steps.get(index);
        let mut lines: Vec<String> = step.and_then(|step| step.name.clone()).into_iter().collect();
        let command = request.metadata.description.clone();
        lines.push(command.unwrap_or_else(|| request.command.to_string()));
        lines.extend(step.into_iter().flat_map(notes).map(str::to_string));
        if let Some(end) = end(index) {
            let (state, class) = match end.failure_allowed {
                true => (format!("{} (allowed)", state(end)), "allowed"),
                false => (state(end), class(end.ending)),
            };
            lines.push(state);
            classes.entry(class).or_default().push(format!("s{index}"));
        }
        let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
        line(&mut text, format_args!("s{index}[\"{}\"]", lines.join("<br/>")));
    }
    for ((from, to), labels) in arrows(spec) {
        let label = match &labels[..] {
            [] => String::new(),
            labels => format!("|\"{}\"|", quoted(&labels.join(", "))),
        };
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

/// Returns what decides when a step runs, beyond its arrows.
fn notes(step: &StepOptions) -> Vec<&'static str> {
    let condition = |condition: &StepCondition| match condition {
        StepCondition::AnyFailed => Some("if any failed"),
        StepCondition::NoneFailed => Some("if none failed"),
        _ => None,
    };
    let mut notes: Vec<_> = step.only_if.iter().filter_map(condition).collect();
    notes.extend(step.always.then_some("always"));
    notes.extend(step.allow_failure.then_some("may fail"));
    notes
}

/// Returns the arrows between steps that exist, in order, each with the inputs and conditions along
/// it.
fn arrows(PlanSpec { plan, options }: &PlanSpec) -> BTreeMap<(usize, usize), Vec<String>> {
    let mut all = BTreeMap::<_, Vec<String>>::new();
    match &plan.strategy {
        ExecutionStrategy::Parallel { .. } => {}
        ExecutionStrategy::Serial { .. } => {
            all.extend((1..plan.commands.len()).map(|step| ((step - 1, step), Vec::new())));
        }
        ExecutionStrategy::DependencyGraph { dependencies } => {
            for (step, on) in dependencies {
                all.extend(on.iter().map(|from| ((*from, *step), Vec::new())));
            }
        }
    }
    let names = options.steps.iter().enumerate();
    let names: HashMap<&str, usize> =
        names.filter_map(|(index, step)| Some((step.name.as_deref()?, index))).collect();
    let find = |on: &StepRef| match on {
        StepRef::Index(index) => Some(*index),
        StepRef::Name(name) => names.get(&**name).copied(),
    };
    for (index, step) in options.steps.iter().enumerate() {
        for from in step.after.iter().filter_map(find) {
            all.entry((from, index)).or_default();
        }
        for input in &step.inputs {
            let Some(from) = find(&input.from) else { continue };
            all.entry((from, index)).or_default().push(match &input.to {
                InputTarget::Env(name) => name.clone(),
                InputTarget::Files { pattern, .. } => pattern.clone(),
                _ => "stdin".to_string(),
            });
        }
        for condition in &step.only_if {
            let Some(from) = condition.step().and_then(find) else { continue };
            all.entry((from, index)).or_default().push(match condition {
                StepCondition::Succeeded { .. } => "if succeeded".to_string(),
                StepCondition::Failed { .. } => "if failed".to_string(),
                StepCondition::Skipped { .. } => "if skipped".to_string(),
                StepCondition::ExitCode { codes, .. } => {
                    let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
                    format!("if exit code {}", codes.join(" or "))
                }
                other => format!("if {other}"),
            });
        }
    }
    all.retain(|(from, to), _| from.max(to) < &plan.commands.len());
    all
}

fn class(ending: &Ending) -> &'static str {
    match (ending, ending.status()) {
        (Ending::NotRun { .. }, _) => "not_run",
        (_, ExecutionStatus::Completed) => "completed",
        (_, ExecutionStatus::Cancelled) => "cancelled",
        (_, ExecutionStatus::Timeout) => "timeout",
        _ => "failed",
    }
}

fn state(StepEnd { ending, duration, .. }: StepEnd<'_>) -> String {
    match ending {
        Ending::NotRun { .. } => "never ran".to_string(),
        Ending::Exited { code } if *code != 0 => {
            format!("exit code {code}, {}", rounded(duration))
        }
        _ => format!("{}, {}", ending.status(), rounded(duration)),
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
    use execution_engine::{ExecutionPlan, ExecutionRequest, PlanOptions, StepInput, StepOptions};

    use super::*;

    fn shell(line: &str) -> ExecutionRequest {
        ExecutionRequest::shell(line)
    }

    #[test]
    fn names_inputs_and_odd_characters() {
        let plan = ExecutionPlan::builder()
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
        assert_eq!(diagram(&plan), picture);
    }

    #[test]
    fn conditions_and_what_always_runs() {
        let plan = ExecutionPlan::builder()
            .step("check", shell("make check"))
            .allow_failure()
            .step("fix", shell("make fix"))
            .stdin_from("check")
            .only_if(StepCondition::exit_code("check", [2, 3]))
            .step("tell", shell("mail"))
            .after("fix")
            .only_if(StepCondition::AnyFailed)
            .step("clean", shell("make clean"))
            .after_all(["fix", "tell"])
            .always()
            .build()
            .unwrap();
        let picture = "\
flowchart TD
    s0[\"check<br/>make check<br/>may fail\"]
    s1[\"fix<br/>make fix\"]
    s2[\"tell<br/>mail<br/>if any failed\"]
    s3[\"clean<br/>make clean<br/>always\"]
    s0 -->|\"stdin, if exit code 2 or 3\"| s1
    s1 --> s2
    s1 --> s3
    s2 --> s3
";
        assert_eq!(diagram(&plan), picture);
    }

    #[test]
    fn long_commands_are_shortened_at_a_character() {
        let long = "é".repeat(100);
        let plan = ExecutionPlan::parallel([shell(&long)]).into();
        let shown = format!("s0[\"{}…\"]", "é".repeat(MAX_CHARS));
        assert!(diagram(&plan).contains(&shown), "{}", diagram(&plan));
    }

    #[test]
    fn dependencies_on_unknown_steps_are_left_out() {
        let plan = ExecutionPlan::graph([shell("a"), shell("b")], [(1, vec![0, 7]), (9, vec![0])]);
        let options = PlanOptions::default()
            .step(StepOptions::named("one").after("nobody").input(StepInput::stdin("nobody")));
        let picture = diagram(&PlanSpec::new(plan, options));
        assert_eq!(picture.lines().filter(|line| line.contains("-->")).count(), 1, "{picture}");
    }

    #[test]
    fn durations_are_rounded_for_people() {
        let shown = [7, 1_234, 61_500].map(|ms| rounded(Duration::from_millis(ms)));
        assert_eq!(shown, ["7 ms", "1.2 s", "1 min 1 s"]);
    }
}
