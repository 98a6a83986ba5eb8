use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to run.
///
/// In JSON the kind is the field `type`, and a shell line needs no more than its text:
///
/// ```
/// use execution_engine::*;
///
/// let command: Command = serde_json::from_str(r#"{"type": "shell", "command": "ls"}"#).unwrap();
/// assert_eq!(command.to_string(), "ls");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// A script file.
    Script {
        /// The file. A relative path starts at the working directory of the execution.
        path: PathBuf,
        /// The program that runs it, for instance `python3`. Without one the script is run itself
        /// if it is executable, else by the interpreter of its `#!` line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<String>,
    },
    /// A program with its arguments, which no shell ever sees.
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
        /// The shell: `/bin/bash`, `pwsh`, `cmd` ... In JSON it may be left out, and is then the
        /// one of the platform: `/bin/sh`, on Windows `cmd`.
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

pub(crate) fn default_shell() -> String {
    if cfg!(windows) { "cmd".to_string() } else { "/bin/sh".to_string() }
}

/// The arguments of `aws` for one operation.
pub(crate) fn aws_args(
    service: &str,
    operation: &str,
    args: &[String],
    profile: Option<&str>,
    region: Option<&str>,
) -> Vec<String> {
    let mut all = vec![service.to_string(), operation.to_string()];
    for (flag, value) in [("--profile", profile), ("--region", region)] {
        if let Some(value) = value {
            all.extend([flag.to_string(), value.to_string()]);
        }
    }
    all.extend(args.iter().cloned());
    all.extend(["--output".to_string(), "json".to_string()]);
    all
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
            Self::Exec { program, args } => write_words(f, program, args),
            Self::Shell { command, .. } => f.write_str(command),
            Self::AwsCli { service, operation, args, profile, region } => write_words(
                f,
                "aws",
                &aws_args(service, operation, args, profile.as_deref(), region.as_deref()),
            ),
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, program: &str, args: &[String]) -> fmt::Result {
    write!(f, "{}", Quoted(program))?;
    args.iter().try_for_each(|arg| write!(f, " {}", Quoted(arg)))
}

/// A word with quotes around it where a shell would need them.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
        if !self.0.is_empty() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
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
    fn aws_arguments_stand_in_the_documented_order() {
        let args = aws_args("s3api", "list-buckets", &["--max-items".into()], Some("p"), Some("r"));
        assert_eq!(
            args.join(" "),
            "s3api list-buckets --profile p --region r --max-items --output json"
        );
    }
}
