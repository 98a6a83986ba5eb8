//! What the callers, watchers and checks of one round share: the engine, the order of calls, and
//! what was seen.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use execution_engine::*;
use test_support::lifeline::Lifeline;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::history::{Exec, Plan, Settings, Slot};
use crate::rules::{Check, Fault, Rule};
use crate::watch::Recording;

/// Longer than any call may wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Moment in the order of calls. A call that returned before another one began has a smaller one.
pub(crate) type Tick = u64;

/// Moment that was perhaps not seen; the earliest counts.
#[derive(Debug)]
pub(crate) struct FirstSeen(AtomicU64);

impl Default for FirstSeen {
    fn default() -> Self {
        Self(AtomicU64::new(Tick::MAX))
    }
}

impl FirstSeen {
    pub(crate) fn note(&self, tick: Tick) {
        self.0.fetch_min(tick, Ordering::SeqCst);
    }

    /// Returns the moment; the end of time if it was not seen.
    pub(crate) fn get(&self) -> Tick {
        self.0.load(Ordering::SeqCst)
    }
}

/// One round.
pub(crate) struct World {
    pub(crate) engine: RwLock<Option<ExecutionEngine>>,
    pub(crate) settings: Settings,
    pub(crate) runtime: Handle,
    pub(crate) home: PathBuf,
    clock: AtomicU64,
    executions: Mutex<Vec<Arc<Submission>>>,
    plans: Mutex<Vec<Arc<PlanRun>>>,
    pub(crate) answers: Mutex<Vec<Answer>>,
    faults: Mutex<Vec<Fault>>,
    watchers: Mutex<Vec<JoinHandle<Recording>>>,
    /// When the engine began to close.
    pub(crate) closed: FirstSeen,
    /// One of the callers has made all of its calls.
    pub(crate) one_is_done: AtomicBool,
    pub(crate) is_over: AtomicBool,
}

/// One request, accepted or not.
pub(crate) struct Submission {
    pub(crate) number: usize,
    pub(crate) id: Uuid,
    pub(crate) exec: Exec,
    pub(crate) trace: Trace,
    pub(crate) called: Tick,
    answer: Mutex<Option<(Tick, Result<Option<Execution>>)>>,
    pub(crate) started: FirstSeen,
    pub(crate) ended: FirstSeen,
    /// When a cancel had been accepted.
    pub(crate) cancelled: FirstSeen,
}

/// One plan that was asked for.
pub(crate) struct PlanRun {
    pub(crate) id: Uuid,
    pub(crate) plan: Plan,
    pub(crate) steps: Vec<(Uuid, Trace)>,
    pub(crate) called: Tick,
    pub(crate) answer: Mutex<Option<(Tick, Result<Uuid>)>>,
    pub(crate) ended: FirstSeen,
    pub(crate) cancel_called: FirstSeen,
}

/// What a program leaves behind outside the engine: its key in a file, and a held FIFO.
pub(crate) struct Trace {
    pub(crate) key: String,
    pub(crate) home: PathBuf,
    pub(crate) life: Lifeline,
}

/// Answer of the engine to a question, or its refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) from: Tick,
    pub(crate) to: Tick,
    pub(crate) what: Said,
}

#[derive(Debug)]
pub(crate) enum Said {
    Refused(ExecutionError),
    Status(Uuid, ExecutionStatus),
    Result(Uuid, Option<Box<ExecutionResult>>),
    Position(Uuid, usize),
    Cancelled(Uuid, Result<()>),
    Waiting(usize),
    Running(usize),
    Available(usize),
    Room(Option<u64>),
}

