//! What a step takes from others: their standard output, as the log has it.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use execution_engine::{ExecutionOptions, ExecutionRequest, PlanRules, SkipReason};
use uuid::Uuid;

use crate::client::{FleetClient, FleetEvent, Position};
use crate::error::FleetError;
use crate::plan::ticket::step_id;
use crate::record::Stream;

/// Most white space at the ends of an output.
const TRIMMED: usize = 1 << 20;

/// Bytes of an output, and how many it has; or why it cannot be taken.
type Taken = Result<(Bytes, u64), String>;

/// Returns the request and the options of a step, with what it takes from others. The inner error says
/// why it cannot run.
pub(super) async fn prepare(
    client: &FleetClient,
    rules: &PlanRules,
    plan: Uuid,
    step: usize,
) -> Result<Result<(ExecutionRequest, ExecutionOptions), SkipReason>, FleetError> {
    let mut limits = BTreeMap::<usize, usize>::new();
    for (from, most) in rules.takes_from(step) {
        let limit = limits.entry(from).or_default();
        *limit = most.max(*limit);
    }
    let mut outputs = HashMap::new();
    for (from, limit) in limits {
        outputs.insert(from, taken(client, step_id(plan, from), limit).await?);
    }
    let never = || Err("it never ran".to_owned());
    Ok(rules.prepare(step, |from| outputs.get(&from).cloned().unwrap_or_else(never)))
}

/// Reads what the last start of an execution that has ended has written to standard output.
async fn taken(client: &FleetClient, id: Uuid, limit: usize) -> Result<Taken, FleetError> {
    let most = limit.saturating_add(TRIMMED);
    let (mut output, mut seen, mut missed, mut has_run) = (BytesMut::new(), 0_u64, 0, false);
    let mut follower = client.follow(id, Position::default());
    while let Some((_, event)) = follower.next().await? {
        match event {
            FleetEvent::Claimed { .. } => {
                (output, seen, missed, has_run) = (BytesMut::new(), 0, 0, true);
            }
            FleetEvent::Output { runs, mut bytes } => {
                for (stream, length) in runs {
                    let part = bytes.split_to((length as usize).min(bytes.len()));
                    if stream == Stream::Stdout {
                        seen += part.len() as u64;
                        if output.len() <= most {
                            output.extend_from_slice(&part);
                        }
                    }
                }
            }
            FleetEvent::Missed(Stream::Stdout, bytes) => missed += bytes,
            _ => {}
        }
    }
    if !has_run {
        return Ok(Err("it never ran".to_owned()));
    }
    // Half an output is a wrong one.
    if missed > 0 {
        return Ok(Err(format!("{missed} bytes of it are missing")));
    }
    if seen > output.len() as u64 || output.len() > most {
        return Ok(Err(format!(
            "it has {seen} bytes, and the limit is {limit}; raise max_bytes of the input"
        )));
    }
    Ok(Ok((output.freeze(), seen)))
}
