//! A plan that is conducted: its rules, and what its log has. Pure.
//!
//! What decides are the events that steps ended, and stops. All else follows from them and the plan.
//! So a worker that replays the events of an earlier conductor has its state.

use std::collections::{BTreeMap, BTreeSet};

use execution_engine::{Ending, PlanChange, PlanEnding, PlanRules, SkipReason};

use crate::plan::event::{PlanEvent, PlanEventKind, StepEnd, StepRun, StopCause};
use crate::plan::ticket::shown;

/// What is to become of a step that may start, or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// It is to run.
    Run,
    /// It is not to start; if it runs it goes on.
    NoStart,
    /// It is to be stopped.
    Stop,
}

/// How the execution of a step ended.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) ending: Ending,
    /// Whether it was cancelled before its first start.
    pub(super) is_unstarted: bool,
    pub(super) ran: Option<StepRun>,
}

/// A plan that is conducted.
pub(super) struct Machine {
    rules: PlanRules,
    /// Kinds that follow from others and are in the log: a later conductor does not tell them again.
    told: BTreeSet<(usize, u8)>,
    /// What follows from the events so far, in order.
    derived: Vec<PlanEventKind>,
    /// Number of the next event.
    number: u64,
    /// Steps that may start and have not ended.
    begun: BTreeMap<usize, Wanted>,
    /// The workers that run steps, as the log has it.
    running: BTreeMap<usize, String>,
    /// Bytes of stops of clients that are taken into account.
    input: u64,
    has_begun: bool,
    is_past_deadline: bool,
    /// How it ended, once the log has it.
    over: Option<PlanEnding>,
    /// How steps ended that did not succeed.
    failures: BTreeMap<usize, Ending>,
}

/// Returns what tells two events about a step apart that follow from others.
fn mark(kind: &PlanEventKind) -> Option<(usize, u8)> {
    match kind {
        PlanEventKind::Queued { step } => Some((*step, 0)),
        PlanEventKind::Skipped { step, .. } => Some((*step, 1)),
        PlanEventKind::Over { .. } => Some((usize::MAX, 2)),
        _ => None,
    }
}

impl Machine {
    pub(super) fn new(rules: PlanRules) -> Self {
        let mut new = Self {
            rules,
            told: BTreeSet::new(),
            derived: Vec::new(),
            number: 0,
            begun: BTreeMap::new(),
            running: BTreeMap::new(),
            input: 0,
            has_begun: false,
            is_past_deadline: false,
            over: None,
            failures: BTreeMap::new(),
        };
        new.take_next();
        new
    }

    /// Takes an event of an earlier conductor into account. Returns `false` if one before it is missing.
    pub(super) fn replay(&mut self, event: &PlanEvent) -> bool {
        if event.number != self.number {
            return false;
        }
        self.number += 1;
        self.told.extend(mark(&event.kind));
        self.apply(&event.kind);
        true
    }

    /// Begins to conduct: returns the events with which this conductor goes on.
    pub(super) fn begin(&mut self, worker: &str, now_ms: u64) -> Vec<PlanEvent> {
        let mut kinds = Vec::new();
        if !self.has_begun {
            kinds.push(PlanEventKind::Began { spec: Box::new(shown(self.rules.spec())) });
        }
        if self.over.is_none() {
            kinds.push(PlanEventKind::Conducted { worker: worker.to_owned() });
        }
        kinds.append(&mut self.derived);
        kinds.retain(|kind| mark(kind).is_none_or(|mark| !self.told.contains(&mark)));
        self.number_all(kinds, now_ms)
    }

    /// Takes something that happened into account. Returns the events of it, the first one and what
    /// follows.
    pub(super) fn happened(&mut self, mut kind: PlanEventKind, now_ms: u64) -> Vec<PlanEvent> {
        self.apply(&kind);
        if let PlanEventKind::Ended(end) = &mut kind {
            end.failure_allowed = self.rules.report(end.step).failure_allowed;
        }
        let kinds = [vec![kind], std::mem::take(&mut self.derived)].concat();
        self.number_all(kinds, now_ms)
    }

    fn number_all(&mut self, kinds: Vec<PlanEventKind>, at_ms: u64) -> Vec<PlanEvent> {
        let number = |kind| {
            if let PlanEventKind::Over { ending } = &kind {
                self.over = Some(ending.clone());
            }
            self.number += 1;
            PlanEvent { number: self.number - 1, at_ms, kind }
        };
        kinds.into_iter().map(number).collect()
    }

