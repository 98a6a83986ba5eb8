//! Pages that try to get out of their scope: a plan whose first step puts a link into the path of a
//! later one.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{App, built, in_window};

/// Path of a request that a link is put into, and what the test knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    WorkingDir,
    Stdin,
    Log,
    Script,
}

const FIELDS: [Field; 4] = [Field::WorkingDir, Field::Stdin, Field::Log, Field::Script];
const UNTOUCHED: &str = "untouched\n";

/// Files of one attack, in directories of the scope and outside of it.
struct Places {
    inside: PathBuf,
    outside: PathBuf,
    attack: PathBuf,
}

impl Places {
    fn new(root: &Path, case: &str) -> Self {
        let (inside, outside) = (root.join("inside").join(case), root.join("outside").join(case));
        for (dir, word) in [(inside.join("sub"), "inside"), (outside.clone(), "outside")] {
            fs::create_dir_all(dir.join("dir")).unwrap();
            fs::write(dir.join("dir/where"), word).unwrap();
            fs::write(dir.join("input"), word).unwrap();
            fs::write(dir.join("out.log"), UNTOUCHED).unwrap();
            executable(&dir.join("script"), &format!("echo {word}"));
        }
        Self { attack: inside.join("attack"), inside, outside }
    }

    fn path(&self, field: Field) -> PathBuf {
        let entry = match field {
            Field::WorkingDir => "dir",
            Field::Stdin => "input",
            Field::Log => "out.log",
            Field::Script => "script",
        };
        self.inside.join("sub").join(entry)
    }

    /// Writes the script that puts a link in place of the path, or of the directory above it.
    fn arm(&self, field: Field, is_middle: bool) {
        let path = self.path(field);
        let (from, to) = match is_middle {
            true => (self.inside.join("sub"), self.outside.clone()),
            false => (path.clone(), self.outside.join(path.file_name().unwrap())),
        };
        let (from, to) = (from.display(), to.display());
        executable(&self.attack, &format!("mv {from} {from}.old && ln -s {to} {from}"));
    }

    /// Returns a request that says where its path has led it, and its options.
    fn request(&self, field: Field) -> (Value, Value) {
        let path = self.path(field);
        match field {
            Field::WorkingDir => (json!({ "rule": "where", "working_dir": path }), json!({})),
            Field::Stdin => {
                (json!({ "rule": "cat" }), json!({ "stdin": { "type": "file", "path": path } }))
            }
            Field::Log => (json!({ "rule": "echo", "output_log_path": path }), json!({})),
            Field::Script => (json!({ "command": { "type": "script", "path": path } }), json!({})),
        }
    }
}

fn executable(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

async fn invoke(app: &App, command: &str, args: Value) -> Value {
    let body = "const [command, values] = args;
        return await window.__TAURI__.core.invoke(`plugin:execution-engine|${command}`, values);";
    app.async_js(body, &[json!(command), args]).await
}

#[test]
fn a_step_of_a_plan_cannot_lead_a_later_one_out_of_the_scope() {
    in_window(async || {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("inside")).unwrap();
        // The rules of the app name directories below `$TEMP`.
        let app = App::launch_program(&built("plain-app"), &[("TMPDIR", &root)]).await;
        app.element("#form").await;
        let mut got_out = Vec::new();
        for field in FIELDS {
            for is_middle in [false, true] {
                let case = format!("{field:?}-{is_middle}");
                let places = Places::new(&root, &case);
                places.arm(field, is_middle);
                let (request, options) = places.request(field);
                let mut later = options.clone();
                later["links"] = json!("follow");
                let attack = json!({ "command": { "type": "script", "path": places.attack } });
                let plan = json!({
                    "strategy": { "type": "serial", "stop_on_error": true }, "commands": [attack, request]
                });
                let steps = json!({ "steps": [{}, { "options": later }] });
                let id =
                    invoke(&app, "execute_plan", json!({ "plan": plan, "options": steps })).await;
                let result = invoke(&app, "wait_for_plan", json!({ "id": id })).await;
                let steps = &result["results"];
                assert_eq!(
                    steps[0]["success"],
                    json!(true),
                    "the attack was carried out: {result}"
                );
                println!("{case}: {}", steps[1]["error"]);
                let log = fs::read_to_string(places.outside.join("out.log")).unwrap();
                let said = steps[1]["stdout"].as_str().unwrap();
                if said.contains("outside") || log != UNTOUCHED {
                    got_out.push(case);
                    continue;
                }
                let error = steps[1]["error"].as_str().unwrap();
                assert!(error.contains("link"), "{case}: {result}");
                // The same request alone is refused by its rules.
                let alone = json!({ "request": request, "options": options });
                assert_eq!(invoke(&app, "run", alone).await["code"], "refused", "{case}");
            }
        }
        assert!(got_out.is_empty(), "{got_out:?} got out of the scope");
        app.quit().await;
    });
}
