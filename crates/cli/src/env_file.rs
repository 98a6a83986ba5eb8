//! Files with environment variables, a line for each: `NAME=VALUE`, or `NAME` for a variable that is
//! copied from the caller. Lines that are empty or begin with `#` are left out. Nothing is quoted or
//! expanded: the value is the rest of the line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// Variable to set. Without a value it is copied from the caller, if that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: OsString,
    pub(crate) value: Option<OsString>,
}

impl Variable {
    /// Reads `NAME=VALUE` or `NAME`. `None` if there is no name.
    pub(crate) fn parse(text: &OsStr) -> Option<Self> {
        let bytes = text.as_bytes();
        let sign = bytes.iter().position(|byte| *byte == b'=');
        let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let name = &bytes[..sign.unwrap_or(bytes.len())];
        let value = sign.map(|sign| owned(&bytes[sign + 1..]));
        (!name.is_empty()).then(|| Self { name: owned(name), value })
    }
}

/// Reads a file.
///
/// # Errors
/// Which line is wrong, or why the file cannot be read, and the fix. No value is named.
pub(crate) fn read(path: &Path) -> Result<Vec<Variable>, String> {
    let shown = path.display();
    let content =
        std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let lines =
        content.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let variables = (1..).zip(lines).filter(|(_, line)| !line.is_empty() && line[0] != b'#');
    variables
        .map(|(number, line)| {
            let variable = Variable::parse(OsStr::from_bytes(line));
            variable.ok_or_else(|| format!("{shown}, line {number}: write NAME=VALUE or NAME"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: Option<&str>) -> Variable {
        Variable { name: name.into(), value: value.map(Into::into) }
    }

    #[test]
    fn lines_are_read_as_they_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# note\nA=1\r\n\nB='x y'=z\nC\nD=").unwrap();
        let expected = [
            variable("A", Some("1")),
            variable("B", Some("'x y'=z")),
            variable("C", None),
            variable("D", Some("")),
        ];
        assert_eq!(read(file.path()).unwrap(), expected);
    }

    #[test]
    fn mistakes_name_the_line_and_no_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\n=secret\n").unwrap();
        let error = read(file.path()).unwrap_err();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
        assert!(read(Path::new("/no/such/file")).unwrap_err().contains("/no/such/file"));
    }
}
