//! What an execution runs, and the arguments it becomes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::{TypedLine, shell_flag};
use serde::{Deserialize, Serialize};

use super::{OsText, padded, tagged_form};

/// Command of an execution.
///
/// In JSON the kind is the field `type`, and a shell line needs no more than its text:
///
/// ```
/// use execution_engine::*;
///
/// let command: Command = serde_json::from_str(r#"{"type": "shell", "command": "ls"}"#).unwrap();
/// assert_eq!(command.to_string(), "ls");
/// let command = r#"{"type": "exec", "program": "git", "args": ["status", "--short"]}"#;
/// let command: Command = serde_json::from_str(command).unwrap();
/// assert_eq!(command.argv(), ["git", "status", "--short"]);
/// ```
///
/// Short forms are a line for the shell of the platform, `"ls | wc"`, and a program with its
/// arguments, `["git", "status"]`:
///
/// ```
/// use execution_engine::*;
///
/// let line: Command = serde_json::from_str(r#""ls | wc""#).unwrap();
/// assert_eq!(line, ExecutionRequest::shell("ls | wc").command);
/// let program: Command = serde_json::from_str(r#"["git", "status"]"#).unwrap();
/// assert_eq!(program, ExecutionRequest::exec("git", ["status"]).command);
/// ```
///
/// A script with arguments is a `script` with `args` there, and a word that is not UTF-8 is a list
/// of numbers, on Unix:
///
/// ```
/// use execution_engine::*;
///
/// let command = r#"{"type": "script", "path": "a.py", "interpreter": "python3", "args": ["-v"]}"#;
/// let command: Command = serde_json::from_str(command).unwrap();
/// assert_eq!(command.argv(), ["python3", "a.py", "-v"]);
/// # #[cfg(unix)] {
/// let command = r#"{"type": "exec", "program": "cat", "args": [[102, 255]]}"#;
/// let command: Command = serde_json::from_str(command).unwrap();
/// assert_eq!(command.argv_os()[1].as_encoded_bytes(), [102, 255]);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "CommandJson", into = "CommandJson")]
#[non_exhaustive]
pub enum Command {
    /// A script file.
    Script {
        /// The file. A relative path starts at the working directory of the execution.
        path: PathBuf,
        /// The program that runs it, for instance `python3`. Without one the script itself is run
        /// if it is executable, else the interpreter of its `#!` line.
        interpreter: Option<String>,
    },
    /// A script file with arguments: [`ExecutionRequest::arg`](crate::ExecutionRequest::arg) makes
    /// it of a [`Script`](Self::Script).
    ScriptWithArgs {
        /// The file, as in a [`Script`](Self::Script).
        path: PathBuf,
        /// The program that runs it, as in a [`Script`](Self::Script).
        interpreter: Option<String>,
        /// The arguments of the script, each passed on as it is.
        args: Vec<OsText>,
    },
    /// A program with its arguments. No shell is involved.
    Exec {
        /// A name looked up in the PATH of the child, or a path. A relative path starts at the
        /// working directory of the execution.
        program: String,
        /// The arguments, each passed on as it is.
        args: Vec<String>,
    },
    /// A program whose name or arguments are not all UTF-8. No shell is involved.
    ExecOs {
        /// A name or a path, as in an [`Exec`](Self::Exec).
        program: OsText,
        /// The arguments, each passed on as it is.
        args: Vec<OsText>,
    },
    /// A line for a shell: pipes, redirections, `&&`.
    Shell {
        /// The line.
        command: String,
        /// The shell: `/bin/bash`, `pwsh`, `cmd` ... If JSON leaves it out, it is that of the
        /// platform: `/bin/sh`, on Windows `cmd`.
        shell: String,
    },
    /// An operation of the AWS command-line interface:
    /// `aws SERVICE OPERATION [--profile P] [--region R] ARGS.. --output json`.
    #[cfg(feature = "aws")]
    AwsCli {
        /// The service, for instance `s3api`.
        service: String,
        /// The operation, for instance `list-buckets`.
        operation: String,
        /// Further arguments.
        args: Vec<String>,
        /// The profile, if not the default one.
        profile: Option<String>,
        /// The region, if not the profile's.
        region: Option<String>,
    },
}

impl Command {
    /// Returns the command that runs a program: an [`Exec`](Self::Exec) if all words are UTF-8.
    pub(super) fn program(program: OsText, args: Vec<OsText>) -> Self {
        let text = program.to_str().map(str::to_string);
        let text_args = args.iter().map(|arg| arg.to_str().map(str::to_string)).collect();
        match (text, text_args) {
            (Some(program), Some(args)) => Self::Exec { program, args },
            _ => Self::ExecOs { program, args },
        }
    }

