//! Decision on one request.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use execution_engine::{Command, ExecutionOptions, ExecutionRequest, Links, OsText, StdinSource};

use super::args::{ArgMismatch, MismatchCause, RuleArgs};
use super::bounds::BoundFault;
use super::compiled::{CompiledRule, NamePattern, RuleTarget};
use super::deny::Start;
use super::env::check_env;
use super::paths::{FileSystem, existing_inside, file_inside};
use super::quoted_list;
use super::refusal::{InvalidRule, Refusal};
use crate::request::LaunchRequest;

/// Rules that apply to a call.
#[derive(Debug)]
pub(crate) struct ScopeRules {
    pub(crate) allow: Vec<Arc<CompiledRule>>,
    pub(crate) deny: Vec<Arc<CompiledRule>>,
    /// Rules under `allow` that are invalid and allow nothing.
    pub(crate) invalid_allow: Vec<InvalidRule>,
    /// Rules under `deny` that are invalid. It is not known what they were to deny, so nothing runs.
    pub(crate) invalid_deny: Vec<InvalidRule>,
    /// Timeout of the engine for a request that sets none.
    pub(crate) default_timeout_ms: u64,
}

impl Default for ScopeRules {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            deny: Vec::new(),
            invalid_allow: Vec::new(),
            invalid_deny: Vec::new(),
            default_timeout_ms: u64::MAX,
        }
    }
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
/// The paths of the returned request are canonical, and it follows no links, so that what was checked
/// is what runs.
pub(crate) fn check(
    rules: &ScopeRules,
    launch: LaunchCheck,
    files: &impl FileSystem,
) -> Result<AllowedLaunch, Refusal> {
    let LaunchCheck { request, options, input_variables } = launch;
    if let Some(invalid) = rules.invalid_deny.first() {
        return Err(Refusal::InvalidDenyRule(invalid.clone()));
    }
    let candidates = candidates(rules, &request)?;
    let (command, request) = resolve_command(request, &candidates, files)?;
    let asked = Asked { command: &command, request: &request, options: &options, input_variables };
    let mut closest: Option<(MatchDepth, Refusal)> = None;
    for rule in candidates {
        match asked.check_rule(rule, files) {
            Ok(paths) => {
                // Not before: the files of a command that no rule allows are not opened.
                asked.check_denied(&rules.deny, files)?;
                let mut allowed = paths.apply(command, request, options);
                let AllowedLaunch { request, options } = &mut allowed;
                rule.bounds.apply(rules.default_timeout_ms, &mut request.timeout_ms, options);
                return Ok(allowed);
            }
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
const BOUNDS: MatchDepth = 6;

/// Returns the rules that could allow a request: those of the name or the sidecar that it gives, or
/// all. At least one.
fn candidates<'a>(
    rules: &'a ScopeRules,
    request: &LaunchRequest,
) -> Result<Vec<&'a CompiledRule>, Refusal> {
    if rules.allow.is_empty() && rules.invalid_allow.is_empty() {
        return Err(Refusal::NoRules);
    }
    let mut candidates: Vec<_> = rules.allow.iter().map(|rule| &**rule).collect();
    if let Some(name) = &request.rule {
        candidates.retain(|rule| rule.name == *name);
        if candidates.is_empty() {
            let is_named = |rule: &&InvalidRule| rule.rule.as_ref() == Some(name);
            if let Some(invalid) = rules.invalid_allow.iter().find(is_named) {
                return Err(Refusal::InvalidRule(invalid.clone()));
            }
            let names = rules.allow.iter().map(|rule| rule.name.as_str());
            return Err(Refusal::UnknownRule { known: quoted_list(names) });
        }
    } else if let Some(Command::Shell { .. }) = request.command {
        return Err(Refusal::ShellUnnamed);
    }
    if let Some(sidecar) = &request.sidecar {
        candidates.retain(|rule| rule.is_about_sidecar(sidecar));
        if candidates.is_empty() {
            return Err(Refusal::NoRule { field: "sidecar", needed: "sidecar" });
        }
    }
    Ok(candidates)
}

/// Returns the command of a request. One without a command takes the program of its rule.
fn resolve_command(
    mut request: LaunchRequest,
    candidates: &[&CompiledRule],
    files: &impl FileSystem,
) -> Result<(Command, LaunchRequest), Refusal> {
    let args = request.args.take();
    let names_rule = request.rule.is_some() || request.sidecar.is_some();
    match (request.command.take(), args, &request.sidecar) {
        (Some(command), None, None) => Ok((command, request)),
        (None, args, _) if names_rule => {
            Ok((command_of_rule(candidates[0], args, files)?, request))
        }
        _ => Err(Refusal::NothingAsked),
    }
}

/// Returns the command of a rule: its program, with the given arguments or the fixed ones.
fn command_of_rule(
    rule: &CompiledRule,
    args: Option<Vec<String>>,
    files: &impl FileSystem,
) -> Result<Command, Refusal> {
    let name = || rule.name.clone();
    let program = match &rule.target {
        RuleTarget::Program { program: NamePattern::Exact(program), .. } => program.clone(),
        RuleTarget::Sidecar { sidecar, .. } => sidecar.program(&rule.name, files)?,
        _ => return Err(Refusal::CommandMissing { rule: name() }),
    };
    let fixed = || rule.target.args().map_or(Some(Vec::new()), RuleArgs::fixed);
    let args = args.or_else(fixed).ok_or_else(|| Refusal::ArgsMissing { rule: name() })?;
    Ok(Command::Exec { program, args })
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
        if let (Command::Script { path, .. } | Command::ScriptWithArgs { path, .. }, Some(script)) =
            (&mut command, self.script)
        {
            *path = script;
        }
        let mut request = request.with_command(command);
        request.working_dir = self.working_dir;
        request.output_log_path = self.log;
        if let Some(path) = self.stdin {
            options.stdin = StdinSource::File { path };
        }
        // The paths have no links now. One that appears before a start, also after a wait or in
        // another attempt, leads elsewhere.
        options.links = Links::Refuse;
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
        let set = self.request.env.keys().chain(&self.input_variables);
        check_env(rule, set, &self.options.env).map_err(|refusal| (VARIABLES, refusal))?;
        let log = (self.request.output_log_path.as_deref())
            .map(|path| {
                file_inside(path, &rule.log_dirs, files)
                    .ok_or_else(|| (LOG, outside("output_log_path", "log_dirs")))
            })
            .transpose()?;
        rule.bounds.check(self.request.timeout_ms, self.options).map_err(|fault| {
            let refusal = match fault {
                BoundFault::Never { field } => Refusal::Option { field, rule: name() },
                BoundFault::Exceeded { field, bound } => {
                    Refusal::Bound { field, bound, rule: name() }
                }
                BoundFault::Leftovers => Refusal::Leftovers { rule: name() },
            };
            (BOUNDS, refusal)
        })?;
        Ok(CanonicalPaths { script, working_dir, log, stdin })
    }

    /// Returns an error if a rule of the deny list is about the request.
    fn check_denied(
        &self,
        deny: &[Arc<CompiledRule>],
        files: &impl FileSystem,
    ) -> Result<(), Refusal> {
        if deny.is_empty() {
            return Ok(());
        }
        // Its value, which decides what runs, is not known yet.
        if self.input_variables.iter().any(|name| name == "PATH") {
            return Err(Refusal::InputPath);
        }
        let start = Start::new(self.command, self.request, self.options, files);
        match deny.iter().find(|rule| start.is_denied_by(rule)) {
            Some(rule) => Err(Refusal::Denied { rule: rule.name.clone() }),
            None => Ok(()),
        }
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
    if let Some(Script { path, interpreter, args }) = Script::of(command) {
        let RuleTarget::Scripts { paths, interpreters, .. } = &rule.target else {
            return Err(no_rule(command));
        };
        let Some(script) = existing_inside(&script_path(request, path), paths, files) else {
            return Err(no_rule(command));
        };
        let allowed = match interpreter {
            None => interpreters.is_empty(),
            Some(name) => interpreters.iter().any(|allowed| allowed.matches(name)),
        };
        if !allowed {
            return Err((INTERPRETER, Refusal::Interpreter { rule: rule.name.clone() }));
        }
        check_args(rule, &args).map_err(|refusal| (ARGUMENTS, refusal))?;
        return Ok(Some(script));
    }
    match (&rule.target, command) {
        (_, Command::Exec { .. } | Command::AwsCli { .. }) => {
            let argv = command.argv();
            if !rule.target.is_program(&argv[0]) {
                return Err(no_rule(command));
            }
            if let RuleTarget::Sidecar { sidecar, .. } = &rule.target {
                sidecar.check_declared(&rule.name).map_err(|refusal| (ARGUMENTS, refusal))?;
            }
            check_args(rule, &argv[1..]).map_err(|refusal| (ARGUMENTS, refusal))?;
            Ok(None)
        }
        (RuleTarget::Shell { shell: allowed }, Command::Shell { shell, .. })
            if allowed.matches(shell) =>
        {
            Ok(None)
        }
        _ => Err(no_rule(command)),
    }
}

/// Script that a command runs.
struct Script<'a> {
    path: &'a Path,
    interpreter: Option<&'a str>,
    args: Vec<String>,
}

