//! Machines with different clocks, of which one is set while it works.

use std::time::{Duration, Instant};

use fleet_storm::{Fleet, FleetSetup, Part, WallClock, Work, pause, started_earlier};

use crate::run;
use crate::submissions::Submissions;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
const EXECUTIONS: u32 = 40;
/// Seconds beside the right time, one after the other.
const STEPS: [i64; 4] = [86_400, -86_400, 5, 0];
const STEP: Duration = Duration::from_secs(4);
/// Longer than any machine of tests runs.
const EARLIER: u64 = 100_000_000;

#[test]
fn clocks_break_no_promise() {
    run("clocks::clocks_break_no_promise", async |programs| {
        let Some(clock) = WallClock::new() else {
            println!("libfaketime is not installed: no clock is set");
            return;
        };
        let mut fleet = Fleet::start(programs, &FleetSetup::default()).await;
        fleet.workers[0].enter.extend(clock.enter());
        match started_earlier(EARLIER) {
            Some(enter) => fleet.workers[1].enter.extend(enter),
            None => println!("no time namespaces on this host: all machines started together"),
        }
        fleet.start_workers();
        let mut submissions = Submissions::new(&fleet, Instant::now() + PATIENCE).await;
        let mut random = fastrand::Rng::new();
        let time = STEP * STEPS.len() as u32;
        for number in 0..EXECUTIONS {
            let lines = random.u64(1..60);
            let rest = Duration::from_millis(random.u64(0..100));
            let work = Work { lines, pause: rest, line_bytes: 100, max_attempts: 100 };
            submissions.submit(&fleet, work, time * number / EXECUTIONS, random.fork());
        }
        for (node, seconds) in STEPS.into_iter().enumerate() {
            clock.set(seconds);
            pause(STEP / 2).await;
            fleet.workers[node].kill(Part::Worker);
            pause(STEP / 2).await;
        }
        submissions.keep_promises(&mut fleet, &[]).await;
    });
}
