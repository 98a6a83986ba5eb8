//! Decision on one request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{Command, ExecutionOptions, ExecutionRequest, Leftovers, StdinSource};

use super::args::ArgMismatch;
use super::compiled::{CompiledRule, NamePattern, RuleTarget};
use super::paths::{FileSystem, existing_inside, file_inside};
use super::refusal::Refusal;
use super::rule::LeftoversRule;
use crate::request::LaunchRequest;

/// Rules that apply to a call.
#[derive(Debug, Default)]
pub(crate) struct ScopeRules {
    pub(crate) allow: Vec<Arc<CompiledRule>>,
    pub(crate) deny: Vec<Arc<CompiledRule>>,
}

/// Request to be checked.
pub(crate) struct LaunchCheck {
    pub(crate) request: LaunchRequest,
    pub(crate) options: ExecutionOptions,
    /// Environment variables that are set from the output of other steps of a plan.
    pub(crate) input_variables: Vec<String>,
}

/// Request that may run.
#[derive(Debug, PartialEq)]
pub(crate) struct AllowedLaunch {
    pub(crate) request: ExecutionRequest,
    pub(crate) options: ExecutionOptions,
}

/// Returns the request if a rule allows it and none denies it.
///
/// The paths of the returned request are canonical, so that what was checked is what runs.
pub(crate) fn check(
    rules: &ScopeRules,
    launch: LaunchCheck,
    files: &impl FileSystem,
) -> Result<AllowedLaunch, Refusal> {
    let LaunchCheck { request, options, input_variables } = launch;
    let candidates = candidates(rules, &request)?;
    let (command, request) = resolve_command(request, &candidates)?;
    if let Some(rule) = rules.deny.iter().find(|rule| denies(rule, &command, &request, files)) {
        return Err(Refusal::Denied { rule: rule.name.clone() });
    }
    let asked = Asked { command: &command, request: &request, options: &options, input_variables };
    let mut closest: Option<(MatchDepth, Refusal)> = None;
    for rule in candidates {
        match asked.check_rule(rule, files) {
            Ok(paths) => return Ok(paths.apply(command, request, options)),
            Err(refused) => {
                if closest.as_ref().is_none_or(|(depth, _)| refused.0 > *depth) {
                    closest = Some(refused);
                }
            }
        }
    }
    Err(closest.map_or(Refusal::NoRules, |(_, refusal)| refusal))
}

/// Number of the first part of a request that a rule does not allow. The refusal of the rule with
/// the highest one is reported: most likely it is the rule that the author of the request had in
/// mind.
type MatchDepth = u8;

const OTHER_TARGET: MatchDepth = 0;
const INTERPRETER: MatchDepth = 1;
const ARGUMENTS: MatchDepth = 2;
const DIRECTORIES: MatchDepth = 3;
const VARIABLES: MatchDepth = 4;
const LOG: MatchDepth = 5;
const LEFTOVERS: MatchDepth = 6;

/// Returns the rules that could allow a request: those of the name that it gives, or all.
fn candidates<'a>(
    rules: &'a ScopeRules,
    request: &LaunchRequest,
) -> Result<Vec<&'a CompiledRule>, Refusal> {
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
        return Err(Refusal::UnknownRule { known: quoted_list(names) });
    }
    Ok(named)
}

/// Returns the command of a request. One without a command takes the program of its rule.
fn resolve_command(
    mut request: LaunchRequest,
    candidates: &[&CompiledRule],
) -> Result<(Command, LaunchRequest), Refusal> {
    let args = request.args.take();
    match (request.command.take(), args, &request.rule) {
        (Some(command), None, _) => Ok((command, request)),
        (None, args, Some(_)) => Ok((command_of_rule(candidates[0], args)?, request)),
        _ => Err(Refusal::NothingAsked),
    }
}

