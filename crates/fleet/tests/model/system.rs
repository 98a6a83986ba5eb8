//! Two workers with their lease keepers, a sweeper, a client, the queue and the log, and what may
//! happen to them.
//!
//! Each takes its steps at any time: who takes none is stopped (SIGSTOP), slow or cut off. Time itself
//! is in two rules alone: a worker counts as absent when its lease is over, and when a lease is over a
//! keeper that runs has killed.

use crate::view::{Begun, Ending, Entry, Folded, View};

/// What may go wrong beside pauses, crashes, lost answers, cancels and redelivery.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// One record may arrive late, or never.
    pub(crate) late_record: bool,
    /// A condition may fail to refuse a record, once.
    pub(crate) failed_condition: bool,
    /// A whole machine, with its keeper, may be frozen for longer than a lease.
    pub(crate) frozen_machine: bool,
    /// The log may lose the last record, though it was acknowledged.
    pub(crate) lossy_log: bool,
    /// The keeper kills the programs at the deadline, but not the worker.
    pub(crate) sparing_keeper: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ticket {
    Waiting,
    Delivered,
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// It has the ticket, and what it has read may be old.
    Got,
    /// It has read that a claim for this attempt would count.
    Free(u32),
    /// It has published a claim, and does not know what became of it.
    Claimed,
    /// Its claim counts, and its lease was held when it looked.
    Ready(Begun),
    Runs(Begun),
    /// The program is over, and the report is not known to be stored.
    Reports(Begun),
    Settles,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) phase: Phase,
    pub(crate) view: View,
    /// Whether the process of the worker lives.
    pub(crate) lives: bool,
    /// The number of the start whose program lives.
    pub(crate) program: Option<usize>,
    /// Whether its lease is not over.
    pub(crate) leased: bool,
    /// Whether the servers have its presence.
    pub(crate) present: bool,
    pub(crate) frozen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sweep {
    Idle,
    /// It has found this start, whose worker is absent.
    Found(Begun),
    Settles,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    None,
    /// The cancel is published.
    Sent,
    /// `cancel` has returned `Ok`.
    Cancelled,
    /// `cancel` has returned that it had ended.
    AlreadyEnded,
}

/// A store that refuses lower fences than the highest it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Register {
    pub(crate) fence: u64,
    /// Attempt and number of the start that wrote last.
    pub(crate) writer: (u32, usize),
    /// Whether an old start has changed it.
    pub(crate) is_stale: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct System {
    pub(crate) log: Vec<Entry>,
    /// A record under way, with the sequence that it expects to be the last.
    pub(crate) late: Option<(Entry, Option<u64>)>,
    pub(crate) ticket: Ticket,
    pub(crate) workers: [Worker; 2],
    pub(crate) sweeper: Sweep,
    pub(crate) client: Request,
    /// What the first reader that could tell an ending was told.
    pub(crate) told: Option<Ending>,
    pub(crate) register: Register,
    /// All starts of the program, in their order.
    pub(crate) started: Vec<Begun>,
    /// Whether two programs lived at a time.
    pub(crate) overlapped: bool,
    /// Whether a condition has let a record pass that it should have refused.
    pub(crate) slipped: bool,
    was_late: bool,
    lost: bool,
}

/// How a record gets to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Answered,
    /// It is appended, and the answer is lost.
    Unanswered,
    /// It comes later, or never.
    Late,
    /// As `Answered`, and its condition fails to refuse it.
    Slips,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Deliver(usize),
    Redeliver,
    Read(usize),
    Claim(usize, Way),
    Start(usize),
    Write(usize),
    Exit(usize),
    Watch(usize),
    Report(usize, Way),
    Settle(usize),
    Crash(usize),
    Deadline(usize),
    Absent(usize),
    Freeze(usize),
    Thaw(usize),
    Arrive { slips: bool },
    Sweep,
    Lost(Way),
    GiveBack,
    Cancel(Way),
    Look,
    Tell,
    Lose,
}

impl System {
    pub(crate) fn new() -> Self {
        let worker = Worker {
            phase: Phase::Idle,
            view: View::default(),
            lives: true,
            program: None,
            leased: true,
            present: true,
            frozen: false,
        };
        Self {
            log: Vec::new(),
            late: None,
            ticket: Ticket::Waiting,
            workers: [worker.clone(), worker],
            sweeper: Sweep::Idle,
            client: Request::None,
            told: None,
            register: Register::default(),
            started: Vec::new(),
            overlapped: false,
            slipped: false,
            was_late: false,
            lost: false,
        }
    }

    pub(crate) fn steps(&self, faults: Faults, steps: &mut Vec<Step>) {
        (0..2).for_each(|at| self.steps_of_worker(at, faults, steps));
        steps.extend([Step::Redeliver, Step::Sweep, Step::GiveBack, Step::Look, Step::Tell]);
        for way in ways(faults) {
            steps.extend([Step::Lost(way), Step::Cancel(way)]);
        }
        steps.push(Step::Arrive { slips: false });
        if faults.failed_condition {
            steps.push(Step::Arrive { slips: true });
        }
        if faults.lossy_log {
            steps.push(Step::Lose);
        }
    }

