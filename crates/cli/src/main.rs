//! The command line `exeng`: runs commands contained, bounded and observed, here or in a service.
//!
//! `cli` has the verbs and their options, and each verb has a module of its own. `request` makes a
//! request of the options that the verbs which start programs share, `service` has the verbs of the
//! service, and `exit_code` has the codes that all verbs exit with.
#![forbid(unsafe_code)]

mod cli;
mod completions;
mod data;
mod duration;
mod env_file;
mod examples;
mod exit_code;
mod failure;
mod fault;
#[cfg(feature = "fleet")]
mod fleet;
mod limit;
mod man;
mod message;
mod moment;
mod option_names;
mod plan;
mod plan_file;
mod request;
mod run;
mod service;
mod signal_name;
mod size;
mod terminal_text;
mod time_zone;
mod variables;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Verb};
use service::{
    attach, block_on, doctor, export, gc, group, import, input, keeper, keepers, logs, ls, manage,
    pause, pin, rerun, rm, schedule, serve, show, signal, stop, submit, token, wait,
};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    if let Some(code) = completions::answer_shell() {
        return code;
    }
    match Cli::try_parse() {
        Ok(cli) => obey(cli),
        Err(error) => cli::report(error),
    }
}

/// Does what the command line says, and returns the code to exit with.
fn obey(cli: Cli) -> ExitCode {
    let global = &cli.global;
    if global.quiet {
        message::leave_notes_out();
    }
    #[cfg(feature = "fleet")]
    if let Some(code) = service::elsewhere::instead(&cli) {
        return code;
    }
    match cli.verb {
        Verb::Run(options) => run::run(&options),
        Verb::Submit(options) => block_on(submit::run(global, &options)),
        Verb::Ls(options) => block_on(ls::run(global, &options)),
        Verb::Show(options) => block_on(show::run(global, &options)),
        Verb::Logs(options) => block_on(logs::run(global, &options)),
        Verb::Wait(options) => block_on(wait::run(global, &options)),
        Verb::Stop(options) => block_on(stop::run(global, &options)),
        Verb::Attach(options) => block_on(attach::run(global, &options)),
        Verb::Input(options) => block_on(input::run(global, &options)),
        Verb::Signal(options) => block_on(signal::run(global, &options)),
        Verb::Pause(options) => block_on(pause::pause(global, &options)),
        Verb::Resume(options) => block_on(pause::resume(global, &options)),
        Verb::Pin(options) => block_on(pin::run(global, &options)),
        Verb::Rerun(options) => block_on(rerun::run(global, &options)),
        Verb::Rm(options) => block_on(rm::run(global, &options)),
        Verb::Group(options) => block_on(group::run(global, &options)),
        Verb::Gc(options) => block_on(gc::run(global, &options)),
        Verb::Export(options) => block_on(export::run(global, &options)),
        Verb::Import(options) => block_on(import::run(global, &options)),
        Verb::Keepers(options) => block_on(keepers::run(global, &options)),
        Verb::Doctor(options) => block_on(doctor::run(global, &options)),
        Verb::Schedule(options) => block_on(schedule::run(global, &options)),
        Verb::Token(options) => block_on(token::run(global, &options)),
        Verb::Serve(options) => serve::run(global, &options),
        Verb::Service(options) => block_on(manage::run(global, &options)),
        #[cfg(feature = "fleet")]
        Verb::Worker(options) => fleet::worker::run(global, &options),
        #[cfg(feature = "fleet")]
        Verb::Fleet(options) => block_on(fleet::verbs::run(global, &options)),
        Verb::Plan(options) => plan::run(global, &options),
        Verb::Completions(options) => completions::run(&options),
        Verb::Man(options) => man::run(&options),
        Verb::Keeper(options) => keeper::run(&options),
    }
}

/// Lets this process say on stderr what it notices: warnings, or what `EXENG_LOG` asks for (`error`,
/// `warn`, `info`, `debug`, `trace`, `off`).
fn tracing_to_stderr() {
    let wanted = std::env::var("EXENG_LOG").ok().and_then(|level| level.parse().ok());
    let level = wanted.unwrap_or(LevelFilter::WARN);
    // A line that cannot be written is lost and nothing else; by default that would be told on stderr, too, and panic.
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).log_internal_errors(false);
    subscriber.with_writer(std::io::stderr).init();
}
