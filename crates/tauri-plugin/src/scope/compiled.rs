//! Rules in the form that requests are compared with: validated, with compiled patterns and
//! absolute paths.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tauri::utils::acl::Value;
use tauri::{AppHandle, Manager, Runtime, ipc::ScopeObject};

use super::args::RuleArgs;
use super::bounds::Bounds;
use super::paths::RulePaths;
use super::sidecar::{Sidecar, Sidecars};
use super::{InvalidRule, Rule};

/// Validated rule.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    pub(super) name: String,
    pub(super) target: RuleTarget,
    pub(super) working_dirs: Vec<PathBuf>,
    pub(super) env: Vec<String>,
    clear_env: bool,
    pub(super) log_dirs: Vec<PathBuf>,
    pub(super) stdin_dirs: Vec<PathBuf>,
    pub(super) bounds: Bounds,
}

/// Commands that a rule is about.
#[derive(Debug)]
pub(super) enum RuleTarget {
    Program { program: NamePattern, args: Option<RuleArgs> },
    Sidecar { sidecar: Sidecar, args: Option<RuleArgs> },
    Scripts { paths: Vec<PathBuf>, interpreters: Vec<NamePattern>, args: Option<RuleArgs> },
    Shell { shell: NamePattern },
}

impl RuleTarget {
    /// Returns `true` if this program is the one, or one of those, that the rule is about.
    pub(super) fn is_program(&self, name: &str) -> bool {
        match self {
            Self::Program { program, .. } => program.matches(name),
            Self::Sidecar { sidecar, .. } => sidecar.is(name),
            Self::Scripts { .. } | Self::Shell { .. } => false,
        }
    }

    /// Returns the arguments that are allowed, if the rule has any.
    pub(super) fn args(&self) -> Option<&RuleArgs> {
        match self {
            Self::Program { args, .. }
            | Self::Sidecar { args, .. }
            | Self::Scripts { args, .. } => args.as_ref(),
            Self::Shell { .. } => None,
        }
    }
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
        sidecars: &Sidecars,
        resolve: impl Fn(&Path) -> Result<PathBuf, String>,
    ) -> Result<Self, InvalidRule> {
        rule.validate()?;
        let absolute = |field: &str, paths: &[PathBuf]| {
            paths
                .iter()
                .map(|path| absolute_path(path, &resolve))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|reason| InvalidRule::new(&rule.name, field, reason))
        };
        Ok(Self {
            target: rule_target(&rule, sidecars, absolute("scripts", &rule.scripts)?)?,
            working_dirs: absolute("working_dirs", &rule.working_dirs)?,
            log_dirs: absolute("log_dirs", &rule.log_dirs)?,
            stdin_dirs: absolute("stdin_dirs", &rule.stdin_dirs)?,
            bounds: Bounds::of(&rule),
            name: rule.name,
            env: rule.env,
            clear_env: rule.clear_env,
        })
    }

    /// Compiles a rule with the directories of this app.
    pub(crate) fn for_app<R: Runtime>(rule: Rule, app: &AppHandle<R>) -> Result<Self, InvalidRule> {
        Self::new(rule, &Sidecars::of_app(app), |path| {
            let path = app.path().parse(path).map_err(|error| error.to_string())?;
            Ok(app.state::<RulePaths>().fixed(path))
        })
    }

    /// Returns `true` if a request may set this environment variable.
    pub(super) fn allows_variable(&self, name: &str) -> bool {
        self.env.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }

    /// Returns `true` if a request may leave out variables that the app has.
    pub(super) fn allows_clearing(&self) -> bool {
        // Who may set and remove any variable can clear the environment in any case.
        self.clear_env || self.env.iter().any(|allowed| allowed == "*")
    }

    /// Returns `true` if the rule is about this sidecar.
    pub(super) fn is_about_sidecar(&self, name: &str) -> bool {
        matches!(&self.target, RuleTarget::Sidecar { sidecar, .. } if sidecar.name == name)
    }
}

/// Entry of a scope. An invalid one is kept, because an error would take the other rules of the scope
/// with it.
#[derive(Debug)]
pub(crate) enum LaunchEntry {
    Valid(Arc<CompiledRule>),
    Invalid(InvalidRule),
}

impl ScopeObject for LaunchEntry {
    type Error = Infallible;

    fn deserialize<R: Runtime>(app: &AppHandle<R>, raw: Value) -> Result<Self, Infallible> {
        let rule = Rule::read(raw.into()).and_then(|rule| CompiledRule::for_app(rule, app));
        Ok(rule.map_or_else(Self::Invalid, |rule| Self::Valid(Arc::new(rule))))
    }
}

/// Returns the target of a validated rule.
fn rule_target(
    rule: &Rule,
    sidecars: &Sidecars,
    scripts: Vec<PathBuf>,
) -> Result<RuleTarget, InvalidRule> {
    let args = rule.args.as_ref().map(|args| RuleArgs::new(&rule.name, args)).transpose()?;
    Ok(match (&rule.program, &rule.sidecar, &rule.shell) {
        (Some(program), ..) => {
            RuleTarget::Program { program: NamePattern::new(program.clone()), args }
        }
        (_, Some(sidecar), _) => {
            RuleTarget::Sidecar { sidecar: Sidecar::new(sidecar, sidecars), args }
        }
        (.., Some(shell)) => RuleTarget::Shell { shell: NamePattern::new(shell.clone()) },
        _ => {
            let interpreters = rule.interpreters.iter().cloned().map(NamePattern::new).collect();
            RuleTarget::Scripts { paths: scripts, interpreters, args }
        }
    })
}

fn absolute_path(
    path: &Path,
    resolve: impl Fn(&Path) -> Result<PathBuf, String>,
) -> Result<PathBuf, String> {
    let path = resolve(path)?;
    if !path.is_absolute() {
        return Err("must be absolute or start with a variable such as $HOME or $RESOURCE".into());
    }
    Ok(path)
}
