//! A command line as one would type it in a POSIX shell.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};

/// Words that a shell does not take for a program unless they are in quotes: those of POSIX, bash,
/// ksh and zsh, but for those with characters that need quotes anyway.
const RESERVED: [&str; 24] = [
    "case",
    "coproc",
    "do",
    "done",
    "elif",
    "else",
    "end",
    "esac",
    "fi",
    "for",
    "foreach",
    "function",
    "if",
    "in",
    "namespace",
    "nocorrect",
    "noglob",
    "repeat",
    "select",
    "then",
    "time",
    "until",
    "while",
    "-",
];

/// Commands of a shell that act on the shell itself, also in quotes, as a job (`%1`) does; a program
/// of that name would not. `env` runs the program. (Others, such as `kill` and `test`, do what the
/// program does.)
const BUILTIN: [&str; 60] = [
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "declare",
    "dirs",
    "disown",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "autoload",
    "emulate",
    "float",
    "integer",
    "print",
    "setopt",
    "unsetopt",
];

/// Command line as one would type it in a POSIX shell, on one line: pasted there, it runs the
/// program with the same arguments.
///
/// Words are in quotes where they need them. Characters that cannot be shown, or that move the
/// text, are written by `printf`, which all shells have; only a newline at the end of a word is
/// written as it is. An alias that the user has made is in force, as for any line that is typed.
///
/// ```
/// use std::ffi::OsStr;
///
/// use execution_engine_process::command_line::TypedLine;
///
/// let line = |program: &str, args: &[&str]| {
///     let args = args.iter().map(OsStr::new);
///     TypedLine { program: program.as_ref(), args }.to_string()
/// };
/// assert_eq!(line("grep", &["it's", "a b.txt"]), r"grep 'it'\''s' 'a b.txt'");
/// assert_eq!(line("printf", &["a\tb"]), r#"printf "$(printf 'a\tb')""#);
/// assert_eq!(line("time", &["a=b"]), "'time' a=b");
/// assert_eq!(line("exit", &["3"]), "env exit 3");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TypedLine<'a, Args> {
    /// The program, by a name or a path.
    pub program: &'a OsStr,
    /// The arguments after it.
    pub args: Args,
}

impl<'a, Args: Iterator<Item = &'a OsStr> + Clone> fmt::Display for TypedLine<'a, Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.program.to_str().unwrap_or_default();
        let is_of_shell = BUILTIN.contains(&name)
            || name.starts_with('%')
            || (name == "echo" && self.args.clone().any(is_read_by_echo));
        if is_of_shell {
            // For env, a name with a = is a variable.
            f.write_str(if name.contains('=') { "nice -n 0 " } else { "env " })?;
        }
        if needs_quotes_as_program(name) {
            write_quoted(f, name)?;
        } else {
            write_word(f, self.program)?;
        }
        self.args.clone().try_for_each(|arg| {
            f.write_char(' ')?;
            write_word(f, arg)
        })
    }
}

/// Returns `true` for an argument that the `echo` of some shells prints otherwise than the program.
fn is_read_by_echo(arg: &OsStr) -> bool {
    let arg = arg.as_encoded_bytes();
    arg.starts_with(b"-") || arg.contains(&b'\\')
}

/// Returns `true` for a plain word that would not be the name of a program: a reserved word, an
/// assignment, an option of the shell that is given the line.
fn needs_quotes_as_program(name: &str) -> bool {
    let is_special = RESERVED.contains(&name) || name.contains('=') || name.starts_with(['-', '+']);
    is_special && is_plain(name)
}

fn is_plain(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    // A word that begins with = is the path of a program for zsh.
    !word.is_empty() && !word.starts_with('=') && word.chars().all(is_plain)
}

fn write_word(f: &mut fmt::Formatter<'_>, word: &OsStr) -> fmt::Result {
    match word.to_str() {
        Some(text) if is_plain(text) => f.write_str(text),
        Some(text) if !text.contains(is_hidden) => write_quoted(f, text),
        _ => {
            let bytes = word.as_encoded_bytes();
            // What a substitution ends with is lost if it is newlines.
            let end = bytes.iter().rposition(|byte| *byte != b'\n').map_or(0, |last| last + 1);
            let (body, newlines) = bytes.split_at(end);
            if !body.is_empty() {
                f.write_str("\"$(printf '")?;
                write_format(f, body)?;
                f.write_str("')\"")?;
            }
            match newlines.len() {
                0 => Ok(()),
                count => write!(f, "'{}'", "\n".repeat(count)),
            }
        }
    }
}

/// Writes a word in quotes in which all characters mean themselves.
fn write_quoted(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    write!(f, "'{}'", word.replace('\'', r"'\''"))
}

/// Returns `true` for a character that cannot be seen, or that moves the text around it.
fn is_hidden(c: char) -> bool {
    let moves =
        matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    c.is_control() || c == '\u{feff}' || moves
}

/// Writes what `printf` prints as these bytes, within single quotes.
fn write_format(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut is_first = true;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => f.write_str(r"\n")?,
                '\t' => f.write_str(r"\t")?,
                '\r' => f.write_str(r"\r")?,
                '\\' => f.write_str(r"\\")?,
                '%' => f.write_str("%%")?,
                '\'' => f.write_str(r"'\''")?,
                // These are an option of printf, and the history in some shells.
                '-' if is_first => write_octal(f, b"-")?,
                '!' => write_octal(f, b"!")?,
                _ if is_hidden(c) => write_octal(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                _ => f.write_char(c)?,
            }
            is_first = false;
        }
        write_octal(f, chunk.invalid())?;
        is_first &= chunk.invalid().is_empty();
    }
    Ok(())
}

fn write_octal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\{byte:03o}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &str, args: &[&str]) -> String {
        TypedLine { program: program.as_ref(), args: args.iter().map(OsStr::new) }.to_string()
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, typed) in [
            ("a-b/c:d=e@f%g+h,i", "a-b/c:d=e@f%g+h,i"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$x", "'$x'"),
            ("~", "'~'"),
            ("!x", "'!x'"),
            ("*", "'*'"),
            ("#", "'#'"),
            ("=ls", "'=ls'"),
            ("größe", "'größe'"),
            ("'", r"''\'''"),
            ("a\nb", r#""$(printf 'a\nb')""#),
            ("-\t%!'\\\x1b[1m", r#""$(printf '\055\t%%\041'\''\\\033[1m')""#),
            ("a\u{202e}b", r#""$(printf 'a\342\200\256b')""#),
            ("a\n\n", "\"$(printf 'a')\"'\n\n'"),
            ("\n", "'\n'"),
        ] {
            assert_eq!(line("p", &[word]), format!("p {typed}"));
        }
    }

    #[test]
    fn the_first_word_is_a_program_for_a_shell() {
        for (program, typed) in [
            ("git", "git"),
            ("./a=b", "'./a=b'"),
            ("a=b", "'a=b'"),
            ("-x", "'-x'"),
            ("%1", "env %1"),
            ("%a=b", "nice -n 0 '%a=b'"),
            ("while", "'while'"),
            ("{", "'{'"),
            ("exec", "env exec"),
            (":", "env :"),
            ("/bin/cd", "/bin/cd"),
            ("a\nb", r#""$(printf 'a\nb')""#),
        ] {
            assert_eq!(line(program, &["x=y"]), format!("{typed} x=y"));
        }
        assert_eq!(line("echo", &["a", "b"]), "echo a b");
        assert_eq!(line("echo", &["-n", "b"]), "env echo -n b");
        assert_eq!(line("echo", &["a", r"\t"]), r"env echo a '\t'");
    }
}
