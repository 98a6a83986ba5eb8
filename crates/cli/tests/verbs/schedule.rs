//! `submit --every` and `schedule`.

use std::collections::BTreeSet;
use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Host, Reply, Served, files_with, finish, is_running, until};

impl Host {
    fn schedule(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["schedule", "show", "--json", id])).unwrap()
    }

    /// Returns the runs of a schedule, the newest first.
    fn runs(&self, id: &str) -> Vec<Value> {
        let listed = self.ok(&["ls", "--all", "--json", "--schedule", id]);
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Makes a schedule of each second and returns its id.
fn each_second(host: &Host, options: &[&str], line: &str) -> String {
    host.ok(&[&["submit", "--every", "1s"], options, &["--shell", line]].concat())
}

/// Returns the moments of runs, the earliest first. None has two.
fn moments(runs: &[Value]) -> Vec<DateTime<Utc>> {
    let of = |run: &Value| run["schedule_moment"].as_str().unwrap().parse().unwrap();
    let all: BTreeSet<DateTime<Utc>> = runs.iter().map(of).collect();
    assert_eq!(all.len(), runs.len(), "a moment has two runs: {runs:?}");
    all.into_iter().collect()
}

#[test]
fn schedule_runs_at_its_times_until_it_is_removed() {
    let host = Host::new();
    let id = each_second(&host, &["--name", "tick", "--tag", "t", "--priority", "3"], "echo ran");
    until("it ran twice", || host.schedule("tick")["runs"].as_u64() >= Some(2));
    host.ok(&["schedule", "pause", "tick"]);
    let paused = host.schedule(&id[..8]);
    assert_eq!((&paused["paused"], &paused["next_at"]), (&json!(true), &Value::Null), "{paused}");
    let runs = host.runs("tick");
    assert_eq!(Some(runs.len() as u64), paused["runs"].as_u64());
    moments(&runs);
    for run in &runs {
        assert_eq!((&run["schedule"], &run["priority"]), (&json!(id), &json!(3)), "{run}");
        assert_eq!((&run["tags"], &run["group"]), (&json!(["t"]), &Value::Null), "{run}");
    }
    let newest = runs[0]["id"].as_str().unwrap();
    assert_eq!(host.ok(&["logs", newest]), "ran");
    assert_eq!(paused["last_run"], newest);
    let shown = host.ok(&["show", newest]);
    assert!(shown.contains(&format!("schedule     {id}, ")), "{shown}");
    let listed = host.ok(&["schedule", "ls"]);
    assert!(listed.contains("tick") && listed.contains("paused"), "{listed}");
    host.ok(&["schedule", "resume", "tick"]);
    until("it ran again", || host.schedule("tick")["runs"].as_u64() > paused["runs"].as_u64());

    let listed = host.ok(&["schedule", "rm", "--dry-run", "--json", "tick"]);
    assert_eq!(listed, json!([id]).to_string());
    host.schedule("tick");
    assert_eq!(host.ok(&["schedule", "rm", "--json", "tick"]), json!([id]).to_string());
    let said = host.exeng(&["schedule", "show", "tick"]).refused();
    assert!(said.contains("no schedule tick") && said.contains("exeng schedule ls"), "{said}");
    assert_eq!(host.ok(&["schedule", "ls", "--json"]), "");
    assert!(host.runs(&id).len() > runs.len(), "its runs stay");
}

#[test]
fn times_that_were_missed_are_run_for_as_the_schedule_says() {
    let host = Host::new();
    let once = each_second(&host, &["--overlap", "allow"], "true");
    let skip = each_second(&host, &["--overlap", "allow", "--missed", "skip"], "true");
    let all = each_second(&host, &["--overlap", "allow", "--missed", "run-all"], "true");
    let each = [&once, &skip, &all];
    until("each ran", || each.iter().all(|id| host.schedule(id)["runs"].as_u64() > Some(0)));
    host.kill_service();
    let back = Utc::now() + TimeDelta::seconds(4);
    until("times have passed", || Utc::now() > back);
    until("each ran after that", || {
        each.iter().all(|id| moments(&host.runs(id)).last() > Some(&back))
    });
    each.iter().for_each(|id| drop(host.ok(&["schedule", "pause", id])));
    for id in [&once, &skip] {
        let shown = host.schedule(id);
        assert!(shown["misses"]["count"].as_u64() >= Some(2), "{shown}");
        assert!(!shown["misses"]["last_at"].is_null(), "{shown}");
        let text = host.ok(&["schedule", "show", id]);
        assert!(text.contains("not run for") && text.contains("they were missed"), "{text}");
    }
    assert_eq!(host.schedule(&all)["misses"]["count"], 0);
    let moments = moments(&host.runs(&all));
    let gaps = moments.windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.clone().all(|gap| gap == TimeDelta::seconds(1)), "{moments:?}");
}

