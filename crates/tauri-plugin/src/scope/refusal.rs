//! Why something may not run. A refusal names rules and fields, and never a value of the request.

/// Why a request was refused: the rule that is missing, or the part of a rule.
///
/// It names rules of the scope, fields and numbers of arguments. Nothing that was in the request is
/// repeated, since it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are no rules at all.
    #[error(
        "nothing may be run here: the scope has no rules; add one to `execution-engine:launch`, or to `execution-engine:scope` for all windows"
    )]
    NoRules,
    /// The request asks for a rule that does not exist.
    #[error("rule: the scope has no rule of that name; it has {known}")]
    UnknownRule {
        /// The rules that exist.
        known: String,
    },
    /// No rule allows this kind of command, or this program, script or shell.
    #[error("{field}: no rule allows it; a rule with a matching `{needed}` is missing")]
    NoRule {
        /// The field of the request.
        field: &'static str,
        /// The field that a rule would need.
        needed: &'static str,
    },
    /// A shell line did not say by which rule it may run.
    #[error("rule: a shell line must ask by its name for the rule that allows it")]
    ShellUnnamed,
    /// A request without a command asked for a rule that leaves something open.
    #[error("args: rule `{rule}` leaves arguments open, so the request must give them all")]
    ArgsMissing {
        /// The rule.
        rule: String,
    },
    /// A request without a command asked for a rule that names no program.
    #[error("command: rule `{rule}` names no program, so the request needs a command")]
    CommandMissing {
        /// The rule.
        rule: String,
    },
    /// A request has neither a command nor a rule, or arguments beside a command.
    #[error("command: give either a command, or a rule with `args`")]
    NothingAsked,
    /// An argument is not what the rule says.
    #[error("command.args: argument {number} does not fit `args` of rule `{rule}`")]
    Argument {
        /// The rule.
        rule: String,
        /// The number of the argument, from 1.
        number: usize,
    },
    /// The interpreter is not one of the rule's.
    #[error("command.interpreter: it is not among `interpreters` of rule `{rule}`")]
    Interpreter {
        /// The rule.
        rule: String,
    },
    /// A path is outside of the rule's directories, or does not exist.
    #[error("{field}: it is not inside `{needed}` of rule `{rule}`, or does not exist")]
    Outside {
        /// The field of the request or its options.
        field: &'static str,
        /// The list of the rule.
        needed: &'static str,
        /// The rule.
        rule: String,
    },
    /// A variable is not on the rule's list.
    #[error("env: a variable is not on the list `env` of rule `{rule}`, which has {allowed}")]
    Variable {
        /// The rule.
        rule: String,
        /// The names that it allows.
        allowed: String,
    },
    /// The standard input is of a kind that no rule can allow.
    #[error("options.stdin: rule `{rule}` cannot allow this kind of input")]
    Stdin {
        /// The rule.
        rule: String,
    },
    /// The output of another step goes to a target that no rule can allow.
    #[error("options.steps.inputs: no rule can allow this target")]
    Input,
    /// Processes may not be left alive.
    #[error("options.leftovers: `leave` needs `\"leftovers\": \"leave\"` in rule `{rule}`")]
    Leftovers {
        /// The rule.
        rule: String,
    },
    /// A rule of the deny list matched.
    #[error("command: denied by rule `{rule}`")]
    Denied {
        /// The rule.
        rule: String,
    },
}

/// What is wrong with a rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// It does not have the shape of a rule.
    #[error("a rule of the scope cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// A field makes no sense.
    #[error("a rule of the scope: {0}: {1}")]
    Field(&'static str, &'static str),
    /// A pattern cannot be used.
    #[error("a rule of the scope: args: {0}")]
    Regex(String),
    /// A variable in a path is not known.
    #[error("a rule of the scope: a path: {0}")]
    Path(#[from] tauri::Error),
}
