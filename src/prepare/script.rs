//! How a script file is run: by the interpreter named, by itself, or by its `#!` line.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::program::{self, ProgramLookup};
use crate::error::ValidationError;
use crate::types::script_argument;

const FIELD: &str = "path";

pub(super) fn command_line(
    path: &Path,
    interpreter: Option<&str>,
    lookup: &ProgramLookup<'_>,
) -> Result<(PathBuf, Vec<OsString>), ValidationError> {
    let file = lookup.at_base(path);
    check_file(&file)?;
    if let Some(name) = interpreter {
        check_readable(&file)?;
        let args = vec![name.into(), script_argument(path)];
        return Ok((lookup.find("interpreter", name)?, args));
    }
    if program::is_executable(&file) {
        return Ok((file, vec![path.into()]));
    }
    check_readable(&file)?;
    let Some(shebang) = read_shebang(&file)? else {
        return Err(ValidationError::ScriptNotRunnable { path: file });
    };
    // As the kernel does it: the interpreter, at most one argument, the script. `env -S` splits
    // its argument itself.
    let program = lookup.find("interpreter", &shebang.interpreter.to_string_lossy())?;
    let mut args = vec![shebang.interpreter];
    args.extend(shebang.argument);
    args.push(script_argument(path));
    Ok((program, args))
}

fn check_file(file: &Path) -> Result<(), ValidationError> {
    match std::fs::metadata(file) {
        Ok(meta) if meta.is_file() => Ok(()),
        Ok(_) => Err(ValidationError::ScriptNotAFile { path: file.to_path_buf() }),
        Err(error) if program::is_missing(&error) => {
            Err(ValidationError::ScriptNotFound { path: file.to_path_buf() })
        }
        Err(error) => Err(program::from_io(FIELD, file, &error)),
    }
}

fn check_readable(file: &Path) -> Result<(), ValidationError> {
    program::may(file, rustix::fs::Access::READ_OK)
        .map_err(|error| program::from_io(FIELD, file, &error))
}

#[derive(Debug, PartialEq, Eq)]
struct Shebang {
    interpreter: OsString,
    argument: Option<OsString>,
}

fn read_shebang(file: &Path) -> Result<Option<Shebang>, ValidationError> {
    // The kernel's own limit for the line.
    const LONGEST: u64 = 256;
    let mut head = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut head))
        .map_err(|error| program::from_io(FIELD, file, &error))?;
    Ok(parse_shebang(&head))
}

fn parse_shebang(head: &[u8]) -> Option<Shebang> {
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    // trim_ascii also takes the carriage return that an editor on Windows leaves.
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(end);
    if interpreter.is_empty() {
        return None;
    }
    let word = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let rest = rest.trim_ascii();
    Some(Shebang {
        interpreter: word(interpreter),
        argument: (!rest.is_empty()).then(|| word(rest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<String>)> {
        parse_shebang(text.as_bytes()).map(|shebang| {
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
}
