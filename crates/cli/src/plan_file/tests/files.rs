//! Whole files: the examples in all formats, the blocks of the documentation, and the limits.

use execution_engine::{PlanSpec, StepInput, StepRef};
use serde_json::Value;

use super::{Format, content, mistakes, parse, plan, root, schema, valid_files};
use crate::plan_file::PlanFile;
use crate::plan_file::source::Source;

/// Returns a plan without ids, which are new each time.
fn without_ids(spec: &PlanSpec) -> Value {
    let mut json = serde_json::to_value(spec).unwrap();
    json["plan"].as_object_mut().unwrap().remove("id");
    for command in json["plan"]["commands"].as_array_mut().unwrap() {
        command.as_object_mut().unwrap().remove("id");
    }
    json
}

#[test]
fn the_same_plan_is_read_from_all_formats() {
    let read = |extension: &str| {
        let path = root().join(format!("crates/cli/examples/plans/build.{extension}"));
        let file = super::super::load(&path, None).unwrap();
        (without_ids(&file.spec), file.lines)
    };
    let (toml, lines) = read("toml");
    assert_eq!(toml, read("yaml").0);
    assert_eq!(toml, read("json").0);
    assert_eq!((lines.len(), lines[0]), (11, 11));
    assert_eq!(lines[3], lines[6], "combinations of one matrix");
}

#[test]
fn times_of_people_are_those_of_the_library() {
    let file = plan(
        Format::Toml,
        "deadline = '1h30m'\nsteps = [{ command = 'x', timeout = '1.5s', \
         options = { stop_grace = '0.2ms', retry = { max_delay = '2m' } } }]",
    );
    let PlanSpec { plan, options } = file.spec;
    assert_eq!(options.deadline_ms, Some(5_400_000));
    assert_eq!(plan.commands[0].timeout_ms, Some(1_500));
    let own = options.steps[0].options.as_ref().unwrap();
    assert_eq!(own.stop_grace_ms, Some(1), "not shorter than it was written");
    assert_eq!(own.retry.as_ref().unwrap().max_delay_ms, 120_000);
}

#[test]
fn short_inputs_are_those_of_the_library() {
    let text = |step: &str| {
        format!(
            r#"{{"steps": [{{"name": "a", "command": "x"}}, {{"name": "b", "command": "y"}}, {step}]}}"#
        )
    };
    let short = plan(
        Format::Json,
        &text(r#"{"command": "z", "env_from": {"A": "a", "B": 1}, "stdin_from": "b"}"#),
    );
    let long = plan(
        Format::Json,
        &text(
            r#"{"command": "z", "inputs": [
                {"from": "a", "to": {"type": "env", "name": "A"}},
                {"from": "b", "to": {"type": "env", "name": "B"}},
                {"from": "b", "to": "stdin"}]}"#,
        ),
    );
    assert_eq!(without_ids(&short.spec), without_ids(&long.spec));
    assert_eq!(short.spec.options.steps[2].inputs.len(), 3);
}

/// Returns a plan whose first step collects, and whose last one has these fields.
fn collecting(fields: &str) -> String {
    format!(
        r#"{{"steps": [{{"name": "a", "command": "x", "options": {{"collect": ["out/*"]}}}},
            {{"name": "m ${{matrix.os}}", "command": "y", "options": {{"collect": ["out/*"]}},
              "matrix": {{"os": ["b", "c"]}}}}, {{"command": "z", {fields}}}]}}"#
    )
}

#[test]
fn files_of_steps_are_inputs() {
    let long = plan(
        Format::Json,
        &collecting(
            r#""inputs": [
                {"from": "a", "to": {"type": "files", "pattern": "out/*:1", "directory": "in/x"}},
                {"from": "m b", "to": {"type": "files", "pattern": "**", "directory": "in/y"}},
                {"from": "m c", "to": {"type": "files", "pattern": "**", "directory": "in/y"}},
                {"from": "a", "to": {"type": "files", "pattern": "**", "directory": "in/y"}}]"#,
        ),
    );
    let short = r#""files_from": {"in/x/": "a:out/*:1", "in/y": ["m ${matrix.os}:**", "a:**"]}"#;
    let error = mistakes(Format::Json, &collecting(short)).text();
    assert!(error.contains("no `matrix`"), "{error}");
    // All combinations, by the name of their step.
    let named = collecting(&short.replace("m ${matrix.os}", "m")).replace("m ${matrix.os}", "m");
    let short = plan(Format::Json, &named);
    let inputs = |file: &PlanFile| {
        let text = serde_json::to_string(&file.spec.options.steps[3].inputs).unwrap();
        text.replace("m (b)", "m b").replace("m (c)", "m c")
    };
    assert_eq!(inputs(&short), inputs(&long));
    assert_eq!(short.spec.options.steps[3].inputs.len(), 4);
    for text in [r#""files_from": "a:out/*""#, r#""files_from": ["a:out/*"]"#] {
        let short = plan(Format::Json, &collecting(text));
        assert_eq!(short.spec.options.steps[3].inputs, [StepInput::files("a", "out/*")]);
    }
    let own = collecting(
        r#""name": "n", "files_from": "m ${matrix.os}:${matrix.os}/*", "matrix": {"os": ["c"]}"#,
    );
    let own = plan(Format::Json, &own);
    assert_eq!(own.spec.options.steps[3].inputs, [StepInput::files("m c", "c/*")]);
}

