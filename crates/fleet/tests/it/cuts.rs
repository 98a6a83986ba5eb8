//! Logs that have lost their beginning with age: what is left tells the same.

use execution_engine_fleet::{Record, Report, Start, State, fold};
use proptest::prelude::*;

use crate::records::{cancel, claim, end, expired, hold, lost, start, ticket};

type Log = Vec<(u64, Record)>;

/// Returns what workers that keep to the rules may write next: also what comes too late, and what was
/// written by two at once.
fn allowed(state: &State) -> Vec<Record> {
    let mut records = Vec::new();
    let starts = state.starts();
    let given_up = &starts[..starts.len() - usize::from(state.running().is_some())];
    let has_reported = |start: &Start| {
        state.report().into_iter().chain(state.superseded()).any(|report| report.start == *start)
    };
    if let Some(running) = state.running() {
        records.extend([hold(running.clone()), hold(running.clone()), lost(running.clone())]);
        records.push(end(running.clone(), running.attempt));
        // Two workers had claimed the same attempt, or one had found that it was too late.
        records.push(claim(running.attempt, running.of, "k2", ticket()));
        records.push(expired(given_up.last().cloned()));
    }
    if let Some(attempt) = state.next_attempt() {
        records.push(claim(attempt, 3, "k1", ticket()));
        records.push(claim(attempt, 3, "k2", ticket()));
        records.push(expired(starts.last().cloned()));
    }
    for start in given_up {
        records.push(lost(start.clone()));
        // Its worker was stopped, and does not know yet.
        records.push(hold(start.clone()));
        if !has_reported(start) {
            records.push(end(start.clone(), 10 + start.attempt));
        }
    }
    if records.is_empty() {
        records.push(cancel());
    }
    records
}

fn build(picks: &[u8]) -> Log {
    let mut state = State::new(1);
    let mut log = Log::new();
    for (at, pick) in picks.iter().enumerate() {
        let seq = 10 * (at as u64 + 1);
        let mut records = allowed(&state);
        let record = match pick {
            250.. => cancel(),
            _ => records.swap_remove(usize::from(*pick) % records.len()),
        };
        state.apply(seq, &record);
        log.push((seq, record));
    }
    log
}

/// Returns `true` if workers restate what the log loses, up to here: the start that was running at
/// the cut is named behind it, and what was waiting for its next start has got one.
fn is_restated(cut: &State, rest: &[(u64, Record)]) -> bool {
    match (cut.running(), cut.starts().last()) {
        (Some(running), _) => rest.iter().any(|(_, record)| record.start() == Some(running)),
        (None, Some(last)) => rest.iter().any(|(_, record)| match record {
            Record::Claim(claim) => claim.attempt == last.attempt + 1,
            Record::Expired(expired) => expired.after.as_ref() == Some(last),
            _ => false,
        }),
        (None, None) => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_tells_the_same(picks in prop::collection::vec(any::<u8>(), 1..25)) {
        let log = build(&picks);
        let whole = fold(1, &log);
        for cut in 0..log.len() {
            let (gone, rest) = log.split_at(cut);
            let before = fold(1, gone);
            if before.outcome().is_some() || !is_restated(&before, rest) {
                continue;
            }
            let first_seq = rest[0].0;
            let state = fold(first_seq, rest);
            prop_assert_eq!(state.outcome(), whole.outcome(), "cut at {} of {:#?}", first_seq, log);
            prop_assert_eq!(state.report(), whole.report());
            prop_assert_eq!(state.running(), whole.running());
            prop_assert_eq!(state.next_attempt(), whole.next_attempt());
            if rest.iter().any(|(_, record)| matches!(record, Record::Hold(_))) {
                prop_assert_eq!(state.running_delivery(), whole.running_delivery());
            }
            let of_rest = |report: &&Report| report.seq >= first_seq;
            let superseded: Vec<_> = whole.superseded().iter().filter(of_rest).collect();
            prop_assert_eq!(state.superseded().iter().collect::<Vec<_>>(), superseded);
        }
    }
}

#[test]
fn a_repeated_loss_does_not_hide_the_next_start() {
    let (first, second) = (start(1, 2, 10, "k1"), start(2, 2, 30, "k1"));
    let log = [
        (10, claim(1, 2, "k1", ticket())),
        (20, lost(first.clone())),
        (30, claim(2, 2, "k1", ticket())),
        (40, lost(first)),
        (50, end(second, 0)),
    ];
    let (whole, rest) = (fold(1, &log), fold(30, &log[2..]));
    assert!(whole.outcome().is_some());
    assert_eq!((rest.outcome(), rest.report()), (whole.outcome(), whole.report()));
}
