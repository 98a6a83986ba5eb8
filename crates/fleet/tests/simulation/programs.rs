//! Programs of the simulation: they write output, and to a store that knows fences.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use execution_engine_fleet::{
    Clock, ControlAction, ControlAnswer, Description, Input, LeaseGuard, Program, ProgramEvent,
    ProgramEvents, Runner, RunningProgram, Start, Started, Stream, Ticket,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::world::pass;
use super::world::{Life, SharedWorld};

pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

pub(crate) struct SimulatedClock;

impl Clock for SimulatedClock {
    fn since_boot(&self) -> Duration {
        now()
    }

    fn unix_ms(&self) -> u64 {
        now().as_millis() as u64
    }
}

/// Ends programs at the end of the lease, also those of a worker that has crashed.
pub(crate) struct SimulatedGuard {
    pub(crate) world: SharedWorld,
    pub(crate) worker: String,
    pub(crate) is_on: bool,
}

impl LeaseGuard for SimulatedGuard {
    fn extend(&self, until: Duration) {
        if self.is_on {
            self.world.lock().unwrap().leases.insert(self.worker.clone(), until);
        }
    }
}

/// What a program does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) chunks: u32,
    pub(crate) pause_ms: u64,
}

/// Returns one piece of the output of a start.
pub(crate) fn chunk(fence: u64, number: u32) -> String {
    format!("{fence}:{number};")
}

pub(crate) struct SimulatedRunner {
    pub(crate) world: SharedWorld,
    pub(crate) worker: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Cancel,
    Kill,
}

struct SimulatedProgram(watch::Sender<Stop>);

struct Events {
    world: SharedWorld,
    worker: String,
    life: usize,
    plan: Plan,
    fence: u64,
    written: Option<u32>,
    due: Instant,
    stop: watch::Receiver<Stop>,
    writer: tokio::task::JoinHandle<()>,
}

#[async_trait]
impl Runner for SimulatedRunner {
    fn describe(&self) -> Description {
        Description { engine: "simulated".to_owned(), ..Description::default() }
    }

    async fn start(&self, ticket: Ticket, start: &Start) -> RunningProgram {
        let plan: Plan = serde_json::from_value(ticket.request).unwrap();
        let (id, fence) = (ticket.id, start.fence);
        let mut world = self.world.lock().unwrap();
        world.note(format!("{id} starts with {fence} on {}", self.worker));
        let life = Life { id, fence, worker: self.worker.clone(), from: now(), until: None };
        world.lives.push(life);
        let life = world.lives.len() - 1;
        drop(world);
        let (sender, stop) = watch::channel(Stop::No);
        let writer = tokio::spawn(write(Arc::clone(&self.world), id, fence, plan.pause_ms));
        let events = Events {
            world: Arc::clone(&self.world),
            worker: self.worker.clone(),
            life,
            plan,
            fence,
            written: None,
            due: Instant::now() + Duration::from_millis(20),
            stop,
            writer,
        };
        let program = Arc::new(SimulatedProgram(sender));
        RunningProgram { program, events: Box::new(events) }
    }
}

/// Writes to the store for as long as the program lives, whoever reads its output.
async fn write(world: Arc<Mutex<super::world::World>>, id: Uuid, fence: u64, pause_ms: u64) {
    loop {
        let is_refused = !world.lock().unwrap().write(id, fence);
        if is_refused {
            return;
        }
        pass(Duration::from_millis(pause_ms.max(50))).await;
    }
}

#[async_trait]
impl Program for SimulatedProgram {
    fn cancel(&self, _grace: Option<Duration>) {
        self.0.send_if_modified(|stop| {
            *stop == Stop::No && {
                *stop = Stop::Cancel;
                true
            }
        });
    }

    fn kill(&self) {
        self.0.send_replace(Stop::Kill);
    }

    async fn control(&self, action: ControlAction) -> ControlAnswer {
        match action {
            ControlAction::Signal { signal } => Ok(signal as u32),
            _ => Err("it cannot pause".to_owned()),
        }
    }

    fn takes_input(&self) -> bool {
        false
    }

    async fn write_input(&self, _input: Input) {}

    async fn close_input(&self) {}
}

impl Events {
    /// Waits until the lease guard ends the program.
    async fn guarded(&self) {
        loop {
            let until = self.world.lock().unwrap().leases.get(&self.worker).copied();
            match until.map(|until| until.saturating_sub(now())) {
                Some(rest) if rest.is_zero() => return,
                Some(rest) => pass(rest).await,
                None => pass(Duration::from_secs(1)).await,
            }
        }
    }

    fn ended(&self, ending: serde_json::Value) -> ProgramEvent {
        self.writer.abort();
        let mut world = self.world.lock().unwrap();
        world.note(format!("fence {} ends: {ending}", self.fence));
        world.lives[self.life].until = Some(now());
        ProgramEvent::Ended { ending, result: json!({}) }
    }

    /// Returns what the program does next by itself.
    fn step(&mut self) -> ProgramEvent {
        self.due = Instant::now() + Duration::from_millis(self.plan.pause_ms);
        let Some(written) = self.written else {
            self.written = Some(0);
            return ProgramEvent::Started(Started { pid: 1, at_ms: now().as_millis() as u64 });
        };
        if written == self.plan.chunks {
            return self.ended(json!({ "type": "exited", "code": 0 }));
        }
        self.written = Some(written + 1);
        ProgramEvent::Output(Stream::Stdout, chunk(self.fence, written).into())
    }
}

#[async_trait]
impl ProgramEvents for Events {
    async fn next(&mut self) -> ProgramEvent {
        let mut stop = self.stop.clone();
        let mut cancelled = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop == Stop::Kill) => {
                self.ended(json!({ "type": "signaled", "signal": 9 }))
            }
            () = self.guarded() => self.ended(json!({ "type": "signaled", "signal": 9 })),
            _ = async {
                let _closed = cancelled.wait_for(|stop| *stop == Stop::Cancel).await.map(drop);
                pass(Duration::from_millis(100)).await;
            } => self.ended(json!({ "type": "cancelled" })),
            () = sleep_until(self.due) => self.step(),
        }
    }
}
