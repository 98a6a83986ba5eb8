//! Hints for names and paths that lead nowhere because they were written for a shell.

use std::path::Path;

/// Returns what is true of a path that does not exist and that a shell would have replaced, for the
/// end of a message: empty, or a hint behind a semicolon.
pub(crate) fn unexpanded_hint(path: &Path) -> String {
    unexpanded(&path.to_string_lossy()).map_or(String::new(), |hint| format!("; {hint}"))
}

/// Returns a hint if a text has something in it that only a shell replaces.
pub(crate) fn unexpanded(text: &str) -> Option<&'static str> {
    if text.split('/').any(|part| part.starts_with('~')) {
        return Some("only a shell replaces `~` by a home directory, so write that in full");
    }
    if text.contains('$') {
        return Some("only a shell replaces `$` and a name by a value, so write the value");
    }
    if text.contains(['*', '?', '[', '{']) {
        return Some("only a shell expands patterns, so write one name in full");
    }
    if cfg!(unix) && text.contains('\\') {
        return Some("`\\` does not separate directories on this system, `/` does");
    }
    None
}

/// Returns names as a list for a message: `the names are "a", "b"`, not more than ten of them.
pub(crate) fn listed<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    const SHOWN: usize = 10;
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    Some(match names.len() {
        0 => return None,
        1..=SHOWN => format!("the {what} are {}", names.join(", ")),
        all => format!("the {what} are {} and {} more", names[..SHOWN].join(", "), all - SHOWN),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_replace_gets_a_hint() {
        for (text, word) in [
            ("~/bin/tool", "`~`"),
            ("/srv/~/x", "`~`"),
            ("~alice", "`~`"),
            ("$HOME/bin", "`$`"),
            ("/srv/${DIR}", "`$`"),
            ("*.py", "patterns"),
            ("/srv/{a,b}", "patterns"),
        ] {
            assert!(unexpanded(text).is_some_and(|hint| hint.contains(word)), "{text}");
        }
        for text in ["", "tool", "/srv/a b", "a~", "/srv/x~/y", "C:/x", "-x", "é"] {
            assert_eq!(unexpanded(text), None, "{text}");
        }
        assert_eq!(unexpanded(r"C:\tools\x.exe").is_some(), cfg!(unix));
    }
}
