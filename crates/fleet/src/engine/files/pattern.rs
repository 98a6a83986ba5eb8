//! Which files patterns name, below a directory.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine::path_matches;

/// Most files of an execution: its result has them all.
const MAX_FILES: usize = 2000;
/// Longest list of what was not collected.
pub(super) const MAX_ERRORS: usize = 100;

/// What patterns name.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files by their paths relative to the directory, and where below it they lie.
    pub(super) files: BTreeMap<String, PathBuf>,
    /// What was not collected, and why.
    pub(super) errors: Vec<String>,
    /// Number of errors beyond these.
    pub(super) more_errors: usize,
}

/// Finds files, until it is stopped. `*` is any part of a name and `?` one character, neither of which is a
/// dot at its beginning; `**` is any number of directories.
pub(super) fn find(directory: &Path, patterns: &[String], stop: &AtomicBool) -> io::Result<Found> {
    let root = &*directory.canonicalize()?;
    let mut found = Found::default();
    for pattern in patterns {
        let seen = HashSet::new();
        let (matched, failed, is_over) = (false, false, false);
        let mut walk = Walk { root, stop, found: &mut found, seen, matched, failed, is_over };
        let mut parts: Vec<_> = pattern.split('/').collect();
        parts.dedup_by(|a, b| *a == "**" && *b == "**");
        if parts.last() == Some(&"**") {
            parts.push("*");
        }
        walk.descend(root, "", &parts);
        if walk.is_over {
            break;
        }
        if !walk.matched && !walk.failed {
            walk.fail(pattern, "there is no such file");
        }
    }
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    stop: &'a AtomicBool,
    found: &'a mut Found,
    /// Directories that were searched, and for how many parts of the pattern: links and `**` lead to one
    /// in many ways.
    seen: HashSet<(PathBuf, usize)>,
    matched: bool,
    failed: bool,
    /// Whether the search ends before all was seen.
    is_over: bool,
}

impl Walk<'_> {
    /// Takes what the parts of a pattern name below a directory, whose relative path begins the names.
    fn descend(&mut self, directory: &Path, relative: &str, parts: &[&str]) {
        let Some((first, rest)) = parts.split_first() else { return };
        if !self.seen.insert((directory.to_owned(), parts.len())) {
            return;
        }
        if *first == "**" {
            self.descend(directory, relative, rest);
        }
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let shown = if relative.is_empty() { "the working directory" } else { relative };
                return self.fail(shown, &error.to_string());
            }
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            self.is_over |= self.stop.load(Ordering::Relaxed);
            if self.is_over {
                return;
            }
            let Some(text) = name.to_str() else {
                self.undecodable(relative, &name, first);
                continue;
            };
            let below = joined(relative, text);
            let path = directory.join(&name);
            if *first == "**" {
                let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
                if is_directory && !text.starts_with('.') {
                    self.descend(&path, &below, parts);
                }
            } else if path_matches(first, text) {
                self.take(&path, below, rest);
            }
        }
    }

    /// Takes a file, or goes on in a directory. Links are followed within the working directory alone.
    fn take(&mut self, path: &Path, relative: String, rest: &[&str]) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.fail(&relative, &error.to_string()),
        };
        let Ok(below) = real.strip_prefix(self.root) else {
            return self.fail(&relative, "is a link that leads out of the working directory");
        };
        match (real.is_dir(), rest.is_empty()) {
            (true, false) => self.descend(&real, &relative, rest),
            (false, true) if real.is_file() => self.keep(relative, below.to_owned()),
            (false, true) => self.fail(&relative, "is no regular file"),
            _ => {}
        }
    }

    fn keep(&mut self, relative: String, below: PathBuf) {
        self.matched = true;
        let files = &mut self.found.files;
        if files.len() < MAX_FILES || files.contains_key(&relative) {
            files.insert(relative, below);
        } else {
            self.is_over = true;
            // First, so that it is among those that are told.
            let error = format!("{relative} and more: at most {MAX_FILES} files are collected");
            self.found.errors.insert(0, error);
        }
    }

    fn undecodable(&mut self, relative: &str, name: &OsStr, pattern: &str) {
        let shown = name.to_string_lossy();
        if path_matches(pattern, &shown) {
            self.fail(&joined(relative, &shown), "has a name that is not UTF-8");
        }
    }

    fn fail(&mut self, relative: &str, reason: &str) {
        self.failed = true;
        match self.found.errors.len() < MAX_ERRORS {
            true => self.found.errors.push(format!("{relative}: {reason}")),
            false => self.found.more_errors += 1,
        }
    }
}

