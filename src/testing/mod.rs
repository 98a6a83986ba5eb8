//! A test double: an engine that plays scripted programs and starts no process, for tests of code that
//! runs commands.
//!
//! [`EngineBuilder::scripted`](crate::EngineBuilder::scripted) makes such an engine. Only the start of
//! programs is replaced. Checks, queue, events, subscriptions, timeouts, cancels, retries, plans,
//! logs and results are those of the real engine. A request is checked as always, except that
//! programs, scripts and directories need not exist.
//!
//! ```
//! use execution_engine::testing::{Script, ScriptedProgram};
//! use execution_engine::*;
//!
//! // The code to test.
//! async fn deploy(engine: &ExecutionEngine) -> Result<String> {
//!     let apply = ExecutionRequest::exec("kubectl", ["apply", "-f", "app.yaml"]);
//!     Ok(engine.run(apply).await?.into_result()?.stdout)
//! }
//!
//! # #[tokio::main] async fn main() -> Result<()> {
//! let script = Script::new()
//!     .on_program("kubectl", ScriptedProgram::new().stdout("app configured\n"));
//! let engine = ExecutionEngine::builder().scripted(script.clone()).build()?;
//! assert_eq!(deploy(&engine).await?, "app configured\n");
//! assert_eq!(script.requests()[0].command.to_string(), "kubectl apply -f app.yaml");
//! # Ok(()) }
//! ```

mod player;
mod program;
mod script;

pub(crate) use player::Player;
pub use program::ScriptedProgram;
pub use script::Script;
pub(crate) use script::ScriptedStart;
