//! Manual pages: what `--help` says, for `man`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::ArgValueCandidates;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::completions::verbs;
use crate::failure::Failure;
use crate::{data, message};

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManOptions {
    /// Verb whose page is printed, with the verbs below it [without: that of exeng]
    #[arg(value_name = "VERB", conflicts_with = "to", add = ArgValueCandidates::new(verbs))]
    verb: Vec<String>,
    /// Write the pages of exeng and of all verbs into this directory
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Prints or writes pages, and returns the code to exit with.
pub(crate) fn run(options: &ManOptions) -> ExitCode {
    let done = match &options.to {
        Some(dir) => write_all(dir),
        None => print(&options.verb),
    };
    done.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn print(verb: &[String]) -> Result<(), Failure> {
    let pages = pages();
    let name = [&["exeng".to_string()], verb].concat().join("-");
    let page = pages.iter().find(|page| page.get_name() == name);
    let page = page.ok_or_else(|| {
        Failure::new(format!("there is no verb {}; exeng help lists them", verb.join(" ")))
    })?;
    if data::is_for_people() {
        message::note("this is the source of the page; to read it: exeng man .. | man -l -");
    }
    data::bytes(&roff(page)?)
}

fn write_all(dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(format!("the page {} cannot be written: {error}", path.display()))
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for page in pages() {
        let path = dir.join(format!("{}.1", page.get_name()));
        let text = roff(&page)?;
        let written = fs::File::create(&path).and_then(|mut file| file.write_all(&text));
        written.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Returns the commands that have a page: exeng and each verb, under the name of its page.
fn pages() -> Vec<Command> {
    let mut exeng = Cli::command();
    exeng.build();
    let mut pages = vec![exeng.clone()];
    add_verbs(&exeng, "exeng", &mut pages);
    pages
}

fn add_verbs(command: &Command, name: &str, pages: &mut Vec<Command>) {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in verbs.filter(|verb| verb.get_name() != "help") {
        let name = format!("{name}-{}", verb.get_name());
        pages.push(verb.clone().name(name.clone()));
        add_verbs(verb, &name, pages);
    }
}

fn roff(page: &Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Man::new(page.clone()).render(&mut text).map_err(Failure::new)?;
    Ok(text)
}
