//! Reasons why a request may not run, and why a rule is invalid. A refusal names rules and fields,
//! and never a value of the request.

pub use tauri_plugin_execution_engine_rules::InvalidRule;

/// Reason why a request was refused: the missing rule, or the part of a rule that does not allow
/// it.
///
/// It names rules of the scope, fields, and numbers of arguments. It repeats nothing of the
/// request, which may contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are no rules at all.
    #[error(
        "nothing may be run here: the scope has no rules; add one to `execution-engine:launch`, or to `execution-engine:scope` for all windows"
    )]
    NoRules,
    /// The request names a rule that does not exist.
    #[error("rule: the scope has no rule of that name; it has {known}")]
    #[non_exhaustive]
    UnknownRule {
        /// The rules that exist.
        known: String,
    },
    /// No rule allows this kind of command, or this program, script or shell.
    #[error("{field}: no rule allows it; add a rule with a matching `{needed}`")]
    #[non_exhaustive]
    NoRule {
        /// Field of the request.
        field: &'static str,
        /// Field that a rule would need.
        needed: &'static str,
    },
    /// A shell line does not name the rule that allows it.
    #[error("rule: a shell line must name the rule that allows it")]
    ShellUnnamed,
    /// A request without a command is for a rule whose arguments are not all fixed.
    #[error("args: rule `{rule}` has patterns for arguments, so the request must give all of them")]
    #[non_exhaustive]
    ArgsMissing {
        /// The rule.
        rule: String,
    },
    /// A request without a command names a rule without a program, or for any program.
    #[error("command: rule `{rule}` names no program, so the request needs a command")]
    #[non_exhaustive]
    CommandMissing {
        /// The rule.
        rule: String,
    },
    /// A request has neither a command nor a rule nor a sidecar, or has `args` or a sidecar beside a
    /// command.
    #[error("command: give either a command, or a rule or a sidecar, with `args`")]
    NothingAsked,
    /// An argument does not match the rule.
    #[error("command.args: argument {number} does not match `args` of rule `{rule}`")]
    #[non_exhaustive]
    Argument {
        /// The rule.
        rule: String,
        /// Number of the argument, counted from 1.
        number: usize,
    },
    /// An argument begins with `-`, and the pattern that it matches may not match such arguments.
    #[error(
        "command.args: argument {number} begins with `-`, which needs `\"option\": true` in `args` of rule `{rule}`"
    )]
    #[non_exhaustive]
    OptionArgument {
        /// The rule.
        rule: String,
        /// Number of the argument, counted from 1.
        number: usize,
    },
    /// The rule does not list the interpreter.
    #[error("command.interpreter: not among `interpreters` of rule `{rule}`")]
    #[non_exhaustive]
    Interpreter {
        /// The rule.
        rule: String,
    },
    /// A path is outside of the directories of the rule, or does not exist.
    #[error("{field}: not inside `{needed}` of rule `{rule}`, or does not exist")]
    #[non_exhaustive]
    Outside {
        /// Field of the request or its options.
        field: &'static str,
        /// Field of the rule.
        needed: &'static str,
        /// The rule.
        rule: String,
    },
    /// The sidecar of a rule is not an entry of `bundle.externalBin`.
    #[error(
        "sidecar: `{sidecar}` of rule `{rule}` is not in `bundle.externalBin` of tauri.conf.json; add it there, written as in the rule"
    )]
    #[non_exhaustive]
    SidecarUndeclared {
        /// The rule.
        rule: String,
        /// The sidecar that it names.
        sidecar: String,
    },
    /// The file of a sidecar does not exist.
    #[error(
        "sidecar: that of rule `{rule}` is missing; it was looked for at {file}; put it at src-tauri/{source_file} and build the app again"
    )]
    #[non_exhaustive]
    SidecarMissing {
        /// The rule.
        rule: String,
        /// Where it was looked for.
        file: String,
        /// Where the build takes it from, relative to the directory `src-tauri`.
        source_file: String,
    },
    /// The rule does not list an environment variable.
    #[error("env: a variable is not in `env` of rule `{rule}`, which allows {allowed}")]
    #[non_exhaustive]
    Variable {
        /// The rule.
        rule: String,
        /// Names that it allows.
        allowed: String,
    },
    /// The rule does not allow leaving out variables of the app's environment.
    #[error("options.env.inherit: anything but `all` needs `\"clear_env\": true` in rule `{rule}`")]
    #[non_exhaustive]
    ClearEnv {
        /// The rule.
        rule: String,
    },
    /// No rule can allow this option, for instance another user, or the streams of the app.
    #[error("{field}: no rule can allow this option, also not rule `{rule}`")]
    #[non_exhaustive]
    Option {
        /// Field of the request's options.
        field: &'static str,
        /// The rule.
        rule: String,
    },
    /// No rule can allow this kind of standard input.
    #[error("options.stdin: rule `{rule}` cannot allow this kind of input")]
    #[non_exhaustive]
    Stdin {
        /// The rule.
        rule: String,
    },
    /// No rule can allow this target for the output of another step.
    #[error("options.steps.inputs: no rule can allow this kind of target")]
    Input,
    /// The output of another step would set `PATH`, and the scope has rules to deny. Which program
    /// that would run is not known when they are compared.
    #[error(
        "options.steps.inputs: `PATH` cannot come from another step where the scope has rules under `deny`; set it in `env`"
    )]
    InputPath,
    /// The rule does not allow leaving processes running.
    #[error("options.leftovers: `leave` needs `\"leftovers\": \"leave\"` in rule `{rule}`")]
    #[non_exhaustive]
    Leftovers {
        /// The rule.
        rule: String,
    },
    /// A value is beyond a bound of the rule.
    #[error("{field}: beyond `{bound}` of rule `{rule}`")]
    #[non_exhaustive]
    Bound {
        /// Field of the request or its options.
        field: &'static str,
        /// Field of the rule, which has a default.
        bound: &'static str,
        /// The rule.
        rule: String,
    },
    /// The request names a rule that is invalid.
    #[error("the scope has an invalid rule, which allows nothing: {0}")]
    InvalidRule(InvalidRule),
    /// A rule of the deny list is invalid, so nothing may run.
    #[error("nothing may be run here: the scope has an invalid rule under `deny`: {0}")]
    InvalidDenyRule(InvalidRule),
    /// A rule of the deny list matches.
    #[error("command: denied by rule `{rule}`")]
    #[non_exhaustive]
    Denied {
        /// The rule.
        rule: String,
    },
}
