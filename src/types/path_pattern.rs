//! Patterns of paths below a directory, as [`collect`](crate::ExecutionOptions::collect) has them. Pure.

/// Returns whether a path is one of a pattern: `*` is any part of a name, `?` one character, `**` any number
/// of directories. A name that begins with a dot must be named so.
///
/// ```
/// use execution_engine::path_matches;
///
/// assert!(path_matches("out/*.csv", "out/a.csv"));
/// assert!(!path_matches("out/*.csv", "out/deep/a.csv"));
/// assert!(path_matches("out/**", "out/deep/a.csv"));
/// assert!(!path_matches("out/*", "out/.hidden"));
/// ```
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    // Whether the parts so far are the first so many names. So the cost is bounded, whatever the pattern.
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    // What is below a directory that `**` names are its files.
    let all_below = (pattern.rsplit('/').next() == Some("**")).then_some("*");
    for part in pattern.split('/').chain(all_below) {
        let mut next = vec![false; names.len() + 1];
        for end in 0..=names.len() {
            let last = end.checked_sub(1).map(|last| (last, names[last]));
            next[end] = match last {
                _ if part == "**" && reached[end] => true,
                Some((before, name)) if part == "**" => next[before] && !name.starts_with('.'),
                Some((before, name)) => reached[before] && name_matches(part, name),
                None => false,
            };
        }
        reached = next;
    }
    reached[names.len()]
}

/// Returns whether a name is of the pattern of one part.
fn name_matches(pattern: &str, name: &str) -> bool {
    let is_hidden = name.starts_with('.') && !pattern.starts_with('.');
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut last_star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            // The last `*` takes one character more.
            _ => match &mut last_star {
                Some((star, from)) => {
                    *from += 1;
                    (p, n) = (*star + 1, *from);
                }
                None => return false,
            },
        }
    }
    !is_hidden && pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_one_part_is_a_whole_name() {
        let cases = [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("a*c*", "abcbc", true),
            ("a*b", "abcbc", false),
            ("?", "ü", true),
            ("??", "ü", false),
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csvx", false),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(path_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn directories_are_those_of_the_pattern() {
        let cases = [
            ("out/*.csv", "out/a.csv", true),
            ("out/*.csv", "a.csv", false),
            ("out", "out/a.csv", false),
            ("*/a", "x/a", true),
            ("*", "x/a", false),
            ("out/**", "out/a", true),
            ("out/**", "out/x/y/a", true),
            ("out/**", "out", false),
            ("out/**", "other/a", false),
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("**/a", "x/y/b", false),
            ("**/**/x/**/a", "x/y/a", true),
            ("**/a", ".git/a", false),
            (".git/**", ".git/a", true),
            ("out/**", "out/.hidden", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
        }
        let (pattern, path) = ("**/*a*/".repeat(200) + "b", "aaaa/".repeat(200) + "c");
        assert!(!path_matches(&pattern, &path), "and not after years");
    }
}