/// Returns the command of a rule: its program, with the given arguments or the fixed ones.
fn command_of_rule(rule: &CompiledRule, args: Option<Vec<String>>) -> Result<Command, Refusal> {
    let name = || rule.name.clone();
    let RuleTarget::Program { program: NamePattern::Exact(program), args: allowed } = &rule.target
    else {
        return Err(Refusal::CommandMissing { rule: name() });
    };
    let fixed = || allowed.as_ref().map_or(Some(Vec::new()), |allowed| allowed.fixed());
    let args = args.or_else(fixed).ok_or_else(|| Refusal::ArgsMissing { rule: name() })?;
    Ok(Command::Exec { program: program.clone(), args })
}

/// Canonical paths of a request that may run.
struct CanonicalPaths {
    script: Option<PathBuf>,
    working_dir: Option<PathBuf>,
    log: Option<PathBuf>,
    stdin: Option<PathBuf>,
}

impl CanonicalPaths {
    /// Puts the paths into the request in place of those that were asked for.
    fn apply(
        self,
        mut command: Command,
        request: LaunchRequest,
        mut options: ExecutionOptions,
    ) -> AllowedLaunch {
        if let (Command::Script { path, .. }, Some(script)) = (&mut command, self.script) {
            *path = script;
        }
        let mut request = request.with_command(command);
        request.working_dir = self.working_dir;
        request.output_log_path = self.log;
        if let Some(path) = self.stdin {
            options.stdin = StdinSource::File { path };
        }
        AllowedLaunch { request, options }
    }
}

/// Request that is compared with one rule after another.
struct Asked<'a> {
    command: &'a Command,
    request: &'a LaunchRequest,
    options: &'a ExecutionOptions,
    input_variables: Vec<String>,
}

impl Asked<'_> {
    /// Returns the canonical paths of the request if the rule allows all parts of it.
    fn check_rule(
        &self,
        rule: &CompiledRule,
        files: &impl FileSystem,
    ) -> Result<CanonicalPaths, (MatchDepth, Refusal)> {
        let name = || rule.name.clone();
        let script = check_command(rule, self.command, self.request, files)?;
        let outside = |field, needed| Refusal::Outside { field, needed, rule: name() };
        let working_dir = (self.request.working_dir.as_deref())
            .map(|dir| {
                existing_inside(dir, &rule.working_dirs, files)
                    .ok_or_else(|| (DIRECTORIES, outside("working_dir", "working_dirs")))
            })
            .transpose()?;
        let stdin = self.check_stdin(rule, files)?;
        let mut variables = self.request.env.keys().chain(&self.input_variables);
        if variables.any(|variable| !rule.allows_variable(variable)) {
            let allowed = quoted_list(rule.env.iter().map(String::as_str));
            return Err((VARIABLES, Refusal::Variable { rule: name(), allowed }));
        }
        let log = (self.request.output_log_path.as_deref())
            .map(|path| {
                file_inside(path, &rule.log_dirs, files)
                    .ok_or_else(|| (LOG, outside("output_log_path", "log_dirs")))
            })
            .transpose()?;
        if self.options.leftovers != Leftovers::Stop && rule.leftovers != LeftoversRule::Leave {
            return Err((LEFTOVERS, Refusal::Leftovers { rule: name() }));
        }
        Ok(CanonicalPaths { script, working_dir, log, stdin })
    }

    /// Returns the canonical path of the file that is used as standard input, if there is one.
    fn check_stdin(
        &self,
        rule: &CompiledRule,
        files: &impl FileSystem,
    ) -> Result<Option<PathBuf>, (MatchDepth, Refusal)> {
        let (field, needed) = ("options.stdin", "stdin_dirs");
        match &self.options.stdin {
            StdinSource::Null | StdinSource::Bytes { .. } | StdinSource::Piped => Ok(None),
            StdinSource::File { path } => match existing_inside(path, &rule.stdin_dirs, files) {
                Some(path) => Ok(Some(path)),
                None => {
                    Err((DIRECTORIES, Refusal::Outside { field, needed, rule: rule.name.clone() }))
                }
            },
            // A source that was added to the engine later is denied until a rule can allow it.
            _ => Err((DIRECTORIES, Refusal::Stdin { rule: rule.name.clone() })),
        }
    }
}

