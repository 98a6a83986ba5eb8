//! Options of the verbs that start a program, and the request that they become.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use execution_engine::{
    ExecutionOptions, ExecutionRequest, InheritEnv, Limits, OsText, RetryPolicy, Signal,
    StdinSource,
};

use rustix::fs::Mode;
use rustix::process::umask;

use crate::completions::CommandLine;
use crate::limit::{self, LimitSetting};
use crate::variables::{VariableOptions, environment};
use crate::{duration, signal_name};

/// Options that describe what to run, and within which bounds.
#[derive(Debug, Default, Args)]
pub(crate) struct RequestOptions {
    /// Stop it after this time: 300ms, 30s, 5m, 2h; with --retry each run has this time [without: no timeout]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_positive)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,
    /// Stop it when it has written nothing for this time
    #[arg(long, value_name = "TIME", value_parser = duration::parse_positive)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) idle_timeout: Option<Duration>,
    /// Run it again up to N times while it fails, with growing delays
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) retry: Option<u32>,
    /// Delay before the first of these runs; each further one is twice as long, up to a minute
    #[arg(long, value_name = "TIME", value_parser = duration::parse, requires = "retry")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) retry_delay: Option<Duration>,
    /// Bound what it may use; may be repeated. For the whole tree: memory=1G, processes=100. For each process: cpu=30s,
    /// address-space=2G, open-files=256, file-size=1G, core=0, nice=10, umask=077. For all processes of the user,
    /// others that run elsewhere included: user-processes=1000 (not for root)
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit::parse)]
    pub(crate) limits: Vec<LimitSetting>,

    #[cfg(feature = "fleet")]
    #[command(flatten)]
    pub(crate) fleet: crate::fleet::request::FleetRequestOptions,
    #[command(flatten)]
    pub(crate) variables: VariableOptions,
    /// Inherit no variable from here
    #[arg(long, help_heading = WHERE)]
    pub(crate) clear_env: bool,
    /// Run it in this directory
    #[arg(long, value_name = "DIR", help_heading = WHERE)]
    pub(crate) cwd: Option<PathBuf>,
    /// What it reads: a file, `null` for nothing, or, of what is submitted, `pipe` for what `exeng input` and
    /// `exeng attach` write
    #[arg(long, value_name = "FILE|null|pipe", help_heading = WHERE)]
    pub(crate) stdin: Option<PathBuf>,

    /// First signal of a stop: TERM, INT, .. or a number [without: TERM]
    #[arg(long, value_name = "SIGNAL", value_parser = signal_name::parse, help_heading = STOP)]
    pub(crate) stop_signal: Option<Signal>,
    /// Time between that signal and SIGKILL [without: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = STOP)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) stop_grace: Option<Duration>,

    /// Run a line of /bin/sh
    #[arg(long, value_name = "LINE", conflicts_with_all = ["script", "command"])]
    #[arg(help_heading = WHAT)]
    pub(crate) shell: Option<String>,
    /// Run a script; its arguments follow after `--`
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub(crate) script: Option<PathBuf>,
    /// Program that runs the script [without: its #! line]
    #[arg(long, value_name = "PROGRAM", requires = "script", help_heading = WHAT)]
    pub(crate) interpreter: Option<String>,
    /// The program and its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    #[arg(add = ArgValueCompleter::new(CommandLine))]
    pub(crate) command: Vec<OsString>,
}

const WHAT: &str = "What to run, instead of a program";
pub(crate) const WHERE: &str = "Environment";
const STOP: &str = "Stopping";

/// Mistake in the options, which names the option and the fix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(String);

impl UsageError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestOptions {
    /// Returns the request and its options. `stdin` is what the program reads if nothing is said
    /// about it.
    ///
    /// # Errors
    /// Names the option that is wrong, and the fix.
    pub(crate) fn to_request(
        &self,
        stdin: StdinSource,
    ) -> Result<(ExecutionRequest, ExecutionOptions), UsageError> {
        let mut request = self.command()?;
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(dir) = &self.cwd {
            request = request.working_dir(dir);
        }
        let mut options = ExecutionOptions::default().stdin(self.input(stdin)?);
        let limits = self.limits.iter().fold(Limits::default(), |limits, it| it.apply(limits));
        options = options.limits(limits);
        if let Some(time) = self.idle_timeout {
            options = options.idle_timeout(time);
        }
        if let Some(signal) = self.stop_signal {
            options = options.stop_signal(signal);
        }
        if let Some(grace) = self.stop_grace {
            options = options.stop_grace(grace);
        }
        if let Some(again) = self.retry {
            let mut policy = RetryPolicy::new(again.saturating_add(1));
            if let Some(delay) = self.retry_delay {
                policy = policy.initial_delay(delay);
            }
            options = options.retry(policy);
        }
        if self.clear_env {
            options = options.env_clear();
        }
        for (name, value) in self.variables.read()? {
            options = options.env(name, value);
        }
        Ok((request, options))
    }

