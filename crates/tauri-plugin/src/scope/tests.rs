use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{Command, ExecutionOptions, ExecutionRequest, Leftovers, StdinSource};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::Files;
use super::*;
use crate::request::LaunchRequest;

/// A file system of names: what exists, and where links lead.
#[derive(Default)]
struct Tree {
    there: HashSet<PathBuf>,
    links: HashMap<PathBuf, PathBuf>,
}

impl Tree {
    fn with(paths: &[&str]) -> Self {
        let there = paths.iter().flat_map(|path| Path::new(path).ancestors().map(PathBuf::from));
        Self { there: there.collect(), links: HashMap::new() }
    }

    fn link(mut self, from: &str, to: &str) -> Self {
        self.links.insert(from.into(), to.into());
        self
    }
}

impl Files for Tree {
    fn real(&self, path: &Path) -> Option<PathBuf> {
        let mut real = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    real.pop();
                }
                part => real.push(part),
            }
            if let Some(to) = self.links.get(&real) {
                real = to.clone();
            }
        }
        self.there.contains(&real).then_some(real)
    }

    fn is_there(&self, path: &Path) -> bool {
        self.there.contains(path) || self.links.contains_key(path)
    }
}

fn compiled(rule: Value) -> Arc<Compiled> {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    Arc::new(Compiled::new(rule, |path| Ok(path.to_path_buf())).unwrap())
}

fn invalid(rule: Value) -> String {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    Compiled::new(rule, |path| Ok(path.to_path_buf())).unwrap_err().to_string()
}

fn allow(rules: &[Value]) -> Rules {
    Rules { allow: rules.iter().cloned().map(compiled).collect(), deny: Vec::new() }
}

fn ask(rules: &Rules, request: Value) -> Result<ExecutionRequest, Refusal> {
    ask_in(rules, request, &Tree::default())
}

fn ask_in(rules: &Rules, request: Value, files: &Tree) -> Result<ExecutionRequest, Refusal> {
    ask_with(rules, request, ExecutionOptions::default(), files).map(|allowed| allowed.request)
}

fn ask_with(
    rules: &Rules,
    request: Value,
    options: ExecutionOptions,
    files: &Tree,
) -> Result<Allowed, Refusal> {
    let request: LaunchRequest = serde_json::from_value(request).unwrap();
    check(rules, Ask { request, options, handed: Vec::new() }, files)
}

fn exec(program: &str, args: &[&str]) -> Value {
    json!({ "command": { "type": "exec", "program": program, "args": args } })
}

#[test]
fn without_rules_nothing_runs() {
    assert_eq!(ask(&Rules::default(), exec("true", &[])), Err(Refusal::NoRules));
}

#[test]
fn a_program_runs_if_a_rule_names_it() {
    let rules = allow(&[json!({ "name": "disk", "program": "df" })]);
    assert!(ask(&rules, exec("df", &[])).is_ok());
    let refused = ask(&rules, exec("rm", &[])).unwrap_err();
    assert_eq!(refused, Refusal::NoRule { field: "command.program", needed: "program" });
    assert_eq!(
        ask(&rules, exec("df", &["-h"])),
        Err(Refusal::Argument { rule: "disk".into(), number: 1 }),
        "a rule without args allows none"
    );
}

#[test]
fn the_rule_that_came_closest_is_the_one_to_tell() {
    let rules = allow(&[
        json!({ "name": "disk", "program": "df" }),
        json!({ "name": "log", "program": "git", "args": ["log", { "regex": "-n[0-9]+" }] }),
    ]);
    assert_eq!(
        ask(&rules, exec("git", &["log", "--all"])),
        Err(Refusal::Argument { rule: "log".into(), number: 2 })
    );
}