#[test]
fn mistakes_in_files_of_steps_are_told() {
    for (fields, said) in [
        (r#""files_from": "out""#, "files_from: write a step, a colon and a pattern"),
        (r#""files_from": {}"#, "files_from: write a step, a colon and a pattern"),
        (r#""files_from": "aa:out/*""#, "inputs: there is no step \"aa\"; did you mean `a`?"),
        (r#""files_from": "a:../x""#, "is not below the working directory"),
        (r#""files_from": {"/in": "a:*"}"#, "is not below the working directory"),
        (r#""files_from": ["a:*", "a:*"]"#, "another input goes to the same place"),
        (r#""name": "z", "options": {"collect": ["x"]}, "files_from": "z:*""#, "waits for itself"),
        (r#""stdin_from": "m b", "files_from": [7]"#, "files_from[0]: expected text"),
    ] {
        let error = mistakes(Format::Json, &collecting(fields)).text();
        assert!(error.contains(said), "{fields}: {error}");
    }
    let text =
        r#"{"steps": [{"name": "a", "command": "x"}, {"command": "y", "files_from": "a:*"}]}"#;
    let error = mistakes(Format::Json, text).text();
    assert!(
        error.contains("step 1: inputs: ") && error.contains("it collects no files"),
        "{error}"
    );
}

#[test]
fn examples_and_blocks_of_the_documentation_are_valid() {
    let files = valid_files();
    assert!(files.len() > 12, "only {} files", files.len());
    let schema = schema();
    for (name, format, text) in files {
        if let Err(mistakes) = parse(format, &text) {
            panic!("{name}: {}", mistakes.text());
        }
        let json = content(format, &text);
        if let Err(error) = schema.validate(&json) {
            panic!("{name}: the schema refuses it: {error} at {}", error.instance_path());
        }
    }
}

#[test]
fn what_is_a_plan_for_the_library_is_one_here() {
    for (name, format, text) in valid_files() {
        if !text.contains("\"plan\"") {
            continue;
        }
        let library: PlanSpec = serde_json::from_str(&text).unwrap();
        let ours = plan(format, &text).spec;
        assert_eq!(without_ids(&library), without_ids(&ours), "{name}");
    }
}

#[test]
fn published_schema_is_that_of_this_version() {
    let path = root().join("docs/plan.schema.json");
    let now = serde_json::to_string_pretty(&super::super::schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert!(published == now, "write it anew: BLESS=1 cargo test -p exeng --bin exeng schema");
}

#[test]
fn limits_of_a_file_are_kept() {
    let steps = |count: usize| {
        format!("{{\"steps\": [{}]}}", vec!["{\"command\":\"x\"}"; count].join(",\n"))
    };
    assert_eq!(plan(Format::Json, &steps(10_000)).lines.len(), 10_000);
    let error = mistakes(Format::Json, &steps(10_001)).text();
    assert!(error.contains("plan:10001:") && error.contains("at most 10000 steps"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.yaml");
    std::fs::write(&path, vec![b' '; (16 << 20) + 1]).unwrap();
    let error = Source::open(&path, None).unwrap_err().to_string();
    assert!(error.contains("large.yaml") && error.contains("16 MiB"), "{error}");
    let error = Source::open(&dir.path().join("plan.txt"), None).unwrap_err().to_string();
    assert!(error.contains("plan.txt") && error.contains("--format"), "{error}");
}

#[test]
fn aliases_cannot_fill_the_memory() {
    let line = |level: u8| {
        let name = char::from(b'a' + level);
        let before = char::from(b'a' + level - 1);
        format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","))
    };
    let bomb =
        (1..=12).map(line).fold("a: &a [x,x,x,x,x,x,x,x,x]\n".to_string(), |all, it| all + &it);
    let error = mistakes(Format::Yaml, &bomb).text();
    assert!(error.contains("16 MiB"), "{error}");

    let shared = "defaults: &o {priority: 3}\nsteps:\n- {command: x, options: *o}\n";
    let file = plan(Format::Yaml, shared);
    assert_eq!(file.spec.options.steps[0].options.as_ref().unwrap().priority, 3);
    let inner = mistakes(Format::Yaml, "steps: &s [*s]\n").text();
    assert!(inner.contains("plan:1:"), "{inner}");
}

#[test]
fn index_means_the_step_of_the_file() {
    let file = plan(
        Format::Toml,
        "steps = [{ name = 'm', command = ['x'], matrix = { a = ['1', '2'] } }, { command = 'y' }, \
         { command = 'z', after = [0, 1] }]",
    );
    let expected = [StepRef::from("m (1)"), StepRef::from("m (2)"), StepRef::from(2)];
    assert_eq!(file.spec.options.steps[3].after, expected);
}

#[test]
fn mark_at_the_beginning_changes_nothing() {
    for (format, text) in [
        (Format::Toml, "steps = [{ command = 'x' }]"),
        (Format::Yaml, "steps: [{command: x}]"),
        (Format::Json, "{\"steps\": [{\"command\": \"x\"}]}"),
    ] {
        let marked = format!("\u{feff}{text}\n");
        assert_eq!(without_ids(&plan(format, &marked).spec), without_ids(&plan(format, text).spec));
        let error = mistakes(format, &format!("{marked}]")).text();
        assert!(error.starts_with("plan:2:1:"), "{error}");
    }
}
