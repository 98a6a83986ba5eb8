//! Random logs: whatever is in them and in whichever order, all readers agree.

use execution_engine_fleet::{
    Effect, Illegal, Outcome, Record, Signer, Start, State, TicketDigest, Verifier, encode, fold,
};
use proptest::prelude::*;

use crate::records::{
    cancel, cancel_within, claim, end, expired, hold, lost, start, subject, ticket,
};
use crate::signatures::{Fleet, NOW};

type Log = Vec<(u64, Record)>;

/// Returns a record that often, but not always, fits the records before it: of a start whose claim
/// counted, the next claim, or any.
fn next_record(state: &State, pick: [u8; 4], keys: &[String]) -> Record {
    let [kind, which, attempt, key] = pick;
    let key = &keys[usize::from(key) % keys.len()];
    let attempt = u32::from(attempt % 3) + 1;
    let known = state.starts();
    let named = match known.len() {
        0 => start(attempt, 3, u64::from(which) + 1, key),
        _ if which % 8 == 7 => start(attempt, 3, u64::from(which), key),
        length if which % 2 == 0 => known[length - 1].clone(),
        length => known[usize::from(which / 2) % length].clone(),
    };
    match kind % 16 {
        0..=4 => claim(state.next_attempt().unwrap_or(attempt), 3, key, ticket()),
        5 => claim(attempt, u32::from(which % 3) + attempt, key, TicketDigest::of(&[which % 2])),
        6 => hold(named),
        7..=9 => end(named, u32::from(kind)),
        10..=13 => lost(named),
        14 if which % 2 == 0 => expired(known.last().cloned()),
        14 => expired(Some(named)),
        _ if which % 8 == 0 => cancel(),
        _ if which % 8 == 4 => cancel_within(Some(u64::from(attempt))),
        _ => Record::Unknown,
    }
}

/// Builds a log from random numbers. Sequences have gaps, which other executions fill.
fn build(picks: &[[u8; 4]], keys: &[String]) -> Log {
    let mut state = State::new(1);
    let mut log = Log::new();
    for (at, pick) in picks.iter().enumerate() {
        let (seq, record) = (10 * (at as u64 + 1), next_record(&state, *pick, keys));
        state.apply(seq, &record);
        log.push((seq, record));
    }
    log
}

fn names() -> Vec<String> {
    ["k1", "k2"].map(str::to_owned).to_vec()
}

fn logs() -> impl Strategy<Value = Log> {
    prop::collection::vec(any::<[u8; 4]>(), 0..30).prop_map(|picks| build(&picks, &names()))
}

#[test]
fn a_later_cancel_can_only_shorten_the_grace() {
    let mut state = State::new(1);
    let first = start(1, 1, 1, "");
    let late = Effect::Ignored(Illegal::AfterOutcome);
    for (seq, record, effect, grace_ms) in [
        (1, claim(1, 1, "", ticket()), Effect::Claimed, None),
        (2, cancel_within(Some(800)), Effect::Decided, Some(800)),
        (3, cancel_within(Some(900)), late, Some(800)),
        (4, cancel(), late, Some(800)),
        (5, cancel_within(Some(0)), Effect::Hastened, Some(0)),
        (6, end(first, 0), Effect::Stopped, Some(0)),
    ] {
        assert_eq!((state.apply(seq, &record), state.grace_ms()), (effect, grace_ms), "{seq}");
    }
    // Without a grace of its own the first one leaves that of the request.
    let mut state = State::new(1);
    state.apply(1, &claim(1, 1, "", ticket()));
    state.apply(2, &cancel());
    assert_eq!(state.apply(3, &cancel_within(Some(5))), Effect::Hastened);
    assert!(matches!(state.outcome(), Some(Outcome::Cancelled { seq: 2, .. })));
    assert_eq!(state.ignored(), 0);
}