#[test]
fn patterns_match_whole_arguments() {
    let rules = allow(&[json!({
        "name": "log", "program": "git", "args": ["log", { "regex": "a|-n[0-9]+" }]
    })]);
    for fits in ["a", "-n1", "-n25"] {
        assert!(ask(&rules, exec("git", &["log", fits])).is_ok(), "{fits}");
    }
    for misfit in ["", "ab", "-n1x", "x-n1", "-n1\n", "\n-n1", "-n1\n--all", "-n"] {
        assert!(ask(&rules, exec("git", &["log", misfit])).is_err(), "{misfit:?}");
    }
    assert!(ask(&rules, exec("git", &["log"])).is_err());
    assert!(ask(&rules, exec("git", &["log", "a", "a"])).is_err());
}

#[test]
fn patterns_cannot_slip_out_of_their_anchors() {
    let rule = |regex: &str| json!({ "name": "x", "program": "x", "args": [{ "regex": regex }] });
    assert!(invalid(rule("a)|(?:b")).contains("args"));
    assert!(invalid(rule("(")).contains("args"));
    assert!(invalid(rule("(?x)a # b")).contains("args"));
    let rules = allow(&[rule("(?m)^a$")]);
    assert!(ask(&rules, exec("x", &["a"])).is_ok());
    assert!(ask(&rules, exec("x", &["a\nb"])).is_err());
}

#[test]
fn a_pattern_can_be_optional_or_stand_for_the_rest() {
    let rules = allow(&[json!({ "name": "ls", "program": "ls", "args": [
        { "regex": "-[la]+", "times": "optional" },
        { "regex": "[a-z/]+", "times": "rest" },
    ] })]);
    for fits in [&[][..], &["-l"], &["-l", "a", "b/c"]] {
        assert!(ask(&rules, exec("ls", fits)).is_ok(), "{fits:?}");
    }
    assert!(ask(&rules, exec("ls", &["-l", "a", "-R"])).is_err());
    let misplaced = json!({ "name": "x", "program": "x", "args": [
        { "regex": "a", "times": "rest" }, "b"
    ] });
    assert!(invalid(misplaced).contains("last"));
    let hole = json!({ "name": "x", "program": "x", "args": [
        { "regex": "a", "times": "optional" }, "b"
    ] });
    assert!(invalid(hole).contains("optional"));
}

#[test]
fn a_named_rule_brings_its_program() {
    let rules = allow(&[
        json!({ "name": "up", "program": "uptime", "args": ["-p"] }),
        json!({ "name": "log", "program": "git", "args": ["log", { "regex": "-n[0-9]+" }] }),
        json!({ "name": "any", "program": "*", "args": "any" }),
    ]);
    let up = ask(&rules, json!({ "rule": "up" })).unwrap();
    assert_eq!(up.command, Command::Exec { program: "uptime".into(), args: vec!["-p".into()] });
    let log = ask(&rules, json!({ "rule": "log", "args": ["log", "-n3"] })).unwrap();
    assert_eq!(log.command.to_string(), "git log -n3");
    assert_eq!(
        ask(&rules, json!({ "rule": "log" })),
        Err(Refusal::ArgsMissing { rule: "log".into() })
    );
    assert_eq!(
        ask(&rules, json!({ "rule": "any", "args": [] })),
        Err(Refusal::CommandMissing { rule: "any".into() })
    );
    let unknown = ask(&rules, json!({ "rule": "nope" })).unwrap_err();
    assert_eq!(unknown, Refusal::UnknownRule { known: "`up`, `log`, `any`".into() });
    assert_eq!(ask(&rules, json!({})), Err(Refusal::NothingAsked));
}

#[test]
fn asking_for_a_rule_leaves_the_others_out() {
    let rules = allow(&[
        json!({ "name": "disk", "program": "df" }),
        json!({ "name": "any", "program": "*", "args": "any" }),
    ]);
    let mut request = exec("rm", &[]);
    assert!(ask(&rules, request.clone()).is_ok());
    request["rule"] = json!("disk");
    assert!(ask(&rules, request).is_err());
}

