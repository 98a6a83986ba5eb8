//! What is refused, and what is said then.

use super::*;

#[test]
fn bad_plan_starts_nothing_and_says_where_it_is_wrong() {
    let host = Host::new();
    let text = "[[steps]]\nname = \"a\"\ncommand = \"true\"\nafter = [\"b\"]\n";
    let file = write(&host, "bad.toml", text);
    let refused = host.exeng(&["plan", "run", &file]).refused();
    assert!(refused.contains("bad.toml:4") && refused.contains("\"b\""), "{refused}");
    assert_eq!(host.service(), None, "it is found out without the service");
    let missing = host.exeng(&["plan", "run", "no-such.toml"]).refused();
    assert!(missing.contains("no-such.toml"), "{missing}");
    let dir = host.exeng(&["plan", "run", "--cwd", "nowhere", &file]).refused();
    assert!(dir.contains("bad.toml") || dir.contains("nowhere"), "{dir}");
}

#[test]
fn what_only_the_service_knows_is_refused_there() {
    let host = Host::new();
    let text =
        "[[steps]]\nname = \"a\"\ncommand = \"true\"\n[steps.options]\noutput = \"inherit\"\n";
    let file = write(&host, "inherit.toml", text);
    let refused = host.exeng(&["plan", "run", &file]).refused();
    assert!(refused.contains("step 0 (\"a\")") && refused.contains("stream"), "{refused}");
    assert_eq!(host.ok(&["plan", "ls"]), "");
    let good = write(&host, "good.toml", "[[steps]]\ncommand = \"true\"\n");
    let before = host.ok(&["plan", "ls"]);
    let report = host.exeng(&["plan", "run", "--junit", "/no/such/dir/x.xml", &good]);
    assert!(
        report.code == Some(125) && report.err.contains("--junit: /no/such/dir/x.xml"),
        "{report:?}"
    );
    assert_eq!(host.ok(&["plan", "ls"]), before, "nothing was submitted");
}

#[test]
fn names_of_plans_are_checked_and_no_service_is_started_if_none_may_be() {
    let host = Host::new();
    let file = write(&host, "plan.toml", "[[steps]]\ncommand = \"true\"\n");
    for line in [
        &["plan", "run", &file][..],
        &["plan", "ls"],
        &["plan", "show", "@last"],
        &["plan", "wait", "@last"],
        &["plan", "stop", "@last"],
        &["plan", "resume", "@last"],
        &["plan", "rm", "@last"],
    ] {
        let refused = host.exeng(&[line, &["--no-start"]].concat()).refused();
        assert!(refused.contains("no service answers"), "{line:?}: {refused}");
    }
    assert_eq!(host.service(), None);
    for verb in ["show", "wait", "stop", "resume", "rm"] {
        let none = host.exeng(&["plan", verb, "@last"]).refused();
        assert!(none.contains("there is no plan yet"), "{verb}: {none}");
        for (name, why) in [("", "empty"), ("xyz", "no id of a plan"), ("00ff", "begins with 00ff")]
        {
            let refused = host.exeng(&["plan", verb, name]).refused();
            assert!(refused.contains(why), "{verb} {name}: {refused}");
        }
    }
}
