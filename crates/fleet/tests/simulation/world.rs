//! What is true outside of the fleet: which programs live when, and the store that they write to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use uuid::Uuid;

/// Lets simulated time pass.
pub(crate) fn pass(time: Duration) -> Sleep {
    sleep_until(Instant::now() + time)
}

/// A program that ran, from its start until it was certainly gone.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) id: Uuid,
    pub(crate) fence: u64,
    pub(crate) worker: String,
    pub(crate) from: Duration,
    /// `None` while it lives, also after its worker has died: the lease guard ends it.
    pub(crate) until: Option<Duration>,
}

/// Shared by all hosts of a simulation.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) lives: Vec<Life>,
    /// Until when the lease guard of a worker lets its programs live.
    pub(crate) leases: BTreeMap<String, Duration>,
    /// The store: the highest fence that wrote for each execution.
    register: BTreeMap<Uuid, u64>,
    /// Whether the store refuses lower fences.
    pub(crate) has_fences: bool,
    pub(crate) broken: Vec<String>,
    pub(crate) history: Vec<String>,
}

pub(crate) type SharedWorld = Arc<Mutex<World>>;

impl World {
    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        self.history.push(format!("{:?} {what}", turmoil::sim_elapsed().unwrap_or_default()));
    }

    /// A program writes to the store. Returns `false` if it was refused.
    pub(crate) fn write(&mut self, id: Uuid, fence: u64) -> bool {
        let highest = self.register.entry(id).or_default();
        if fence < *highest {
            if self.has_fences {
                return false;
            }
            self.broken.push(format!("stale write of {id}: fence {fence} after {highest}"));
        }
        *highest = fence.max(*highest);
        true
    }

    /// Checks that no two programs of an execution lived at the same time.
    pub(crate) fn check_overlaps(&mut self) {
        let end_of = |life: &Life| {
            let lease = self.leases.get(&life.worker).copied().unwrap_or(Duration::MAX);
            life.until.map_or(lease, |until| until.min(lease))
        };
        let mut by_id: BTreeMap<Uuid, Vec<&Life>> = BTreeMap::new();
        self.lives.iter().for_each(|life| by_id.entry(life.id).or_default().push(life));
        let mut broken = Vec::new();
        for (id, mut lives) in by_id {
            lives.sort_by_key(|life| life.fence);
            for pair in lives.windows(2) {
                if pair[1].from < end_of(pair[0]) {
                    broken.push(format!("{id}: {:?} runs beside {:?}", pair[1], pair[0]));
                }
                if pair[1].fence == pair[0].fence {
                    broken.push(format!("{id}: fence {} was used twice", pair[1].fence));
                }
            }
        }
        self.broken.extend(broken);
    }
}