fn joined(relative: &str, name: &str) -> String {
    if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_within_the_directory_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("work");
        std::fs::create_dir_all(dir.join("out/deep")).unwrap();
        std::fs::write(home.path().join("secret"), "x").unwrap();
        for file in ["a.csv", "out/b.csv", "out/deep/c.csv", "out/d.txt"] {
            std::fs::write(dir.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("../secret", dir.join("leak.csv")).unwrap();
        std::os::unix::fs::symlink("..", dir.join("up")).unwrap();
        std::os::unix::fs::symlink("a.csv", dir.join("link")).unwrap();
        let find = |pattern: &str| {
            let found = find(&dir, &[pattern.to_owned()], &AtomicBool::new(false)).unwrap();
            (found.files.into_keys().collect::<Vec<_>>().join(" "), found.errors.join(" "))
        };
        let no = String::new;
        assert_eq!(find("out/*.csv"), ("out/b.csv".to_owned(), no()));
        assert_eq!(find("out/**"), ("out/b.csv out/d.txt out/deep/c.csv".to_owned(), no()));
        assert_eq!(find("link"), ("link".to_owned(), no()));
        let nameless = std::os::unix::ffi::OsStrExt::from_bytes(b"raw\xff");
        // Some systems have no such names.
        if std::fs::write(dir.join::<&OsStr>(nameless), "").is_ok() {
            assert_eq!(find("raw*").1, "raw\u{fffd}: has a name that is not UTF-8");
            std::fs::remove_file(dir.join::<&OsStr>(nameless)).unwrap();
        }
        let (files, errors) = find("**/*.csv");
        assert_eq!(files, "a.csv out/b.csv out/deep/c.csv");
        assert!(errors.starts_with("leak.csv: is a link"), "{errors}");
        assert!(find("up/secret").1.starts_with("up: is a link"));
        assert_eq!(find("no/*").1, "no/*: there is no such file");
    }

    fn found(dir: &Path, pattern: &str) -> Found {
        find(dir, &[pattern.to_owned(), "*".to_owned()], &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn a_directory_is_searched_once_for_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/".repeat(20));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("file"), "").unwrap();
        // Without a memory the ways to the file are more than could be tried.
        let many = format!("{}file", "**/a/**/".repeat(15));
        assert_eq!(found(dir.path(), &many).files.len(), 1);
        assert_eq!(found(dir.path(), &format!("{}file", "**/".repeat(40))).files.len(), 1);
        for link in ["l", "m", "n"] {
            std::os::unix::fs::symlink(".", dir.path().join(link)).unwrap();
        }
        assert_eq!(found(dir.path(), &format!("{}none", "*/".repeat(40))).files.len(), 0);
    }

    #[test]
    fn a_search_ends_at_its_bounds_and_when_it_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES {
            std::fs::write(dir.path().join(format!("{number:04}")), "").unwrap();
        }
        let all = found(dir.path(), "**");
        assert_eq!(all.files.len(), MAX_FILES);
        assert_eq!(all.errors, ["2000 and more: at most 2000 files are collected"]);
        let stopped = find(dir.path(), &["*".to_owned()], &AtomicBool::new(true)).unwrap();
        assert!(stopped.files.is_empty() && stopped.errors.is_empty(), "{stopped:?}");
        for number in 0..MAX_ERRORS + 7 {
            std::os::unix::fs::symlink("none", dir.path().join(format!("x{number}"))).unwrap();
        }
        let failed = found(dir.path(), "x*");
        assert_eq!((failed.errors.len(), failed.more_errors), (MAX_ERRORS + 1, 7));
    }
}