#[test]
fn runs_that_would_overlap_are_left_out_or_wait_or_run_beside() {
    let host = Host::new();
    let go = host.file("go");
    let line = format!("until [ -e '{go}' ]; do sleep 0.02; done");
    let skip = each_second(&host, &[], &line);
    let queue = each_second(&host, &["--overlap", "queue"], &line);
    let allow = each_second(&host, &["--overlap", "allow"], &line);
    let running = |id: &str| host.runs(id).iter().filter(|run| run["status"] == "running").count();
    until("some are left out", || host.schedule(&skip)["overlaps"]["count"].as_u64() >= Some(2));
    assert_eq!(host.runs(&skip).len(), 1);
    let text = host.ok(&["schedule", "show", &skip]);
    assert!(text.contains("left out") && text.contains("had not ended, last at"), "{text}");
    assert!(host.ok(&["schedule", "ls"]).contains("LEFT OUT"));
    until("some wait", || host.runs(&queue).len() >= 3);
    assert_eq!(running(&queue), 1);
    until("some run beside", || running(&allow) >= 2);
    [&skip, &queue, &allow].iter().for_each(|id| drop(host.ok(&["schedule", "pause", id])));
    let runs = host.runs(&queue);
    // Each waits for the one before it.
    let follows: Vec<_> =
        runs.windows(2).map(|two| (&two[0]["after_ended"], json!([two[1]["id"]]))).collect();
    assert!(follows.iter().all(|(after, earlier)| *after == earlier), "{runs:?}");
    fs::write(&go, "").unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(host.exeng(&[&["wait"], &ids[..]].concat()).code, Some(0));
}

#[test]
fn mistakes_are_refused_with_the_fix_before_a_service_starts() {
    let host = Host::new();
    for (args, named) in [
        (&["--every", "61 * * * *"][..], "minute"),
        (&["--every", "* * * *"], "4 fields"),
        (&["--every", "0 0 30 2 *"], "never comes"),
        (&["--every", "@often"], "@hourly"),
        (&["--every", "1s", "--time-zone", "Mars"], "Europe/Berlin"),
        (&["--every", "1s", "--missed", "never"], "run-once"),
        (&["--every", "1s", "--overlap", "never"], "queue"),
        (&["--every", "1s", "--wait"], "--wait"),
        (&["--every", "1s", "--at", "2h"], "--at"),
        (&["--every", "1s", "--after", "x"], "--after"),
        (&["--every", "1s", "--cwd", "/no/such"], "/no/such"),
        (&["--name", "n"], "--every"),
    ] {
        let done = host.exeng(&[&["submit"], args, &["--", "true"]].concat());
        assert!(done.code == Some(125) && done.err.contains(named), "{done:?}");
    }
    for verb in
        [&["schedule", "ls"][..], &["schedule", "run", "x"], &["submit", "--every", "1s", "true"]]
    {
        let said = host.exeng(&[&["--no-start"], verb].concat()).refused();
        assert!(said.contains("exeng serve"), "{said}");
    }
    let mut rule = host.command(&["submit", "--every", "1s", "--", "true"]);
    rule.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
    let said = finish(rule.spawn().unwrap(), "submit").refused();
    assert!(said.contains("--time-zone"), "{said}");
    assert_eq!(host.service(), None);
}

