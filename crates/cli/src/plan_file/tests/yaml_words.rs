//! Words of YAML that some readers take for something else than text.

use super::{Format, mistakes, plan};

#[test]
fn what_is_no_text_elsewhere_is_refused_and_not_changed() {
    for word in [
        "no",
        "Yes",
        "ON",
        "off",
        "y",
        "N",
        "true",
        "False",
        "1.10",
        "3.9",
        "1e3",
        "010",
        "0x1f",
        "1_000",
        "12:30",
        "12:30:45",
        "2026-10-01",
        "7",
        "-1",
        "+1",
        ".5",
        ".inf",
        "~",
        "null",
        "",
    ] {
        let text = format!("steps:\n- command: x\n  env:\n    A: {word}\n");
        let error = mistakes(Format::Yaml, &text).text();
        assert!(error.starts_with("plan:4:") || error.starts_with("plan:5:"), "{word}: {error}");
        assert!(error.contains("step 0: env.A: ") && error.contains("; "), "{word}: {error}");
        let quoted = text.replace(&format!("A: {word}\n"), &format!("A: \"{word}\"\n"));
        assert_eq!(plan(Format::Yaml, &quoted).spec.plan.commands[0].env["A"], word);
    }
}

#[test]
fn what_is_text_everywhere_is_text() {
    for word in
        ["1.2.3", "127.0.0.1", "30s", "-x", "v1", "none", "3.9-slim", "a:b", "./1", "north", "1a"]
    {
        let text = format!("steps:\n- command: x\n  env: {{A: {word}}}\n");
        assert_eq!(plan(Format::Yaml, &text).spec.plan.commands[0].env["A"], word);
    }
}

#[test]
fn keys_are_text_as_they_are_written() {
    let file = plan(Format::Yaml, "steps:\n- command: x\n  env: {NO: a, on: b}\n");
    let env = &file.spec.plan.commands[0].env;
    assert_eq!((&*env["NO"], &*env["on"]), ("a", "b"));
}

#[test]
fn what_only_yaml_has_is_refused_with_the_fix() {
    for (text, said) in [
        ("steps: []\n---\nsteps: []\n", "plan:2:"),
        ("steps:\n- <<: {command: x}\n", "cannot be merged"),
        ("steps:\n- !custom {command: x}\n", "tags have no meaning"),
        ("steps:\n- command: !!int 1\n", "tags have no meaning"),
        ("? [a]\n: b\n", "a key must be text"),
        ("", "the file is empty"),
        ("- a\n", "expected a table"),
    ] {
        let error = mistakes(Format::Yaml, text).text();
        assert!(error.contains(said) && error.starts_with("plan:"), "{text}: {error}");
    }
}
