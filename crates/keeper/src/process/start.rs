use std::sync::Arc;

use chrono::Utc;
use execution_engine::{
    Ending, ExecutionError, ExecutionOptions, ExecutionResult, OutputMode, ProgramFault,
    StdinSource,
};
use execution_engine_journal::JournalWriter;
use serde_json::{Value, json};
use uuid::Uuid;

use super::execution::{Execution, Refusal};
use super::keeper::{Claim, Keeper};
use super::live_journal::LiveJournal;
use crate::directory;
use crate::faults::{self, FaultPoint};
use crate::protocol::{Answer, ErrorCode, ExitCodeClass, StartAnswer, StartSpec};

impl Keeper {
    /// Starts an execution, unless it is known. Others that ask for it meanwhile get the answer when this one has it.
    pub(super) async fn start(self: &Arc<Self>, spec: StartSpec) -> Answer {
        faults::reached(FaultPoint::StartBegin);
        let has_input = spec.options.stdin == StdinSource::Piped;
        let started = match self.shared.claim(spec.request.id, has_input) {
            Ok(Claim::Known(known)) => known.taken_on().await.map(|()| StartAnswer::AlreadyKnown),
            Ok(Claim::New(new)) => self.start_new(new, spec).await,
            Err(code) => Err(no_more_work(code)),
        };
        started.map_or_else(Answer::from, |answer| Answer::Start { answer })
    }

    async fn start_new(
        self: &Arc<Self>,
        execution: Arc<Execution>,
        spec: StartSpec,
    ) -> Result<StartAnswer, Refusal> {
        let undecided = Undecided { keeper: self, execution: &execution, is_decided: false };
        if let Err(refusal) = self.create_journal(&execution) {
            return Err(undecided.refuse(refusal));
        }
        faults::reached(FaultPoint::JournalCreated);
        let StartSpec { request, mut options } = spec;
        // The queue is the server's.
        (options.priority, options.group) = (0, None);
        let failure = match check(&options) {
            Err(failure) => failure,
            Ok(()) => match self.engine.execute_with(request, options).await {
                Ok(_id) => {
                    faults::reached(FaultPoint::Started);
                    undecided.take_on();
                    tokio::spawn(Arc::clone(self).end_with_program(execution));
                    return Ok(StartAnswer::Started);
                }
                Err(ExecutionError::ShuttingDown) => {
                    return Err(undecided.refuse(no_more_work(ErrorCode::Stopping)));
                }
                Err(error) => Failure::from(error),
            },
        };
        undecided.take_on();
        let result = failure.result(execution.id);
        tokio::spawn(Arc::clone(self).end(execution, result));
        Ok(StartAnswer::Refused { error: failure.error, exit_code_class: failure.class })
    }

    fn create_journal(&self, execution: &Execution) -> Result<(), Refusal> {
        let path = directory::journal_path(&self.options.dir, execution.id);
        let created = JournalWriter::create(&path).and_then(|writer| {
            // Without a file no client could be told of this start.
            LiveJournal::new(writer).inspect_err(|_| drop(std::fs::remove_file(&path)))
        });
        match created {
            Ok(journal) => {
                execution.set_journal(journal);
                Ok(())
            }
            Err(error) => {
                let path = path.display();
                let message = format!(
                    "cannot create the journal {path}: {error}; nothing was started: make room for it and start again"
                );
                tracing::error!("{message}");
                Err(Refusal { code: ErrorCode::JournalFailed, message })
            }
        }
    }
}

/// An execution of which it is not decided whether it is taken on. Dropped, it is not.
struct Undecided<'a> {
    keeper: &'a Keeper,
    execution: &'a Arc<Execution>,
    is_decided: bool,
}

impl Undecided<'_> {
    fn take_on(mut self) {
        self.is_decided = true;
        self.execution.decide(Ok(()));
    }

    fn refuse(mut self, refusal: Refusal) -> Refusal {
        self.is_decided = true;
        self.give_up(refusal.clone());
        refusal
    }

    /// Leaves nothing behind.
    fn give_up(&self, refusal: Refusal) {
        let path = directory::journal_path(&self.keeper.options.dir, self.execution.id);
        // A journal that could not be created is not this one's.
        if self.execution.has_journal()
            && let Err(error) = self.execution.forget(&path)
        {
            tracing::error!(%error, "the journal of a start that was refused stays: {}", path.display());
        }
        self.keeper.shared.remove(self.execution);
        self.execution.decide(Err(refusal));
    }
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            self.give_up(no_more_work(ErrorCode::Stopping));
        }
    }
}

fn no_more_work(code: ErrorCode) -> Refusal {
    let message = match code {
        ErrorCode::Draining => "this keeper takes no more work; start it with another one",
        _ => "this keeper is about to end; start it with another one",
    };
    Refusal { code, message: message.to_string() }
}

/// A start that is an ending.
struct Failure {
    /// Serde form of the error.
    error: Value,
    reason: String,
    os_error: Option<i32>,
    class: ExitCodeClass,
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        let fault = error.program_fault();
        let class = match fault {
            Some(ProgramFault::NotFound) => ExitCodeClass::NotFound,
            Some(ProgramFault::NotRunnable) => ExitCodeClass::NotExecutable,
            None => ExitCodeClass::Other,
        };
        let reason = error.to_string();
        // An ending has no class, so the number of the system says what a shell would make of it.
        let of_class = fault.map(ProgramFault::os_error);
        let os_error = match &error {
            ExecutionError::SpawnFailed { os_error, .. } => os_error.or(of_class),
            _ => of_class,
        };
        // An error has a JSON form: text and numbers.
        Self { error: serde_json::to_value(error).unwrap_or_default(), reason, os_error, class }
    }
}

impl Failure {
    fn result(&self, id: Uuid) -> ExecutionResult {
        let now = Utc::now();
        let ending = Ending::SpawnFailed { reason: self.reason.clone(), os_error: self.os_error };
        let mut result = ExecutionResult::lost(id, now, now, "");
        result.status = ending.status();
        result.exit_code = ending.exit_code();
        result.error = Some(ending.to_string());
        result.ending = ending;
        result.attempts = 0;
        result
    }
}

/// Refuses the streams of this process, which are its log.
fn check(options: &ExecutionOptions) -> Result<(), Failure> {
    let (field, what) = if !matches!(options.output, OutputMode::Separate | OutputMode::Merged) {
        ("output", "cannot be inherited: the program runs in the service; leave it out")
    } else if matches!(options.stdin, StdinSource::Inherit) {
        (
            "stdin",
            "cannot be inherited: the program runs in the service; give it bytes, a file or a pipe",
        )
    } else {
        return Ok(());
    };
    let reason = format!("{field} {what}");
    // As the engine writes an option that is invalid.
    let error = json!({
        "code": "invalid_option",
        "message": reason,
        "retryable": false,
        "field": field,
    });
    Err(Failure { error, reason, os_error: None, class: ExitCodeClass::Other })
}
