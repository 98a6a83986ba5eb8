//! `ls`, `show`, `keepers`, `doctor`, and options that all verbs have.

use crate::support::Host;

#[test]
fn list_is_filtered_and_paged() {
    let host = Host::new();
    let ok = host.ok(&["submit", "--wait", "--tag", "a", "--group", "g", "--", "echo", "needle"]);
    let bad = host.exeng(&["submit", "--wait", "--tag", "a", "--label", "k=v", "--", "false"]);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    let bad = bad.text();
    let ids = |args: &[&str]| -> Vec<String> {
        let lines = host.ok(&[&["ls", "--json"], args].concat());
        let id = |line: &str| {
            let execution: serde_json::Value = serde_json::from_str(line).unwrap();
            execution["id"].as_str().unwrap().to_string()
        };
        lines.lines().map(id).collect()
    };
    assert_eq!(ids(&[]), [bad.clone(), ok.clone()], "newest first");
    assert_eq!(ids(&["--status", "completed"]), [ok.as_str()]);
    assert_eq!(ids(&["--status", "completed,failed"]).len(), 2);
    assert_eq!(ids(&["--tag", "a", "--label", "k=v"]), [bad.as_str()]);
    assert_eq!(ids(&["--group", "g"]), [ok.as_str()]);
    assert_eq!(ids(&["--search", "needle"]), [ok]);
    assert_eq!(ids(&["--since", "1h"]).len(), 2);
    assert_eq!(ids(&["--until", "1h"]), Vec::<String>::new());
    let limited = host.exeng(&["ls", "--json", "-n", "1"]);
    assert!(limited.text().contains(&bad) && limited.err.contains("there are more"), "{limited:?}");
    assert_eq!(ids(&["--all"]).len(), 2);
}

