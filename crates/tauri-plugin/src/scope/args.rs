//! Which arguments a rule lets pass. Pure.

use regex::{Regex, RegexBuilder};

use super::InvalidRule;
use super::rule::{Arg, Args, Times};

/// A pattern that needs more memory than this is no pattern for an argument.
const LARGEST_PATTERN: usize = 1 << 20;

/// The arguments of a rule, ready to compare with.
#[derive(Debug)]
pub(super) enum Arguments {
    Any,
    Each(Vec<Slot>),
}

/// One place of the list.
#[derive(Debug)]
pub(super) enum Slot {
    Fixed(String),
    Pattern { whole: Regex, times: Times },
}

/// Which argument was not let pass: its number, from 1. One that is missing has the number it
/// would have had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit(pub(super) usize);

impl Arguments {
    pub(super) fn of(args: &Args) -> Result<Self, InvalidRule> {
        let list = match args {
            Args::Any(_) => return Ok(Self::Any),
            Args::Each(list) => list,
        };
        let slots: Vec<_> = list.iter().map(Slot::of).collect::<Result<_, _>>()?;
        let mut tail = false;
        for (index, slot) in slots.iter().enumerate() {
            let last = index + 1 == slots.len();
            match slot.times() {
                Times::Rest if !last => {
                    return Err(InvalidRule::Field("args", "`rest` must be the last entry"));
                }
                Times::Once if tail => {
                    let why = "an entry that must be there cannot follow an optional one";
                    return Err(InvalidRule::Field("args", why));
                }
                times => tail |= times == Times::Optional,
            }
        }
        Ok(Self::Each(slots))
    }

    /// Whether these arguments may pass.
    pub(super) fn check(&self, args: &[String]) -> Result<(), Misfit> {
        let Self::Each(slots) = self else { return Ok(()) };
        let rest = slots.last().filter(|slot| slot.times() == Times::Rest);
        for (index, arg) in args.iter().enumerate() {
            let slot = slots.get(index).or(rest);
            if !slot.is_some_and(|slot| slot.fits(arg)) {
                return Err(Misfit(index + 1));
            }
        }
        match slots.get(args.len()) {
            Some(slot) if slot.times() == Times::Once => Err(Misfit(args.len() + 1)),
            _ => Ok(()),
        }
    }

    /// The arguments where the rule leaves no choice.
    pub(super) fn fixed(&self) -> Option<Vec<String>> {
        let Self::Each(slots) = self else { return None };
        let needed = slots.iter().filter(|slot| slot.times() == Times::Once);
        needed
            .map(|slot| match slot {
                Slot::Fixed(text) => Some(text.clone()),
                Slot::Pattern { .. } => None,
            })
            .collect()
    }
}

impl Slot {
    fn of(arg: &Arg) -> Result<Self, InvalidRule> {
        let pattern = match arg {
            Arg::Fixed(text) => return Ok(Self::Fixed(text.clone())),
            Arg::Pattern(pattern) => pattern,
        };
        // Anchored by us: a pattern that matches somewhere inside lets anything pass around it. It
        // must be a pattern alone, too, or `a)|(b` would slip out of the group.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build();
        let whole = compile(&pattern.regex)
            .and_then(|_| compile(&format!(r"\A(?:{})\z", pattern.regex)))
            .map_err(|error| InvalidRule::Regex(error.to_string()))?;
        Ok(Self::Pattern { whole, times: pattern.times })
    }

    fn times(&self) -> Times {
        match self {
            Self::Fixed(_) => Times::Once,
            Self::Pattern { times, .. } => *times,
        }
    }

    fn fits(&self, arg: &str) -> bool {
        match self {
            Self::Fixed(text) => text == arg,
            Self::Pattern { whole, .. } => whole.is_match(arg),
        }
    }
}
