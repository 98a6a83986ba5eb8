//! Profiles: generators that aim at moments which a general history meets too rarely.

use execution_engine::{OutputStream, OversizedOutputStrategy, StepCondition, StepOptions};
use fastrand::Rng;

use crate::generator::{exec, general, once_in, one_of, plan, print, settings, text, watcher};
use crate::history::{
    End, Exec, HandlerKind, History, Look, Op, Pace, Plan, Settings, Shape, Slot, View, Watcher,
};
use crate::program::{Act, Last, PAUSE, Program, Text, Writes};
use crate::rounds::nothing;

type Make = fn(&mut Rng) -> History;

/// All profiles. The remainder of a seed selects one.
pub(crate) const PROFILES: &[(&str, Make)] = &[
    ("general", general),
    ("cancelled_at_start", cancelled_at_start),
    ("general", general),
    ("relay", relay),
    ("resumed", resumed),
    ("split_characters", split_characters),
    ("forgotten_steps", forgotten_steps),
    ("cancelled_plans", cancelled_plans),
    ("conditions", conditions),
    ("blocking_handlers", blocking_handlers),
    ("full_queue", full_queue),
    ("reused", reused),
    (crate::poor::PROFILE, no_room),
];

fn history(settings: Settings, lanes: Vec<Vec<Op>>, end: End) -> History {
    History { seed: 0, profile: "", settings, lanes, end }
}

/// Settings that keep everything.
fn plain(rng: &mut Rng) -> Settings {
    Settings {
        limit: 8,
        queue: Some(100),
        remembered: 1000,
        handlers: Vec::new(),
        kept_bytes: 1 << 20,
        window: 1 << 20,
        longest_line: 1 << 16,
        streams_lines: true,
        ..settings(rng)
    }
}

fn prints(times: u16) -> Program {
    let line = Text { piece: "line\n", times, writes: Writes::One };
    Program { acts: vec![Act::Print(OutputStream::Stdout, line)], last: Last::Exit(0) }
}

/// One caller starts, another one cancels as soon as it knows the execution.
fn cancelled_at_start(rng: &mut Rng) -> History {
    let slots: Vec<Slot> = (1..=20).collect();
    let start = |rng: &mut Rng, slot: &Slot| {
        let retry = once_in(rng, 4).then_some((2, 1));
        Op::Start(Box::new(Exec { program: prints(3), retry, ..nothing(*slot) }))
    };
    let starts = slots.iter().map(|slot| start(rng, slot)).collect();
    let cancels = slots.iter().map(|slot| Op::CancelSoon(*slot)).collect();
    let settings = Settings { limit: one_of(rng, &[1, 30]), ..plain(rng) };
    history(settings, vec![starts, cancels], End::Wait)
}

/// At a limit of 1 the next execution is accepted as soon as the end of the one before is seen.
fn relay(rng: &mut Rng) -> History {
    let look = one_of(rng, &[Look::Result, Look::Status, Look::List, Look::Position]);
    // One that cannot be started ends in the same way, and sooner.
    let (last, rounds) = one_of(rng, &[(Last::Exit(0), 15), (Last::NotAProgram, 100)]);
    let level = if last == Last::NotAProgram { 2 } else { rng.usize(..3) };
    let settings = Settings { limit: 1, queue: None, level, ..plain(rng) };
    let program = Program { acts: Vec::new(), last };
    let exec = Box::new(Exec { program, ..nothing(1) });
    // Others ask for the same things, so that the locks behind them are never free for long.
    let noise = |look| vec![Op::Spin(look, 10_000_000)];
    let second = one_of(rng, &[Look::Position, Look::List, Look::Status]);
    let first = vec![Op::Relay { exec, rounds, look }, Op::Counts];
    history(settings, vec![first, noise(Look::Position), noise(second)], End::Wait)
}

