//! The output of the steps of a plan of a fleet.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine::{OutputStream, Uuid};
use execution_engine_fleet::{FleetError, PlanFollower};
use execution_engine_server::{PlanView, StepView};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::tail::bytes_before;
use super::{AFTER_FAILURE, id_of, view};
use crate::cli::GlobalOptions;
use crate::data::Reader;
use crate::failure::Failure;
use crate::fleet::rest;
use crate::message;
use crate::service::elsewhere::{Remote, output};
use crate::service::logs::many::{Marked, marks_of};
use crate::service::plan::report::name_of;
use crate::service::plan::{LogsPlanOptions, junit};
use crate::terminal_text::one_line;

/// Prints the output of the steps, each line with the name of its step.
pub(crate) async fn logs(global: &GlobalOptions, options: &LogsPlanOptions) -> Result<u8, Failure> {
    let remote = Remote::connect(global).await?;
    let id = id_of(&remote, &options.id).await?;
    let plan = view::of(&remote.backend.plan(id).await.map_err(Failure::new)?)?;
    let names: Vec<String> = plan.steps.iter().map(name_of).collect();
    if let Some(unknown) = options.steps.iter().find(|name| !names.contains(name)) {
        return Err(Failure::new(format!(
            "--step: plan {id} has no step {unknown}; it has {}",
            names.join(", ")
        )));
    }
    let is_wanted =
        |step: &StepView| options.steps.is_empty() || options.steps.contains(&name_of(step));
    let printed = async {
        match options.follow {
            true => {
                let mut follower = remote.backend.follow_plan(id).await.map_err(Failure::new)?;
                print_all(&remote, &mut follower, options.tail, is_wanted).await.map(drop)
            }
            false => print_now(&remote, &plan, options.tail, is_wanted).await,
        }
    };
    let reader = Reader::watch();
    tokio::select! {
        biased;
        printed = printed => printed.map(|()| 0),
        gone = reader.gone() => Err(gone),
    }
}

fn marks(plan: &PlanView) -> Vec<Vec<u8>> {
    let names = plan.steps.iter().map(|step| one_line(&name_of(step)).into_owned());
    marks_of(&names.collect::<Vec<_>>())
}

/// Prints what there is of the steps, one after the other.
async fn print_now(
    remote: &Remote,
    plan: &PlanView,
    tail: Option<u64>,
    is_wanted: impl Fn(&StepView) -> bool,
) -> Result<(), Failure> {
    let (marks, stdout) = (marks(plan), Mutex::new(()));
    for step in plan.steps.iter().filter(|step| is_wanted(step)) {
        let Some(id) = step.execution else { continue };
        if !output::is_known(remote, id).await.map_err(Failure::new)? {
            // One that waits is about to be submitted.
            if step.ending.is_some() {
                message::note(format!("the output of step {} is no longer kept", name_of(step)));
            }
            continue;
        }
        let (mut send, parts) = channel(bytes_before(remote, id, tail).await?);
        let read = output::what_there_is(remote, id, &mut send);
        print_parts(read, parts, Marked::new(marks[step.index].clone(), &stdout)).await?;
    }
    Ok(())
}

/// Prints the output of a step until it has ended. A step is told to be queued before it is submitted: until the plan has
/// ended, one that is not known is waited for.
async fn print_step(
    remote: &Remote,
    id: Uuid,
    plan_has_ended: &AtomicBool,
    tail: Option<u64>,
    marked: Marked<'_>,
) -> Result<(), Failure> {
    loop {
        // In this order: what is not known after the end never will be.
        let is_last = plan_has_ended.load(Ordering::Relaxed);
        match output::is_known(remote, id).await {
            Ok(true) => break,
            Ok(false) if is_last => return Ok(()),
            Ok(false) | Err(FleetError::Cluster(_)) => rest(AFTER_FAILURE).await,
            Err(error) => return Err(Failure::new(error)),
        }
    }
    let (mut send, parts) = channel(bytes_before(remote, id, tail).await?);
    print_parts(output::follow(remote, id, &mut send), parts, marked).await
}

type Parts = UnboundedReceiver<Vec<u8>>;

/// Returns what takes output, and where it comes out but for its first bytes.
fn channel(mut before: u64) -> (impl FnMut(OutputStream, &[u8]) -> Result<(), Failure>, Parts) {
    let (sender, parts) = unbounded_channel();
    let send = move |_, part: &[u8]| {
        let left_out = usize::try_from(before).unwrap_or(usize::MAX).min(part.len());
        before -= left_out as u64;
        // The receiver is there until the output is over.
        let _kept = sender.send(part[left_out..].to_vec());
        Ok(())
    };
    (send, parts)
}

/// Prints output as it is read.
async fn print_parts<T>(
    read: impl Future<Output = Result<T, Failure>>,
    mut parts: Parts,
    mut marked: Marked<'_>,
) -> Result<(), Failure> {
    tokio::pin!(read);
    loop {
        tokio::select! {
            biased;
            Some(part) = parts.recv() => marked.print(&part).await?,
            ended = &mut read => {
                ended?;
                break;
            }
        }
    }
    while let Ok(part) = parts.try_recv() {
        marked.print(&part).await?;
    }
    marked.finish().await
}

/// Prints the output of the steps until the plan has ended, and returns the plan.
pub(super) async fn print_all(
    remote: &Remote,
    follower: &mut PlanFollower,
    tail: Option<u64>,
    is_wanted: impl Fn(&StepView) -> bool,
) -> Result<PlanView, Failure> {
    let (stdout, plan_has_ended) = (Mutex::new(()), AtomicBool::new(false));
    let (mut begun, mut printing) = (HashSet::new(), FuturesUnordered::new());
    loop {
        let plan = view::of(follower.plan())?;
        for step in plan.steps.iter().filter(|step| is_wanted(step)) {
            let Some(id) = step.execution.filter(|id| begun.insert(*id)) else { continue };
            let marked = Marked::new(marks(&plan)[step.index].clone(), &stdout);
            printing.push(print_step(remote, id, &plan_has_ended, tail, marked));
        }
        tokio::select! {
            Some(printed) = printing.next() => printed?,
            event = follower.next() => match event {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(FleetError::Cluster(_)) => rest(AFTER_FAILURE).await,
                Err(error) => return Err(Failure::new(error)),
            }
        }
    }
    plan_has_ended.store(true, Ordering::Relaxed);
    while let Some(printed) = printing.next().await {
        printed?;
    }
    view::of(follower.plan())
}

/// Returns the last lines of the output of an execution; nothing if that is no longer kept.
pub(super) async fn end_of(
    remote: &Remote,
    id: Uuid,
    stream: OutputStream,
) -> Result<String, Failure> {
    let mut end = junit::End::default();
    let mut keep = |of: OutputStream, part: &[u8]| {
        if of == stream {
            end.push(part);
        }
        Ok(())
    };
    if output::is_known(remote, id).await.map_err(Failure::new)? {
        output::what_there_is(remote, id, &mut keep).await?;
    }
    Ok(end.text())
}
