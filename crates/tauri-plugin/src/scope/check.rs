//! The decision about one request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{Command, ExecutionOptions, ExecutionRequest, Leftovers, StdinSource};

use super::args::Misfit;
use super::compiled::{Compiled, What, Word};
use super::refusal::Refusal;
use super::rule::Leaving;
use crate::request::LaunchRequest;

/// The rules that apply to a call.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) allow: Vec<Arc<Compiled>>,
    pub(crate) deny: Vec<Arc<Compiled>>,
}

/// What is asked.
pub(crate) struct Ask {
    pub(crate) request: LaunchRequest,
    pub(crate) options: ExecutionOptions,
    /// Variables that it gets besides, from the output of others.
    pub(crate) handed: Vec<String>,
}

/// What may run.
#[derive(Debug, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) request: ExecutionRequest,
    pub(crate) options: ExecutionOptions,
}

/// What the decision needs to know of the file system.
pub(crate) trait Files {
    /// The real path of something that exists, without links and `..`.
    fn real(&self, path: &Path) -> Option<PathBuf>;
    /// Whether there is something, be it a link that leads nowhere.
    fn is_there(&self, path: &Path) -> bool;
}

/// The file system of this machine.
pub(crate) struct Disk;

impl Files for Disk {
    fn real(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn is_there(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }
}

/// Lets a request pass, or says why not.
///
/// The paths in what comes back are real paths, so that what was checked is what is run.
pub(crate) fn check(rules: &Rules, ask: Ask, files: &impl Files) -> Result<Allowed, Refusal> {
    let candidates = candidates(rules, &ask.request)?;
    let (wanted, asked) = wanted(ask.request, &candidates)?;
    let denied = rules.deny.iter().find(|rule| denies(rule, &wanted, &asked, files));
    if let Some(rule) = denied {
        return Err(Refusal::Denied { rule: rule.name.clone() });
    }
    let mut nearest: Option<(Depth, Refusal)> = None;
    for rule in candidates {
        match allow(rule, &wanted, &asked, (&ask.options, &ask.handed), files) {
            Ok(paths) => return Ok(paths.put_into(wanted, asked, ask.options)),
            Err(refused) => {
                if nearest.as_ref().is_none_or(|(depth, _)| refused.0 > *depth) {
                    nearest = Some(refused);
                }
            }
        }
    }
    Err(nearest.map_or(Refusal::NoRules, |(_, refusal)| refusal))
}

/// How much of a rule fitted: the refusal of the rule that came closest is the one to tell.
type Depth = u8;

fn candidates<'a>(rules: &'a Rules, request: &LaunchRequest) -> Result<Vec<&'a Compiled>, Refusal> {
    if rules.allow.is_empty() {
        return Err(Refusal::NoRules);
    }
    let all = rules.allow.iter().map(|rule| &**rule);
    let Some(name) = &request.rule else {
        return match request.command {
            Some(Command::Shell { .. }) => Err(Refusal::ShellUnnamed),
            _ => Ok(all.collect()),
        };
    };
    let named: Vec<_> = all.filter(|rule| rule.name == *name).collect();
    if named.is_empty() {
        let names = rules.allow.iter().map(|rule| rule.name.as_str());
        return Err(Refusal::UnknownRule { known: list(names) });
    }
    Ok(named)
}

/// What is to be run. A request without a command takes the program of its rule.
fn wanted(
    mut request: LaunchRequest,
    candidates: &[&Compiled],
) -> Result<(Command, LaunchRequest), Refusal> {
    let args = request.args.take();
    match (request.command.take(), args, &request.rule) {
        (Some(command), None, _) => Ok((command, request)),
        (None, args, Some(_)) => {
            let rule = candidates[0];
            let What::Program { program: Word::Exactly(program), args: slots } = &rule.what else {
                return Err(Refusal::CommandMissing { rule: rule.name.clone() });
            };
            let fixed = || match slots {
                None => Some(Vec::new()),
                Some(slots) => slots.fixed(),
            };
            let args = args
                .or_else(fixed)
                .ok_or_else(|| Refusal::ArgsMissing { rule: rule.name.clone() })?;
            Ok((Command::Exec { program: program.clone(), args }, request))
        }
        _ => Err(Refusal::NothingAsked),
    }
}

/// The real paths of a request that may pass.
struct Paths {
    script: Option<PathBuf>,
    working_dir: Option<PathBuf>,
    log: Option<PathBuf>,
    stdin: Option<PathBuf>,
}

impl Paths {
    fn put_into(
        self,
        mut command: Command,
        request: LaunchRequest,
        mut options: ExecutionOptions,
    ) -> Allowed {
        if let (Command::Script { path, .. }, Some(real)) = (&mut command, self.script) {
            *path = real;
        }
        let mut request = request.with_command(command);
        request.working_dir = self.working_dir;
        request.output_log_path = self.log;
        if let Some(path) = self.stdin {
            options.stdin = StdinSource::File { path };
        }
        Allowed { request, options }
    }
}

