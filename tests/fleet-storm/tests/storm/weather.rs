//! The storm: executions are submitted, followed and cancelled while all kinds of faults happen.

use std::time::{Duration, Instant};

use fleet_storm::{Faults, Fleet, FleetSetup, Log, Programs, Work, run_faults};

use crate::submissions::Submissions;
use crate::{run, setting};

/// How long all that was submitted may take after the faults, and what each execution adds.
const HEALED: Duration = Duration::from_secs(300);
const EACH: Duration = Duration::from_millis(500);

#[test]
fn a_storm_breaks_no_promise() {
    run("weather::a_storm_breaks_no_promise", storm);
}

async fn storm(programs: Programs) {
    let time = Duration::from_secs(setting("EXENG_FLEET_STORM_SECONDS", 60));
    let count: u32 = setting("EXENG_FLEET_STORM_EXECUTIONS", 200);
    let seed = setting("EXENG_FLEET_STORM_SEED", fastrand::u64(..));
    println!("EXENG_FLEET_STORM_SEED={seed}: {count} executions in {time:?}");
    let mut fleet = Fleet::start(programs, &FleetSetup::default()).await;
    println!("network: {:?}", fleet.network);
    fleet.start_workers();
    let mut random = fastrand::Rng::with_seed(seed);
    let until = Instant::now() + time + HEALED + EACH * count;
    let mut submissions = Submissions::new(&fleet, until).await;
    for number in 0..count {
        let begin = time.mul_f64(0.9 * f64::from(number) / f64::from(count));
        let work = if number == 0 { big() } else { small(&mut random) };
        submissions.submit(&fleet, work, begin, random.fork());
    }
    let mut log = Log::default();
    let faults = Faults { seed, time, longest: Duration::from_secs(20) };
    run_faults(&mut fleet, faults, &mut log).await;
    println!("{} faults:\n{}", log.lines.len(), log.lines.join("\n"));
    submissions.keep_promises(&mut fleet, &log.outages).await;
}

fn small(random: &mut fastrand::Rng) -> Work {
    Work {
        lines: random.u64(1..120),
        pause: Duration::from_millis(random.u64(0..100)),
        line_bytes: random.usize(20..200),
        // One that is lost ends, or is started again until it ends by itself.
        max_attempts: if random.u32(0..4) == 0 { 1 } else { 100 },
    }
}

fn big() -> Work {
    let mebibytes = setting("EXENG_FLEET_STORM_MEBIBYTES", 64);
    Work { lines: mebibytes * 1024, pause: Duration::ZERO, line_bytes: 1024, max_attempts: 100 }
}
