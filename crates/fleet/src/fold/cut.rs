//! A log that has lost its beginning: what the rest tells of the start before it.

use super::State;
use crate::cluster::{LogPart, LogSubject};
use crate::record::{Record, Start, TicketDigest};
use crate::sign::Verifier;
use crate::wire::{RecordError, WireForm};

/// Returns the state after all records that a log has of an execution, with their sequences, which
/// grow. `first_seq` is the first sequence that the log still has, of any execution.
///
/// If the claim of a start was removed with age, the records that name the start with the highest
/// fence stand for it. So as long as the log has the record that decided, the outcome is the one that
/// readers of the whole log have had. That holds for records of workers that keep to the rules, since
/// a claim that counted is not there to judge the others by; and while a lost start waits for the next
/// one for a shorter time than the log remembers.
///
/// ```
/// use execution_engine_fleet::{End, Outcome, Record, Start, fold};
/// use serde_json::json;
///
/// let (worker, key) = ("w1".into(), String::new());
/// let start = Start { attempt: 1, of: 1, fence: 40, worker, key };
/// let ending = json!({ "type": "exited", "code": 0 });
/// let end = End { start, ending, result: json!({}), output_end: 0, started: None };
/// let log = [(90, Record::End(end))];
///
/// // The log begins at 50, so the claim at 40 may have been there.
/// assert_eq!(fold(50, &log).outcome(), Some(&Outcome::Ended));
/// // This log has all since 1, and no claim at 40.
/// assert_eq!(fold(1, &log).outcome(), None);
/// ```
pub fn fold(first_seq: u64, log: &[(u64, Record)]) -> State {
    let mut state = State::before(first_seq, log);
    for (seq, record) in log {
        state.apply(*seq, record);
    }
    state
}

/// Returns the state after all records that a log has of an execution, as they were read. It is
/// [`fold`] of those that the verifier takes. Parts that were read one after the other are joined
/// first: what comes last may name a start whose claim is gone.
///
/// # Errors
///
/// [`RecordError::Newer`] if a later version wrote one of them: then the state is not known.
pub fn fold_part(
    verifier: &Verifier,
    subject: &LogSubject,
    part: &LogPart,
) -> Result<State, RecordError> {
    Ok(fold(part.first_seq, &open_part(verifier, subject, part)?))
}

/// Returns the records of a part. What the verifier does not take decides nothing, and is counted.
pub(crate) fn open_part(
    verifier: &Verifier,
    subject: &LogSubject,
    part: &LogPart,
) -> Result<Vec<(u64, Record)>, RecordError> {
    let open = |bytes: &[u8]| match verifier.open(subject, bytes) {
        Err(error @ RecordError::Newer { .. }) => Err(error),
        opened => Ok(opened.unwrap_or(Record::Unknown)),
    };
    part.records.iter().map(|(seq, bytes)| Ok((*seq, open(bytes)?))).collect()
}

impl State {
    /// Returns the state before the first of these records, which are all that the log has, as far as
    /// they tell it.
    pub(crate) fn before(first_seq: u64, log: &[(u64, Record)]) -> Self {
        let mut state = Self::new(first_seq);
        if let Some(start) = start_before(first_seq, log) {
            state.running = !was_lost_before(&start, log);
            state.ticket = ticket_of(&start, log);
            state.starts.push(start);
        }
        state
    }
}

/// Returns the last start whose claim is no longer in the log.
fn start_before(first_seq: u64, log: &[(u64, Record)]) -> Option<Start> {
    let valid = log.iter().filter(|(_, record)| record.check().is_ok());
    let named = valid.filter_map(|(_, record)| record.start());
    // Of equals the first, so that a copy behind it changes nothing.
    let earlier = named.filter(|start| start.fence < first_seq);
    earlier.reduce(|best, one| if one.fence > best.fence { one } else { best }).cloned()
}

/// Returns `true` if the start was given up by a record that is gone. What follows a start comes in the
/// log, so it did not end; and its loss is not the first that the log tells of it.
fn was_lost_before(start: &Start, log: &[(u64, Record)]) -> bool {
    let valid = log.iter().map(|(_, record)| record).filter(|record| record.check().is_ok());
    let follows = |record: &Record| match record {
        Record::Claim(claim) => claim.attempt > start.attempt,
        Record::Expired(expired) => expired.after.as_ref() == Some(start),
        _ => false,
    };
    let is_over = |record: &Record| match record {
        Record::Lost(lost) => lost.start == *start,
        Record::End(end) => end.start == *start,
        _ => follows(record),
    };
    let is_followed = valid.clone().any(follows);
    let first = valid.clone().find(|record| is_over(record));
    is_followed && !matches!(first, Some(Record::Lost(_)))
}

fn ticket_of(start: &Start, log: &[(u64, Record)]) -> Option<TicketDigest> {
    log.iter().find_map(|(_, record)| match record {
        Record::Hold(hold) if hold.start == *start => Some(hold.ticket),
        _ => None,
    })
}
