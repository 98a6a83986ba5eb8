//! Points at which tests let a keeper die. Without a hook they do nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// A point in the path of an execution through a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultPoint {
    /// A start was asked for, and nothing has been done.
    StartBegin,
    /// The journal is there, and the program has not been started.
    JournalCreated,
    /// The engine has started the program, and no client has been told.
    Started,
    /// Output is in the journal, and no client has been told.
    OutputWritten,
    /// The execution has ended, and nothing says so.
    BeforeEnded,
    /// The ending is in the journal, and no client has been told.
    EndedWritten,
    /// The ending is with the connections.
    EndedTold,
    /// The execution is to be forgotten, and nothing has been done.
    BeforeForget,
    /// The journal is gone, and the execution is still known.
    JournalRemoved,
    /// The execution is forgotten, and the client has no answer.
    Forgotten,
}

impl FaultPoint {
    /// All points, in the order in which an execution comes to them.
    pub const ALL: [Self; 10] = [
        Self::StartBegin,
        Self::JournalCreated,
        Self::Started,
        Self::OutputWritten,
        Self::BeforeEnded,
        Self::EndedWritten,
        Self::EndedTold,
        Self::BeforeForget,
        Self::JournalRemoved,
        Self::Forgotten,
    ];

    /// Returns the name of the point, in snake_case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StartBegin => "start_begin",
            Self::JournalCreated => "journal_created",
            Self::Started => "started",
            Self::OutputWritten => "output_written",
            Self::BeforeEnded => "before_ended",
            Self::EndedWritten => "ended_written",
            Self::EndedTold => "ended_told",
            Self::BeforeForget => "before_forget",
            Self::JournalRemoved => "journal_removed",
            Self::Forgotten => "forgotten",
        }
    }
}

type Hook = Box<dyn Fn(FaultPoint) + Send + Sync>;

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Calls `hook` at each point from now on. The first hook of a process stays.
#[doc(hidden)]
pub fn install(hook: impl Fn(FaultPoint) + Send + Sync + 'static) {
    let _first_stays = HOOK.set(Box::new(hook));
}

/// Kills this process with SIGKILL at a point, given as `NAME` or as `NAME:N` for its N-th time.
///
/// # Errors
///
/// The text says which name or number is not known.
#[doc(hidden)]
pub fn kill_at(spec: &str) -> Result<(), String> {
    let (name, times) = spec.split_once(':').unwrap_or((spec, "1"));
    let point = FaultPoint::ALL.into_iter().find(|point| point.name() == name);
    let point = point.ok_or_else(|| format!("there is no fault point {name:?}"))?;
    let times: u32 = times.parse().map_err(|_| format!("{times:?} is no number of times"))?;
    let seen = AtomicU32::new(0);
    install(move |reached| {
        if reached == point && seen.fetch_add(1, Ordering::Relaxed) + 1 == times {
            let killed = kill_process(getpid(), Signal::KILL);
            unreachable!("a process outlives its SIGKILL: {killed:?}");
        }
    });
    Ok(())
}

/// Tells the hook, if there is one, that a point is reached.
pub(crate) fn reached(point: FaultPoint) {
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}
