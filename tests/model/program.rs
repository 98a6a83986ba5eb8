//! Programs of a history: shell lines whose output is known to the byte.

use std::fmt;
use std::path::Path;

use execution_engine::OutputStream;
use test_support::lifeline::holding;

/// What a program does, one after the other, and how it ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub(crate) acts: Vec<Act>,
    pub(crate) last: Last,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Print(OutputStream, Text),
    Sleep(u16),
    /// Leaves a child in the background, with all descriptors of the program.
    LeaveChild,
    /// From here on SIGTERM does nothing.
    IgnoreStop,
    /// Copies its standard input to its output.
    CopyInput,
    /// Exits here with code 75, but only in the first attempt.
    FailOnce,
}

/// How a program ends if nothing stops it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Last {
    Exit(u8),
    KillItself,
    /// Sleeps for longer than any history takes.
    SleepOn,
    /// There is no such program: the request is refused.
    NoProgram,
    /// The file is no program: the system refuses to start it.
    NotAProgram,
}

/// Output of one act.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Text {
    pub(crate) piece: &'static str,
    pub(crate) times: u16,
    pub(crate) writes: Writes,
}

/// In how many writes a text is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Writes {
    One,
    OnePerPiece,
    OnePerByte,
    /// Two, and between them a pause that is long enough for them to be told apart. This many bytes
    /// are in the first.
    Apart(u8),
}

/// Pause between output that the journal is to hold in two entries, in milliseconds.
pub(crate) const PAUSE: u16 = 25;

/// Exit code of [`Act::FailOnce`].
pub(crate) const FAILS_ONCE: i32 = 75;

/// Output of a program that nothing has stopped: the bytes of stdout and of stderr, and its exit
/// code, if it exits.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Expected {
    pub(crate) output: [Vec<u8>; 2],
    pub(crate) code: Option<i32>,
}

impl Text {
    fn bytes(&self) -> Vec<u8> {
        self.piece.repeat(usize::from(self.times)).into_bytes()
    }

    fn shell(&self, redirect: &str) -> String {
        let Self { piece, times, writes } = self;
        match writes {
            Writes::One => {
                let whole = piece.repeat(usize::from(*times));
                format!("printf %s '{whole}'{redirect}")
            }
            Writes::OnePerPiece => format!(
                "i=0; while [ $i -lt {times} ]; do printf %s '{piece}'; i=$((i+1)); done{redirect}"
            ),
            Writes::OnePerByte => {
                let write = |byte: &u8| format!("{}{redirect}; ", print(&[*byte]));
                self.bytes().iter().map(write).chain([":".to_string()]).collect()
            }
            Writes::Apart(first) => {
                let bytes = self.bytes();
                let (first, rest) = bytes.split_at(usize::from(*first).min(bytes.len()));
                let pause = sleep(PAUSE);
                format!("{}{redirect}; {pause}; {}{redirect}", print(first), print(rest))
            }
        }
    }
}

/// Returns the call that prints these bytes with one write.
fn print(bytes: &[u8]) -> String {
    let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
    format!("printf '{octal}'")
}

fn sleep(millis: u16) -> String {
    format!("sleep {:.3}", f64::from(millis) / 1000.0)
}

impl Program {
    /// Returns the shell line. It holds the lifeline of `home`, and appends its key to `ran`.
    pub(crate) fn line(&self, home: &Path, ran: &Path, key: &str) -> String {
        let mut parts = vec![format!("echo {key} >>'{}'", ran.display())];
        for act in &self.acts {
            parts.push(match act {
                Act::Print(OutputStream::Stdout, text) => text.shell(""),
                Act::Print(OutputStream::Stderr, text) => text.shell(" >&2"),
                Act::Sleep(millis) => sleep(*millis),
                Act::LeaveChild => "sleep 30 &".to_string() + " :",
                Act::IgnoreStop => "trap '' TERM".to_string(),
                Act::CopyInput => "cat".to_string(),
                Act::FailOnce => {
                    let flag = home.join("failed");
                    format!("[ -e '{0}' ] || {{ : >'{0}'; exit {FAILS_ONCE}; }}", flag.display())
                }
            });
        }
        parts.push(match self.last {
            Last::Exit(code) => format!("exit {code}"),
            Last::KillItself => "kill -KILL $$".to_string(),
            Last::SleepOn => "exec sleep 30".to_string(),
            Last::NoProgram | Last::NotAProgram => String::new(),
        });
        holding(home, &parts.join("; "))
    }

    /// Returns what an attempt prints that nothing stops. `input` is its standard input.
    pub(crate) fn expected(&self, is_first: bool, is_merged: bool, mut input: &[u8]) -> Expected {
        let mut expected = Expected::default();
        for act in &self.acts {
            match act {
                Act::Print(stream, text) => {
                    let index = usize::from(*stream == OutputStream::Stderr && !is_merged);
                    expected.output[index].extend(text.bytes());
                }
                // A second one finds nothing.
                Act::CopyInput => expected.output[0].extend_from_slice(std::mem::take(&mut input)),
                Act::FailOnce if is_first => {
                    return Expected { code: Some(FAILS_ONCE), ..expected };
                }
                Act::FailOnce | Act::Sleep(_) | Act::LeaveChild | Act::IgnoreStop => {}
            }
        }
        if let Last::Exit(code) = self.last {
            expected.code = Some(i32::from(code));
        }
        expected
    }

    /// Returns `true` if it can be started.
    pub(crate) fn can_start(&self) -> bool {
        !matches!(self.last, Last::NoProgram | Last::NotAProgram)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for act in &self.acts {
            match act {
                Act::Print(stream, text) => write!(f, "{stream} {text}, ")?,
                Act::Sleep(millis) => write!(f, "sleep {millis} ms, ")?,
                Act::LeaveChild => f.write_str("leave a child, ")?,
                Act::IgnoreStop => f.write_str("ignore SIGTERM, ")?,
                Act::CopyInput => f.write_str("copy its input, ")?,
                Act::FailOnce => f.write_str("fail the first time, ")?,
            }
        }
        match self.last {
            Last::Exit(code) => write!(f, "exit {code}"),
            Last::KillItself => f.write_str("kill itself"),
            Last::SleepOn => f.write_str("sleep on"),
            Last::NoProgram => f.write_str("(no program)"),
            Last::NotAProgram => f.write_str("(not a program)"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.piece)?;
        if self.times != 1 {
            write!(f, "x{}", self.times)?;
        }
        match self.writes {
            Writes::One => Ok(()),
            Writes::OnePerPiece => f.write_str(" piece by piece"),
            Writes::OnePerByte => f.write_str(" byte by byte"),
            Writes::Apart(first) => write!(f, " with a pause behind {first} bytes"),
        }
    }
}
