use execution_engine::OutputStream::{Stderr, Stdout};

use super::super::frame::FramePart;
use super::super::index::LineIndex;
use super::super::lines::{LinesQuery, OutputLines, read_lines};
use super::*;

fn read(index: &mut LineIndex, written: &Written, query: LinesQuery) -> OutputLines {
    read_lines(index, written, &query).unwrap()
}

fn from(line: u64, max_lines: u32) -> LinesQuery {
    LinesQuery { from: Some(line), max_lines, ..LinesQuery::default() }
}

fn after(lines: &OutputLines, max_lines: u32) -> LinesQuery {
    LinesQuery { after: Some(lines.next), max_lines, ..LinesQuery::default() }
}

#[test]
fn a_range_far_inside_is_found_without_reading_all_before_it() {
    let written = Written::numbered(500_000);
    let mut index = LineIndex::default();
    read(&mut index, &written, LinesQuery::default());
    for first in [0, 1, 1023, 1024, 1025, 250_000, 499_998] {
        written.read.set(0);
        let lines = read(&mut index, &written, from(first, 2));
        assert_eq!(lines.text(), format!("line {first}\nline {}\n", first + 1));
        assert_eq!((lines.first, lines.column, lines.total), (first, 0, 500_000));
        assert!(written.read.get() < 50_000, "{} bytes for line {first}", written.read.get());
    }
    assert!(read(&mut index, &written, from(499_999, 2)).at_end);
    assert_eq!(read(&mut index, &written, from(500_000, 2)).text(), "");
}

#[test]
fn all_ranges_together_are_the_whole_output() {
    let written = Written::numbered(3000);
    let mut index = LineIndex::default();
    let mut whole = String::new();
    for first in (0..3000).step_by(70) {
        whole += &read(&mut index, &written, from(first, 70)).text();
    }
    let expected: String = (0..3000).map(|line| format!("line {line}\n")).collect();
    assert!(whole == expected);
}

#[test]
fn the_last_lines_are_read_and_then_what_follows() {
    let mut written = Written::numbered(5000);
    written.write(Stdout, "unfin");
    let mut index = LineIndex::default();
    let last = read(&mut index, &written, LinesQuery { max_lines: 3, ..LinesQuery::default() });
    assert_eq!(last.text(), "line 4998\nline 4999\nunfin");
    assert_eq!((last.first, last.total, last.at_end), (4998, 5001, true));

    let nothing = read(&mut index, &written, after(&last, 3));
    assert_eq!((nothing.text().as_str(), nothing.next, nothing.skipped), ("", last.next, false));

    written.write(Stderr, "ished\n");
    written.write(Stdout, "more\n");
    written.is_closed = true;
    let rest = read(&mut index, &written, after(&nothing, 3));
    assert_eq!(rest.text(), "ished\nmore\n");
    assert_eq!((rest.first, rest.column, rest.total), (5000, 5, 5002));
    assert!(!rest.skipped && rest.ended);
}

#[test]
fn a_reader_that_is_far_behind_gets_the_last_lines_and_is_told() {
    let mut written = Written::numbered(10);
    let mut index = LineIndex::default();
    let last = read(&mut index, &written, LinesQuery::default());
    let more: String = (10..50_000).map(|line| format!("line {line}\n")).collect();
    written.write(Stdout, &more);
    let rest = read(&mut index, &written, after(&last, 2));
    assert_eq!(rest.text(), "line 49998\nline 49999\n");
    assert_eq!((rest.first, rest.column, rest.skipped, rest.total), (49_998, 0, true, 50_000));
    // A cursor that is not known any more, too.
    let unknown = LinesQuery {
        after: Some(OutputCursor { stdout: 3, stderr: 0 }),
        max_lines: 1,
        ..LinesQuery::default()
    };
    assert!(read(&mut index, &written, unknown).skipped);
}

#[test]
fn a_line_longer_than_a_range_is_cut() {
    let mut written = Written::new(1000);
    written.write(Stdout, &"x".repeat(100_000));
    let mut index = LineIndex::default();
    let limits = LinesQuery { max_bytes: 5000, ..LinesQuery::default() };
    let last = read(&mut index, &written, limits.clone());
    assert_eq!((last.text().len(), last.first, last.column, last.total), (5000, 0, 95_000, 1));
    let first = read(&mut index, &written, LinesQuery { from: Some(0), ..limits });
    assert_eq!((first.text().len(), first.column, first.at_end), (5000, 0, false));
}

#[test]
fn what_is_missing_is_a_line_and_lines_far_behind_it_keep_their_numbers() {
    let mut written = Written::numbered(5000);
    let mut index = LineIndex::default();
    read(&mut index, &written, LinesQuery::default());
    written.forget("line 0\n".len() * 10 + "line 10\n".len() * 90);
    let kept = read(&mut index, &written, from(4000, 1));
    assert_eq!(kept.text(), "line 4000\n");
    for index in [&mut index, &mut LineIndex::default()] {
        let begin = read(index, &written, from(0, 2));
        assert_eq!(begin.parts[0], FramePart::Missed { missed: 790 });
        assert_eq!((begin.parts.len(), begin.text().as_str()), (2, "line 100\n"));
    }
}

#[test]
fn the_end_of_an_output_that_was_not_kept_is_missing() {
    let mut written = Written::numbered(5000);
    let mut index = LineIndex::default();
    let last = read(&mut index, &written, LinesQuery::default());
    let OutputPart::Output { stream, bytes } = written.parts.remove(0) else { panic!() };
    let (kept, dropped) = (bytes.slice(..1000), bytes.slice(1000..));
    let missed = dropped.len() as u64;
    written.parts =
        vec![OutputPart::Output { stream, bytes: kept }, OutputPart::Missed { bytes: missed }];
    let far = read(&mut index, &written, from(4500, 10));
    assert!(matches!(far.parts[..], [FramePart::Missed { .. }]), "{:?}", far.parts);
    assert_eq!((far.total, far.next, far.at_end), (last.total, last.next, true));
}

#[test]
fn each_part_has_its_stream_and_the_colours_that_were_set_before_it() {
    let mut written = Written::new(7);
    written.write(Stdout, "\x1b[1;32mgreen\n");
    written.write(Stderr, "\x1b[35mfault\n");
    written.write(Stdout, "still green\n");
    let mut index = LineIndex::default();
    let lines = read(&mut index, &written, from(1, 10));
    assert_eq!((lines.styles.stdout.as_str(), lines.styles.stderr.as_str()), ("\x1b[1;32m", ""));
    let stream = |part: &FramePart| match part {
        FramePart::Output { stream, length } => (*stream, *length),
        part => panic!("{part:?}"),
    };
    let streams: Vec<_> = lines.parts.iter().map(stream).collect();
    assert_eq!(streams, [(Stderr, 11), (Stdout, 12)]);
    let last = read(&mut index, &written, from(2, 10));
    assert_eq!(last.styles.stderr, "\x1b[35m");
}

#[test]
fn an_id_that_is_used_again_gets_a_new_index() {
    let mut index = LineIndex::default();
    read(&mut index, &Written::numbered(5000), LinesQuery::default());
    let other = Written::numbered(10);
    let lines = read(&mut index, &other, from(0, 100));
    assert_eq!((lines.total, lines.text().lines().count()), (10, 10));
}

impl OutputLines {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}
