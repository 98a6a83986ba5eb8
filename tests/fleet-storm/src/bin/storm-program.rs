//! A program that executions of the storm run: it connects to the register, writes to it while it
//! lives, and prints numbered lines.
//!
//! `storm-program REGISTER LINES PAUSE_MS LINE_BYTES`

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Time between two writes to the register.
const BEAT: Duration = Duration::from_millis(50);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [register, lines, pause_ms, line_bytes] = &arguments[..] else {
        panic!("usage: storm-program REGISTER LINES PAUSE_MS LINE_BYTES");
    };
    let pause = Duration::from_millis(pause_ms.parse().unwrap());
    let (lines, line_bytes): (u64, usize) = (lines.parse().unwrap(), line_bytes.parse().unwrap());
    let variable = |name: &str| std::env::var(name).unwrap();
    let (id, fence) = (variable("EXECUTION_ENGINE_ID"), variable("EXECUTION_ENGINE_FENCE"));
    let secret = format!("secret of {}", id.replace('-', ""));
    assert_eq!(variable("STORM_SECRET"), secret, "what was sealed is not what came");
    let stream = UnixStream::connect(register).unwrap();
    let mut register = Register { answers: BufReader::new(stream.try_clone().unwrap()), stream };
    register.tell(&format!("hello {id} {fence} {}", std::process::id()));
    let mut out = std::io::stdout().lock();
    let mut last = Instant::now();
    for number in 0..lines {
        let mut line = format!("{fence} {number} ");
        line.extend(std::iter::repeat_n('x', line_bytes.saturating_sub(line.len() + 1)));
        writeln!(out, "{line}").unwrap();
        if !pause.is_zero() {
            out.flush().unwrap();
            pause_for(pause);
        }
        if last.elapsed() >= BEAT {
            last = Instant::now();
            register.tell("write");
        }
    }
    register.tell("write");
    writeln!(out, "end {lines}").unwrap();
    out.flush().unwrap();
}

struct Register {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Register {
    /// Sends a line and waits for the answer. A refused write is the register's to count.
    fn tell(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a child process that works for a while")]
fn pause_for(time: Duration) {
    std::thread::sleep(time);
}
