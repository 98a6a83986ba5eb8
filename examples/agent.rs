//! Serves commands to an agent: one call per line on standard input, one answer per line on standard
//! output, both in JSON.
//!
//! ```text
//! $ cargo run --example agent
//! {"call": 1, "method": "start", "request": {"command": {"type": "shell", "command": "make"}}}
//! {"call":1,"result":{"execution":"7f0c.."}}
//! {"call": 2, "method": "read", "execution": "7f0c..", "query": {"wait_ms": 10000}}
//! {"call":2,"result":{"parts":[{"type":"output","stream":"stdout","data":"ok\n"}],"next":{..},"ended":true}}
//! ```
//!
//! The other methods are `write`, `close_stdin`, `signal`, `cancel`, `summary` and `list`. Calls are answered as they finish, so a read that waits holds up nothing. At the end of the
//! input all that still runs is stopped.

use execution_engine::*;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout};
use tokio::sync::mpsc;

/// Most output that one answer has: an agent pays for what it reads.
const PAGE: usize = 16 * 1024;

/// One line of the input.
#[derive(Deserialize)]
struct Call {
    /// Chosen by the caller; the answer has it.
    call: Value,
    #[serde(flatten)]
    method: Method,
}

#[derive(Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
enum Method {
    Start {
        request: Box<ExecutionRequest>,
        #[serde(default)]
        options: Box<ExecutionOptions>,
    },
    Read {
        execution: Uuid,
        #[serde(default)]
        query: OutputQuery,
    },
    Write {
        execution: Uuid,
        data: String,
    },
    CloseStdin {
        execution: Uuid,
    },
    Signal {
        execution: Uuid,
        signal: Signal,
    },
    Cancel {
        execution: Uuid,
    },
    Summary {
        execution: Uuid,
    },
    List,
}

impl Method {
    async fn answer(self, engine: &ExecutionEngine) -> Result<Value> {
        Ok(match self {
            Self::Start { request, options } => {
                json!({ "execution": engine.execute_with(*request, *options).await? })
            }
            Self::Read { execution, query } => {
                let query = query.max_bytes(query.max_bytes.min(PAGE));
                json!(engine.read_output(execution, query).await?)
            }
            Self::Write { execution, data } => {
                json!({ "written": engine.write_stdin(execution, data).await? })
            }
            Self::CloseStdin { execution } => json!(engine.close_stdin(execution).await?),
            Self::Signal { execution, signal } => {
                json!({ "signalled": engine.signal(execution, signal).await? })
            }
            Self::Cancel { execution } => json!(engine.cancel(execution).await?),
            Self::Summary { execution } => json!(engine.get_summary(execution).await?),
            Self::List => json!(engine.list_executions().await),
        })
    }
}

/// Returns the answer to a line.
async fn answer(engine: &ExecutionEngine, line: &str) -> Value {
    let Call { call, method } = match serde_json::from_str(line) {
        Ok(call) => call,
        Err(error) => {
            return json!({ "error": { "code": "bad_call", "message": error.to_string() } });
        }
    };
    match method.answer(engine).await {
        Ok(result) => json!({ "call": call, "result": result }),
        Err(error) => {
            let (code, message) = (error.error_code(), error.to_string());
            json!({ "call": call, "error": { "code": code, "message": message } })
        }
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let engine = ExecutionEngine::builder()
        .admission(Admission::Queue { max_waiting: 1000 })
        .keep_head_and_tail()
        .build()?;
    let (sender, mut answers) = mpsc::channel::<Value>(64);
    let writer = tokio::spawn(async move {
        while let Some(answer) = answers.recv().await {
            stdout().write_all(format!("{answer}\n").as_bytes()).await?;
            stdout().flush().await?;
        }
        std::io::Result::Ok(())
    });
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (engine, sender) = (engine.clone(), sender.clone());
        tokio::spawn(async move {
            // Without a reader there is no one to tell.
            let _unread = sender.send(answer(&engine, &line).await).await;
        });
    }
    engine.shutdown(Duration::from_secs(2)).await;
    drop(sender);
    writer.await??;
    Ok(())
}
