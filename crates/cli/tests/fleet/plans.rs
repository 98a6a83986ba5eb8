//! Plans that workers conduct: in the words of a user, and over deaths of workers.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::*;

/// A fleet with a pool for the steps, which is the first, and one of workers that conduct and run nothing.
pub(crate) async fn fleet() -> Fleet {
    let fleet = Fleet::without_setup().await;
    fleet.told(&["fleet", "init", "--pool", "default", "--pool", "idle"]);
    fleet
}

/// Starts a worker. Its lease is long enough for a machine that does much else: that of the worker which
/// runs the steps must not be over.
pub(crate) fn worker(fleet: &Fleet, words: &[&str]) -> Running {
    let words = [&["worker", "--lease", "1s,8s,12s"], words].concat();
    let mut worker = Running::start(fleet.command(&words));
    worker.wait_for("is ready");
    worker
}

pub(crate) fn hands(fleet: &Fleet) -> Running {
    worker(fleet, &["--pool", "default", "--slots", "8", "--plans", "0"])
}

pub(crate) fn conductor(fleet: &Fleet) -> Running {
    worker(fleet, &["--pool", "idle"])
}

pub(crate) fn write(fleet: &Fleet, name: &str, text: &str) -> String {
    let path = fleet.home.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(crate) fn show(fleet: &Fleet, id: &str) -> Value {
    serde_json::from_str(&fleet.told(&["plan", "show", "--json", id])).unwrap()
}

pub(crate) fn status(plan: &Value, step: usize) -> &str {
    plan["steps"][step]["status"].as_str().unwrap()
}

/// Returns a plan of 20 steps: each from the fifth on takes the output of the one four before. Each start
/// adds a line to a file of its step. Steps 5 and 11 wait until they are allowed to go on, and step 14
/// fails, so that 18 never runs.
fn layers(dir: &Path) -> String {
    let mut text =
        String::from("description = \"layers\"\nfailure_policy = \"finish_independent\"\n");
    let dir = dir.display();
    for step in 0..20_usize {
        let wait = match step {
            5 | 11 => format!("until test -e {dir}/go{step}; do sleep 0.05; done; "),
            _ => String::new(),
        };
        let end = if step == 14 { "exit 6".to_owned() } else { format!("echo $V-{step}") };
        let line = format!("echo x >> {dir}/{step}; {wait}{end}");
        let _infallible = writeln!(text, "[[steps]]\nname = \"s{step}\"\ncommand = \"{line}\"");
        if step >= 4 {
            let _infallible = writeln!(text, "env_from = {{ V = \"s{}\" }}", step - 4);
        }
    }
    text
}

#[tokio::test]
async fn a_plan_outlives_the_workers_that_conduct_it() {
    let fleet = fleet().await;
    let dir = fleet.home.path().join("starts");
    std::fs::create_dir(&dir).unwrap();
    let file = write(&fleet, "layers.toml", &layers(&dir));
    let _hands = hands(&fleet);
    let first = conductor(&fleet);
    let id = fleet.told(&["plan", "run", "--detach", "--tag", "night", &file]);
    let id = id.trim();
    until("step 4 has ended", || status(&show(&fleet, id), 4) == "completed");
    let mut waiting = Running::start(fleet.command(&["plan", "wait", id]));
    first.signal(Signal::KILL);
    drop(first);
    std::fs::write(dir.join("go5"), "").unwrap();
    let second = conductor(&fleet);
    until("step 9 has ended", || status(&show(&fleet, id), 9) == "completed");
    second.signal(Signal::KILL);
    drop(second);
    let _third = conductor(&fleet);
    std::fs::write(dir.join("go11"), "").unwrap();
    assert_eq!(waiting.code(), Some(6), "that of the step that failed: {:?}", waiting.seen);
    let plan = show(&fleet, id);
    let lines = |step: usize| {
        let text = std::fs::read_to_string(dir.join(step.to_string())).unwrap_or_default();
        text.lines().count()
    };
    for step in 0..20 {
        let wanted = match step {
            14 => "failed",
            18 => "skipped",
            _ => "completed",
        };
        assert_eq!(status(&plan, step), wanted, "step {step}");
        assert_eq!(lines(step), usize::from(step != 18), "starts of step {step}");
        let told = waiting
            .seen
            .iter()
            .filter(|line| line.starts_with(&format!("exeng: s{step}: ")))
            .count();
        assert_eq!(told, 1, "step {step} in {:?}", waiting.seen);
    }
    assert_eq!(fleet.output(&["plan", "wait", "@last"]).status.code(), Some(6));
    let logs = fleet.told(&["plan", "logs", "--step", "s19", &id[..8]]);
    assert_eq!(logs, "s19 | -3-7-11-15-19\n");
    let listed = fleet.told(&["plan", "ls"]);
    assert!(listed.contains(&id[..8]) && listed.contains("night"), "{listed}");
    assert_eq!(fleet.told(&["plan", "ls", "--status", "completed"]), "");
    assert!(!fleet.told(&["ls"]).contains(&id[..8]), "it is a plan and no execution");
    let junit = fleet.told(&["plan", "show", "--junit", id]);
    assert!(junit.contains(r#"tests="20" skipped="1" failures="1""#), "{junit}");
}

const ENDLESS: &str = r#"
[[steps]]
name = "long"
command = "echo up; exec sleep 600"
[[steps]]
name = "last"
command = "echo clean"
after = ["long"]
always = true
"#;

#[tokio::test]
async fn plans_are_run_stopped_and_refused() {
    let fleet = fleet().await;
    let _hands = hands(&fleet);
    let file = write(&fleet, "endless.toml", ENDLESS);
    // Nothing conducts it yet, and a stop counts all the same.
    let early = fleet.told(&["plan", "run", "--detach", &file]);
    fleet.told(&["plan", "stop", "--no-wait", early.trim()]);
    assert_eq!(show(&fleet, early.trim())["steps"].as_array().unwrap().len(), 2);
    let _conductor = conductor(&fleet);
    assert_eq!(fleet.output(&["plan", "wait", early.trim()]).status.code(), Some(130));
    let mut run = Running::start(fleet.command(&["plan", "run", "--json", &file]));
    let line = run.wait_for("plan ");
    let id = line.split("plan ").nth(1).unwrap().to_owned();
    until("it runs", || fleet.told(&["plan", "logs", &id]).contains("long | up"));
    fleet.told(&["plan", "stop", &id]);
    assert_eq!(run.code(), Some(130), "{:?}", run.seen);
    let plan = show(&fleet, &id);
    assert_eq!((status(&plan, 0), status(&plan, 1)), ("cancelled", "completed"));
    let early = show(&fleet, early.trim());
    assert_eq!((status(&early, 0), status(&early, 1)), ("skipped", "completed"));
    assert!(fleet.told(&["plan", "logs", "--follow", &id]).contains("last | clean"));
    let said = fleet.output(&["plan", "stop", &id]);
    assert!(texts(&said).1.contains("already ended"), "{said:?}");
    let relative = write(
        &fleet,
        "relative.toml",
        "[[steps]]\nname = \"a\"\ncommand = \"true\"\nworking_dir = \"x\"\n",
    );
    let cases: [(&[&str], &str); 4] = [
        (&["plan", "run", "--cwd", "x", &file], "--cwd x: is relative"),
        (&["plan", "run", &relative], "working_dir"),
        (&["plan", "resume", &id], "a fleet resumes no plan"),
        (&["plan", "rm", &id], "pass with their age"),
    ];
    for (words, expected) in cases {
        let refused = fleet.output(words);
        let (_, err) = texts(&refused);
        assert!(refused.status.code() == Some(125) && err.contains(expected), "{words:?}: {err}");
    }
    assert!(fleet.told(&["plan", "check", &file]).contains("long"));
}

#[tokio::test]
async fn a_plan_is_accepted_once_under_its_key() {
    let fleet = fleet().await;
    let starts = fleet.home.path().join("starts");
    let line = format!("echo x >> {}; printf '1\\n2\\n3\\n'", starts.display());
    let text = |line: &str| {
        format!("[[steps]]\nname = \"a\"\ncommand = \"\"\"{}\"\"\"\n", line.replace('\\', "\\\\"))
    };
    let file = write(&fleet, "keyed.toml", &text(&line));
    let other = write(&fleet, "other.toml", &text("true"));
    let run =
        |key: &str, file: &str| fleet.output(&["plan", "run", "--detach", "--key", key, file]);
    let id = texts(&run("k", &file)).0;
    // It is in the queue, then runs, then has ended.
    for step in 0..3 {
        let again = run("k", &file);
        assert_eq!((again.status.code(), texts(&again).0), (Some(0), id.clone()), "{again:?}");
        let refused = run("k", &other);
        let (_, err) = texts(&refused);
        let is_told = err.contains("--key k belongs to") && err.contains("not the same plan");
        assert!(refused.status.code() == Some(125) && is_told, "{err}");
        if step == 1 {
            let _workers = (hands(&fleet), conductor(&fleet));
            fleet.told(&["plan", "wait", id.trim()]);
        }
    }
    assert_ne!(texts(&run("other", &file)).0, id);
    // An execution has keys of its own.
    assert_ne!(fleet.told(&["submit", "--key", "k", "--", "true"]), id);
    assert_eq!(std::fs::read_to_string(starts).unwrap(), "x\n");
    for (lines, expected) in [("0", ""), ("2", "a | 2\na | 3\n"), ("9", "a | 1\na | 2\na | 3\n")] {
        for words in [
            &["plan", "logs", "--tail", lines, id.trim()][..],
            &["plan", "logs", "-f", "-n", lines, id.trim()],
        ] {
            assert_eq!(fleet.told(words), expected, "{words:?}");
        }
    }
}

#[tokio::test]
async fn values_of_a_plan_are_sealed_and_its_steps_get_them() {
    let fleet = Fleet::without_setup().await;
    let keys = fleet.home.path().join("keys");
    let init = ["fleet", "init", "--keys", keys.to_str().unwrap()];
    fleet.told(&init);
    fleet.told(&init);
    let file = keys.join("worker-default.keys");
    let text = "[[steps]]\nname = \"a\"\ncommand = \"printf %s $SECRET\"\n";
    let plan = write(&fleet, "plan.toml", text);
    let id = fleet.told(&["plan", "run", "--detach", "--env", "SECRET=sealed", &plan]);
    let queued = fleet.told(&["plan", "show", "--json", id.trim()]);
    assert!(queued.contains("printf") && !queued.contains("sealed"), "{queued}");
    let _worker = fleet.worker(&["--keys", file.to_str().unwrap()]);
    fleet.told(&["plan", "wait", id.trim()]);
    assert_eq!(fleet.told(&["plan", "logs", id.trim()]), "a | sealed\n");
}

/// A step is told to be queued before it is submitted, and stays so while the queue of its tenant is full.
#[tokio::test]
async fn output_is_waited_for_of_steps_that_are_not_submitted_yet() {
    let fleet = Fleet::without_setup().await;
    fleet.told(&["fleet", "init", "--pool", "default", "--pool", "idle", "--max-queue", "3"]);
    let text: String = (0..5)
        .map(|step| format!("[[steps]]\nname = \"s{step}\"\ncommand = \"echo out\"\n"))
        .collect();
    let file = write(&fleet, "many.toml", &text);
    let _conductor = conductor(&fleet);
    let outputs = ["run", "followed"].map(|name| fleet.home.path().join(name));
    let [to_run, to_followed] = outputs.each_ref().map(|path| File::create(path).unwrap());
    let mut run = Running::start_to(to_run, fleet.command(&["plan", "run", "--logs", &file]));
    let id = run.wait_for("plan ").split("plan ").nth(1).unwrap().to_owned();
    until("all steps are queued", || {
        let plan = show(&fleet, &id);
        (0..5).all(|step| status(&plan, step) == "queued")
    });
    let follow = fleet.command(&["plan", "logs", "--follow", &id]);
    let mut followed = Running::start_to(to_followed, follow);
    assert_eq!(fleet.told(&["plan", "logs", &id]), "", "nothing has run");
    let _hands = hands(&fleet);
    for (process, output) in [&mut run, &mut followed].into_iter().zip(outputs) {
        assert_eq!(process.code(), Some(0), "{:?}", process.seen);
        let text = std::fs::read_to_string(output).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["s0 | out", "s1 | out", "s2 | out", "s3 | out", "s4 | out"]);
    }
}

#[tokio::test]
async fn a_worker_without_the_key_of_plans_says_that_it_conducts_none() {
    let fleet = Fleet::without_setup().await;
    let keys = fleet.home.path().join("keys");
    let init = ["fleet", "init", "--keys", keys.to_str().unwrap()];
    fleet.told(&init);
    fleet.told(&init);
    let all = std::fs::read_to_string(keys.join("worker-default.keys")).unwrap();
    let of_plans = |line: &&str| !line.starts_with("_plans");
    let text = all.lines().filter(of_plans).collect::<Vec<_>>().join("\n");
    assert_ne!(text, all.trim_end(), "the file has the key of plans");
    let file = write(&fleet, "without.keys", &text);
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut worker = Running::start(fleet.command(&["worker", "--keys", &file]));
    worker.wait_for("conducts no plans");
    worker.wait_for("is ready");
}