#[test]
fn a_shell_line_must_name_its_rule() {
    let rules = allow(&[json!({ "name": "sh", "shell": "/bin/sh" })]);
    let line = json!({ "type": "shell", "command": "ls | wc -l", "shell": "/bin/sh" });
    assert_eq!(ask(&rules, json!({ "command": line })), Err(Refusal::ShellUnnamed));
    assert!(ask(&rules, json!({ "rule": "sh", "command": line })).is_ok());
    let bash = json!({ "type": "shell", "command": "ls", "shell": "/bin/bash" });
    assert!(ask(&rules, json!({ "rule": "sh", "command": bash })).is_err());
    let any = allow(&[json!({ "name": "any", "program": "*", "args": "any" })]);
    assert!(
        ask(&any, json!({ "rule": "any", "command": line })).is_err(),
        "a rule for any program is none for shell lines"
    );
}

#[test]
fn scripts_run_from_their_places_by_their_interpreters() {
    let files = Tree::with(&["/app/scripts/a.py", "/app/secret.py", "/elsewhere/b.py"])
        .link("/app/scripts/link.py", "/elsewhere/b.py");
    let rules = allow(&[json!({
        "name": "scripts", "scripts": ["/app/scripts"], "interpreters": ["python3"]
    })]);
    let script = |path: &str, interpreter: Option<&str>| json!({ "command": { "type": "script", "path": path, "interpreter": interpreter } });
    let run = |path, interpreter| ask_in(&rules, script(path, interpreter), &files);
    let passed = run("/app/scripts/../scripts/a.py", Some("python3")).unwrap();
    assert_eq!(passed.command.to_string(), "python3 /app/scripts/a.py", "the real path is run");
    for outside in [
        "/app/secret.py",
        "/app/scripts/../secret.py",
        "/app/scripts/link.py",
        "/app/scripts/none.py",
    ] {
        let refused = run(outside, Some("python3")).unwrap_err();
        assert_eq!(refused, Refusal::NoRule { field: "command.path", needed: "scripts" });
    }
    let interpreter = Err(Refusal::Interpreter { rule: "scripts".into() });
    assert_eq!(run("/app/scripts/a.py", Some("bash")), interpreter);
    assert_eq!(run("/app/scripts/a.py", None), interpreter);
    let itself = allow(&[json!({ "name": "x", "scripts": ["/app/scripts/a.py"] })]);
    assert!(ask_in(&itself, script("/app/scripts/a.py", None), &files).is_ok());
    assert!(ask_in(&itself, script("/app/scripts/a.py", Some("python3")), &files).is_err());
}

#[test]
fn a_place_is_no_prefix_of_its_neighbour() {
    let files = Tree::with(&["/app/scripts", "/app/scripts-old/a.py"]);
    let rules = allow(&[json!({ "name": "x", "scripts": ["/app/scripts"] })]);
    let request = json!({ "command": { "type": "script", "path": "/app/scripts-old/a.py" } });
    assert!(ask_in(&rules, request, &files).is_err());
}

#[test]
fn directories_and_variables_need_to_be_listed() {
    let files = Tree::with(&["/data/in", "/etc"]).link("/data/etc", "/etc");
    let rules = allow(&[json!({
        "name": "env", "program": "env", "working_dirs": ["/data"], "env": ["LANG", "REPORT_*"]
    })]);
    let with = |field: &str, value: Value| {
        let mut request = exec("env", &[]);
        request[field] = value;
        ask_in(&rules, request, &files)
    };
    let passed = with("working_dir", json!("/data/../data/in")).unwrap();
    assert_eq!(passed.working_dir, Some("/data/in".into()));
    for dir in ["/etc", "/data/etc", "/data/../etc", "/data/none"] {
        let needed = "working_dirs";
        let refused = Refusal::Outside { field: "working_dir", needed, rule: "env".into() };
        assert_eq!(with("working_dir", json!(dir)), Err(refused), "{dir}");
    }
    assert!(with("env", json!({ "LANG": "C", "REPORT_MONTH": "1" })).is_ok());
    for name in ["PATH", "LANGUAGE", "lang", "LD_PRELOAD", "XREPORT_"] {
        let refused = with("env", json!({ name: "x" })).unwrap_err();
        assert!(matches!(refused, Refusal::Variable { .. }), "{name}");
        assert!(refused.to_string().contains("`LANG`, `REPORT_*`"), "{refused}");
    }
}

