//! Runs one history: makes the engine, lets the callers call, waits for every end, and has all rules
//! checked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier, OnceLock};

use execution_engine::*;
use test_support::levels::levels;
use test_support::{executable, open_descriptors, pause};
use tokio::runtime::Runtime;

use crate::caller::Caller;
use crate::checks::{self, Facts};
use crate::handlers::Witness;
use crate::history::{End, History, Plan, Settings, Shape};
use crate::program::Last;
use crate::rules::{Check, Fault, Rule};
use crate::watch::Recording;
use crate::world::{PATIENCE, PlanRun, Said, World};

/// Grace of every stop sequence.
const GRACE: Duration = Duration::from_millis(30);

/// Timeout of executions that have none of their own.
pub(crate) const TIMEOUT_MS: u64 = 1500;

/// Makes what the library keeps for the whole process, so that histories begin and end alike.
pub(crate) async fn warm_up() {
    for level in levels_here() {
        let engine = ExecutionEngine::builder().containment(*level).build().unwrap();
        engine.run(ExecutionRequest::shell("true")).await.unwrap();
    }
    test_support::until("no engine is left", || engine_threads() == 0).await;
}

/// Plays a history once.
pub(crate) fn play(history: &History, runtime: &Runtime) -> Check {
    let before = (open_descriptors(), engine_threads());
    let home = tempfile::tempdir().unwrap();
    executable(home.path().join("broken"), [0_u8; 64]);
    let settings = &history.settings;
    let stall_limit = Duration::from_millis(settings.stall_ms);
    let handlers: Vec<_> =
        settings.handlers.iter().map(|kind| Witness::new(*kind, stall_limit)).collect();
    let engine = engine(settings, &handlers)?;
    let world =
        World::new(engine, settings.clone(), runtime.handle().clone(), home.path().to_path_buf());
    let world = Arc::new(world);
    let panics_before = crate::panics::count();
    call_all(&world, history);
    if history.profile == crate::poor::PROFILE {
        crate::poor::leave_room_for(None);
        world.say(world.tick(), Said::Room(None));
    }
    let checked = runtime.block_on(finish(&world, history.end, &handlers));
    // What a caller saw came first.
    world.first_fault().map_or(checked, Err)?;
    let panics = crate::panics::since(panics_before);
    Rule::NoPanic.check(panics.is_empty(), || panics.join("; "))?;
    drop((world, handlers));
    runtime.block_on(everything_is_back(before))
}

fn engine(settings: &Settings, handlers: &[Arc<Witness>]) -> Result<ExecutionEngine, Fault> {
    let levels = levels_here();
    let mut builder = ExecutionEngine::builder()
        .config(ExecutionConfig {
            default_timeout_ms: TIMEOUT_MS,
            stream_output: settings.streams_lines,
            max_concurrent_executions: settings.limit,
            max_in_memory_executions: settings.remembered,
            max_output_size_bytes: settings.kept_bytes,
            oversized_output_strategy: settings.oversized,
            ..ExecutionConfig::default()
        })
        .containment(levels[settings.level % levels.len()])
        .stop_grace(GRACE)
        .max_pause(Duration::from_millis(100))
        .replay_window(settings.window)
        .max_line_bytes(settings.longest_line)
        .handler_stall_limit(Duration::from_millis(settings.stall_ms));
    if let Some(max_waiting) = settings.queue {
        builder = builder.admission(Admission::Queue { max_waiting });
    }
    for handler in handlers {
        builder = builder.event_handler(handler.clone());
    }
    builder.build().map_err(|error| Rule::NoPanic.broken(format!("no engine: {error}")))
}

/// Returns the levels of this process.
fn levels_here() -> &'static [ContainmentLevel] {
    static LEVELS: OnceLock<Vec<ContainmentLevel>> = OnceLock::new();
    LEVELS.get_or_init(|| crate::poor::levels().unwrap_or_else(levels))
}

/// Runs all callers to their end.
fn call_all(world: &Arc<World>, history: &History) {
    // All threads are there before one of the callers may leave no room for any.
    let start = Barrier::new(history.lanes.len() + 1);
    let start = &start;
    std::thread::scope(|scope| {
        let lanes: Vec<_> = history
            .lanes
            .iter()
            .map(|ops| {
                let caller = Caller { world: Arc::clone(world), engine: world.engine().unwrap() };
                scope.spawn(move || {
                    start.wait();
                    if let Err(fault) = caller.call_all(ops) {
                        caller.world.report(fault);
                    }
                })
            })
            .collect();
        let monitor = scope.spawn(|| {
            start.wait();
            checks::admission::never_more_than_the_limit(world)
        });
        for lane in lanes {
            // Its message is in the list of panics.
            let _panicked = lane.join();
        }
        world.is_over.store(true, Ordering::SeqCst);
        if let Ok(Err(fault)) = monitor.join() {
            world.report(fault);
        }
    });
}

async fn finish(world: &Arc<World>, end: End, handlers: &[Arc<Witness>]) -> Check {
    if world.first_fault().is_some() {
        // The rest would be consequences.
        world.engine.write().unwrap().take();
        return Ok(());
    }
    match end {
        End::Wait => {}
        End::CancelAll => {
            for one in world.accepted() {
                let Some(handle) = one.handle() else { continue };
                if handle.cancel().await.is_ok() {
                    one.cancelled.note(world.tick());
                }
            }
        }
        End::Shutdown => shut_down(world).await?,
        End::Drop => {
            world.closed.note(world.tick());
            world.engine.write().unwrap().take();
        }
    }
    let facts = everything_has_ended(world).await?;
    if let Some(engine) = world.engine() {
        checks::quiet::check(world, &engine, &facts).await?;
    }
    world.closed.note(world.tick());
    world.engine.write().unwrap().take();
    let recordings = read_everything(world, &facts).await?;
    checks::check_all(world, &facts, &recordings, handlers).await
}

