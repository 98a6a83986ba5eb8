//! A history: settings of an engine, and what several callers do with it.

use std::fmt;

use execution_engine::{
    OutputStream, OversizedOutputStrategy, StepCondition, StepOptions, StepRef,
};

use crate::program::Program;

/// Everything that one round does. Its scheduling alone is left to chance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) profile: &'static str,
    pub(crate) settings: Settings,
    /// One thread each.
    pub(crate) lanes: Vec<Vec<Op>>,
    pub(crate) end: End,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Number among the containment levels of this machine.
    pub(crate) level: usize,
    pub(crate) limit: usize,
    /// Places in the queue; `None` refuses.
    pub(crate) queue: Option<usize>,
    pub(crate) remembered: usize,
    pub(crate) handlers: Vec<HandlerKind>,
    pub(crate) kept_bytes: usize,
    pub(crate) oversized: OversizedOutputStrategy,
    pub(crate) window: usize,
    pub(crate) longest_line: usize,
    pub(crate) stall_ms: u64,
    pub(crate) streams_lines: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum HandlerKind {
    Fast,
    /// Waits asynchronously at each line.
    Slow,
    /// Blocks its thread at the second event of each execution, beyond the stall limit.
    Blocks,
    /// Panics at every third event.
    Panics,
}

/// How a history ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// Waits for everything.
    Wait,
    /// Cancels what runs, and waits.
    CancelAll,
    Shutdown,
    Drop,
}

/// Number of an execution in a history; its id follows from it.
pub(crate) type Slot = u32;

/// Execution that a caller asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exec {
    pub(crate) slot: Slot,
    pub(crate) program: Program,
    pub(crate) timeout_ms: Option<u64>,
    /// Attempts, and the delay between them in milliseconds.
    pub(crate) retry: Option<(u32, u64)>,
    pub(crate) input: Input,
    pub(crate) is_merged: bool,
    pub(crate) partial_after_ms: Option<u64>,
    pub(crate) idle_timeout_ms: Option<u64>,
    pub(crate) priority: i32,
    pub(crate) watchers: Vec<Watcher>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Input {
    None,
    Bytes(&'static str),
    Piped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Lines,
    Chunks,
}

/// Subscription that is read by a task of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watcher {
    pub(crate) view: View,
    pub(crate) pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    Fast,
    /// Rests between two records.
    Slow,
    /// Its waker takes a while: code of the host runs in the middle of the engine's.
    SlowWaker,
}

/// Plan that a caller asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) slot: Slot,
    pub(crate) shape: Shape,
    pub(crate) steps: Vec<Program>,
    /// Of the first steps: what may fail, always runs, or runs under conditions on earlier steps.
    pub(crate) options: Vec<StepOptions>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) watchers: Vec<Pace>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Serial {
        stop_on_error: bool,
    },
    Parallel {
        at_a_time: Option<usize>,
    },
    /// The steps that each one waits for, all of them earlier ones.
    Graph(Vec<Vec<usize>>),
}

/// Question about one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Status,
    Result,
    Position,
    List,
}

/// One call of a caller, or a short series of calls.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Start(Box<Exec>),
    Run(Box<Exec>),
    Cancel(Slot),
    /// Cancels as soon as the execution is known.
    CancelSoon(Slot),
    Pause(Slot),
    Resume(Slot),
    Look(Slot, Look),
    Counts,
    Wait(Slot),
    /// Starts waiters whose wakers take a while.
    Waiters(Slot, u8),
    Subscribe {
        slot: Slot,
        after: u64,
        watcher: Watcher,
    },
    SubscribeAll(Pace),
    Remove(Slot),
    CleanUp,
    Input(Slot),
    Plan(Box<Plan>),
    /// Cancels all executions and plans.
    CancelAll,
    /// Cancels a plan; with a step, as soon as that step has ended.
    CancelPlan(Slot, Option<usize>),
    WaitPlan(Slot),
    SubscribePlan(Slot, Pace),
    RemovePlan(Slot),
    LookPlan(Slot),
    /// Asks again and again, for some time or until another caller is done.
    Spin(Look, u32),
    /// Starts one execution after the other: each as soon as the end of the one before is seen.
    Relay {
        exec: Box<Exec>,
        rounds: u16,
        look: Look,
    },
    /// Starts, cancels and removes executions with the same id.
    Reuse {
        exec: Box<Exec>,
        rounds: u16,
    },
    Nap(u32),
    /// Leaves room for this many threads and processes more; `None` is no limit.
    Room(Option<u64>),
    Shutdown,
}