#[test]
fn table_is_for_people() {
    let host = Host::new();
    let id = host.submit("printf 'a\tb'; exit 3");
    assert_eq!(host.exeng(&["wait", &id]).code, Some(3));
    let table = host.ok(&["ls"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("ID") && lines[0].ends_with("COMMAND"), "{table}");
    let words: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(words[..3], [&id[..8], "failed", "3"], "{table}");
    assert!(!table.contains('\u{1b}'), "no colours outside of a terminal");
    let page = host.ok(&["show", &id]);
    for part in
        ["status       failed", "ending       exit code 3", "output       3 bytes on stdout"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn keepers_are_listed_without_a_service() {
    let host = Host::new();
    assert_eq!(host.ok(&["keepers", "--json"]), "[]");
    assert_eq!(host.ok(&["keepers"]), "");
    assert!(!host.state().exists(), "nothing was made");
    let id = host.submit("sleep 1000");
    crate::support::until("it runs", || host.show(&id)["status"] == "running");
    host.kill_service();
    let keepers: serde_json::Value =
        serde_json::from_str(&host.ok(&["keepers", "--json"])).unwrap();
    assert_eq!(keepers.as_array().unwrap().len(), 1, "{keepers}");
    assert_eq!(keepers[0]["pid"], host.keepers()[0]);
    assert_eq!(keepers[0]["running"], 1);
    assert!(keepers[0]["since"].is_string(), "{keepers}");
    assert_eq!(host.service(), None, "no service was started");
}

#[test]
fn doctor_knows_the_service_and_starts_none() {
    let host = Host::new();
    let doctor = || -> serde_json::Value {
        serde_json::from_str(&host.exeng(&["doctor", "--json"]).text()).unwrap()
    };
    let before = doctor();
    assert_eq!(before["service"]["pid"], serde_json::Value::Null, "{before}");
    assert!(before["containment"]["level"].is_string(), "{before}");
    assert_eq!(host.service(), None);
    host.submit("true");
    let after = doctor();
    assert_eq!(after["service"]["pid"], host.service().unwrap());
    assert_eq!(after["store"]["executions"], 1);
    let errors = |report: &serde_json::Value| {
        let problems = report["problems"].as_array().unwrap().clone();
        problems.into_iter().filter(|problem| problem["error"] == true).collect::<Vec<_>>()
    };
    assert_eq!(errors(&after), Vec::<serde_json::Value>::new());
    let page = host.ok(&["doctor"]);
    assert!(page.contains(&format!("process {}", host.service().unwrap())), "{page}");
}

#[test]
fn doctor_names_each_problem_with_its_fix() {
    let host = Host::new();
    host.configure("max_runing = 3");
    std::fs::write(host.state().join("exeng.sock"), "not a socket").unwrap();
    let done = host.exeng(&["doctor", "--json"]);
    assert_eq!(done.code, Some(125), "{done:?}");
    let report: serde_json::Value = serde_json::from_str(&done.text()).unwrap();
    let problems = report["problems"].as_array().unwrap();
    for part in ["max_runing", "exeng.sock"] {
        let problem =
            problems.iter().find(|problem| problem["what"].as_str().unwrap().contains(part));
        let problem = problem.unwrap_or_else(|| panic!("{part}: {report}"));
        assert!(!problem["fix"].as_str().unwrap().is_empty(), "{report}");
    }
}

#[test]
fn doctor_sees_that_the_store_cannot_be_opened() {
    let host = Host::new();
    host.submit("true");
    host.kill_service();
    assert_eq!(host.exeng(&["doctor"]).code, Some(0));
    for (name, content) in [("exeng.db", vec![b'x'; 4096]), ("key", Vec::new())] {
        let file = host.state().join(name);
        let before = std::fs::read(&file).unwrap();
        std::fs::write(&file, &content).unwrap();
        let doctor = host.exeng(&["doctor"]);
        assert_eq!(doctor.code, Some(125), "{doctor:?}");
        assert!(doctor.text().contains(file.to_str().unwrap()), "{doctor:?}");
        assert!(!doctor.text().contains("all is well"), "{doctor:?}");
        assert_eq!(std::fs::read(&file).unwrap(), content, "nothing is changed");
        std::fs::write(&file, before).unwrap();
    }
    assert_eq!(host.exeng(&["doctor"]).code, Some(0));

    // No user can look into a file as if it were a directory, not even root.
    let within = host.dir().join("file");
    std::fs::write(&within, "").unwrap();
    let state = within.join("state");
    let doctor = host.exeng(&["doctor", "--state-dir", state.to_str().unwrap()]);
    assert!(doctor.code == Some(125) && doctor.text().contains("looked into"), "{doctor:?}");
}

#[test]
fn doctor_sees_a_disk_without_room() {
    let host = Host::new();
    host.configure("");
    let state = host.state().to_str().unwrap();
    let mount = format!("mount -t tmpfs -o size=2m,mode=0700 tmpfs '{state}'");
    if host.sh(&format!("unshare -m sh -c \"{mount}\"")).code != Some(0) {
        println!("not tested: this machine has no mount namespaces for tests");
        return;
    }
    let doctor = |bytes: &str| {
        let fill =
            format!("{mount} && head -c {bytes} /dev/zero > '{state}/ballast'; exeng doctor");
        host.sh(&format!("unshare -m sh -c \"{fill}\""))
    };
    assert_eq!(doctor("4k").code, Some(0));
    let full = doctor("3M");
    assert!(full.code == Some(125) && full.text().contains("is full"), "{full:?}");
}

#[test]
fn options_of_all_verbs_stand_anywhere() {
    let (host, other) = (Host::new(), Host::new());
    let dir = other.state().to_str().unwrap();
    let id = host.ok(&["submit", "--state-dir", dir, "--", "true"]);
    assert_eq!(host.service(), None, "the service is that of the other directory");
    assert!(other.service().is_some());
    assert_eq!(host.exeng(&["--state-dir", dir, "wait", &id]).code, Some(0));
    assert_eq!(host.exeng(&["wait", &id, "--state-dir", dir]).code, Some(0));
}
