//! Asks the user's login shell for its environment, for apps that are started from a menu and do not
//! have it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use execution_engine_process::command_line::os_string;
use execution_engine_process::{Leftovers, Signal, TREE_VARIABLE};
use uuid::Uuid;

use crate::engine::ExecutionEngine;
use crate::error::ExecutionError;
use crate::setters::setters;
use crate::types::{Ending, EnvVars, ExecutionOptions, ExecutionRequest, OneLine, OsText};

#[cfg(test)]
mod tests;

/// Variable that tells startup files that they are read for this.
const READING: &str = "EXECUTION_ENGINE_LOGIN_SHELL";
/// Variables that the shell gets, so that its startup files do not start a session or an update.
const FOR_THE_SHELL: [(&str, &str); 3] =
    [(READING, "1"), ("DISABLE_AUTO_UPDATE", "true"), ("ZSH_TMUX_AUTOSTART", "false")];
/// Variables that are about the shell itself.
const OF_THE_SHELL: [&str; 5] = ["_", "SHLVL", "PWD", "OLDPWD", TREE_VARIABLE];

/// The user's login shell, which knows the environment of a terminal.
///
/// An app that is started from a menu (macOS, Linux) has the environment of the session: a short
/// `PATH`, without what the startup files of the shell add (Homebrew, nvm, `~/.local/bin`). This
/// starts the shell as a terminal does, lets it read these files, and returns the variables that it
/// has then.
///
/// ```
/// use execution_engine::*;
///
/// # #[tokio::main] async fn main() -> Result<()> {
/// // Without an answer the program goes on with the environment that it has.
/// let env = match LoginShell::new().environment().await {
///     Ok(env) => env,
///     Err(error) => {
///         eprintln!("{error}");
///         EnvVars::of_this_process()
///     }
/// };
/// let engine = ExecutionEngine::builder().base_env(env).build()?;
/// # Ok(()) }
/// ```
///
/// It costs the start of the shell, with everything that its startup files do: usually 50 to 500
/// ms, and up to the [timeout](Self::timeout). What they print does no harm. They can see the
/// variable `EXECUTION_ENGINE_LOGIN_SHELL=1` and leave out what a program does not need. Processes
/// that they leave behind, such as an agent for keys, live on, unless the timeout was reached.
///
/// # Platforms
/// Unix: tested with bash, dash, zsh and fish on Linux. `csh` and `tcsh` do not read `.login`. On
/// Windows the environment of this process is complete, and is returned as it is.
#[derive(Debug, Clone)]
#[must_use]
pub struct LoginShell {
    program: Option<PathBuf>,
    timeout: Duration,
    env: EnvVars,
}

impl Default for LoginShell {
    fn default() -> Self {
        Self::new()
    }
}

impl LoginShell {
    /// Creates the login shell of this user, `$SHELL`; without that `/bin/sh`, on macOS `/bin/zsh`.
    /// Its timeout is 5 s.
    pub fn new() -> Self {
        Self { program: None, timeout: Duration::from_secs(5), env: EnvVars::default() }
    }

    setters! {
        /// Sets the shell, by its path.
        program(path: impl Into<PathBuf>) => program = Some(path.into());

        /// Sets how long the shell may take, all attempts together.
        timeout(longest: Duration) => timeout = longest;
    }

    /// Sets a variable that the shell starts with, in addition to those of this process.
    pub fn env(mut self, name: impl Into<OsText>, value: impl Into<OsText>) -> Self {
        self.env.insert(name, value);
        self
    }

    /// Starts the shell and returns the environment that it has after its startup files.
    ///
    /// The shell is started as an interactive login shell. If that answers nothing, perhaps because
    /// a startup file hands over to another program, it is started once more as a login shell that
    /// is not interactive.
    ///
    /// # Errors
    /// [`LoginShellError`] if the shell cannot be started, does not answer in time, or answers
    /// nothing. No error has a value of a variable.
    ///
    /// # Cancel safety
    /// Dropping the future stops the shell.
    pub async fn environment(&self) -> Result<EnvVars, LoginShellError> {
        let own = EnvVars::of_this_process();
        if cfg!(windows) {
            return Ok(own);
        }
        let shell = self.shell(&own);
        let failed = |source| LoginShellError::Failed { shell: shell.clone(), source };
        let engine = ExecutionEngine::builder().build().map_err(failed)?;
        let deadline = Instant::now() + self.timeout;
        let mark = Uuid::new_v4().simple().to_string();
        let mut ending = None;
        for args in flags(&shell) {
            let request = self.request(&shell, args, &mark, &own);
            let left = deadline.saturating_duration_since(Instant::now());
            let result = engine.run_with(request.timeout(left), self.options());
            let result = result.await.map_err(failed)?;
            if let Some(block) = framed(&result.stdout_bytes(), &mark) {
                return Ok(merged(variables(block), own));
            }
            if let Ending::TimedOut { .. } = result.ending {
                return Err(LoginShellError::TimedOut { shell, timeout: self.timeout });
            }
            ending = Some(result.ending);
        }
        Err(LoginShellError::NoAnswer { shell, ending })
    }

