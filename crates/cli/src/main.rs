//! The command line `exeng`: runs commands contained, bounded and observed, here or in a service.
//!
//! `cli` has the verbs and their options, and each verb has a module of its own. `request` makes a
//! request of the options that the verbs which start programs share, and `exit_code` has the codes
//! that all verbs exit with.
#![forbid(unsafe_code)]

mod cli;
mod duration;
mod env_file;
mod exit_code;
mod limit;
mod message;
mod request;
mod run;
mod signal_name;
mod size;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Verb};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::report(&error),
    };
    match cli.verb {
        Verb::Run(options) => run::run(&options),
    }
}