fn allow(
    rule: &Compiled,
    command: &Command,
    request: &LaunchRequest,
    (options, handed): (&ExecutionOptions, &[String]),
    files: &impl Files,
) -> Result<Paths, (Depth, Refusal)> {
    let name = || rule.name.clone();
    let script = allow_command(rule, command, request, files)?;
    let inside = |path: &Path, dirs: &[PathBuf], field, needed| {
        inside(path, dirs, files).ok_or((3, Refusal::Outside { field, needed, rule: name() }))
    };
    let working_dir = match &request.working_dir {
        None => None,
        Some(dir) => Some(inside(dir, &rule.working_dirs, "working_dir", "working_dirs")?),
    };
    if request.env.keys().chain(handed).any(|variable| !rule.allows_variable(variable)) {
        let allowed = list(rule.env.iter().map(String::as_str));
        return Err((4, Refusal::Variable { rule: name(), allowed }));
    }
    let log = match &request.output_log_path {
        None => None,
        Some(path) => Some(new_file(path, &rule.log_dirs, files).ok_or_else(|| {
            let refusal =
                Refusal::Outside { field: "output_log_path", needed: "log_dirs", rule: name() };
            (5, refusal)
        })?),
    };
    let stdin = match &options.stdin {
        StdinSource::Null | StdinSource::Bytes { .. } | StdinSource::Piped => None,
        StdinSource::File { path } => {
            Some(inside(path, &rule.stdin_dirs, "options.stdin", "stdin_dirs")?)
        }
        // A source that is not known here is not allowed here.
        _ => return Err((3, Refusal::Stdin { rule: name() })),
    };
    if options.leftovers != Leftovers::Stop && rule.leftovers != Leaving::Leave {
        return Err((6, Refusal::Leftovers { rule: name() }));
    }
    Ok(Paths { script, working_dir, log, stdin })
}

/// Whether a rule is about this command; for a script its real path.
fn allow_command(
    rule: &Compiled,
    command: &Command,
    request: &LaunchRequest,
    files: &impl Files,
) -> Result<Option<PathBuf>, (Depth, Refusal)> {
    let name = || rule.name.clone();
    let no_rule = |field, needed| Err((0, Refusal::NoRule { field, needed }));
    match (&rule.what, command) {
        (What::Program { program, args }, Command::Exec { .. } | Command::AwsCli { .. }) => {
            let argv = command.argv();
            if !program.fits(&argv[0]) {
                return no_rule("command.program", "program");
            }
            let checked = match args {
                Some(args) => args.check(&argv[1..]),
                None if argv.len() == 1 => Ok(()),
                None => Err(Misfit(1)),
            };
            checked
                .map(|()| None)
                .map_err(|Misfit(number)| (2, Refusal::Argument { rule: name(), number }))
        }
        (What::Scripts { places, interpreters }, Command::Script { path, interpreter }) => {
            let Some(real) = inside(&from(request, path), places, files) else {
                return no_rule("command.path", "scripts");
            };
            let fits = match interpreter {
                None => interpreters.is_empty(),
                Some(word) => interpreters.iter().any(|allowed| allowed.fits(word)),
            };
            if fits { Ok(Some(real)) } else { Err((1, Refusal::Interpreter { rule: name() })) }
        }
        (What::Shell { shell: allowed }, Command::Shell { shell, .. }) => {
            if allowed.fits(shell) {
                Ok(None)
            } else {
                no_rule("command.shell", "shell")
            }
        }
        (_, Command::Exec { .. } | Command::AwsCli { .. }) => no_rule("command.program", "program"),
        (_, Command::Script { .. }) => no_rule("command.path", "scripts"),
        (_, Command::Shell { .. }) => no_rule("command.shell", "shell"),
        // A kind of command that is not known here is not allowed here.
        _ => no_rule("command.type", "program"),
    }
}

/// Whether a rule of the deny list is about this command. It is about all arguments and
/// interpreters where it names none.
fn denies(rule: &Compiled, command: &Command, request: &LaunchRequest, files: &impl Files) -> bool {
    match (&rule.what, command) {
        (What::Program { program, args }, Command::Exec { .. } | Command::AwsCli { .. }) => {
            let argv = command.argv();
            program.fits(&argv[0])
                && args.as_ref().is_none_or(|args| args.check(&argv[1..]).is_ok())
        }
        (What::Scripts { places, interpreters }, Command::Script { path, interpreter }) => {
            let by = |word: &String| interpreters.iter().any(|denied| denied.fits(word));
            inside(&from(request, path), places, files).is_some()
                && (interpreters.is_empty() || interpreter.as_ref().is_some_and(by))
        }
        (What::Shell { shell: denied }, Command::Shell { shell, .. }) => denied.fits(shell),
        _ => false,
    }
}

/// A script's path as the engine reads it: relative ones start at the working directory.
fn from(request: &LaunchRequest, path: &Path) -> PathBuf {
    match &request.working_dir {
        Some(dir) => dir.join(path),
        None => path.to_path_buf(),
    }
}

/// The real path, if it is one of these places or below one.
fn inside(path: &Path, places: &[PathBuf], files: &impl Files) -> Option<PathBuf> {
    let real = files.real(path)?;
    let within = |place: &PathBuf| files.real(place).is_some_and(|place| real.starts_with(place));
    places.iter().any(within).then_some(real)
}

/// The same for a file that may not exist yet, in a directory that does.
fn new_file(path: &Path, places: &[PathBuf], files: &impl Files) -> Option<PathBuf> {
    if let Some(real) = inside(path, places, files) {
        return Some(real);
    }
    let name = path.file_name()?;
    // A link that leads nowhere yet would be followed when the file is made.
    let parent = inside(path.parent()?, places, files)?;
    let file = parent.join(name);
    (!files.is_there(&file)).then_some(file)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_string() } else { names.join(", ") }
}
