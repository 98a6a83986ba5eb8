//! The protocol of a fleet, in all orders of a bounded number of events. All readers use the fold that
//! the crate has. The promises have the numbers of the design: the first is of the queue's servers, and
//! the fifth, that output has no gap, is not of the fold.

mod system;
mod view;
mod worker;

use stateright::{Checker, HasDiscoveries, Model, Property};

use system::{Faults, Request, Step, System};
use view::{Ending, Folded, Known, View};

struct Fleet {
    faults: Faults,
    /// Most records in the log.
    records: usize,
    folded: Folded,
}

const FENCES: &str = "2: fences grow, and an old start changes no register";
const ENDING: &str = "3: all readers have one ending";
const EXCLUSIVE: &str = "4: no two run at a time";
const CANCEL: &str = "6: a cancel that returned Ok is the ending";

impl Fleet {
    fn now(&self, system: &System) -> Known {
        self.folded.of(&View::of(&system.log))
    }

    /// The endings that readers know: those with old views, and one that reads now.
    fn endings(&self, system: &System) -> Vec<Ending> {
        let views = system.workers.iter().map(|worker| &worker.view);
        let old = views.filter_map(|view| self.folded.of(view).ending);
        old.chain(system.told).chain(self.now(system).ending).collect()
    }
}

fn fences_grow(_: &Fleet, system: &System) -> bool {
    let later = |one: usize| &system.started[one + 1..];
    let mut pairs = system.started.iter().enumerate().flat_map(|(at, one)| {
        later(at).iter().map(move |two| (one.attempt.cmp(&two.attempt), one.fence.cmp(&two.fence)))
    });
    let is_ordered = pairs.all(|(attempts, fences)| attempts == fences && attempts.is_ne());
    is_ordered && !system.register.is_stale
}

fn one_ending(fleet: &Fleet, system: &System) -> bool {
    fleet.endings(system).windows(2).all(|pair| pair[0] == pair[1])
}

fn cancel_holds(fleet: &Fleet, system: &System) -> bool {
    let is_cancelled = |ending: &Ending| matches!(ending, Ending::Cancelled(_));
    system.client != Request::Cancelled
        || fleet.now(system).ending.as_ref().is_some_and(is_cancelled)
}

impl Model for Fleet {
    type State = System;
    type Action = Step;

    fn init_states(&self) -> Vec<System> {
        vec![System::new()]
    }

    fn actions(&self, system: &System, steps: &mut Vec<Step>) {
        system.steps(self.faults, steps);
    }

    fn next_state(&self, system: &System, step: Step) -> Option<System> {
        let mut next = system.clone();
        next.take(step, self.faults, &self.folded)?;
        (next != *system).then_some(next)
    }

    fn within_boundary(&self, system: &System) -> bool {
        system.log.len() <= self.records
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FENCES, fences_grow),
            Property::always(ENDING, one_ending),
            Property::always(EXCLUSIVE, |_, system: &System| !system.overlapped),
            Property::always(CANCEL, cancel_holds),
            Property::sometimes("a cancel returns Ok", |_, system: &System| {
                system.client == Request::Cancelled
            }),
            Property::sometimes("a cancel comes too late", |_, system: &System| {
                system.client == Request::AlreadyEnded
            }),
            Property::sometimes("a second start is made", |_, system: &System| {
                system.started.len() == 2
            }),
            Property::sometimes("a report is superseded", |fleet: &Fleet, system: &System| {
                fleet.now(system).superseded > 0
            }),
        ]
    }
}

/// Checks all orders of events with logs of at most so many records.
fn check(faults: Faults, records: usize) -> impl Checker<Fleet> {
    let fleet = Fleet { faults, records, folded: Folded::default() };
    // One thread: with more, the checker of this version may wait for ever at the end.
    let builder = fleet.checker().threads(1).finish_when(HasDiscoveries::AllFailures);
    let checker = builder.spawn_bfs().join();
    println!("{faults:?}: {} states", checker.unique_state_count());
    checker
}

/// Returns which promises break.
fn broken(faults: Faults, records: usize) -> Vec<&'static str> {
    let checker = check(faults, records);
    let promises = [FENCES, ENDING, EXCLUSIVE, CANCEL];
    promises.into_iter().filter(|promise| checker.discovery(promise).is_some()).collect()
}

/// `EXENG_MODEL_RECORDS=5` takes minutes.
#[test]
fn the_promises_hold() {
    let records = std::env::var("EXENG_MODEL_RECORDS").ok();
    let records = records.map_or(4, |records| records.parse().expect("a number of records"));
    let faults = Faults { late_record: true, failed_condition: true, ..Faults::default() };
    check(faults, records).assert_properties();
}

#[test]
fn a_frozen_machine_breaks_that_no_two_run_at_a_time_alone() {
    let faults = Faults { frozen_machine: true, ..Faults::default() };
    assert_eq!(broken(faults, 3), [EXCLUSIVE]);
}

/// A worker that was stopped between its look at the lease and the start of the program would start
/// it when it goes on. So the keeper kills the worker, too.
#[test]
fn a_keeper_that_spares_its_worker_breaks_that_no_two_run_at_a_time() {
    let faults = Faults { sparing_keeper: true, ..Faults::default() };
    assert_eq!(broken(faults, 3), [EXCLUSIVE]);
}

/// Servers that do not write to disk before they acknowledge, and lose power.
#[test]
fn a_log_that_loses_what_it_acknowledged_breaks_all_promises() {
    let faults = Faults { lossy_log: true, ..Faults::default() };
    assert_eq!(broken(faults, 3), [FENCES, ENDING, EXCLUSIVE, CANCEL]);
}
