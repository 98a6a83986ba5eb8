//! One engine for a whole process, for those who want no handle to pass around.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::config::ExecutionConfig;
use crate::engine::ExecutionEngine;
use crate::error::{ExecutionError, Result};

static GLOBAL: OnceLock<ExecutionEngine> = OnceLock::new();
/// Makes looking and setting one step, so that no engine is made to be thrown away.
static SETTING: Mutex<()> = Mutex::new(());

/// Makes the process-wide engine with this configuration.
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
    let _setting = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    if GLOBAL.get().is_some() {
        return Err(ExecutionError::GlobalAlreadyInitialised);
    }
    let engine = ExecutionEngine::new(config)?;
    GLOBAL.set(engine).map_err(|_| ExecutionError::GlobalAlreadyInitialised)
}

/// The process-wide engine; made with the default configuration if
/// [`init_global`] has not been called.
///
/// It lives as long as the process.
pub fn global() -> &'static ExecutionEngine {
    let _setting = SETTING.lock().unwrap_or_else(PoisonError::into_inner);
    GLOBAL.get_or_init(|| {
        ExecutionEngine::new(ExecutionConfig::default())
            .expect("the default configuration is valid")
    })
}
