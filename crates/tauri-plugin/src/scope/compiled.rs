//! Rules in the form that requests are compared with: validated, with compiled patterns and
//! absolute paths.

use std::path::{Component, Path, PathBuf};

use tauri::utils::acl::Value;
use tauri::{AppHandle, Manager, Runtime, ipc::ScopeObject};

use super::InvalidRule;
use super::args::AllowedArgs;
use super::rule::{LeftoversRule, Rule};

/// Validated rule.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(super) name: String,
    pub(super) target: RuleTarget,
    pub(super) working_dirs: Vec<PathBuf>,
    pub(super) env: Vec<String>,
    pub(super) log_dirs: Vec<PathBuf>,
    pub(super) stdin_dirs: Vec<PathBuf>,
    pub(super) leftovers: LeftoversRule,
}

/// Commands that a rule is about.
#[derive(Debug)]
pub(super) enum RuleTarget {
    Program { program: NamePattern, args: Option<AllowedArgs> },
    Scripts { paths: Vec<PathBuf>, interpreters: Vec<NamePattern> },
    Shell { shell: NamePattern },
}

/// Name of a program, or any.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NamePattern {
    Any,
    Exact(String),
}

impl NamePattern {
    fn new(text: String) -> Self {
        if text == "*" { Self::Any } else { Self::Exact(text) }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == name,
        }
    }
}

impl CompiledRule {
    /// Validates and compiles a rule. `resolve` replaces Tauri's variables in paths.
    pub(crate) fn new(
        rule: Rule,
        resolve: impl Fn(&Path) -> Result<PathBuf, InvalidRule>,
    ) -> Result<Self, InvalidRule> {
        if rule.name.trim().is_empty() {
            return Err(InvalidRule::Field("name", "must not be empty; refusals refer to it"));
        }
        let absolute = |paths: &[PathBuf]| {
            paths.iter().map(|path| absolute_path(path, &resolve)).collect::<Result<Vec<_>, _>>()
        };
        let target = rule_target(&rule, absolute)?;
        if rule.args.is_some() && !matches!(target, RuleTarget::Program { .. }) {
            return Err(InvalidRule::Field("args", "is only valid in a rule with `program`"));
        }
        if !rule.interpreters.is_empty() && !matches!(target, RuleTarget::Scripts { .. }) {
            return Err(InvalidRule::Field(
                "interpreters",
                "is only valid in a rule with `scripts`",
            ));
        }
        Ok(Self {
            target,
            working_dirs: absolute(&rule.working_dirs)?,
            log_dirs: absolute(&rule.log_dirs)?,
            stdin_dirs: absolute(&rule.stdin_dirs)?,
            name: rule.name,
            env: rule.env,
            leftovers: rule.leftovers,
        })
    }

    /// Compiles a rule with the directories of this app.
    pub(crate) fn for_app<R: Runtime>(rule: Rule, app: &AppHandle<R>) -> Result<Self, InvalidRule> {
        Self::new(rule, |path| {
            // Tauri would remove a `..` silently and leave an unknown variable as it is.
            if path.components().any(|part| part == Component::ParentDir) {
                return Err(InvalidRule::Field("a path", "must not contain `..`"));
            }
            Ok(app.path().parse(path)?)
        })
    }

    /// Returns `true` if a request may set this environment variable.
    pub(super) fn allows_variable(&self, name: &str) -> bool {
        self.env.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }
}

impl ScopeObject for CompiledRule {
    type Error = InvalidRule;

    fn deserialize<R: Runtime>(app: &AppHandle<R>, raw: Value) -> Result<Self, InvalidRule> {
        let rule: Rule = serde_json::from_value(raw.into())?;
        Self::for_app(rule, app)
    }
}

fn rule_target(
    rule: &Rule,
    absolute: impl Fn(&[PathBuf]) -> Result<Vec<PathBuf>, InvalidRule>,
) -> Result<RuleTarget, InvalidRule> {
    match (&rule.program, rule.scripts.is_empty(), &rule.shell) {
        (Some(program), true, None) => {
            let args = rule.args.as_ref().map(AllowedArgs::new).transpose()?;
            Ok(RuleTarget::Program { program: program_pattern(program)?, args })
        }
        (None, false, None) => {
            let interpreters = rule.interpreters.iter().cloned().map(NamePattern::new).collect();
            Ok(RuleTarget::Scripts { paths: absolute(&rule.scripts)?, interpreters })
        }
        (None, true, Some(shell)) => {
            Ok(RuleTarget::Shell { shell: NamePattern::new(shell.clone()) })
        }
        _ => {
            let reason = "a rule needs exactly one of `program`, `scripts` and `shell`";
            Err(InvalidRule::Field("program", reason))
        }
    }
}

/// Returns the pattern of a program. A relative path with a directory in it is an error, because it
/// would depend on the working directory, which the request may choose.
fn program_pattern(program: &str) -> Result<NamePattern, InvalidRule> {
    let path = Path::new(program);
    if path.components().count() != 1 && !path.is_absolute() {
        let reason = "must be a name or an absolute path; a relative path depends on the request";
        return Err(InvalidRule::Field("program", reason));
    }
    Ok(NamePattern::new(program.to_string()))
}

fn absolute_path(
    path: &Path,
    resolve: impl Fn(&Path) -> Result<PathBuf, InvalidRule>,
) -> Result<PathBuf, InvalidRule> {
    let path = resolve(path)?;
    if !path.is_absolute() {
        let reason = "must be absolute or start with a variable such as $HOME or $RESOURCE";
        return Err(InvalidRule::Field("a path", reason));
    }
    Ok(path)
}
