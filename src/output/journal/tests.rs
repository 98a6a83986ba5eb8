use proptest::prelude::*;

use super::*;
use crate::output::lines::Line;

mod pages;

/// One act of a writer.
#[derive(Debug, Clone)]
enum Act {
    Append(OutputStream, Vec<u8>),
    Flush(OutputStream),
    Event,
    /// Another attempt begins.
    StartOver,
}

/// An item that a reader has seen, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Line { sequence: u64, stream: OutputStream, text: String, is_partial: bool },
    Chunk { sequence: u64, stream: OutputStream, bytes: Vec<u8> },
    Event { sequence: u64 },
    Missed { sequence: u64, bytes: u64 },
}

impl Seen {
    fn sequence(&self) -> u64 {
        match self {
            Self::Line { sequence, .. }
            | Self::Chunk { sequence, .. }
            | Self::Event { sequence }
            | Self::Missed { sequence, .. } => *sequence,
        }
    }

    /// Returns how many bytes of output this accounts for.
    fn bytes(&self) -> u64 {
        match self {
            Self::Line { text, is_partial, .. } => text.len() as u64 + u64::from(!is_partial),
            Self::Chunk { bytes, .. } => bytes.len() as u64,
            Self::Missed { bytes, .. } => *bytes,
            Self::Event { .. } => 0,
        }
    }
}

const ROOMY: JournalLimits = JournalLimits {
    limit: usize::MAX,
    oversized: OversizedOutputStrategy::TruncateWithWarning,
    window: 0,
    max_line_bytes: 16,
};

fn journal(limits: JournalLimits) -> Journal {
    Journal::new(JournalOwner::default(), "test".into(), limits)
}

/// Publishes an event that stays.
fn started(journal: &Journal) {
    let (from, to) = (ExecutionStatus::Pending, ExecutionStatus::Running);
    journal.event(Utc::now(), EventPayload::Status { from, to });
}

fn act(journal: &Journal, act: &Act) {
    match act {
        Act::Append(stream, bytes) => {
            journal.append(*stream, &mut bytes.clone());
        }
        Act::Flush(stream) => {
            journal.flush_partial(*stream, PartialFlush::WholeCharacters);
        }
        Act::Event => started(journal),
        Act::StartOver => {
            flush_both(journal);
            journal.start_over();
        }
    }
}

/// Checks the invariants of the model.
fn assert_well_formed(state: &JournalState) {
    assert_eq!(state.position(0), JournalPosition::default());
    for (index, entry) in state.entries.iter().enumerate() {
        let (start, end) = (entry.start, state.position(index + 1));
        assert!(start.sequence() < end.sequence());
        assert!(start.bytes.iter().zip(end.bytes).all(|(start, end)| *start <= end));
        assert!(start.non_output <= end.non_output);
        let output = end.output() - start.output();
        match entry.kind {
            EntryKind::Kept(stream) | EntryKind::Evictable(stream, _) => {
                let of_stream = end.bytes[stream.index()] - start.bytes[stream.index()];
                assert_eq!(of_stream, end.sequence() - start.sequence());
            }
            EntryKind::Event(_) | EntryKind::Partial(_) => {
                assert_eq!((output, end.non_output - start.non_output), (0, 1));
            }
            EntryKind::Gap => {
                let next = state.entries.get(index + 1);
                assert!(!next.is_some_and(JournalEntry::is_gap), "two gaps touch");
            }
        }
    }
}

/// Returns how many bytes of output are missed by a reader that resumes behind `after`, before what
/// is held.
fn lost_behind(journal: &Journal, after: u64) -> u64 {
    let state = journal.state.lock();
    let around = |index: &usize| {
        let [start, end] = [*index, index + 1].map(|index| state.position(index).sequence());
        state.entries[*index].is_gap() && start < after && after < end
    };
    let gap = (0..state.entries.len()).find(around);
    gap.map_or(0, |gap| {
        let [start, end] = [gap, gap + 1].map(|index| state.position(index));
        (end.output() - start.output()).min(end.sequence() - after)
    })
}