#[test]
fn files_and_processes_that_stay_need_to_be_allowed() {
    let files = Tree::with(&["/logs/old.log", "/etc/passwd"])
        .link("/logs/out", "/etc")
        .link("/logs/dangling", "/etc/new");
    let rules = allow(&[json!({ "name": "a", "program": "a", "log_dirs": ["/logs"] })]);
    let log = |path: &str| {
        let mut request = exec("a", &[]);
        request["output_log_path"] = json!(path);
        ask_in(&rules, request, &files)
    };
    assert_eq!(log("/logs/new.log").unwrap().output_log_path, Some("/logs/new.log".into()));
    assert_eq!(log("/logs/old.log").unwrap().output_log_path, Some("/logs/old.log".into()));
    for path in [
        "/etc/new",
        "/logs/../etc/new",
        "/logs/out/new",
        "/logs/dangling",
        "/logs/none/new",
        "/logs/..",
    ] {
        assert!(matches!(log(path), Err(Refusal::Outside { .. })), "{path}");
    }

    let leave = ExecutionOptions::default().leftovers(Leftovers::Leave);
    let refused = ask_with(&rules, exec("a", &[]), leave.clone(), &files);
    assert_eq!(refused, Err(Refusal::Leftovers { rule: "a".into() }));
    let lenient = allow(&[json!({ "name": "a", "program": "a", "leftovers": "leave" })]);
    assert!(ask_with(&lenient, exec("a", &[]), leave, &files).is_ok());
}

#[test]
fn input_from_a_file_needs_its_directory() {
    let files = Tree::with(&["/data/in.csv", "/etc/shadow"]).link("/data/link", "/etc/shadow");
    let rules = allow(&[json!({ "name": "sort", "program": "sort", "stdin_dirs": ["/data"] })]);
    let with = |source| {
        let options = ExecutionOptions::default().stdin(source);
        ask_with(&rules, exec("sort", &[]), options, &files).map(|allowed| allowed.options.stdin)
    };
    assert_eq!(
        with(StdinSource::file("/data/../data/in.csv")),
        Ok(StdinSource::file("/data/in.csv")),
        "the real file is read"
    );
    for outside in ["/etc/shadow", "/data/link", "/data/../etc/shadow", "/data/none"] {
        let refused = with(StdinSource::file(outside)).unwrap_err();
        assert!(matches!(refused, Refusal::Outside { needed: "stdin_dirs", .. }), "{outside}");
    }
    for own in [StdinSource::Null, StdinSource::bytes("a"), StdinSource::Piped] {
        assert_eq!(with(own.clone()), Ok(own));
    }
}

fn ask_plan(
    rules: &Rules,
    plan: Value,
    options: Value,
    files: &Tree,
) -> Result<AllowedPlan, RefusedStep> {
    let plan = serde_json::from_value(plan).unwrap();
    check_plan(rules, plan, serde_json::from_value(options).unwrap(), files)
}

fn plan(commands: &[Value]) -> Value {
    json!({ "strategy": { "type": "parallel" }, "commands": commands })
}

#[test]
fn each_step_of_a_plan_must_be_allowed() {
    let rules = allow(&[json!({ "name": "build", "program": "make", "args": "any" })]);
    let passed = ask_plan(
        &rules,
        plan(&[exec("make", &["a"]), json!({ "rule": "build", "args": ["b"] })]),
        json!({}),
        &Tree::default(),
    )
    .unwrap();
    let commands: Vec<_> =
        passed.plan.commands.iter().map(|step| step.command.to_string()).collect();
    assert_eq!(commands, ["make a", "make b"]);
    let refused =
        ask_plan(&rules, plan(&[exec("make", &[]), exec("rm", &[])]), json!({}), &Tree::default())
            .unwrap_err();
    assert_eq!(refused.index, 1);
}

