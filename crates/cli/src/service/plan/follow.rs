//! Following a plan to its end.

use std::fs::File;
use std::path::Path;

use execution_engine_server::PlanView;
use execution_engine_server::client::Client;
use tokio::signal::unix::{SignalKind, signal};

use super::logs::print;
use super::progress::Progress;
use super::{junit, report};
use crate::failure::Failure;
use crate::service::logs::many::Wanted;
use crate::{data, exit_code, message};

/// What is made of the end of a plan.
#[derive(Debug)]
pub(super) struct Follow<'a> {
    /// File for JUnit XML. It is opened before the plan is submitted: one that cannot be written is told in time.
    pub(super) junit: Option<(File, &'a Path)>,
    /// Whether the plan is printed as JSON.
    pub(super) json: bool,
    /// Whether the output of the steps is shown in place of how they go.
    pub(super) logs: bool,
}

/// Shows how a plan goes until it has ended, and returns the code to exit with. Ctrl-C leaves it alone.
pub(super) async fn follow(
    client: &Client,
    plan: PlanView,
    follow: Follow<'_>,
) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("no signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let ended = tokio::select! {
        ended = to_the_end(client, plan.clone(), follow.logs) => ended?,
        _ = interrupt.recv() => {
            message::note(format!(
                "plan {id} goes on; look at it: exeng plan wait {id}; stop it: exeng plan stop {id}",
                id = plan.id
            ));
            return Ok(exit_code::CANCELLED);
        }
    };
    if let Some((file, path)) = follow.junit {
        let end_of = async |id, stream| junit::end_of(client, id, stream).await;
        junit::write(&ended, end_of, file, path).await?;
    }
    if follow.json {
        data::json(&ended)?;
    }
    report::summary(&ended, report::CanResume::Yes);
    Ok(report::code(&ended))
}

async fn to_the_end(client: &Client, plan: PlanView, logs: bool) -> Result<PlanView, Failure> {
    if logs {
        let all = Wanted { follow: true, ..Wanted::default() };
        return print(client, plan, all, |step| !step.kept).await;
    }
    let mut progress = Progress::new(&plan);
    let mut version = 0;
    loop {
        let changed = client.plan_changes(plan.id, version).await?;
        progress.show(&changed);
        if changed.ended_at.is_some() {
            progress.finish();
            return Ok(changed);
        }
        version = changed.version;
    }
}
