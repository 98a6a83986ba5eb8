//! The promises, checked over all that was seen.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use execution_engine_fleet::Outcome;
use serde_json::Value;
use uuid::Uuid;

use crate::fleet::Work;
use crate::reading::{Told, Watch};
use crate::register::Seen;
use crate::workers::WorkerLife;

/// How long after the end of a worker what it ran may stay as it is.
const LONGEST_LOSS: Duration = Duration::from_secs(60);
/// How late a reader may be that leaves for a while.
const READER: Duration = Duration::from_secs(5);

/// An execution that was submitted.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub work: Work,
    /// Whether a cancel of it returned `Ok`, or that it had ended; `None` without an answer.
    pub is_cancelled: Option<bool>,
    /// What the reader was told that followed it.
    pub first: Option<Watch>,
    /// What another one was told in the end.
    pub second: Option<Told>,
}

/// What came of a storm.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Executions.
    pub executions: usize,
    /// Starts of them.
    pub starts: usize,
    /// Executions without an ending, or with two.
    pub lost: Vec<String>,
    /// Other broken promises about endings and starts.
    pub broken: Vec<String>,
    /// Output that is missing or not in order.
    pub gaps: Vec<String>,
    /// Starts that lived at the same time while the keeper ran.
    pub overlaps: Vec<String>,
    /// Those that were not counted, since the keeper was stopped.
    pub skipped_overlaps: usize,
    /// Writes with an old fence that were accepted.
    pub stale_accepted: u64,
    /// Such writes that were refused.
    pub stale_refused: u64,
    /// Starts of dead workers that were given up too late.
    pub late: Vec<String>,
    /// Longest time from the end of a worker until what it ran was given up, with the start.
    pub longest_loss: (Duration, String),
}

impl Verdict {
    /// Returns all that contradicts the promises.
    pub fn problems(&self) -> Vec<String> {
        let lists = [&self.lost, &self.broken, &self.gaps, &self.overlaps, &self.late];
        let mut problems: Vec<_> = lists.into_iter().flatten().cloned().collect();
        if self.stale_accepted > 0 {
            problems.push(format!("{} stale writes were accepted", self.stale_accepted));
        }
        problems
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} executions, {} starts; lost {}, broken {}, gaps {}, overlaps {} (and {} while the \
             keeper was stopped), stale writes accepted {} and refused {}, late {}, longest loss {:.1?} ({})",
            self.executions,
            self.starts,
            self.lost.len(),
            self.broken.len(),
            self.gaps.len(),
            self.overlaps.len(),
            self.skipped_overlaps,
            self.stale_accepted,
            self.stale_refused,
            self.late.len(),
            self.longest_loss.0,
            self.longest_loss.1,
        )
    }
}

/// Checks the promises. `outages` are times in which no server was up.
pub fn judge(
    submitted: &[Submitted],
    seen: &Seen,
    workers: &[WorkerLife],
    outages: &[(Instant, Instant)],
) -> Verdict {
    let outages = joined([outages, &without_workers(workers)].concat());
    let mut verdict = Verdict {
        executions: submitted.len(),
        stale_accepted: seen.stale_accepted,
        stale_refused: seen.stale_refused,
        ..Verdict::default()
    };
    for execution in submitted {
        let Some(second) = &execution.second else {
            verdict.lost.push(format!("{} has no ending", execution.id));
            continue;
        };
        match &execution.first {
            Some(first) if first.told == *second => {}
            first => verdict.lost.push(format!(
                "{}: one reader was told {first:?} and another one {second:?}",
                execution.id
            )),
        }
        verdict.starts += second.starts.len();
        verdict.ending(execution, second);
        verdict.output(execution, second);
        verdict.ran(execution.id, second, seen);
        if let Some(first) = &execution.first {
            verdict.losses(execution.id, first, workers, &outages);
        }
    }
    verdict.overlapping(submitted, seen, workers);
    verdict
}

/// Returns the times before now in which no worker was there: only a worker can give up what another one
/// held.
fn without_workers(workers: &[WorkerLife]) -> Vec<(Instant, Instant)> {
    let now = Instant::now();
    let lives = workers.iter().map(|worker| (worker.began, worker.ended.unwrap_or(now)));
    let lives = joined(lives.collect());
    lives.windows(2).map(|pair| (pair[0].1, pair[1].0)).collect()
}

