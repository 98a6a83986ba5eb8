//! What is said about mistakes: line, step, field and fix.

use super::{Format, content, mistakes, schema};

/// A text with a mistake.
struct Case {
    format: Format,
    text: &'static str,
    /// Line, column, and step with its name; what is said, in part.
    said: &'static [&'static str],
    /// Whether the schema knows of the mistake, too. One about the syntax it cannot see.
    schema: Option<bool>,
}

const fn case(
    format: Format,
    text: &'static str,
    schema: Option<bool>,
    said: &'static [&'static str],
) -> Case {
    Case { format, text, said, schema }
}

use Format::{Json, Toml, Yaml};

const CASES: &[Case] = &[
    case(
        Toml,
        "[[steps]]\nname = 'a'\ncomand = 'x'",
        Some(false),
        &["plan:3:1: step 0 (\"a\"): comand: ", "did you mean `command`?"],
    ),
    case(
        Yaml,
        "steps:\n- name: a\n  command: x\n  alway: true\n",
        Some(false),
        &["plan:4:3: step 0 (\"a\"): alway: ", "did you mean `always`?"],
    ),
    case(
        Json,
        "{\"steps\": [\n  {\"command\": \"x\", \"retry\": 3}]}",
        Some(false),
        &["plan:2:20: step 0: retry: ", "options = { retry = .. }"],
    ),
    case(
        Toml,
        "[[step]]\ncommand = 'x'",
        Some(false),
        &["plan:1:3: step: ", "did you mean `steps`?"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nalways = 'yes'",
        Some(false),
        &["plan:3:10: step 0: always: expected true or false, found text"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 5",
        Some(false),
        &["plan:2:11: step 0: command: ", "found a number", "put it in quotes"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = []",
        Some(false),
        &["plan:2:11: step 0: command: the list is empty"],
    ),
    case(Toml, "[[steps]]\ncommand = ''", Some(false), &["plan:2:11: step 0: command: is blank"]),
    case(
        Toml,
        "[[steps]]\nname = 'a'",
        Some(false),
        &["plan:1:1: step 0 (\"a\"): there is no `command`; add it"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nenv = { 'A=secret' = '1' }",
        Some(false),
        &["plan:3:9: step 0: env: `A` is no name of a variable"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nafter = 'y'",
        Some(false),
        &["plan:3:9: step 0: after: expected a list"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nonly_if = ['fail']",
        Some(false),
        &["plan:3:12: step 0: only_if[0]: ", "did you mean `failed`?"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nonly_if = ['failed']",
        Some(false),
        &["plan:3:12: ", "failed needs `step`"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\ntimeout = '30s'\ntimeout_ms = 5",
        Some(false),
        &["plan:4:1: step 0: timeout_ms: the same time is given twice"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\ntimeout = '30'",
        Some(false),
        &["plan:3:11: step 0: timeout: ", "write 30s"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\ntimeout = '0s'",
        Some(true),
        &["plan:3:11: step 0: timeout: must be longer than 0"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\ntimeout_ms = 0",
        Some(false),
        &["plan:3:14: step 0: timeout_ms: must be 1 to"],
    ),
    case(
        Toml,
        "max_concurrency = 0\nsteps = [{ command = 'x' }]",
        Some(false),
        &["plan:1:19: max_concurrency: must be 1 to"],
    ),
    case(
        Toml,
        "failure_policy = 'stop'\nsteps = [{ command = 'x' }]",
        Some(false),
        &["plan:1:18: failure_policy: ", "`stop_at_first_error`"],
    ),
    case(Toml, "steps = []", Some(false), &["plan:1:9: steps: the list is empty"]),
    case(Toml, "description = 'x'", Some(false), &["there is no `steps`; add it"]),
    case(
        Toml,
        "steps = [{ command = 'x', options = { limits = { memory = 5 } } }]",
        Some(false),
        &["plan:1:50: step 0: options.limits.memory: ", "there are `cpu_seconds`"],
    ),
    case(
        Toml,
        "steps = [{ command = 'x', options = { stdin = 'pipd' } }]",
        Some(false),
        &["options.stdin: ", "did you mean `piped`?"],
    ),
    case(
        Toml,
        "steps = [{ command = 'x', options = { retry = { attempts = 0 } } }]",
        Some(false),
        &["options.retry.attempts: must be 1 to"],
    ),
    case(
        Json,
        "{\"plan\": {\"strategy\": \"parallel\", \"commands\": [{\"command\": \"x\", \"name\": \"a\"}]}}",
        Some(false),
        &["plan:1:65: step 0: name: "],
    ),
    case(
        Json,
        "{\"plan\": {\"strategy\": \"parallel\", \"commands\": []}}",
        Some(false),
        &["plan.commands: the list is empty"],
    ),
    case(
        Json,
        "{\"steps\": [{\"command\": \"x\"}], \"plan\": {}}",
        Some(false),
        &["plan:1:31: a file has either"],
    ),
    case(
        Toml,
        "[[steps]]\nname = 'a'\ncommand = 'x'\n[[steps]]\nname = 'a'\ncommand = 'y'",
        Some(true),
        &["plan:5:8: step 1 (\"a\"): name: another step is named \"a\""],
    ),
    case(
        Toml,
        "[[steps]]\nname = 'build'\ncommand = 'x'\n[[steps]]\ncommand = 'y'\nafter = ['biuld']",
        Some(true),
        &["plan:6:10: step 1: after: there is no step \"biuld\"; did you mean `build`?"],
    ),
    case(
        Yaml,
        "steps:\n- command: x\n  env_from: {A: b}\n",
        Some(true),
        &["plan:3:17: step 0: inputs: there is no step \"b\"; no step has a name"],
    ),
    case(
        Yaml,
        "steps:\n- command: x\n  only_if: [{type: failed, step: 7}]\n",
        Some(true),
        &["plan:3:34: step 0: only_if: there is no step 7"],
    ),
    case(
        Toml,
        "[[steps]]\nname = 'a'\ncommand = 'x'\nafter = ['b']\n[[steps]]\nname = 'b'\ncommand = 'y'\nafter = ['a']",
        Some(true),
        &["plan:4:10: step 0 (\"a\"): after: ", "cycle", "step 1 (\"b\")"],
    ),
    case(
        Toml,
        "[[steps]]\nname = 'a'\ncommand = 'x'\nstdin_from = 'a'",
        Some(true),
        &["plan:4:14: step 0 (\"a\"): inputs: ", "waits for itself"],
    ),
    case(
        Toml,
        "[[steps]]\nname = ' a'\ncommand = 'x'",
        Some(true),
        &["plan:2:8: step 0 (\" a\"): name: ", "white space"],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\nonly_if = ['any_failed']",
        Some(true),
        &["plan:3:11: step 0: only_if: ", "it waits for no step"],
    ),
    case(
        Toml,
        "steps = [{ command = 'x', options = { retry = { retry_on = [] } } }]",
        Some(true),
        &["step 0: options.retry", "leave it out"],
    ),
    case(
        Json,
        "{\"steps\": [{\"id\": \"7\", \"command\": \"x\"}]}",
        Some(false),
        &["plan:1:19: step 0: id: is no UUID"],
    ),
    case(
        Json,
        "{\"plan\": {\"strategy\": \"parallel\", \"commands\": [{\"command\": \"x\"}]}, \"options\": {\"steps\": [{}, {}]}}",
        Some(true),
        &["plan:1:94: ", "options for more steps than the 1 commands"],
    ),
    case(
        Json,
        "{\"plan\": {\"strategy\": \"parallel\", \"commands\": [{\"command\": \"x\"}]}, \"options\": {\"steps\": [{\"after\": [\"y\"]}]}}",
        Some(true),
        &["step 0: after: there is no step \"y\""],
    ),
    case(
        Toml,
        "[[steps]]\ncommand = 'x'\ncommand = 'y'",
        None,
        &["plan:3:1: duplicate key; correct the TOML"],
    ),
    case(
        Yaml,
        "steps:\n- command: x\n  command: y\n",
        None,
        &["plan:3:3: `command` is there twice"],
    ),
    case(
        Json,
        "{\"steps\": [{\"command\": \"x\",\n\"command\": \"y\"}]}",
        None,
        &["plan:2:1: `command` is there twice"],
    ),
    case(Json, "{\"steps\": [\n{\"command\": \"x\",}]}", None, &["plan:2:17: "]),
    case(Toml, "[[steps]\ncommand = 'x'", None, &["plan:1:", "correct the TOML"]),
    case(Yaml, "steps:\n- command: 'x\n", None, &["correct the YAML"]),
];

#[test]
fn mistakes_name_line_step_field_and_fix() {
    for Case { format, text, said, .. } in CASES {
        let error = mistakes(*format, text).text();
        for part in *said {
            assert!(error.contains(part), "{text}\n{error}\nlacks {part}");
        }
        for theirs in ["None", "::", "secret", "Uuid"] {
            assert!(!error.contains(theirs), "{text}\n{error}\nhas {theirs}");
        }
    }
}

#[test]
fn schema_knows_what_it_can_know() {
    let schema = schema();
    for Case { format, text, schema: knows, .. } in CASES {
        if let Some(valid) = knows {
            assert_eq!(schema.is_valid(&content(*format, text)), *valid, "{text}");
        }
    }
}

#[test]
fn no_value_of_an_environment_is_told() {
    for text in [
        "env = { A = 5 }\nsteps = 's3cret'",
        "steps = [{ command = 'x', env = { A = ['s3cret'] } }]",
        "steps = [{ command = 'x', env = { A = \"s3cret\\u0000\" } }]",
        "steps = [{ command = 'x', env = { A = 's3cret' }, options = { env = { set = { B = [999] } } } }]",
        "steps = [{ command = 'x', env = { A = 's3cret ${matrix.x}' } }]",
        "env = { A = 's3cret'\nsteps = 5",
    ] {
        let error = mistakes(Toml, text).text();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn many_mistakes_are_counted() {
    let text = format!("{{\"steps\": [{}]}}", vec!["{\"command\": 5}"; 70].join(",\n"));
    let mistakes = mistakes(Json, &text);
    assert_eq!((mistakes.list.len(), mistakes.more), (50, 20));
    assert!(mistakes.text().ends_with("20 more mistakes"), "{}", mistakes.text());
    assert_eq!(mistakes.list[49].line, 50);
}

#[test]
fn bytes_that_are_no_text_have_a_line() {
    let source =
        super::Source { name: "plan".into(), format: Toml, bytes: b"a = 1\n\xff".to_vec() };
    let error = super::super::parse(&source).unwrap_err().text();
    assert!(error.starts_with("plan:2:1: is not UTF-8"), "{error}");
}
