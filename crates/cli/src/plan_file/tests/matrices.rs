//! Steps with a matrix.

use execution_engine::{Command, PlanSpec, StepCondition, StepRef};

use super::{Format, mistakes, plan};

fn names(spec: &PlanSpec) -> Vec<&str> {
    spec.options.steps.iter().map(|step| step.name.as_deref().unwrap_or("-")).collect()
}

/// Returns a plan with one step of the name `m`, with these further fields, and others.
fn with(fields: &str, others: &str) -> String {
    format!("[[steps]]\nname = 'm'\n{fields}\n{others}")
}

#[test]
fn combinations_become_steps_in_order() {
    let text = with(
        "command = ['run', '--os=${matrix.os}', '${matrix.python}']\n\
         env = { PY = 'py${matrix.python}' }\nworking_dir = 'b/${matrix.os}'\n\
         metadata = { tags = ['${matrix.os}'] }\n\
         matrix = { python = ['3.9', '3.12'], os = ['a b', '$(x)'], \
         exclude = [{ python = '3.9', os = '$(x)' }], include = [{ os = 'c', python = '4' }] }",
        "[[steps]]\ncommand = 'all'\nafter = ['m']\nonly_if = [{ type = 'succeeded', step = 'm' }]",
    );
    let spec = plan(Format::Toml, &text).spec;
    let expected = ["m (3.9, a b)", "m (3.12, a b)", "m (3.12, $(x))", "m (4, c)"];
    assert_eq!(names(&spec)[..4], expected);
    let step = &spec.plan.commands[2];
    let words = ["--os=$(x)", "3.12"].map(str::to_string).to_vec();
    assert_eq!(
        step.command,
        Command::Exec { program: "run".into(), args: words },
        "nothing is run"
    );
    assert_eq!(step.env["PY"], "py3.12");
    assert_eq!((&*step.env["MATRIX_PYTHON"], &*step.env["MATRIX_OS"]), ("3.12", "$(x)"));
    assert_eq!(step.working_dir.as_deref(), Some("b/$(x)".as_ref()));
    assert_eq!(step.metadata.tags, ["$(x)"]);
    let all = &spec.options.steps[4];
    assert_eq!(all.after, expected.map(StepRef::from));
    assert_eq!(all.only_if, expected.map(StepCondition::succeeded));
}

#[test]
fn name_may_say_where_the_values_stand() {
    let text = "[[steps]]\nname = 'build ${matrix.os}'\ncommand = ['x']\nmatrix = { os = ['a', 'b'] }\n\
                [[steps]]\nname = 'test'\ncommand = ['y']\nstdin_from = 'build ${matrix.os}'\n\
                matrix = { os = ['a', 'b'] }\n\
                [[steps]]\nname = 'end'\ncommand = ['z']\nafter = ['build ${matrix.os}']";
    let error = mistakes(Format::Toml, text).text();
    assert!(error.contains("plan:13:") && error.contains("no `matrix`"), "{error}");
    let spec = plan(Format::Toml, &text.replace("after = ['build ${matrix.os}']", "")).spec;
    assert_eq!(names(&spec), ["build a", "build b", "test (a)", "test (b)", "end"]);
    assert_eq!(spec.options.steps[3].inputs[0].from, StepRef::from("build b"));
}

#[test]
fn list_of_combinations_needs_no_axes() {
    let text = with(
        "command = ['x']\nmatrix = { include = [{ a = '1', b = '2' }, { b = '4', a = '3' }] }",
        "",
    );
    assert_eq!(names(&plan(Format::Toml, &text).spec), ["m (1, 2)", "m (3, 4)"]);
}

#[test]
fn no_shell_reads_a_value() {
    for command in [
        "'echo ${matrix.a}'",
        "['sh', '-c', 'echo ${matrix.a}']",
        "['/bin/bash', '-euc', 'echo ${matrix.a}']",
        "{ type = 'shell', command = 'echo ${matrix.a}' }",
        "{ type = 'exec', program = 'sh', args = ['-c', '${matrix.a}'] }",
    ] {
        let text = with(&format!("command = {command}\nmatrix = {{ a = ['1'] }}"), "");
        let error = mistakes(Format::Toml, &text).text();
        assert!(
            error.starts_with("plan:3:") && error.contains("\"$MATRIX_A\""),
            "{command}: {error}"
        );
    }
    let text = with(
        "command = ['sh', '-c', 'echo \"$1\"', 'sh', '${matrix.a}']\nmatrix = { a = ['1'] }",
        "",
    );
    assert_eq!(plan(Format::Toml, &text).spec.plan.commands[0].command.argv()[4], "1");
}

