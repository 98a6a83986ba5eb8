//! Tests of what this crate itself promises, without the engine above it.

#[cfg(not(execution_engine_portable))]
mod cgroups;
mod hosts;
mod levels;
#[cfg(execution_engine_portable)]
mod portable;
mod support;
#[cfg(feature = "tokio")]
mod waiting;