    fn shell(&self, own: &EnvVars) -> PathBuf {
        let default = if cfg!(target_os = "macos") { "/bin/zsh" } else { "/bin/sh" };
        let named = || own.get("SHELL").filter(|shell| Path::new(shell).is_absolute());
        let shell = || named().map_or_else(|| default.into(), PathBuf::from);
        self.program.clone().unwrap_or_else(shell)
    }

    fn request(&self, shell: &Path, args: &[&str], mark: &str, own: &EnvVars) -> ExecutionRequest {
        let line = line(mark);
        let args = args.iter().copied().chain([line.as_str()]);
        let request = ExecutionRequest::program(shell.as_os_str()).args(args);
        // Where a new terminal starts. Files that act on a directory do so for this one.
        let home = self.env.get("HOME").or_else(|| own.get("HOME")).map(PathBuf::from);
        match home.filter(|home| home.is_absolute() && home.is_dir()) {
            Some(home) => request.working_dir(home),
            None => request,
        }
    }

    fn options(&self) -> ExecutionOptions {
        // An interactive shell ignores the gentler signals.
        let options =
            ExecutionOptions::default().stop_signal(Signal::Kill).leftovers(Leftovers::Leave);
        let options =
            FOR_THE_SHELL.iter().fold(options, |options, (name, value)| options.env(*name, *value));
        self.env.iter().fold(options, |options, (name, value)| options.env(name, value))
    }
}

/// Reason why a login shell gave no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginShellError {
    /// The shell could not be started.
    #[error("login shell {}: {source}", OneLine(.shell.display()))]
    #[non_exhaustive]
    Failed {
        /// The shell.
        shell: PathBuf,
        /// Why not.
        source: ExecutionError,
    },
    /// It did not answer in time, and was stopped.
    #[error(
        "login shell {} did not answer within {timeout:?}; see what its startup files wait for, or raise the timeout",
        OneLine(.shell.display())
    )]
    #[non_exhaustive]
    TimedOut {
        /// The shell.
        shell: PathBuf,
        /// The timeout.
        timeout: Duration,
    },
    /// It ended and had printed no environment.
    #[error(
        "login shell {} printed no environment{}; see whether its startup files leave it, or choose another shell",
        OneLine(.shell.display()),
        .ending.as_ref().map(|ending| format!(" ({ending})")).unwrap_or_default()
    )]
    #[non_exhaustive]
    NoAnswer {
        /// The shell.
        shell: PathBuf,
        /// How it ended.
        ending: Option<Ending>,
    },
}

/// Returns the flags of a shell, up to the one that a line follows, for one attempt after another.
fn flags(shell: &Path) -> &'static [&'static [&'static str]] {
    match shell.file_name().and_then(OsStr::to_str) {
        Some("csh" | "tcsh") => &[&["-i", "-c"], &["-c"]],
        Some("pwsh" | "pwsh-preview") => &[&["-Login", "-Command"]],
        _ => &[&["-l", "-i", "-c"], &["-l", "-c"]],
    }
}

/// Returns the line for the shell. It needs no more of its syntax than words in single quotes. The
/// frame is put together by `printf`, so a shell that prints each line before it runs it (`set -x`)
/// does not print a frame.
fn line(mark: &str) -> String {
    let print = format!("printf BEGIN%s= {mark}; /usr/bin/env -0; printf END%s= {mark}");
    format!("/bin/sh -c '{print}'")
}

/// Returns what is between the two ends of the frame.
fn framed<'a>(output: &'a [u8], mark: &str) -> Option<&'a [u8]> {
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("{word}{mark}=").into_bytes());
    let after = |at: usize| &output[at + begin.len()..];
    let block = memchr::memmem::find(output, &begin).map(after)?;
    memchr::memmem::find(block, &end).map(|at| &block[..at])
}

/// Reads variables as `env -0` prints them.
fn variables(block: &[u8]) -> EnvVars {
    let pairs = block.split(|byte| *byte == 0).filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        let word = |bytes: &[u8]| os_string(bytes.to_vec());
        Some((word(&pair[..equals])?, word(&pair[equals + 1..])?))
    });
    pairs.collect()
}

/// Returns the variables of the shell, with this process's own in place of those that are about the
/// shell itself, and of those that a shell need not pass on because their names are no identifiers.
fn merged(shell: EnvVars, own: EnvVars) -> EnvVars {
    let is_own = |name: &OsText| {
        let name = name.as_os_str();
        OF_THE_SHELL.iter().any(|other| name == *other)
            || FOR_THE_SHELL.iter().any(|(other, _)| name == *other)
            || !is_identifier(name)
    };
    let of_shell = shell.into_iter().filter(|(name, _)| !is_own(name));
    let of_this_process = own.into_iter().filter(|(name, _)| is_own(name));
    let pairs = of_shell.chain(of_this_process);
    pairs.map(|(name, value)| (name.into_os_string(), value.into_os_string())).collect()
}

fn is_identifier(name: &OsStr) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.as_encoded_bytes().iter().all(is_word)
}
