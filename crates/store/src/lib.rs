//! Durable history of executions.
#![forbid(unsafe_code)]
