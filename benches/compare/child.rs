//! The child programs that are measured: this program runs as them itself, so that every contender
//! gets the same ones and nothing has to be installed.

use std::io::Write as _;
use std::process::ExitCode;

use rustix::time::{ClockId, clock_gettime};

use crate::contender::Contender;
use crate::host::Host;
use crate::rows::lines::Readers;
use crate::work::Work;

/// Length of a line in bytes, newline included.
pub const LINE: usize = 100;
/// Bytes per write: like `cat`, and 655 whole lines.
const WRITE: usize = 64 * 1024 / LINE * LINE;

/// The role of a process of this program that does not measure.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Prints the monotonic clock and exits.
    Clock,
    /// Prints this many bytes of lines.
    Lines(u64),
    /// Runs `true` with one contender alone, for profilers.
    Work(Work),
    /// Delivers this many bytes of lines to one contender alone, for profilers.
    Listen(Contender, u64),
    /// Measures in a fresh process what earlier measurements would distort.
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

    /// Returns the command that does the least: `true`.
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
                let contender = Contender::parse(first).ok_or("there is no such contender")?;
                number(rest, 1).map(|bytes| Self::Listen(contender, bytes))
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
            Self::Listen(contender, bytes) => {
                Readers::new().listen(contender, bytes);
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

/// Returns the nanoseconds of a clock that all processes of the machine share.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// Prints the clock as the last act: no buffer, no newline, nothing after it.
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
            // The reader has closed the pipe.
            Err(_) => return,
        }
    }
}
