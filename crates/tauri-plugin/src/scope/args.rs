//! Compares the arguments of a command with those of a rule.

use regex::Regex;
use tauri_plugin_execution_engine_rules::{PatternUse, compile_pattern};

use super::{Arg, Args, InvalidRule, Times};

/// Arguments of a rule, with compiled patterns.
#[derive(Debug)]
pub(super) enum RuleArgs {
    Any,
    List(Vec<ArgSlot>),
}

/// Entry of the list: one argument, or several under a pattern.
#[derive(Debug)]
pub(super) enum ArgSlot {
    Fixed(String),
    Pattern(Box<PatternSlot>),
}

/// Pattern in the two forms that it has, because a rule is compiled before it is known whether it stands
/// under `allow` or `deny`.
#[derive(Debug)]
pub(super) struct PatternSlot {
    allow: Regex,
    deny: Regex,
    times: Times,
    /// Whether an argument may begin with `-`.
    option: bool,
}

/// First argument that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArgMismatch {
    /// Its number, counted from 1; for a missing argument, the number that it would have.
    pub(super) number: usize,
    pub(super) cause: MismatchCause,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum MismatchCause {
    /// It differs, or is missing, or there is no entry for it.
    Other,
    /// The pattern matches, but for the `-` at its beginning.
    Option,
}

impl RuleArgs {
    /// Compiles the arguments of a validated rule.
    pub(super) fn new(rule: &str, args: &Args) -> Result<Self, InvalidRule> {
        let list = match args {
            Args::Any(_) => return Ok(Self::Any),
            Args::List(list) => list,
        };
        let mut slots = Vec::with_capacity(list.len());
        // Programs that know `--` take nothing after it for an option.
        let mut after_dashes = false;
        for (index, arg) in list.iter().enumerate() {
            let slot = ArgSlot::new(arg, after_dashes)
                .map_err(|reason| InvalidRule::new(rule, format!("args[{index}].regex"), reason))?;
            after_dashes |= matches!(&slot, ArgSlot::Fixed(text) if text == "--");
            slots.push(slot);
        }
        Ok(Self::List(slots))
    }

    /// Returns an error with the first argument that is not allowed, or that is missing.
    pub(super) fn check(&self, args: &[String]) -> Result<(), ArgMismatch> {
        self.compare(args, |slot, arg| slot.allows(arg))
    }

    /// Returns `true` if a rule to deny is about these arguments.
    pub(super) fn denies(&self, args: &[String]) -> bool {
        let denies = |slot: &ArgSlot, arg: &str| match slot.denies(arg) {
            true => Ok(()),
            false => Err(MismatchCause::Other),
        };
        self.compare(args, denies).is_ok()
    }

    fn compare(
        &self,
        args: &[String],
        matches: impl Fn(&ArgSlot, &str) -> Result<(), MismatchCause>,
    ) -> Result<(), ArgMismatch> {
        let Self::List(slots) = self else { return Ok(()) };
        let rest = slots.last().filter(|slot| slot.times() == Times::Rest);
        for (index, arg) in args.iter().enumerate() {
            let slot = slots.get(index).or(rest).ok_or(MismatchCause::Other);
            slot.and_then(|slot| matches(slot, arg))
                .map_err(|cause| ArgMismatch { number: index + 1, cause })?;
        }
        match slots.get(args.len()) {
            Some(slot) if slot.times() == Times::Once => {
                Err(ArgMismatch { number: args.len() + 1, cause: MismatchCause::Other })
            }
            _ => Ok(()),
        }
    }

    /// Returns the arguments of a rule that leaves no choice.
    pub(super) fn fixed(&self) -> Option<Vec<String>> {
        let Self::List(slots) = self else { return None };
        let required = slots.iter().filter(|slot| slot.times() == Times::Once);
        required
            .map(|slot| match slot {
                ArgSlot::Fixed(text) => Some(text.clone()),
                ArgSlot::Pattern(_) => None,
            })
            .collect()
    }
}

impl ArgSlot {
    fn new(arg: &Arg, after_dashes: bool) -> Result<Self, String> {
        let pattern = match arg {
            Arg::Fixed(text) => return Ok(Self::Fixed(text.clone())),
            Arg::Pattern(pattern) => pattern,
        };
        Ok(Self::Pattern(Box::new(PatternSlot {
            allow: compile_pattern(&pattern.regex, PatternUse::Allow)?,
            deny: compile_pattern(&pattern.regex, PatternUse::Deny)?,
            times: pattern.times,
            option: pattern.option || after_dashes,
        })))
    }

    fn times(&self) -> Times {
        match self {
            Self::Fixed(_) => Times::Once,
            Self::Pattern(pattern) => pattern.times,
        }
    }

    fn allows(&self, arg: &str) -> Result<(), MismatchCause> {
        let is_allowed = match self {
            Self::Fixed(text) => text == arg,
            Self::Pattern(pattern) => pattern.allow.is_match(arg),
        };
        match self {
            _ if !is_allowed => Err(MismatchCause::Other),
            Self::Pattern(pattern) if arg.starts_with('-') && !pattern.option => {
                Err(MismatchCause::Option)
            }
            _ => Ok(()),
        }
    }

    fn denies(&self, arg: &str) -> bool {
        match self {
            Self::Fixed(text) => text == arg,
            Self::Pattern(pattern) => pattern.deny.is_match(arg),
        }
    }
}
