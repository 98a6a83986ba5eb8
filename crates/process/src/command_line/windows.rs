//! The rules of Windows: lookup with `PATHEXT`, quoting as `CommandLineToArgvW` reads it, names of
//! variables without case.
//!
//! Paths are text here, so that the rules can be tested on a system whose paths are others.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Candidate, LookupError, SearchPath, accept, first_runnable};

/// The extensions that `CreateProcess` can start, `cmd.exe` included.
const EXECUTABLE: [&str; 4] = [".com", ".exe", ".bat", ".cmd"];

/// UTF-16 units of the longest command line, its end included.
const LONGEST: usize = 32_767;

/// Finds the file that `name` means; `look` says what is at a path.
///
/// A name with a separator or a drive is a path. Any other is looked up in `PATH` and nowhere else:
/// neither in the current directory nor in those of the host or the system, as `CreateProcess`
/// would by itself. Entries may be in quotes; empty ones are passed over. A name without one of the
/// extensions that can be started is tried with each of those that `PATHEXT` has.
///
/// # Errors
/// [`LookupError`] says why there is none.
pub fn find_program(
    search: &SearchPath<'_>,
    name: &OsStr,
    mut look: impl FnMut(&Path) -> Candidate,
) -> Result<PathBuf, LookupError> {
    let name = &*name.to_string_lossy();
    let extensions = extensions(search.extensions);
    let with_extensions = |path: String| -> Vec<PathBuf> {
        if has_executable_extension(&path) {
            return vec![path.into()];
        }
        extensions.iter().map(|extension| format!("{path}{extension}").into()).collect()
    };
    let at_base = |path: &str| match search.base.and_then(Path::to_str) {
        Some(base) if !is_absolute(path) => join(base, path),
        _ => path.to_string(),
    };
    if name.contains(['\\', '/', ':']) {
        let mut candidates = with_extensions(at_base(name));
        if let [path] = &mut candidates[..] {
            let found = look(path);
            return accept(std::mem::take(path), found);
        }
        return first_runnable(candidates, look);
    }
    let path = search.path.and_then(OsStr::to_str).unwrap_or_default();
    let dirs = split_path(path).filter(|dir| !dir.is_empty());
    first_runnable(dirs.flat_map(|dir| with_extensions(join(&at_base(&dir), name))), look)
}

/// Returns the extensions of `PATHEXT` that can be started, in its order.
fn extensions(pathext: Option<&OsStr>) -> Vec<String> {
    let listed = pathext.and_then(OsStr::to_str).unwrap_or(".COM;.EXE;.BAT;.CMD");
    let lower = listed.split(';').map(|extension| extension.trim().to_ascii_lowercase());
    lower.filter(|extension| EXECUTABLE.contains(&extension.as_str())).collect()
}

fn has_executable_extension(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    EXECUTABLE.iter().any(|extension| lower.ends_with(extension))
}

/// Splits `PATH` at the semicolons that are not in quotes, and takes the quotes away.
fn split_path(path: &str) -> impl Iterator<Item = String> {
    let mut is_quoted = false;
    let entries = path.split(move |c| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    });
    entries.map(|entry| entry.replace('"', ""))
}

/// Returns true for `C:\x`, `\\server\share` and `\x`; a path such as `C:x` depends on the current
/// directory of its drive, and is passed on as it is.
fn is_absolute(path: &str) -> bool {
    path.starts_with(['\\', '/']) || path.as_bytes().get(1) == Some(&b':')
}

fn join(dir: &str, name: &str) -> String {
    let separator = if dir.ends_with(['\\', '/']) { "" } else { "\\" };
    format!("{dir}{separator}{name}")
}

/// Why arguments cannot be made into a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// An argument has a NUL character, or the name of the program a quote.
    #[error("an argument cannot be written on a command line")]
    Unquotable,
    /// The line has more than 32,766 UTF-16 units.
    #[error("the command line is longer than 32,766 UTF-16 units")]
    TooLong,
}

