//! The `#!` line of a script, read byte for byte as Linux reads it (`fs/binfmt_script.c`, unchanged
//! since Linux 5.1).

use std::ffi::OsString;

/// Bytes at the beginning of a script that Linux looks at (`BINPRM_BUF_SIZE`).
pub const SHEBANG_BYTES: usize = 256;

/// The `#!` line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shebang {
    /// The path of the program that runs the script. It is not looked up in `PATH`, and a relative
    /// one starts at the working directory. A NUL byte in place of it makes it empty.
    pub interpreter: OsString,
    /// Its one argument before the script, blanks included: `env -S` splits it itself.
    pub argument: Option<OsString>,
}

/// Why Linux executes no script with this `#!` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShebangError {
    /// Nothing but blanks follows the `#!`.
    #[error("a #! line that names no interpreter")]
    NoInterpreter,
    /// The end of the interpreter's path is not among the bytes that Linux looks at.
    #[error("a #! line whose interpreter does not end within the first {SHEBANG_BYTES} bytes")]
    TooLong,
}

impl Shebang {
    /// Parses the beginning of a file, at least its first [`SHEBANG_BYTES`] if it has as many. None
    /// without a `#!` line.
    ///
    /// Blanks and tabs separate; any other byte is part of a name, such as the carriage return of
    /// Windows. Linux ends an argument that is too long at its bound, and passes on an empty one
    /// after a blank at the end of a file without a line ending; so does this.
    ///
    /// ```
    /// use execution_engine_process::command_line::Shebang;
    ///
    /// let line = Shebang::parse(b"#!/usr/bin/env -S python3 -u\nprint()").unwrap().unwrap();
    /// assert_eq!(line.interpreter, "/usr/bin/env");
    /// assert_eq!(line.argument.unwrap(), "-S python3 -u");
    /// ```
    ///
    /// # Errors
    /// [`ShebangError`] says what is wrong with the line.
    pub fn parse(head: &[u8]) -> Result<Option<Self>, ShebangError> {
        if !head.starts_with(b"#!") {
            return Ok(None);
        }
        // What follows the end of the file is NUL bytes.
        let mut line = [0; SHEBANG_BYTES];
        let length = head.len().min(SHEBANG_BYTES);
        line[..length].copy_from_slice(&head[..length]);

        let end = end_of(&line)?;
        let name = position(&line, 2..=end, |byte| !is_blank(byte)).filter(|at| *at < end);
        let name = name.ok_or(ShebangError::NoInterpreter)?;
        let separator = position(&line, name..=end, is_terminator);
        let argument = separator
            .filter(|at| line[*at] != 0)
            .and_then(|at| position(&line, at..=end, |byte| !is_blank(byte)));
        let string = |from: usize, to: usize| {
            let length = position(&line, from..=to, |byte| byte == 0).unwrap_or(to) - from;
            os_string(&line[from..from + length])
        };
        Ok(Some(Self {
            interpreter: string(name, separator.unwrap_or(end)),
            argument: argument.map(|at| string(at, end)),
        }))
    }
}

/// Returns where the line ends, without blanks before its end. A line that reaches the bound must
/// have ended the interpreter's path by then: else another program might run.
fn end_of(line: &[u8; SHEBANG_BYTES]) -> Result<usize, ShebangError> {
    let last = SHEBANG_BYTES - 1;
    let newline_or_nul = position(line, 2..=last, |byte| byte == b'\n' || byte == 0);
    let mut end = match newline_or_nul {
        Some(at) if line[at] == b'\n' => at,
        _ => {
            let name = position(line, 2..=last, |byte| !is_blank(byte));
            let name = name.ok_or(ShebangError::NoInterpreter)?;
            position(line, name..=last, is_terminator).ok_or(ShebangError::TooLong)?;
            last
        }
    };
    while is_blank(line[end - 1]) {
        end -= 1;
    }
    Ok(end)
}

