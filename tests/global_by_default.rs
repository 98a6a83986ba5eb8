//! The global engine without a configuration.
//!
//! The only test of this binary: a process has one such engine.

use execution_engine::*;
use test_support::*;

#[tokio::test]
async fn first_use_fixes_the_defaults() {
    assert_eq!(*global().config(), ExecutionConfig::default());
    let other = ExecutionConfig { max_concurrent_executions: 3, ..Default::default() };
    assert_eq!(init_global(other), Err(ExecutionError::GlobalAlreadyInitialised));
    assert_eq!(*global().config(), ExecutionConfig::default());
    assert!(soon("its end", global().run(shell("exit 0"))).await.unwrap().success);
}
