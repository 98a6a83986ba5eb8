//! The keeper: the process that runs the programs of the service and outlives it.
#![forbid(unsafe_code)]