#[test]
fn what_a_plan_gives_to_all_steps_is_checked_for_each() {
    let files = Tree::with(&["/work/sub", "/etc"]);
    let rules = allow(&[json!({
        "name": "build", "program": "make", "working_dirs": ["/work"], "env": ["MODE"]
    })]);
    let step = || plan(&[exec("make", &[])]);
    let with = |options: Value| ask_plan(&rules, step(), options, &files);
    let passed = with(json!({ "env": { "MODE": "fast" }, "working_dir": "/work" })).unwrap();
    let command = &passed.plan.commands[0];
    assert_eq!(
        (command.env["MODE"].as_str(), &command.working_dir),
        ("fast", &Some("/work".into()))
    );
    assert!(passed.options.env.is_empty() && passed.options.working_dir.is_none(), "said once");

    let refused = |options: Value| with(options).unwrap_err().refusal;
    assert!(matches!(refused(json!({ "env": { "PATH": "/x" } })), Refusal::Variable { .. }));
    assert!(matches!(refused(json!({ "working_dir": "/etc" })), Refusal::Outside { .. }));
    let leave = json!({ "leftovers": "leave" });
    assert!(matches!(refused(json!({ "defaults": leave })), Refusal::Leftovers { .. }));
    assert!(matches!(
        refused(json!({ "steps": [{ "options": leave }] })),
        Refusal::Leftovers { .. }
    ));

    let mut own = exec("make", &[]);
    own["working_dir"] = json!("sub");
    let passed = ask_plan(&rules, plan(&[own.clone()]), json!({ "working_dir": "/work" }), &files);
    assert_eq!(passed.unwrap().plan.commands[0].working_dir, Some("/work/sub".into()));
    own["working_dir"] = json!("../etc");
    let outside = ask_plan(&rules, plan(&[own]), json!({ "working_dir": "/work" }), &files);
    assert!(matches!(outside.unwrap_err().refusal, Refusal::Outside { .. }));
}

#[test]
fn output_that_is_handed_on_sets_no_variable_beside_the_list() {
    let rules = allow(&[json!({ "name": "a", "program": "a", "env": ["VERSION"] })]);
    let hand = |to: Value| {
        let options = json!({ "steps": [{}, { "inputs": [{ "from": 0, "to": to }] }] });
        ask_plan(&rules, plan(&[exec("a", &[]), exec("a", &[])]), options, &Tree::default())
    };
    assert!(hand(json!({ "type": "env", "name": "VERSION" })).is_ok());
    assert!(hand(json!({ "type": "stdin" })).is_ok());
    let refused = hand(json!({ "type": "env", "name": "LD_PRELOAD" })).unwrap_err();
    assert_eq!(refused.index, 1);
    assert!(matches!(refused.refusal, Refusal::Variable { .. }));
}

#[test]
fn an_aws_operation_is_the_program_aws() {
    let rules = allow(&[json!({ "name": "buckets", "program": "aws", "args": [
        "s3api", "list-buckets", "--output", "json"
    ] })]);
    let aws = |operation: &str, profile: Option<&str>| {
        json!({ "command": {
            "type": "aws_cli", "service": "s3api", "operation": operation, "profile": profile
        } })
    };
    assert!(ask(&rules, aws("list-buckets", None)).is_ok());
    assert!(ask(&rules, aws("delete-bucket", None)).is_err());
    assert!(ask(&rules, aws("list-buckets", Some("admin"))).is_err());
}

#[test]
fn what_is_checked_of_an_aws_operation_is_what_runs() {
    let aws = Command::AwsCli {
        service: "s3api".into(),
        operation: "list-buckets".into(),
        args: vec!["--max-items".into(), "3".into()],
        profile: Some("p".into()),
        region: Some("r".into()),
    };
    let argv = aws.argv();
    let allows = |args: &[String]| {
        let rules = allow(&[json!({ "name": "aws", "program": argv[0], "args": args })]);
        ask(&rules, json!({ "command": aws })).is_ok()
    };
    assert!(allows(&argv[1..]), "a rule with exactly the arguments that run");
    for missing in 1..argv.len() {
        let mut fewer = argv[1..].to_vec();
        fewer.remove(missing - 1);
        assert!(!allows(&fewer), "without argument {missing}");
    }
}

