//! Many executions wait before the first worker is there.

use std::time::{Duration, Instant};

use fleet_storm::{Fleet, FleetSetup, Part, Programs, Submitted, Work, judge, read};
use tokio::task::JoinSet;

use crate::{run, setting};

/// Longer than anything takes on a busy machine; each execution may take a tenth of a second more.
const PATIENCE: Duration = Duration::from_secs(300);
/// Executions that are submitted or read at a time.
const AT_A_TIME: usize = 32;
/// Executions that have run when a worker is killed.
const BEFORE_KILL: usize = 100;

#[test]
fn all_that_wait_are_run() {
    run("queued::all_that_wait_are_run", queue);
}

async fn queue(programs: Programs) {
    let count: u32 = setting("EXENG_FLEET_STORM_QUEUED", 1000);
    let setup = FleetSetup { slots: 8, ..FleetSetup::default() };
    let mut fleet = Fleet::start(programs, &setup).await;
    let (engine, client) = (fleet.engine().await, fleet.client().await);
    let work = Work { lines: 1, pause: Duration::ZERO, line_bytes: 30, max_attempts: 3 };
    let begin = Instant::now();
    let until = begin + PATIENCE + Duration::from_millis(100) * count;
    let mut tasks = JoinSet::new();
    let mut ids = Vec::new();
    for _ in 0..count {
        if tasks.len() == AT_A_TIME {
            ids.push(tasks.join_next().await.unwrap().unwrap());
        }
        let (engine, (request, options)) = (engine.clone(), fleet.request(work));
        tasks.spawn(async move { engine.start_with(request, options).await.unwrap().id() });
    }
    ids.extend(tasks.join_all().await);
    println!("{count} queued in {:.1?}", begin.elapsed());
    let begin = Instant::now();
    fleet.start_workers();
    while fleet.register.seen().lives.len() < BEFORE_KILL {
        assert!(Instant::now() < until, "they do not run");
        fleet_storm::pause(Duration::from_millis(20)).await;
    }
    fleet.workers[0].kill(Part::Worker);
    let mut submitted = Vec::new();
    let mut tasks = JoinSet::new();
    for id in ids {
        if tasks.len() == AT_A_TIME {
            submitted.push(tasks.join_next().await.unwrap().unwrap());
        }
        tasks.spawn(read_twice(client.clone(), id, work, until));
    }
    submitted.extend(tasks.join_all().await);
    println!("all had ended after {:.1?}", begin.elapsed());
    let workers = fleet.lives();
    let verdict = judge(&submitted, &fleet.register.seen(), &workers, &[]);
    println!("{verdict}");
    assert!(verdict.problems().is_empty(), "{:?}\n{}", verdict.problems(), fleet.logs());
    assert_eq!(verdict.executions, count as usize);
}

async fn read_twice(
    client: execution_engine_fleet::FleetClient,
    id: uuid::Uuid,
    work: Work,
    until: Instant,
) -> Submitted {
    let mut random = fastrand::Rng::with_seed(0);
    let first =
        fleet_storm::watch(std::slice::from_ref(&client), id, work, until, &mut random).await;
    let second = read(&client, id, work, until).await;
    Submitted { id, work, is_cancelled: Some(false), first, second }
}
