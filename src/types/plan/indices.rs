//! Serde form of dependencies by index. JSON has only strings as keys, and inside a tagged enum
//! serde no longer converts such a key to a number, so it is done here.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize as _, Serializer};

type Dependencies = HashMap<usize, Vec<usize>>;

// Sorted, so that equal plans have equal JSON.
pub(super) fn serialize<S: Serializer>(value: &Dependencies, to: S) -> Result<S::Ok, S::Error> {
    value.iter().collect::<BTreeMap<_, _>>().serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Dependencies, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Dependencies;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map from the index of a command to the indices it waits for")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Dependencies::new();
            while let Some((index, waits_for)) = map.next_entry::<Index, Vec<usize>>()? {
                let step = index.number()?;
                if all.insert(step, waits_for).is_some() {
                    return Err(A::Error::custom(format_args!("index {step} is there twice")));
                }
            }
            Ok(all)
        }
    }

    from.deserialize_map(Pairs)
}

/// Index of a command; JSON has it as a string.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the index of a command")]
enum Index {
    Number(usize),
    Text(String),
}

impl Index {
    fn number<E: Error>(self) -> Result<usize, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(text) => text
                .parse()
                .map_err(|_| E::custom(format_args!("{text:?} is no index of a command"))),
        }
    }
}
