use execution_engine::OutputStream::{Stderr, Stdout};

use super::super::search::{
    OutputMatch, OutputMatches, SearchDirection, SearchFrom, SearchQuery, search as search_all,
    search_until,
};
use super::*;

fn search(written: &Written, query: SearchQuery) -> OutputMatches {
    search_all(written, &query).unwrap()
}

fn text(pattern: &str) -> SearchQuery {
    SearchQuery { pattern: pattern.to_string(), max_matches: 3, ..SearchQuery::default() }
}

fn lines(found: &OutputMatches) -> Vec<u64> {
    found.matches.iter().map(|found| found.line).collect()
}

#[test]
fn a_line_is_found_in_all_of_the_output() {
    let found = search(&Written::numbered(500_000), text("LINE 250000"));
    let only = OutputMatch { line: 250_000, column: 0, length: 11 };
    let expected = OutputMatches { matches: vec![only], index: 0, total: 1, incomplete: false };
    assert_eq!(found, expected);
}

#[test]
fn matches_are_counted_in_both_directions_and_the_search_goes_around() {
    let written = Written::numbered(100);
    let from = |line, column| Some(SearchFrom { line, column });
    let forward = search(&written, SearchQuery { from: from(20, 0), ..text("9") });
    assert_eq!((lines(&forward), forward.index, forward.total), (vec![29, 39, 49], 2, 20));
    // `line 99` has two.
    let second = search(&written, SearchQuery { from: from(99, 6), ..text("9") });
    assert_eq!((lines(&second), second.index), (vec![99], 19));
    let around = search(&written, SearchQuery { from: from(99, 7), ..text("9") });
    assert_eq!((lines(&around), around.index), (vec![9, 19, 29], 0));

    let back = SearchQuery { direction: SearchDirection::Backward, ..text("9") };
    let backward = search(&written, SearchQuery { from: from(40, 0), ..back.clone() });
    assert_eq!((lines(&backward), backward.index), (vec![19, 29, 39], 1));
    let around = search(&written, SearchQuery { from: from(9, 0), ..back.clone() });
    assert_eq!((lines(&around), around.index), (vec![98, 99, 99], 17));
    assert_eq!(search(&written, back).index, 17, "from the end");
    assert_eq!(search(&written, text("nothing like it")), OutputMatches::default());
}

#[test]
fn the_text_is_searched_as_it_is_shown() {
    let mut written = Written::new(5);
    written.write(Stdout, "\x1b[31mErr\x1b[0mor: öl 😀 here\r\n");
    written.write(Stdout, "10 %\r50 %\rdone\n");
    written.write(Stdout, "one ");
    written.write(Stderr, "line\n");
    written.write(Stdout, "\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x07");
    let at = |pattern: &str| {
        let found = search(&written, text(pattern));
        found
            .matches
            .iter()
            .map(|found| (found.line, found.column, found.length))
            .collect::<Vec<_>>()
    };
    assert_eq!(at("error"), [(0, 0, 5)]);
    assert_eq!(at("😀 h"), [(0, 10, 4)]);
    assert_eq!(at("50"), []);
    assert_eq!(at("one line"), [(2, 0, 8)]);
    assert_eq!(at("link"), [(3, 0, 4)]);
    assert_eq!(at("example"), []);
}

#[test]
fn expressions_and_cases() {
    let written = Written::numbered(30);
    let expression = SearchQuery { regex: true, max_matches: 100, ..text("^line [12]5$") };
    assert_eq!(lines(&search(&written, expression)), [15, 25]);
    assert_eq!(search(&written, text("line [12]5")).total, 0, "a text is no expression");
    let sensitive = |pattern| SearchQuery { case_sensitive: true, ..text(pattern) };
    assert_eq!(search(&written, sensitive("Line 3")).total, 0);
    assert_eq!(search(&written, sensitive("line 3")).total, 1);
    let empty = SearchQuery { regex: true, ..text("x*") };
    assert_eq!(search(&written, empty).total, 0, "nothing is no match");
    let broken = SearchQuery { regex: true, ..text("(") };
    assert_eq!(search_all(&written, &broken).unwrap_err().code(), "invalid_pattern");
    let huge = SearchQuery { regex: true, ..text("(a{1000}){1000}") };
    assert_eq!(search_all(&written, &huge).unwrap_err().code(), "invalid_pattern");
}