/// Little is kept, so that readers resume where output is missing.
fn resumed(rng: &mut Rng) -> History {
    let mut act = |at: usize| match at % 2 {
        1 => Act::Sleep(rng.u16(3..12)),
        _ => print(rng),
    };
    let mut lanes = Vec::new();
    let mut programs: Vec<Program> = Vec::new();
    for _ in 0..4 {
        let acts = (0..7).map(&mut act).collect();
        programs.push(Program { acts, last: Last::Exit(0) });
    }
    let watchers = [View::Lines, View::Chunks].map(|view| Watcher { view, pace: Pace::Fast });
    for (slot, program) in (1..).zip(programs) {
        let exec = Exec { program, watchers: watchers.to_vec(), ..nothing(slot) };
        let partial_after_ms = once_in(rng, 3).then(|| rng.u64(1..10));
        let watcher = watcher(rng);
        lanes.push(vec![
            Op::Start(Box::new(Exec { partial_after_ms, ..exec })),
            Op::Nap(rng.u32(..30_000)),
            Op::Subscribe { slot, after: rng.u64(2..30), watcher },
        ]);
    }
    let settings = Settings {
        kept_bytes: one_of(rng, &[1, 2, 7, 30]),
        window: one_of(rng, &[0, 8, 64, 1 << 20, 1 << 20]),
        longest_line: one_of(rng, &[4, 5, 6, 9, 65536]),
        ..plain(rng)
    };
    history(settings, lanes, End::Wait)
}

/// Lines that are longer than those told in one piece, with characters of several bytes.
const LONG_LINES: &[&str] =
    &["ab€cdefghijkl\n", "a𝄞bcdéfghijk€\n", "éééééééé", "€€€€€€\n", "𝄞𝄞𝄞𝄞", "xyzé€𝄞zyxwvuts"];

/// Programs pause in the middle of a character, and what came before the pause is evicted soon: so
/// readers that resume learn from a few marks alone where the line is cut.
fn split_characters(rng: &mut Rng) -> History {
    let print = |rng: &mut Rng| {
        let piece = one_of(rng, LONG_LINES);
        let inside: Vec<usize> =
            (0..piece.len()).filter(|at| !piece.is_char_boundary(*at)).collect();
        let first = u8::try_from(one_of(rng, &inside)).unwrap_or_default();
        let text = Text { piece, times: 1, writes: Writes::Apart(first) };
        [Act::Print(OutputStream::Stdout, text), Act::Sleep(PAUSE)]
    };
    let watchers = [View::Lines, View::Chunks].map(|view| Watcher { view, pace: Pace::Fast });
    let mut lanes = Vec::new();
    for slot in 1..=4 {
        let acts = (0..4).flat_map(|_| print(rng)).collect();
        let program = Program { acts, last: Last::Exit(0) };
        let exec = Exec { program, watchers: watchers.to_vec(), ..nothing(slot) };
        let mut lane = vec![Op::Start(Box::new(exec))];
        for _ in 0..6 {
            let watcher =
                Watcher { view: View::Lines, pace: one_of(rng, &[Pace::Fast, Pace::Slow]) };
            lane.push(Op::Nap(rng.u32(..2 * u32::from(PAUSE) * 1000)));
            lane.push(Op::Subscribe { slot, after: rng.u64(2..60), watcher });
        }
        lanes.push(lane);
    }
    let settings = Settings {
        kept_bytes: 1,
        oversized: OversizedOutputStrategy::TruncateWithWarning,
        window: one_of(rng, &[4, 8, 16, 24]),
        longest_line: one_of(rng, &[4, 5, 6, 7]),
        ..plain(rng)
    };
    history(settings, lanes, End::Wait)
}

