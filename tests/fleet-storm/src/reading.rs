//! Reads an execution from its first record to its last, and checks its output on the way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use execution_engine_fleet::{FleetClient, FleetError, FleetEvent, Follower, Outcome, Position};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::fleet::{Work, pause};

/// Output of one start, as it was told.
#[derive(Debug, Clone)]
struct Lines {
    fence: u64,
    next: u64,
    partial: Vec<u8>,
    has_ended: bool,
    bytes: u64,
    digest: Sha256,
    wrong: Option<String>,
}

/// One start, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldStart {
    /// Its fence.
    pub fence: u64,
    /// Its worker.
    pub worker: String,
    /// Bytes of its output, and their SHA-256.
    pub output: (u64, String),
    /// Bytes that are missing in it.
    pub missed: u64,
    /// Whether its worker was declared lost.
    pub is_lost: bool,
    /// Whether all of its lines and the last one came.
    pub is_whole: bool,
}

/// What a reader was told of an execution. Two readers are told the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its starts, in order.
    pub starts: Vec<ToldStart>,
    /// What became of it.
    pub outcome: Outcome,
    /// The ending that the worker of the last start reported.
    pub ending: Option<Value>,
    /// What is wrong in the output.
    pub wrong: Vec<String>,
}

/// What a reader was told, with when it came.
#[derive(Debug, Clone)]
pub struct Watch {
    /// All that was told.
    pub told: Told,
    /// When each start was known to be over, by its fence.
    pub over: BTreeMap<u64, Instant>,
}

/// Reads an execution that has ended. `None` if it does not end before the deadline.
pub async fn read(client: &FleetClient, id: Uuid, work: Work, until: Instant) -> Option<Told> {
    watch(std::slice::from_ref(client), id, work, until, &mut fastrand::Rng::with_seed(0))
        .await
        .map(|watch| watch.told)
}

/// Follows an execution to its end. With more than one client it leaves now and then for a while, and
/// goes on with the next client where it was. `None` if there is no end before the deadline.
pub async fn watch(
    clients: &[FleetClient],
    id: Uuid,
    work: Work,
    until: Instant,
    random: &mut fastrand::Rng,
) -> Option<Watch> {
    let mut reading = Reading { work, starts: Vec::new(), over: BTreeMap::new() };
    let mut position = Position::default();
    for turn in 0.. {
        let client = &clients[turn % clients.len()];
        let events = if clients.len() > 1 { random.usize(1..6) } else { usize::MAX };
        let mut follower = client.follow(id, position);
        match reading.follow(&mut follower, &mut position, events, until).await {
            Followed::Ended(told) => return Some(Watch { told: *told, over: reading.over }),
            Followed::Late => return None,
            Followed::Left => pause(Duration::from_millis(random.u64(50..3000))).await,
        }
    }
    None
}

enum Followed {
    Ended(Box<Told>),
    /// It was to leave after some events.
    Left,
    Late,
}

struct Reading {
    work: Work,
    starts: Vec<(ToldStart, Lines)>,
    over: BTreeMap<u64, Instant>,
}

impl Reading {
    async fn follow(
        &mut self,
        follower: &mut Follower,
        position: &mut Position,
        events: usize,
        until: Instant,
    ) -> Followed {
        let mut seen = 0;
        loop {
            let next = tokio::time::timeout_at(until.into(), follower.next());
            let (at, event) = match next.await {
                Ok(Ok(Some(next))) => next,
                Ok(Err(FleetError::Cluster(_))) if Instant::now() < until => {
                    pause(Duration::from_millis(100)).await;
                    continue;
                }
                Ok(Ok(None) | Err(_)) | Err(_) => return Followed::Late,
            };
            *position = at;
            if let Some(told) = self.take(event) {
                return Followed::Ended(Box::new(told));
            }
            seen += 1;
            if seen >= events && !follower.has_more() {
                return Followed::Left;
            }
        }
    }

    /// Takes an event. Returns all that was told if it is the last.
    fn take(&mut self, event: FleetEvent) -> Option<Told> {
        let now = Instant::now();
        match event {
            FleetEvent::Claimed { start, .. } => {
                let lines = Lines::new(start.fence);
                let start = ToldStart {
                    fence: start.fence,
                    worker: start.worker,
                    output: (0, String::new()),
                    missed: 0,
                    is_lost: false,
                    is_whole: false,
                };
                self.starts.push((start, lines));
            }
            FleetEvent::Output { bytes, .. } => match self.starts.last_mut() {
                Some((_, lines)) => lines.take(&bytes, self.work),
                None => panic!("output without a start"),
            },
            FleetEvent::Missed(_, bytes) => {
                self.starts.last_mut().unwrap().0.missed += bytes;
            }
            FleetEvent::Lost(lost) => {
                self.over.insert(lost.fence, now);
                self.starts.last_mut().unwrap().0.is_lost = true;
            }
            FleetEvent::Ended { outcome, end } => {
                if let Some((last, _)) = self.starts.last() {
                    self.over.insert(last.fence, now);
                }
                return Some(self.told(outcome, end.map(|end| end.ending)));
            }
            _ => {}
        }
        None
    }

    fn told(&self, outcome: Outcome, ending: Option<Value>) -> Told {
        let finished = |(start, lines): &(ToldStart, Lines)| ToldStart {
            output: (lines.bytes, format!("{:x}", lines.digest.clone().finalize())),
            is_whole: lines.has_ended,
            ..start.clone()
        };
        let wrong = self.starts.iter().filter_map(|(_, lines)| lines.wrong.clone());
        let starts = self.starts.iter().map(finished).collect();
        Told { starts, outcome, ending, wrong: wrong.collect() }
    }
}

impl Lines {
    fn new(fence: u64) -> Self {
        Self {
            fence,
            next: 0,
            partial: Vec::new(),
            has_ended: false,
            bytes: 0,
            digest: Sha256::new(),
            wrong: None,
        }
    }

    fn take(&mut self, bytes: &[u8], work: Work) {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
        self.partial.extend_from_slice(bytes);
        let partial = std::mem::take(&mut self.partial);
        let mut lines = partial.split_inclusive(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next_if(|line| line.ends_with(b"\n")) {
            self.line(line, work);
        }
        self.partial = lines.next().unwrap_or_default().to_vec();
    }

    fn line(&mut self, line: &[u8], work: Work) {
        let text = String::from_utf8_lossy(&line[..line.len() - 1]);
        let expected = match self.next == work.lines {
            true => format!("end {}", self.next),
            false => format!("{} {} ", self.fence, self.next),
        };
        let is_right = match self.next == work.lines {
            true => text == expected && !self.has_ended,
            false => text.starts_with(&expected) && line.len() >= work.line_bytes,
        };
        if !is_right && self.wrong.is_none() {
            let begin: String = text.chars().take(40).collect();
            self.wrong = Some(format!("{begin:?} came in place of {expected:?}"));
        }
        self.has_ended |= self.next == work.lines;
        self.next = (self.next + 1).min(work.lines);
    }
}