#[test]
fn what_is_denied_stays_denied() {
    let mut rules = allow(&[
        json!({ "name": "any", "program": "*", "args": "any" }),
        json!({ "name": "sh", "shell": "*" }),
    ]);
    rules.deny = vec![
        compiled(json!({ "name": "no-rm", "program": "rm" })),
        compiled(json!({ "name": "no-push", "program": "git", "args": [
            "push", { "regex": ".*", "times": "rest" }
        ] })),
        compiled(json!({ "name": "no-bash", "shell": "/bin/bash" })),
    ];
    let denied = |rule: &str| Err(Refusal::Denied { rule: rule.into() });
    assert_eq!(ask(&rules, exec("rm", &["-r", "x"])), denied("no-rm"));
    assert_eq!(ask(&rules, exec("git", &["push", "-f"])), denied("no-push"));
    assert!(ask(&rules, exec("git", &["pull"])).is_ok());
    let line = |shell| json!({ "rule": "sh", "command": { "type": "shell", "command": "ls", "shell": shell } });
    assert_eq!(ask(&rules, line("/bin/bash")), denied("no-bash"));
    assert!(ask(&rules, line("/bin/sh")).is_ok());
}

#[test]
fn rules_that_make_no_sense_are_refused_with_their_field() {
    assert!(invalid(json!({ "name": " ", "program": "x" })).contains("name"));
    assert!(invalid(json!({ "name": "x" })).contains("program"));
    assert!(invalid(json!({ "name": "x", "program": "x", "shell": "sh" })).contains("exactly one"));
    assert!(invalid(json!({ "name": "x", "program": "./x" })).contains("relative"));
    assert!(invalid(json!({ "name": "x", "program": "bin/x" })).contains("relative"));
    assert!(invalid(json!({ "name": "x", "shell": "sh", "args": "any" })).contains("args"));
    assert!(
        invalid(json!({ "name": "x", "program": "x", "interpreters": ["y"] }))
            .contains("interpreters")
    );
    assert!(invalid(json!({ "name": "x", "scripts": ["scripts"] })).contains("absolute"));
    let unknown = serde_json::from_value::<Rule>(json!({ "name": "x", "prog": "x" }));
    assert!(unknown.is_err());
}

/// All rules in a value, wherever they are.
fn rules_in(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) if fields.contains_key("name") => found.push(value.clone()),
        Value::Object(fields) => fields.values().for_each(|field| rules_in(field, found)),
        Value::Array(list) => list.iter().for_each(|entry| rules_in(entry, found)),
        _ => {}
    }
}

#[test]
fn the_rules_in_the_papers_are_rules() {
    let papers = [
        include_str!("../../README.md"),
        include_str!("../../../../docs/tauri.md"),
        concat!(
            "```json\n",
            include_str!("../../../../apps/desktop/src-tauri/capabilities/main.json"),
            "```"
        ),
    ];
    let mut rules = Vec::new();
    for block in papers.iter().flat_map(|paper| paper.split("```json\n").skip(1)) {
        let text = block.split("```").next().unwrap();
        // One is a line of package.json and no JSON by itself.
        if let Ok(value) = serde_json::from_str(text) {
            rules_in(&value, &mut rules);
        }
    }
    assert!(rules.len() > 8, "{} rules", rules.len());
    for rule in rules {
        let read: Rule =
            serde_json::from_value(rule.clone()).unwrap_or_else(|error| panic!("{error}: {rule}"));
        // A variable of Tauri stands for an absolute path.
        let locate = |path: &Path| Ok(Path::new("/").join(path));
        assert!(Compiled::new(read, locate).is_ok(), "{rule}");
    }
}

