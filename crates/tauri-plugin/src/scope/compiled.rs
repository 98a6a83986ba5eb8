use std::path::{Path, PathBuf};

use tauri::utils::acl::Value;
use tauri::{AppHandle, Manager, Runtime, ipc::ScopeObject};

use super::InvalidRule;
use super::args::Arguments;
use super::rule::{Leaving, Rule};

/// A rule, checked and ready to compare with.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(super) name: String,
    pub(super) what: What,
    pub(super) working_dirs: Vec<PathBuf>,
    pub(super) env: Vec<String>,
    pub(super) log_dirs: Vec<PathBuf>,
    pub(super) stdin_dirs: Vec<PathBuf>,
    pub(super) leftovers: Leaving,
}

/// What a rule is about.
#[derive(Debug)]
pub(super) enum What {
    Program { program: Word, args: Option<Arguments> },
    Scripts { places: Vec<PathBuf>, interpreters: Vec<Word> },
    Shell { shell: Word },
}

/// A name that must be the same, or any.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    Any,
    Exactly(String),
}

impl Word {
    fn of(text: String) -> Self {
        if text == "*" { Self::Any } else { Self::Exactly(text) }
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(word) => word == text,
        }
    }
}

impl Compiled {
    /// Checks a rule. `locate` puts values in place of Tauri's variables in paths.
    pub(crate) fn new(
        rule: Rule,
        locate: impl Fn(&Path) -> Result<PathBuf, InvalidRule>,
    ) -> Result<Self, InvalidRule> {
        if rule.name.trim().is_empty() {
            return Err(InvalidRule::Field("name", "is empty; refusals speak of rules by name"));
        }
        let all = |paths: &[PathBuf]| {
            paths.iter().map(|path| place(path, &locate)).collect::<Result<Vec<_>, _>>()
        };
        let what = match (rule.program, rule.scripts.is_empty(), rule.shell) {
            (Some(program), true, None) => {
                let args = rule.args.as_ref().map(Arguments::of).transpose()?;
                What::Program { program: program_word(program)?, args }
            }
            (None, false, None) => {
                let interpreters = rule.interpreters.iter().cloned().map(Word::of).collect();
                What::Scripts { places: all(&rule.scripts)?, interpreters }
            }
            (None, true, Some(shell)) => What::Shell { shell: Word::of(shell) },
            _ => {
                let why = "a rule needs exactly one of `program`, `scripts` and `shell`";
                return Err(InvalidRule::Field("program", why));
            }
        };
        if rule.args.is_some() && !matches!(what, What::Program { .. }) {
            return Err(InvalidRule::Field("args", "belongs to a rule with `program`"));
        }
        if !rule.interpreters.is_empty() && !matches!(what, What::Scripts { .. }) {
            return Err(InvalidRule::Field("interpreters", "belongs to a rule with `scripts`"));
        }
        Ok(Self {
            what,
            working_dirs: all(&rule.working_dirs)?,
            log_dirs: all(&rule.log_dirs)?,
            stdin_dirs: all(&rule.stdin_dirs)?,
            name: rule.name,
            env: rule.env,
            leftovers: rule.leftovers,
        })
    }

    pub(super) fn allows_variable(&self, name: &str) -> bool {
        self.env.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == allowed,
        })
    }
}

/// A relative path with a directory in it would depend on the working directory, which the request
/// may choose.
fn program_word(program: String) -> Result<Word, InvalidRule> {
    let path = Path::new(&program);
    if path.components().count() != 1 && !path.is_absolute() {
        let why = "must be a name or an absolute path; a relative path would depend on the request";
        return Err(InvalidRule::Field("program", why));
    }
    Ok(Word::of(program))
}

fn place(
    path: &Path,
    locate: impl Fn(&Path) -> Result<PathBuf, InvalidRule>,
) -> Result<PathBuf, InvalidRule> {
    let path = locate(path)?;
    if !path.is_absolute() {
        let why = "must be absolute or start with a variable such as $HOME or $RESOURCE";
        return Err(InvalidRule::Field("a path", why));
    }
    Ok(path)
}

impl ScopeObject for Compiled {
    type Error = InvalidRule;

    fn deserialize<R: Runtime>(app: &AppHandle<R>, raw: Value) -> Result<Self, InvalidRule> {
        let rule: Rule = serde_json::from_value(raw.into())?;
        Self::for_app(rule, app)
    }
}

impl Compiled {
    /// Checks a rule with the directories of this app.
    pub(crate) fn for_app<R: Runtime>(rule: Rule, app: &AppHandle<R>) -> Result<Self, InvalidRule> {
        Self::new(rule, |path| {
            // Tauri would take a `..` out quietly and leave an unknown variable as it is.
            if path.components().any(|part| part == std::path::Component::ParentDir) {
                return Err(InvalidRule::Field("a path", "must not contain `..`"));
            }
            Ok(app.path().parse(path)?)
        })
    }
}
