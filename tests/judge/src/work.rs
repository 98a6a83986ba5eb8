//! The programs that the judged service runs, and what is known of them beforehand.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::http::Socket;

/// A program that appends its key once to a file, prints numbered lines on both streams, and exits with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Its key, which is unique.
    pub key: String,
    /// Number of lines on each stream.
    pub lines: u32,
    /// Number of lines after each of which it pauses for a moment; 0 is never.
    pub pause_every: u32,
    /// Its exit code.
    pub exit_code: i32,
}

/// What the program writes first: bytes that are no UTF-8.
const PREFIX: &[u8] = b"\xff\x00\xfe\n";

const SCRIPT: &str = r#"
echo "$1" >> "$2"
printf '\377\000\376\n'
i=0
while [ $i -lt $3 ]; do
    i=$((i + 1))
    echo "$1 out $i"
    echo "$1 err $i" >&2
    if [ $4 -gt 0 ] && [ $((i % $4)) -eq 0 ]; then sleep 0.2; fi
done
exit $5
"#;

impl Work {
    /// Creates work at random: most of it short, some with much output, some that lasts seconds.
    pub fn random(key: String, random: &mut Rng) -> Self {
        let exit_code = if random.bool() { 0 } else { random.i32(1..=100) };
        let (lines, pause_every) = match random.u8(..10) {
            // More than is kept beside the row.
            0 => (random.u32(2_000..4_000), 0),
            1 | 2 => (random.u32(20..100), 10),
            3 => (0, 0),
            _ => (random.u32(1..20), 0),
        };
        Self { key, lines, pause_every, exit_code }
    }

    /// Returns the arguments that run it, and append the key to `effects`.
    pub fn arguments(&self, effects: &Path) -> Vec<String> {
        let effects = effects.to_str().expect("UTF-8");
        let (lines, pause) = (self.lines.to_string(), self.pause_every.to_string());
        let code = self.exit_code.to_string();
        ["/bin/sh", "-c", SCRIPT, "storm", &self.key, effects, &lines, &pause, &code]
            .map(str::to_string)
            .to_vec()
    }

    /// Returns the body of a request that runs it.
    pub fn body(&self, effects: &Path) -> Value {
        let arguments = self.arguments(effects);
        json!({
            "request": {
                "command": {"type": "exec", "program": arguments[0], "args": arguments[1..]},
                "env": {"PATH": "/usr/local/bin:/usr/bin:/bin"},
                "working_dir": "/",
                "metadata": {"tags": ["storm"]},
            },
        })
    }

    /// Returns what it writes to a stream.
    pub fn output(&self, stream: Stream) -> Vec<u8> {
        let mut bytes = match stream {
            Stream::Stdout => PREFIX.to_vec(),
            Stream::Stderr => Vec::new(),
        };
        let word = if stream == Stream::Stdout { "out" } else { "err" };
        for line in 1..=self.lines {
            bytes.extend_from_slice(format!("{} {word} {line}\n", self.key).as_bytes());
        }
        bytes
    }
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Returns its name in requests and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Returns how often each key was appended.
pub fn effects(file: &Path) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for key in std::fs::read_to_string(file).unwrap_or_default().lines() {
        *counts.entry(key.to_string()).or_default() += 1;
    }
    counts
}

/// Judges an execution as the service shows it, with the output that it returns.
pub fn judge(work: &Work, view: &Value, stdout: &[u8], stderr: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    let status = if work.exit_code == 0 { "completed" } else { "failed" };
    if view["status"] != status || view["exit_code"] != work.exit_code {
        let ending = format!("{} {} {}", view["status"], view["exit_code"], view["ending"]);
        faults.push(format!("{}: exits with {}, is {ending}", work.key, work.exit_code));
    }
    for (stream, found) in Stream::BOTH.into_iter().zip([stdout, stderr]) {
        let name = stream.name();
        let written = work.output(stream);
        if let Some(difference) = difference(&written, found) {
            faults.push(format!("{}: {name}: {difference}", work.key));
        }
        if view["bytes"][name] != written.len() {
            let bytes = &view["bytes"][name];
            faults.push(format!("{}: {name} has {} bytes, told {bytes}", work.key, written.len()));
        }
    }
    faults
}

/// Says where two texts begin to differ.
pub fn difference(written: &[u8], found: &[u8]) -> Option<String> {
    if written == found {
        return None;
    }
    let same = written.iter().zip(found).take_while(|(one, other)| one == other).count();
    let (written, found) = (written.len(), found.len());
    Some(format!("{written} bytes written, {found} found, the same up to {same}"))
}

/// What a follower has seen.
#[derive(Debug, Default)]
pub struct Followed {
    /// Bytes of each stream.
    pub stdout: Vec<u8>,
    /// Bytes of each stream.
    pub stderr: Vec<u8>,
    /// The execution as the last event has it.
    pub ended: Value,
    /// The id of the last event.
    pub cursor: u64,
    /// Ids and names of all events.
    pub events: Vec<(u64, String)>,
    /// How often the connection was lost.
    pub losses: usize,
}