/// Fewer executions are remembered than a plan has steps.
fn forgotten_steps(rng: &mut Rng) -> History {
    let mut lane = Vec::new();
    for slot in 100..103 {
        let steps = (0..rng.usize(2..6)).map(|_| prints(2)).collect();
        let shape = one_of(rng, &[0, 1]);
        let shape = match shape {
            0 => Shape::Serial { stop_on_error: true },
            _ => Shape::Parallel { at_a_time: None },
        };
        let watchers = vec![one_of(rng, &[Pace::Fast, Pace::Slow])];
        lane.push(Op::Plan(Box::new(Plan {
            shape,
            steps,
            watchers,
            options: Vec::new(),
            ..plan(rng, slot)
        })));
        lane.push(Op::WaitPlan(slot));
        lane.push(Op::SubscribePlan(slot, Pace::Fast));
    }
    let remembered = one_of(rng, &[1, 2, 3]);
    history(Settings { remembered, ..plain(rng) }, vec![lane], End::Wait)
}

/// Plans that are cancelled, or reach their deadline, as their last step ends.
fn cancelled_plans(rng: &mut Rng) -> History {
    let (mut makes, mut cancels) = (Vec::new(), Vec::new());
    for slot in 100..110 {
        let steps: Vec<_> = (0..rng.usize(1..3)).map(|_| prints(1)).collect();
        let shape = Shape::Serial { stop_on_error: true };
        let last = steps.len() - 1;
        let mut options = vec![StepOptions::default(); steps.len()];
        // The last one is a cleanup, or is there in case that the first one fails.
        match rng.u32(..4) {
            0 | 1 => options[last].always = true,
            2 if last > 0 => options[last].only_if.push(StepCondition::failed(0)),
            _ => {}
        }
        let deadline_ms = once_in(rng, 3).then(|| rng.u64(1..6));
        let plan = Plan { shape, steps, options, deadline_ms, watchers: Vec::new(), slot };
        makes.push(Op::Plan(Box::new(plan)));
        makes.push(Op::WaitPlan(slot));
        cancels.push(Op::CancelPlan(slot, Some(if rng.bool() { last } else { 0 })));
        if once_in(rng, 3) {
            cancels.push(Op::CancelPlan(slot, None));
        }
    }
    history(plain(rng), vec![makes, cancels], End::Wait)
}

/// Plans of many short steps under conditions, of which some fail, and some plans are cancelled.
fn conditions(rng: &mut Rng) -> History {
    let (mut makes, mut cancels) = (Vec::new(), Vec::new());
    for slot in 100..108 {
        let mut plan = plan(rng, slot);
        let last = [Last::Exit(0), Last::Exit(0), Last::Exit(3), Last::NoProgram];
        for step in &mut plan.steps {
            *step = Program { acts: Vec::new(), last: one_of(rng, &last) };
        }
        plan.deadline_ms = once_in(rng, 6).then(|| rng.u64(1..20));
        if once_in(rng, 3) {
            let step = rng.usize(..plan.steps.len());
            cancels.push(Op::CancelPlan(slot, Some(step)));
        }
        makes.push(Op::Plan(Box::new(plan)));
        makes.push(Op::WaitPlan(slot));
    }
    history(plain(rng), vec![makes, cancels], End::Wait)
}

/// Handlers that block for longer than they may.
fn blocking_handlers(rng: &mut Rng) -> History {
    let mut lanes = Vec::new();
    for slot in 1..=3 {
        let mut exec = exec(rng, slot);
        exec.program.last = Last::Exit(0);
        exec.timeout_ms = None;
        exec.program.acts.retain(|act| !matches!(act, Act::CopyInput));
        exec.program.acts.insert(0, Act::Print(OutputStream::Stdout, text(rng)));
        exec.program.acts.push(Act::Print(OutputStream::Stdout, text(rng)));
        exec.program.acts.push(Act::Sleep(rng.u16(1..60)));
        exec.program.acts.extend(prints(4).acts);
        lanes.push(vec![Op::Start(Box::new(exec))]);
    }
    let handlers = one_of(rng, &[0, 1]);
    let handlers = match handlers {
        0 => vec![HandlerKind::Blocks],
        _ => vec![HandlerKind::Fast, HandlerKind::Blocks],
    };
    let settings = Settings { handlers, stall_ms: 30, ..plain(rng) };
    history(settings, lanes, End::Wait)
}

