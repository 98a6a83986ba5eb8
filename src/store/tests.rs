//! Tests of the one id space.

use std::sync::Arc;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use chrono::Utc;
use execution_engine_process::Level;
use uuid::Uuid;

use super::*;
use crate::admission::{AdmissionRequest, Admitted, ConcurrencyLimiter, GroupId, QueuePolicy};
use crate::config::OversizedOutputStrategy;
use crate::error::{ExecutionError, Result};
use crate::output::{Journal, JournalLimits, JournalOwner};
use crate::time::Deadline;
use crate::types::{Admission, ExecutionMetadata};

type TestRegistry = Registry<()>;

fn registry() -> TestRegistry {
    Registry::new(ConcurrencyLimiter::new(1000, Admission::Reject, Vec::new(), Arc::default()))
}

fn admit(registry: &TestRegistry, id: Uuid, origin: Origin<'_>) -> Result<Admitted> {
    let request =
        AdmissionRequest { group: GroupId::NONE, priority: 0, policy: QueuePolicy::AsConfigured };
    registry.admit(id, &Arc::new(()), origin, request, |_| ())
}

fn plan(id: Uuid, total: usize) -> Arc<ActivePlan> {
    numbered_plan(JournalOwner { id, ..JournalOwner::default() }, total)
}

fn numbered_plan(owner: JournalOwner, total: usize) -> Arc<ActivePlan> {
    let id = owner.id;
    let info = PlanInfo {
        id,
        description: None,
        metadata: ExecutionMetadata::default(),
        total,
        started_at: Utc::now(),
        begun: Instant::now(),
        level: Level::ProcessGroup,
    };
    let limits = JournalLimits {
        limit: 1,
        oversized: OversizedOutputStrategy::TruncateWithWarning,
        window: 0,
        max_line_bytes: 100,
    };
    let journal = Arc::new(Journal::new(owner, "".into(), limits));
    Arc::new(ActivePlan::new(info, journal, Deadline::never()))
}

fn duplicate<T>(id: Uuid) -> Result<T> {
    Err(ExecutionError::DuplicateId(id))
}

/// Races an execution against a plan that wants `id`, in turns with a head start for either.
/// Asserts that exactly one is admitted each time, and that each is at least once.
fn assert_one_wins(plan_with: impl Fn(Uuid) -> (Arc<ActivePlan>, Vec<Uuid>)) {
    const ROUNDS: u32 = 2000;
    let registry = registry();
    let start = Barrier::new(2);
    let ids: Vec<_> = (0..ROUNDS).map(|_| Uuid::new_v4()).collect();
    let wait = |rounds: u32| (0..rounds).for_each(|_| std::hint::spin_loop());
    let (executions, plans) = std::thread::scope(|scope| {
        let executions = scope.spawn(|| {
            let race = |(round, id): (u32, &Uuid)| {
                start.wait();
                wait(round % 2 * round % 500);
                admit(&registry, *id, Origin::Caller).map(drop)
            };
            (0..).zip(&ids).map(race).collect::<Vec<_>>()
        });
        let race = |(round, id): (u32, &Uuid)| {
            let (plan, steps) = plan_with(*id);
            start.wait();
            wait((round + 1) % 2 * round % 500);
            registry.admit_plan(&plan, &steps)
        };
        let plans: Vec<_> = (0..).zip(&ids).map(race).collect();
        (executions.join().unwrap(), plans)
    });
    for ((execution, plan), id) in executions.iter().zip(&plans).zip(&ids) {
        assert_ne!(execution.is_ok(), plan.is_ok(), "exactly one of them has the id");
        assert!([execution, plan].contains(&&duplicate(*id)), "{execution:?}, {plan:?}");
    }
    let won = executions.iter().filter(|execution| execution.is_ok()).count();
    assert!(0 < won && won < ids.len(), "executions won {won} times of {ROUNDS}");
}

#[test]
fn an_execution_and_a_plan_never_get_the_same_id() {
    assert_one_wins(|id| (plan(id, 1), vec![Uuid::new_v4()]));
}

#[test]
fn an_execution_and_a_step_never_get_the_same_id() {
    assert_one_wins(|id| (plan(Uuid::new_v4(), 1), vec![id]));
}

