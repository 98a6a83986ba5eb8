//! Records with few different values, so that random ones often fit together.

use execution_engine_fleet::{
    Cancel, Claim, DeliveryHandle, End, Expired, Hold, Lane, LogSubject, Lost, Record, Start,
    TicketDigest,
};
use serde_json::json;
use uuid::Uuid;

pub(crate) fn subject() -> LogSubject {
    LogSubject { tenant: "blue".to_owned(), id: Uuid::from_u128(1), lane: Lane::Decisions }
}

pub(crate) fn ticket() -> TicketDigest {
    TicketDigest::of(b"ticket")
}

/// A start whose worker is its key, too.
pub(crate) fn start(attempt: u32, of: u32, fence: u64, key: &str) -> Start {
    Start { attempt, of, fence, worker: "w1".to_owned(), key: key.to_owned() }
}

pub(crate) fn claim(attempt: u32, of: u32, key: &str, ticket: TicketDigest) -> Record {
    Record::Claim(Claim {
        attempt,
        of,
        worker: "w1".to_owned(),
        key: key.to_owned(),
        command: String::new(),
        submitted_at_ms: None,
        metadata: None,
        plan: None,
        asked: None,
        exclusive: false,
        ticket,
        delivery: DeliveryHandle(format!("delivery {attempt}")),
        engine: String::new(),
        containment: String::new(),
        sandbox: String::new(),
        at_ms: None,
    })
}

pub(crate) fn hold(start: Start) -> Record {
    let delivery = DeliveryHandle(format!("delivery {}", start.attempt));
    Record::Hold(Hold { start, ticket: ticket(), delivery, output: 0 })
}

pub(crate) fn end(start: Start, code: u32) -> Record {
    let (ending, result) = (json!({ "code": code }), json!({}));
    Record::End(End { start, ending, result, output_end: 0, started: None })
}

pub(crate) fn lost(start: Start) -> Record {
    Record::Lost(Lost { start, by: "w2".to_owned(), reason: String::new(), at_ms: None })
}

pub(crate) fn expired(after: Option<Start>) -> Record {
    Record::Expired(Expired { after, by: "w2".to_owned(), start_by_ms: 1, at_ms: None })
}

pub(crate) fn cancel() -> Record {
    cancel_within(None)
}

pub(crate) fn cancel_within(grace_ms: Option<u64>) -> Record {
    Record::Cancel(Cancel { by: "ci".to_owned(), reason: String::new(), grace_ms, at_ms: None })
}
