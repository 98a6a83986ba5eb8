//! The checks find what fences and leases are there for, when those are switched off.

use std::time::{Duration, Instant};

use fleet_storm::{
    Fleet, FleetSetup, Part, Programs, Submitted, Verdict, Work, judge, read, watch,
};
use tokio::task::JoinSet;

use crate::run;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn without_fences_and_leases_the_checks_find_it() {
    run("planted::without_fences_and_leases_the_checks_find_it", async |programs| {
        let verdict = stopped_worker(programs, false).await;
        println!("{verdict}");
        assert!(!verdict.overlaps.is_empty() && verdict.stale_accepted > 0, "{verdict}");
    });
}

#[test]
fn with_them_the_same_breaks_nothing() {
    run("planted::with_them_the_same_breaks_nothing", async |programs| {
        let verdict = stopped_worker(programs, true).await;
        println!("{verdict}");
        assert!(verdict.problems().is_empty(), "{:?}", verdict.problems());
        assert!(verdict.starts > verdict.executions, "nothing was lost: {verdict}");
    });
}

/// Runs programs that take long, and stops their worker for longer than its lease; without leases also the keeper,
/// which would end it.
async fn stopped_worker(programs: Programs, is_safe: bool) -> Verdict {
    let setup = FleetSetup { workers: 2, is_fencing: is_safe, ..FleetSetup::default() };
    let mut fleet = Fleet::start(programs, &setup).await;
    fleet.workers[0].start();
    let engine = fleet.engine().await;
    // They run for longer than it takes to give up a worker: its presence has to pass, and then to be
    // missed for as long again.
    let work =
        Work { lines: 900, pause: Duration::from_millis(50), line_bytes: 30, max_attempts: 5 };
    let until = Instant::now() + PATIENCE;
    let client = fleet.client().await;
    let mut reading = JoinSet::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let (request, options) = fleet.request(work);
        let id = request.id;
        engine.start_with(request, options).await.unwrap();
        ids.push(id);
        let client = client.clone();
        reading.spawn(async move {
            let mut random = fastrand::Rng::with_seed(0);
            let clients = std::slice::from_ref(&client);
            let first = watch(clients, id, work, until, &mut random).await;
            let second = read(&client, id, work, until).await;
            Submitted { id, work, is_cancelled: Some(false), first, second }
        });
    }
    let lives = |fleet: &Fleet, count: usize| {
        let seen = fleet.register.seen();
        ids.iter().all(|id| seen.lives.get(id).is_some_and(|lives| lives.len() >= count))
    };
    wait_for(until, || lives(&fleet, 1)).await;
    fleet.workers[0].stop(Part::Worker);
    if !is_safe {
        fleet.workers[0].stop_unnoticed(Part::Keeper);
    }
    fleet.workers[1].start();
    let submitted = reading.join_all().await;
    fleet.workers[0].resume();
    judge(&submitted, &fleet.register.seen(), &fleet.lives(), &[])
}

async fn wait_for(until: Instant, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        assert!(Instant::now() < until, "a start did not come");
        fleet_storm::pause(Duration::from_millis(20)).await;
    }
}
