//! The rules of Unix: lookup in `PATH`, `#!` lines, quoting for a POSIX shell.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Candidate, LookupError, SearchPath, accept, first_runnable};

/// Where programs are looked for when the child has no `PATH` at all.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Bytes of a script that may hold its `#!` line: the kernel's own limit.
pub const SHEBANG_LIMIT: u64 = 256;

/// Finds the file that `name` means; `look` says what is at a path.
///
/// A name with a slash is a path. Any other is looked up in `PATH`, where empty and relative
/// entries start at the working directory.
///
/// # Errors
/// [`LookupError`] says why there is none.
pub fn find_program(
    search: &SearchPath<'_>,
    name: &str,
    mut look: impl FnMut(&Path) -> Candidate,
) -> Result<PathBuf, LookupError> {
    let at_base = |path: &Path| search.base.map_or(path.to_path_buf(), |base| base.join(path));
    if name.contains('/') {
        let path = at_base(Path::new(name));
        let found = look(&path);
        return accept(path, found);
    }
    let dirs = std::env::split_paths(search.path.unwrap_or(DEFAULT_PATH.as_ref()));
    let candidates = dirs.map(|dir| {
        // An empty entry means the working directory; "./" keeps it from being looked up again.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
        at_base(&dir.join(name))
    });
    first_runnable(candidates, look)
}

/// The `#!` line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shebang {
    /// The program that runs the script.
    pub interpreter: OsString,
    /// Its one argument before the script, blanks included: `env -S` splits it itself.
    pub argument: Option<OsString>,
}

impl Shebang {
    /// Parses the beginning of a script as the kernel does; None if it has no `#!` line.
    ///
    /// There is one difference: a carriage return from Windows at the end of the line is no part of
    /// the name.
    ///
    /// ```
    /// use execution_engine_process::command_line::Shebang;
    ///
    /// let line = Shebang::parse(b"#!/usr/bin/env -S python3 -u\nprint()").unwrap();
    /// assert_eq!(line.interpreter, "/usr/bin/env");
    /// assert_eq!(line.argument.unwrap(), "-S python3 -u");
    /// ```
    pub fn parse(head: &[u8]) -> Option<Self> {
        let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
        // This also takes the carriage return.
        let line = line.trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (interpreter, rest) = line.split_at(end);
        let rest = rest.trim_ascii();
        (!interpreter.is_empty()).then(|| Self {
            interpreter: os_string(interpreter),
            argument: (!rest.is_empty()).then(|| os_string(rest)),
        })
    }
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;

    OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// Returns true if two names mean one environment variable: they are equal.
pub fn same_env_key(one: &OsStr, other: &OsStr) -> bool {
    one == other
}

/// Word as one would type it in a POSIX shell: in quotes where it needs them.
///
/// ```
/// use execution_engine_process::command_line::unix::Quoted;
///
/// assert_eq!(format!("echo {}", Quoted("it's")), r"echo 'it'\''s'");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<String>)> {
        Shebang::parse(text.as_bytes()).map(|shebang| {
            let text = |word: OsString| word.into_string().unwrap();
            (text(shebang.interpreter), shebang.argument.map(text))
        })
    }

    #[test]
    fn shebangs_are_read_as_the_kernel_reads_them() {
        let of = |interpreter: &str, argument: Option<&str>| {
            Some((interpreter.to_string(), argument.map(str::to_string)))
        };
        assert_eq!(parsed("#!/bin/sh\necho"), of("/bin/sh", None));
        assert_eq!(parsed("#! /usr/bin/env python3\n"), of("/usr/bin/env", Some("python3")));
        assert_eq!(
            parsed("#!/usr/bin/env -S python3 -u  \n"),
            of("/usr/bin/env", Some("-S python3 -u"))
        );
        assert_eq!(parsed("#!/bin/sh\r\necho"), of("/bin/sh", None));
        assert_eq!(parsed("#!\nls"), None);
        assert_eq!(parsed("print('hi')"), None);
        assert_eq!(parsed(""), None);
    }

    /// A system on which these paths lead to files that may be executed, and those ending with `-`
    /// to files that may not.
    fn find(path: Option<&str>, name: &str, files: &[&str]) -> Result<PathBuf, LookupError> {
        let base = Path::new("/work");
        let search = SearchPath { path: path.map(OsStr::new), base: Some(base), extensions: None };
        find_program(&search, name, |path| {
            let path = path.to_str().unwrap();
            let is = |suffix: &str| files.contains(&format!("{path}{suffix}").as_str());
            match () {
                () if is("") => Candidate::Runnable,
                () if is("-") => Candidate::NotExecutable,
                () if is("/") => Candidate::Directory,
                () => Candidate::Missing,
            }
        })
    }

    #[test]
    fn a_name_is_looked_up_in_the_path_and_a_path_is_not() {
        let files = ["/a/tool", "/b/tool", "/work/./tool", "/work/./here", "/work/sub/tool"];
        let found = |path, name| find(path, name, &files).unwrap();
        assert_eq!(found(Some("/none:/b:/a"), "tool"), Path::new("/b/tool"));
        assert_eq!(found(Some("/a"), "./tool"), Path::new("/work/./tool"));
        assert_eq!(found(Some("/none:"), "here"), Path::new("/work/./here"));
        assert_eq!(found(Some("sub"), "tool"), Path::new("/work/sub/tool"));
        assert!(matches!(find(Some("/a"), "sub/none", &files), Err(LookupError::NotFound)));
        assert!(find(None, "sh", &["/bin/sh"]).is_ok(), "the default path");
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_the_better_error_but_hides_nothing() {
        let files = ["/a/tool-", "/b/tool", "/a/dir/", "/a/locked-"];
        assert_eq!(find(Some("/a:/b"), "tool", &files).unwrap(), Path::new("/b/tool"));
        let error = find(Some("/a:/b"), "locked", &files).unwrap_err();
        assert!(matches!(&error, LookupError::NotExecutable { path } if path == "/a/locked"));
        assert!(matches!(find(Some("/a"), "dir", &files), Err(LookupError::NotFound)));
        assert!(matches!(find(None, "/a/dir", &files), Err(LookupError::IsDirectory { .. })));
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, quoted) in
            [("a-b/c", "a-b/c"), ("", "''"), ("a b", "'a b'"), ("$x", "'$x'"), ("'", r"''\'''")]
        {
            assert_eq!(Quoted(word).to_string(), quoted);
        }
    }
}
