//! A large plan, and a service that is killed again and again.

use std::collections::HashMap;
use std::fmt::Write as _;

use fastrand::Rng;

use super::*;

const STEPS: usize = 200;
const KILLS: usize = 20;

/// Returns a plan of many steps, each of which writes its number to a file. Every seventh fails as long as a file
/// is missing; each waits for up to two of those before it.
fn large(random: &mut Rng) -> String {
    let mut text = String::from("max_concurrency = 4\n");
    for step in 0..STEPS {
        let fails = if step % 7 == 3 { "test -e mended && " } else { "" };
        let mut after: Vec<usize> = (0..random.usize(..3)).map(|_| random.usize(..=step)).collect();
        after.retain(|before| *before < step);
        after.sort_unstable();
        after.dedup();
        let _written = write!(
            text,
            "[[steps]]\nname = \"s{step}\"\ncommand = \"sleep 0.{}; {fails}echo {step} >> log\"\nafter = {:?}\n",
            random.usize(1..3),
            after.iter().map(|before| format!("s{before}")).collect::<Vec<_>>()
        );
    }
    text
}

/// Returns how often each number was written.
fn written(host: &Host) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    for line in lines(host, "log") {
        *counts.entry(line.parse().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn plan_of_200_steps_survives_20_kills_and_each_step_completes_once() {
    let host = Host::new();
    let mut random = Rng::with_seed(19);
    let file = write(&host, "large.toml", &large(&mut random));
    let id = detach(&host, &file);
    // Between two kills no more can end than what ran before the first, and what the service starts until the next:
    // so there is enough left for all of them, in both rounds.
    let mut completed = 0;
    for _ in 0..KILLS {
        until("some more steps have completed", || {
            let plan = show(&host, &id);
            if plan["ended_at"].is_string() {
                assert_eq!(plan["status"], "failed", "some fail as long as the file is missing");
                fs::write(host.file("mended"), "").unwrap();
                host.ok(&["plan", "resume", "--detach", &id]);
            }
            let now = plan["counts"]["completed"].as_u64().unwrap();
            let is_more = now > completed;
            completed = if is_more { now } else { completed };
            is_more
        });
        host.kill_service();
    }
    let mut code = host.exeng(&["plan", "wait", &id]).code;
    if code != Some(0) {
        fs::write(host.file("mended"), "").unwrap();
        code = host.exeng(&["plan", "resume", &id]).code;
    }
    assert_eq!(code, Some(0));
    let plan = show(&host, &id);
    assert_eq!(plan["counts"]["completed"], STEPS);
    let written = written(&host);
    let wrong: Vec<_> = (0..STEPS).filter(|step| written.get(step) != Some(&1)).collect();
    assert!(wrong.is_empty() && written.len() == STEPS, "not once: {wrong:?}");
    let executions: std::collections::HashSet<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["execution"].as_str().unwrap())
        .collect();
    assert_eq!(executions.len(), STEPS);
}
