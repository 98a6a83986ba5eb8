//! A caller: makes the calls of one lane, and checks the answers that can be checked at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use execution_engine::*;
use test_support::text;

use crate::history::{Exec, Input, Look, Op, Pace, Slot, View, Watcher};
use crate::program::Last;
use crate::rules::{Check, Rule};
use crate::watch::{About, Recording, note, with_slow_waker};
use crate::world::{Said, Submission, World};

/// How long a call is tried that waits for another caller.
const SOON: Duration = Duration::from_millis(50);

/// One caller, on a thread of its own.
pub(crate) struct Caller {
    pub(crate) world: Arc<World>,
    pub(crate) engine: ExecutionEngine,
}

impl Caller {
    /// Makes all calls, until one breaks a rule.
    pub(crate) fn call_all(&self, ops: &[Op]) -> Check {
        for op in ops {
            let what = format!("the end of: {op}");
            self.world.runtime.block_on(self.world.within(&what, self.call(op)))??;
        }
        self.world.one_is_done.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn call(&self, op: &Op) -> Check {
        match op {
            Op::Start(exec) => drop(self.start(exec).await),
            Op::Run(exec) => self.run(exec).await,
            Op::Cancel(slot) => self.cancel(World::id(*slot)).await,
            Op::CancelSoon(slot) => self.cancel_soon(*slot).await,
            Op::CancelAll => return self.cancel_all().await,
            Op::Pause(slot) => drop(self.engine.pause(World::id(*slot)).await),
            Op::Resume(slot) => drop(self.engine.resume(World::id(*slot)).await),
            Op::Look(slot, look) => return self.look(World::id(*slot), *look).await.map(drop),
            Op::Counts => return self.counts().await,
            Op::Wait(slot) => self.wait(World::id(*slot)).await,
            Op::Waiters(slot, count) => self.waiters(World::id(*slot), *count),
            Op::Subscribe { slot, after, watcher } => {
                self.subscribe(World::id(*slot), *after, *watcher).await;
            }
            Op::SubscribeAll(pace) => self.subscribe_all(*pace).await,
            Op::Remove(slot) => drop(self.engine.remove_execution(World::id(*slot)).await),
            Op::CleanUp => drop(self.engine.cleanup_old_executions().await),
            Op::Input(slot) => self.input(World::id(*slot)).await,
            Op::Spin(look, micros) => return self.spin(*look, *micros).await,
            Op::Relay { exec, rounds, look } => return self.relay(exec, *rounds, *look).await,
            Op::Reuse { exec, rounds } => return self.reuse(exec, *rounds).await,
            Op::Nap(micros) => {
                test_support::pause(Duration::from_micros(u64::from(*micros))).await;
            }
            Op::Room(room) => {
                let from = self.world.tick();
                crate::poor::leave_room_for(*room);
                self.world.say(from, Said::Room(*room));
            }
            Op::Shutdown => {
                self.world.closed.note(self.world.tick());
                self.engine.shutdown(Duration::from_millis(20)).await;
            }
            Op::Plan(_)
            | Op::CancelPlan(..)
            | Op::WaitPlan(_)
            | Op::SubscribePlan(..)
            | Op::RemovePlan(_)
            | Op::LookPlan(_) => return self.call_plan(op).await,
        }
        Ok(())
    }

    /// Starts an execution and its watchers. Returns what was asked, if it was accepted.
    pub(crate) async fn start(&self, exec: &Exec) -> Option<Arc<Submission>> {
        let submission = self.world.submit(exec.clone());
        let (request, options) = self.request(&submission);
        let started = self.engine.start_with(request, options).await;
        let tick = self.world.tick();
        match started {
            Ok(handle) => {
                submission.answered(tick, Ok(Some(handle.clone())));
                for watcher in &exec.watchers {
                    self.watch(&submission, &handle, *watcher).await;
                }
                Some(submission)
            }
            Err(error) => {
                submission.answered(tick, Err(error.clone()));
                self.world.say(submission.called, Said::Refused(error));
                None
            }
        }
    }

    async fn run(&self, exec: &Exec) {
        let submission = self.world.submit(exec.clone());
        let (request, options) = self.request(&submission);
        let ran = self.engine.run_with(request, options).await;
        let tick = self.world.tick();
        match ran {
            Ok(result) => {
                submission.ended.note(tick);
                submission.answered(tick, Ok(None));
                let said = Said::Result(submission.id, Some(Box::new(result)));
                self.world.say(submission.called, said);
            }
            Err(error) => {
                submission.answered(tick, Err(error.clone()));
                self.world.say(submission.called, Said::Refused(error));
            }
        }
    }

    fn request(&self, submission: &Submission) -> (ExecutionRequest, ExecutionOptions) {
        let Submission { exec, trace, .. } = submission;
        let request = match exec.program.last {
            Last::NoProgram => ExecutionRequest::program("/no/such/program"),
            Last::NotAProgram => ExecutionRequest::program(text(&self.world.home.join("broken"))),
            _ => {
                let line = exec.program.line(&trace.home, &self.world.ran(), &trace.key);
                ExecutionRequest::shell(line)
            }
        };
        let mut options = ExecutionOptions::default().priority(exec.priority);
        options = match exec.input {
            Input::None => options,
            Input::Bytes(text) => options.stdin(StdinSource::bytes(text)),
            Input::Piped => options.stdin(StdinSource::Piped),
        };
        if let Some((attempts, delay)) = exec.retry {
            let delay = Duration::from_millis(delay);
            let policy = RetryPolicy::new(attempts).initial_delay(delay).jitter(Jitter::None);
            options = options.retry(policy);
        }
        if exec.is_merged {
            options = options.output(OutputMode::Merged);
        }
        if let Some(millis) = exec.idle_timeout_ms {
            options = options.idle_timeout(Duration::from_millis(millis));
        }
        if let Some(millis) = exec.partial_after_ms {
            options = options.partial_lines_after(Duration::from_millis(millis));
        }
        let request = ExecutionRequest { timeout_ms: exec.timeout_ms, ..request };
        (request.id(submission.id), options)
    }

    async fn watch(&self, submission: &Arc<Submission>, handle: &Execution, watcher: Watcher) {
        let about = About::Execution(submission.number);
        let recording = Recording::new(about, watcher.view, 0, self.world.tick());
        let (world, seen) = (Arc::clone(&self.world), Arc::clone(submission));
        let note = move |told: &_, tick| note(&seen, told, tick);
        match watcher.view {
            View::Lines => {
                let Ok(records) = handle.events().await else { return };
                self.world.watch(recording.read(world, records, watcher.pace, note));
            }
            View::Chunks => {
                let Ok(records) = handle.chunks().await else { return };
                self.world.watch(recording.read(world, records, watcher.pace, note));
            }
        }
    }

    async fn cancel(&self, id: Uuid) {
        let from = self.world.tick();
        let answer = self.engine.cancel(id).await;
        if let (Ok(()), Some(one)) = (&answer, self.world.only(id)) {
            one.cancelled.note(self.world.tick());
        }
        self.world.say(from, Said::Cancelled(id, answer));
    }

    async fn cancel_soon(&self, slot: Slot) {
        let (id, begun) = (World::id(slot), Instant::now());
        while begun.elapsed() < SOON {
            let from = self.world.tick();
            let answer = self.engine.cancel(id).await;
            if answer != Err(ExecutionError::NotFound(id)) {
                self.world.say(from, Said::Cancelled(id, answer));
                return;
            }
            let mut all = self.world.executions().into_iter();
            if all.any(|one| one.exec.slot == slot && one.is_refused()) {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Asks one question. Returns `true` if the answer shows an end.
    pub(crate) async fn look(&self, id: Uuid, look: Look) -> Result<bool, crate::rules::Fault> {
        let from = self.world.tick();
        let has_ended = match look {
            Look::Status => match self.engine.get_status(id).await {
                Ok(status) => {
                    self.world.say(from, Said::Status(id, status));
                    status.is_terminal()
                }
                Err(_) => false,
            },
            Look::Result => match self.engine.get_result(id).await {
                Ok(result) => {
                    let has_ended = result.is_some();
                    self.world.say(from, Said::Result(id, result.map(Box::new)));
                    has_ended
                }
                Err(_) => false,
            },
            Look::Position => {
                if let Ok(Some(position)) = self.engine.queue_position(id).await {
                    self.world.say(from, Said::Position(id, position));
                }
                false
            }
            Look::List => {
                let listed = self.engine.list_executions().await;
                for one in &listed {
                    let status = one.ending.as_ref().map(Ending::status);
                    let agrees = one.status.is_terminal() == status.is_some()
                        && status.is_none_or(|status| status == one.status);
                    Rule::Agreement.check(agrees, || format!("listed: {one:?}"))?;
                }
                let one = listed.iter().find(|one| one.id == id);
                one.is_some_and(|one| {
                    self.world.say(from, Said::Status(id, one.status));
                    one.status.is_terminal()
                })
            }
        };
        if let (true, Some(one)) = (has_ended, self.world.only(id)) {
            one.ended.note(self.world.tick());
        }
        Ok(has_ended)
    }

    async fn counts(&self) -> Check {
        let from = self.world.tick();
        let waiting = self.engine.waiting_count().await;
        self.world.say(from, Said::Waiting(waiting));
        let from = self.world.tick();
        let running = self.engine.running_count().await;
        self.world.say(from, Said::Running(running));
        let from = self.world.tick();
        let available = self.engine.available_permits();
        self.world.say(from, Said::Available(available));
        let limit = self.world.settings.limit;
        Rule::Limit.check(running <= limit && available <= limit, || {
            format!("{running} run, {available} permits are free, the limit is {limit}")
        })
    }

    async fn wait(&self, id: Uuid) {
        let from = self.world.tick();
        if let Ok(result) = self.engine.wait_for_completion(id).await {
            if let Some(one) = self.world.only(id) {
                one.ended.note(self.world.tick());
            }
            self.world.say(from, Said::Result(id, Some(Box::new(result))));
        }
    }

    pub(crate) fn waiters(&self, id: Uuid, count: u8) {
        for _ in 0..count {
            let (engine, world) = (self.engine.clone(), Arc::clone(&self.world));
            self.world.runtime.spawn(async move {
                let from = world.tick();
                if let Ok(result) = with_slow_waker(engine.wait_for_completion(id)).await {
                    world.say(from, Said::Result(id, Some(Box::new(result))));
                }
            });
        }
    }

    async fn subscribe(&self, id: Uuid, after: u64, Watcher { view, pace }: Watcher) {
        let recording = Recording::new(About::Id(id), view, after, self.world.tick());
        let world = Arc::clone(&self.world);
        match view {
            View::Lines => {
                let Ok(records) = self.engine.subscribe_from(id, after).await else { return };
                self.world.watch(recording.read(world, records, pace, |_, _| {}));
            }
            View::Chunks => {
                let Ok(records) = self.engine.subscribe_chunks_from(id, after).await else {
                    return;
                };
                self.world.watch(recording.read(world, records, pace, |_, _| {}));
            }
        }
    }

    async fn subscribe_all(&self, pace: Pace) {
        let records = self.engine.subscribe_all().await;
        let recording = Recording::new(About::All, View::Lines, 0, self.world.tick());
        let world = Arc::clone(&self.world);
        self.world.watch(recording.read(world, records, pace, |_, _| {}));
    }

    async fn input(&self, id: Uuid) {
        // Whatever becomes of it: the execution may have ended.
        let _written = self.engine.write_stdin(id, "some input\n").await;
        let _closed = self.engine.close_stdin(id).await;
    }

    async fn spin(&self, look: Look, micros: u32) -> Check {
        let begun = Instant::now();
        let limit = self.world.settings.limit;
        while begun.elapsed() < Duration::from_micros(u64::from(micros))
            && !self.world.one_is_done.load(Ordering::Relaxed)
        {
            match look {
                Look::List => drop(self.engine.list_executions().await),
                Look::Status => drop(self.engine.get_status(Uuid::nil()).await),
                Look::Result | Look::Position => {
                    let running = self.engine.running_count().await;
                    let is_kept = running <= limit;
                    Rule::Limit.check(is_kept, || format!("{running} run, not {limit}"))?;
                }
            }
        }
        Ok(())
    }
}
