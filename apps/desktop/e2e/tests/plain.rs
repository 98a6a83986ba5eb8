//! A page without a bundler, with a sidecar, scripts with arguments, output in other encodings, and
//! the environment of a login shell.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use support::{App, built, in_window, until};

/// The bindings, as the page has them.
const API: &str = "const { Execution, run, result } = window.__TAURI__.executionEngine;";

async fn api(app: &App, body: &str) -> Value {
    app.async_js(&format!("{API} {body}"), &[]).await
}

async fn greet(app: &App, name: &str) {
    app.fill("#name", name).await;
    app.click("button").await;
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_page_without_a_bundler_runs_a_sidecar() {
    in_window(async || {
        let app = App::launch("plain-app").await;
        greet(&app, "Ada").await;
        until("it has ended", async || app.text("#code").await == "0").await;
        assert_eq!(app.text("#greeting").await, "Hello, Ada!");
        assert!(app.text("#pid").await.parse::<u32>().is_ok_and(|pid| pid > 1));
        greet(&app, "Ada;ls").await;
        until("it is refused", async || app.text("#greeting").await.contains("refused")).await;

        let undeclared = api(&app, "await run({ rule: 'undeclared' })").await;
        let error = undeclared["error"].as_str().unwrap();
        assert!(
            error.contains("`binaries/undeclared`") && error.contains("externalBin"),
            "{error}"
        );
        app.quit().await;
    });
}

#[test]
fn a_sidecar_is_found_beside_the_installed_app() {
    in_window(async || {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        for name in ["plain-app", "greet"] {
            fs::copy(built(name), bin.join(name)).unwrap();
        }
        let app = App::launch_program(&bin.join("plain-app"), &[]).await;
        let run = "return await run({ rule: 'greet', args: ['Ada'] })";
        let result = api(&app, run).await;
        let place = bin.canonicalize().unwrap().join("greet");
        assert_eq!(result["stderr"], format!("sidecar: {}\n", place.display()), "{result}");

        fs::remove_file(bin.join("greet")).unwrap();
        let missing = api(&app, run).await;
        let error = missing["error"].as_str().unwrap();
        assert!(error.contains(place.to_str().unwrap()), "{error}");
        assert!(error.contains("src-tauri/binaries/greet-"), "{error}");
        app.quit().await;
    });
}

#[test]
fn output_comes_as_bytes_or_in_another_encoding() {
    in_window(async || {
        let app = App::launch("plain-app").await;
        let bytes = "const { stdout, stderr, exit_code } = await run(
        { rule: 'print', args: ['\\\\377\\\\000a'] }, undefined, { output: 'bytes' });
        return [stdout instanceof Uint8Array, [...stdout], stderr.length, exit_code]";
        assert_eq!(api(&app, bytes).await, json!([true, [255, 0, 97], 0, 0]));
        let text = "const { stdout } = await run(
        { rule: 'print', args: ['\\\\223\\\\372\\\\226\\\\173'] }, {}, { encoding: 'shift_jis' });
        return stdout";
        assert_eq!(api(&app, text).await, json!("日本"));
        let lines = "const lines = [];
        const execution = await Execution.start(
          { rule: 'print', args: ['\\\\377\\\\376a\\\\000\\\\n\\\\000\\\\351\\\\000'] }, {}, { encoding: 'utf-16le' });
        for await (const { event, partial } of execution) {
          if (event.type === 'stdout') lines.push([event.line, partial]);
        }
        const { stdout } = await execution.result;
        return [lines, stdout, (await result(execution.id)).stdout.length > 0]";
        let expected = json!([[["a", false], ["é", true]], "a\né", true]);
        assert_eq!(api(&app, lines).await, expected);
        app.quit().await;
    });
}

#[test]
fn listeners_are_told_the_lines_and_then_the_result() {
    in_window(async || {
        let app = App::launch("plain-app").await;
        let body = "const told = [];
        const execution = await Execution.sidecar('binaries/greet', ['Ada']);
        const exit = await new Promise((resolve, reject) => execution
          .on('stdout', (line) => told.push(line))
          .on('stderr', (line) => told.push(line.slice(0, 8)))
          .on('error', reject)
          .on('close', ({ exit_code }) => resolve(exit_code)));
        return [told.sort(), exit, await execution.pid > 1]";
        assert_eq!(api(&app, body).await, json!([["Hello, Ada!", "sidecar:"], 0, true]));
        app.quit().await;
    });
}

#[test]
fn a_script_has_the_arguments_that_its_rule_allows() {
    in_window(async || {
        let app = App::launch("plain-app").await;
        let run = |month: &str| {
            format!(
            "const {{ resourceDir }} = window.__TAURI__.path;
             const path = `${{await resourceDir()}}/scripts/list.sh`;
             const given = ['--month', '{month}'];
             return (await run({{ command: {{ type: 'script', path, interpreter: 'sh', args: given }} }})).stdout"
        )
        };
        assert_eq!(api(&app, &run("2026-10")).await, json!("--month\n2026-10\n"));
        let refused = api(&app, &run("--help")).await;
        assert_eq!(refused["code"], "refused", "{refused}");
        assert!(refused["error"].as_str().unwrap().contains("argument 2"), "{refused}");
        app.quit().await;
    });
}

#[test]
fn variables_are_set_removed_and_left_out_as_the_rule_allows() {
    in_window(async || {
        let app = App::launch("plain-app").await;
        let run = |options: &str| {
            format!("return (await run({{ rule: 'env' }}, {{ env: {options} }})).stdout")
        };
        let only = api(&app, &run("{ inherit: 'nothing', set: { GREETING: 'hi' } }")).await;
        let mut names: Vec<_> =
            only.as_str().unwrap().lines().map(|line| line.split('=').next().unwrap()).collect();
        names.retain(|name| !["PWD", "EXECUTION_ENGINE_TREE"].contains(name));
        assert_eq!(names, ["GREETING"]);
        let all = api(&app, &run("{ remove: ['GREETING'] }")).await;
        assert!(all.as_str().unwrap().contains("PATH="), "{all}");
        let refused = api(&app, &run("{ remove: ['PATH'] }")).await;
        assert_eq!(refused["code"], "refused", "{refused}");
        app.quit().await;
    });
}

#[test]
fn executions_have_the_environment_of_the_login_shell() {
    in_window(async || {
        let home = tempfile::tempdir().unwrap();
        let tools = home.path().join("tools");
        fs::create_dir(&tools).unwrap();
        executable(&tools.join("tool-of-the-user"), "#!/bin/sh\necho \"$GREETING from a tool\"\n");
        let startup = "echo welcome\nexport PATH=\"$HOME/tools:$PATH\" GREETING=hello\n";
        fs::write(home.path().join(".profile"), startup).unwrap();
        let env = [("HOME", home.path()), ("SHELL", Path::new("/bin/sh"))];
        let app = App::launch_program(&built("plain-app"), &env).await;
        let result = api(&app, "return await run({ rule: 'tool' })").await;
        assert_eq!(result["stdout"], "hello from a tool\n", "{result}");
        app.quit().await;
    });
}
