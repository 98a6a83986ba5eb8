//! The children that are measured: this program plays them itself, so that every contender gets
//! exactly the same ones and nothing has to be installed.

use std::io::Write as _;
use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

use crate::contender::Contender;
use crate::host::Host;
use crate::rows::lines::Listeners;
use crate::work::Work;

/// The length of a line, its newline included.
pub const LINE: usize = 100;
/// How much is written at once: what `cat` and the like do, and 655 whole lines.
const WRITE: usize = 64 * 1024 / LINE * LINE;

/// What a process of this program does instead of measuring.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Prints the monotonic clock and ends.
    Clock,
    /// Prints lines, so many bytes of them.
    Lines(u64),
    /// Runs `true` so many times, so many at a time, by one contender alone: for profilers.
    Work(Work),
    /// Lets one contender alone be told the lines of so many bytes: for profilers.
    Listen(Contender, u64),
    /// Measures in a process of its own what earlier measurements would spoil.
    Host(Host),
}

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Cmd {
    pub program: String,
    pub args: Vec<String>,
}

impl Cmd {
    pub fn new<const N: usize>(program: &str, args: [&str; N]) -> Self {
        Self { program: program.to_string(), args: args.map(str::to_string).to_vec() }
    }

    /// The least that a program can do.
    pub fn nothing() -> Self {
        Self::new("true", [])
    }

    pub fn clock() -> Self {
        Self::of_this_program(&["clock"])
    }

    pub fn lines(bytes: u64) -> Self {
        Self::of_this_program(&["lines", &bytes.to_string()])
    }

    pub fn of_this_program(args: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let args = std::iter::once("--child").chain(args.iter().copied());
        Self { program: program.display().to_string(), args: args.map(str::to_string).collect() }
    }
}

impl Part {
    pub fn parse(name: &str, rest: &[String]) -> Result<Self, String> {
        let first = rest.first().map_or("", String::as_str);
        match name {
            "clock" => Ok(Self::Clock),
            "lines" => number(rest, 0).map(Self::Lines),
            "listen" => {
                let who = Contender::parse(first).ok_or("there is no such contender")?;
                number(rest, 1).map(|bytes| Self::Listen(who, bytes))
            }
            "work" => Work::parse(rest).map(Self::Work),
            host => Host::parse(host, first).map(Self::Host),
        }
    }

    pub fn play(self) -> ExitCode {
        match self {
            Self::Clock => print_clock(),
            Self::Lines(bytes) => print_lines(bytes),
            Self::Work(work) => work.run(),
            Self::Listen(who, bytes) => {
                Listeners::new().listen(who, bytes);
            }
            Self::Host(host) => host.measure(),
        }
        ExitCode::SUCCESS
    }
}

fn number(words: &[String], index: usize) -> Result<u64, String> {
    let word = words.get(index).ok_or("a number is missing")?;
    word.parse().map_err(|error| format!("{word}: {error}"))
}

/// Nanoseconds of a clock that all processes of this machine share.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Its last act: no buffer, no newline, nothing to do after it.
fn print_clock() {
    let now = monotonic().to_string();
    std::io::stdout()
        .write_all(now.as_bytes())
        .and_then(|()| std::io::stdout().flush())
        .expect("stdout is open");
}

fn print_lines(bytes: u64) {
    let line = [&[b'x'; LINE - 1][..], b"\n"].concat();
    let block = line.repeat(WRITE / LINE);
    let mut left = usize::try_from(bytes).expect("bytes fit into memory sizes");
    while left > 0 {
        let now = left.min(block.len());
        match rustix::io::write(std::io::stdout(), &block[..now]) {
            Ok(written) => left -= written,
            Err(rustix::io::Errno::INTR) => {}
            // The reader has gone.
            Err(_) => return,
        }
    }
}