impl World {
    pub(crate) fn new(
        engine: ExecutionEngine,
        settings: Settings,
        runtime: Handle,
        home: PathBuf,
    ) -> Self {
        Self {
            engine: RwLock::new(Some(engine)),
            settings,
            runtime,
            home,
            clock: AtomicU64::new(1),
            executions: Mutex::default(),
            plans: Mutex::default(),
            answers: Mutex::default(),
            faults: Mutex::default(),
            watchers: Mutex::default(),
            closed: FirstSeen::default(),
            one_is_done: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn tick(&self) -> Tick {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Returns the engine; `None` once it was dropped.
    pub(crate) fn engine(&self) -> Option<ExecutionEngine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the id of an execution or plan.
    pub(crate) fn id(slot: Slot) -> Uuid {
        Uuid::from_u128(0xe0e0_0000_0000_4000_8000_0000_0000_0000 + u128::from(slot))
    }

    /// Returns the id of a step.
    pub(crate) fn step_id(plan: Slot, step: usize) -> Uuid {
        Self::id(1_000_000 + plan * 1000 + u32::try_from(step).unwrap_or_default())
    }

    /// Makes what a program with this key leaves behind.
    pub(crate) fn trace(&self, key: String) -> Trace {
        let home = self.home.join(&key);
        std::fs::create_dir(&home).unwrap();
        let life = Lifeline::new(&home);
        Trace { key, home, life }
    }

    /// Returns the file to which every program appends its key.
    pub(crate) fn ran(&self) -> PathBuf {
        self.home.join("ran")
    }

    /// Returns the keys of the programs that have run, in the order of their starts.
    pub(crate) fn runs(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.ran()).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    pub(crate) fn submit(&self, exec: Exec) -> Arc<Submission> {
        let mut executions = lock(&self.executions);
        let number = executions.len();
        let submission = Arc::new(Submission {
            number,
            id: Self::id(exec.slot),
            trace: self.trace(format!("e{}n{number}", exec.slot)),
            exec,
            called: self.tick(),
            answer: Mutex::default(),
            started: FirstSeen::default(),
            ended: FirstSeen::default(),
            cancelled: FirstSeen::default(),
        });
        executions.push(Arc::clone(&submission));
        submission
    }

    pub(crate) fn plan(&self, plan: Plan) -> Arc<PlanRun> {
        let step =
            |step| (Self::step_id(plan.slot, step), self.trace(format!("p{}s{step}", plan.slot)));
        let steps = (0..plan.steps.len()).map(step).collect();
        let run = Arc::new(PlanRun {
            id: Self::id(plan.slot),
            plan,
            steps,
            called: self.tick(),
            answer: Mutex::default(),
            ended: FirstSeen::default(),
            cancel_called: FirstSeen::default(),
        });
        lock(&self.plans).push(Arc::clone(&run));
        run
    }

    pub(crate) fn executions(&self) -> Vec<Arc<Submission>> {
        lock(&self.executions).clone()
    }

    /// Returns `true` if there may have been no room for a thread between two moments.
    pub(crate) fn may_be_poor(&self, from: Tick, to: Tick) -> bool {
        let answers = lock(&self.answers);
        let rooms = || {
            answers.iter().filter_map(|it| match it.what {
                Said::Room(room) => Some((it.from, it.to, room.is_some())),
                _ => None,
            })
        };
        // Poor from the call that took the room to the end of the call that gave it back.
        let end = |begin: Tick| {
            let back = |(at, until, is_poor): (Tick, Tick, bool)| {
                (at > begin && !is_poor).then_some(until)
            };
            rooms().filter_map(back).min().unwrap_or(Tick::MAX)
        };
        rooms().any(|(begin, _, is_poor)| is_poor && begin < to && end(begin) > from)
    }

    pub(crate) fn accepted(&self) -> Vec<Arc<Submission>> {
        self.executions().into_iter().filter(|one| one.is_accepted()).collect()
    }

    pub(crate) fn plans(&self) -> Vec<Arc<PlanRun>> {
        lock(&self.plans).clone()
    }

    /// Returns the one execution that ever had this id; `None` if there were several.
    pub(crate) fn only(&self, id: Uuid) -> Option<Arc<Submission>> {
        let executions = lock(&self.executions);
        let mut with_id = executions.iter().filter(|one| one.id == id && !one.is_refused());
        let first = with_id.next()?;
        with_id.next().is_none().then(|| Arc::clone(first))
    }

    /// Returns all that was accepted, by id.
    pub(crate) fn by_id(&self) -> HashMap<Uuid, Vec<Arc<Submission>>> {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for one in self.accepted() {
            all.entry(one.id).or_default().push(one);
        }
        all
    }

    pub(crate) fn say(&self, from: Tick, what: Said) {
        lock(&self.answers).push(Answer { from, to: self.tick(), what });
    }

    /// Reads a subscription in a task of its own.
    pub(crate) fn watch(&self, reading: impl Future<Output = Recording> + Send + 'static) {
        lock(&self.watchers).push(self.runtime.spawn(reading));
    }

    pub(crate) fn take_watchers(&self) -> Vec<JoinHandle<Recording>> {
        std::mem::take(&mut *lock(&self.watchers))
    }

    pub(crate) fn report(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    pub(crate) fn first_fault(&self) -> Option<Fault> {
        lock(&self.faults).first().cloned()
    }

    /// Waits for something that is bound to happen.
    pub(crate) async fn within<T>(
        &self,
        what: &str,
        event: impl Future<Output = T>,
    ) -> Result<T, Fault> {
        let in_time = tokio::time::timeout(PATIENCE, event).await;
        in_time.map_err(|_| Rule::NoHang.broken(format!("waited too long for {what}")))
    }
}

impl Submission {
    pub(crate) fn answered(&self, tick: Tick, answer: Result<Option<Execution>>) {
        *lock(&self.answer) = Some((tick, answer));
    }

    /// Returns when the engine had answered.
    pub(crate) fn returned(&self) -> Tick {
        lock(&self.answer).as_ref().map_or(Tick::MAX, |(tick, _)| *tick)
    }

    pub(crate) fn is_accepted(&self) -> bool {
        matches!(&*lock(&self.answer), Some((_, Ok(_))))
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(&*lock(&self.answer), Some((_, Err(_))))
    }

    pub(crate) fn refusal(&self) -> Option<ExecutionError> {
        match &*lock(&self.answer) {
            Some((_, Err(error))) => Some(error.clone()),
            _ => None,
        }
    }

    pub(crate) fn handle(&self) -> Option<Execution> {
        match &*lock(&self.answer) {
            Some((_, Ok(handle))) => handle.clone(),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("execution {} ({})", self.exec.slot, self.trace.key)
    }
}

impl PlanRun {
    pub(crate) fn is_accepted(&self) -> bool {
        matches!(&*lock(&self.answer), Some((_, Ok(_))))
    }
}

impl Trace {
    /// Returns how often the program has begun to run.
    pub(crate) fn runs(&self, all: &[String]) -> usize {
        all.iter().filter(|key| **key == self.key).count()
    }

    /// Checks that no process of a program that has run is left.
    pub(crate) async fn is_gone(&self, all: &[String], what: &str) -> Check {
        if self.runs(all) == 0 || self.life.is_cut() {
            return Ok(());
        }
        let wait = async {
            while !self.life.is_cut() {
                test_support::pause(Duration::from_millis(2)).await;
            }
        };
        let is_gone = tokio::time::timeout(Duration::from_secs(1), wait).await.is_ok();
        Rule::NothingLeft.check(is_gone, || {
            format!(
                "{what} has ended, and these processes hold its FIFO: {:?}",
                self.life.holders()
            )
        })
    }
}

/// Locks what is consistent between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
