//! `exeng plan`: files are checked and drawn without a service.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{EXENG, command, told};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/plans").join(name)
}

/// Runs `exeng plan` with these words and this input, and returns the exit code and both streams.
fn plan(words: &[&str], input: &str) -> (i32, String, String) {
    let mut exeng = command(EXENG);
    exeng
        .arg("plan")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = exeng.spawn().unwrap();
    // It may refuse before it reads.
    let _written = child.stdin.take().unwrap().write_all(input.as_bytes());
    told(&child.wait_with_output().unwrap())
}

#[test]
fn check_says_what_would_run_and_in_which_order() {
    let file = example("build.yaml");
    let file = file.to_str().unwrap();
    let (code, out, err) = plan(&["check", file], "");
    assert_eq!((code, &*err), (0, ""));
    assert!(out.starts_with(&format!("{file}: 11 steps, in this order\n")), "{out}");
    let at = |step: &str| {
        out.find(&format!("\n  {step} ")).unwrap_or_else(|| panic!("no {step}: {out}"))
    };
    assert!(
        at("fetch") < at("test (3.12, musl)") && at("test (3.12, musl)") < at("package"),
        "{out}"
    );
    assert!(out.contains("may fail") && out.contains("always"), "{out}");

    let (code, out, _) = plan(&["check", "--json", file], "");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["valid"], &json["count"]), (0, &true.into(), &11.into()));
    assert_eq!(json["steps"][10]["name"], "clean");
    assert_eq!(json["steps"][10]["after"], serde_json::json!(["checksum", "report"]));
    assert_eq!(json["steps"][2]["line"], 25);
}

#[test]
fn all_files_are_checked_and_each_mistake_has_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, "[[steps]]\nname = 'a'\ncomand = 'x'\nafter = 'b'\n").unwrap();
    let (bad, good) = (bad.to_str().unwrap(), example("build.json"));
    let (code, out, err) = plan(&["check", bad, good.to_str().unwrap()], "");
    assert_eq!(code, 125);
    assert!(out.contains("11 steps"), "the other one is checked, too: {out}");
    assert!(err.contains(&format!("{bad}:3:1: step 0 (\"a\"): comand: ")), "{err}");
    assert!(err.contains(&format!("{bad}:4:9: step 0 (\"a\"): after: ")), "{err}");

    let (code, out, err) = plan(&["check", "--json", bad], "");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &*err, &json["valid"]), (125, "", &false.into()));
    assert_eq!(
        (&json["mistakes"][0]["line"], &json["mistakes"][1]["column"]),
        (&3.into(), &9.into())
    );
}

#[test]
fn file_that_cannot_be_read_is_named() {
    let good = example("build.json");
    let (code, out, err) = plan(&["check", "/no/such.toml", good.to_str().unwrap()], "");
    assert!(code == 125 && err.contains("/no/such.toml"), "{err}");
    assert!(out.contains("11 steps"), "the other one is checked, too: {out}");
    let (code, _, err) = plan(&["check", "-"], "steps = []");
    assert!(code == 125 && err.contains("stdin") && err.contains("--format"), "{err}");
}

#[test]
fn plan_from_stdin_is_drawn() {
    let text = "[[steps]]\nname = 'a'\ncommand = 'x'\n[[steps]]\nname = 'b'\ncommand = 'y'\nafter = ['a']\n";
    let (code, out, err) = plan(&["graph", "-", "--format", "toml"], text);
    assert_eq!((code, &*err), (0, ""));
    assert_eq!(out, "flowchart TD\n    s0[\"a<br/>x\"]\n    s1[\"b<br/>y\"]\n    s0 --> s1\n");
    let (code, out, err) = plan(&["graph", "-", "--format", "json"], text);
    assert!(code == 125 && out.is_empty() && err.contains("stdin:1:"), "{err}");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text = "{\"steps\": [{\"name\": \"a\", \"command\": \"\\u001b[2Jx\"}]}";
    let (code, out, _) = plan(&["check", "-", "--format", "json"], text);
    assert!(code == 0 && !out.contains('\u{1b}'), "{out:?}");
    let (code, _, err) = plan(&["check", "-", "--format", "json"], "{\"\\u001b[2J\": 1}");
    assert!(code == 125 && !err.contains('\u{1b}'), "{err:?}");
}

#[test]
fn schema_is_the_published_one() {
    let (code, out, err) = plan(&["schema"], "");
    assert_eq!((code, &*err), (0, ""));
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plan.schema.json");
    assert_eq!(out, std::fs::read_to_string(published).unwrap());
}
