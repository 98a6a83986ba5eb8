//! The rules of Unix: lookup in `PATH`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Candidate, LookupError, SearchPath, accept, first_runnable};

/// Where programs are looked for when the child has no `PATH` at all.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Finds the file that `name` means; `look` says what is at a path.
///
/// A name with a slash is a path. Any other is looked up in `PATH`, where empty and relative
/// entries start at the working directory.
///
/// # Errors
/// [`LookupError`] says why there is none.
pub fn find_program(
    search: &SearchPath<'_>,
    name: &OsStr,
    mut look: impl FnMut(&Path) -> Candidate,
) -> Result<PathBuf, LookupError> {
    let at_base = |path: &Path| search.base.map_or(path.to_path_buf(), |base| base.join(path));
    if name.as_encoded_bytes().contains(&b'/') {
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

/// Returns true if two names mean one environment variable: they are equal.
pub fn same_env_key(one: &OsStr, other: &OsStr) -> bool {
    one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system on which these paths lead to files that may be executed, and those ending with `-`
    /// to files that may not.
    fn find(path: Option<&str>, name: &str, files: &[&str]) -> Result<PathBuf, LookupError> {
        let base = Path::new("/work");
        let search = SearchPath { path: path.map(OsStr::new), base: Some(base), extensions: None };
        find_program(&search, name.as_ref(), |path| {
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
}