/// Writes arguments as the one line that a program is given, so that `CommandLineToArgvW` and the C
/// runtime read the same arguments from it.
///
/// ```
/// use execution_engine_process::command_line::windows::join_args;
///
/// assert_eq!(join_args(["tool", "a b", r#"c"d"#]).unwrap(), r#"tool "a b" c\"d"#);
/// ```
///
/// # Errors
/// [`QuoteError`] says what cannot be written.
pub fn join_args<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<String, QuoteError> {
    let mut line = String::new();
    for (index, arg) in args.into_iter().enumerate() {
        // The name of the program has no escapes: it ends at a blank, or in quotes at the next
        // quote.
        if arg.contains('\0') || (index == 0 && arg.contains('"')) {
            return Err(QuoteError::Unquotable);
        }
        match index {
            0 if needs_quotes(arg) => line = format!("\"{arg}\""),
            0 => line.push_str(arg),
            _ => {
                line.push(' ');
                push_arg(&mut line, arg);
            }
        }
    }
    if line.encode_utf16().count() >= LONGEST { Err(QuoteError::TooLong) } else { Ok(line) }
}

fn needs_quotes(arg: &str) -> bool {
    arg.is_empty() || arg.contains([' ', '\t'])
}

/// Appends an argument. Backslashes mean themselves except before a quote, where two mean one; so
/// they are doubled there, and before the quote that closes the argument.
fn push_arg(line: &mut String, arg: &str) {
    let quote = if needs_quotes(arg) { "\"" } else { "" };
    line.push_str(quote);
    let mut backslashes = 0;
    for c in arg.chars() {
        match c {
            '\\' => backslashes += 1,
            '"' => {
                line.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        line.push(c);
    }
    if !quote.is_empty() {
        line.extend(std::iter::repeat_n('\\', backslashes));
    }
    line.push_str(quote);
}

/// Argument as it is written on a command line.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut quoted = String::new();
        push_arg(&mut quoted, self.0);
        f.write_str(&quoted)
    }
}