    /// Returns the steps that may start and have not ended, with what is to become of them.
    pub(super) fn begun(&self) -> &BTreeMap<usize, Wanted> {
        &self.begun
    }

    /// Returns how the plan ended, once that was told.
    pub(super) fn over(&self) -> Option<&PlanEnding> {
        self.over.as_ref()
    }

    /// Returns whether the deadline was noted.
    pub(super) fn is_past_deadline(&self) -> bool {
        self.is_past_deadline
    }

    /// Returns the ending of the plan's execution: that of the step that failed first, if it has a code.
    pub(super) fn execution_ending(&self, ending: &PlanEnding) -> Ending {
        match ending {
            PlanEnding::Completed => Ending::Exited { code: 0 },
            PlanEnding::Cancelled => Ending::Cancelled,
            PlanEnding::DeadlineReached { deadline_ms } => {
                Ending::PlanDeadline { deadline_ms: *deadline_ms }
            }
            PlanEnding::Failed { step } => match self.failures.get(&step.index) {
                Some(Ending::Exited { code }) => Ending::Exited { code: *code },
                _ => Ending::Exited { code: 1 },
            },
            other => Ending::Unknown { reason: other.to_string() },
        }
    }

    /// Returns the event of a step whose execution ended.
    pub(super) fn end_of(&self, step: usize, closed: Closed) -> PlanEventKind {
        let ending = match closed.ending {
            Ending::Cancelled if closed.is_unstarted => match self.rules.stopped_because(step) {
                Some(reason) => Ending::NotRun { reason },
                None => Ending::Cancelled,
            },
            ending => ending,
        };
        PlanEventKind::Ended(StepEnd { step, ending, failure_allowed: false, ran: closed.ran })
    }

    /// Returns the event of a stop, unless it is taken into account.
    pub(super) fn stop_of(&self, cause: StopCause, input: u64) -> Option<PlanEventKind> {
        let is_new = input == 0 || input > self.input;
        is_new.then(|| PlanEventKind::Stopped { cause, input: input.max(self.input) })
    }

    /// Returns the event of a start of a step, unless the log has it or the step has ended.
    pub(super) fn run_of(&self, step: usize, worker: String) -> Option<PlanEventKind> {
        let is_new = self.begun.contains_key(&step) && self.running.get(&step) != Some(&worker);
        is_new.then_some(PlanEventKind::Running { step, worker })
    }

    fn apply(&mut self, kind: &PlanEventKind) {
        let change = match kind {
            PlanEventKind::Running { step, worker } => {
                self.running.insert(*step, worker.clone());
                return;
            }
            PlanEventKind::Ended(end) => {
                self.begun.remove(&end.step);
                let change = self.rules.ended(end.step, &end.ending);
                if !end.ending.is_success() {
                    self.failures.insert(end.step, end.ending.clone());
                }
                change
            }
            PlanEventKind::Stopped { cause, input } => {
                self.input = self.input.max(*input);
                self.is_past_deadline |= *cause == StopCause::Deadline;
                let change = match cause {
                    StopCause::Cancel => self.rules.cancel(),
                    StopCause::CancelAll => self.rules.cancel_all(),
                    StopCause::Deadline => self.rules.deadline_reached(),
                };
                change.unwrap_or_default()
            }
            PlanEventKind::Began { .. } => {
                self.has_begun = true;
                return;
            }
            PlanEventKind::Over { ending } => {
                self.over = Some(ending.clone());
                return;
            }
            _ => return,
        };
        self.change(change);
        self.take_next();
    }

    fn change(&mut self, change: PlanChange) {
        let skipped = |(step, reason): (usize, SkipReason)| PlanEventKind::Skipped { step, reason };
        self.derived.extend(change.skipped.into_iter().map(skipped));
        for (steps, wanted) in [(change.withdrawn, Wanted::NoStart), (change.stopped, Wanted::Stop)]
        {
            for step in steps {
                if let Some(now) = self.begun.get_mut(&step) {
                    *now = wanted.max(*now);
                }
            }
        }
    }

    /// Takes the steps that may start, and the end.
    fn take_next(&mut self) {
        while let Some(step) = self.rules.next_step() {
            self.begun.insert(step, Wanted::Run);
            self.derived.push(PlanEventKind::Queued { step });
        }
        if let Some(ending) = self.rules.ending()
            && self.over.is_none()
        {
            self.derived.push(PlanEventKind::Over { ending });
        }
    }
}