/// Requests of all kinds with a marked text in every place that takes one.
fn requests() -> impl Strategy<Value = (String, Value)> {
    let secret = "[a-z]{3}S3CR3T[a-z]{3}";
    (secret, 0..4u8, any::<[bool; 5]>()).prop_map(|(secret, kind, with)| {
        let command = match kind {
            0 => json!({ "type": "exec", "program": secret, "args": [secret, secret] }),
            1 => json!({ "type": "script", "path": secret, "interpreter": secret }),
            2 => json!({ "type": "shell", "command": secret, "shell": secret }),
            _ => json!({ "type": "exec", "program": "tool", "args": ["run", secret] }),
        };
        let mut request = json!({ "command": command });
        let extras = [
            ("rule", json!(secret)),
            ("env", json!({ &secret: secret })),
            ("working_dir", json!(format!("/{secret}"))),
            ("output_log_path", json!(format!("/{secret}/log"))),
            ("metadata", json!({ "description": secret })),
        ];
        for ((field, value), wanted) in extras.into_iter().zip(with) {
            if wanted {
                request[field] = value;
            }
        }
        if kind == 2 && !with[0] {
            request["rule"] = json!("shell");
        }
        (secret, request)
    })
}

proptest! {
    /// Nothing of a request comes back in its refusal.
    #[test]
    fn a_refusal_repeats_nothing((secret, request) in requests()) {
        let rules = allow(&[
            json!({ "name": "tool", "program": "tool", "args": ["run", { "regex": "[a-z]+" }] }),
            json!({ "name": "scripts", "scripts": ["/app"], "interpreters": ["python3"] }),
            json!({ "name": "shell", "shell": "/bin/sh" }),
        ]);
        let refusal = ask(&rules, request).unwrap_err();
        prop_assert!(!refusal.to_string().contains(&secret), "{refusal}");
        prop_assert!(!format!("{refusal:?}").contains(&secret), "{refusal:?}");
    }

    /// A list of fixed arguments lets exactly this list pass.
    #[test]
    fn fixed_arguments_are_exact(
        rule in proptest::collection::vec("[ab]{0,2}", 0..4),
        args in proptest::collection::vec("[ab]{0,2}", 0..4),
    ) {
        let rules = allow(&[json!({ "name": "x", "program": "x", "args": rule })]);
        let words: Vec<_> = args.iter().map(String::as_str).collect();
        prop_assert_eq!(ask(&rules, exec("x", &words)).is_ok(), rule == args);
    }

    /// What passes a pattern is made of nothing but what the pattern allows, wherever it stands.
    #[test]
    fn patterns_let_nothing_else_pass(args in proptest::collection::vec("[a-c\n;]{0,3}", 0..4)) {
        let rules = allow(&[json!({ "name": "x", "program": "x", "args": [
            { "regex": "[ab]*", "times": "rest" }
        ] })]);
        let words: Vec<_> = args.iter().map(String::as_str).collect();
        let clean = words.iter().all(|word| word.chars().all(|c| "ab".contains(c)));
        prop_assert_eq!(ask(&rules, exec("x", &words)).is_ok(), clean);
    }

    /// A path that passes is below its place, however it is written.
    #[test]
    fn paths_stay_inside(parts in proptest::collection::vec(prop_oneof![
        Just(".."), Just("."), Just("in"), Just("out"), Just("link")
    ], 0..6)) {
        let files = Tree::with(&["/root/in/in/in", "/root/out/in/out", "/out/in"])
            .link("/root/in/link", "/out")
            .link("/root/in/in/link", "/root/in");
        let rules = allow(&[json!({ "name": "x", "program": "x", "working_dirs": ["/root/in"] })]);
        let mut request = exec("x", &[]);
        request["working_dir"] = json!(Path::new("/root/in").join(parts.join("/")));
        if let Ok(passed) = ask_in(&rules, request, &files) {
            let dir = passed.working_dir.unwrap();
            prop_assert!(dir.starts_with("/root/in"), "{}", dir.display());
            prop_assert!(dir.components().all(|part| part.as_os_str() != ".."));
        }
    }
}
