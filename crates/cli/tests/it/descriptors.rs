//! Few descriptors: `exeng` does what it is told to, or says why not and what to do.

use crate::support::{shell, told};

/// Runs a line with each of these soft limits of open files. Returns those with which it succeeds.
fn limits_that_suffice(line: &str, refusals: &[&str]) -> Vec<u32> {
    // What the test itself was passed is none of this.
    let close = "for fd in $(ls /proc/$$/fd); do [ $fd -gt 2 ] && eval \"exec $fd>&-\"; done";
    let suffices = |limit: &u32| {
        let (code, _, said) = told(&shell(&format!("{close}; ulimit -S -n {limit}; {line}")));
        match code {
            0 => return true,
            125 => {
                assert!(said.starts_with("exeng: "), "{limit}: {said}");
                assert!(refusals.iter().any(|refusal| said.contains(refusal)), "{limit}: {said}");
            }
            // There is no room to load the program itself.
            127 => assert!(said.contains("shared libraries"), "{limit}: {said}"),
            code => panic!("{limit}: {code}: {said}"),
        }
        assert!(!said.contains("panicked"), "{limit}: {said}");
        false
    };
    (3..=40).filter(suffices).collect()
}

#[test]
fn run_works_or_names_the_limit_of_open_files() {
    let limits = limits_that_suffice("\"$exeng\" run -- true", &["ulimit -n"]);
    assert!(limits.contains(&40) && !limits.contains(&10), "{limits:?}");
}

#[test]
fn verbs_of_the_service_work_or_name_the_limit_of_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("\"$exeng\" ls --no-start --state-dir '{}'", dir.path().display());
    // It gets as far as to find no service, or not.
    let limits = limits_that_suffice(&line, &["ulimit -n", "no service answers"]);
    assert!(limits.is_empty(), "{limits:?}");
    let (code, _, said) = told(&shell(&format!("ulimit -S -n 40; {line}")));
    assert!(code == 125 && said.contains("no service answers"), "{said}");
    let (_, _, said) = told(&shell(&format!("ulimit -S -n 8; {line}")));
    assert!(said.contains("ulimit -n"), "{said}");
}
