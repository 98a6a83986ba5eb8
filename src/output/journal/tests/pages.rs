use super::*;
use crate::types::{OutputCursor, OutputPage, OutputPart, OutputQuery, OutputWindow};

/// What a caller has got of a journal, page by page.
#[derive(Debug, Default)]
struct Caller {
    query: OutputQuery,
    told: [Vec<u8>; 2],
    missed: u64,
    ended: bool,
}

impl Caller {
    fn read(&mut self, journal: &Journal) -> OutputPage {
        let page = journal.page(&self.query);
        for part in &page.parts {
            match part {
                OutputPart::Output { stream, bytes } => {
                    assert!(!bytes.is_empty());
                    self.told[stream.index()].extend_from_slice(bytes);
                }
                OutputPart::Missed { bytes } => self.missed += bytes,
                OutputPart::Omitted { .. } => panic!("nothing is left out: {page:?}"),
            }
        }
        assert!(page.bytes().len() <= self.query.max_bytes.max(8));
        self.query.cursor = page.next;
        self.ended = page.ended;
        page
    }

    fn read_all(&mut self, journal: &Journal) {
        while !self.ended {
            let before = self.query.cursor;
            self.read(journal);
            assert!(self.ended || self.query.cursor != before, "a page without anything");
        }
    }
}

fn window() -> impl Strategy<Value = OutputWindow> {
    prop_oneof![Just(OutputWindow::Tail), Just(OutputWindow::HeadAndTail)]
}

proptest! {
    #[test]
    fn pages_tell_or_count_each_byte_once(
        acts in attempts(), limits in any_limits(), max_bytes in 0..60_usize, every in 1..8_usize,
        both in any::<bool>(),
    ) {
        let journal = journal(limits);
        let query = OutputQuery::default().max_bytes(max_bytes);
        let mut callers = match both {
            true => vec![Caller { query, ..Caller::default() }],
            false => OutputStream::BOTH
                .map(|stream| Caller { query: query.stream(stream), ..Caller::default() })
                .into(),
        };
        for (number, one) in acts.iter().enumerate() {
            act(&journal, one);
            if number % every == 0 {
                callers.iter_mut().for_each(|caller| _ = caller.read(&journal));
            }
        }
        let sealed = journal.seal();
        let revived = Journal::revive(JournalOwner::default(), "test".into(), &sealed);
        revived.close();
        callers.iter_mut().for_each(|caller| caller.read_all(&revived));

        let told = |of: usize| callers.iter().flat_map(|it| it.told[of].clone()).collect::<Vec<_>>();
        let missed: u64 = callers.iter().map(|caller| caller.missed).sum();
        let all = OutputStream::BOTH.map(|stream| written(&acts, stream));
        let written: usize = all.iter().map(Vec::len).sum();
        prop_assert_eq!(told(0).len() as u64 + told(1).len() as u64 + missed, written as u64);
        if missed == 0 {
            prop_assert_eq!([told(0), told(1)], all);
        }
    }

    #[test]
    fn after_the_end_pages_have_all_that_the_result_has(
        acts in acts(), limits in any_limits(), max_bytes in 8..60_usize
    ) {
        let journal = journal(limits);
        acts.iter().for_each(|one| act(&journal, one));
        let sealed = journal.seal();
        journal.close();
        let revived = Journal::revive(JournalOwner::default(), "test".into(), &sealed);
        revived.close();
        let mut late = Caller { query: OutputQuery::default().max_bytes(max_bytes), ..Caller::default() };
        late.read_all(&revived);
        for of in OutputStream::BOTH {
            prop_assert_eq!(&late.told[of.index()][..], &sealed.output[of.index()].bytes()[..]);
        }
        // The journal that was written to still has what it has, too.
        let mut late = Caller { query: OutputQuery::default().max_bytes(max_bytes), ..Caller::default() };
        late.read_all(&journal);
        let told = late.told.iter().map(|told| told.len() as u64).sum::<u64>();
        prop_assert_eq!(told + late.missed, output_bytes(&acts));
    }

    #[test]
    fn a_window_accounts_for_what_it_leaves_out(
        acts in acts(), limits in any_limits(), max_bytes in 0..80_usize, window in window(),
        is_closed in any::<bool>(),
    ) {
        let journal = journal(limits);
        acts.iter().for_each(|one| act(&journal, one));
        if is_closed {
            journal.close();
        }
        let query = OutputQuery::default().max_bytes(max_bytes).window(window);
        let page = journal.page(&query);
        let omitted: u64 = page.parts.iter().map(|part| match part {
            OutputPart::Omitted { bytes } => *bytes,
            _ => 0,
        }).sum();
        let told = page.bytes().len();
        let next = page.next.stdout + page.next.stderr;
        prop_assert!(told <= max_bytes.max(8));
        prop_assert_eq!(told as u64 + omitted + page.missed(), next);
        prop_assert_eq!(page.ended, is_closed);
        // What it does not tell is an unfinished character of each stream at most.
        let held_back = if is_closed { 0 } else { 6 };
        prop_assert!(output_bytes(&acts) - next <= held_back);
        if omitted > 0 {
            prop_assert!(told + 12 >= max_bytes, "{told} of {max_bytes}");
        }
    }
}

