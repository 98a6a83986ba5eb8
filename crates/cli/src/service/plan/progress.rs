//! How a plan goes, live: bars on a terminal, else a line for each step that is over.

use std::collections::{BTreeMap, HashSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use execution_engine_server::{PlanView, StepStatus, StepView};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::{name_of, outcome};
use crate::service::table::Colour;
use crate::{message, terminal_text};

/// Steps that are shown at a time while they run.
const SHOWN: usize = 8;
/// Time between two pictures of a bar that turns.
const TICK: Duration = Duration::from_millis(120);

/// Shows how a plan goes, on stderr.
pub(super) struct Progress {
    bars: Option<Bars>,
    /// Steps whose end was shown, or that had ended before.
    over: HashSet<usize>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    running: BTreeMap<usize, ProgressBar>,
    colours: bool,
}

impl Progress {
    /// Begins to show a plan.
    pub(super) fn new(plan: &PlanView) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| Bars::new(plan.counts.total));
        let kept = plan.steps.iter().filter(|step| step.kept);
        Self { bars, over: kept.map(|step| step.index).collect() }
    }

    /// Shows what has changed.
    pub(super) fn show(&mut self, plan: &PlanView) {
        for step in &plan.steps {
            let is_over = !matches!(
                step.status,
                StepStatus::Waiting | StepStatus::Queued | StepStatus::Running
            );
            if let Some(bars) = &mut self.bars {
                bars.running(step);
            }
            if is_over && !step.kept && self.over.insert(step.index) {
                let (text, colour) = outcome(step);
                let name = terminal_text::one_line(&name_of(step)).into_owned();
                match &self.bars {
                    Some(bars) => bars.line(&name, &text, colour),
                    None => message::note(format!("{name}: {text}")),
                }
            }
        }
        if let Some(bars) = &self.bars {
            bars.count(plan);
        }
    }

    /// Ends the picture.
    pub(super) fn finish(&mut self) {
        if let Some(bars) = &mut self.bars {
            bars.running.values().for_each(ProgressBar::finish_and_clear);
            bars.whole.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Also if the user no longer follows it: the terminal is left as it was found.
        self.finish();
    }
}

impl Bars {
    fn new(total: usize) -> Self {
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(total as u64));
        whole.set_style(style("{bar:30.cyan/dim} {pos}/{len}  {elapsed}  {msg}"));
        whole.enable_steady_tick(TICK);
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { all, whole, running: BTreeMap::new(), colours }
    }

    /// Shows a step while it runs.
    fn running(&mut self, step: &StepView) {
        let is_shown = self.running.contains_key(&step.index);
        match step.status == StepStatus::Running {
            true if !is_shown && self.running.len() < SHOWN => {
                let bar = self.all.insert_before(&self.whole, ProgressBar::new_spinner());
                bar.set_style(style("{spinner:.cyan} {msg}  {elapsed:.dim}"));
                bar.set_message(terminal_text::one_line(&name_of(step)).into_owned());
                bar.enable_steady_tick(TICK);
                self.running.insert(step.index, bar);
            }
            false if is_shown => {
                if let Some(bar) = self.running.remove(&step.index) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            _ => {}
        }
    }

    fn line(&self, name: &str, text: &str, colour: Colour) {
        let text = terminal_text::one_line(text);
        let shown = match colour.code().filter(|_| self.colours) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.into_owned(),
        };
        // If stderr cannot be written, there is no other place to say so.
        let _written = self.all.println(format!("{name}  {shown}"));
    }

    fn count(&self, plan: &PlanView) {
        let counts = &plan.counts;
        self.whole.set_position(counts.over() as u64);
        let failed = counts.failed - counts.allowed_failures;
        let mut parts = vec![format!("{} running", counts.running)];
        parts.extend((failed > 0).then(|| format!("{failed} failed")));
        parts.extend((counts.skipped > 0).then(|| format!("{} skipped", counts.skipped)));
        parts.extend(plan.stopping.then(|| "stopping".to_string()));
        self.whole.set_message(parts.join(", "));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
