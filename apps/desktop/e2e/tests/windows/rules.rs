//! What gets past the rules of a window.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::support::{executable, in_window};
use super::{Windows, code};

#[test]
fn an_argument_of_a_page_is_no_option_and_is_ascii() {
    in_window(async || {
        let windows = Windows::open().await;
        let run = |rule: &str, args: &[&str]| {
            let request = json!({ "request": { "rule": rule, "args": args } });
            let windows = &windows;
            async move { windows.call("main", "run", request).await }
        };
        let attacks: &[(&str, &[&str])] = &[
            ("images", &["-e.png"]),
            ("images", &["a.png", "--help.png"]),
            ("images", &["größe.png"]),
            ("images", &["ａ.png"]),
            ("number", &["-n", "٣"]),
            ("number", &["-n", "-3"]),
            ("after", &["-x", "--"]),
        ];
        let mut got_through = Vec::new();
        for (rule, args) in attacks {
            let answer = run(rule, args).await;
            if code(&answer) != "refused" {
                got_through.push(format!("{rule} {args:?}: {answer:?}"));
            }
        }
        assert_eq!(got_through, [""; 0]);
        assert_eq!(
            run("images", &["a-b.png", "c_1.png"]).await.unwrap()["stdout"],
            "a-b.png c_1.png\n"
        );
        assert_eq!(run("after", &["--", "-x"]).await.unwrap()["stdout"], "-- -x\n");
        let refused = run("images", &["-e.png"]).await.unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains("\"option\": true"), "{refused}");
        windows.0.quit().await;
    });
}

/// Makes other names of a program, and scripts that it runs. Returns `true` if one is a hard link.
fn make_names(program: &str, path: impl Fn(&str) -> String) -> bool {
    symlink(program, path("link")).unwrap();
    symlink(path("link"), path("again")).unwrap();
    for (script, interpreter) in [
        ("by", format!("{program} -u")),
        ("by-script", path("by")),
        ("by-relative", "link".to_string()),
    ] {
        fs::write(path(script), format!("#!{interpreter}\n")).unwrap();
        executable(&path(script));
    }
    // A hard link cannot lead to another file system.
    fs::hard_link(fs::canonicalize(program).unwrap(), path("hard")).is_ok()
}

#[test]
fn a_denied_program_runs_under_no_other_name() {
    in_window(async || {
        let windows = Windows::open().await;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
        let id = ["/usr/bin/id", "/bin/id"].iter().find(|path| fs::metadata(path).is_ok()).unwrap();
        let has_hard = make_names(id, path);
        let exec = |program: &str| json!({ "command": { "type": "exec", "program": program } });
        let script = |path: &str, interpreter: Option<&str>| json!({ "command": { "type": "script", "path": path, "interpreter": interpreter } });
        let shell = |shell: &str| json!({ "rule": "shells", "command": { "type": "shell", "command": "x", "shell": shell } });
        let mut with_path = exec("link");
        with_path["env"] = json!({ "PATH": dir.path() });
        let within = |program: &str| json!({ "command": { "type": "exec", "program": program }, "working_dir": dir.path() });
        let mut attacks = vec![
            exec("id"),
            exec("/bin/id"),
            exec("/usr/bin/id"),
            exec("/usr/bin/../bin/id"),
            exec(&path("link")),
            exec(&path("again")),
            with_path,
            within("./link"),
            script(id, None),
            script(&path("link"), None),
            script(&path("by"), None),
            exec(&path("by")),
            exec(&path("by-script")),
            within(&path("by-relative")),
            script("/etc/passwd", Some(id)),
            shell(id),
            shell(&path("again")),
            script("/etc/passwd", Some(&path("by"))),
            shell(&path("by")),
        ];
        if has_hard {
            attacks.extend([exec(&path("hard")), script(&path("hard"), None)]);
        }
        let mut got_through = Vec::new();
        for request in attacks {
            let answer =
                windows.call("anything", "run", json!({ "request": request.clone() })).await;
            let message = answer.as_ref().err().map(|error| error["message"].to_string());
            if !message.is_some_and(|message| message.contains("denied by rule `no-id`")) {
                got_through.push(format!("{request}: {answer:?}"));
            }
        }
        assert_eq!(got_through, [""; 0]);
        let other = windows.call("anything", "run", json!({ "request": exec("true") })).await;
        assert_eq!(other.unwrap()["success"], true);
        windows.0.quit().await;
    });
}

#[test]
fn a_page_raises_nothing_that_its_rule_does_not_allow() {
    in_window(async || {
        let windows = Windows::open().await;
        let attacks = [
            json!({ "limits": { "umask": 0 } }),
            json!({ "limits": { "nice": -5 } }),
            json!({ "limits": { "core_bytes": 1_000_000 } }),
            json!({ "priority": 1 }),
            json!({ "stop_grace_ms": 86_400_000 }),
            json!({ "leftovers_wait_ms": 86_400_000 }),
            json!({ "retry": { "attempts": 1_000_000 } }),
            json!({ "retry": { "max_delay_ms": 86_400_000 } }),
            json!({ "output": "inherit" }),
            json!({ "output": "inherit_stderr" }),
        ];
        let mut got_through = Vec::new();
        for options in attacks {
            let request = json!({ "rule": "say", "args": ["a"] });
            let args = json!({ "request": request, "options": options.clone() });
            let answer = windows.call("main", "run", args).await;
            let plan = json!({
                "plan": { "strategy": { "type": "parallel" }, "commands": [request] },
                "options": { "defaults": options.clone() }
            });
            let in_plan = windows.call("main", "execute_plan", plan).await;
            if (code(&answer), code(&in_plan)) != ("refused", "refused") {
                got_through.push(format!("{options}: {answer:?} {in_plan:?}"));
            }
        }
        assert_eq!(got_through, [""; 0]);
        windows.0.quit().await;
    });
}

#[test]
fn an_invalid_rule_disables_itself_alone_and_is_named() {
    in_window(async || {
        let windows = Windows::open().await;
        let say = json!({ "request": { "rule": "say", "args": ["a"] } });
        let unnamed = json!({ "request": { "command": { "type": "exec", "program": "echo", "args": ["a"] } } });
        for request in [say.clone(), unnamed] {
            let answer = windows.call("broken", "run", request).await;
            assert_eq!(
                answer.as_ref().map(|result| &result["stdout"]),
                Ok(&json!("a\n")),
                "{answer:?}"
            );
        }
        let log = json!({ "request": { "rule": "log", "args": ["log", "-n1"] } });
        let refused = windows.call("broken", "run", log).await.unwrap_err();
        assert_eq!(refused["code"], "refused");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("rule `log`") && message.contains("args[1].regex"), "{message}");
        let closed = windows.call("closed", "run", say).await.unwrap_err();
        let message = closed["message"].as_str().unwrap();
        assert!(message.contains("rule `no-su`") && message.contains("program"), "{message}");
        let logged = windows.run("main", "return invoke('logged')", json!(null)).await;
        let logged = logged["value"].to_string();
        for named in ["rule `log`: args[1].regex", "rule `no-su`: program"] {
            assert_eq!(logged.matches(named).count(), 1, "{named}: {logged}");
        }
        windows.0.quit().await;
    });
}
