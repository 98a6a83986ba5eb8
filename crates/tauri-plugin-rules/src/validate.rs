//! Checks of a rule that need neither an app nor a window.

use std::path::{Component, Path};

use serde_json::Value;

use crate::invalid::read;
use crate::{Arg, Args, InvalidRule, PatternUse, Rule, Times, compile_pattern};

/// Variables of Tauri that a path may start with.
const VARIABLES: &[&str] = &[
    "$AUDIO",
    "$CACHE",
    "$CONFIG",
    "$DATA",
    "$LOCALDATA",
    "$DESKTOP",
    "$DOCUMENT",
    "$DOWNLOAD",
    "$EXE",
    "$FONT",
    "$HOME",
    "$PICTURE",
    "$PUBLIC",
    "$RUNTIME",
    "$TEMPLATE",
    "$VIDEO",
    "$RESOURCE",
    "$TEMP",
    "$APPCONFIG",
    "$APPDATA",
    "$APPLOCALDATA",
    "$APPCACHE",
    "$APPLOG",
];

/// What is wrong with one field.
type Fault = (String, String);

impl Rule {
    /// Reads a rule from an entry of a capability file, and validates it.
    ///
    /// ```
    /// use serde_json::json;
    /// use tauri_plugin_execution_engine_rules::Rule;
    ///
    /// let entry = json!({ "name": "log", "program": "git", "args": ["log", { "regex": "(" }] });
    /// let invalid = Rule::read(entry).unwrap_err();
    /// assert_eq!((invalid.rule.as_deref(), invalid.field.as_str()), (Some("log"), "args[1].regex"));
    /// ```
    ///
    /// # Errors
    /// [`InvalidRule`] names the rule and the field.
    pub fn read(entry: Value) -> Result<Self, InvalidRule> {
        if entry.get("executions").is_some() && entry.get("name").is_none() {
            return Err(InvalidRule {
                rule: None,
                field: "executions".to_string(),
                reason: "this permission starts something and reads nothing; move the entry to \
                         `execution-engine:read` or `execution-engine:control`"
                    .to_string(),
            });
        }
        let rule: Self = read(entry)?;
        rule.validate()?;
        Ok(rule)
    }

    /// Checks the fields and how they fit together. Whether a path exists is not checked: it may be
    /// made later.
    ///
    /// # Errors
    /// [`InvalidRule`] names the first field that is invalid.
    pub fn validate(&self) -> Result<(), InvalidRule> {
        if self.name.trim().is_empty() {
            return Err(InvalidRule {
                rule: None,
                field: "name".to_string(),
                reason: "must not be empty; refusals refer to it".to_string(),
            });
        }
        let checks = [Self::target, Self::arguments, Self::paths, Self::bounds];
        checks
            .iter()
            .try_for_each(|check| check(self))
            .map_err(|(field, reason)| InvalidRule::new(&self.name, field, reason))
    }

    fn target(&self) -> Result<(), Fault> {
        let targets = [
            self.program.is_some(),
            self.sidecar.is_some(),
            !self.scripts.is_empty(),
            self.shell.is_some(),
        ];
        if targets.iter().filter(|is_set| **is_set).count() != 1 {
            let reason = "a rule needs exactly one of `program`, `sidecar`, `scripts` and `shell`";
            return fault("program", reason);
        }
        if self.args.is_some() && self.shell.is_some() {
            return fault("args", "is not valid in a rule with `shell`");
        }
        if self.sidecar.as_ref().is_some_and(|name| Path::new(name).file_name().is_none()) {
            let reason = "must be an entry of `bundle.externalBin` in tauri.conf.json";
            return fault("sidecar", reason);
        }
        if !self.interpreters.is_empty() && self.scripts.is_empty() {
            return fault("interpreters", "is only valid in a rule with `scripts`");
        }
        let named = |field: &str, name: &String| match name_fault(name) {
            Some(reason) => fault(field, reason),
            None => Ok(()),
        };
        self.program.iter().try_for_each(|name| named("program", name))?;
        self.shell.iter().try_for_each(|name| named("shell", name))?;
        (self.interpreters.iter().enumerate())
            .try_for_each(|(index, name)| named(&format!("interpreters[{index}]"), name))
    }

    fn arguments(&self) -> Result<(), Fault> {
        let Some(Args::List(list)) = &self.args else { return Ok(()) };
        let mut after_optional = false;
        for (index, arg) in list.iter().enumerate() {
            let times = match arg {
                Arg::Fixed(_) => Times::Once,
                Arg::Pattern(pattern) => {
                    for decides in [PatternUse::Allow, PatternUse::Deny] {
                        compile_pattern(&pattern.regex, decides)
                            .or_else(|reason| fault(format!("args[{index}].regex"), reason))?;
                    }
                    pattern.times
                }
            };
            let field = format!("args[{index}].times");
            match times {
                Times::Rest if index + 1 < list.len() => {
                    return fault(field, "`rest` must be the last entry");
                }
                Times::Once if after_optional => {
                    let field = format!("args[{index}]");
                    return fault(field, "a required entry cannot follow an `optional` one");
                }
                times => after_optional |= times == Times::Optional,
            }
        }
        Ok(())
    }

    fn paths(&self) -> Result<(), Fault> {
        let all = [
            ("scripts", &self.scripts),
            ("working_dirs", &self.working_dirs),
            ("log_dirs", &self.log_dirs),
            ("stdin_dirs", &self.stdin_dirs),
        ];
        for (field, paths) in all {
            for (index, path) in paths.iter().enumerate() {
                path_fault(path)
                    .map_or(Ok(()), |reason| fault(format!("{field}[{index}]"), reason))?;
            }
        }
        Ok(())
    }

    fn bounds(&self) -> Result<(), Fault> {
        if self.max_timeout_ms == Some(0) {
            return fault("max_timeout_ms", "must be at least 1");
        }
        if self.max_attempts == Some(0) {
            return fault("max_attempts", "must be at least 1");
        }
        if self.min_nice.is_some_and(|nice| !(-20..=19).contains(&nice)) {
            return fault("min_nice", "must be between -20 and 19");
        }
        if self.umask.is_some() && self.umask_bits().is_none() {
            return fault("umask", "must be three octal digits, for instance \"022\"");
        }
        Ok(())
    }

    /// Returns the bits of `umask`; None if there are none, or if it is not octal.
    pub fn umask_bits(&self) -> Option<u32> {
        let text = self.umask.as_deref()?;
        let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let bits = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten()?;
        (bits <= 0o777).then_some(bits)
    }
}

fn fault<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, Fault> {
    Err((field.into(), reason.into()))
}

/// Returns what is wrong with the name of a program.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("must not be empty");
    }
    let path = Path::new(name);
    (path.components().count() != 1 && !path.is_absolute())
        .then_some("must be a name or an absolute path; a relative path depends on the request")
}

/// Returns what is wrong with a path of a rule.
fn path_fault(path: &Path) -> Option<String> {
    // Tauri would remove a `..` silently and leave an unknown variable as it is.
    if path.components().any(|part| part == Component::ParentDir) {
        return Some("must not contain `..`".to_string());
    }
    let first = path.components().next()?.as_os_str().to_string_lossy().into_owned();
    if first.starts_with('$') {
        let is_known = VARIABLES.contains(&first.as_str());
        return (!is_known).then(|| format!("{first} is no variable of Tauri, such as $HOME"));
    }
    let reason = "must be absolute or start with a variable such as $HOME or $RESOURCE";
    (!path.is_absolute()).then(|| reason.to_string())
}