impl<'a> Script<'a> {
    /// Returns the script of a command. None if the command runs something else, or if an argument
    /// is not UTF-8: a rule says nothing about such.
    fn of(command: &'a Command) -> Option<Self> {
        let (path, interpreter, args) = match command {
            Command::Script { path, interpreter } => (path, interpreter, Some(Vec::new())),
            Command::ScriptWithArgs { path, interpreter, args } => {
                let text = |arg: &OsText| arg.to_str().map(str::to_string);
                (path, interpreter, args.iter().map(text).collect())
            }
            _ => return None,
        };
        Some(Self { path, interpreter: interpreter.as_deref(), args: args? })
    }
}

/// Checks the arguments that will run, those that the engine adds included.
fn check_args(rule: &CompiledRule, args: &[String]) -> Result<(), Refusal> {
    let checked = match rule.target.args() {
        Some(allowed) => allowed.check(args),
        None if args.is_empty() => Ok(()),
        None => Err(ArgMismatch { number: 1, cause: MismatchCause::Other }),
    };
    checked.map_err(|ArgMismatch { number, cause }| {
        let rule = rule.name.clone();
        match cause {
            MismatchCause::Other => Refusal::Argument { rule, number },
            MismatchCause::Option => Refusal::OptionArgument { rule, number },
        }
    })
}

/// Returns the refusal of a rule that is about other commands.
fn no_rule(command: &Command) -> (MatchDepth, Refusal) {
    let refusal = match command {
        Command::Script { .. } | Command::ScriptWithArgs { .. } => {
            Refusal::NoRule { field: "command.path", needed: "scripts" }
        }
        Command::Shell { .. } => Refusal::NoRule { field: "command.shell", needed: "shell" },
        _ => Refusal::NoRule { field: "command.program", needed: "program" },
    };
    (OTHER_TARGET, refusal)
}

/// Returns the path of a script as the engine resolves it: relative to the working directory.
pub(super) fn script_path(request: &LaunchRequest, path: &Path) -> PathBuf {
    match &request.working_dir {
        Some(dir) => dir.join(path),
        None => path.to_path_buf(),
    }
}