#[test]
fn key_and_name_stand_for_one_schedule() {
    let host = Host::new();
    let make = |options: &[&str]| {
        host.exeng(&[&["submit", "--every", "@yearly"], options, &["--", "true"]].concat())
    };
    let id = make(&["--key", "k", "--name", "first"]).ok();
    assert_eq!(make(&["--key", "k", "--name", "first"]).ok(), id);
    let said = make(&["--key", "k", "--name", "other"]).refused();
    assert!(said.contains("key") && said.contains(&id), "{said}");
    let said = make(&["--name", "first"]).refused();
    assert!(
        said.contains("first") && said.contains(&id) && said.contains("another name"),
        "{said}"
    );
    let said = make(&["--name", "@last"]).refused();
    assert!(said.contains("begins with @"), "{said}");
    let said = make(&["--name", " x "]).refused();
    assert!(said.contains("name"), "{said}");
    let other = make(&["--json"]).ok();
    let other = serde_json::from_str::<Value>(&other).unwrap()["id"].as_str().unwrap().to_string();
    let listed = host.sh("exeng schedule ls --json | head -n 1").ok();
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()["id"], id, "the oldest first");
    let all = host.exeng(&["schedule", "pause", "--json", "first", "nobody", &other[..8]]);
    assert!(all.code == Some(125) && all.err.contains("no schedule nobody"), "{all:?}");
    let paused: Value = serde_json::from_str(&all.text()).unwrap();
    assert_eq!((&paused[0]["id"], &paused[1]["id"]), (&json!(id), &json!(other)));
    assert_eq!(host.exeng(&["schedule", "rm", "first", "nobody"]).code, Some(125));
    assert_eq!(host.ok(&["schedule", "ls", "--json"]).lines().count(), 1);
}

#[test]
fn schedule_is_run_by_hand_once_each_time() {
    let host = Host::new();
    let id =
        host.ok(&["submit", "--every", "@yearly", "--name", "n", "--shell", "echo ran; exit 7"]);
    host.ok(&["schedule", "pause", "n"]);
    let done = host.exeng(&["schedule", "run", "--wait", "n"]);
    assert_eq!(done.code, Some(7), "{done:?}");
    let run = host.show(&done.text());
    assert_eq!((&run["schedule"], &run["schedule_moment"]), (&json!(id), &Value::Null), "{run}");
    let shown = host.ok(&["show", &done.text()]);
    assert!(shown.contains("run by hand"), "{shown}");
    let followed = host.exeng(&["schedule", "run", "--follow", "n"]);
    assert_eq!((followed.code, &*followed.text()), (Some(7), "ran"), "{followed:?}");
    let schedule = host.schedule("n");
    assert_eq!((&schedule["runs"], &schedule["next_at"]), (&json!(2), &Value::Null), "{schedule}");
    let said = host.exeng(&["schedule", "run", "nobody"]).refused();
    assert!(said.contains("nobody"), "{said}");
}

#[test]
fn values_are_sealed_as_long_as_it_exists_and_runs_that_cannot_have_them_are_told() {
    let host = Host::new();
    let secret = "correct-horse-battery-staple";
    let line = "[ \"$TOKEN\" = \"$(cat token)\" ]";
    fs::write(host.file("token"), secret).unwrap();
    let token = format!("TOKEN={secret}");
    let id = each_second(&host, &["--env", &token, "--name", "n", "--limit", "umask=077"], line);
    until("it ran", || host.schedule("n")["runs"].as_u64() > Some(0));
    let run = host.runs("n").pop().unwrap();
    assert_eq!(host.exeng(&["wait", run["id"].as_str().unwrap()]).code, Some(0));
    let shown =
        host.ok(&["schedule", "show", "n"]) + &host.ok(&["schedule", "show", "--json", "n"]);
    assert!(shown.contains("TOKEN") && !shown.contains(secret), "{shown}");
    assert!(files_with(host.state(), secret.as_bytes()).is_empty());

    host.kill_service();
    // A service with another key cannot read them.
    fs::write(host.state().join("key"), [7; 32]).unwrap();
    until("the error is told", || !host.schedule("n")["last_error"].is_null());
    let failed = host.schedule("n");
    let error = failed["last_error"]["error"].as_str().unwrap();
    assert!(error.contains(&id) && error.contains("another key"), "{error}");
    assert!(host.ok(&["schedule", "show", "n"]).contains("last error"));
    assert!(host.ok(&["schedule", "ls"]).contains("fails"));
    let said = host.exeng(&["schedule", "run", "n"]).refused();
    assert!(said.contains("another key"), "{said}");
    assert_eq!(host.schedule("n")["runs"], failed["runs"]);
    host.ok(&["schedule", "rm", "n"]);
    assert_eq!(host.ok(&["schedule", "ls", "--json"]), "");
}

/// The beginning of what is run.
const EXECUTION: &str =
    r#"{"request": {"command": {"type": "shell", "command": "true"}, "working_dir": "/"}"#;

