//! Files that are damaged in any way: they are a plan or have mistakes with lines, and nothing panics.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{Format, parse, valid_files};

/// Reads a text, and checks what is said about its mistakes.
fn holds(format: Format, text: &str) {
    if let Err(mistakes) = parse(format, text) {
        let lines = text.lines().count() + 1;
        assert!(!mistakes.list.is_empty(), "{text}");
        for mistake in &mistakes.list {
            let is_in_file = (1..=lines).contains(&mistake.line) && mistake.column >= 1;
            assert!(is_in_file && !mistake.message.is_empty(), "{mistake:?} of\n{text}");
        }
    }
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Toml), Just(Format::Yaml), Just(Format::Json)]
}

/// Pieces that mean something in one of the formats.
const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ":",
    ",",
    "=",
    "\n",
    "  ",
    "- ",
    "&a ",
    "*a",
    "!!str ",
    "|\n",
    "#",
    "---\n",
    "<<: ",
    "null",
    "true",
    "1.5",
    "-7",
    "99999999999999999999",
    "${matrix.a}",
    "${matrix.",
    "matrix",
    "steps",
    "\u{feff}",
    "\u{0}",
];

proptest! {
    #![proptest_config(Config { cases: 1_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn damaged_plans_have_mistakes_with_lines(
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..6, prop::sample::select(&PIECES[..])), 1..4),
    ) {
        let files = valid_files();
        let (_, format, text) = file.get(&files);
        let mut chars: Vec<char> = text.chars().collect();
        for (place, removed, piece) in edits {
            let at = place.index(chars.len() + 1);
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        holds(*format, &chars.into_iter().collect::<String>());
    }

    #[test]
    fn pieces_in_any_order_have_mistakes_with_lines(
        format in format(),
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
    ) {
        holds(format, &pieces.concat());
    }

    #[test]
    fn any_text_has_mistakes_with_lines(format in format(), text in ".{0,60}") {
        holds(format, &text);
    }
}

#[test]
fn cut_plans_have_mistakes_with_lines() {
    for (_, format, text) in valid_files() {
        let ends = text.char_indices().map(|(at, _)| at).step_by(7);
        ends.for_each(|end| holds(format, &text[..end]));
    }
}

#[test]
fn deep_nesting_is_refused() {
    for (format, begin) in
        [(Format::Json, "["), (Format::Json, "{\"a\":"), (Format::Yaml, "["), (Format::Yaml, "- ")]
    {
        let text = begin.repeat(100_000);
        assert!(parse(format, &text).is_err(), "{begin}");
        holds(format, &text);
    }
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(Format::Json, &text).unwrap_err().text().contains("nested too deeply"));
    assert!(parse(Format::Toml, &format!("a = {text}")).is_err());
}
