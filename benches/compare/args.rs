//! Command-line arguments.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::child::Part;
use crate::rows::GROUPS;

pub const HELP: &str = "\
usage: cargo bench -p execution-engine-bench -- [--quick | --large] [--json FILE] [--markdown FILE] [--list] [GROUP ..]

  GROUP            measure only the groups whose name contains this
  --quick          few rounds, for a trial run; the figures mean little
  --large          a million finished executions instead of 100,000 in the group service
  --json FILE      also write the table as JSON
  --markdown FILE  also write the table as Markdown
  --list           list the groups";

pub enum Task {
    Help,
    List,
    Measure(Wanted),
    /// This process is one of the measured children.
    Child(Part),
}

#[derive(Debug, Default)]
pub struct Wanted {
    pub size: Size,
    pub json: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    groups: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    #[default]
    Full,
    Quick,
    /// As full, with more where the number itself is measured.
    Large,
}

impl Size {
    /// Returns a number that `--quick` makes smaller.
    pub fn of(self, full: usize, quick: usize) -> usize {
        match self {
            Self::Full | Self::Large => full,
            Self::Quick => quick,
        }
    }

    /// Returns the flag that gives another process of this program the same size.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Large => "large",
        }
    }
}

impl Wanted {
    pub fn includes(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|wanted| group.contains(wanted.as_str()))
    }
}

pub fn parse() -> Result<Task, lexopt::Error> {
    let mut wanted = Wanted::default();
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("quick") => wanted.size = Size::Quick,
            Arg::Long("large") => wanted.size = Size::Large,
            Arg::Long("json") => wanted.json = Some(parser.value()?.into()),
            Arg::Long("markdown") => wanted.markdown = Some(parser.value()?.into()),
            Arg::Long("list") => return Ok(Task::List),
            Arg::Long("child") => {
                let part = parser.value()?.string()?;
                let rest: Vec<_> =
                    parser.raw_args()?.map(|arg| arg.string()).collect::<Result<_, _>>()?;
                return Ok(Task::Child(Part::parse(&part, &rest)?));
            }
            // Cargo passes this flag to every benchmark.
            Arg::Long("bench") => {}
            Arg::Long("help") | Arg::Short('h') => return Ok(Task::Help),
            Arg::Value(group) => wanted.groups.push(group.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let unknown = wanted
        .groups
        .iter()
        .find(|name| !GROUPS.iter().any(|group| group.name.contains(name.as_str())));
    match unknown {
        Some(name) => Err(format!("unknown group {name}; see --list").into()),
        None => Ok(Task::Measure(wanted)),
    }
}
