//! Generator of histories: everything follows from the seed.

use execution_engine::{OutputStream, OversizedOutputStrategy, StepCondition, StepOptions};
use fastrand::Rng;

use crate::history::{
    End, Exec, HandlerKind, History, Input, Look, Op, Pace, Plan, Settings, Shape, Slot, View,
    Watcher,
};
use crate::profiles::PROFILES;
use crate::program::{Act, Last, Program, Text, Writes};

/// Number of executions that callers of a general history name.
const SLOTS: u32 = 6;
/// The number of a caller's first plan.
const PLANS: u32 = 100;

const PIECES: &[&str] =
    &["a", "no end", "line\n", "\n", "x y\n", "é", "äöü\n", "€uro", "𝄞", "日本語\n", "0123456789"];

/// Returns the number of a seed's profile.
fn profile(seed: u64) -> usize {
    usize::try_from(seed % PROFILES.len() as u64).unwrap_or_default()
}

/// Returns the name of a seed's profile.
pub(crate) fn profile_of(seed: u64) -> &'static str {
    PROFILES[profile(seed)].0
}

/// Returns the history of a seed. Its remainder selects the profile.
pub(crate) fn history(seed: u64) -> History {
    let (profile, make) = PROFILES[profile(seed)];
    let mut history = make(&mut Rng::with_seed(seed));
    (history.seed, history.profile) = (seed, profile);
    history
}

/// Returns one of several values.
pub(crate) fn one_of<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    values[rng.usize(..values.len())]
}

/// Returns `true` once in `times`.
pub(crate) fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

pub(crate) fn settings(rng: &mut Rng) -> Settings {
    let handlers = [
        vec![],
        vec![HandlerKind::Fast],
        vec![HandlerKind::Slow],
        vec![HandlerKind::Panics, HandlerKind::Fast],
    ];
    Settings {
        level: rng.usize(..3),
        limit: one_of(rng, &[1, 1, 2, 3, 8]),
        queue: one_of(rng, &[None, Some(1), Some(3), Some(50)]),
        remembered: one_of(rng, &[1, 2, 5, 100, 100, 100]),
        handlers: handlers[rng.usize(..4)].clone(),
        kept_bytes: one_of(rng, &[1, 7, 64, 1000, 1 << 20]),
        oversized: one_of(
            rng,
            &[
                OversizedOutputStrategy::TruncateWithWarning,
                OversizedOutputStrategy::TruncateWithWarning,
                OversizedOutputStrategy::FailExecution,
                OversizedOutputStrategy::StreamToFile,
                OversizedOutputStrategy::KeepHeadAndTail,
            ],
        ),
        window: one_of(rng, &[0, 16, 4096, 1 << 20, 1 << 20]),
        longest_line: one_of(rng, &[4, 5, 9, 100, 65536, 65536]),
        stall_ms: 10_000,
        streams_lines: !once_in(rng, 8),
    }
}

pub(crate) fn text(rng: &mut Rng) -> Text {
    let writes = one_of(rng, &[Writes::One, Writes::One, Writes::OnePerPiece, Writes::OnePerByte]);
    let most = match writes {
        Writes::One if once_in(rng, 6) => 400,
        Writes::OnePerPiece if once_in(rng, 4) => 200,
        Writes::One | Writes::OnePerPiece => 8,
        Writes::OnePerByte => 3,
        Writes::Apart(_) => 1,
    };
    Text { piece: one_of(rng, PIECES), times: rng.u16(0..=most), writes }
}

pub(crate) fn print(rng: &mut Rng) -> Act {
    Act::Print(one_of(rng, &[OutputStream::Stdout, OutputStream::Stderr]), text(rng))
}

pub(crate) fn program(rng: &mut Rng) -> Program {
    let act = |rng: &mut Rng| match rng.u32(..12) {
        0..=6 => print(rng),
        7..=8 => Act::Sleep(rng.u16(1..20)),
        9 => Act::LeaveChild,
        10 => Act::IgnoreStop,
        _ => Act::CopyInput,
    };
    let acts = (0..rng.usize(..5)).map(|_| act(rng)).collect();
    let last = match rng.u32(..12) {
        0..=6 => Last::Exit(0),
        7..=8 => Last::Exit(3),
        9 => Last::KillItself,
        10 => Last::SleepOn,
        _ => one_of(rng, &[Last::NoProgram, Last::NotAProgram]),
    };
    Program { acts, last }
}

pub(crate) fn watcher(rng: &mut Rng) -> Watcher {
    let pace = one_of(rng, &[Pace::Fast, Pace::Fast, Pace::Slow, Pace::SlowWaker]);
    Watcher { view: one_of(rng, &[View::Lines, View::Chunks]), pace }
}