    /// Adds arguments. A shell line has none and stays as it is.
    pub(super) fn add_args(&mut self, more: Vec<OsText>) {
        if more.is_empty() {
            return;
        }
        let is_text = more.iter().all(|arg| arg.to_str().is_some());
        match self {
            Self::Exec { args, .. } if is_text => args.extend(more.iter().map(OsText::to_string)),
            #[cfg(feature = "aws")]
            Self::AwsCli { args, .. } if is_text => args.extend(more.iter().map(OsText::to_string)),
            Self::Script { path, interpreter } => {
                let (path, interpreter) = (std::mem::take(path), interpreter.take());
                *self = Self::ScriptWithArgs { path, interpreter, args: more };
            }
            Self::ScriptWithArgs { args, .. } | Self::ExecOs { args, .. } => args.extend(more),
            Self::Shell { .. } => {}
            // They have text alone.
            _ => {
                let mut words = self.argv_os().into_iter().map(OsText::from);
                let program = words.next().unwrap_or_default();
                *self = Self::ExecOs { program, args: words.chain(more).collect() };
            }
        }
    }

    /// Returns the program and its arguments, as they are started: with the flag of the shell, and
    /// all arguments of `aws`.
    ///
    /// The first entry is the program by the name it was given, not yet looked up in the PATH. A
    /// script without an interpreter has only its path and its arguments; whether its `#!` line adds
    /// an interpreter is decided when it is started. Bytes that are not UTF-8 are shown as U+FFFD;
    /// [`argv_os`](Self::argv_os) has them as they are.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let shell = ExecutionRequest::shell("ls | wc");
    /// assert_eq!(shell.command.argv(), ["/bin/sh", "-c", "ls | wc"]);
    /// let pwsh = ExecutionRequest::shell("ls").interpreter("pwsh");
    /// assert_eq!(pwsh.command.argv(), ["pwsh", "-Command", "ls"]);
    /// let script = ExecutionRequest::script("a.py").interpreter("python3").arg("-v");
    /// assert_eq!(script.command.argv(), ["python3", "a.py", "-v"]);
    /// ```
    pub fn argv(&self) -> Vec<String> {
        let lossy = |word: OsString| word.to_string_lossy().into_owned();
        self.argv_os().into_iter().map(|word| word.into_string().unwrap_or_else(lossy)).collect()
    }

    /// Returns the program and its arguments like [`argv`](Self::argv), as the system has them.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let request = ExecutionRequest::program("cat").arg(PathBuf::from("a b.txt"));
    /// assert_eq!(request.command.argv_os(), ["cat", "a b.txt"]);
    /// ```
    pub fn argv_os(&self) -> Vec<OsString> {
        let os = |words: &[OsText]| words.iter().map(|word| word.as_os_str().into()).collect();
        match self {
            Self::Script { path, interpreter } => script_words(path, interpreter, Vec::new()),
            Self::ScriptWithArgs { path, interpreter, args } => {
                script_words(path, interpreter, os(args))
            }
            Self::Exec { program, args } => {
                std::iter::once(program).chain(args).map(OsString::from).collect()
            }
            Self::ExecOs { program, args } => {
                let mut argv: Vec<_> = os(args);
                argv.insert(0, program.as_os_str().into());
                argv
            }
            Self::Shell { command, shell } => {
                vec![shell.into(), shell_flag(shell).into(), shell_line(command).into()]
            }
            #[cfg(feature = "aws")]
            Self::AwsCli { service, operation, args, profile, region } => {
                let mut argv = vec!["aws".into(), service.into(), operation.into()];
                for (flag, value) in [("--profile", profile), ("--region", region)] {
                    if let Some(value) = value {
                        argv.extend([flag.into(), value.into()]);
                    }
                }
                argv.extend(args.iter().map(OsString::from));
                argv.extend(["--output".into(), "json".into()]);
                argv
            }
        }
    }
}

/// Returns the words that run a script.
fn script_words(path: &Path, interpreter: &Option<String>, args: Vec<OsString>) -> Vec<OsString> {
    let mut words = match interpreter {
        None => vec![path.into()],
        Some(interpreter) => vec![interpreter.into(), script_argument(path)],
    };
    words.extend(args);
    words
}

