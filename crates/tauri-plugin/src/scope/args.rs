//! Compares the arguments of a command with those that a rule allows.

use regex::{Regex, RegexBuilder};

use super::InvalidRule;
use super::rule::{Arg, Args, Times};

/// Maximum size of a compiled pattern in bytes. A pattern for an argument needs far less.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Arguments that a rule allows, with compiled patterns.
#[derive(Debug)]
pub(super) enum AllowedArgs {
    Any,
    List(Vec<ArgSlot>),
}

/// Entry of the list: one argument, or several under a pattern.
#[derive(Debug)]
pub(super) enum ArgSlot {
    Fixed(String),
    Pattern { regex: Regex, times: Times },
}

/// First argument that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArgMismatch {
    /// Its number, counted from 1; for a missing argument, the number that it would have.
    pub(super) number: usize,
}

impl AllowedArgs {
    /// Compiles the arguments of a rule and checks the order of its entries.
    pub(super) fn new(args: &Args) -> Result<Self, InvalidRule> {
        let list = match args {
            Args::Any(_) => return Ok(Self::Any),
            Args::List(list) => list,
        };
        let slots: Vec<_> = list.iter().map(ArgSlot::new).collect::<Result<_, _>>()?;
        let mut after_optional = false;
        for (index, slot) in slots.iter().enumerate() {
            let last = index + 1 == slots.len();
            match slot.times() {
                Times::Rest if !last => {
                    return Err(InvalidRule::Field("args", "`rest` must be the last entry"));
                }
                Times::Once if after_optional => {
                    let reason = "a required entry cannot follow an `optional` one";
                    return Err(InvalidRule::Field("args", reason));
                }
                times => after_optional |= times == Times::Optional,
            }
        }
        Ok(Self::List(slots))
    }

    /// Returns an error with the first argument that is not allowed, or that is missing.
    pub(super) fn check(&self, args: &[String]) -> Result<(), ArgMismatch> {
        let Self::List(slots) = self else { return Ok(()) };
        let rest = slots.last().filter(|slot| slot.times() == Times::Rest);
        for (index, arg) in args.iter().enumerate() {
            let slot = slots.get(index).or(rest);
            if !slot.is_some_and(|slot| slot.matches(arg)) {
                return Err(ArgMismatch { number: index + 1 });
            }
        }
        match slots.get(args.len()) {
            Some(slot) if slot.times() == Times::Once => {
                Err(ArgMismatch { number: args.len() + 1 })
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
                ArgSlot::Pattern { .. } => None,
            })
            .collect()
    }
}

impl ArgSlot {
    fn new(arg: &Arg) -> Result<Self, InvalidRule> {
        let pattern = match arg {
            Arg::Fixed(text) => return Ok(Self::Fixed(text.clone())),
            Arg::Pattern(pattern) => pattern,
        };
        // We anchor the pattern, because one that matches somewhere inside allows anything around
        // it. It must also compile alone: `a)|(b` would close our group and escape the anchors.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
        let regex = compile(&pattern.regex)
            .and_then(|_| compile(&format!(r"\A(?:{})\z", pattern.regex)))
            .map_err(|error| InvalidRule::Regex(error.to_string()))?;
        Ok(Self::Pattern { regex, times: pattern.times })
    }

    fn times(&self) -> Times {
        match self {
            Self::Fixed(_) => Times::Once,
            Self::Pattern { times, .. } => *times,
        }
    }

    fn matches(&self, arg: &str) -> bool {
        match self {
            Self::Fixed(text) => text == arg,
            Self::Pattern { regex, .. } => regex.is_match(arg),
        }
    }
}