impl Exec {
    /// Returns the standard input of the program, if it is known.
    pub(crate) fn known_input(&self) -> Option<&'static str> {
        match self.input {
            Input::None => Some(""),
            Input::Bytes(text) => Some(text),
            Input::Piped => None,
        }
    }
}

impl Shape {
    /// Returns the steps that one waits for.
    pub(crate) fn dependencies(&self, step: usize) -> Vec<usize> {
        match self {
            Self::Serial { .. } => step.checked_sub(1).into_iter().collect(),
            Self::Parallel { .. } => Vec::new(),
            Self::Graph(dependencies) => dependencies.get(step).cloned().unwrap_or_default(),
        }
    }
}

impl Plan {
    /// Returns the steps that one waits for.
    pub(crate) fn dependencies(&self, step: usize) -> Vec<usize> {
        let mut all = self.shape.dependencies(step);
        let conditions = self.options.get(step).into_iter().flat_map(|options| &options.only_if);
        all.extend(conditions.filter_map(StepCondition::step).filter_map(|step| match step {
            StepRef::Index(index) => Some(*index),
            StepRef::Name(_) => None,
        }));
        all
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "profile {}, seed {}", self.profile, self.seed)?;
        writeln!(f, "{:?}", self.settings)?;
        for (number, lane) in self.lanes.iter().enumerate() {
            writeln!(f, "caller {number}:")?;
            for op in lane {
                writeln!(f, "    {op}")?;
            }
        }
        write!(f, "at the end: {:?}", self.end)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(exec) => write!(f, "start {exec}"),
            Self::Run(exec) => write!(f, "run {exec}"),
            Self::Reuse { exec, rounds } => write!(f, "{rounds} times with one id: start {exec}"),
            Self::Relay { exec, rounds, look } => {
                write!(f, "{rounds} times, each when {look:?} shows the end: start {exec}")
            }
            Self::Plan(plan) => write!(f, "{plan}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "execution {}: {}", self.slot, self.program)?;
        if let Some(millis) = self.timeout_ms {
            write!(f, "; timeout {millis} ms")?;
        }
        if let Some((attempts, delay)) = self.retry {
            write!(f, "; {attempts} attempts, {delay} ms between")?;
        }
        if self.input != Input::None {
            write!(f, "; input {:?}", self.input)?;
        }
        if self.is_merged {
            f.write_str("; merged")?;
        }
        if let Some(millis) = self.idle_timeout_ms {
            write!(f, "; idle timeout {millis} ms")?;
        }
        if let Some(millis) = self.partial_after_ms {
            write!(f, "; partial lines after {millis} ms")?;
        }
        if self.priority != 0 {
            write!(f, "; priority {}", self.priority)?;
        }
        for Watcher { view, pace } in &self.watchers {
            write!(f, "; watched: {view:?} {pace:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan {}: {:?}", self.slot, self.shape)?;
        if let Some(millis) = self.deadline_ms {
            write!(f, "; deadline {millis} ms")?;
        }
        for pace in &self.watchers {
            write!(f, "; watched: {pace:?}")?;
        }
        for (number, step) in self.steps.iter().enumerate() {
            write!(f, "\n        step {number}: {step}")?;
            if let Some(options) = self.options.get(number) {
                let StepOptions { allow_failure, always, only_if, .. } = options;
                write!(f, "; may fail: {allow_failure}, always: {always}, only if {only_if:?}")?;
            }
        }
        Ok(())
    }
}

/// Returns the index of a stream in pairs.
pub(crate) fn index_of(stream: OutputStream) -> usize {
    usize::from(stream == OutputStream::Stderr)
}
