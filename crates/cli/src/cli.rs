//! The verbs, and the options that all of them take.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::ArgValueCompleter;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};

#[cfg(feature = "fleet")]
use crate::fleet;
use crate::service::{
    attach, doctor, export, gc, group, import, input, keeper, keepers, logs, ls, manage, pause,
    pin, rerun, rm, schedule, serve, show, signal, stop, submit, token, wait,
};
use crate::{completions, examples, exit_code, man, plan, run, terminal_text};

/// Run commands contained, bounded and observed, here or in a service
#[derive(Debug, Parser)]
#[command(name = "exeng", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: that of the program; 128+n if signal n ended it; 124 timeout; 126 it cannot be run;
127 it was not found; 130 cancelled; 125 exeng itself failed or refused the request.";

/// Options of all verbs. They may stand before the verb and after it.
#[derive(Debug, Args)]
pub(crate) struct GlobalOptions {
    // The variables are read where the places are found, where an empty one is none.
    /// Directory of the service's state; alone it moves socket and configuration there, too [env: EXENG_STATE_DIR]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Socket of the service [env: EXENG_SOCKET]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub(crate) socket: Option<PathBuf>,
    /// Configuration file [env: EXENG_CONFIG]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Fail where the service does not run, instead of starting it
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_start: bool,
    /// Servers of a fleet to run on, as URL,URL.. or the name of a [fleet.NAME] of the configuration file
    /// [env: EXENG_ON]
    #[cfg(feature = "fleet")]
    #[arg(long, value_name = "URL|NAME", global = true, help_heading = GLOBAL)]
    pub(crate) on: Option<String>,
    /// Leave messages on stderr out that tell of no failure
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
}

