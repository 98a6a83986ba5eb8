//! What `--help` and the manual pages say, held by files. After a change that is wanted:
//! `BLESS=1 cargo test -p exeng --test it help`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::{EXENG, command, told};

fn expected() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help")
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn exeng(words: &[&str]) -> String {
    let mut command = command(EXENG);
    command.args(words).stdin(Stdio::null());
    // Neither the terminal nor its width is that of the user who runs the tests.
    let (code, out, err) = told(&command.env_remove("COLUMNS").output().unwrap());
    assert_eq!((code, &*err), (0, ""), "{words:?}");
    out
}

/// Writes what is said now into a directory.
fn said() -> TempDir {
    let said = tempfile::tempdir().unwrap();
    exeng(&["man", "--to", said.path().to_str().unwrap()]);
    for page in names_in(said.path()) {
        let name = page.strip_suffix(".1").unwrap();
        let verbs = name.split('-').skip(1);
        let words: Vec<_> = std::iter::once("help").chain(verbs).collect();
        let short = exeng(&words);
        fs::write(said.path().join(format!("{name}.txt")), short).unwrap();
    }
    said
}

#[test]
fn help_and_manual_pages_are_as_they_were() {
    let said = said();
    if std::env::var_os("BLESS").is_some() {
        let _first = fs::remove_dir_all(expected());
        fs::create_dir_all(expected()).unwrap();
        for name in names_in(said.path()) {
            fs::copy(said.path().join(&name), expected().join(&name)).unwrap();
        }
    }
    assert_eq!(names_in(said.path()), names_in(&expected()), "a page for each verb");
    for name in names_in(said.path()) {
        let [now, before] =
            [said.path(), &expected()].map(|dir| fs::read_to_string(dir.join(&name)).unwrap());
        assert!(now == before, "{name} says now:\n{now}\nand said:\n{before}");
    }
}

#[test]
fn each_verb_that_people_use_has_an_example() {
    let said = said();
    for name in names_in(said.path()).iter().filter(|name| name.ends_with(".txt")) {
        let text = fs::read_to_string(said.path().join(name)).unwrap();
        // The verbs of a verb are in its examples.
        let is_verb = name.split('-').count() == 2;
        assert!(!is_verb || text.contains("\nExamples"), "{name} has no example:\n{text}");
    }
}

#[test]
fn page_of_no_verb_is_refused() {
    let mut command = command(EXENG);
    command.args(["man", "dance"]).stdin(Stdio::null());
    let (code, out, err) = told(&command.output().unwrap());
    assert_eq!((code, &*out), (125, ""));
    assert!(err.contains("no verb dance") && err.contains("exeng help"), "{err}");
}
