//! A server whose disk is full, and one whose disk is empty.

use std::time::{Duration, Instant};

use fleet_storm::{Fleet, FleetSetup, Part, Programs, SmallDisk, Work, pause};

use crate::run;
use crate::submissions::Submissions;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of the disk that becomes full.
const DISK: u64 = 64 << 20;
/// How long executions are submitted.
const TIME: Duration = Duration::from_secs(24);
/// A part of it.
const QUARTER: Duration = Duration::from_secs(6);
const EXECUTIONS: u32 = 60;

#[test]
fn a_full_disk_breaks_no_promise() {
    run("disks::a_full_disk_breaks_no_promise", async |programs| {
        let Some(disk) = SmallDisk::mount(DISK) else {
            println!("no mount namespaces on this host: no disk is full");
            return;
        };
        let stores = vec![disk.path()];
        let setup = FleetSetup { stores, ..FleetSetup::default() };
        let (mut fleet, submissions) = begin(programs, &setup).await;
        pause(QUARTER).await;
        disk.fill();
        pause(QUARTER).await;
        assert!(fleet.servers.log(0).contains("no space left"), "{}", fleet.servers.log(0));
        disk.free();
        // A server that could not write uses its disk no more until it is started again.
        fleet.servers.kill(0);
        fleet.servers.start_again(&[0]).await;
        without_others(fleet, submissions).await;
    });
}

#[test]
fn an_empty_disk_breaks_no_promise() {
    run("disks::an_empty_disk_breaks_no_promise", async |programs| {
        let (mut fleet, submissions) = begin(programs, &FleetSetup::default()).await;
        pause(QUARTER).await;
        fleet.servers.kill(0);
        // What it alone had with one other is on both others then.
        pause(QUARTER).await;
        fleet.servers.erase(0);
        fleet.servers.start_again(&[0]).await;
        without_others(fleet, submissions).await;
    });
}

/// Starts a fleet and executions.
async fn begin(programs: Programs, setup: &FleetSetup) -> (Fleet, Submissions) {
    let mut fleet = Fleet::start(programs, setup).await;
    fleet.start_workers();
    let mut submissions = Submissions::new(&fleet, Instant::now() + PATIENCE).await;
    let mut random = fastrand::Rng::new();
    for number in 0..EXECUTIONS {
        let work = Work {
            lines: random.u64(1..60),
            pause: Duration::from_millis(random.u64(0..100)),
            line_bytes: random.usize(20..2000),
            max_attempts: 100,
        };
        submissions.submit(&fleet, work, TIME * number / EXECUTIONS, random.fork());
    }
    (fleet, submissions)
}

/// Has the server that was ill be one of two that are left, and a worker lost.
async fn without_others(mut fleet: Fleet, submissions: Submissions) {
    fleet.servers.kill(1);
    fleet.workers[0].kill(Part::Worker);
    submissions.keep_promises(&mut fleet, &[]).await;
}
