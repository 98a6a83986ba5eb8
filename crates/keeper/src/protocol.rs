//! What a keeper and its client say to each other.
//!
//! It is additive: both sides ignore fields that they do not know, and a call that a keeper does not know is answered
//! with [`ErrorCode::UnknownCall`].

use execution_engine::{ExecutionOptions, ExecutionRequest, Limits, Signal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{InputPiece, InputTaken};

/// The newest version of the protocol. Two that talk use the lower of theirs.
pub const PROTOCOL: u32 = 1;

/// What to start.
///
/// The program has the variables of the request and its options, and no others. The id is that of the request.
/// `priority` and `group` of the options mean nothing here. The `Debug` output shows names of variables and no values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartSpec {
    /// What to run.
    pub request: ExecutionRequest,
    /// How to run it.
    #[serde(default)]
    pub options: ExecutionOptions,
}

/// First frame of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClientHello {
    pub(crate) protocol: u32,
    #[serde(default)]
    pub(crate) build: String,
}

/// What a keeper says of itself to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeeperHello {
    /// The version of the protocol that both use.
    pub protocol: u32,
    /// Build of the keeper, see [`build_id`](crate::build_id).
    #[serde(default)]
    pub build: String,
    /// Process id of the keeper.
    #[serde(default)]
    pub pid: u32,
    /// Whether it takes no more work.
    #[serde(default)]
    pub draining: bool,
}

/// A frame with the greeting of either side.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HelloFrame<T> {
    pub(crate) hello: T,
}

/// A call and the number that its answer has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallFrame<C> {
    pub(crate) id: u64,
    pub(crate) call: C,
}

/// What a call is, for one that cannot be read as a whole.
#[derive(Debug, Deserialize)]
pub(crate) struct CallName {
    #[serde(rename = "type")]
    pub(crate) name: String,
}

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Call {
    Start { spec: Box<StartSpec> },
    Stop { id: Uuid, firm: bool },
    Signal { id: Uuid, signal: Signal },
    Pause { id: Uuid },
    Resume { id: Uuid },
    Input { id: Uuid, piece: InputPiece },
    Forget { id: Uuid },
    List { after: Option<Uuid> },
    Drain,
    Shutdown,
    CheckLimits { limits: Limits },
}

impl Call {
    /// Names of all calls.
    pub(crate) const NAMES: [&str; 11] = [
        "start",
        "stop",
        "signal",
        "pause",
        "resume",
        "input",
        "forget",
        "list",
        "drain",
        "shutdown",
        "check_limits",
    ];
}

/// Same as [`Call::Start`], of a caller that keeps what it starts.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "start")]
pub(crate) struct StartCall<'a> {
    pub(crate) spec: &'a StartSpec,
}

/// A frame of a keeper after its greeting.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeeperFrame {
    Answer { id: u64, answer: Answer },
    Notice { notice: Notice },
}

/// Answer to a call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Answer {
    Start { answer: StartAnswer },
    Done,
    Unknown,
    Signalled { processes: u32 },
    Input { taken: InputTaken },
    List { executions: Vec<Listed>, more: bool },
    Limits { refused: Option<RefusedLimit> },
    Error { code: ErrorCode, message: String },
}

/// What came of a start. In each case the keeper knows the execution from now on, until it is
/// [forgotten](crate::KeeperClient::forget).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum StartAnswer {
    /// It was taken on.
    Started,
    /// It was taken on before; nothing was started now.
    AlreadyKnown,
    /// The engine refused it, so it has ended: its journal has the ending, and a notice tells it.
    Refused {
        /// Serde form of the engine's error.
        error: Value,
        /// What a shell would make of it.
        exit_code_class: ExitCodeClass,
    },
}

/// A limit that programs of a keeper cannot have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedLimit {
    /// The field of [`Limits`].
    pub field: String,
    /// Why not, and what to do.
    pub reason: String,
}

/// What a shell makes of a program that could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExitCodeClass {
    /// There is no such program: exit code 127.
    NotFound,
    /// The program cannot be run: exit code 126.
    NotExecutable,
    /// Something else is wrong.
    #[serde(other)]
    Other,
}

/// Why a keeper refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// Of a start: the keeper takes no more work. Nothing was started, and the execution is not known.
    Draining,
    /// Of a start: the keeper is about to end. Nothing was started, and the execution is not known.
    Stopping,
    /// Of a start: its journal could not be created. Nothing was started, and the execution is not known.
    JournalFailed,
    /// Of a call about a running execution: the engine refused it.
    ControlFailed,
    /// Of input: the program reads none that can be written, because its start did not ask for that.
    NoInput,
    /// Of input: it is closed, or the program reads no more.
    InputClosed,
    /// Of input: the whole input does not end where the piece begins.
    InputMoved,
    /// Of a forget: the execution has not ended.
    StillRunning,
    /// Of a forget: the journal could not be removed.
    RemoveFailed,
    /// The keeper does not know such a call.
    UnknownCall,
    /// The call cannot be read.
    InvalidCall,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An execution that a keeper knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listed {
    /// The execution.
    pub id: Uuid,
    /// Where it stands.
    pub state: ListedState,
    /// End of its journal.
    pub end: u64,
    /// Whether a program has started.
    #[serde(default)]
    pub started: bool,
    /// Whether it is paused.
    #[serde(default)]
    pub paused: bool,
    /// End of the input that its program has taken.
    #[serde(default)]
    pub input: u64,
    /// Its result, if its ending is not in the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Whether its ending is not in the journal, because it cannot be written.
    #[serde(default)]
    pub journal_failed: bool,
    /// Output that is missing at the end of the journal, if its ending is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListedState {
    /// It has not ended.
    Running,
    /// It has ended and was not forgotten.
    Ended,
}