#[test]
fn mistakes_in_a_matrix_name_the_place_and_the_fix() {
    for (matrix, line, said) in [
        ("{ a = [] }", 4, "the list is empty"),
        ("{ a = [1] }", 4, "put it in quotes"),
        ("{ a = ['1', '1'] }", 4, "this value twice"),
        ("{ a-b = ['1'] }", 4, "rename it"),
        ("{ a = ['1'], A = ['1'] }", 4, "two axes would be MATRIX_A"),
        ("{ a = ['x'], exclude = [{ b = 'x' }] }", 4, "no axis `b`"),
        ("{ a = ['linux'], exclude = [{ a = 'linx' }] }", 4, "did you mean `linux`"),
        ("{ a = ['1'], exclude = [{ a = '1' }] }", 4, "no combination is left"),
        ("{ a = ['1'], include = [{ a = '1' }] }", 4, "there already"),
        ("{ a = ['1'], b = ['1'], include = [{ a = '2' }] }", 4, "lacks b"),
        ("{ }", 4, "no combination is left"),
    ] {
        let text = with(&format!("command = ['x']\nmatrix = {matrix}"), "");
        let error = mistakes(Format::Toml, &text).text();
        let begin = format!("plan:{line}:");
        let is_named = error.contains("step 0 (\"m\"): matrix");
        assert!(error.starts_with(&begin) && is_named && error.contains(said), "{matrix}: {error}");
    }
}

#[test]
fn mistakes_of_the_step_name_the_place_and_the_fix() {
    let m = "matrix = { python = ['1'] }";
    for (fields, others, said) in [
        ("command = ['${matrix.pyton}']", "", "did you mean `python`"),
        ("command = ['${matrix.python']", "", "has no end"),
        ("command = ['x']\nenv = { MATRIX_PYTHON = '2' }", "", "name this variable otherwise"),
        ("command = ['x']\nenv = { '${matrix.python}' = '2' }", "", "use it in the value"),
        ("command = ['x']", "[[steps]]\ncommand = 'y'\nstdin_from = 'm'", "such as \"m (1)\""),
        ("command = ['x']", "[[steps]]\ncommand = 'y'\nafter = ['m (2)']", "did you mean `m (1)`"),
        ("command = ['x']", "[[steps]]\ncommand = ['${matrix.a}']", "the step has no `matrix`"),
        ("command = ['x']", "[env]\nX = '${matrix.python}'", "only a step with a `matrix`"),
        (
            "command = ['x']",
            "[strategy]\ntype = 'dependency_graph'\ndependencies = { 0 = [] }",
            "use `after`",
        ),
    ] {
        let error = mistakes(Format::Toml, &with(&format!("{fields}\n{m}"), others)).text();
        assert!(error.contains(said), "{fields} {others}: {error}");
    }
    let nameless = "[[steps]]\ncommand = ['x']\nmatrix = { a = ['1'] }";
    assert!(mistakes(Format::Toml, nameless).text().contains("add `name`"));
}

#[test]
fn matrix_cannot_fill_the_memory() {
    let axis = |name: &str, count: usize| {
        let values: Vec<String> = (0..count).map(|value| format!("\"{value}\"")).collect();
        format!("\"{name}\": [{}]", values.join(","))
    };
    let text = |command: &str, axes: &str| {
        format!(
            "{{\"steps\": [{{\"name\": \"m\", \"command\": [{command}], \"matrix\": {{{axes}}}}}]}}"
        )
    };
    let axes = [axis("a", 300), axis("b", 300)].join(",");
    let error = mistakes(Format::Json, &text("\"x\"", &axes)).text();
    assert!(error.contains("more than 10000 steps"), "{error}");
    let long = format!("\"{}\"", "x".repeat(100_000));
    let error = mistakes(Format::Json, &text(&long, &axis("a", 5_000))).text();
    assert!(error.contains("64 MiB"), "{error}");
    let many = format!("\"{}\"", "${matrix.a}".repeat(20_000));
    let value = format!("\"a\": [\"{}\"]", "v".repeat(4_000));
    let error = mistakes(Format::Json, &text(&many, &value)).text();
    assert!(error.contains("64 MiB"), "{error}");

    let pair = |first: &str, second: &str| {
        format!(
            "{{\"name\": \"{first}\", \"command\": [\"x\"], {second} \"matrix\": {{{}}}}}",
            axis("a", 2_000)
        )
    };
    let steps = [pair("m", ""), pair("n", "\"after\": [\"m\"],")].join(",");
    let error = mistakes(Format::Json, &format!("{{\"steps\": [{steps}]}}")).text();
    assert!(error.contains("a million times"), "{error}");
}
