//! Properties that hold for any request.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FakeFileSystem, allow, ask, ask_in, exec};

/// Requests of all kinds with a marked text in each field that takes a text.
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
    /// A refusal repeats no text of its request, in neither form.
    #[test]
    fn a_refusal_repeats_nothing_of_the_request((secret, request) in requests()) {
        let rules = allow(&[
            json!({ "name": "tool", "program": "tool", "args": ["run", { "regex": "[a-z]+" }] }),
            json!({ "name": "scripts", "scripts": ["/app"], "interpreters": ["python3"] }),
            json!({ "name": "shell", "shell": "/bin/sh" }),
        ]);
        let refusal = ask(&rules, request).unwrap_err();
        prop_assert!(!refusal.to_string().contains(&secret), "{refusal}");
        prop_assert!(!format!("{refusal:?}").contains(&secret), "{refusal:?}");
    }

    /// A list of fixed arguments allows exactly this list.
    #[test]
    fn fixed_arguments_match_exactly(
        rule in proptest::collection::vec("[ab]{0,2}", 0..4),
        args in proptest::collection::vec("[ab]{0,2}", 0..4),
    ) {
        let rules = allow(&[json!({ "name": "x", "program": "x", "args": rule })]);
        let args_as_str: Vec<_> = args.iter().map(String::as_str).collect();
        prop_assert_eq!(ask(&rules, exec("x", &args_as_str)).is_ok(), rule == args);
    }

    /// Arguments are allowed if and only if each of them consists of what the pattern allows.
    #[test]
    fn a_rest_pattern_applies_to_each_argument(args in proptest::collection::vec("[a-c\n;]{0,3}", 0..4)) {
        let rules = allow(&[json!({ "name": "x", "program": "x", "args": [
            { "regex": "[ab]*", "times": "rest" }
        ] })]);
        let args_as_str: Vec<_> = args.iter().map(String::as_str).collect();
        let clean = args_as_str.iter().all(|arg| arg.chars().all(|c| "ab".contains(c)));
        prop_assert_eq!(ask(&rules, exec("x", &args_as_str)).is_ok(), clean);
    }

    /// An allowed path is inside its directory, however it is spelled.
    #[test]
    fn an_allowed_path_is_inside_its_directory(parts in proptest::collection::vec(prop_oneof![
        Just(".."), Just("."), Just("in"), Just("out"), Just("link")
    ], 0..6)) {
        let files = FakeFileSystem::with(&["/root/in/in/in", "/root/out/in/out", "/out/in"])
            .link("/root/in/link", "/out")
            .link("/root/in/in/link", "/root/in");
        let rules = allow(&[json!({ "name": "x", "program": "x", "working_dirs": ["/root/in"] })]);
        let mut request = exec("x", &[]);
        request["working_dir"] = json!(Path::new("/root/in").join(parts.join("/")));
        if let Ok(allowed) = ask_in(&rules, request, &files) {
            let dir = allowed.working_dir.unwrap();
            prop_assert!(dir.starts_with("/root/in"), "{}", dir.display());
            prop_assert!(dir.components().all(|part| part.as_os_str() != ".."));
        }
    }
}