fn flush_both(journal: &Journal) {
    for stream in OutputStream::BOTH {
        journal.flush_partial(stream, PartialFlush::Everything);
    }
}

/// Returns everything that a reader has not seen yet.
fn rest(journal: &Journal, cursor: &mut JournalCursor) -> Vec<Seen> {
    assert_well_formed(&journal.state.lock());
    let mut all = Vec::new();
    while let Some(piece) = journal.next(cursor, u64::MAX) {
        match piece {
            JournalItem::Lines(mut lines) => {
                let stream = lines.stream();
                while let Some((sequence, line)) = lines.next() {
                    let Line { text, is_partial, .. } = line;
                    all.push(Seen::Line { sequence, stream, text, is_partial });
                }
            }
            JournalItem::Chunk { sequence, stream, bytes, .. } => {
                all.push(Seen::Chunk { sequence, stream, bytes: bytes.to_vec() });
            }
            JournalItem::Event { sequence, .. } => all.push(Seen::Event { sequence }),
            JournalItem::Missed { sequence, bytes, .. } => {
                all.push(Seen::Missed { sequence, bytes });
            }
        }
    }
    all
}

/// Returns what was written to a stream.
fn written(acts: &[Act], of: OutputStream) -> Vec<u8> {
    let bytes = |act: &Act| match act {
        Act::Append(stream, bytes) if *stream == of => bytes.clone(),
        _ => Vec::new(),
    };
    acts.iter().flat_map(bytes).collect()
}

fn output_bytes(acts: &[Act]) -> u64 {
    OutputStream::BOTH.iter().map(|stream| written(acts, *stream).len() as u64).sum()
}

fn strictly_grows(seen: &[Seen]) -> bool {
    seen.is_sorted_by(|one, next| one.sequence() < next.sequence())
}

fn any_stream() -> impl Strategy<Value = OutputStream> {
    prop_oneof![Just(OutputStream::Stdout), Just(OutputStream::Stderr)]
}

