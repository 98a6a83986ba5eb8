//! One engine for a whole process, for programs that do not want to pass one around.

use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::config::ExecutionConfig;
use crate::engine::ExecutionEngine;
use crate::error::{ExecutionError, Result};

static GLOBAL: OnceLock<ExecutionEngine> = OnceLock::new();
/// Makes looking and setting one step, so that no engine is created in vain.
static SETTING: Mutex<()> = Mutex::new(());

/// Creates the process-wide engine with this configuration.
///
/// # Errors
/// [`ExecutionError::GlobalAlreadyInitialised`] if it exists already, also by an earlier
/// [`global`]; a validation error if the configuration is invalid.
///
/// ```
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// init_global(ExecutionConfig { max_concurrent_executions: 4, ..Default::default() })?;
/// assert_eq!(global().available_permits(), 4);
/// global().run(ExecutionRequest::shell("true")).await?;
/// # Ok(()) }
/// ```
pub fn init_global(config: ExecutionConfig) -> Result<()> {
    let _setting = SETTING.lock();
    if GLOBAL.get().is_some() {
        return Err(ExecutionError::GlobalAlreadyInitialised);
    }
    let engine = ExecutionEngine::new(config)?;
    GLOBAL.set(engine).map_err(|_| ExecutionError::GlobalAlreadyInitialised)
}

/// Returns the process-wide engine. Creates it with the default configuration if [`init_global`]
/// has not been called.
///
/// It lives as long as the process.
pub fn global() -> &'static ExecutionEngine {
    // Without the lock where there is one, which is nearly always.
    if let Some(engine) = GLOBAL.get() {
        return engine;
    }
    let _setting = SETTING.lock();
    // `init_global` may have been faster, so look again.
    GLOBAL.get_or_init(|| {
        ExecutionEngine::new(ExecutionConfig::default())
            .expect("the default configuration is valid")
    })
}