/// Output that could not be written to a journal and is not told in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Missed {
    /// Bytes of standard output.
    pub stdout_bytes: u64,
    /// Bytes of standard error.
    pub stderr_bytes: u64,
}

/// News of an execution. Between two reads a client gets the latest of each execution only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// The journal has grown, or the program has taken input.
    Progress {
        /// The execution.
        id: Uuid,
        /// End of its journal.
        end: u64,
        /// End of the input that its program has taken.
        #[serde(default, skip_serializing_if = "is_zero")]
        input: u64,
    },
    /// The execution has ended.
    Ended {
        /// The execution.
        id: Uuid,
        /// End of its journal.
        end: u64,
        /// Serde form of the result, without the text of the output.
        result: Option<Value>,
        /// Whether the ending is not in the journal, because it cannot be written. Another notice follows when it is.
        #[serde(default)]
        journal_failed: bool,
        /// Output that is missing at the end of the journal, if the ending is not in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<Missed>,
    },
}

/// Returns `true` for what is left out. Takes a reference because serde gives one.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Notice {
    /// Makes it a later notice of the same execution. What has come so far in one way is not lost by a notice of
    /// another.
    pub(crate) fn replace(&mut self, later: Self) {
        let before = match self {
            Self::Progress { end, input, .. } => Some((*end, *input)),
            Self::Ended { .. } => None,
        };
        *self = later;
        if let (Self::Progress { end, input, .. }, Some(before)) = (self, before) {
            (*end, *input) = ((*end).max(before.0), (*input).max(before.1));
        }
    }

    /// Returns the execution that the notice is about.
    #[must_use]
    pub fn id(&self) -> Uuid {
        match self {
            Self::Progress { id, .. } | Self::Ended { id, .. } => *id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_are_stable_and_what_is_new_is_ignored() {
        let call = json!({"id": 7, "call": {"type": "stop", "id": Uuid::nil(), "firm": true, "new": 1}, "new": 2});
        let read: CallFrame<Call> = serde_json::from_value(call).unwrap();
        assert!(matches!(read.call, Call::Stop { firm: true, .. }));
        let drain: CallFrame<Call> =
            serde_json::from_value(json!({"id": 1, "call": {"type": "drain"}})).unwrap();
        assert!(matches!(drain.call, Call::Drain));

        let notice = Notice::Progress { id: Uuid::nil(), end: 9, input: 0 };
        let frame = serde_json::to_value(KeeperFrame::Notice { notice }).unwrap();
        assert_eq!(frame, json!({"notice": {"type": "progress", "id": Uuid::nil(), "end": 9}}));
        let answer = KeeperFrame::Answer {
            id: 1,
            answer: Answer::Start { answer: StartAnswer::AlreadyKnown },
        };
        let frame = serde_json::to_value(answer).unwrap();
        let expected =
            json!({"id": 1, "answer": {"type": "start", "answer": {"type": "already_known"}}});
        assert_eq!(frame, expected);
        let error =
            json!({"id": 1, "answer": {"type": "error", "code": "of_tomorrow", "message": "m"}});
        let KeeperFrame::Answer { answer: Answer::Error { code, .. }, .. } =
            serde_json::from_value(error).unwrap()
        else {
            panic!("no error")
        };
        assert_eq!(code, ErrorCode::Unknown);
    }

    #[test]
    fn every_call_has_its_name() {
        let spec = StartSpec {
            request: ExecutionRequest::shell("true").env("TOKEN", "hunter2"),
            options: ExecutionOptions::default().env("OTHER", "hunter3"),
        };
        assert!(!format!("{spec:?}").contains("hunter"));
        let start = serde_json::to_value(StartCall { spec: &spec }).unwrap();
        let id = spec.request.id;
        let (writer, bytes) = ("w".to_string(), b"y".to_vec());
        let piece = InputPiece { writer, offset: 0, bytes, eof: true };
        let calls = [
            Call::Start { spec: Box::new(spec) },
            Call::Stop { id, firm: false },
            Call::Signal { id, signal: Signal::Interrupt },
            Call::Pause { id },
            Call::Resume { id },
            Call::Input { id, piece },
            Call::Forget { id },
            Call::List { after: None },
            Call::Drain,
            Call::Shutdown,
            Call::CheckLimits { limits: Limits::default() },
        ];
        assert_eq!(start, serde_json::to_value(&calls[0]).unwrap());
        for (call, name) in calls.iter().zip(Call::NAMES) {
            let text = serde_json::to_string(call).unwrap();
            let read: CallName = serde_json::from_str(&text).unwrap();
            assert_eq!(read.name, name);
            serde_json::from_str::<Call>(&text).unwrap();
        }
    }
}
