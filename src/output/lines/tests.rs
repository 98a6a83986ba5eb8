use bytes::Buf as _;
use proptest::prelude::*;

use super::*;

const LONGEST_LINE: usize = 64 * 1024;

fn split(chunks: &[&[u8]]) -> Vec<String> {
    split_at(LONGEST_LINE, chunks).into_iter().map(|line| line.text).collect()
}

fn split_at(longest: usize, chunks: &[&[u8]]) -> Vec<Line> {
    let mut splitter = LineSplitter::new(OutputStream::Stdout, longest);
    let mut twin = LineSplitter::new(OutputStream::Stdout, longest);
    let mut batches = Vec::new();
    for chunk in chunks {
        let mut rest = Bytes::copy_from_slice(chunk);
        let before = batches.len();
        while !rest.is_empty() {
            let (batch, taken) = splitter.split(&rest);
            rest.advance(taken);
            batches.extend(batch);
        }
        assert_eq!(twin.advance(chunk), batches.len() > before, "both complete a line");
        assert_eq!(twin.unfinished, splitter.unfinished, "both hold back the same");
    }
    batches.extend(splitter.finish());
    let counted: u64 = batches.iter().map(|batch| batch.count_from(0)).sum();
    let lines: Vec<_> = batches.iter().flat_map(LineBatch::lines).collect();
    assert_eq!(counted, lines.len() as u64);
    lines
}

#[test]
fn partial_lines_put_together_with_newlines_after_the_others_are_the_text() {
    let text = "one\n\ntwo three\nfo\u{20ac}ur\nfive".repeat(3);
    for longest in 1..=12 {
        for at in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            let lines = split_at(longest, &[a, b]);
            let whole: String = lines
                .iter()
                .map(|line| line.text.clone() + if line.is_partial { "" } else { "\n" })
                .collect();
            if longest >= 3 {
                assert_eq!(whole, text, "longest {longest}, cut at {at}");
            }
            assert!(lines.iter().all(|line| line.text.len() <= longest.max(9)));
        }
    }
}

#[test]
fn lines_are_put_together_across_chunks() {
    assert_eq!(split(&[b"a\nb", b"c\r", b"\n\nd"]), ["a", "bc", "", "d"]);
}

#[test]
fn a_line_without_end_travels_in_pieces() {
    let euros = "€".repeat(100_000);
    let lines = split(&[euros.as_bytes()]);
    assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE && !line.contains('\u{fffd}')));
    assert_eq!(lines.concat(), euros);
}

#[test]
fn an_ending_is_not_counted_wherever_a_line_of_the_longest_length_is_cut() {
    let line = "x".repeat(LONGEST_LINE);
    for text in [format!("{line}\n"), format!("{line}\r\n")] {
        for at in [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1] {
            let (one, two) = text.as_bytes().split_at(at);
            assert_eq!(split(&[one, two]), [line.as_str()]);
        }
    }
    assert_eq!(split(&[line.as_bytes(), b"\r", b"y\n"]), [line.as_str(), "\ry"]);
}

/// Returns how long the pieces of text are whose beginning is missing, and what is unfinished behind
/// them.
fn missing_pieces<'a>(
    mut begun: UnfinishedLine,
    chunks: impl Iterator<Item = &'a [u8]>,
    longest: usize,
) -> (Vec<usize>, UnfinishedLine) {
    let mut lengths = Vec::new();
    for mut bytes in chunks {
        while let Some(piece) = begun.first_piece(bytes, longest) {
            assert!((1..=bytes.len()).contains(&piece.completed_at));
            lengths.push(piece.length);
            begun = piece.next;
            bytes = &bytes[piece.taken..];
        }
        begun = begun.with(bytes);
    }
    (lengths, begun)
}

proptest! {
    #[test]
    fn a_line_whose_beginning_is_missing_is_cut_like_one_that_is_held(
        text in prop::collection::vec(
            prop::sample::select(&b"ab\n\r\xe2\x82\xac\xf0\x9f\x98\x80"[..]), 1..60,
        ),
        longest in 4..9_usize,
        (at, chunk) in (0..60_usize, 1..9_usize),
    ) {
        let at = at.min(text.len());
        let mut splitter = LineSplitter::new(OutputStream::Stdout, longest);
        splitter.advance(&text[..at]);
        let begun = splitter.unfinished_line();
        let mut lengths = Vec::new();
        let mut rest = Bytes::copy_from_slice(&text[at..]);
        while !rest.is_empty() {
            let (batch, taken) = splitter.split(&rest);
            rest.advance(taken);
            let ends = batch.iter().flat_map(LineBatch::lines).map(|line| line.end);
            let ends: Vec<_> = std::iter::once(0).chain(ends).collect();
            lengths.extend(ends.windows(2).map(|pair| pair[1] - pair[0]));
        }
        let (missing, left) = missing_pieces(begun, text[at..].chunks(chunk), longest);
        prop_assert_eq!(missing, lengths, "{:?} were begun", begun);
        prop_assert_eq!(left, splitter.unfinished_line());
        prop_assert_eq!(UnfinishedLine::default().behind(&text, longest), left);
    }

    #[test]
    fn chunking_changes_nothing(
        lines in prop::collection::vec("[a-zé\r]{0,12}", 0..40),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut rest = text.as_bytes();
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, left) = rest.split_at(rest.len().min(*cut));
            chunks.push(chunk);
            rest = left;
        }
        let expected: Vec<_> =
            lines.iter().map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        prop_assert_eq!(split(&chunks), expected);
    }
}
