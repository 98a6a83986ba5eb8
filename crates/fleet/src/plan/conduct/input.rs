//! What a step takes from others: their standard output, as the log has it, and the files that they have
//! collected, as their results name them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::{Bytes, BytesMut};
use execution_engine::{Artifact, Ending, ExecutionOptions, ExecutionRequest, PlanRules};
use uuid::Uuid;

use crate::client::{FleetClient, FleetEvent, Position};
use crate::engine::results::result;
use crate::error::FleetError;
use crate::plan::ticket::step_id;
use crate::record::Stream;

/// Most white space at the ends of an output.
const TRIMMED: usize = 1 << 20;

/// Bytes of an output, and how many it has; or why it cannot be taken.
type Taken = Result<(Bytes, u64), String>;

/// Returns the request and the options of a step, with what it takes from others. The inner error is its
/// ending, if it cannot run. All who conduct the plan get the same: what others have left is stored.
pub(super) async fn prepare(
    client: &FleetClient,
    rules: &PlanRules,
    plan: Uuid,
    step: usize,
) -> Result<Result<(ExecutionRequest, ExecutionOptions), Ending>, FleetError> {
    let mut limits = BTreeMap::<usize, usize>::new();
    for (from, most) in rules.takes_from(step) {
        let limit = limits.entry(from).or_default();
        *limit = most.max(*limit);
    }
    let mut outputs = HashMap::new();
    for (from, limit) in limits {
        outputs.insert(from, taken(client, step_id(plan, from), limit).await?);
    }
    let mut collected = HashMap::new();
    for from in rules.takes_files_from(step).collect::<BTreeSet<_>>() {
        collected.insert(from, artifacts(client, step_id(plan, from)).await?);
    }
    let never = || "it never ran".to_owned();
    let output = |from| outputs.get(&from).cloned().unwrap_or_else(|| Err(never()));
    let (request, mut options) = match rules.prepare(step, output) {
        Ok(prepared) => prepared,
        Err(reason) => return Ok(Err(Ending::NotRun { reason })),
    };
    let files = |from| collected.get(&from).cloned().flatten().ok_or_else(never);
    Ok(match rules.place_files(step, &mut options, files) {
        Ok(()) => Ok((request, options)),
        Err(reason) => Err(Ending::SpawnFailed { reason, os_error: None }),
    })
}

/// Returns what an execution that has ended has collected; `None` if it never ran.
async fn artifacts(client: &FleetClient, id: Uuid) -> Result<Option<Vec<Artifact>>, FleetError> {
    let (known, end) = client.look(id, 0).await?;
    let outcome = known.state.outcome().filter(|_| !known.state.starts().is_empty());
    Ok(outcome.map(|outcome| result(id, outcome, end, None).artifacts))
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