#[test]
fn a_pattern_that_is_too_long_is_refused_before_it_is_read() {
    let written = Written::numbered(1);
    for regex in [false, true] {
        let longest = SearchQuery { regex, ..text(&"x".repeat(4096)) };
        assert_eq!(search(&written, longest).total, 0);
        // It would be no expression.
        let longer = SearchQuery { regex, ..text(&"(".repeat(4097)) };
        let error = search_all(&written, &longer).unwrap_err();
        assert_eq!(error.code(), "invalid_pattern");
        assert!(error.to_string().contains("query.pattern has 4097 bytes"), "{error}");
    }
}

/// Returns a clock that says after this many questions that the time is over.
fn over_after(mut questions: u64) -> impl FnMut() -> bool {
    move || {
        let is_over = questions == 0;
        questions = questions.saturating_sub(1);
        is_over
    }
}

#[test]
fn a_search_ends_when_its_time_is_over_and_tells_what_it_has_found() {
    let mut written = Written::new(1_000_000);
    written.write(Stdout, &"A".repeat(1_000_000));
    // Each match looks at all that follows.
    let query = SearchQuery {
        regex: true,
        case_sensitive: true,
        from: Some(SearchFrom { line: 0, column: 90 }),
        ..text(".*[^A-Z]|[A-Z]")
    };
    // One question is asked before the line, and one before each match.
    let found = search_until(&written, &query, over_after(101)).unwrap();
    assert_eq!((found.total, found.index, found.incomplete), (100, 90, true));
    assert_eq!(found.matches.iter().map(|one| one.column).collect::<Vec<_>>(), [90, 91, 92]);

    // It does not go around: the rest may have a match.
    let behind = SearchQuery { from: Some(SearchFrom { line: 1, column: 0 }), ..query };
    let found = search_until(&written, &behind, over_after(101)).unwrap();
    assert_eq!((found.total, found.matches, found.incomplete), (100, Vec::new(), true));
}

#[test]
fn a_time_that_is_over_ends_the_walk_as_well() {
    let written = Written::numbered(100_000);
    let found = search_until(&written, &text("no such line"), over_after(10)).unwrap();
    assert!(found.incomplete);
    assert!(written.read.get() < 10_000, "{} bytes were read", written.read.get());
}

#[test]
fn in_a_long_line_matches_are_found_wherever_they_begin() {
    // Text of two bytes a letter, so that no border is one of a letter by chance.
    let places = [0, 6_000, 8_189, 14_321, 16_380, 20_000, 32_765, 49_990];
    let mut line: Vec<char> = vec!['é'; 50_000];
    for place in places {
        line.splice(place..place + 6, "needle".chars());
    }
    let mut written = Written::new(7_001);
    written.write(Stdout, &line.iter().collect::<String>());
    let at = |pattern: &str| {
        let query = SearchQuery { regex: true, max_matches: 100, ..text(pattern) };
        let found = search(&written, query);
        assert!(!found.incomplete);
        found.matches.iter().map(|found| (found.column as usize, found.length)).collect::<Vec<_>>()
    };
    let all: Vec<_> = places.iter().map(|place| (*place, 6)).collect();
    assert_eq!(at("needle"), all);
    assert_eq!(at("^needle"), [(0, 6)]);
    assert_eq!(at("é$"), [(49_999, 1)]);
    assert_eq!(at("x*"), []);
    // No more than this is looked at for one match.
    assert!(at(".*").iter().all(|(_, length)| *length <= 16 * 1024));
}