fn position(
    line: &[u8],
    mut range: std::ops::RangeInclusive<usize>,
    test: impl Fn(u8) -> bool,
) -> Option<usize> {
    range.find(|at| test(line[*at]))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_terminator(byte: u8) -> bool {
    is_blank(byte) || byte == 0
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

#[cfg(test)]
mod tests {
    use super::*;

    type Parsed = Result<Option<(String, Option<String>)>, ShebangError>;

    fn parsed(head: &str) -> Parsed {
        let text = |word: OsString| word.into_string().unwrap();
        Shebang::parse(head.as_bytes())
            .map(|line| line.map(|line| (text(line.interpreter), line.argument.map(text))))
    }

    fn of(interpreter: &str, argument: Option<&str>) -> Parsed {
        Ok(Some((interpreter.to_string(), argument.map(str::to_string))))
    }

    #[test]
    fn a_line_is_read_as_linux_reads_it() {
        for (head, expected) in [
            ("#!/bin/sh\necho", of("/bin/sh", None)),
            ("#! /usr/bin/env python3\n", of("/usr/bin/env", Some("python3"))),
            ("#!\t/usr/bin/env \t-S python3 -u \t\n", of("/usr/bin/env", Some("-S python3 -u"))),
            ("#!/bin/sh", of("/bin/sh", None)),
            ("#!sh\n", of("sh", None)),
            // Only blanks and tabs separate.
            ("#!/bin/sh\r\necho", of("/bin/sh\r", None)),
            ("#!/usr/bin/env python3\r\n", of("/usr/bin/env", Some("python3\r"))),
            ("#!/bin/sh\x0b-e\n", of("/bin/sh\x0b-e", None)),
            // Without a line ending, nothing is taken from the end, and nothing is an argument.
            ("#!/bin/sh ", of("/bin/sh", Some(""))),
            ("#!/bin/sh -e  ", of("/bin/sh", Some("-e  "))),
            // A NUL byte ends a string, and there is no line ending behind it.
            ("#!/bin/sh\0-e\n", of("/bin/sh", None)),
            ("#!/bin/sh -e\0-u \n", of("/bin/sh", Some("-e"))),
            ("#!/bin/sh \0\n", of("/bin/sh", Some(""))),
            ("#!\0/bin/sh\n", of("", None)),
            ("#!", of("", None)),
            ("#!\nls", Err(ShebangError::NoInterpreter)),
            ("#! \t \n", Err(ShebangError::NoInterpreter)),
            ("print('hi')", Ok(None)),
            (" #!/bin/sh\n", Ok(None)),
            ("#", Ok(None)),
            ("", Ok(None)),
        ] {
            assert_eq!(parsed(head), expected, "{head:?}");
        }
    }

    #[test]
    fn a_line_beyond_the_bound_names_no_other_program() {
        // The last byte of a path that fits, and what may follow it.
        let longest = format!("/{}", "x".repeat(SHEBANG_BYTES - 4));
        let too_long = format!("{longest}x");
        for end in ["\n", " ", "\t", "\0", " \n", " argument\n"] {
            assert_eq!(parsed(&format!("#!{longest}{end}")), of(&longest, None), "{end:?}");
            let beyond = parsed(&format!("#!{too_long}{end}"));
            assert_eq!(beyond, Err(ShebangError::TooLong), "{end:?}");
        }
        assert_eq!(parsed(&format!("#!{longest}")), of(&longest, None), "the file ends there");
        let blanks = " ".repeat(SHEBANG_BYTES);
        assert_eq!(parsed(&format!("#!{blanks}/bin/sh\n")), Err(ShebangError::NoInterpreter));
        // The argument is cut at the bound, or gone.
        let cut = "y".repeat(SHEBANG_BYTES - 1 - "#!/bin/sh ".len());
        assert_eq!(parsed(&format!("#!/bin/sh {cut}yyy\n")), of("/bin/sh", Some(&cut)));
        assert_eq!(parsed(&format!("#!/bin/sh{blanks}-e\n")), of("/bin/sh", None));
    }
}