fn text(journal: &Journal, query: OutputQuery) -> String {
    journal.page(&query).text()
}

#[test]
fn head_and_tail_show_the_beginning_and_the_end() {
    let journal = journal(ROOMY);
    journal.append(OutputStream::Stdout, &mut b"0123456789abcdefghij".to_vec());
    let query = OutputQuery::default().max_bytes(10);
    assert_eq!(text(&journal, query), "0123456789");
    let tail = query.window(OutputWindow::Tail);
    assert_eq!(text(&journal, tail), "[10 bytes are left out here]\nabcdefghij");
    let both = query.window(OutputWindow::HeadAndTail);
    assert_eq!(text(&journal, both), "01234\n[10 bytes are left out here]\nfghij");
    let all = both.max_bytes(20);
    assert_eq!(text(&journal, all), "0123456789abcdefghij");
}

#[test]
fn the_place_of_what_is_missing_is_shown() {
    let oversized = OversizedOutputStrategy::KeepHeadAndTail;
    let journal = journal(JournalLimits { limit: 8, oversized, ..ROOMY });
    journal.append(OutputStream::Stdout, &mut b"0123456789abcdef".to_vec());
    journal.append(OutputStream::Stderr, &mut b"err".to_vec());
    assert_eq!(text(&journal, OutputQuery::default()), "0123\n[8 bytes are missing here]\ncdeferr");
    let stdout = OutputQuery::default().stream(OutputStream::Stdout);
    assert_eq!(text(&journal, stdout), "0123\n[8 bytes are missing here]\ncdef");
    assert_eq!(journal.page(&stdout).missed(), 8);
}

#[test]
fn no_page_cuts_a_character() {
    let journal = journal(ROOMY);
    journal.append(OutputStream::Stdout, &mut "€€€€".as_bytes()[..11].to_vec());
    let first = journal.page(&OutputQuery::default().max_bytes(8));
    assert_eq!((first.text().as_str(), first.next.stdout), ("€€", 6));
    let second = journal.page(&OutputQuery::after(first.next));
    assert_eq!((second.text().as_str(), second.next.stdout), ("€", 9));
    let nothing = journal.page(&OutputQuery::after(second.next));
    assert_eq!((nothing.parts.len(), nothing.next), (0, second.next));
    journal.close();
    let last = journal.page(&OutputQuery::after(second.next));
    assert_eq!((&last.bytes()[..], last.ended), (&b"\xe2\x82"[..], true));
    let beyond = OutputCursor { stdout: u64::MAX, stderr: u64::MAX };
    let end = journal.page(&OutputQuery::after(beyond));
    assert_eq!((end.next.stdout, end.next.stderr, end.ended), (11, 0, true));
}
