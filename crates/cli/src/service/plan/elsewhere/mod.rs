//! `exeng plan` with a fleet (`--on`): a worker conducts the plan.
//!
//! | module | content |
//! |---|---|
//! | `start` | `run` |
//! | `look` | `ls`, `show`, `wait`, `stop` |
//! | `output` | `logs`, and the output of steps that failed |
//! | `tail` | the last lines of an output |
//! | `view` | a plan of a fleet as one of the service is shown |

mod look;
mod output;
mod start;
mod tail;
mod view;

use std::fs::File;
use std::path::Path;

use execution_engine::Uuid;
use execution_engine_fleet::{FleetError, FleetPlan, PlanFollower};
use execution_engine_server::PlanView;
use tokio::signal::unix::{SignalKind, signal};

use super::progress::Progress;
use super::{junit, report};
use crate::failure::Failure;
use crate::fleet::rest;
use crate::service::elsewhere::Remote;
use crate::{data, exit_code, message};

pub(crate) use look::{ls, show, stop, wait};
pub(crate) use output::logs;
pub(crate) use start::run;

/// Pause after servers that gave no answer.
const AFTER_FAILURE: std::time::Duration = std::time::Duration::from_secs(1);

/// Returns the id of a plan: an id, the unique beginning of one, or `@last`.
async fn id_of(remote: &Remote, name: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = Uuid::try_parse(name) {
        return Ok(id);
    }
    let plans = remote.backend.plans().await.map_err(Failure::new)?;
    if name == "@last" {
        let none = || Failure::new("@last: the fleet has no plan; exeng plan run makes one");
        return plans.first().map(|plan| plan.id).ok_or_else(none);
    }
    let begins =
        |id: &Uuid| id.to_string().starts_with(name) || id.simple().to_string().starts_with(name);
    let mut found = plans.into_iter().map(|plan| plan.id).filter(begins);
    match (found.next(), found.next()) {
        _ if name.is_empty() => Err(Failure::new("an id is empty; give one")),
        (Some(id), None) => Ok(id),
        (None, _) => Err(Failure::new(format!(
            "no plan {name} is known to the fleet; its id may be wrong, or its records have passed their age"
        ))),
        _ => Err(Failure::new(format!("several plans begin with {name}; write more of it"))),
    }
}

/// Follows a plan to its end, and gives it to a function after each event. Servers that do not answer are asked again:
/// the plan goes on.
async fn to_the_end(
    follower: &mut PlanFollower,
    mut show: impl FnMut(&FleetPlan) -> Result<(), Failure>,
) -> Result<PlanView, Failure> {
    let mut is_told = false;
    loop {
        match follower.next().await {
            Ok(Some(_)) => show(follower.plan())?,
            Ok(None) => return view::of(follower.plan()),
            Err(error @ FleetError::Cluster(_)) => {
                if !std::mem::replace(&mut is_told, true) {
                    message::note(format!("{error}; trying again"));
                }
                rest(AFTER_FAILURE).await;
            }
            Err(error) => return Err(Failure::new(error)),
        }
    }
}

/// What is made of the end of a plan.
struct Follow<'a> {
    junit: Option<(File, &'a Path)>,
    json: bool,
    logs: bool,
}

/// Shows how a plan goes until it has ended, and returns the code to exit with. Ctrl-C leaves it alone.
async fn follow(remote: &Remote, id: Uuid, what: Follow<'_>) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("no signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let shown = async {
        let mut follower = remote.backend.follow_plan(id).await.map_err(Failure::new)?;
        if what.logs {
            return output::print_all(remote, &mut follower, None, |_| true).await;
        }
        let mut progress = Progress::new(&view::of(follower.plan())?);
        let shown = to_the_end(&mut follower, |plan| {
            progress.show(&view::of(plan)?);
            Ok(())
        });
        let ended = shown.await;
        progress.finish();
        ended
    };
    let ended = tokio::select! {
        ended = shown => ended?,
        _ = interrupt.recv() => {
            message::note(format!("plan {id} goes on; look at it: exeng plan wait {id}; stop it: exeng plan stop {id}"));
            return Ok(exit_code::CANCELLED);
        }
    };
    if let Some((file, path)) = what.junit {
        let end_of = async |id, stream| output::end_of(remote, id, stream).await;
        junit::write(&ended, end_of, file, path).await?;
    }
    if what.json {
        data::json(&ended)?;
    }
    report::summary(&ended, report::CanResume::No);
    Ok(report::code(&ended))
}