    fn steps_of_worker(&self, at: usize, faults: Faults, steps: &mut Vec<Step>) {
        let worker = &self.workers[at];
        if worker.frozen {
            steps.extend([Step::Thaw(at), Step::Absent(at)]);
            return;
        }
        if worker.lives {
            steps.extend([Step::Deliver(at), Step::Read(at), Step::Start(at), Step::Exit(at)]);
            steps.extend([Step::Watch(at), Step::Settle(at), Step::Crash(at)]);
            steps.extend(ways(faults).map(|way| Step::Report(at, way)));
            // With or without an answer the worker reads.
            steps.extend(ways(faults).skip(1).map(|way| Step::Claim(at, way)));
            if faults.failed_condition {
                steps.push(Step::Claim(at, Way::Slips));
            }
        }
        steps.extend([Step::Write(at), Step::Deadline(at), Step::Absent(at)]);
        // One machine is enough, and the other goes on.
        if faults.frozen_machine && at == 0 {
            steps.push(Step::Freeze(at));
        }
    }

    /// Takes a step. Returns `None` if it is not possible.
    pub(crate) fn take(&mut self, step: Step, faults: Faults, folded: &Folded) -> Option<()> {
        match step {
            Step::Deliver(at) => self.deliver(at),
            Step::Redeliver => self.redeliver(),
            Step::Read(at) => self.read(at, folded),
            Step::Claim(at, way) => self.claim(at, way),
            Step::Start(at) => self.start(at),
            Step::Write(at) => self.write(at),
            Step::Exit(at) => self.exit(at),
            Step::Watch(at) => self.watch(at, folded),
            Step::Report(at, way) => self.report(at, way),
            Step::Settle(at) => self.settle(at),
            Step::Crash(at) => self.crash(at),
            Step::Deadline(at) => self.deadline(at, faults),
            Step::Absent(at) => self.absent(at),
            Step::Freeze(at) => some(&mut self.workers[at].frozen, true),
            Step::Thaw(at) => some(&mut self.workers[at].frozen, false),
            Step::Arrive { slips } => self.arrive(slips),
            Step::Sweep => self.sweep(folded),
            Step::Lost(way) => self.write_lost(way),
            Step::GiveBack => self.give_back(),
            Step::Cancel(way) => self.cancel(way),
            Step::Look => self.look(folded),
            Step::Tell => self.tell(folded),
            Step::Lose => self.lose(),
        }
    }

    fn sweep(&mut self, folded: &Folded) -> Option<()> {
        let begun = folded.of(&View::of(&self.log)).running?;
        let may = self.sweeper == Sweep::Idle && !self.workers[begun.worker].present;
        may.then(|| self.sweeper = Sweep::Found(begun))
    }

    fn write_lost(&mut self, way: Way) -> Option<()> {
        let Sweep::Found(begun) = self.sweeper else { return None };
        self.append(Entry::Lost(begun), way)?;
        if way == Way::Answered {
            self.sweeper = Sweep::Settles;
        }
        Some(())
    }

    fn give_back(&mut self) -> Option<()> {
        (self.sweeper == Sweep::Settles).then(|| {
            self.sweeper = Sweep::Idle;
            self.ticket = back(self.ticket);
        })
    }

    fn cancel(&mut self, way: Way) -> Option<()> {
        if self.client != Request::None {
            return None;
        }
        self.append(Entry::Cancel, way)?;
        self.client = Request::Sent;
        Some(())
    }

    /// The client reads, and `cancel` returns if it can tell.
    fn look(&mut self, folded: &Folded) -> Option<()> {
        if self.client != Request::Sent {
            return None;
        }
        self.client = match folded.of(&View::of(&self.log)).ending? {
            Ending::Cancelled(_) => Request::Cancelled,
            _ => Request::AlreadyEnded,
        };
        Some(())
    }

    fn tell(&mut self, folded: &Folded) -> Option<()> {
        let ending = folded.of(&View::of(&self.log)).ending?;
        self.told.is_none().then(|| self.told = Some(ending))
    }

    fn lose(&mut self) -> Option<()> {
        if self.lost {
            return None;
        }
        self.lost = true;
        self.log.pop().map(|_| ())
    }

    pub(crate) fn append(&mut self, entry: Entry, way: Way) -> Option<()> {
        match way {
            Way::Late => self.send_late(entry, None),
            _ => {
                self.log.push(entry);
                Some(())
            }
        }
    }

    pub(crate) fn send_late(&mut self, entry: Entry, expected: Option<u64>) -> Option<()> {
        (!self.was_late).then(|| {
            self.was_late = true;
            self.late = Some((entry, expected));
        })
    }

    fn arrive(&mut self, slips: bool) -> Option<()> {
        let (entry, expected) = self.late.take()?;
        let holds = expected.is_none_or(|expected| expected == self.log.len() as u64);
        if slips && (holds || self.slipped) {
            return None;
        }
        self.slipped |= slips;
        if holds || slips {
            self.log.push(entry);
        }
        Some(())
    }
}

/// The ways of a record that are possible.
fn ways(faults: Faults) -> impl Iterator<Item = Way> {
    let late = faults.late_record.then_some(Way::Late);
    [Way::Answered, Way::Unanswered].into_iter().chain(late)
}

/// Sets a value, if it is another one.
pub(crate) fn some(value: &mut bool, new: bool) -> Option<()> {
    (*value != new).then(|| *value = new)
}

/// A ticket that is given back.
pub(crate) fn back(ticket: Ticket) -> Ticket {
    if ticket == Ticket::Removed { ticket } else { Ticket::Waiting }
}