/// Returns times without those that overlap, in order.
fn joined(mut times: Vec<(Instant, Instant)>) -> Vec<(Instant, Instant)> {
    times.sort();
    let mut joined: Vec<(Instant, Instant)> = Vec::new();
    for (from, to) in times {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

impl Verdict {
    fn ending(&mut self, execution: &Submitted, told: &Told) {
        let (id, work) = (execution.id, execution.work);
        let starts = told.starts.len();
        let mut broken = |what: &str| self.broken.push(format!("{id} {what}: {told:?}"));
        let exited = |ending: &Value| ending["type"] == "exited" && ending["code"] == 0;
        match &told.outcome {
            Outcome::Ended if told.ending.as_ref().is_some_and(exited) => {}
            Outcome::WorkerLost { .. } if starts == work.max_attempts as usize => {}
            Outcome::Cancelled { .. } if execution.is_cancelled != Some(false) => {}
            _ => broken("has an ending that nothing explains"),
        }
        if execution.is_cancelled == Some(true)
            && !matches!(told.outcome, Outcome::Cancelled { .. })
        {
            broken("was cancelled, and ended otherwise");
        }
        if starts > work.max_attempts as usize {
            broken("was started too often");
        }
        if !told.starts.is_sorted_by(|one, next| one.fence < next.fence) {
            broken("has a start without a higher fence");
        }
    }

    fn output(&mut self, execution: &Submitted, told: &Told) {
        let id = execution.id;
        self.gaps.extend(told.wrong.iter().map(|wrong| format!("{id}: {wrong}")));
        if told.starts.iter().any(|start| start.missed > 0) {
            self.gaps.push(format!("{id} misses output: {:?}", told.starts));
        }
        let is_whole = told.starts.last().is_some_and(|start| start.is_whole);
        if told.outcome == Outcome::Ended && !is_whole {
            self.gaps.push(format!("{id} has ended without its last line: {told:?}"));
        }
    }

    /// Checks that all that ran had a claim that counts.
    fn ran(&mut self, id: Uuid, told: &Told, seen: &Seen) {
        let fences: BTreeSet<_> = told.starts.iter().map(|start| start.fence).collect();
        for life in seen.lives.get(&id).into_iter().flatten() {
            if !fences.contains(&life.fence) {
                self.broken.push(format!("{id} ran with fence {} and has {told:?}", life.fence));
            }
        }
    }

    /// Checks how long what a dead worker ran stayed as it was.
    fn losses(
        &mut self,
        id: Uuid,
        watch: &Watch,
        workers: &[WorkerLife],
        outages: &[(Instant, Instant)],
    ) {
        for start in watch.told.starts.iter().filter(|start| start.is_lost) {
            let worker = workers.iter().find(|worker| worker.id == start.worker);
            let ended = worker.and_then(|worker| worker.ended);
            let (Some(ended), Some(over)) = (ended, watch.over.get(&start.fence)) else { continue };
            let lasted = over.saturating_duration_since(ended);
            if lasted > self.longest_loss.0 {
                self.longest_loss = (lasted, format!("fence {} of {}", start.fence, start.worker));
            }
            let shared = |(from, to): &(Instant, Instant)| {
                to.min(over).saturating_duration_since(*from.max(&ended))
            };
            let outage: Duration = outages.iter().map(shared).sum();
            if lasted > LONGEST_LOSS + READER + outage {
                self.late.push(format!("{id}: {start:?} was over {lasted:.1?} after its worker"));
            }
        }
    }

    fn overlapping(&mut self, submitted: &[Submitted], seen: &Seen, workers: &[WorkerLife]) {
        let worker_of = |id: Uuid, fence: u64| {
            let execution = submitted.iter().find(|execution| execution.id == id)?;
            let told = execution.second.as_ref()?;
            let start = told.starts.iter().find(|start| start.fence == fence)?;
            workers.iter().find(|worker| worker.id == start.worker)
        };
        for overlap in &seen.overlaps {
            let of_starts = [overlap.fences.0, overlap.fences.1].map(|f| worker_of(overlap.id, f));
            if of_starts.iter().flatten().any(|worker| worker.keeper_failed) {
                self.skipped_overlaps += 1;
            } else {
                self.overlaps.push(format!("{overlap:?} of {of_starts:?}"));
            }
        }
    }
}
