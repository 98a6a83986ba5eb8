//! How results carry the output of their execution.

use execution_engine::{ExecutionResult, PlanExecutionResult};
use serde::{Deserialize, Serialize};
use tauri::ipc::{InvokeResponseBody, IpcResponse};

use crate::frame::frame;

/// Whether a result includes the text of both streams, which may be large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutputText {
    #[default]
    Include,
    Omit,
}

impl OutputText {
    pub(super) fn apply_to_plan(self, mut result: PlanExecutionResult) -> PlanExecutionResult {
        if self == Self::Omit {
            result.results = result.results.into_iter().map(without_text).collect();
        }
        result
    }
}

/// Form in which the result of an execution has the output of both streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResultOutput {
    #[default]
    Include,
    Omit,
    /// As bytes, as the program wrote them.
    Bytes,
}

impl ResultOutput {
    pub(super) fn apply(self, result: ExecutionResult) -> ResultBody {
        match self {
            Self::Include => ResultBody::Text(Box::new(result)),
            Self::Omit => ResultBody::Text(Box::new(without_text(result))),
            Self::Bytes => ResultBody::Bytes(Box::new(result)),
        }
    }
}

fn without_text(mut result: ExecutionResult) -> ExecutionResult {
    result.stdout = String::new();
    result.stderr = String::new();
    result
}

/// Result in the form that a window receives.
pub(super) enum ResultBody {
    /// There is none yet.
    None,
    Text(Box<ExecutionResult>),
    Bytes(Box<ExecutionResult>),
}

/// Header of the frame of a result; the bytes of both streams follow it.
#[derive(Serialize)]
struct ResultHeader {
    result: ExecutionResult,
    stdout_bytes: usize,
}

impl IpcResponse for ResultBody {
    fn body(self) -> tauri::Result<InvokeResponseBody> {
        match self {
            Self::None => ().body(),
            Self::Text(result) => result.body(),
            Self::Bytes(result) => {
                let (stdout, stderr) = (result.stdout_bytes(), result.stderr_bytes());
                let result = without_text(*result);
                let header = ResultHeader { result, stdout_bytes: stdout.len() };
                let header = serde_json::to_string(&header)?;
                Ok(InvokeResponseBody::Raw(frame(&header, &[&stdout, &stderr])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use execution_engine::{ExecutionEngine, ExecutionRequest};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_result_in_bytes_has_the_output_as_it_was_written() {
        let engine = ExecutionEngine::builder().build().unwrap();
        let request = ExecutionRequest::shell(r"printf '\377a'; printf '\376b\000' >&2");
        let result = tauri::async_runtime::block_on(engine.run(request)).unwrap();
        let InvokeResponseBody::Raw(frame) = ResultOutput::Bytes.apply(result).body().unwrap()
        else {
            panic!("not a frame");
        };
        let (length, rest) = frame.split_first_chunk::<4>().unwrap();
        let (header, bytes) = rest.split_at(u32::from_le_bytes(*length) as usize);
        let header: Value = serde_json::from_slice(header).unwrap();
        assert_eq!(header["stdout_bytes"], 2);
        assert_eq!(bytes, b"\xffa\xfeb\0");
        assert_eq!(header["result"]["stdout"], "", "the text is not sent as well");
        assert_eq!(header["result"]["exit_code"], 0);
    }

    #[test]
    fn without_a_result_the_body_is_null() {
        let InvokeResponseBody::Json(body) = ResultBody::None.body().unwrap() else {
            panic!("not JSON");
        };
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!(null));
    }
}
