//! The verbs, and the options that all of them take.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{exit_code, run};

/// Run commands contained, bounded and observed, here or in a service
#[derive(Debug, Parser)]
#[command(name = "exeng", version, after_help = EXIT_CODES, max_term_width = 100)]
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
    /// Directory of the service's state; alone it moves socket and configuration there, too
    #[arg(long, value_name = "DIR", env = "EXENG_STATE_DIR", global = true)]
    #[arg(help_heading = GLOBAL)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Socket of the service
    #[arg(long, value_name = "FILE", env = "EXENG_SOCKET", global = true, help_heading = GLOBAL)]
    pub(crate) socket: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "EXENG_CONFIG", global = true, help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Fail where the service does not run, instead of starting it
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) no_start: bool,
}

const GLOBAL: &str = "Service (options of all verbs)";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command here and now, without a service
    Run(Box<run::RunOptions>),
}

/// Prints what clap has to say: help to stdout, a mistake in the options to stderr.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    // There is nobody to tell that nobody can be told.
    let _printed = error.print();
    if error.use_stderr() { ExitCode::from(exit_code::OURS) } else { ExitCode::SUCCESS }
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
    fn options_of_all_verbs_may_stand_before_the_verb_and_after_it() {
        for line in ["exeng --no-start run -- true", "exeng run --no-start -- true"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.global.no_start, "{line}");
        }
    }
}
