//! What a value in a plan file may be. The tables of it are in `forms`; `check` holds files to them, and
//! `schema` writes them as a JSON Schema.

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Text,
    /// Text that is not blank.
    Filled,
    /// A UUID.
    Id,
    /// SHA-256 and size of a content.
    Digest,
    Flag,
    /// A whole number within these bounds.
    Integer(i128, i128),
    /// Milliseconds, at least so many. The field has a twin without `_ms` for people: `30s`.
    Millis(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Another step, by its name or index.
    Step,
    /// A list of at least so many values.
    List(&'static Form, usize),
    Map(Key, &'static Form),
    Object(&'static Object),
    Tagged(&'static Tagged),
    /// The one of these that has the kind of the value.
    OneOf(&'static [Form]),
}

/// What the keys of a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Names of environment variables.
    Variable,
    Text,
    /// Indices of commands.
    Index,
}

/// Table with fields of its own each.
#[derive(Debug)]
pub(super) struct Object {
    /// What it is, for errors and as the name of its definition in the schema.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// Table whose `type` says which fields it has.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) name: &'static str,
    /// Fields by type.
    pub(super) types: &'static [(&'static str, &'static [Field])],
    /// Whether a type that needs no field may be written as a word alone.
    pub(super) has_words: bool,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) presence: Presence,
    /// Description for people.
    pub(super) about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    /// May be left out.
    Optional,
    /// May be left out or null.
    Nullable,
    /// May be left out; files alone have it, and the library does not know it.
    OfFiles,
}

/// Field that a key names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    Field(&'static Field),
    /// The twin of a field in milliseconds.
    Time(&'static Field),
}

pub(super) const fn required(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, presence: Presence::Required, about }
}

pub(super) const fn optional(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, presence: Presence::Optional, about }
}

pub(super) const fn nullable(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, presence: Presence::Nullable, about }
}

pub(super) const fn of_files(name: &'static str, form: Form, about: &'static str) -> Field {
    Field { name, form, presence: Presence::OfFiles, about }
}

impl Field {
    /// Returns the name of its twin for people, if it is a time.
    pub(super) fn time_name(&self) -> Option<&'static str> {
        self.name.strip_suffix("_ms").filter(|_| matches!(self.form, Form::Millis(_)))
    }
}

/// Finds the field that a key names.
pub(super) fn find(fields: &'static [Field], key: &str) -> Option<Found> {
    fields.iter().find_map(|field| match field {
        field if field.name == key => Some(Found::Field(field)),
        field if field.time_name() == Some(key) => Some(Found::Time(field)),
        _ => None,
    })
}

/// Returns all keys that a table may have.
pub(super) fn keys(fields: &'static [Field]) -> impl Iterator<Item = &'static str> {
    fields.iter().flat_map(|field| field.time_name().into_iter().chain([field.name]))
}

impl Form {
    /// Returns what is expected, for errors.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text | Self::Filled => "text".to_string(),
            Self::Id => "a UUID".to_string(),
            Self::Digest => "64 hexadecimal digits, a slash and a size in bytes".to_string(),
            Self::Flag => "true or false".to_string(),
            Self::Integer(least, most) if *most >= i128::from(u32::MAX) => {
                format!("a whole number from {least}")
            }
            Self::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Self::Millis(least) => format!("a whole number of milliseconds from {least}"),
            Self::Choice(words) => {
                format!("one of {}", super::fault::listed(words.iter().copied()))
            }
            Self::Step => "the name or the index of a step".to_string(),
            Self::List(of, _) => format!("a list, each of it {}", of.expected()),
            Self::Map(..) => "a table of names and values".to_string(),
            Self::Object(object) => format!("a table of fields ({})", object.name),
            Self::Tagged(tagged) => format!("a table with a `type` ({})", tagged.name),
            Self::OneOf(forms) => {
                let forms: Vec<String> = forms.iter().map(Self::expected).collect();
                forms.join("; or ")
            }
        }
    }

    /// Returns the table that it may be, if any.
    pub(super) fn object(&self) -> Option<&'static Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::OneOf(forms) => forms.iter().find_map(Self::object),
            _ => None,
        }
    }
}