    /// Checks that nothing is asked of a fleet: the program runs here.
    ///
    /// # Errors
    /// Names the option.
    #[cfg(feature = "fleet")]
    pub(crate) fn check_is_here(&self) -> Result<(), UsageError> {
        match self.fleet.given() {
            None => Ok(()),
            Some(name) => Err(UsageError(format!(
                "{name} is for a fleet; name one with --on, or leave {name} out"
            ))),
        }
    }

    fn input(&self, unless_named: StdinSource) -> Result<StdinSource, UsageError> {
        let Some(path) = &self.stdin else { return Ok(unless_named) };
        match path.to_str() {
            Some("null") => Ok(StdinSource::Null),
            Some("pipe") => match unless_named {
                StdinSource::Inherit => Err(UsageError::new(
                    "--stdin pipe: that is for `exeng submit`; leave the option out to pass the input of exeng on, \
                     or write ./pipe for a file of that name",
                )),
                _ => Ok(StdinSource::Piped),
            },
            Some("-") => Err(UsageError::new(match unless_named {
                StdinSource::Inherit => {
                    "--stdin -: leave the option out to pass the input of exeng on, or write ./- for a \
                     file of that name"
                }
                _ => {
                    "--stdin -: the service cannot pass the input of exeng on; name a file, or use \
                     --stdin pipe and exeng input"
                }
            })),
            _ => Ok(StdinSource::file(path)),
        }
    }

    fn command(&self) -> Result<ExecutionRequest, UsageError> {
        let arguments = || self.command.iter().map(OsText::from);
        if let Some(line) = &self.shell {
            return Ok(ExecutionRequest::shell(line));
        }
        if let Some(script) = &self.script {
            let request = ExecutionRequest::script(script).args(arguments());
            return Ok(match &self.interpreter {
                Some(program) => request.interpreter(program),
                None => request,
            });
        }
        let mut words = arguments();
        match words.next() {
            Some(program) => Ok(ExecutionRequest::program(program).args(words)),
            None => Err(UsageError::new(
                "there is nothing to run; write the program and its arguments after `--`, or use \
                 --shell or --script",
            )),
        }
    }
}

/// Returns the whole environment of this process, for a program that another process starts and that is
/// to inherit it; that other process has nothing to inherit.
pub(crate) fn inherited_environment(options: &mut ExecutionOptions) -> BTreeMap<OsText, OsText> {
    if options.env.inherit != InheritEnv::All {
        return BTreeMap::new();
    }
    options.env.inherit = InheritEnv::Nothing {};
    environment()
}

