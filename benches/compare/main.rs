//! What the engine costs, beside the bare system and beside other ways to run a command: one
//! process, contenders interleaved, a table of medians and ratios.
//!
//! ```text
//! cargo bench -p execution-engine-bench                                    everything
//! cargo bench -p execution-engine-bench -- latency output                  the groups of these names
//! cargo bench -p execution-engine-bench -- --quick                         few rounds, to see whether it works
//! cargo bench -p execution-engine-bench -- --json FILE --markdown FILE     written beside the table
//! ```
//!
//! What each row means, and a measured table, are in `docs/performance.md`.

#![expect(unreachable_pub, reason = "nothing is outside of a program")]

mod args;
mod child;
mod contender;
mod floor;
mod host;
mod machine;
mod rounds;
mod rows;
mod table;
mod work;

use std::process::ExitCode;

use args::Task;

fn main() -> ExitCode {
    match args::parse() {
        Ok(Task::Help) => {
            println!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Task::List) => {
            rows::GROUPS.iter().for_each(|group| println!("{:<12} {}", group.name, group.about));
            ExitCode::SUCCESS
        }
        Ok(Task::Child(part)) => part.play(),
        Ok(Task::Measure(wanted)) => match rows::measure(&wanted).report(&wanted) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("{error}\n\n{}", args::HELP);
            ExitCode::FAILURE
        }
    }
}
