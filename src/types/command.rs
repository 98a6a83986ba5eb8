//! What an execution runs, and the arguments it becomes.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use execution_engine_process::command_line::{shell_flag, unix::Quoted};
use serde::{Deserialize, Serialize};

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
/// Arguments are text: one that is not UTF-8 cannot be passed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[serde(expecting = "an object with a `type`")]
#[non_exhaustive]
pub enum Command {
    /// A script file.
    Script {
        /// The file. A relative path starts at the working directory of the execution.
        path: PathBuf,
        /// The program that runs it, for instance `python3`. Without one the script itself is run
        /// if it is executable, else the interpreter of its `#!` line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<String>,
    },
    /// A program with its arguments. No shell is involved.
    Exec {
        /// A name looked up in the PATH of the child, or a path. A relative path starts at the
        /// working directory of the execution.
        program: String,
        /// The arguments, each passed on as it is.
        #[serde(default)]
        args: Vec<String>,
    },
    /// A line for a shell: pipes, redirections, `&&`.
    Shell {
        /// The line.
        command: String,
        /// The shell: `/bin/bash`, `pwsh`, `cmd` ... If JSON leaves it out, it is that of the
        /// platform: `/bin/sh`, on Windows `cmd`.
        #[serde(default = "default_shell")]
        shell: String,
    },
    /// An operation of the AWS command-line interface:
    /// `aws SERVICE OPERATION [--profile P] [--region R] ARGS.. --output json`.
    AwsCli {
        /// The service, for instance `s3api`.
        service: String,
        /// The operation, for instance `list-buckets`.
        operation: String,
        /// Further arguments.
        #[serde(default)]
        args: Vec<String>,
        /// The profile, if not the default one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// The region, if not the profile's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
    },
}

impl Command {
    /// Returns the program and its arguments, as they are started: with the flag of the shell, and
    /// all arguments of `aws`.
    ///
    /// The first entry is the program by the name it was given, not yet looked up in the PATH. A
    /// script without an interpreter has only its path; whether its `#!` line adds an interpreter
    /// is decided when it is started. A path that is not UTF-8 is shown with U+FFFD.
    ///
    /// ```
    /// use execution_engine::*;
    ///
    /// let shell = ExecutionRequest::shell("ls | wc");
    /// assert_eq!(shell.command.argv(), ["/bin/sh", "-c", "ls | wc"]);
    /// let pwsh = ExecutionRequest::shell("ls").interpreter("pwsh");
    /// assert_eq!(pwsh.command.argv(), ["pwsh", "-Command", "ls"]);
    /// let script = ExecutionRequest::script("a.py").interpreter("python3");
    /// assert_eq!(script.command.argv(), ["python3", "a.py"]);
    /// ```
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Script { path, interpreter: None } => vec![path.to_string_lossy().into_owned()],
            Self::Script { path, interpreter: Some(interpreter) } => {
                vec![interpreter.clone(), script_argument(path).to_string_lossy().into_owned()]
            }
            Self::Exec { program, args } => std::iter::once(program).chain(args).cloned().collect(),
            Self::Shell { command, shell } => {
                vec![shell.clone(), shell_flag(shell).to_string(), shell_line(command)]
            }
            Self::AwsCli { service, operation, args, profile, region } => {
                let mut argv = vec!["aws".to_string(), service.clone(), operation.clone()];
                for (flag, value) in [("--profile", profile), ("--region", region)] {
                    if let Some(value) = value {
                        argv.extend([flag.to_string(), value.clone()]);
                    }
                }
                argv.extend(args.iter().cloned());
                argv.extend(["--output".to_string(), "json".to_string()]);
                argv
            }
        }
    }
}

pub(super) fn default_shell() -> String {
    if cfg!(windows) { "cmd".to_string() } else { "/bin/sh".to_string() }
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

/// The command as one would type it, for titles, lists and logs.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script { path, interpreter } => {
                if let Some(interpreter) = interpreter {
                    write!(f, "{} ", Quoted(interpreter))?;
                }
                write!(f, "{}", Quoted(&path.to_string_lossy()))
            }
            Self::Shell { command, .. } => f.write_str(command),
            Self::Exec { program, args } => write_words(f, program, args),
            Self::AwsCli { .. } => {
                let argv = self.argv();
                write_words(f, &argv[0], &argv[1..])
            }
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, program: &str, args: &[String]) -> fmt::Result {
    write!(f, "{}", Quoted(program))?;
    args.iter().try_for_each(|arg| write!(f, " {}", Quoted(arg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_reads_like_a_typed_line() {
        let exec = Command::Exec {
            program: "python3".into(),
            args: vec!["-c".into(), "print('hi')".into(), String::new()],
        };
        assert_eq!(exec.to_string(), r"python3 -c 'print('\''hi'\'')' ''");
    }

    #[test]
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
