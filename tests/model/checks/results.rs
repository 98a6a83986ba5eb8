//! Results: what a program did is what its result says, each ending has a cause, and all who ask
//! hear the same.

use execution_engine::*;

use super::Facts;
use crate::history::Input;
use crate::program::{FAILS_ONCE, Last};
use crate::rules::{Check, Rule};
use crate::world::{Answer, Said, Submission, World, lock};

/// Checks the result of one execution.
pub(super) fn check_result(world: &World, facts: &Facts, runs: &[String]) -> Check {
    let Facts { one, result, .. } = facts;
    let is_consistent = result.status == result.ending.status()
        && result.success == result.ending.is_success()
        && result.id == one.id;
    Rule::Agreement.check(is_consistent, || format!("{}: {result:?}", facts.name()))?;
    let receipt = &result.containment;
    // A process of another user may be anybody's; what holds the FIFO is looked for elsewhere.
    let is_ours = |survivor: &Survivor| !survivor.reason.starts_with("it may belong to the tree");
    let is_alone = !receipt.survivors.iter().any(is_ours) && receipt.left_running.is_empty();
    Rule::NothingLeft.check(is_alone, || format!("{}: {result:?}", facts.name()))?;
    let has_run = one.trace.runs(runs) > 0;
    Rule::ResultIsTrue.check(has_run || !matches!(result.ending, Ending::Exited { .. }), || {
        format!("{}: it exited and never ran", facts.name())
    })?;
    let never = matches!(result.ending, Ending::NotRun { .. } | Ending::SpawnFailed { .. });
    let was_started = has_run || facts.starts() > 0;
    Rule::ResultIsTrue
        .check(!never || !was_started, || format!("{}: it was started", facts.name()))?;
    check_cause(world, facts)?;
    check_output(world, facts)
}

/// Checks that something in the history explains the ending.
fn check_cause(world: &World, facts: &Facts) -> Check {
    let Facts { one, result, .. } = facts;
    let Submission { exec, id, .. } = &**one;
    let is_poor = world.may_be_poor(one.called, one.ended.get());
    let answers = lock(&world.answers);
    let cancel = |answer: &Answer| {
        matches!(&answer.what, Said::Cancelled(of, Ok(())) if of == id) && answer.to > one.called
    };
    let was_cancelled = one.cancelled.get() < u64::MAX || answers.iter().any(cancel);
    let has_cause = match &result.ending {
        // A shell that cannot fork ends as it likes.
        Ending::Exited { .. } if is_poor => true,
        Ending::Exited { code } => {
            let fails = exec.program.expected(true, false, b"").code == Some(FAILS_ONCE);
            exec.program.last == Last::Exit(u8::try_from(*code).unwrap_or(u8::MAX))
                || fails && *code == FAILS_ONCE
        }
        Ending::Signaled { signal, .. } => exec.program.last == Last::KillItself && *signal == 9,
        Ending::TimedOut { timeout_ms } => {
            *timeout_ms == exec.timeout_ms.unwrap_or(crate::runner::TIMEOUT_MS)
        }
        Ending::IdleTimedOut { idle_timeout_ms } => exec.idle_timeout_ms == Some(*idle_timeout_ms),
        Ending::Cancelled => was_cancelled,
        Ending::EngineClosed => world.closed.get() < u64::MAX && facts.starts() > 0,
        Ending::NotRun { reason: SkipReason::EngineClosed } => {
            world.closed.get() < u64::MAX && facts.starts() == 0
        }
        Ending::SpawnFailed { .. } => !exec.program.can_start() || is_poor,
        Ending::OutputLimit { .. } => {
            world.settings.oversized == OversizedOutputStrategy::FailExecution
        }
        _ => false,
    };
    Rule::EndingHasCause.check(has_cause, || format!("{}: {:?}", one.name(), result.ending))?;
    let is_kept = one.cancelled.get() == u64::MAX || result.ending == Ending::Cancelled;
    Rule::CancelIsKept
        .check(is_kept, || format!("{} was cancelled: {:?}", one.name(), result.ending))
}

/// Checks the output of a program that nothing has stopped.
fn check_output(world: &World, facts: &Facts) -> Check {
    let Facts { result, one, .. } = facts;
    // A shell that cannot fork prints less.
    let is_poor = world.may_be_poor(one.called, one.ended.get());
    if is_poor || !matches!(result.ending, Ending::Exited { .. }) {
        return Ok(());
    }
    let Some(expected) = facts.expected() else { return Ok(()) };
    let streams = [
        (result.stdout_stats, result.stdout_bytes(), &expected.output[0]),
        (result.stderr_stats, result.stderr_bytes(), &expected.output[1]),
    ];
    for (stats, bytes, expected) in streams {
        let is_whole = stats.seen_bytes == expected.len() as u64;
        Rule::ResultIsTrue.check(is_whole || one.exec.input == Input::Piped, || {
            format!("{}: {stats:?}, but it printed {} bytes", facts.name(), expected.len())
        })?;
        let fits = expected.len() <= world.settings.kept_bytes;
        let is_kept = if fits { bytes == expected[..] } else { true };
        Rule::ResultIsTrue.check(is_kept, || {
            let told = String::from_utf8_lossy(&bytes);
            format!("{}: {told:?}, not {:?}", facts.name(), String::from_utf8_lossy(expected))
        })?;
    }
    Rule::ResultIsTrue.check(result.ending.exit_code() == expected.code.unwrap_or(-1), || {
        format!("{}: it was to exit with {:?}", facts.name(), expected.code)
    })
}

/// Checks what callers heard against the results.
pub(super) fn check_answers(world: &World, facts: &[Facts]) -> Check {
    let by_id = world.by_id();
    for answer in lock(&world.answers).iter() {
        let (id, said) = match &answer.what {
            Said::Status(id, status) => (*id, (*status, None)),
            Said::Result(id, Some(result)) => (*id, (result.status, Some(result))),
            Said::Result(id, None) => (*id, (ExecutionStatus::Pending, None)),
            Said::Cancelled(id, Err(ExecutionError::AlreadyEnded { status, .. })) => {
                (*id, (*status, None))
            }
            _ => continue,
        };
        let of_id = || facts.iter().filter(move |facts| facts.one.id == id);
        let (status, result) = said;
        if let (Some(result), Some(accepted)) = (result, by_id.get(&id)) {
            let is_known = of_id().next().is_none() || of_id().any(|it| it.result == **result);
            // Of those that `run` has run there is no other account.
            let is_known = is_known || accepted.iter().any(|one| one.handle().is_none());
            Rule::Agreement.check(is_known, || format!("a caller got {result:?}"))?;
        }
        let Some(only) = world.only(id) else { continue };
        let Some(facts) = of_id().find(|facts| facts.one.number == only.number) else { continue };
        let is_over = answer.from > only.ended.get();
        let agrees = if status.is_terminal() { status == facts.result.status } else { !is_over };
        Rule::Agreement.check(agrees, || {
            format!("{}: {answer:?} after its end at {}", facts.name(), only.ended.get())
        })?;
    }
    Ok(())
}