/// Checks a command against a rule. Returns the canonical path of a script.
fn check_command(
    rule: &CompiledRule,
    command: &Command,
    request: &LaunchRequest,
    files: &impl FileSystem,
) -> Result<Option<PathBuf>, (MatchDepth, Refusal)> {
    match (&rule.target, command) {
        (RuleTarget::Program { .. }, Command::Exec { .. } | Command::AwsCli { .. }) => {
            check_program(rule, &command.argv()).map(|()| None)
        }
        (RuleTarget::Scripts { paths, interpreters }, Command::Script { path, interpreter }) => {
            let Some(script) = existing_inside(&script_path(request, path), paths, files) else {
                return Err(no_rule(command));
            };
            let allowed = match interpreter {
                None => interpreters.is_empty(),
                Some(name) => interpreters.iter().any(|allowed| allowed.matches(name)),
            };
            if allowed {
                Ok(Some(script))
            } else {
                Err((INTERPRETER, Refusal::Interpreter { rule: rule.name.clone() }))
            }
        }
        (RuleTarget::Shell { shell: allowed }, Command::Shell { shell, .. })
            if allowed.matches(shell) =>
        {
            Ok(None)
        }
        _ => Err(no_rule(command)),
    }
}

/// Checks the program and the arguments that will run, those that the engine adds included.
fn check_program(rule: &CompiledRule, argv: &[String]) -> Result<(), (MatchDepth, Refusal)> {
    let (RuleTarget::Program { program, args: allowed }, [name, args @ ..]) = (&rule.target, argv)
    else {
        return Err((OTHER_TARGET, NO_PROGRAM));
    };
    if !program.matches(name) {
        return Err((OTHER_TARGET, NO_PROGRAM));
    }
    let checked = match allowed {
        Some(allowed) => allowed.check(args),
        None if args.is_empty() => Ok(()),
        None => Err(ArgMismatch { number: 1 }),
    };
    checked.map_err(|ArgMismatch { number }| {
        (ARGUMENTS, Refusal::Argument { rule: rule.name.clone(), number })
    })
}

const NO_PROGRAM: Refusal = Refusal::NoRule { field: "command.program", needed: "program" };

/// Returns the refusal of a rule that is about other commands.
fn no_rule(command: &Command) -> (MatchDepth, Refusal) {
    let refusal = match command {
        Command::Script { .. } => Refusal::NoRule { field: "command.path", needed: "scripts" },
        Command::Shell { .. } => Refusal::NoRule { field: "command.shell", needed: "shell" },
        _ => NO_PROGRAM,
    };
    (OTHER_TARGET, refusal)
}

/// Returns `true` if a rule of the deny list is about this command. A rule without arguments or
/// interpreters is about all of them.
fn denies(
    rule: &CompiledRule,
    command: &Command,
    request: &LaunchRequest,
    files: &impl FileSystem,
) -> bool {
    match (&rule.target, command) {
        (RuleTarget::Program { program, args }, Command::Exec { .. } | Command::AwsCli { .. }) => {
            let argv = command.argv();
            program.matches(&argv[0])
                && args.as_ref().is_none_or(|args| args.check(&argv[1..]).is_ok())
        }
        (RuleTarget::Scripts { paths, interpreters }, Command::Script { path, interpreter }) => {
            let by = |name: &String| interpreters.iter().any(|denied| denied.matches(name));
            existing_inside(&script_path(request, path), paths, files).is_some()
                && (interpreters.is_empty() || interpreter.as_ref().is_some_and(by))
        }
        (RuleTarget::Shell { shell: denied }, Command::Shell { shell, .. }) => {
            denied.matches(shell)
        }
        _ => false,
    }
}

/// Returns the path of a script as the engine resolves it: relative to the working directory.
fn script_path(request: &LaunchRequest, path: &Path) -> PathBuf {
    match &request.working_dir {
        Some(dir) => dir.join(path),
        None => path.to_path_buf(),
    }
}

fn quoted_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_string() } else { names.join(", ") }
}
