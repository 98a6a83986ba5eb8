//! Standard input of a start: records that the program is given in order.

use super::Core;
use super::runner::Program;
use super::start::next_change;
use crate::cluster::{Lane, LogSubject};
use crate::error::FleetError;
use crate::pause::pause;
use crate::reader::read_all;
use crate::record::Input;
use crate::wire::{RecordError, decode};

impl Core {
    /// Writes the input of an execution to its program, until the input ends.
    pub(super) async fn feed(&self, decisions: &LogSubject, program: &dyn Program) {
        let subject = LogSubject { lane: Lane::Input, ..decisions.clone() };
        let mut next = 1;
        let mut changes = None;
        loop {
            if changes.is_none() {
                changes = self.cluster.changes(&subject).await.ok();
            }
            match self.feed_from(&subject, program, &mut next).await {
                Ok(true) => return program.close_input().await,
                Ok(false) => {}
                Err(error) => tracing::debug!(id = %subject.id, %error, "input could not be read"),
            }
            tokio::select! {
                biased;
                () = next_change(&mut changes) => {}
                () = pause(self.options.times.look_every) => {}
            }
        }
    }

    /// Writes the input that is there. Returns `true` at its end.
    async fn feed_from(
        &self,
        subject: &LogSubject,
        program: &dyn Program,
        next: &mut u64,
    ) -> Result<bool, FleetError> {
        for (seq, bytes) in read_all(&*self.cluster, subject, *next, 0).await?.records {
            let input = match decode::<Input>(&bytes) {
                Ok(input) => input,
                Err(error @ RecordError::Newer { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(id = %subject.id, %error, "a piece of input is skipped");
                    *next = seq + 1;
                    continue;
                }
            };
            let eof = input.eof;
            program.write_input(input).await;
            *next = seq + 1;
            if eof {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