/// Follows an execution to its end, across deaths of the service, each of which is waited for with `again`.
///
/// Fails with what a follower must never see.
pub fn follow(
    socket: &Socket,
    id: &str,
    mut again: impl FnMut(&io::Error),
) -> Result<Followed, String> {
    let mut seen = Followed::default();
    loop {
        match follow_once(socket, id, &mut seen) {
            Ok(true) => return Ok(seen),
            // The service ended in an orderly way, between two events.
            Ok(false) => {
                seen.losses += 1;
                again(&io::ErrorKind::UnexpectedEof.into());
            }
            Err(Stop::Fault(fault)) => return Err(format!("{id}: {fault}")),
            Err(Stop::Lost(error)) => {
                seen.losses += 1;
                again(&error);
            }
        }
    }
}

enum Stop {
    Fault(String),
    Lost(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::Other => Self::Fault(error.to_string()),
            _ => Self::Lost(error),
        }
    }
}

/// Returns `true` when the last event was seen.
fn follow_once(socket: &Socket, id: &str, seen: &mut Followed) -> Result<bool, Stop> {
    let Some(mut events) = socket.events(id, seen.cursor)? else {
        return Err(Stop::Fault(format!("nothing behind {}, before the end", seen.cursor)));
    };
    while let Some(event) = events.next_event()? {
        if event.cursor <= seen.cursor {
            return Err(Stop::Fault(format!("event {} after {}", event.cursor, seen.cursor)));
        }
        seen.cursor = event.cursor;
        seen.events.push((event.cursor, event.name.clone()));
        match event.name.as_str() {
            "output" => {
                let stream = match event.data["stream"].as_str() {
                    Some("stdout") => &mut seen.stdout,
                    Some("stderr") => &mut seen.stderr,
                    _ => return Err(Stop::Fault(format!("no stream: {}", event.data))),
                };
                let bytes = bytes_of(&event.data);
                stream
                    .extend(bytes.ok_or_else(|| Stop::Fault(format!("no bytes: {}", event.data)))?);
            }
            "missed" => return Err(Stop::Fault(format!("missed: {}", event.data))),
            "error" => return Err(Stop::Fault(event.data.to_string())),
            "ended" => {
                seen.ended = event.data["execution"].clone();
                return Ok(true);
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Returns the bytes of an event with output.
fn bytes_of(data: &Value) -> Option<Vec<u8>> {
    match (data["text"].as_str(), data["base64"].as_str()) {
        (Some(text), None) => Some(text.as_bytes().to_vec()),
        (None, Some(text)) => base64(text),
        _ => None,
    }
}

/// Decodes base64 of the standard alphabet, with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let digits: Vec<_> = group.iter().take_while(|digit| **digit != b'=').collect();
        let mut number = 0u32;
        for digit in &digits {
            let value = ALPHABET.iter().position(|known| known == *digit)?;
            number = number << 6 | u32::try_from(value).ok()?;
        }
        if group.len() != 4 || digits.len() < 2 {
            return None;
        }
        number <<= 6 * (4 - digits.len());
        bytes.extend_from_slice(&number.to_be_bytes()[1..digits.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        Work { key: "k".to_string(), lines: 2, pause_every: 0, exit_code: 3 }
    }

    #[test]
    fn the_program_does_what_is_known_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let effects_file = dir.path().join("effects");
        let arguments = work().arguments(&effects_file);
        let mut program = crate::preload::command(&arguments[0]);
        let output = program.args(&arguments[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, work().output(Stream::Stdout));
        assert_eq!(output.stderr, work().output(Stream::Stderr));
        assert_eq!(effects(&effects_file), HashMap::from([("k".to_string(), 1)]));
    }

    #[test]
    fn a_wrong_ending_or_output_is_a_fault() {
        let right =
            json!({"status": "failed", "exit_code": 3, "bytes": {"stdout": 20, "stderr": 16}});
        let (out, err) = (work().output(Stream::Stdout), work().output(Stream::Stderr));
        assert_eq!(judge(&work(), &right, &out, &err), [""; 0]);
        assert_eq!(judge(&work(), &right, &out[1..], &err).len(), 1);
        assert_eq!(judge(&work(), &right, &[&out[..], b"k out 2\n"].concat(), &err).len(), 1);
        for (field, value) in
            [("status", json!("lost")), ("exit_code", json!(0)), ("bytes", json!({}))]
        {
            let mut wrong = right.clone();
            wrong[field] = value;
            assert!(!judge(&work(), &wrong, &out, &err).is_empty(), "{field}");
        }
    }

    #[test]
    fn base64_is_decoded() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("/w==", b"\xff"),
            ("/wA=", b"\xff\x00"),
            ("/wD+Cg==", b"\xff\x00\xfe\n"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("/w"), None);
    }
}
