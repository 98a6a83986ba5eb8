//! Who tries to escape, and what comes of it.

use execution_engine::*;
use tempfile::TempDir;

use test_support::lifeline::Lifeline;
use test_support::until;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containment/escapees.py");

/// A way of ending.
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

    /// What the main program does when all are there.
    fn then(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Limit => "flood",
            Self::Timeout | Self::Cancel | Self::Drop | Self::HostKilled => "stay",
        }
    }
}

/// What comes of an escapee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Ends,
    Escapes,
    /// It depends on where it is when it is looked for.
    MayEscape,
}

/// How an escapee tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It stays in the process group.
    Inside,
    /// It leaves the process group.
    Outside,
    /// It leaves the process group in one process after another, each of which lives for a moment.
    OutsideInAHurry,
    /// It leaves the group and clears its environment, but its parent is there.
    OutsideUnmarked,
    /// The same, and its parent has gone.
    Untraceable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: &'static str,
    way: Way,
}

const PARTS: [Part; 16] = [
    part("background", Way::Inside),
    part("pipeline", Way::Inside),
    part("own_group", Way::Outside),
    part("own_session", Way::Outside),
    part("daemon", Way::Outside),
    part("ignores_signals", Way::Inside),
    part("fork_loop", Way::Inside),
    part("session_loop", Way::OutsideInAHurry),
    part("tree_of_200", Way::Inside),
    part("stopped", Way::Inside),
    part("renamed_orphan", Way::Outside),
    part("cleared", Way::Inside),
    part("cleared_orphan", Way::Inside),
    part("cleared_session", Way::OutsideUnmarked),
    part("cleared_daemon", Way::Untraceable),
    part("headless", Way::Inside),
];

const fn part(kind: &'static str, way: Way) -> Part {
    Part { kind, way }
}

/// The table of docs/containment.md.
pub(crate) fn fate(part: Part, level: ContainmentLevel, end: End) -> Fate {
    let (level, end) = match (level, end) {
        // The sentinel knows more than the group; that of a dropped engine comes when the main
        // program has ended.
        (ContainmentLevel::ProcessGroup, End::Drop) => (ContainmentLevel::ProcessTree, End::Exit),
        (ContainmentLevel::ProcessGroup, End::HostKilled) => (ContainmentLevel::ProcessTree, end),
        as_it_is => as_it_is,
    };
    match (level, part.way) {
        (ContainmentLevel::Cgroup, _) | (_, Way::Inside) => Fate::Ends,
        (ContainmentLevel::ProcessTree, Way::Outside) => Fate::Ends,
        // Once the main program has ended nobody is its parent any more.
        (ContainmentLevel::ProcessTree, Way::OutsideUnmarked) if end == End::Exit => Fate::Escapes,
        (ContainmentLevel::ProcessTree, Way::OutsideUnmarked) => Fate::Ends,
        (ContainmentLevel::ProcessTree, Way::OutsideInAHurry) => Fate::MayEscape,
        _ => Fate::Escapes,
    }
}

/// An escapee at work.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) part: Part,
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
        PARTS.into_iter().map(case).collect()
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn ready(&self) -> PathBuf {
        self.home.path().join("ready")
    }

    /// Kind and home in one word.
    pub(crate) fn spelled(&self) -> String {
        format!("{}={}", self.part.kind, self.home.path().display())
    }

    pub(crate) fn request(&self, end: End) -> ExecutionRequest {
        ExecutionRequest { id: self.id, ..request(&self.spelled(), end) }
    }

    /// Ends what has escaped.
    pub(crate) async fn clean_up(&self) {
        std::fs::write(self.home.path().join("stop"), "").unwrap();
        if self.part.way == Way::OutsideInAHurry {
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
