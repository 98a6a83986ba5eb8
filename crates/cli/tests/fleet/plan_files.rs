//! Files of steps of a plan, over several workers and a change of the conductor.

use rustix::process::Signal;

use crate::plans::{conductor, fleet, show, status, worker, write};
use crate::support::*;

/// Returns a plan in which two steps, which wait for each other, collect a file of the same name each. A third one,
/// once it may go on, takes both, and a fourth one files that nobody has collected.
fn plan(dir: &str) -> String {
    format!(
        r#"
failure_policy = "continue"
[[steps]]
name = "part"
command = """mkdir -p out/$MATRIX_NAME; echo $MATRIX_NAME > out/$MATRIX_NAME/data
touch {dir}/$MATRIX_NAME; until [ -e {dir}/a -a -e {dir}/b ]; do sleep 0.05; done"""
options = {{ collect = ["out/**"] }}
matrix = {{ name = ["a", "b"] }}
[[steps]]
name = "gate"
after = ["part"]
command = "until [ -e {dir}/go ]; do sleep 0.05; done"
[[steps]]
name = "join"
after = ["gate"]
command = "find . -type f | sort; cat out/*/data > all"
options = {{ collect = ["all"] }}
files_from = "part:**"
inputs = [{{ from = "part (a)", to = {{ type = "files", pattern = "out/**", directory = "in" }} }}]
[[steps]]
name = "none"
after = ["gate"]
command = "true"
files_from = "join:*.csv"
"#
    )
}

#[tokio::test]
async fn files_of_steps_go_to_others_over_workers_and_conductors() {
    let fleet = fleet().await;
    let dir = fleet.home.path().join("marks");
    std::fs::create_dir(&dir).unwrap();
    let file = write(&fleet, "files.toml", &plan(dir.to_str().unwrap()));
    let hand = || worker(&fleet, &["--pool", "default", "--slots", "1", "--plans", "0"]);
    let _hands = (hand(), hand());
    let first = conductor(&fleet);
    let id = fleet.told(&["plan", "run", "--detach", &file]);
    let id = id.trim();
    until("the gate runs", || status(&show(&fleet, id), 2) == "running");
    first.signal(Signal::KILL);
    drop(first);
    std::fs::write(dir.join("go"), "").unwrap();
    let _second = conductor(&fleet);
    let waited = fleet.output(&["plan", "wait", id]);
    assert_eq!(waited.status.code(), Some(125), "of a step that could not start: {waited:?}");
    let plan = show(&fleet, id);
    let workers: std::collections::BTreeSet<_> = (0..2)
        .map(|step| {
            let execution = plan["steps"][step]["execution"].as_str().unwrap();
            let shown = fleet.told(&["show", "--json", execution]);
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            shown["place"]["worker"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(workers.len(), 2, "each had a worker of its own");
    assert_eq!(
        fleet.told(&["plan", "logs", "--step", "join", id]),
        "join     | ./in/out/a/data\njoin     | ./out/a/data\njoin     | ./out/b/data\n"
    );
    let join = plan["steps"][3]["execution"].as_str().unwrap();
    let to = fleet.home.path().join("results");
    fleet.told(&["fleet", "artifacts", join, "--to", to.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(to.join("all")).unwrap(), "a\nb\n");
    let none = &plan["steps"][4];
    assert_eq!(
        (none["ending"]["type"].as_str(), none["execution"].as_str()),
        (Some("spawn_failed"), None)
    );
    let error = none["error"].as_str().unwrap();
    assert!(error.contains("none of the 1") && error.contains("*.csv"), "{error}");
}
