//! The cost of the engine, compared with the bare system and with other libraries: one process,
//! interleaved contenders, a table of medians and ratios.
//!
//! ```text
//! cargo bench -p execution-engine-bench                                    everything
//! cargo bench -p execution-engine-bench -- latency output                  the groups of these names
//! cargo bench -p execution-engine-bench -- --quick                         a trial run with few rounds
//! cargo bench -p execution-engine-bench -- --json FILE --markdown FILE     also write the table to files
//! ```
//!
//! `docs/performance.md` explains each row and has a measured table.

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
