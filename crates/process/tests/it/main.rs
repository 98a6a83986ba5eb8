//! Tests of what this crate itself promises, without the engine above it.

#[cfg(not(execution_engine_portable))]
mod cgroups;
mod hosts;
mod levels;
#[cfg(execution_engine_portable)]
mod portable;
#[cfg(not(execution_engine_portable))]
mod remembered;
mod support;
#[cfg(not(execution_engine_portable))]
mod users;
mod waiting;
