//! Which environment variables a program has beside those of its request.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OsText, is_default, json_form, shown_name};

/// Variables of this process that a program inherits.
///
/// In JSON: `{"type":"all"}`, `{"type":"only","names":["PATH","HOME"]}`, `{"type":"nothing"}`; or
/// short `"all"`, `["PATH","HOME"]`, `"nothing"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "InheritEnvJson", into = "InheritEnvJson")]
#[non_exhaustive]
pub enum InheritEnv {
    /// All of them.
    #[default]
    All,
    /// Those with these names, if this process has them.
    Only {
        /// The names. On Windows upper and lower case are the same.
        names: Vec<OsText>,
    },
    /// None of them. A program that is given by its name is looked up in the default path then:
    /// `/usr/local/bin`, `/usr/bin`, `/bin`.
    Nothing {},
}

json_form! {
    #[serde(deny_unknown_fields)]
    InheritEnvJson for InheritEnv {
        All {} = All {};
        Only { names: Vec<OsText> } = Only { names };
        Nothing {} = Nothing {};
    } {
        const EXPECTING: &'static str = "`all`, `nothing`, a list of names, or an object with a `type`";
        const TAKES_WORDS: bool = true;

        fn from_words<E>(names: Vec<OsText>) -> Result<Self, E> {
            Ok(Self::Only { names })
        }
    }
}

/// Environment of a program beside the variables of its
/// [request](crate::ExecutionRequest::env).
///
/// The value of a variable comes from the first of these that has it: [`set`](Self::set), the
/// request, the [plan](crate::PlanOptions::env) of the request, this process. The `Debug` output
/// shows the names and none of the values.
///
/// ```
/// use execution_engine::*;
///
/// let options: ExecutionOptions = serde_json::from_str(
///     r#"{"env": {"inherit": {"type": "only", "names": ["PATH", "HOME"]}, "set": {"LANG": "C"}}}"#,
/// )?;
/// let same = ExecutionOptions::default().env_only(["PATH", "HOME"]).env("LANG", "C");
/// assert_eq!(options, same);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Where there are no control groups, the engine adds a variable of its own by which it finds the
/// processes of a tree, `EXECUTION_ENGINE_TREE`. If this process has it, programs have it in any case.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EnvOptions {
    /// Variables of this process that the program inherits. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub inherit: InheritEnv,
    /// Variables that the program does not have, whether this process, its plan or its request has
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<OsText>,
    /// Variables that the program has in any case. On Unix names and values need not be UTF-8; a
    /// name that is not cannot be written to JSON.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<OsText, OsText>,
}

impl fmt::Debug for EnvOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.set.keys().map(|name| shown_name(&name.to_string()).to_string());
        f.debug_struct("EnvOptions")
            .field("inherit", &self.inherit)
            .field("remove", &self.remove)
            .field("set (names)", &names.collect::<Vec<_>>())
            .finish()
    }
}
