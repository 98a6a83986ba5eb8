//! Decides on the environment of a request: what it sets, removes and leaves out.

use execution_engine::{EnvOptions, InheritEnv};

use super::compiled::CompiledRule;
use super::quoted_list;
use super::refusal::Refusal;

/// Returns an error if the rule does not allow all of it. `set` are the variables that the request
/// and other steps of its plan set.
///
/// Removing a variable takes the same right as setting it: a page could as well set it to nothing.
/// Leaving out all others is a right of its own, because the app may have set a variable so that
/// programs see it (`GIT_TERMINAL_PROMPT=0`).
pub(super) fn check_env<'a>(
    rule: &CompiledRule,
    mut set: impl Iterator<Item = &'a String>,
    options: &EnvOptions,
) -> Result<(), Refusal> {
    let mut named = options.set.keys().chain(&options.remove);
    if set.any(|name| !rule.allows_variable(name))
        // A name that is not UTF-8 is in no rule.
        || named.any(|name| !name.to_str().is_some_and(|name| rule.allows_variable(name)))
    {
        let allowed = quoted_list(rule.env.iter().map(String::as_str));
        return Err(Refusal::Variable { rule: rule.name.clone(), allowed });
    }
    let is_known = match options.inherit {
        InheritEnv::All => true,
        InheritEnv::Only { .. } | InheritEnv::Nothing {} => {
            if !rule.allows_clearing() {
                return Err(Refusal::ClearEnv { rule: rule.name.clone() });
            }
            true
        }
        _ => false,
    };
    // A setting that was added to the engine later is denied until a rule can allow it.
    let mut rest = options.clone();
    (rest.inherit, rest.remove) = Default::default();
    rest.set.clear();
    if is_known && rest == EnvOptions::default() {
        return Ok(());
    }
    Err(Refusal::Option { field: "options.env", rule: rule.name.clone() })
}
