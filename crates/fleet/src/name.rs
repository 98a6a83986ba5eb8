//! Names that become parts of subjects: of tenants, pools, size classes and workers.

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Error of a name that could not be a part of a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{field} is {name:?}; use 1 to {MAX_NAME_BYTES} of the characters a to z, A to Z, 0 to 9, _ and -"
)]
pub struct NameError {
    /// The field that has the name.
    pub field: &'static str,
    /// The first characters of the name.
    pub name: String,
}

/// Checks a name. A dot would split it in a subject, and `*` and `>` would match other subjects.
///
/// # Errors
///
/// [`NameError`] if it is empty, longer than [`MAX_NAME_BYTES`], or has other characters than ASCII
/// letters, digits, `_` and `-`.
///
/// ```
/// use execution_engine_fleet::check_name;
///
/// assert!(check_name("tenant", "blue-2").is_ok());
/// assert!(check_name("tenant", "blue.2").is_err());
/// ```
pub fn check_name(field: &'static str, name: &str) -> Result<(), NameError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(NameError { field, name: name.chars().take(MAX_NAME_BYTES).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_meaning_in_a_subject() {
        let longest = "a".repeat(MAX_NAME_BYTES);
        let too_long = "a".repeat(MAX_NAME_BYTES + 1);
        let cases = [
            ("a", true),
            ("Pool_1-b", true),
            (&longest, true),
            (&too_long, false),
            ("", false),
            ("a.b", false),
            ("*", false),
            (">", false),
            ("a b", false),
            ("ä", false),
        ];
        for (name, is_allowed) in cases {
            assert_eq!(check_name("pool", name).is_ok(), is_allowed, "{name:?}");
        }
        let error = check_name("pool", "a.b").unwrap_err().to_string();
        assert!(error.starts_with("pool is \"a.b\"; use"), "{error}");
    }
}
