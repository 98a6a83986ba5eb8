use std::sync::Arc;
use std::time::Duration;

use execution_engine::{ExecutionError, ExecutionResult};
use tokio::time::Instant;
use uuid::Uuid;

use super::execution::{EndingWritten, Execution, Refusal};
use super::keeper::Keeper;
use crate::directory;
use crate::faults::{self, FaultPoint};
use crate::protocol::{Answer, ErrorCode};

/// First pause before an ending is written again that could not be; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Keeper {
    /// Waits for the end of a program, and keeps its ending.
    pub(super) async fn end_with_program(self: Arc<Self>, execution: Arc<Execution>) {
        let id = execution.id;
        let result = match self.completion(&execution).await {
            Ok(result) => result,
            Err(error) => {
                // Its record is removed here and nowhere else.
                tracing::error!(%id, %error, "an execution has no record");
                return;
            }
        };
        // The journal has the ending from now on.
        if let Err(error) = self.engine.remove_execution(id).await {
            tracing::warn!(%id, %error, "the engine keeps a record");
        }
        self.end(execution, result).await;
    }

    /// Waits for the end of a program. One that is paused stays so when it is started again.
    async fn completion(&self, execution: &Execution) -> Result<ExecutionResult, ExecutionError> {
        let completion = self.engine.wait_for_completion(execution.id);
        tokio::pin!(completion);
        loop {
            tokio::select! {
                biased;
                result = &mut completion => return result,
                () = execution.restarted.notified() => self.pause_again(execution).await,
            }
        }
    }

    /// Writes an ending and tells the clients. If it cannot be written they are told so, and it is tried until it can,
    /// or until no client asks for it any more.
    pub(super) async fn end(self: Arc<Self>, execution: Arc<Execution>, result: ExecutionResult) {
        faults::reached(FaultPoint::BeforeEnded);
        let mut pause = FIRST_PAUSE;
        loop {
            match execution.write_ended(&result) {
                EndingWritten::Forgotten => return,
                EndingWritten::Yes(value) => {
                    if let Some(power) = &self.power {
                        power.sync(execution.take_unsynced(1).into_iter().collect()).await;
                    }
                    faults::reached(FaultPoint::EndedWritten);
                    self.shared.tell(&execution.set_ended(value, true));
                    self.shared.changed.notify_one();
                    faults::reached(FaultPoint::EndedTold);
                    return;
                }
                EndingWritten::No(value, error) => {
                    let id = execution.id;
                    if !execution.has_ended() {
                        tracing::error!(%id, %error, "an ending cannot be written to its journal");
                        self.shared.tell(&execution.set_ended(value, false));
                        self.shared.changed.notify_one();
                    }
                    // The system does not tell when there is room.
                    let again = Instant::now() + pause;
                    let _either = tokio::time::timeout_at(again, execution.forgotten()).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Forgets an execution that has ended.
    pub(super) async fn forget(&self, id: Uuid) -> Answer {
        let Some(execution) = self.shared.get(id) else { return Answer::Unknown };
        if !execution.has_ended() {
            let message = format!("{id} has not ended; stop it first, or wait for its end");
            return Refusal { code: ErrorCode::StillRunning, message }.into();
        }
        faults::reached(FaultPoint::BeforeForget);
        let path = directory::journal_path(&self.options.dir, id);
        let (forgotten, its_path) = (Arc::clone(&execution), path.clone());
        // To remove a large file takes a while.
        let removed = tokio::task::spawn_blocking(move || forgotten.forget(&its_path)).await;
        if let Err(error) = removed.unwrap_or_else(|error| Err(error.into())) {
            let path = path.display();
            let message = format!("cannot remove the journal {path}: {error}; forget it again");
            return Refusal { code: ErrorCode::RemoveFailed, message }.into();
        }
        self.shared.remove(&execution);
        faults::reached(FaultPoint::Forgotten);
        Answer::Done
    }
}
