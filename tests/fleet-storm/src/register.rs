//! A store that refuses lower fences than the highest it has seen, and notes who lived when.
//!
//! It listens on a Unix socket, so that programs reach it whatever happens to the network.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use uuid::Uuid;

/// One start of a program, as the register saw it.
#[derive(Debug, Clone)]
pub struct Life {
    /// Fence of the start.
    pub fence: u64,
    /// Process id as the program knows it.
    pub pid: u32,
    /// When it connected.
    pub first: Instant,
    /// Its last sign of life.
    pub last: Instant,
    /// When its connection was closed, by its end.
    pub closed: Option<Instant>,
    /// How many writes it made.
    pub writes: u64,
}

/// Two starts of an execution that lived at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The execution.
    pub id: Uuid,
    /// The start that was alive, and the one that connected then.
    pub fences: (u64, u64),
}

/// What was seen of all programs.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Starts by execution, in the order in which they connected.
    pub lives: HashMap<Uuid, Vec<Life>>,
    /// Starts that lived at the same time.
    pub overlaps: Vec<Overlap>,
    /// Writes with a lower fence than the highest that were refused.
    pub stale_refused: u64,
    /// Such writes that were accepted.
    pub stale_accepted: u64,
    highest: HashMap<Uuid, u64>,
}

/// The register. It serves until the process ends.
#[derive(Clone)]
pub struct Register(Arc<Shared>);

struct Shared {
    is_fencing: bool,
    seen: Mutex<Seen>,
    /// Connections of those that live.
    open: Mutex<Vec<(Uuid, u64, UnixStream)>>,
}

impl Register {
    /// Starts the register. Without fencing it accepts what it must refuse.
    ///
    /// # Panics
    ///
    /// If the socket cannot be made.
    pub fn start(socket: &Path, is_fencing: bool) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (seen, open) = (Mutex::default(), Mutex::default());
        let register = Self(Arc::new(Shared { is_fencing, seen, open }));
        let accepting = register.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let register = accepting.clone();
                std::thread::spawn(move || register.serve(stream));
            }
        });
        register
    }

    /// Returns what was seen so far.
    pub fn seen(&self) -> Seen {
        self.0.seen.lock().clone()
    }

    /// Serves a program until it is gone. One that is killed may leave half a line.
    fn serve(&self, stream: UnixStream) {
        let Ok(answers) = stream.try_clone() else { return };
        let mut lines = BufReader::new(stream).lines();
        let Some(Ok(hello)) = lines.next() else { return };
        let words: Vec<_> = hello.split(' ').collect();
        let ["hello", id, fence, pid] = words[..] else { return };
        let (Ok(id), Ok(fence), Ok(pid)) = (id.parse(), fence.parse(), pid.parse()) else { return };
        let index = self.begin(id, fence, pid, &answers);
        let mut answers = answers;
        let mut is_fresh = self.write(id, index);
        loop {
            let answer: &[u8] = if is_fresh { b"ok\n" } else { b"stale\n" };
            if answers.write_all(answer).is_err() {
                break;
            }
            let Some(Ok(_)) = lines.next() else { break };
            is_fresh = self.write(id, index);
        }
        self.0.open.lock().retain(|(of, with, _)| (*of, *with) != (id, fence));
        let mut seen = self.0.seen.lock();
        if let Some(life) = seen.lives.get_mut(&id).and_then(|lives| lives.get_mut(index)) {
            life.closed = Some(Instant::now());
        }
    }

    /// Notes a start, and which others of its execution live now.
    fn begin(&self, id: Uuid, fence: u64, pid: u32, stream: &UnixStream) -> usize {
        let mut open = self.0.open.lock();
        let others = open.iter().filter(|(of, with, _)| *of == id && *with != fence);
        let living = others.filter(|(_, _, stream)| is_open(stream));
        let overlaps: Vec<_> =
            living.map(|(_, other, _)| Overlap { id, fences: (*other, fence) }).collect();
        open.extend(stream.try_clone().map(|stream| (id, fence, stream)));
        let mut seen = self.0.seen.lock();
        seen.overlaps.extend(overlaps);
        let now = Instant::now();
        let lives = seen.lives.entry(id).or_default();
        lives.push(Life { fence, pid, first: now, last: now, closed: None, writes: 0 });
        lives.len() - 1
    }

    /// Takes a write. Returns `false` if its fence is not the highest.
    fn write(&self, id: Uuid, index: usize) -> bool {
        let mut seen = self.0.seen.lock();
        let lives = seen.lives.entry(id).or_default();
        let life = &mut lives[index];
        (life.last, life.writes) = (Instant::now(), life.writes + 1);
        let fence = life.fence;
        let highest = seen.highest.entry(id).or_default();
        let is_stale = fence < *highest;
        *highest = fence.max(*highest);
        match (is_stale, self.0.is_fencing) {
            (false, _) => true,
            (true, true) => {
                seen.stale_refused += 1;
                false
            }
            (true, false) => {
                seen.stale_accepted += 1;
                true
            }
        }
    }
}

/// Returns `true` if the process at the other end of a connection lives.
fn is_open(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut fds, Some(&now));
    polled.is_ok() && !fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
