//! What the verbs that submit something do after it.

use clap::Args;
use execution_engine_server::Submitted;
use execution_engine_server::client::Client;
use serde_json::json;

use super::submit::SERVICE;
use super::{logs, wait};
use crate::failure::Failure;
use crate::{data, message};

/// Options of what follows a submit.
#[derive(Debug, Args)]
pub(super) struct ThenOptions {
    /// Wait for its end, and exit with its code
    #[arg(long, help_heading = SERVICE)]
    wait: bool,
    /// Show its output until its end, and exit with its code; the id goes to stderr
    #[arg(long, conflicts_with = "wait", help_heading = SERVICE)]
    follow: bool,
    /// Print {"id": ".."}; with --follow also events, one a line
    #[arg(long, help_heading = SERVICE)]
    json: bool,
}

impl ThenOptions {
    /// Returns `true` if the id is printed as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Returns `true` if the end is waited for.
    #[cfg(feature = "fleet")]
    pub(super) fn waits(&self) -> bool {
        self.wait
    }

    /// Returns `true` if the output is shown.
    pub(super) fn follows(&self) -> bool {
        self.follow
    }

    /// Tells the id of what was accepted, does what else is asked for, and returns the code to exit with.
    pub(super) async fn follow_up(
        &self,
        client: &Client,
        accepted: &Submitted,
    ) -> Result<u8, Failure> {
        let id = accepted.execution.id.to_string();
        let told = match (self.json, self.follow) {
            (true, _) => data::json(&json!({"id": id})),
            (false, true) => {
                message::note(&id);
                Ok(())
            }
            (false, false) => data::line(&id),
        };
        if let Err(failure) = told {
            // It runs all the same, and the user has not got its id.
            message::print(format!("{id} is submitted, and goes on"));
            return Err(failure);
        }
        if self.follow {
            let follow = if self.json { logs::Show::Json } else { logs::Show::AsWritten };
            let ended = logs::follow(client, &id, 0, None, follow).await?;
            return Ok(wait::code(&ended));
        }
        if self.wait {
            return Ok(wait::code(&client.wait(&id).await?));
        }
        Ok(0)
    }
}
