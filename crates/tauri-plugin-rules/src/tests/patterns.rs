//! Patterns are ASCII where they allow, and Unicode where they deny.

use proptest::prelude::*;

use crate::{PatternUse, compile_pattern};

fn allows(pattern: &str, text: &str) -> bool {
    compile_pattern(pattern, PatternUse::Allow).unwrap().is_match(text)
}

fn denies(pattern: &str, text: &str) -> bool {
    compile_pattern(pattern, PatternUse::Deny).unwrap().is_match(text)
}

#[test]
fn classes_that_allow_are_ascii() {
    let beyond = [
        (r"\d", "٣"),
        (r"\w", "é"),
        (r"\w", "ａ"),
        (r"\s", "\u{2003}"),
        (r"\S", "é"),
        (r"\W", "—"),
        (r"\D", "é"),
        (".", "é"),
        ("[^/]", "é"),
        (r"[^\w]", "–"),
        ("(?i)k", "\u{212a}"),
        ("(?i)s", "\u{17f}"),
        (r"[[:^alpha:]]", "é"),
        (r"\w+?", "aé"),
        (r"(?:a|[^b])", "é"),
        (r"x(?P<n>\d)", "x٣"),
    ];
    for (pattern, text) in beyond {
        assert!(!allows(pattern, text), "{pattern} {text}");
        assert!(denies(pattern, text), "deny: {pattern} {text}");
        assert!(allows(&format!("(?u){pattern}"), text), "with (?u): {pattern} {text}");
    }
    for (pattern, text) in [(r"\d", "3"), (r"\w", "_"), (".", "~"), ("[^/]", "a"), ("(?i)k", "K")] {
        assert!(allows(pattern, text) && denies(pattern, text), "{pattern} {text}");
    }
}

#[test]
fn a_character_that_is_written_is_matched() {
    assert!(allows("größe", "größe") && allows("(?:é|è)+", "éè"));
    assert!(!allows("größe", "grösse"));
    assert!(allows("(?u:[äöü])x", "öx"));
    let listed = compile_pattern("[äöü]", PatternUse::Allow).unwrap_err();
    assert!(listed.contains("(?u)"), "{listed}");
    assert!(compile_pattern(r"\xFF", PatternUse::Allow).is_err());
    assert!(compile_pattern(r"[^\x00-\x7F]", PatternUse::Allow).is_ok_and(|r| !r.is_match("é")));
}

#[test]
fn a_word_boundary_is_one_of_ascii() {
    assert!(allows(r"(?u:.)\bx", "éx") && !allows(r"(?u).\bx", "éx"));
    assert!(allows(r"a\b.b", "a b") && !allows(r"a\bb", "ab"));
    let not_a_boundary = compile_pattern(r"a\Bb", PatternUse::Allow).unwrap_err();
    assert!(not_a_boundary.contains("(?u)"), "{not_a_boundary}");
}

#[test]
fn a_pattern_matches_a_whole_argument() {
    for (pattern, text) in
        [("a", "ab"), ("a", "ba"), ("a|b", "ab"), ("(?m)^a$", "a\nb"), ("a", "a\n")]
    {
        assert!(!allows(pattern, text), "{pattern} {text:?}");
    }
    assert!(allows("(?m)^a$", "a"));
    assert!(allows("(?x) a  # a comment", "a") && !allows("(?x) a  # a comment", "a "));
    for broken in ["a)|(?:b", "(", "[", "a{100000}{1000}"] {
        for decides in [PatternUse::Allow, PatternUse::Deny] {
            assert!(compile_pattern(broken, decides).is_err(), "{broken}");
        }
    }
}

#[test]
fn a_pattern_that_denies_anything_denies_line_feeds() {
    assert!(!allows(".*", "a\nb"));
    assert!(denies(".*", "a\nb") && denies(".*", "é"));
}

proptest! {
    /// What a pattern allows, it denies, too: as a rule to deny it is never narrower.
    #[test]
    fn a_pattern_denies_what_it_allows(
        parts in proptest::collection::vec(prop_oneof![
            Just(r"\w"), Just(r"\d+"), Just("."), Just("[^a]"), Just("(?i:k)"), Just(r"\s?"),
            Just("(?:a|é)"), Just(r"\S*"), Just(r"\b"), Just("(?u:.)"), Just("-"),
        ], 1..5),
        text in "[aké٣\u{212a} 0-]{0,4}",
    ) {
        let pattern: String = parts.concat();
        let is_ascii = !pattern.contains("(?u") && !pattern.contains('é');
        let allowed = allows(&pattern, &text);
        // A boundary beside a character beyond ASCII depends on what a word is.
        if allowed && !pattern.contains(r"\b") {
            prop_assert!(denies(&pattern, &text), "{pattern} {text}");
        }
        if allowed && is_ascii {
            prop_assert!(text.is_ascii(), "{pattern} {text}");
        }
    }
}
