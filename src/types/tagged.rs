//! JSON form of enums: an object with a `type`, and the short forms beside it.
//!
//! Where an object needs nothing but its `type`, the name of the type stands for it: `"piped"` is
//! `{"type":"piped"}`. What is written is always the object.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize as _;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::OsText;

/// Enum that is an object with a `type` in JSON.
pub(crate) trait TaggedForm: Sized {
    /// What is expected, for errors.
    const EXPECTING: &'static str =
        "an object with a `type`, or the name of a type that needs nothing else";
    /// Whether a list of words is a form of it, too.
    const TAKES_WORDS: bool = false;

    /// Reads the object.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;

    /// Makes it of a string: by default, of the name of a type.
    fn from_text<E: Error>(text: &str) -> Result<Self, E> {
        Self::read(MapDeserializer::new(std::iter::once(("type", text))))
    }

    /// Makes it of a list of words.
    fn from_words<E: Error>(_words: Vec<OsText>) -> Result<Self, E> {
        Err(E::invalid_type(Unexpected::Seq, &Self::EXPECTING))
    }
}

/// Reads an enum in any of its forms. The errors name none of our types.
pub(crate) fn read_tagged<'de, T: TaggedForm, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    from.deserialize_any(Forms(PhantomData))
}

struct Forms<T>(PhantomData<T>);

impl<'de, T: TaggedForm> Visitor<'de> for Forms<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTING)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(MapAccessDeserializer::new(map))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<T, A::Error> {
        if !T::TAKES_WORDS {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        T::from_words(Vec::deserialize(SeqAccessDeserializer::new(words))?)
    }
}

/// Lets serde read and write the JSON form of an enum, which derives `Serialize` and `Deserialize`
/// with `remote = "Self"`.
macro_rules! tagged_form {
    ($json:ident $({ $($item:item)* })?) => {
        impl $crate::types::TaggedForm for $json {
            $($($item)*)?

            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // The derived function, and not that of the trait.
                Self::deserialize(from)
            }
        }

        impl<'de> serde::Deserialize<'de> for $json {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::types::read_tagged(from)
            }
        }

        impl serde::Serialize for $json {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, to)
            }
        }
    };
}

/// Defines the JSON form of an enum for `#[serde(from, into)]`: each variant as an object, and
/// after the `=` as it is in Rust. Items in braces at the end are those of its [`TaggedForm`].
///
/// serde cannot tag a variant that is a bare value. It refuses unknown fields beside a tag only in
/// variants that could have fields, so those without any have braces here.
macro_rules! json_form {
    ($(#[$form:meta])* $json:ident for $plain:ident {
        $($tag:ident {
            $($(#[$attribute:meta])* $field:ident: $type:ty),*
        } = $variant:ident $data:tt;)*
    } $($forms:tt)?) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case", remote = "Self")]
        $(#[$form])*
        enum $json {
            $($tag { $($(#[$attribute])* $field: $type),* }),*
        }

        $crate::types::tagged_form!($json $($forms)?);

        impl From<$json> for $plain {
            fn from(json: $json) -> Self {
                match json {
                    $($json::$tag { $($field),* } => Self::$variant $data),*
                }
            }
        }

        impl From<$plain> for $json {
            fn from(plain: $plain) -> Self {
                match plain {
                    $($plain::$variant $data => Self::$tag { $($field),* }),*
                }
            }
        }
    };
}

pub(crate) use {json_form, tagged_form};