/// Returns the umask of this process, for a program that another process starts.
pub(crate) fn inherited_umask() -> u32 {
    // It can only be read by setting it. A file that is made meanwhile is for its owner.
    let own = umask(Mode::RWXG | Mode::RWXO);
    umask(own);
    own.as_raw_mode() as u32
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: RequestOptions,
    }

    fn parsed(words: &[&str]) -> Result<RequestOptions, clap::Error> {
        Line::try_parse_from([&["exeng"], words].concat()).map(|line| line.options)
    }

    fn request(words: &[&str]) -> (ExecutionRequest, ExecutionOptions) {
        parsed(words).unwrap().to_request(StdinSource::Null).unwrap()
    }

    #[test]
    fn words_after_the_program_are_its_own() {
        for words in [&["--", "echo", "--timeout", "-n"][..], &["echo", "--timeout", "-n"]] {
            let (request, _) = request(words);
            assert_eq!(request.command.argv(), ["echo", "--timeout", "-n"], "{words:?}");
            assert_eq!(request.timeout_ms, None);
        }
        // A misspelt option is no program.
        assert!(parsed(&["--timout", "3s", "--", "true"]).is_err());
    }

    #[test]
    fn exactly_one_thing_is_run() {
        assert_eq!(
            request(&["--shell", "a | b"]).0.command,
            ExecutionRequest::shell("a | b").command
        );
        let (script, _) = request(&["--script", "a.py", "--interpreter", "python3", "--", "-v"]);
        assert_eq!(script.command.argv(), ["python3", "a.py", "-v"]);
        let nothing = parsed(&[]).unwrap().to_request(StdinSource::Null).unwrap_err();
        assert!(nothing.to_string().contains("--shell"), "{nothing}");
        for words in [
            &["--shell", "a", "--", "b"][..],
            &["--shell", "a", "--script", "b"],
            &["--interpreter", "python3", "--", "a"],
        ] {
            assert!(parsed(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn options_become_those_of_the_engine() {
        let (request, options) = request(&[
            "--timeout",
            "1500ms",
            "--idle-timeout",
            "2s",
            "--retry",
            "2",
            "--retry-delay",
            "0s",
            "--limit",
            "cpu=3s",
            "--limit",
            "open-files=9",
            "--cwd",
            "/tmp",
            "--stdin",
            "/in",
            "--stop-signal",
            "INT",
            "--stop-grace",
            "0s",
            "--",
            "true",
        ]);
        assert_eq!(request.timeout_ms, Some(1500));
        assert_eq!(request.working_dir.as_deref(), Some("/tmp".as_ref()));
        let expected = ExecutionOptions::default()
            .idle_timeout(Duration::from_secs(2))
            .retry(RetryPolicy::new(3).initial_delay(Duration::ZERO))
            .limits(Limits::default().cpu_seconds(3).open_files(9))
            .stdin(StdinSource::file("/in"))
            .stop_signal(Signal::Interrupt)
            .stop_grace(Duration::ZERO);
        assert_eq!(options, expected);
    }

    #[test]
    fn input_is_what_the_verb_says_unless_it_is_named() {
        let of = |words: &[&str]| {
            parsed(words).unwrap().to_request(StdinSource::Inherit).unwrap().1.stdin
        };
        assert_eq!(of(&["--", "a"]), StdinSource::Inherit);
        assert_eq!(of(&["--stdin", "null", "--", "a"]), StdinSource::Null);
        assert_eq!(of(&["--stdin", "./null", "--", "a"]), StdinSource::file("./null"));
        let piped = parsed(&["--stdin", "pipe", "--", "a"]).unwrap();
        assert_eq!(piped.to_request(StdinSource::Null).unwrap().1.stdin, StdinSource::Piped);
        let refused = piped.to_request(StdinSource::Inherit).unwrap_err().to_string();
        assert!(refused.contains("exeng submit") && refused.contains("./pipe"), "{refused}");
        for (source, fix) in [(StdinSource::Inherit, "leave"), (StdinSource::Null, "name a file")] {
            let refused = parsed(&["--stdin", "-", "--", "a"]).unwrap().to_request(source);
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("--stdin -") && said.contains(fix), "{said}");
        }
    }

    #[test]
    fn variables_are_set_copied_and_replaced_by_later_ones() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=file\nB=file\n").unwrap();
        let file = file.path().to_str().unwrap();
        let (_, options) = request(&[
            "--clear-env",
            "--env",
            "A=line",
            "--env-file",
            file,
            "-e",
            "PATH",
            "--env",
            "NO_SUCH_VARIABLE_HERE",
            "--",
            "a",
        ]);
        let expected = ExecutionOptions::default()
            .env_clear()
            .env("A", "line")
            .env("B", "file")
            .env("PATH", std::env::var_os("PATH").unwrap());
        assert_eq!(options.env, expected.env);
        let nameless = parsed(&["--env", "=secret", "--", "a"]).unwrap();
        let fault = nameless.to_request(StdinSource::Null).unwrap_err().to_string();
        assert!(fault.contains("--env") && !fault.contains("secret"), "{fault}");
    }

    #[test]
    fn whole_environment_goes_along_unless_none_is_inherited() {
        let (_, mut options) = request(&["--env", "PATH=mine", "--", "a"]);
        let inherited = inherited_environment(&mut options);
        assert_eq!(options.env.inherit, InheritEnv::Nothing {});
        assert_eq!(inherited.len(), std::env::vars_os().count());
        // What was asked for stays apart from it.
        assert_eq!(options.env.set.len(), 1);
        let (_, mut cleared) = request(&["--clear-env", "--env", "A=1", "--", "a"]);
        assert!(inherited_environment(&mut cleared).is_empty());
        assert_eq!(cleared.env.set.len(), 1);
    }
}
