//! Decision whether a rule of the deny list is about a command.
//!
//! Such a rule speaks of files, not of names: it matches whatever path, link or further name leads
//! to the same file. It looks at each file that the start of the command executes: the program, the
//! shell, the interpreter of a script, and the script itself. A system reads the `#!` line of each of
//! these, and so does this. What they start in turn it does not know.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use execution_engine::{Command, ExecutionOptions};
use execution_engine_process::command_line::Shebang;

use super::check::script_path;
use super::compiled::{CompiledRule, NamePattern, RuleTarget};
use super::paths::{FileSystem, leads_inside};
use crate::request::LaunchRequest;

/// Directories in which a program of the deny list is looked for, beside those of `PATH`: a program
/// is no other one because the `PATH` of the app or of the request does not list its directory.
const PROGRAM_DIRS: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Scripts of which one may be the interpreter of the other, on Linux. Other systems follow fewer.
const MAX_SCRIPTS: usize = 5;

/// File that a command executes.
struct Executed {
    /// Name or path, as it was given.
    name: PathBuf,
    /// Where it may be.
    candidates: Vec<PathBuf>,
    /// Arguments that it gets.
    args: Vec<String>,
    /// The script that it interprets, if it is an interpreter.
    script: Option<Interpreted>,
}

/// Script with an interpreter.
struct Interpreted {
    path: PathBuf,
    args: Vec<String>,
    by: NamedBy,
}

/// Where the name of an interpreter stands.
#[derive(PartialEq)]
enum NamedBy {
    Request,
    /// In the `#!` line.
    Script,
}

/// Where the programs of one request may be.
struct Lookup<'a, F> {
    dirs: Vec<PathBuf>,
    base: Option<&'a Path>,
    files: &'a F,
}

/// Start of a command, as rules to deny see it.
pub(super) struct Start<'a, F> {
    command: &'a Command,
    executed: Vec<Executed>,
    lookup: Lookup<'a, F>,
}

impl<'a, F: FileSystem> Start<'a, F> {
    /// Looks at all files that the command executes.
    pub(super) fn new(
        command: &'a Command,
        request: &'a LaunchRequest,
        options: &ExecutionOptions,
        files: &'a F,
    ) -> Self {
        let lookup = Lookup::new(request, options, files);
        Self { command, executed: lookup.executed(command, request), lookup }
    }

    /// Returns `true` if a rule of the deny list is about this command. A rule without arguments or
    /// interpreters is about all of them.
    pub(super) fn is_denied_by(&self, rule: &CompiledRule) -> bool {
        let denies = |args: &[String]| rule.target.args().is_none_or(|denied| denied.denies(args));
        let is_about = |denied: &Path| {
            let denied = self.lookup.denied(denied);
            self.executed.iter().any(|file| denied.is(file, &self.lookup) && denies(&file.args))
        };
        match &rule.target {
            RuleTarget::Program { program: NamePattern::Any, .. } => {
                is_program(self.command) && denies(&self.command.argv()[1..])
            }
            RuleTarget::Program { program: NamePattern::Exact(denied), .. }
            | RuleTarget::Shell { shell: NamePattern::Exact(denied) } => {
                is_about(Path::new(denied))
            }
            // One whose file is not known may be any.
            RuleTarget::Sidecar { sidecar, .. } => sidecar.file().is_none_or(is_about),
            RuleTarget::Scripts { paths, interpreters, .. } if interpreters.is_empty() => {
                let is_inside = |path: &PathBuf| leads_inside(path, paths, self.lookup.files);
                self.executed
                    .iter()
                    .any(|file| file.candidates.iter().any(is_inside) && denies(&file.args))
            }
            RuleTarget::Scripts { paths, interpreters, .. } => self.executed.iter().any(|file| {
                let Some(script) = &file.script else { return false };
                leads_inside(&script.path, paths, self.lookup.files)
                    && interpreters.iter().any(|denied| self.is_by(denied, file, script))
                    && denies(&script.args)
            }),
            RuleTarget::Shell { shell: NamePattern::Any } => {
                matches!(self.command, Command::Shell { .. })
            }
        }
    }

    /// Returns `true` if a script is run by this interpreter. Any is one that the request names.
    fn is_by(&self, denied: &NamePattern, interpreter: &Executed, script: &Interpreted) -> bool {
        match denied {
            NamePattern::Any => script.by == NamedBy::Request,
            NamePattern::Exact(denied) => {
                self.lookup.denied(Path::new(denied)).is(interpreter, &self.lookup)
            }
        }
    }
}

fn is_program(command: &Command) -> bool {
    matches!(command, Command::Exec { .. } | Command::ExecOs { .. } | Command::AwsCli { .. })
}

/// Script that a command runs.
struct Script<'a> {
    path: PathBuf,
    interpreter: Option<&'a str>,
    args: Vec<String>,
}