async fn shut_down(world: &World) -> Check {
    let Some(engine) = world.engine() else { return Ok(()) };
    world.closed.note(world.tick());
    world.within("the shutdown", engine.shutdown(GRACE)).await?;
    for one in world.accepted() {
        let Some(handle) = one.handle() else { continue };
        let status = handle.status().await;
        let has_ended = status.as_ref().is_ok_and(|status| status.is_terminal());
        Rule::Agreement
            .check(has_ended, || format!("{} is {status:?} after a shutdown", one.name()))?;
    }
    let late = engine.execute(ExecutionRequest::shell("true")).await;
    Rule::RefusedForAReason
        .check(late == Err(ExecutionError::ShuttingDown), || format!("after a shutdown: {late:?}"))
}

/// Waits for all executions and plans, and replays what the executions published.
async fn everything_has_ended(world: &Arc<World>) -> Result<Vec<Facts>, Fault> {
    let mut facts = Vec::new();
    for one in world.accepted() {
        let Some(handle) = one.handle() else { continue };
        let result = world.within(&format!("the end of {}", one.name()), handle.wait()).await?;
        let result =
            result.map_err(|error| Rule::Agreement.broken(format!("{}: {error}", one.name())))?;
        one.ended.note(world.tick());
        one.trace.is_gone(&world.runs(), &one.name()).await?;
        facts.push(Facts::new(world, one, &handle, result).await?);
    }
    for run in world.plans().into_iter().filter(|run| run.is_accepted()) {
        let Some(engine) = world.engine() else { continue };
        let what = format!("the end of plan {}", run.plan.slot);
        let ended = world.within(&what, engine.wait_for_plan(run.id)).await?;
        // It may have been removed or forgotten.
        if let Ok(result) = ended {
            run.ended.note(world.tick());
            checks::plans::check_result(&run, &result, &world.runs())?;
        }
    }
    Ok(facts)
}

async fn read_everything(world: &World, facts: &[Facts]) -> Result<Vec<Recording>, Fault> {
    let mut recordings = Vec::new();
    for watcher in world.take_watchers() {
        let recording = world.within("a subscription", watcher).await?;
        let recording = recording.map_err(|error| Rule::NoPanic.broken(error.to_string()))?;
        Rule::NoHang.check(recording.is_complete, || {
            format!("a subscription told nothing for {PATIENCE:?}: {recording:?}")
        })?;
        recordings.push(recording);
    }
    recordings.extend(facts.iter().flat_map(|facts| facts.replays.iter().cloned()));
    Ok(recordings)
}

/// Returns the number of threads that engines of this process have.
fn engine_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.filter_map(|task| name(task).ok()).filter(|name| name.starts_with("execution")).count()
}

/// Waits until the engine has left no descriptor and no thread.
async fn everything_is_back((descriptors, threads): (usize, usize)) -> Check {
    let is_back = || open_descriptors() <= descriptors && engine_threads() <= threads;
    let wait = async {
        while !is_back() {
            pause(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    Rule::NothingLeft.check(in_time, || {
        format!(
            "{} descriptors and {} threads of the engine, {descriptors} and {threads} before it",
            open_descriptors(),
            engine_threads()
        )
    })
}

impl Caller {
    /// Returns a plan as the engine takes it.
    pub(crate) fn plan_spec(&self, run: &PlanRun) -> PlanSpec {
        let Plan { shape, steps, deadline_ms, .. } = &run.plan;
        let request = |(program, (id, trace)): (&crate::program::Program, &(Uuid, _))| {
            let trace: &crate::world::Trace = trace;
            let request = match program.last {
                Last::NoProgram => ExecutionRequest::program("/no/such/program"),
                Last::NotAProgram => {
                    let broken = self.world.home.join("broken");
                    ExecutionRequest::program(test_support::text(&broken))
                }
                _ => ExecutionRequest::shell(program.line(
                    &trace.home,
                    &self.world.ran(),
                    &trace.key,
                )),
            };
            request.id(*id)
        };
        let commands: Vec<_> = steps.iter().zip(&run.steps).map(request).collect();
        let strategy = match shape {
            Shape::Serial { stop_on_error } => {
                ExecutionStrategy::Serial { stop_on_error: *stop_on_error }
            }
            Shape::Parallel { at_a_time } => {
                ExecutionStrategy::Parallel { max_concurrency: *at_a_time }
            }
            Shape::Graph(_) => {
                let dependencies = (0..commands.len()).map(|step| (step, shape.dependencies(step)));
                ExecutionStrategy::DependencyGraph { dependencies: dependencies.collect() }
            }
        };
        let plan = ExecutionPlan { id: run.id, ..ExecutionPlan::new(strategy, commands) };
        let options = run.plan.options.iter().cloned();
        let mut options = options.fold(PlanOptions::default(), PlanOptions::step);
        if let Some(millis) = deadline_ms {
            options = options.deadline(Duration::from_millis(*millis));
        }
        PlanSpec::new(plan, options)
    }
}