const GLOBAL: &str = "Service (options of all verbs)";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command here and now, without a service
    #[command(after_help = examples::RUN)]
    Run(Box<run::RunOptions>),
    /// Give a command to the service and print its id; it goes on whatever happens here
    #[command(alias = "add", after_help = examples::SUBMIT)]
    Submit(Box<submit::SubmitOptions>),
    /// List executions of the service, newest first
    #[command(visible_alias = "list", aliases = ["ps", "status"], after_help = examples::LS)]
    Ls(ls::LsOptions),
    /// Show everything about an execution
    #[command(after_help = examples::SHOW)]
    Show(show::ShowOptions),
    /// Print the output of executions
    #[command(alias = "log", after_help = examples::LOGS)]
    Logs(logs::LogsOptions),
    /// Wait for executions, and exit with the code of the first that failed
    #[command(after_help = examples::WAIT)]
    Wait(wait::WaitOptions),
    /// Stop executions with all their processes
    #[command(aliases = ["kill", "cancel"], after_help = examples::STOP)]
    Stop(stop::StopOptions),
    /// Show what an execution writes from now on, and pass lines on to its input
    #[command(after_help = examples::ATTACH)]
    Attach(attach::AttachOptions),
    /// Write to the input of a program that was submitted with --stdin pipe
    #[command(after_help = examples::INPUT)]
    Input(input::InputOptions),
    /// Send a signal to all processes of executions that run
    #[command(after_help = examples::SIGNAL)]
    Signal(signal::SignalOptions),
    /// Freeze executions with all their processes, or hold them in the queue
    #[command(after_help = examples::PAUSE)]
    Pause(pause::PauseOptions),
    /// Let executions go on that are paused
    #[command(after_help = examples::RESUME)]
    #[command(mut_arg("ids", |ids| ids.add(ArgValueCompleter::new(completions::Ids::Paused))))]
    Resume(pause::PauseOptions),
    /// Keep executions and their output from being removed
    #[command(after_help = examples::PIN)]
    Pin(pin::PinOptions),
    /// Submit what an execution was again, as a new one, and print its id
    #[command(after_help = examples::RERUN)]
    Rerun(rerun::RerunOptions),
    /// Remove executions that have ended, with their output
    #[command(after_help = examples::RM)]
    Rm(rm::RmOptions),
    /// List, show, pause, run and remove schedules; exeng submit --every makes them
    #[command(after_help = examples::SCHEDULE)]
    Schedule(schedule::ScheduleVerbOptions),
    /// Limit how many executions of a group run at a time, and pause groups
    #[command(after_help = examples::GROUP)]
    Group(group::GroupVerbOptions),
    /// Remove now what retention does not keep: what is too old, too many or too large
    #[command(after_help = examples::GC)]
    Gc(gc::GcOptions),
    /// Write records and output of executions to an archive, or as lines of JSON
    #[command(after_help = examples::EXPORT)]
    Export(export::ExportOptions),
    /// Take executions of an archive over into the history of this service; nothing is started
    #[command(after_help = examples::IMPORT)]
    Import(import::ImportOptions),
    /// List the processes that run the programs of the service
    #[command(after_help = examples::KEEPERS)]
    Keepers(keepers::KeepersOptions),
    /// Show what this host offers and what is wrong, with the fix
    #[command(after_help = examples::DOCTOR)]
    Doctor(doctor::DoctorOptions),
    /// Run the service in the foreground; other verbs start it by themselves
    #[command(after_help = examples::SERVE)]
    Serve(serve::ServeOptions),
    /// Make, list and revoke tokens, with which clients call the service over the network
    #[command(after_help = examples::TOKEN)]
    Token(token::TokenVerbOptions),
    /// Run the service as a unit of systemd, which starts it with the system
    #[command(after_help = examples::SERVICE)]
    Service(manage::ServiceVerbOptions),
    /// Run executions of a fleet on this machine, until it is told to end
    #[cfg(feature = "fleet")]
    #[command(after_help = examples::WORKER)]
    Worker(Box<fleet::worker::WorkerOptions>),
    /// Set a fleet of machines up, show it, and drain its workers
    #[cfg(feature = "fleet")]
    #[command(after_help = examples::FLEET)]
    Fleet(fleet::verbs::FleetOptions),
    /// Run, check and draw plans: many commands as one piece of work, from a file
    #[command(after_help = examples::PLAN)]
    Plan(plan::PlanOptions),
    /// Print the completions of a shell: verbs, options, ids and tags
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::CompletionsOptions),
    /// Print the manual pages, or write them to a directory
    #[command(after_help = examples::MAN)]
    Man(man::ManOptions),
    /// Run the programs of a service; for `serve`
    #[command(hide = true)]
    Keeper(keeper::Options),
}

/// Prints what clap has to say: help to stdout, a mistake in the options to stderr.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    leave_wrong_tip_out(&mut error);
    // If this cannot be printed, there is no other place to say so.
    let _printed = match std::env::args_os().any(|arg| controls_terminal(&arg)) {
        false => error.print(),
        // It may quote the argument, so it has no colours.
        true => std::io::stderr()
            .write_all(terminal_text::lines(&error.render().to_string()).as_bytes()),
    };
    if error.use_stderr() { ExitCode::from(exit_code::OURS) } else { ExitCode::SUCCESS }
}

/// Takes the tip away to write an unknown option behind `--`: it would be run as a program then, or taken for an id.
fn leave_wrong_tip_out(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("as a value, use"));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}

fn controls_terminal(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    terminal_text::lines(&text) != text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn options_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_tip_makes_a_program_of_an_unknown_option() {
        for line in
            ["exeng run --timout 5s -- true", "exeng logs --lines 5 x", "exeng ls --json=x --x"]
        {
            let mut error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            leave_wrong_tip_out(&mut error);
            assert!(!error.to_string().contains("as a value"), "{error}");
        }
        let mut error = Cli::try_parse_from(["exeng", "run", "--timout", "5s"]).unwrap_err();
        leave_wrong_tip_out(&mut error);
        assert!(error.to_string().contains("'--timeout'"), "{error}");
    }

    #[test]
    fn options_of_all_verbs_may_stand_before_the_verb_and_after_it() {
        for line in ["exeng --no-start run -- true", "exeng run --no-start -- true"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.global.no_start, "{line}");
        }
    }
}