impl<'a> Script<'a> {
    fn of(command: &'a Command, request: &LaunchRequest) -> Option<Self> {
        let (path, interpreter, args) = match command {
            Command::Script { path, interpreter } => (path, interpreter, Vec::new()),
            Command::ScriptWithArgs { path, interpreter, args } => {
                (path, interpreter, args.iter().map(ToString::to_string).collect())
            }
            _ => return None,
        };
        let path = script_path(request, path);
        Some(Self { path, interpreter: interpreter.as_deref(), args })
    }
}

/// Program of the deny list.
struct DeniedProgram<F> {
    name: PathBuf,
    files: Vec<F>,
}

impl<'a, F: FileSystem> Lookup<'a, F> {
    fn new(request: &'a LaunchRequest, options: &ExecutionOptions, files: &'a F) -> Self {
        let of_options = options.env.set.iter().find(|(name, _)| name.to_str() == Some("PATH"));
        let of_options = of_options.map(|(_, path)| path.as_os_str().to_os_string());
        let of_request = request.env.get("PATH").map(Into::into);
        let paths: [Option<OsString>; 2] = [of_options, of_request];
        let asked = paths.iter().flatten().flat_map(std::env::split_paths);
        let known = files.search_path().into_iter().chain(PROGRAM_DIRS.iter().map(PathBuf::from));
        let mut dirs: Vec<_> = asked.chain(known).collect();
        dirs.sort();
        dirs.dedup();
        Self { dirs, base: request.working_dir.as_deref(), files }
    }

    fn at_base(&self, path: &Path) -> PathBuf {
        self.base.map_or_else(|| path.to_path_buf(), |base| base.join(path))
    }

    /// Returns the paths at which a name may be found. Which of them the engine takes depends on the
    /// `PATH` of the child; to deny, each of them counts.
    fn candidates(&self, name: &Path) -> Vec<PathBuf> {
        if name.components().count() != 1 || name.is_absolute() || name.starts_with(".") {
            return vec![self.at_base(name)];
        }
        self.dirs.iter().map(|dir| self.at_base(&dir.join(name))).collect()
    }

    /// Returns what the start of a command executes, the interpreters of `#!` lines included.
    fn executed(&self, command: &Command, request: &LaunchRequest) -> Vec<Executed> {
        let argv = command.argv();
        let (name, args) = argv.split_first().expect("a command has a program");
        let program = |script| {
            let name = PathBuf::from(name);
            Executed { candidates: self.candidates(&name), name, args: args.to_vec(), script }
        };
        let mut executed = Vec::new();
        // The first file whose `#!` line counts: that of a script with an interpreter does not.
        let mut next = 0;
        match Script::of(command, request) {
            None => executed.push(program(None)),
            Some(Script { path, interpreter, args }) => {
                executed.push(Executed {
                    name: path.clone(),
                    candidates: vec![path.clone()],
                    args: args.clone(),
                    script: None,
                });
                if interpreter.is_some() {
                    next = executed.len();
                    executed.push(program(Some(Interpreted { path, args, by: NamedBy::Request })));
                }
            }
        }
        for _ in 0..MAX_SCRIPTS {
            let found: Vec<_> =
                executed[next..].iter().flat_map(|file| self.interpreters(file)).collect();
            next = executed.len();
            executed.extend(found);
        }
        executed
    }

    /// Returns the interpreters in the `#!` lines of the files that this one may be.
    fn interpreters(&self, file: &Executed) -> impl Iterator<Item = Executed> {
        file.candidates.iter().filter_map(|path| {
            let line = Shebang::parse(&self.files.head(path)?).ok()??;
            let argument = line.argument.map(|argument| argument.to_string_lossy().into_owned());
            let script = path.display().to_string();
            let name = PathBuf::from(line.interpreter);
            Some(Executed {
                // A relative one starts at the working directory: no system looks in `PATH`.
                candidates: vec![self.at_base(&name)],
                name,
                args: argument.into_iter().chain([script]).chain(file.args.clone()).collect(),
                script: Some(Interpreted {
                    path: path.clone(),
                    args: file.args.clone(),
                    by: NamedBy::Script,
                }),
            })
        })
    }

    fn identities(&self, name: &Path) -> Vec<F::Identity> {
        self.candidates(name).iter().filter_map(|path| self.files.identity(path)).collect()
    }

    fn denied(&self, name: &Path) -> DeniedProgram<F::Identity> {
        DeniedProgram { files: self.identities(name), name: name.to_path_buf() }
    }
}

impl<I: PartialEq> DeniedProgram<I> {
    /// Returns `true` if this is the file that is executed, or one of that name.
    fn is<F: FileSystem<Identity = I>>(&self, executed: &Executed, lookup: &Lookup<'_, F>) -> bool {
        let has_name = |path: &Path| path.file_name() == Some(self.name.as_os_str());
        if executed.name == self.name || has_name(&executed.name) {
            return true;
        }
        executed.candidates.iter().any(|path| {
            lookup.files.canonical(path).is_some_and(|real| has_name(&real))
                || lookup.files.identity(path).is_some_and(|file| self.files.contains(&file))
        })
    }
}
