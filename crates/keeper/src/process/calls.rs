use std::sync::Arc;
use std::time::Duration;

use execution_engine::{ExecutionError, Limits, Signal};
use uuid::Uuid;

use super::execution::{Execution, Refusal};
use super::keeper::Keeper;
use crate::protocol::{Answer, Call, CallFrame, CallName, ErrorCode, RefusedLimit};

/// Executions in one answer.
const PAGE: usize = 2_000;

impl Keeper {
    /// Carries out a call.
    pub(super) async fn answer(self: &Arc<Self>, call: Call) -> Answer {
        match call {
            Call::Start { spec } => self.start(*spec).await,
            Call::Stop { id, firm } => self.stop(id, firm).await,
            Call::Signal { id, signal } => self.signal(id, signal).await,
            Call::Pause { id } => self.set_paused(id, true).await,
            Call::Resume { id } => self.set_paused(id, false).await,
            Call::Input { id, piece } => self.input(id, &piece).await,
            Call::Forget { id } => self.forget(id).await,
            Call::List { after } => {
                let (page, more) = self.shared.page(after, PAGE);
                let executions = page.iter().map(|execution| execution.listed()).collect();
                Answer::List { executions, more }
            }
            Call::Drain => {
                tracing::info!("drains");
                self.shared.drain();
                Answer::Done
            }
            Call::Shutdown => {
                self.shared.stop();
                Answer::Done
            }
            Call::CheckLimits { limits } => self.check_limits(limits).await,
        }
    }

    async fn check_limits(&self, limits: Limits) -> Answer {
        let engine = self.engine.clone();
        // It may start a child that tries them.
        match tokio::task::spawn_blocking(move || engine.check_limits(&limits)).await {
            Ok(checked) => Answer::Limits {
                refused: checked.err().map(|limit| RefusedLimit {
                    field: limit.field.to_string(),
                    reason: limit.reason,
                }),
            },
            Err(error) => {
                Refusal { code: ErrorCode::ControlFailed, message: error.to_string() }.into()
            }
        }
    }

    async fn stop(&self, id: Uuid, firm: bool) -> Answer {
        let Some(execution) = self.taken_on(id).await else { return Answer::Unknown };
        let stopped = match firm {
            true => self.engine.cancel_within(id, Duration::ZERO).await,
            false => self.engine.cancel(id).await,
        };
        match stopped {
            // It ended by itself.
            Ok(()) | Err(ExecutionError::AlreadyEnded { .. } | ExecutionError::NotFound(_)) => {
                // The engine has ended a pause: what is frozen acts on no signal.
                execution.set_paused(false);
                Answer::Done
            }
            Err(error) => control_failed(&error),
        }
    }

    async fn signal(&self, id: Uuid, signal: Signal) -> Answer {
        let Some(execution) = self.taken_on(id).await else { return Answer::Unknown };
        let _alone = execution.control.lock().await;
        match self.engine.signal(id, signal).await {
            Ok(processes) => {
                if signal == Signal::Continue {
                    // The engine takes it for the end of a pause.
                    execution.set_paused(false);
                }
                Answer::Signalled { processes }
            }
            Err(error) => control_failed(&error),
        }
    }

    async fn set_paused(&self, id: Uuid, paused: bool) -> Answer {
        let Some(execution) = self.taken_on(id).await else { return Answer::Unknown };
        let _alone = execution.control.lock().await;
        let done = match paused {
            true => self.engine.pause(id).await,
            false => self.engine.resume(id).await,
        };
        match done {
            Ok(()) => {
                execution.set_paused(paused);
                Answer::Done
            }
            Err(error) => control_failed(&error),
        }
    }

    /// Pauses a program that is paused and was started again: something else has ended it.
    pub(super) async fn pause_again(&self, execution: &Execution) {
        let _alone = execution.control.lock().await;
        if execution.is_paused()
            && let Err(error) = self.engine.pause(execution.id).await
        {
            tracing::warn!(id = %execution.id, %error, "a paused program goes on after its restart");
        }
    }

    /// Returns an execution, once it is taken on. None if it is not known.
    pub(super) async fn taken_on(&self, id: Uuid) -> Option<Arc<Execution>> {
        let execution = self.shared.get(id)?;
        execution.taken_on().await.ok()?;
        Some(execution)
    }
}

pub(super) fn control_failed(error: &ExecutionError) -> Answer {
    let message = match error {
        // Its record is removed as soon as the journal has its ending.
        ExecutionError::NotFound(id) => format!("{id} has already ended; nothing was changed"),
        error => error.to_string(),
    };
    Refusal { code: ErrorCode::ControlFailed, message }.into()
}

/// Reads a frame with a call. The error is what makes it no call of any version.
pub(super) fn read(bytes: &[u8]) -> Result<(u64, Result<Call, Refusal>), String> {
    let frame = match serde_json::from_slice::<CallFrame<Call>>(bytes) {
        Ok(CallFrame { id, call }) => return Ok((id, Ok(call))),
        // The text of an error may quote a value, which may be a secret.
        Err(error) => serde_json::from_slice::<CallFrame<CallName>>(bytes)
            .map(|frame| (frame, format!("line {} column {}", error.line(), error.column())))
            .map_err(|_| "a frame is no call".to_string())?,
    };
    let (CallFrame { id, call: CallName { name } }, place) = frame;
    let refusal = match Call::NAMES.contains(&name.as_str()) {
        true => Refusal {
            code: ErrorCode::InvalidCall,
            message: format!("the call {name:?} cannot be read ({place})"),
        },
        false => Refusal {
            code: ErrorCode::UnknownCall,
            message: format!("this keeper does not know the call {name:?}; use a newer one"),
        },
    };
    Ok((id, Err(refusal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_invalid_calls_are_told_and_quote_nothing() {
        let code = |text: &str| {
            let (id, call) = read(text.as_bytes()).unwrap();
            assert_eq!(id, 5);
            call.unwrap_err()
        };
        let unknown = code(r#"{"id": 5, "call": {"type": "of_tomorrow", "x": 1}}"#);
        assert_eq!(unknown.code, ErrorCode::UnknownCall);
        let invalid = code(
            r#"{"id": 5, "call": {"type": "start", "spec": {"request": {"env": {"A": "x"}, "timeout_ms": "hunter2"}}}}"#,
        );
        assert_eq!(invalid.code, ErrorCode::InvalidCall);
        assert!(!invalid.message.contains("hunter2"), "{}", invalid.message);
        for garbage in ["", "hello", "[1]", r#"{"id": 5}"#, r#"{"call": {"type": "drain"}}"#] {
            read(garbage.as_bytes()).unwrap_err();
        }
    }
}