/// Generates text without carriage returns, so that lines put together are exactly what was written.
/// It is written in two pieces now and then, which may cut a character.
fn any_act() -> impl Strategy<Value = Vec<Act>> {
    let cut = |(stream, text, at): (OutputStream, String, usize)| {
        let (one, two) = text.as_bytes().split_at(at.min(text.len()));
        let pieces = [one, two].into_iter().filter(|piece| !piece.is_empty());
        pieces.map(|piece| Act::Append(stream, piece.to_vec())).collect()
    };
    prop_oneof![
        6 => (any_stream(), "[abé€😀\n]{1,24}", 0..100_usize).prop_map(cut),
        1 => (any_stream(), "[ab]{20,60}", Just(100)).prop_map(cut),
        1 => any_stream().prop_map(|stream| vec![Act::Flush(stream)]),
        1 => Just(vec![Act::Event]),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(any_act(), 0..40).prop_map(|acts| acts.concat())
}

/// Generates acts like [`acts`], in several attempts.
fn attempts() -> impl Strategy<Value = Vec<Act>> {
    let attempt = prop_oneof![12 => any_act(), 1 => Just(vec![Act::StartOver])];
    prop::collection::vec(attempt, 0..40).prop_map(|acts| acts.concat())
}

fn any_limits() -> impl Strategy<Value = JournalLimits> {
    let oversized = prop_oneof![
        Just(OversizedOutputStrategy::TruncateWithWarning),
        Just(OversizedOutputStrategy::KeepHeadAndTail)
    ];
    (0..200_usize, 0..100_usize, oversized, 4..20_usize).prop_map(
        |(limit, window, oversized, max_line_bytes)| JournalLimits {
            limit,
            oversized,
            window,
            max_line_bytes,
        },
    )
}

fn whole_lines(limits: JournalLimits) -> JournalLimits {
    JournalLimits { max_line_bytes: usize::MAX, ..limits }
}

/// Checks that a reader that reads now and then, and one that comes late, see or miss exactly all
/// output from now on.
fn accounts_for_everything(
    journal: &Journal,
    view: View,
    acts: &[Act],
    reads: &[bool],
) -> Result<(), TestCaseError> {
    let begin = journal.end();
    let mut cursor = journal.reader(view, begin);
    let mut seen = Vec::new();
    for (one, reads) in acts.iter().zip(reads) {
        act(journal, one);
        if *reads {
            seen.extend(rest(journal, &mut cursor));
        }
    }
    flush_both(journal);
    seen.extend(rest(journal, &mut cursor));
    prop_assert!(strictly_grows(&seen), "{seen:?}");
    let late = rest(journal, &mut journal.reader(view, begin));
    for seen in [seen, late] {
        let accounted: u64 = seen.iter().map(Seen::bytes).sum();
        prop_assert_eq!(accounted, output_bytes(acts), "{:?}", seen);
    }
    Ok(())
}

proptest! {
    #[test]
    fn lines_put_together_are_the_streams(acts in acts()) {
        let journal = journal(ROOMY);
        let mut cursor = journal.reader(View::Lines, 0);
        let mut seen = Vec::new();
        for (number, one) in acts.iter().enumerate() {
            act(&journal, one);
            if number % 3 == 0 {
                seen.extend(rest(&journal, &mut cursor));
            }
        }
        flush_both(&journal);
        seen.extend(rest(&journal, &mut cursor));
        prop_assert!(strictly_grows(&seen), "{seen:?}");
        for of in OutputStream::BOTH {
            let text: String = seen.iter().filter_map(|seen| match seen {
                Seen::Line { stream, text, is_partial, .. } if *stream == of => {
                    Some(text.clone() + if *is_partial { "" } else { "\n" })
                }
                _ => None,
            }).collect();
            prop_assert_eq!(text.into_bytes(), written(&acts, of));
        }
        let late = rest(&journal, &mut journal.reader(View::Lines, 0));
        prop_assert_eq!(&late, &seen, "a late reader sees the same");
    }

    #[test]
    fn a_reader_resumes_behind_any_record(
        (acts, limits) in prop_oneof![
            (attempts(), Just(ROOMY)),
            (attempts(), any_limits().prop_map(whole_lines)),
            (attempts(), any_limits()),
        ]
    ) {
        let journal = journal(limits);
        acts.iter().for_each(|one| act(&journal, one));
        for view in [View::Lines, View::Chunks] {
            let all = rest(&journal, &mut journal.reader(view, 0));
            for (index, seen) in all.iter().enumerate() {
                let resumed = rest(&journal, &mut journal.reader(view, seen.sequence()));
                prop_assert_eq!(&resumed[..], &all[index + 1..], "behind {:?}", seen);
            }
        }
    }

    #[test]
    fn everything_is_read_or_reported_as_missed(
        acts in acts(), limits in any_limits(), reads in prop::collection::vec(any::<bool>(), 80)
    ) {
        for view in [View::Lines, View::Chunks] {
            let journal = &journal(limits);
            accounts_for_everything(journal, view, &acts, &reads)?;
        }
    }

    #[test]
    fn everything_is_read_or_missed_with_more_entries_than_are_held(
        acts in acts(), limits in any_limits(), reads in prop::collection::vec(any::<bool>(), 80)
    ) {
        for view in [View::Lines, View::Chunks] {
            let journal = &journal(limits);
            // Events stay, so they leave room for a few others.
            (0..state::MAX_ENTRIES - 8).for_each(|_| started(journal));
            accounts_for_everything(journal, view, &acts, &reads)?;
        }
    }

    #[test]
    fn resuming_anywhere_among_more_entries_than_are_held_accounts_for_the_rest(
        acts in acts(), limits in any_limits(), after in 0..400_u64
    ) {
        let all = journal(JournalLimits { max_line_bytes: limits.max_line_bytes, ..ROOMY });
        let longest_unfinished = limits.max_line_bytes as u64 + 1;
        acts.iter().for_each(|one| act(&all, one));
        flush_both(&all);
        let sum = |seen: &[Seen]| seen.iter().map(Seen::bytes).sum::<u64>();
        let exact = |after| sum(&rest(&all, &mut all.reader(View::Chunks, after)));
        let lines = rest(&all, &mut all.reader(View::Lines, 0));
        let later: u64 = lines.iter().filter(|seen| seen.sequence() > after).map(Seen::bytes).sum();

        let journal = journal(limits);
        (0..state::MAX_ENTRIES - 8).for_each(|_| started(&journal));
        let begin = journal.end();
        acts.iter().for_each(|one| act(&journal, one));
        flush_both(&journal);
        let lost = lost_behind(&journal, begin + after);
        let seen = rest(&journal, &mut journal.reader(View::Chunks, begin + after));
        let expected = match seen.first() {
            Some(Seen::Missed { sequence, bytes }) if lost > 0 => {
                prop_assert_eq!(*bytes, lost);
                lost + exact(sequence - begin)
            }
            _ => exact(after),
        };
        prop_assert_eq!(sum(&seen), expected, "{:?}", seen);
        let seen = rest(&journal, &mut journal.reader(View::Lines, begin + after));
        // A line that was unfinished inside a gap is reported as long as lines may be.
        let unfinished = if lost == 0 { 0 } else { 2 * longest_unfinished };
        let most = later + expected - exact(after) + unfinished;
        prop_assert!((later..=most).contains(&sum(&seen)), "{later} bytes are later: {seen:?}");
        prop_assert!(strictly_grows(&seen));
        prop_assert!(seen.iter().all(|seen| seen.sequence() > begin + after));
    }

    #[test]
    fn resuming_anywhere_reads_whole_lines_and_accounts_for_the_rest(
        acts in attempts(),
        limits in prop_oneof![any_limits(), any_limits().prop_map(whole_lines)],
        after in 0..400_u64,
    ) {
        let max_line_bytes = limits.max_line_bytes;
        let longest_unfinished = max_line_bytes.min(100_000) as u64 + 1;
        let (journal, all) = (journal(limits), journal(JournalLimits { max_line_bytes, ..ROOMY }));
        let mut live = all.reader(View::Lines, 0);
        let mut lines = Vec::new();
        for one in &acts {
            act(&journal, one);
            act(&all, one);
            // Before another attempt makes it evictable.
            lines.extend(rest(&all, &mut live));
        }
        flush_both(&journal);
        flush_both(&all);
        lines.extend(rest(&all, &mut live));
        let sum = |seen: &[Seen]| seen.iter().map(Seen::bytes).sum::<u64>();
        let later: u64 = lines.iter().filter(|seen| seen.sequence() > after).map(Seen::bytes).sum();
        let exact = sum(&rest(&all, &mut all.reader(View::Chunks, after)));

        let seen = rest(&journal, &mut journal.reader(View::Chunks, after));
        prop_assert_eq!(sum(&seen), exact, "{:?}", seen);
        let seen = rest(&journal, &mut journal.reader(View::Lines, after));
        // A line that was unfinished there comes as a whole, or is missed as a whole.
        let is_inside_gap = lost_behind(&journal, after) > 0;
        let most = later + if is_inside_gap { 2 * longest_unfinished } else { 0 };
        prop_assert!((later..=most).contains(&sum(&seen)), "{later} bytes are later: {seen:?}");
        prop_assert!(strictly_grows(&seen) && seen.iter().all(|seen| seen.sequence() > after));
        let is_line = |seen: &&Seen| matches!(seen, Seen::Line { .. });
        for line in seen.iter().filter(is_line) {
            prop_assert!(lines.contains(line), "{line:?} never was");
        }
    }

    #[test]
    fn nothing_is_evicted_that_a_pinned_reader_needs(acts in acts(), limits in any_limits()) {
        let journal = journal(limits);
        let mut pinned = journal.reader(View::Lines, 0).pinned(Some(journal.pin()));
        acts.iter().for_each(|one| act(&journal, one));
        prop_assert_eq!(journal.behind(0), journal.end());
        let seen = rest(&journal, &mut pinned);
        let missed = seen.iter().any(|seen| matches!(seen, Seen::Missed { .. }));
        prop_assert!(!missed, "{seen:?}");
        prop_assert_eq!(journal.behind(0), 0);
    }

    #[test]
    fn a_revived_journal_has_the_same_items(acts in acts()) {
        let journal = journal(ROOMY);
        acts.iter().for_each(|one| act(&journal, one));
        let sealed = journal.seal();
        let revived = Journal::revive(JournalOwner::default(), "test".into(), &sealed);
        for view in [View::Lines, View::Chunks, View::Events] {
            let before = rest(&journal, &mut journal.reader(view, 0));
            prop_assert_eq!(before, rest(&revived, &mut revived.reader(view, 0)));
        }
        for of in OutputStream::BOTH {
            prop_assert_eq!(&sealed.output[of.index()].bytes()[..], &written(&acts, of)[..]);
        }
    }

    #[test]
    fn sequences_beyond_the_journal_are_taken_for_the_nearest(acts in acts(), after in any::<u64>()) {
        let journal = journal(ROOMY);
        acts.iter().for_each(|one| act(&journal, one));
        for view in [View::Lines, View::Chunks] {
            let seen = rest(&journal, &mut journal.reader(view, after));
            prop_assert!(seen.iter().all(|seen| seen.sequence() > after));
        }
    }
}

#[test]
fn many_small_portions_of_both_streams_take_bounded_memory() {
    let journal = journal(JournalLimits { limit: 1000, window: 100_000, ..ROOMY });
    for _ in 0..20_000 {
        journal.append(OutputStream::Stdout, &mut b"a".to_vec());
        journal.append(OutputStream::Stderr, &mut b"b".to_vec());
    }
    assert!(journal.state.lock().entries.len() <= 5000, "{}", journal.state.lock().entries.len());
    let seen = rest(&journal, &mut journal.reader(View::Chunks, 0));
    assert_eq!(seen.iter().map(Seen::bytes).sum::<u64>(), 40_000);
}

#[test]
fn resuming_in_a_gap_with_flushed_pieces_takes_the_flushes_to_come_first() {
    const PIECES: u64 = 5000;
    let journal = journal(ROOMY);
    for _ in 0..PIECES {
        // Two numbers of the sequence, of which one is a byte.
        journal.append(OutputStream::Stdout, &mut b"a".to_vec());
        journal.flush_partial(OutputStream::Stdout, PartialFlush::WholeCharacters);
    }
    assert!(journal.state.lock().entries.len() <= 5000);
    let gap = journal.state.lock().position(1);
    assert!(gap.output() > PIECES / 2 - 10 && gap.output() == gap.non_output, "{gap:?}");
    for pieces in [0, 1, 10, 1000, 2000, gap.output(), PIECES - 10, PIECES] {
        let after = 2 * pieces;
        let left = PIECES - pieces;
        let taken_to_be_passed = (after / 2).min(gap.sequence().saturating_sub(after) / 2);
        for view in [View::Lines, View::Chunks] {
            let seen = rest(&journal, &mut journal.reader(view, after));
            let accounted: u64 = seen.iter().map(Seen::bytes).sum();
            // Nothing has finished a line.
            let lines = seen
                .iter()
                .filter(|seen| matches!(seen, Seen::Line { is_partial, .. } if !is_partial));
            // The line may have been as long as lines may be, with a carriage return at its end.
            let is_inside_gap = (1..gap.sequence()).contains(&after) && view == View::Lines;
            let unfinished = if is_inside_gap { after.min(17) } else { 0 };
            let expected = left + taken_to_be_passed + unfinished;
            assert_eq!((accounted, lines.count()), (expected, 0), "after {pieces}");
        }
    }
}

#[test]
fn a_line_that_is_unfinished_where_a_reader_resumes_is_missed_if_it_is_not_held() {
    let journal = journal(JournalLimits { limit: 1, window: 0, ..ROOMY });
    journal.append(OutputStream::Stdout, &mut b"abcdefgh".to_vec());
    journal.append(OutputStream::Stderr, &mut b"err\n".to_vec());
    flush_both(&journal);
    let missed = |sequence, bytes| Seen::Missed { sequence, bytes };
    // The flush is the thirteenth thing.
    let unfinished = missed(13, 8);
    for (after, expected) in [(0, vec![missed(12, 4), unfinished.clone()]), (12, vec![unfinished])]
    {
        assert_eq!(rest(&journal, &mut journal.reader(View::Lines, after)), expected);
    }
}

#[test]
fn pieces_evicted_before_a_reader_came_are_missed_and_no_part_of_what_follows() {
    let journal = journal(ROOMY);
    (0..state::MAX_ENTRIES - 3).for_each(|_| started(&journal));
    let begin = journal.end();
    let mut cursor = journal.reader(View::Lines, begin);
    journal.append(OutputStream::Stdout, &mut b"a".to_vec());
    assert_eq!(rest(&journal, &mut cursor), []);
    journal.flush_partial(OutputStream::Stdout, PartialFlush::WholeCharacters);
    // There is no room for more, so the oldest goes.
    journal.append(OutputStream::Stderr, &mut b"x\n".to_vec());
    journal.append(OutputStream::Stdout, &mut b"b".to_vec());
    flush_both(&journal);
    let line = |sequence, stream, text: &str, is_partial| Seen::Line {
        sequence: begin + sequence,
        stream,
        text: text.to_string(),
        is_partial,
    };
    let expected = [
        Seen::Missed { sequence: begin + 2, bytes: 1 },
        line(4, OutputStream::Stderr, "x", false),
        line(6, OutputStream::Stdout, "b", true),
    ];
    assert_eq!(rest(&journal, &mut cursor), expected);
    assert_eq!(rest(&journal, &mut journal.reader(View::Lines, begin)), expected);
}

#[test]
fn single_bytes_of_one_stream_share_an_entry() {
    let journal = journal(ROOMY);
    for _ in 0..1000 {
        journal.append(OutputStream::Stdout, &mut b"a".to_vec());
    }
    // As many entries as there are spells of 20 ms, which are few.
    assert!(journal.state.lock().entries.len() < 200);
}

#[test]
fn a_carriage_return_held_back_at_the_end_is_a_piece_of_its_own() {
    let journal = journal(JournalLimits { max_line_bytes: 4, ..ROOMY });
    journal.append(OutputStream::Stdout, &mut b"abcd\r".to_vec());
    journal.append(OutputStream::Stderr, &mut b"x\n".to_vec());
    journal.flush_partial(OutputStream::Stdout, PartialFlush::Everything);
    let seen = rest(&journal, &mut journal.reader(View::Lines, 0));
    let texts: Vec<_> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Line { sequence, text, .. } => (*sequence, text.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, [(7, "x"), (8, "abcd"), (9, "\r")]);
}

#[test]
fn output_does_not_join_an_entry_across_a_gap() {
    let journal = journal(JournalLimits { limit: 4, window: 0, ..ROOMY });
    for (stream, bytes) in [
        (OutputStream::Stderr, &b"many bytes"[..]),
        (OutputStream::Stdout, b"a"),
        (OutputStream::Stderr, b"more"),
        (OutputStream::Stdout, b"b"),
    ] {
        journal.append(stream, &mut bytes.to_vec());
    }
    let seen = rest(&journal, &mut journal.reader(View::Chunks, 0));
    let chunk =
        |sequence, stream, bytes: &[u8]| Seen::Chunk { sequence, stream, bytes: bytes.into() };
    let expected = [
        chunk(4, OutputStream::Stderr, b"many"),
        Seen::Missed { sequence: 10, bytes: 6 },
        chunk(11, OutputStream::Stdout, b"a"),
        Seen::Missed { sequence: 15, bytes: 4 },
        chunk(16, OutputStream::Stdout, b"b"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_an_earlier_attempt_has_kept_comes_in_chunks_like_all_else() {
    const LONGEST: usize = 64 * 1024;
    let journal = journal(JournalLimits { window: usize::MAX, ..ROOMY });
    let whole: Vec<u8> = (0..4 * LONGEST + 1).map(|at| (at % 251) as u8).collect();
    journal.append(OutputStream::Stdout, &mut whole.clone());
    journal.start_over();
    let seen = rest(&journal, &mut journal.reader(View::Chunks, 0));
    let chunks: Vec<_> = seen
        .into_iter()
        .map(|seen| match seen {
            Seen::Chunk { bytes, .. } => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(chunks.iter().all(|chunk| chunk.len() <= LONGEST));
    assert!(chunks.concat() == whole);
}

#[test]
fn what_is_read_at_once_leaves_a_small_window_in_portions() {
    const PORTION: u64 = 64 * 1024;
    let limits =
        JournalLimits { limit: 0, window: 2 * PORTION as usize, max_line_bytes: 100, ..ROOMY };
    let journal = journal(limits);
    let line = "0123456789abcdef";
    for _ in 0..3 {
        let mut chunk = format!("{line}\n").repeat(16 * 1024).into_bytes();
        let length = chunk.len() as u64;
        assert!(length > 4 * PORTION);
        let begin = journal.end();
        journal.append(OutputStream::Stdout, &mut chunk);
        let seen = rest(&journal, &mut journal.reader(View::Lines, begin));
        let accounted: u64 = seen.iter().map(Seen::bytes).sum();
        // It may begin inside a gap, where a line may have been unfinished.
        assert!((length..=length + 101).contains(&accounted), "{accounted} of {length}");
        let is_missed = |seen: &Seen| matches!(seen, Seen::Missed { .. });
        let (missed, lines): (Vec<_>, Vec<_>) = seen.into_iter().partition(is_missed);
        assert!(!missed.is_empty());
        assert!(lines.iter().all(|seen| matches!(seen, Seen::Line { text, .. } if text == line)));
        let held: u64 = lines.iter().map(Seen::bytes).sum();
        assert!((PORTION..=2 * PORTION).contains(&held), "{held}, {missed:?}");
    }
}

#[test]
fn of_very_many_attempts_the_first_and_the_last_events_stay() {
    const ALL: u64 = 5000;
    let journal = journal(ROOMY);
    let pin = journal.pin();
    let mut pinned = journal.reader(View::Lines, 0).pinned(Some(pin));
    let start = || journal.event(Utc::now(), EventPayload::Started { pid: 1 });
    (0..ALL).for_each(|_| start());
    let sequences = |cursor: &mut JournalCursor| {
        let mut all = Vec::new();
        while let Some(item) = journal.next(cursor, u64::MAX) {
            match item {
                JournalItem::Event { sequence, .. } => all.push(sequence),
                other => panic!("{other:?}"),
            }
        }
        all
    };
    assert_eq!(sequences(&mut pinned), (1..=ALL).collect::<Vec<_>>(), "it is waited for");
    start();
    let left: Vec<_> = (1..=20).chain(ALL + 1 - 199..=ALL + 1).collect();
    for view in [View::Lines, View::Chunks, View::Events] {
        assert_eq!(sequences(&mut journal.reader(view, 0)), left, "{view:?}");
        assert_eq!(sequences(&mut journal.reader(view, 1000)), left[20..], "{view:?}");
    }
    assert!(journal.state.lock().entries.len() < 300);
    assert_well_formed(&journal.state.lock());
    let sealed = journal.seal();
    let revived = Journal::revive(JournalOwner::default(), "test".into(), &sealed);
    assert_eq!(revived.end(), journal.end());
}
