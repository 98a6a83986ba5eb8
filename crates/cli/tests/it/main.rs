//! Tests of the command line, as its users start it.

mod descriptors;
mod help;
mod output;
mod plan;
mod run;
mod support;
mod terminal;