/// Returns true if two names mean one environment variable: they are equal but for case.
pub fn same_env_key(one: &OsStr, other: &OsStr) -> bool {
    // The system compares character by character; a ß is no SS for it.
    let upper = |c: char| {
        let mut upper = c.to_uppercase();
        if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
    };
    match (one.to_str(), other.to_str()) {
        (Some(one), Some(other)) => one.chars().map(upper).eq(other.chars().map(upper)),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, pathext: &str, name: &str, files: &[&str]) -> Option<String> {
        let search = SearchPath {
            path: Some(path.as_ref()),
            extensions: (!pathext.is_empty()).then_some(pathext.as_ref()),
            base: Some(Path::new(r"D:\work")),
        };
        let found = find_program(&search, name.as_ref(), |path| {
            let is_there = |file: &&str| path.to_str().unwrap().eq_ignore_ascii_case(file);
            if files.iter().any(is_there) { Candidate::Runnable } else { Candidate::Missing }
        });
        found.ok().map(|path| path.to_str().unwrap().to_string())
    }

    #[test]
    fn a_name_is_looked_up_with_the_extensions_that_can_be_started() {
        let files = [r"C:\n\npm.cmd", r"C:\n\npm", r"C:\n\tool.js", r"C:\p;q\python3.11.exe"];
        let found = |name| find(r#"C:\none;C:\n\;"C:\p;q""#, ".JS;.EXE;.CMD", name, &files);
        assert_eq!(found("npm").unwrap(), r"C:\n\npm.cmd");
        assert_eq!(found("NPM.CMD").unwrap(), r"C:\n\NPM.CMD");
        assert_eq!(found("python3.11").unwrap(), r"C:\p;q\python3.11.exe");
        assert_eq!(found("tool"), None, ".js is run by its interpreter");
        assert_eq!(find(r"C:\n", ".EXE", "npm", &files), None, "PATHEXT is the child's");
    }

    #[test]
    fn the_current_directory_is_not_looked_at_but_by_a_path() {
        let files = [r"D:\work\evil.exe", r"D:\work\sub\tool.exe", r"E:\x.exe"];
        assert_eq!(find(r"C:\n;;", "", "evil", &files), None);
        assert_eq!(find("sub", "", "tool", &files).unwrap(), r"D:\work\sub\tool.exe");
        assert_eq!(find("", "", r"sub\tool", &files).unwrap(), r"D:\work\sub\tool.exe");
        assert_eq!(find("", "", r"E:\x.exe", &files).unwrap(), r"E:\x.exe");
    }

    /// Reads a line as `CommandLineToArgvW` does.
    fn split(line: &str) -> Vec<String> {
        let mut chars = line.chars().peekable();
        let mut name = String::new();
        if chars.next_if_eq(&'"').is_some() {
            name.extend(chars.by_ref().take_while(|c| *c != '"'));
        } else {
            name.extend(std::iter::from_fn(|| chars.next_if(|c| !" \t".contains(*c))));
        }
        let mut args = vec![name];
        loop {
            while chars.next_if(|c| " \t".contains(*c)).is_some() {}
            if chars.peek().is_none() {
                return args;
            }
            let (mut arg, mut is_quoted) = (String::new(), false);
            while let Some(c) = chars.next_if(|c| is_quoted || !" \t".contains(*c)) {
                let mut backslashes = usize::from(c == '\\');
                if backslashes == 1 {
                    backslashes += std::iter::from_fn(|| chars.next_if_eq(&'\\')).count();
                    if chars.peek() != Some(&'"') {
                        arg.extend(std::iter::repeat_n('\\', backslashes));
                        continue;
                    }
                    chars.next();
                    arg.extend(std::iter::repeat_n('\\', backslashes / 2));
                    if backslashes % 2 == 1 {
                        arg.push('"');
                        continue;
                    }
                } else if c != '"' {
                    arg.push(c);
                    continue;
                }
                // A quote: two in quotes are one.
                if is_quoted && chars.next_if_eq(&'"').is_some() {
                    arg.push('"');
                } else {
                    is_quoted = !is_quoted;
                }
            }
            args.push(arg);
        }
    }

    #[test]
    fn what_is_joined_is_read_back() {
        const ALPHABET: [char; 5] = ['a', ' ', '"', '\\', '\t'];
        for number in 0..5_usize.pow(6) {
            // Each string of up to six of these characters, with and without a neighbour.
            let digits = (0..6).map(|place| number / 5_usize.pow(place) % 5);
            let arg: String = digits.map(|digit| ALPHABET[digit]).collect();
            for arg in [arg.as_str(), arg.trim_end_matches('a')] {
                let args = ["tool", arg, "next", arg];
                assert_eq!(split(&join_args(args).unwrap()), args);
            }
        }
        for name in ["a b", "", r"C:\Program Files\", r"a\\"] {
            assert_eq!(split(&join_args([name, "x"]).unwrap()), [name, "x"]);
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        assert_eq!(join_args(["a\"b"]), Err(QuoteError::Unquotable));
        assert_eq!(join_args(["a", "b\0"]), Err(QuoteError::Unquotable));
        let (longest, beyond) = ("x".repeat(LONGEST - 3), "ä".repeat(LONGEST - 2));
        assert_eq!(join_args(["a", &longest]).unwrap().len(), LONGEST - 1);
        assert_eq!(join_args(["a", &beyond]), Err(QuoteError::TooLong));
    }

    #[test]
    fn names_of_variables_have_no_case() {
        let same = |one: &str, other: &str| same_env_key(one.as_ref(), other.as_ref());
        assert!(same("Path", "PATH") && same("größe", "GRÖßE") && same("=C:", "=c:"));
        assert!(!same("PATH", "PATHS") && !same("straße", "STRASSE"));
    }
}