/// What is told to the user: all but the counts of a reader.
fn told(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
    let reports = (state.report().cloned(), state.superseded().to_vec());
    (state.outcome().cloned(), state.starts().to_vec(), state.running().cloned(), reports)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn readers_of_a_prefix_never_contradict_readers_of_more(log in logs(), part in 0_usize..30) {
        let part = part.min(log.len());
        let (early, late) = (fold(1, &log[..part]), fold(1, &log));
        if early.outcome().is_some() {
            prop_assert_eq!(early.outcome(), late.outcome());
        }
        if early.report().is_some() {
            prop_assert_eq!(early.report(), late.report());
        }
        if early.is_closed() {
            prop_assert!(late.is_closed());
            prop_assert_eq!(early.starts(), late.starts());
        }
        prop_assert!(late.starts().starts_with(early.starts()));
        prop_assert!(late.superseded().starts_with(early.superseded()));
    }

    #[test]
    fn reads_in_any_pieces_give_one_state(
        log in logs(),
        reads in prop::collection::vec((0_usize..30, 0_usize..30), 0..10),
    ) {
        let whole = fold(1, &log);
        let mut state = State::new(1);
        let mut place = 0;
        for (back, length) in reads {
            // A read overlaps what was read before, and leaves nothing out.
            let from = place - back.min(place);
            let to = (from + length).min(log.len());
            for (seq, record) in &log[from..to] {
                let is_seen = *seq <= state.last_seq();
                prop_assert_eq!(state.apply(*seq, record) == Effect::Seen, is_seen);
            }
            place = place.max(to);
        }
        // Going on from what was stored is the same.
        let stored = serde_json::to_string(&state).unwrap();
        let mut state: State = serde_json::from_str(&stored).unwrap();
        log.iter().for_each(|(seq, record)| { state.apply(*seq, record); });
        prop_assert_eq!(state, whole);
    }

    #[test]
    fn a_record_that_comes_twice_counts_once(
        log in logs(),
        doubles in prop::collection::vec((0_usize..30, 0_usize..30), 0..10),
    ) {
        let mut state = State::new(1);
        let counts: Vec<bool> = log
            .iter()
            .map(|(seq, record)| !matches!(state.apply(*seq, record), Effect::Ignored(_)))
            .collect();
        let mut more = log.clone();
        for (nth, (first, behind)) in doubles.into_iter().enumerate() {
            if first < log.len() && counts[first] {
                let after = log[(first + behind).min(log.len() - 1)].0;
                more.push((after + 1 + (nth as u64 % 9), log[first].1.clone()));
            }
        }
        more.sort_by_key(|(seq, _)| *seq);
        more.dedup_by_key(|(seq, _)| *seq);
        prop_assert_eq!(told(&fold(1, &more)), told(&state));
    }

    #[test]
    fn fences_grow(log in logs()) {
        let state = fold(1, &log);
        for pair in state.starts().windows(2) {
            prop_assert!(pair[0].fence < pair[1].fence);
            prop_assert_eq!(pair[0].attempt + 1, pair[1].attempt);
            // No start is made before the one before it is lost.
            let is_loss = log.iter().any(|(seq, record)| {
                let is_between = pair[0].fence < *seq && *seq < pair[1].fence;
                is_between && matches!(record, Record::Lost(lost) if lost.start == pair[0])
            });
            prop_assert!(is_loss, "between {pair:?}");
        }
        let claims = state.starts().iter().map(|start| {
            let record = log.iter().find(|(seq, _)| *seq == start.fence).map(|(_, record)| record);
            match record {
                Some(Record::Claim(claim)) => (start, claim),
                other => panic!("{start:?} has {other:?}"),
            }
        });
        let claims: Vec<_> = claims.collect();
        for (start, claim) in &claims {
            prop_assert_eq!((start.attempt, start.of), (claim.attempt, claim.of));
            // All starts are of the ticket of the first.
            prop_assert_eq!((claim.ticket, claim.of), (claims[0].1.ticket, claims[0].1.of));
        }
    }

    #[test]
    fn each_start_that_reported_is_told_once(log in logs()) {
        let state = fold(1, &log);
        let told: Vec<&Start> =
            state.report().into_iter().chain(state.superseded()).map(|report| &report.start).collect();
        for start in state.starts() {
            let has_reported = log.iter().any(|(seq, record)| {
                matches!(record, Record::End(end) if end.start == *start && *seq > start.fence)
            });
            let times = told.iter().filter(|told| **told == start).count();
            prop_assert_eq!(times, usize::from(has_reported));
        }
        prop_assert!(told.iter().all(|start| state.starts().contains(start)));
    }

    #[test]
    fn an_outcome_has_one_record_that_decided(log in logs()) {
        let mut state = State::new(1);
        let mut decided = Vec::new();
        let mut superseded = 0;
        for (seq, record) in &log {
            let before = state.outcome().is_some();
            let effect = state.apply(*seq, record);
            prop_assert_eq!(effect == Effect::Decided, !before && state.outcome().is_some());
            if effect == Effect::Decided {
                decided.push(*seq);
            }
            superseded += usize::from(effect == Effect::Superseded);
            prop_assert_eq!(superseded, state.superseded().len());
        }
        prop_assert_eq!(decided.len(), usize::from(state.outcome().is_some()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn forged_records_change_nothing(
        picks in prop::collection::vec(any::<[u8; 4]>(), 0..15),
        forged in prop::collection::vec((any::<[u8; 4]>(), 0_u64..160, 0_u8..4), 0..15),
    ) {
        let (fleet, stranger) = (Fleet::new("linux", &["blue"]), Fleet::new("linux", &["blue"]));
        let workers = [fleet.worker(), fleet.worker()];
        let keys = workers.each_ref().map(|worker| worker.key().to_owned()).to_vec();
        let log = build(&picks, &keys);
        let expected = fold(1, &log);

        let signed = |signer: &Signer, record: &Record| {
            signer.sign(&subject(), record, NOW).unwrap().to_vec()
        };
        let by = |key: &str| usize::from(key == keys[1]);
        let mut bytes: Vec<(u64, Vec<u8>)> = log
            .iter()
            .map(|(seq, record)| match record {
                Record::Claim(claim) => (*seq, signed(&workers[by(&claim.key)], record)),
                Record::Cancel(_) | Record::Unknown => (*seq, encode(record).unwrap()),
                _ => {
                    let key = record.start().map_or(&keys[0], |start| &start.key);
                    (*seq, signed(&workers[by(key)], record))
                }
            })
            .collect();
        for (pick, seq, how) in forged {
            let record = next_record(&expected, pick, &keys);
            if seq % 10 == 0 || matches!(record, Record::Cancel(_)) {
                continue;
            }
            let forgery = match (how, &record) {
                (0, _) => signed(&stranger.worker(), &record),
                (1, Record::Claim(claim)) => signed(&workers[1 - by(&claim.key)], &record),
                (1, Record::Hold(_) | Record::End(_)) => {
                    let key = record.start().map_or("", |start| &start.key);
                    signed(&workers[1 - by(key)], &record)
                }
                (2, _) => signed(&workers[0], &record)[..usize::from(pick[0])].to_vec(),
                _ => encode(&record).unwrap(),
            };
            bytes.push((seq, forgery));
        }
        bytes.sort_by_key(|(seq, _)| *seq);
        bytes.dedup_by_key(|(seq, _)| *seq);
        let verifier: Verifier = fleet.verifier();
        let mut state = State::new(1);
        for (seq, bytes) in &bytes {
            state.apply_bytes(&verifier, &subject(), *seq, bytes).unwrap();
        }
        prop_assert_eq!(told(&state), told(&expected));
    }
}