pub(crate) fn exec(rng: &mut Rng, slot: Slot) -> Exec {
    let mut program = program(rng);
    let retry = once_in(rng, 5).then(|| (rng.u32(2..4), rng.u64(1..8)));
    if retry.is_some() && once_in(rng, 2) {
        let at = rng.usize(..=program.acts.len());
        program.acts.insert(at, Act::FailOnce);
    }
    let mut input = one_of(rng, &[Input::None, Input::Bytes("given\nto it"), Input::Piped]);
    if retry.is_some() && input == Input::Piped {
        input = Input::None;
    }
    // With one of each, readers that miss something can be judged by those that miss nothing.
    let mut watchers =
        [View::Lines, View::Chunks].map(|view| Watcher { view, pace: Pace::Fast }).to_vec();
    if once_in(rng, 3) {
        watchers.push(watcher(rng));
    }
    Exec {
        slot,
        program,
        timeout_ms: once_in(rng, 4).then(|| rng.u64(1..60)),
        retry,
        input,
        is_merged: once_in(rng, 6),
        idle_timeout_ms: once_in(rng, 6).then(|| rng.u64(1..60)),
        partial_after_ms: once_in(rng, 5).then(|| rng.u64(1..10)),
        priority: if once_in(rng, 8) { 1 } else { 0 },
        watchers,
    }
}

pub(crate) fn plan(rng: &mut Rng, slot: Slot) -> Plan {
    let count = rng.usize(1..6);
    let shape = match rng.u32(..3) {
        0 => Shape::Serial { stop_on_error: rng.bool() },
        1 => Shape::Parallel { at_a_time: rng.bool().then(|| rng.usize(1..3)) },
        _ => {
            let earlier = |step| (0..step).filter(|_| once_in(rng, 2)).collect();
            Shape::Graph((0..count).map(earlier).collect())
        }
    };
    let steps = (0..count).map(|_| program(rng)).collect();
    let options = (0..count).map(|step| step_options(rng, step, &shape)).collect();
    let deadline_ms = once_in(rng, 4).then(|| rng.u64(1..80));
    let pace = one_of(rng, &[Pace::Fast, Pace::Slow, Pace::SlowWaker]);
    let watchers = if rng.bool() { vec![pace] } else { vec![] };
    Plan { slot, shape, steps, options, deadline_ms, watchers }
}

fn step_options(rng: &mut Rng, step: usize, shape: &Shape) -> StepOptions {
    let mut options = StepOptions::default();
    (options.allow_failure, options.always) = (once_in(rng, 5), once_in(rng, 6));
    while step > 0 && once_in(rng, 4) {
        let on = rng.usize(..step);
        let waits_for_none = shape.dependencies(step).is_empty();
        options.only_if.push(match rng.u32(..7) {
            0 => StepCondition::succeeded(on),
            1 | 2 => StepCondition::failed(on),
            3 => StepCondition::exit_code(on, [3, 17]),
            4 => StepCondition::AnyFailed,
            5 => StepCondition::NoneFailed,
            _ => StepCondition::skipped(on),
        });
        let last = options.only_if.last();
        if waits_for_none && last.is_some_and(|condition| condition.step().is_none()) {
            options.only_if.pop();
        }
    }
    options
}

/// Makes a history of anything.
pub(crate) fn general(rng: &mut Rng) -> History {
    let settings = settings(rng);
    let lanes = rng.usize(2..5);
    let lanes = (0..lanes).map(|lane| general_lane(rng, lane)).collect();
    let end = one_of(rng, &[End::Wait, End::CancelAll, End::CancelAll, End::Shutdown, End::Drop]);
    History { seed: 0, profile: "", settings, lanes, end }
}

fn general_lane(rng: &mut Rng, lane: usize) -> Vec<Op> {
    let first_plan = PLANS + 100 * u32::try_from(lane).unwrap_or_default();
    let mut plans = 0;
    let count = rng.usize(4..14);
    let mut ops = Vec::with_capacity(count);
    for _ in 0..count {
        let slot = rng.u32(1..=SLOTS);
        ops.push(match rng.u32(..32) {
            0..=8 => Op::Start(Box::new(exec(rng, slot))),
            9 => Op::Run(Box::new(exec(rng, slot))),
            10..=11 => Op::Cancel(slot),
            12 => Op::CancelSoon(slot),
            13 => Op::Pause(slot),
            14 => Op::Resume(slot),
            15..=16 => {
                let looks = [Look::Status, Look::Result, Look::Position, Look::List];
                Op::Look(slot, one_of(rng, &looks))
            }
            17 => Op::Counts,
            18..=19 => Op::Wait(slot),
            20..=21 => Op::Subscribe { slot, after: rng.u64(..40), watcher: watcher(rng) },
            22 => Op::SubscribeAll(watcher(rng).pace),
            23..=24 => Op::Remove(slot),
            25 => Op::CleanUp,
            26 => Op::Input(slot),
            27 => {
                plans += 1;
                Op::Plan(Box::new(plan(rng, first_plan + plans)))
            }
            28 if plans > 0 => {
                let number = rng.u32(1..=plans);
                any_plan_op(rng, first_plan + number)
            }
            29 if once_in(rng, 8) => Op::Shutdown,
            31 if once_in(rng, 4) => Op::CancelAll,
            30 => Op::Waiters(slot, rng.u8(1..20)),
            _ => Op::Nap(rng.u32(..5000)),
        });
    }
    ops
}

fn any_plan_op(rng: &mut Rng, slot: Slot) -> Op {
    match rng.u32(..6) {
        0 => Op::CancelPlan(slot, None),
        1 => Op::CancelPlan(slot, Some(0)),
        2 => Op::WaitPlan(slot),
        3 => Op::SubscribePlan(slot, Pace::Fast),
        4 => Op::RemovePlan(slot),
        _ => Op::LookPlan(slot),
    }
}
