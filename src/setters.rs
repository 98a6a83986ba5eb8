//! The one form of a builder method: it sets a field and returns the value.

/// Defines builder methods: `name(argument: Type) => field = value;`, each with its docs.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($arg:ident: $type:ty) => $($field:ident).+ = $value:expr;)*) => {
        $(
            $(#[$doc])*
            #[must_use = "the method returns the changed value"]
            pub fn $name(mut self, $arg: $type) -> Self {
                self.$($field).+ = $value;
                self
            }
        )*
    };
}

pub(crate) use setters;