fn send(host: &Host, method: &str, path: &str, body: &str) -> Reply {
    host.http(&format!(
        "{method} /v1/schedules{path} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn routes_refuse_what_they_do_not_know() {
    let host = Host::new();
    let _served = host.serve();
    let send = |method: &str, path: &str, body: &str| send(&host, method, path, body);
    for (body, status, field) in [
        (format!(r#"{{"every": "@daily", "evry": 1, "execution": {EXECUTION}}}}}"#), 400, "evry"),
        (format!(r#"{{"every": "* *", "execution": {EXECUTION}}}}}"#), 400, "every"),
        (
            format!(r#"{{"every": "1s", "time_zone": "X", "execution": {EXECUTION}}}}}"#),
            400,
            "time_zone",
        ),
        (
            format!(
                r#"{{"every": "1s", "execution": {EXECUTION}, "start_at": "2099-01-01T00:00:00Z"}}}}"#
            ),
            400,
            "execution.start_at",
        ),
        (
            format!(r#"{{"every": "1s", "execution": {}}}}}"#, EXECUTION.replace("\"/\"", "\"x\"")),
            400,
            "request.working_dir",
        ),
    ] {
        let reply = send("POST", "", &body);
        assert_eq!((reply.status, &reply.json()["field"]), (status, &json!(field)), "{body}");
    }
}

#[test]
fn routes_make_change_run_and_remove() {
    let host = Host::new();
    let _served = host.serve();
    let send = |method: &str, path: &str, body: &str| send(&host, method, path, body);
    let made = send("POST", "", &format!(r#"{{"every": "@daily", "execution": {EXECUTION}}}}}"#));
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_string();
    assert_eq!(made.header("location"), Some(format!("/v1/schedules/{id}")));
    assert_eq!(
        (&made.json()["overlap"], &made.json()["missed"]),
        (&json!("skip"), &json!("run_once"))
    );
    let place = format!("/{id}");
    assert_eq!(send("PATCH", &place, r#"{"paused": true, "name": "x"}"#).json()["field"], "name");
    assert_eq!(send("PATCH", &place, r#"{"paused": true}"#).json()["paused"], true);
    assert_eq!(send("GET", &format!("{place}?x=1"), "").json()["field"], "x");
    let run = "abcd0000-0000-4000-8000-000000000001";
    let body = format!(r#"{{"id": "{run}"}}"#);
    let runs = [(); 2].map(|()| send("POST", &format!("{place}/run"), &body));
    assert_eq!(runs.each_ref().map(|reply| reply.status), [201, 200]);
    assert_eq!(runs[1].header("location"), Some(format!("/v1/executions/{run}")));
    assert_eq!(send("DELETE", &place, "").status, 204);
    let gone = send("GET", &place, "");
    assert_eq!((gone.status, &gone.json()["code"]), (404, &json!("unknown_schedule")));
}

/// Runs the program while a service dies behind a commit, so that its answer is lost, and another one comes.
fn with_a_lost_answer(host: &Host, point: &str, args: &[&str]) -> String {
    let mut serve = host.command(&["serve"]);
    serve.env("EXENG_FAULT", format!("service/{point}_committed:1"));
    let dying = Served::new(serve.spawn().unwrap());
    let asks = host.command(args).spawn().unwrap();
    until("the service dies", || !is_running(&dying.pid().to_string()));
    let _next = host.serve();
    finish(asks, &format!("exeng {args:?}")).ok()
}

#[test]
fn what_a_dying_service_has_done_is_done_once() {
    let host = Host::new();
    let submit = ["submit", "--every", "@yearly", "--name", "n", "--shell", "echo ran >>log"];
    let id = with_a_lost_answer(&host, "schedule_create", &submit);
    assert_eq!(host.schedule("n")["id"], id);
    assert_eq!(host.ok(&["schedule", "ls", "--json"]).lines().count(), 1);

    host.kill_service();
    let run = with_a_lost_answer(&host, "accept", &["schedule", "run", "--wait", "n"]);
    assert_eq!((host.runs("n").len(), &host.schedule("n")["last_run"]), (1, &json!(run)));
    assert_eq!(fs::read_to_string(host.file("log")).unwrap(), "ran\n");
    for (verb, paused) in [("pause", true), ("resume", false)] {
        host.kill_service();
        with_a_lost_answer(&host, "schedule_pause", &["schedule", verb, "n"]);
        assert_eq!(host.schedule("n")["paused"], paused);
    }
    host.kill_service();
    let removed = with_a_lost_answer(&host, "schedule_remove", &["schedule", "rm", "--json", "n"]);
    assert_eq!(removed, json!([id]).to_string());
    assert_eq!(host.ok(&["schedule", "ls", "--json"]), "");
}