#[test]
fn the_id_of_a_step_is_its_plans_until_it_starts_or_never_will() {
    let registry = registry();
    let [first, second] = [plan(Uuid::new_v4(), 2), plan(Uuid::new_v4(), 1)];
    let steps = [Uuid::new_v4(), Uuid::new_v4()];
    registry.admit_plan(&first, &steps).unwrap();
    assert!(registry.get(steps[0]).is_none(), "it has not started");
    assert_eq!(registry.execution_count(), 0);

    for id in [steps[0], steps[1], first.info().id] {
        assert_eq!(admit(&registry, id, Origin::Caller).map(drop), duplicate(id));
        assert_eq!(admit(&registry, id, Origin::Step(&second)).map(drop), duplicate(id));
        assert_eq!(registry.admit_plan(&second, &[id]), duplicate(id));
    }
    assert!(registry.plan(second.info().id).is_none(), "a refused plan leaves nothing behind");

    registry.release(&second, steps[1]);
    assert_eq!(admit(&registry, steps[1], Origin::Caller).map(drop), duplicate(steps[1]));
    registry.release(&first, steps[1]);
    assert!(admit(&registry, steps[1], Origin::Caller).is_ok());

    assert!(admit(&registry, steps[0], Origin::Step(&first)).is_ok());
    registry.release(&first, steps[0]);
    assert!(registry.get(steps[0]).is_some(), "a step that has started keeps its id");
    registry.discard(steps[0], None);
    assert!(admit(&registry, steps[0], Origin::Caller).is_ok());
    assert_eq!(registry.execution_count(), 2);
}

#[test]
fn a_closed_registry_reports_what_is_active_and_admits_nothing() {
    let registry = registry();
    let [active, ended, late] = [1, 2, 3].map(|_| plan(Uuid::new_v4(), 0));
    registry.admit_plan(&active, &[]).unwrap();
    registry.admit_plan(&ended, &[]).unwrap();
    drop(registry.end_plan(&ended, Instant::now(), None, || ()));
    let _permit = admit(&registry, Uuid::new_v4(), Origin::Caller).unwrap();

    let ActiveEntries { executions, plans } = registry.close();
    assert_eq!(executions.len(), 1);
    assert!(plans.len() == 1 && Arc::ptr_eq(&plans[0], &active));
    assert_eq!(registry.admit_plan(&late, &[]), Err(ExecutionError::ShuttingDown));
    let refused = admit(&registry, Uuid::new_v4(), Origin::Caller);
    assert_eq!(refused.map(drop), Err(ExecutionError::ShuttingDown));
}

#[test]
fn an_ended_plan_can_be_removed_or_evicted_and_its_id_used_again() {
    let registry = registry();
    let retention = RetentionPolicy { age: Duration::from_secs(60), count: 1 };
    let plans = [1, 2].map(|_| plan(Uuid::new_v4(), 1));
    let ids = plans.each_ref().map(|plan| plan.info().id);
    for plan in &plans {
        registry.admit_plan(plan, &[]).unwrap();
        let still_active = registry.remove_plan(plan.info().id);
        assert_eq!(still_active.map(drop), Err(ExecutionError::StillRunning(plan.info().id)));
    }
    let evicted = registry.end_plan(&plans[0], Instant::now(), Some(retention), || ());
    assert!(evicted.plans.is_empty());
    let evicted = registry.end_plan(&plans[1], Instant::now(), Some(retention), || ());
    assert!(evicted.plans.len() == 1 && Arc::ptr_eq(&evicted.plans[0], &plans[0]));
    let unknown = Err(ExecutionError::PlanNotFound(ids[0]));
    assert_eq!(registry.remove_plan(ids[0]).map(drop), unknown);
    assert!(registry.remove_plan(ids[1]).is_ok());
    assert!(ids.iter().all(|id| admit(&registry, *id, Origin::Caller).is_ok()));
}

#[test]
fn plans_are_listed_by_acceptance_also_if_the_clock_is_set_back() {
    let registry = registry();
    // A lower number with a later time, as after the clock was set back.
    let plans = [2, 0, 1].map(|number| {
        numbered_plan(JournalOwner { id: Uuid::from_u128(9 - u128::from(number)), number }, 1)
    });
    plans.iter().for_each(|plan| registry.admit_plan(plan, &[]).unwrap());
    drop(registry.end_plan(&plans[2], Instant::now(), None, || ()));
    let numbers: Vec<_> =
        registry.plans().iter().map(|plan| plan.journal().owner().number).collect();
    assert_eq!(numbers, [0, 1, 2]);
}
