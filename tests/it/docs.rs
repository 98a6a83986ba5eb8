//! The documentation is true: the tests and error codes that it names exist, every page is listed,
//! and every link resolves.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all Markdown files of the project with their text.
fn markdown_files() -> Vec<(PathBuf, String)> {
    let markdown = |dir: PathBuf| {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    };
    let all = markdown(root().to_path_buf()).chain(markdown(root().join("docs")));
    all.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Returns the texts between two marks.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// Returns `true` if a page has the heading of an anchor.
fn has_heading(page: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).any(|heading| heading == anchor)
}

#[test]
fn guards_of_the_gotchas_exist() {
    let text = fs::read_to_string(root().join("docs/gotchas.md")).unwrap();
    let traps = text.split("\n\n").filter(|paragraph| paragraph.starts_with("**")).count();
    let mut guarded = 0;
    for paragraph in text.split("\n\n").filter(|paragraph| paragraph.contains("\nGuard: ")) {
        guarded += 1;
        let (_, guards) = paragraph.split_once("\nGuard: ").unwrap();
        // Names first, then the file that has them.
        let mut names = Vec::new();
        let words: Vec<_> = guards.split('`').collect();
        for word in words.iter().skip(1).step_by(2) {
            if !word.ends_with(".rs") {
                names.push(*word);
                continue;
            }
            let source = fs::read_to_string(root().join(word))
                .unwrap_or_else(|error| panic!("{word}: {error}\n{paragraph}"));
            assert!(!names.is_empty(), "{word} guards by no test:\n{paragraph}");
            for name in names.drain(..) {
                let is_there = source.contains(&format!("fn {name}("));
                assert!(is_there, "there is no test {name} in {word}");
            }
        }
        assert!(names.is_empty(), "where are {names:?}?\n{paragraph}");
    }
    assert!(traps > 30 && traps == guarded, "{traps} traps, {guarded} with a guard");
}

#[test]
fn docs_index_lists_every_page() {
    let contents = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for (file, _) in markdown_files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_page = file.parent().unwrap().ends_with("docs") && name != "README.md";
        assert!(!is_page || contents.contains(&format!("]({name})")), "{name} is not listed");
    }
}

/// Reads the Rust files of a directory and of those below it.
fn read_sources(dir: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn docs_explain_exactly_the_error_codes() {
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let mut sources = Vec::new();
    read_sources(&root().join("src"), &mut sources);
    let codes: Vec<&str> = sources
        .iter()
        .filter(|source| source.contains("fn error_code("))
        .flat_map(|source| source.lines())
        .filter_map(|line| line.trim().strip_suffix("\",")?.split_once("=> \""))
        .map(|(_, code)| code)
        .collect();
    assert!(codes.len() > 40, "{codes:?}");
    for code in &codes {
        assert!(page.contains(&format!("`{code}`")), "{code} is not explained");
    }
    // The first column of the tables.
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let names = row.split('|').nth(1).unwrap();
        for name in names.split('`').skip(1).step_by(2) {
            assert!(name == "error_code()" || codes.contains(&name), "there is no {name}");
        }
    }
}

#[test]
fn docs_links_resolve() {
    let mut links = 0;
    for (file, text) in markdown_files() {
        for link in between(&text, "](", ")").filter(|link| !link.contains("://")) {
            links += 1;
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let page = match target {
                "" => file.clone(),
                _ => file.parent().unwrap().join(target),
            };
            assert!(page.exists(), "{}: there is no {target}", file.display());
            let is_there = anchor.is_empty() || has_heading(&page, anchor);
            assert!(is_there, "{}: there is no heading {link}", file.display());
        }
    }
    assert!(links > 40, "only {links} links were found");
}

#[test]
fn every_crate_has_the_licences() {
    // A package has the files of the crate's own directory, and npm follows no symlinks.
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let text = fs::read_to_string(root().join(licence)).unwrap();
        for entry in fs::read_dir(root().join("crates")).unwrap() {
            let copy = entry.unwrap().path().join(licence);
            assert!(fs::read_to_string(&copy).is_ok_and(|it| it == text), "{}", copy.display());
        }
    }
}

#[test]
fn rust_snippets_of_the_docs_are_doctests() {
    // A macro there includes each page of a list as documentation.
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(library.contains("#[doc = include_str!($path)]"));
    for (file, text) in markdown_files() {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let is_run = library.contains(&format!("\"../{name}\""));
        assert!(is_run || !text.contains("```rust\n"), "the snippets of {name} are not run");
    }
}

/// Returns the words in backticks of a text, without a trailing slash.
fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).map(|word| word.trim_end_matches('/')).collect()
}

/// Returns the Rust files of a module, which is a file or a folder.
fn module_files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.with_extension("rs")];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { module_files(&path) } else { vec![path] }).collect()
}

#[test]
fn modules_use_only_what_the_architecture_allows() {
    /// Known to every module.
    const PLAIN: [&str; 5] = ["types", "config", "error", "setters", "time"];
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = between(&text, "## Modules", "The desktop side").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let [modules, _, uses] = cells[..] else { panic!("not three cells: {line}") };
        (code_words(modules), uses)
    });
    let rows: Vec<_> = rows.filter(|(modules, _)| !modules[0].contains('/')).collect();
    let all: Vec<&str> = rows.iter().flat_map(|(modules, _)| modules.clone()).collect();
    assert!(all.len() >= 12, "the table has lost rows: {all:?}");
    for (modules, uses) in rows {
        for module in &modules {
            for file in module_files(&root().join("src").join(module)) {
                let source = fs::read_to_string(&file).unwrap();
                for used in all.iter().filter(|used| source.contains(&format!("crate::{used}::"))) {
                    let allowed = used == module
                        || PLAIN.contains(used)
                        || uses.contains("all below")
                        || code_words(uses).contains(used);
                    assert!(allowed, "{} uses {used}, which its row does not", file.display());
                }
                let uses_process = source.contains("execution_engine_process::");
                let allowed = uses.contains("process") || uses.contains("all below");
                assert!(!uses_process || allowed, "{} uses process", file.display());
            }
        }
    }
}
