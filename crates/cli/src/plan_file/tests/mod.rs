//! Tests of plan files.

mod drift;
mod files;
mod mangled;
mod matrices;
mod mistakes;
mod yaml_words;

use std::path::{Path, PathBuf};

use super::node::Node;
use super::source::Source;
use super::{Format, Mistakes, PlanFile};

/// Reads a text as a file of the name `plan`.
fn parse(format: Format, text: &str) -> Result<PlanFile, Mistakes> {
    let source = Source { name: "plan".to_string(), format, bytes: text.as_bytes().to_vec() };
    super::parse(&source)
}

/// Returns the plan of a text.
fn plan(format: Format, text: &str) -> PlanFile {
    parse(format, text).unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.text()))
}

/// Returns the mistakes of a text.
fn mistakes(format: Format, text: &str) -> Mistakes {
    match parse(format, text) {
        Ok(_) => panic!("no mistake in\n{text}"),
        Err(mistakes) => mistakes,
    }
}

/// Returns the content of a text without its places.
fn content(format: Format, text: &str) -> serde_json::Value {
    let node: Result<Node, _> = match format {
        Format::Toml => super::toml::parse(text),
        Format::Yaml => super::yaml::parse(text),
        Format::Json => super::json::parse(text),
    };
    node.unwrap_or_else(|fault| panic!("{fault:?}\n{text}")).json()
}

fn schema() -> jsonschema::Validator {
    jsonschema::draft202012::new(&super::schema()).unwrap()
}

/// Directory of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Texts that are valid plans, with their formats: the examples, and all blocks of the documentation.
fn valid_files() -> Vec<(String, Format, String)> {
    let mut files = Vec::new();
    for dir in ["crates/cli/examples/plans", "examples/plans"] {
        for entry in std::fs::read_dir(root().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let source = Source::open(&path, None).unwrap();
            let text = String::from_utf8(source.bytes).unwrap();
            files.push((path.display().to_string(), source.format, text));
        }
    }
    let page = std::fs::read_to_string(root().join("docs/plans-files.md")).unwrap();
    files.extend(
        blocks(&page).into_iter().map(|(line, format, text)| {
            (format!("docs/plans-files.md, line {line}"), format, text)
        }),
    );
    files
}

/// Returns the fenced blocks in a format of plans, with the lines where they begin.
fn blocks(page: &str) -> Vec<(usize, Format, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Format, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        open = match (open, line) {
            (Some(block), "```") => {
                blocks.push(block);
                None
            }
            (Some((begin, format, text)), line) => Some((begin, format, text + line + "\n")),
            (None, "```toml") => Some((number, Format::Toml, String::new())),
            (None, "```yaml") => Some((number, Format::Yaml, String::new())),
            (None, "```json") => Some((number, Format::Json, String::new())),
            (None, _) => None,
        };
    }
    blocks
}