/// One caller fills a queue behind an execution that goes on, cancels, and fills it again.
fn full_queue(rng: &mut Rng) -> History {
    let places = rng.usize(1..5);
    let sleeps = Program { acts: Vec::new(), last: Last::SleepOn };
    let watchers = vec![Watcher { view: View::Lines, pace: Pace::Fast }];
    let first = Exec { program: sleeps, timeout_ms: Some(20_000), watchers, ..nothing(1) };
    let mut lane = vec![Op::Start(Box::new(first)), Op::Nap(5000)];
    let mut next = 2;
    for _ in 0..40 {
        let known = rng.u32(2..=next);
        lane.push(match rng.u32(..8) {
            0..=3 => {
                next += 1;
                Op::Start(Box::new(Exec { program: prints(1), ..nothing(next) }))
            }
            4..=5 => Op::Cancel(known),
            6 => Op::Look(known, Look::Position),
            _ => Op::Counts,
        });
    }
    // Then what is left runs in the order of the queue.
    lane.push(Op::Cancel(1));
    history(Settings { limit: 1, queue: Some(places), ..plain(rng) }, vec![lane], End::Wait)
}

/// Ids that are used again at once, watched by subscriptions to all executions.
fn reused(rng: &mut Rng) -> History {
    let blocker = Program { acts: Vec::new(), last: Last::SleepOn };
    let blocker = Exec { program: blocker, timeout_ms: Some(20_000), ..nothing(1) };
    let queued = Program { acts: Vec::new(), last: Last::SleepOn };
    let lane = |slot: Slot, last: Last, rounds: u16| {
        let exec = Exec { program: Program { last, ..queued.clone() }, ..nothing(slot) };
        vec![Op::SubscribeAll(Pace::Fast), Op::Reuse { exec: Box::new(exec), rounds }]
    };
    // Where they wait in the queue they end at once, else their programs have to be stopped.
    let (limit, rounds, last) =
        one_of(rng, &[(1, 40, Last::SleepOn), (4, 8, Last::SleepOn), (4, 40, Last::NotAProgram)]);
    let watch = |pace| vec![Op::SubscribeAll(pace), Op::Nap(1000)];
    let lanes = vec![
        [vec![Op::Start(Box::new(blocker))], watch(Pace::SlowWaker)].concat(),
        lane(2, last, rounds),
        lane(3, last, rounds),
    ];
    let settings = Settings { limit, queue: Some(100), ..plain(rng) };
    history(settings, lanes, End::CancelAll)
}

/// At times there is room for few threads and processes, or for none.
fn no_room(rng: &mut Rng) -> History {
    let mut lane = Vec::new();
    let room = |rng: &mut Rng| {
        let rooms = [Some(0), Some(0), Some(1), Some(2), Some(4), None];
        Op::Room(rooms[rng.usize(..rooms.len())])
    };
    for slot in 1..6 {
        lane.push(room(rng));
        lane.push(Op::Start(Box::new(Exec { slot, ..exec(rng, slot) })));
        if once_in(rng, 2) {
            lane.push(Op::Plan(Box::new(Plan { watchers: Vec::new(), ..plan(rng, 100 + slot) })));
        }
        if once_in(rng, 2) {
            lane.push(Op::Room(None));
            lane.push(Op::Start(Box::new(Exec { program: prints(2), ..nothing(20 + slot) })));
        }
    }
    lane.push(Op::Room(None));
    let handlers = if rng.bool() { vec![HandlerKind::Fast] } else { Vec::new() };
    history(Settings { handlers, ..plain(rng) }, vec![lane], End::CancelAll)
}
