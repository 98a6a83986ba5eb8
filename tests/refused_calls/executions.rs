//! Executions in a host for which a system call is refused.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use execution_engine::*;
use futures_lite::future::{block_on, zip};
use futures_util::future::join_all;
use test_support::host;
use test_support::levels::name_of;
use test_support::lifeline::holding;
use test_support::{exec, shell};

pub(crate) const LEVELS: [ContainmentLevel; 3] =
    [ContainmentLevel::Cgroup, ContainmentLevel::ProcessTree, ContainmentLevel::ProcessGroup];

/// An execution, and what shows that its result is right.
struct Case(ExecutionRequest, ExecutionOptions, fn(&ExecutionResult) -> bool);

/// Runs executions at each level that is offered, and says what is wrong with them. Calls are refused by
/// `refuse`, before the engines are made or when each has run a program.
pub(crate) fn run_all(home: &Path, is_late: bool, refuse: impl FnOnce()) {
    let build = |level| {
        let builder = ExecutionEngine::builder().containment(level);
        (level, builder.stop_grace(Duration::from_millis(50)).build())
    };
    let mut engines = Vec::new();
    if is_late {
        engines.extend(LEVELS.map(build));
        for engine in engines.iter().filter_map(|(_, engine)| engine.as_ref().ok()) {
            assert!(block_on(engine.run(exec("true"))).unwrap().success);
        }
        refuse();
    } else {
        refuse();
        engines.extend(LEVELS.map(build));
    }
    let run = |(level, engine)| async move {
        match engine {
            Ok(engine) => run(&engine, level, &home.join(name_of(level))).await,
            Err(error) => report(level, check_error(&ExecutionError::to_string(&error))),
        }
    };
    block_on(join_all(engines.into_iter().map(run)));
    let strongest = ExecutionEngine::new(ExecutionConfig::default()).unwrap();
    let result = block_on(strongest.run(exec("true")));
    report(ContainmentLevel::ProcessGroup, check(result, |result| result.success));
    // It fails as a whole, or each timeout that has no timer runs on the other clock.
    match ExecutionEngine::builder().timeout_clock(TimeoutClock::Boottime).build() {
        Ok(engine) => {
            let request = shell("exec sleep 300").timeout(Duration::from_millis(50));
            let checked = check(block_on(engine.run(request)), |result| {
                matches!(result.ending, Ending::TimedOut { .. })
            });
            report(ContainmentLevel::ProcessGroup, checked);
        }
        Err(error) => report(ContainmentLevel::ProcessGroup, check_error(&error.to_string())),
    }
}

fn report(level: ContainmentLevel, checked: Option<String>) {
    if let Some(fault) = checked {
        host::say(&format!("{level}: {}", fault.replace('\n', " ")));
    }
}

async fn run(engine: &ExecutionEngine, level: ContainmentLevel, home: &Path) {
    let run = |Case(request, options, is_right)| async move {
        let started = engine.execute_with(request, options).await;
        let result = match started {
            Ok(id) => engine.wait_for_completion(id).await,
            Err(error) => Err(error),
        };
        check(result, is_right)
    };
    let all = join_all(cases().into_iter().map(run));
    let (all, stopped) = zip(all, run_to_be_stopped(engine, level, home)).await;
    all.into_iter().chain([stopped]).for_each(|checked| report(level, checked));
}

fn cases() -> [Case; 6] {
    // SIGPIPE is ignored here, and must not be there.
    let output = "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo err >&2";
    let limits = Limits::default().open_files(20).umask(0o027).nice(7);
    let options = ExecutionOptions::default;
    [
        // The peak of so small a program is that of its host, which is not reported.
        Case(exec("true"), options(), |it| {
            let peak = it.usage.as_ref().and_then(|usage| usage.peak_memory_bytes);
            it.success && peak.is_none()
        }),
        Case(shell(output), options(), |it| {
            it.stdout.matches(":\t0000000000000000\n").count() == 2 && it.stderr == "err\n"
        }),
        Case(shell("exit 7"), options(), |it| it.ending == Ending::Exited { code: 7 }),
        Case(shell("sleep 300 & sleep 300").timeout(Duration::from_millis(50)), options(), |it| {
            matches!(it.ending, Ending::TimedOut { .. }) && is_honest(&it.containment)
        }),
        Case(shell("cat"), options().stdin(StdinSource::bytes("given")), |it| it.stdout == "given"),
        Case(
            shell("ulimit -n; umask; cut -d' ' -f19 /proc/$$/stat"),
            options().limits(limits),
            |it| it.stdout == "20\n0027\n7\n",
        ),
    ]
}

/// Cancels a program that obeys SIGKILL alone, and so does its child, in a session of its own where the
/// level reaches that far.
async fn run_to_be_stopped(
    engine: &ExecutionEngine,
    level: ContainmentLevel,
    home: &Path,
) -> Option<String> {
    let own = if level == ContainmentLevel::ProcessGroup { "" } else { "setsid" };
    let line = format!("trap '' TERM; {own} sleep 300 & echo ready; sleep 300");
    let id = match engine.execute(shell(holding(home, &line))).await {
        Ok(id) => id,
        Err(error) => return check_error(&error.to_string()),
    };
    let mut records = engine.subscribe(id).await.unwrap();
    while let Some(record) = records.next().await {
        if matches!(record.event, ExecutionEvent::Stdout { .. }) {
            engine.cancel(id).await.unwrap();
        }
    }
    let result = engine.wait_for_completion(id).await;
    let is_gone = is_gone(home);
    check(result, |result| {
        let receipt = &result.containment;
        // It took SIGKILL to end all.
        let was_killed = receipt.signal == Some(Signal::Kill);
        let is_told = if receipt.survivors.is_empty() { is_gone && was_killed } else { true };
        result.ending == Ending::Cancelled && is_told && is_honest(receipt)
    })
}

/// Returns `true` if the receipt of a tree that was stopped does not contradict itself. A tree of which
/// some are left could not be signalled, or not be examined.
fn is_honest(receipt: &ContainmentReceipt) -> bool {
    if receipt.survivors.is_empty() {
        let is_proven = receipt.proven == (receipt.level == ContainmentLevel::Cgroup);
        return is_proven && receipt.signal.is_some() && receipt.stopped > 0;
    }
    let tells_of_a_kill = |it: &Survivor| it.reason.contains("after SIGKILL");
    let was_killed = receipt.signal == Some(Signal::Kill);
    !receipt.proven && (was_killed || !receipt.survivors.iter().any(tells_of_a_kill))
}

/// Returns `true` if no process holds the lifeline of a directory, which this process may not poll.
fn is_gone(home: &Path) -> bool {
    let mut options = File::options();
    let life = options.read(true).custom_flags(libc::O_NONBLOCK).open(home.join("life"));
    matches!(life.unwrap().read(&mut [0]), Ok(0))
}

/// Returns what is wrong with a result.
fn check(
    result: Result<ExecutionResult>,
    is_right: impl FnOnce(&ExecutionResult) -> bool,
) -> Option<String> {
    match result {
        Err(error) => check_error(&error.to_string()),
        Ok(result) => match &result.ending {
            Ending::SpawnFailed { reason, .. } | Ending::EngineFailed { reason } => {
                check_error(reason)
            }
            _ => (!is_right(&result)).then(|| format!("{result:?}")),
        },
    }
}

/// Returns an error that does not say what failed.
fn check_error(error: &str) -> Option<String> {
    let step = error.split("Operation not permitted").next()?;
    let step = step.split("Function not implemented").next()?;
    (step.len() < 10 || step.len() == error.len()).then(|| format!("unnamed: {error}"))
}
