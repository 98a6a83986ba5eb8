//! Environment of programs, and words of them that are not UTF-8.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use execution_engine::*;
use tempfile::TempDir;
use test_support::*;

/// Runs `env -0` and returns the variables that it prints, but for the engine's own.
async fn variables(
    request_env: &[(&str, &str)],
    options: ExecutionOptions,
) -> BTreeMap<String, String> {
    let mut request = ExecutionRequest::exec("env", ["-0"]);
    request.env =
        request_env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let result = run_with(&engine(), request, options).await;
    assert!(result.success, "{result:?}");
    let pairs = result.stdout.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
    let mut all: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    all.remove("EXECUTION_ENGINE_TREE");
    all
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn options() -> ExecutionOptions {
    ExecutionOptions::default()
}

/// Returns a word that is not UTF-8.
fn odd(text: &[u8]) -> OsString {
    OsString::from_vec([text, b"\xff\xfe"].concat())
}

#[tokio::test]
async fn all_variables_are_inherited_by_default() {
    let all = variables(&[("X", "1")], options()).await;
    for (name, value) in std::env::vars() {
        if !["PWD", "EXECUTION_ENGINE_TREE"].contains(&name.as_str()) {
            assert_eq!(all[&name], value, "{name}");
        }
    }
    assert_eq!(all["X"], "1");
}

#[tokio::test]
async fn cleared_environment_has_what_was_set_alone() {
    assert_eq!(variables(&[], options().env_clear()).await, map(&[]));
    let set = variables(&[("X", "1")], options().env_clear().env("Y", "2")).await;
    assert_eq!(set, map(&[("X", "1"), ("Y", "2")]));
}

#[tokio::test]
async fn listed_variables_are_inherited_alone() {
    let only = variables(&[("X", "1")], options().env_only(["PATH", "NO_SUCH_VARIABLE"])).await;
    assert_eq!(only, map(&[("PATH", &std::env::var("PATH").unwrap()), ("X", "1")]));
    let dir = TempDir::new().unwrap();
    let request = ExecutionRequest::program("env").working_dir(dir.path());
    let result = run_with(&engine(), request, options().env_only(["PWD"])).await;
    assert!(result.stdout.contains(&format!("PWD={}\n", dir.path().display())), "{result:?}");
}

#[tokio::test]
async fn removed_variables_are_gone_wherever_they_come_from() {
    let all =
        variables(&[("X", "1")], options().env_remove("X").env_remove("PATH").env_remove("PWD"))
            .await;
    assert!(["X", "PATH", "PWD"].iter().all(|name| !all.contains_key(*name)), "{all:?}");
    assert!(all.contains_key("HOME") || std::env::var("HOME").is_err());
    let set_last = variables(&[("X", "1")], options().env_remove("X").env("X", "2")).await;
    assert_eq!(set_last["X"], "2");
    let removed_last = variables(&[], options().env("X", "2").env_remove("X")).await;
    assert!(!removed_last.contains_key("X"));
}

#[tokio::test]
async fn variables_of_the_options_override_all_others() {
    let all = variables(&[("HOME", "/a"), ("PWD", "/a")], options().env("HOME", "/b")).await;
    assert_eq!((all["HOME"].as_str(), all["PWD"].as_str()), ("/b", "/a"));
}

#[tokio::test]
async fn program_without_path_is_found_in_the_default_path() {
    let result =
        run_with(&engine(), ExecutionRequest::program("true"), options().env_clear()).await;
    assert!(result.success, "{result:?}");
    let dir = TempDir::new().unwrap();
    executable(dir.path().join("own-tool"), "#!/bin/sh\necho own\n");
    let request = ExecutionRequest::program("own-tool");
    let path = options().env_clear().env("PATH", dir.path());
    assert_eq!(run_with(&engine(), request, path).await.stdout, "own\n");
}

#[tokio::test]
async fn steps_choose_their_environment() {
    let engine = engine();
    let (plain, without) = (shell("echo $SHARED"), shell("echo \"[$SHARED]\""));
    let plan = ExecutionPlan::serial([plain, without]);
    let mut spec = PlanSpec::from(plan);
    spec.options.env.insert("SHARED".to_string(), "yes".to_string());
    spec.options.steps = vec![
        StepOptions::default(),
        StepOptions::default().options(options().env_remove("SHARED")),
    ];
    let id = engine.execute_plan(spec).await.unwrap();
    let result = soon("the plan", engine.wait_for_plan(id)).await.unwrap();
    let outputs: Vec<_> = result.results.iter().map(|result| result.stdout.as_str()).collect();
    assert_eq!(outputs, ["yes\n", "[]\n"]);
}

#[tokio::test]
async fn bad_names_are_refused_and_named() {
    let engine = engine();
    for bad in [
        options().env_remove("A=secret"),
        options().env_only(["A=secret"]),
        options().env("A=secret", "secret"),
        options().env("", "secret"),
    ] {
        let error = engine.execute_with(shell("true"), bad).await.unwrap_err();
        assert_eq!(error.error_code(), "env_name", "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let error = engine.execute_with(shell("true"), options().env("A", "b\0c")).await.unwrap_err();
    assert!(error.to_string().contains("env A"), "{error}");
    assert_eq!(engine.total_count().await, 0);
}

#[test]
fn values_are_not_shown() {
    let shown = format!("{:?}", options().env("NAME", "secret"));
    assert!(shown.contains("NAME") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn words_that_are_not_utf_8_arrive_as_they_are() {
    let dir = TempDir::new().unwrap();
    // A program, a script, arguments and a variable with such names.
    let program =
        executable(dir.path().join(odd(b"tool")), "#!/bin/sh\nprintf '%s|' \"$@\" \"$V\"\n");
    let script = dir.path().join(odd(b"script"));
    fs::write(&script, "printf '%s|' \"$@\" \"$V\"\n").unwrap();
    let file = dir.path().join("out");
    let expected = [&odd(b"-a").into_vec()[..], b"|b|", &odd(b"v").into_vec()[..], b"|"].concat();
    for request in [
        ExecutionRequest::program(&program),
        ExecutionRequest::script(&script).interpreter("sh"),
        ExecutionRequest::script(&program),
    ] {
        let request = request.arg(odd(b"-a")).arg("b").output_log(&file);
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<ExecutionRequest>(&json).unwrap(), request, "{json}");
        let shown = request.command.to_string();
        let result = run_with(&engine(), request, options().env("V", odd(b"v"))).await;
        assert!(result.success, "{shown}: {result:?}");
        assert_eq!(fs::read(&file).unwrap(), expected, "{shown}");
        fs::remove_file(&file).unwrap();
        // The shown line can be pasted into a shell.
        let pasted = run_with(&engine(), shell(&shown), options().env("V", odd(b"v"))).await;
        assert_eq!(pasted.stdout_bytes(), expected, "{shown}");
    }
}

#[tokio::test]
async fn scripts_have_arguments() {
    let dir = TempDir::new().unwrap();
    let direct = executable(dir.path().join("direct"), "#!/bin/sh\necho \"$@\"\n");
    let by_line = dir.path().join("by-line");
    fs::write(&by_line, "#!/bin/sh\necho \"$@\"\n").unwrap();
    for (path, interpreter) in [(&direct, None), (&by_line, None), (&by_line, Some("sh"))] {
        let mut request = ExecutionRequest::script(path).arg("-x").args(["a b", ""]);
        if let Some(interpreter) = interpreter {
            request = request.interpreter(interpreter);
        }
        let result = run(&engine(), request).await;
        assert_eq!(result.stdout, "-x a b \n", "{path:?} {interpreter:?}");
    }
}

#[test]
fn json_of_words_is_text_where_it_can_be() {
    let value = |request: &ExecutionRequest| serde_json::to_value(&request.command).unwrap();
    let script = ExecutionRequest::script("a.py").interpreter("python3").arg("-v");
    let json = serde_json::json!({"type": "script", "path": "a.py", "interpreter": "python3", "args": ["-v"]});
    assert_eq!(value(&script), json);
    let plain = serde_json::json!({"type": "script", "path": "a.py"});
    assert_eq!(value(&ExecutionRequest::script("a.py")), plain);
    let program = ExecutionRequest::program("cat").arg(odd(b"f"));
    let json = serde_json::json!({"type": "exec", "program": "cat", "args": [[102, 255, 254]]});
    assert_eq!(value(&program), json);
    let error = serde_json::from_str::<Command>(r#"{"type": "script", "path": "a", "argv": []}"#);
    assert!(error.unwrap_err().to_string().contains("`args`"));
}