/// JSON form of a [`Command`].
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
enum CommandJson {
    Script {
        path: OsText,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<OsText>,
    },
    Exec {
        program: OsText,
        #[serde(default)]
        args: Vec<OsText>,
    },
    Shell {
        command: String,
        #[serde(default = "default_shell")]
        shell: String,
    },
    #[cfg(feature = "aws")]
    AwsCli {
        service: String,
        operation: String,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
}

tagged_form!(CommandJson {
    const EXPECTING: &'static str =
        "an object with a `type`, a line for a shell, or a list of a program and its arguments";
    const TAKES_WORDS: bool = true;

    fn from_text<E>(line: &str) -> Result<Self, E> {
        Ok(Self::Shell { command: line.to_string(), shell: default_shell() })
    }

    fn from_words<E: serde::de::Error>(words: Vec<OsText>) -> Result<Self, E> {
        let mut words = words.into_iter();
        let program = words.next().ok_or_else(|| E::custom("the list has no program"))?;
        Ok(Self::Exec { program, args: words.collect() })
    }
});

impl From<CommandJson> for Command {
    fn from(json: CommandJson) -> Self {
        match json {
            CommandJson::Script { path, interpreter, args } => {
                let path = path.into_os_string().into();
                match args.is_empty() {
                    true => Self::Script { path, interpreter },
                    false => Self::ScriptWithArgs { path, interpreter, args },
                }
            }
            CommandJson::Exec { program, args } => Self::program(program, args),
            CommandJson::Shell { command, shell } => Self::Shell { command, shell },
            #[cfg(feature = "aws")]
            CommandJson::AwsCli { service, operation, args, profile, region } => {
                Self::AwsCli { service, operation, args, profile, region }
            }
        }
    }
}

impl From<Command> for CommandJson {
    fn from(command: Command) -> Self {
        let os = |words: Vec<String>| words.into_iter().map(OsText::from).collect();
        match command {
            Command::Script { path, interpreter } => {
                Self::Script { path: path.into(), interpreter, args: Vec::new() }
            }
            Command::ScriptWithArgs { path, interpreter, args } => {
                Self::Script { path: path.into(), interpreter, args }
            }
            Command::Exec { program, args } => {
                Self::Exec { program: program.into(), args: os(args) }
            }
            Command::ExecOs { program, args } => Self::Exec { program, args },
            Command::Shell { command, shell } => Self::Shell { command, shell },
            #[cfg(feature = "aws")]
            Command::AwsCli { service, operation, args, profile, region } => {
                Self::AwsCli { service, operation, args, profile, region }
            }
        }
    }
}

/// The shell of the platform.
const DEFAULT_SHELL: &str = if cfg!(windows) { "cmd" } else { "/bin/sh" };

pub(super) fn default_shell() -> String {
    DEFAULT_SHELL.to_string()
}

/// Returns a line so that a shell does not take it for an option: a leading blank changes nothing
/// else.
fn shell_line(command: &str) -> String {
    if command.starts_with(['-', '+']) { format!(" {command}") } else { command.to_string() }
}

/// Returns a script's path so that its interpreter does not take it for an option.
pub(crate) fn script_argument(path: &Path) -> OsString {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return Path::new(".").join(path).into_os_string();
    }
    path.into()
}

/// The command as one would type it in a POSIX shell, for titles, lists and logs. A line for the
/// shell of the platform is shown as it is; anything else can be pasted into a shell, where it runs
/// the same program with the same arguments.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Shell { command, shell } = self
            && shell == DEFAULT_SHELL
        {
            return f.pad(command);
        }
        let mut argv = self.argv_os();
        if let Self::Script { path, interpreter: None }
        | Self::ScriptWithArgs { path, interpreter: None, .. } = self
        {
            let path = script_argument(path);
            let is_path = path.as_encoded_bytes().contains(&b'/');
            // A shell looks a name up in PATH.
            argv[0] = if is_path { path } else { Path::new(".").join(path).into_os_string() };
        }
        let line = TypedLine { program: &argv[0], args: argv[1..].iter().map(OsStr::new) };
        padded(f, |f| write!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ExecutionRequest;

    #[test]
    fn display_reads_like_a_typed_line() {
        let exec = Command::Exec {
            program: "python3".into(),
            args: vec!["-c".into(), "print('hi')".into(), String::new()],
        };
        assert_eq!(exec.to_string(), r"python3 -c 'print('\''hi'\'')' ''");
    }

    #[test]
    fn no_arguments_change_nothing() {
        let script = ExecutionRequest::script("a.py");
        let same = script.clone().args(Vec::<String>::new());
        assert_eq!(same.command, script.command);
    }

    #[test]
    #[cfg(feature = "aws")]
    fn aws_arguments_are_in_the_documented_order() {
        let command = Command::AwsCli {
            service: "s3api".into(),
            operation: "list-buckets".into(),
            args: vec!["--max-items".into()],
            profile: Some("p".into()),
            region: Some("r".into()),
        };
        let line = "aws s3api list-buckets --profile p --region r --max-items --output json";
        assert_eq!((command.argv().join(" ").as_str(), command.to_string().as_str()), (line, line));
    }

    #[test]
    fn leading_dash_does_not_become_an_option() {
        assert_eq!(script_argument(Path::new("-x.py")), "./-x.py");
        assert_eq!(script_argument(Path::new("x.py")), "x.py");
        assert_eq!(shell_line("-x"), " -x");
    }
}
