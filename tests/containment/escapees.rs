//! Processes that try to escape, and the expected result of each.

use execution_engine::*;
use tempfile::TempDir;

use test_support::lifeline::Lifeline;
use test_support::until;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containment/escapees.py");

/// Way in which an execution ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exit,
    Timeout,
    Cancel,
    Limit,
    Drop,
    HostKilled,
}

impl End {
    pub(crate) fn of(ending: &Ending) -> Option<Self> {
        Some(match ending {
            Ending::Exited { code: 0 } => Self::Exit,
            Ending::TimedOut { .. } => Self::Timeout,
            Ending::Cancelled => Self::Cancel,
            Ending::OutputLimit { .. } => Self::Limit,
            _ => return None,
        })
    }

    /// Returns what the main program does once all processes are ready.
    fn then(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Limit => "flood",
            Self::Timeout | Self::Cancel | Self::Drop | Self::HostKilled => "stay",
        }
    }
}

/// Expected result of an escapee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Ends,
    Escapes,
    /// Depends on the moment of the search.
    MayEscape,
}

/// Means of an escapee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// It stays in the process group.
    Inside,
    /// It leaves the process group.
    Outside,
    /// It leaves the process group in a sequence of short-lived processes.
    OutsideInAHurry,
    /// It leaves the group and removes both markers, but its parent is there.
    OutsideUnmarked,
    /// Like `OutsideUnmarked`, but its parent has exited.
    Untraceable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escapee {
    pub(crate) kind: &'static str,
    means: Means,
}

const ESCAPEES: [Escapee; 18] = [
    escapee("background", Means::Inside),
    escapee("pipeline", Means::Inside),
    escapee("own_group", Means::Outside),
    escapee("own_session", Means::Outside),
    escapee("daemon", Means::Outside),
    escapee("ignores_signals", Means::Inside),
    escapee("fork_loop", Means::Inside),
    escapee("session_loop", Means::OutsideInAHurry),
    escapee("tree_of_200", Means::Inside),
    escapee("stopped", Means::Inside),
    escapee("renamed_orphan", Means::Outside),
    escapee("cleared", Means::Inside),
    escapee("cleared_orphan", Means::Inside),
    escapee("cleared_session", Means::Outside),
    escapee("cleared_daemon", Means::Outside),
    escapee("unmarked_session", Means::OutsideUnmarked),
    escapee("unmarked_daemon", Means::Untraceable),
    escapee("headless", Means::Inside),
];

const fn escapee(kind: &'static str, means: Means) -> Escapee {
    Escapee { kind, means }
}

/// Returns the expected result: the table of docs/containment.md.
pub(crate) fn expected(part: Escapee, level: ContainmentLevel, end: End) -> Expected {
    let (level, end) = match (level, end) {
        // The host guard finds more than the group. With a dropped engine it comes after the main
        // program has ended.
        (ContainmentLevel::ProcessGroup, End::Drop) => (ContainmentLevel::ProcessTree, End::Exit),
        (ContainmentLevel::ProcessGroup, End::HostKilled) => (ContainmentLevel::ProcessTree, end),
        as_it_is => as_it_is,
    };
    match (level, part.means) {
        (ContainmentLevel::Cgroup, _) | (_, Means::Inside) => Expected::Ends,
        (ContainmentLevel::ProcessTree, Means::Outside) => Expected::Ends,
        // After the end of the main program it has no parent in the tree.
        (ContainmentLevel::ProcessTree, Means::OutsideUnmarked) if end == End::Exit => {
            Expected::Escapes
        }
        (ContainmentLevel::ProcessTree, Means::OutsideUnmarked) => Expected::Ends,
        (ContainmentLevel::ProcessTree, Means::OutsideInAHurry) => Expected::MayEscape,
        _ => Expected::Escapes,
    }
}

/// A running escapee.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) part: Escapee,
    pub(crate) life: Lifeline,
    home: TempDir,
    id: Uuid,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let case = |part| {
            let home = TempDir::new().unwrap();
            Self { part, life: Lifeline::new(home.path()), home, id: Uuid::new_v4() }
        };
        ESCAPEES.into_iter().map(case).collect()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn ready(&self) -> PathBuf {
        self.home.path().join("ready")
    }

    /// Returns kind and home in one word.
    pub(crate) fn spelled(&self) -> String {
        format!("{}={}", self.part.kind, self.home.path().display())
    }

    pub(crate) fn request(&self, end: End) -> ExecutionRequest {
        ExecutionRequest { id: self.id, ..request(&self.spelled(), end) }
    }

    /// Ends the processes that have escaped.
    pub(crate) async fn clean_up(&self) {
        std::fs::write(self.home.path().join("stop"), "").unwrap();
        if self.part.means == Means::OutsideInAHurry {
            // It may have been ended before it began.
            until("it stops by itself", || self.life.is_free()).await;
        }
        self.life.end_all().await;
    }
}

pub(crate) fn request(spelled: &str, end: End) -> ExecutionRequest {
    let (kind, home) = spelled.split_once('=').unwrap();
    ExecutionRequest::exec("python3", [PROGRAM, kind, home, end.then()])
}
