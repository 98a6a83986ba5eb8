//! The command line `exeng`.
#![forbid(unsafe_code)]

fn main() {}