#[cfg(test)]
mod tests {
    use execution_engine::PlanSpec;

    use super::*;

    /// Ids of a plan that is read are new each time.
    fn spec() -> PlanSpec {
        serde_json::from_str(
            r#"{"failure_policy": "finish_independent", "steps": [
            {"name": "a", "command": "a"}, {"name": "b", "command": "b"},
            {"name": "c", "command": "c", "after": ["a"]},
            {"name": "d", "command": "d", "after": ["b"]},
            {"name": "e", "command": "e", "after": ["c", "d"], "always": true}]}"#,
        )
        .unwrap()
    }

    fn machine(spec: &PlanSpec) -> Machine {
        Machine::new(PlanRules::new(spec.clone()).unwrap())
    }

    fn exited(machine: &Machine, step: usize, code: i32) -> PlanEventKind {
        let ending = Ending::Exited { code };
        machine.end_of(step, Closed { ending, is_unstarted: false, ran: None })
    }

    /// Plays a plan to its end: `a` fails, then it is stopped, and each step that is left ends.
    fn played(machine: &mut Machine, log: &mut Vec<PlanEvent>) {
        log.extend(machine.begin("w", 5));
        while machine.over().is_none() {
            let begun = machine.begun().clone();
            let kind = match begun.keys().next() {
                Some(0) => exited(machine, 0, 3),
                _ if !log
                    .iter()
                    .any(|event| matches!(event.kind, PlanEventKind::Stopped { .. })) =>
                {
                    machine.stop_of(StopCause::Cancel, 9).unwrap()
                }
                Some(step) if begun[step] == Wanted::Stop => {
                    let ending = Ending::Cancelled;
                    machine.end_of(*step, Closed { ending, is_unstarted: true, ran: None })
                }
                Some(step) => exited(machine, *step, 0),
                None => panic!("nothing is left and it is not over: {log:?}"),
            };
            log.extend(machine.happened(kind, 5));
        }
    }

    fn told(log: &[PlanEvent]) -> Vec<&PlanEventKind> {
        let kinds = log.iter().map(|event| &event.kind);
        kinds.filter(|kind| !matches!(kind, PlanEventKind::Conducted { .. })).collect()
    }

    #[test]
    fn a_later_conductor_goes_on_wherever_the_log_was_cut() {
        let (spec, mut whole) = (spec(), Vec::new());
        played(&mut machine(&spec), &mut whole);
        let failed = PlanEventKind::Skipped {
            step: 2,
            reason: SkipReason::DependencyFailed {
                step: execution_engine::PlanStep { index: 0, name: Some("a".into()) },
            },
        };
        assert!(told(&whole).contains(&&failed), "{whole:?}");
        for cut in 0..=whole.len() {
            let (mut later, mut log) = (machine(&spec), whole[..cut].to_vec());
            for event in &log {
                assert!(later.replay(event));
            }
            played(&mut later, &mut log);
            let numbers: Vec<_> = log.iter().map(|event| event.number).collect();
            assert_eq!(numbers, (0..log.len() as u64).collect::<Vec<_>>(), "cut at {cut}");
            let (mut one, mut other) = (told(&log), told(&whole));
            // What follows from one event is told behind what happened meanwhile.
            let order = |kind: &&PlanEventKind| format!("{kind:?}");
            one.sort_by_key(order);
            other.sort_by_key(order);
            assert_eq!(one, other, "cut at {cut}");
        }
        assert!(!machine(&spec).replay(&whole[1]), "one before it is missing");
    }

    #[test]
    fn a_stop_is_taken_once_and_keeps_what_was_not_started_from_running() {
        let mut machine = machine(&spec());
        machine.begin("w", 5);
        let stop = machine.stop_of(StopCause::Cancel, 10).unwrap();
        machine.happened(stop, 5);
        assert_eq!(machine.stop_of(StopCause::Cancel, 10), None);
        assert_eq!(machine.begun().values().collect::<Vec<_>>(), [&Wanted::Stop, &Wanted::Stop]);
        let closed = Closed { ending: Ending::Cancelled, is_unstarted: true, ran: None };
        let PlanEventKind::Ended(end) = machine.end_of(0, closed) else { panic!("not an end") };
        assert_eq!(end.ending, Ending::NotRun { reason: SkipReason::PlanCancelled });
        assert_eq!(machine.run_of(1, "w".into()).is_some(), machine.begun().contains_key(&1));
    }
}
