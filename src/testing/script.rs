//! Which program is played for which request, and what was asked for.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use execution_engine_process::{Launch, Level, PlayedProgram, Spawned};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::player::Player;
use super::program::{End, ScriptedProgram};
use crate::types::{Ending, ExecutionRequest};

type Matches = Box<dyn Fn(&ExecutionRequest) -> bool + Send + Sync>;

/// Script of an engine: which program is played for which request. Keep a clone to ask for the
/// [requests](Self::requests) afterwards; clones share them.
///
/// The first rule that matches counts. An execution for which there is none ends with
/// [`Ending::SpawnFailed`](crate::Ending::SpawnFailed), whose text names the command.
///
/// ```
/// use execution_engine::testing::{Script, ScriptedProgram};
/// use execution_engine::*;
/// # #[tokio::main] async fn main() -> Result<()> {
/// let script = Script::new()
///     .on_program("git", ScriptedProgram::new().stdout("main\n"))
///     .on(
///         |request| request.env.contains_key("CI"),
///         ScriptedProgram::new().exit_code(1),
///     );
/// let engine = ExecutionEngine::builder().scripted(script.clone()).build()?;
/// let branch = engine.run(ExecutionRequest::shell("git branch --show-current")).await?;
/// assert!(branch.error.is_some_and(|error| error.contains("no scripted program")), "it is /bin/sh");
/// let branch = engine.run(ExecutionRequest::exec("git", ["branch", "--show-current"])).await?;
/// assert_eq!(branch.stdout, "main\n");
/// assert_eq!(script.requests().len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Script {
    shared: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Arc<Rule>>,
    requests: Vec<ExecutionRequest>,
}

struct Rule {
    matches: Matches,
    program: ScriptedProgram,
    /// It counts once.
    is_once: bool,
    is_used: AtomicBool,
}

impl Rule {
    fn new(
        matches: impl Fn(&ExecutionRequest) -> bool + Send + Sync + 'static,
        program: ScriptedProgram,
        is_once: bool,
    ) -> Self {
        Self { matches: Box::new(matches), program, is_once, is_used: AtomicBool::new(false) }
    }

    /// Returns `true` if it counts for this start, and notes that it has.
    fn applies_to(&self, request: &ExecutionRequest) -> bool {
        let is_used_up = || self.is_once && self.is_used.load(Ordering::Relaxed);
        if is_used_up() || !(self.matches)(request) {
            return false;
        }
        // Another start may have been faster.
        !(self.is_used.swap(true, Ordering::Relaxed) && self.is_once)
    }
}

impl Script {
    /// Creates a script without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plays this program for requests of which `matches` returns `true`.
    pub fn on(
        self,
        matches: impl Fn(&ExecutionRequest) -> bool + Send + Sync + 'static,
        program: ScriptedProgram,
    ) -> Self {
        self.add(Rule::new(matches, program, false))
    }

    /// Like [`on`](Self::on), but for one start alone; then the next rule that matches counts. So a
    /// command can fail at first: each [attempt](crate::ExecutionOptions::retry) is a start.
    ///
    /// ```
    /// use execution_engine::testing::{Script, ScriptedProgram};
    /// use execution_engine::*;
    /// # #[tokio::main] async fn main() -> Result<()> {
    /// let script = Script::new()
    ///     .once(|_| true, ScriptedProgram::new().exit_code(75))
    ///     .otherwise(ScriptedProgram::new().stdout("done\n"));
    /// let engine = ExecutionEngine::builder().scripted(script).build()?;
    /// let options = ExecutionOptions::default().retry(RetryPolicy::new(3));
    /// let result = engine.run_with(ExecutionRequest::program("fetch"), options).await?;
    /// assert_eq!((result.attempts, result.stdout.as_str()), (2, "done\n"));
    /// # Ok(()) }
    /// ```
    pub fn once(
        self,
        matches: impl Fn(&ExecutionRequest) -> bool + Send + Sync + 'static,
        program: ScriptedProgram,
    ) -> Self {
        self.add(Rule::new(matches, program, true))
    }

    /// Plays this program for requests that start the program of this name, in whatever directory. A
    /// shell line starts its shell, and a script its interpreter.
    pub fn on_program(self, name: impl Into<String>, program: ScriptedProgram) -> Self {
        let name = name.into();
        self.on(move |request| starts(request, &name), program)
    }

    /// Plays this program for all requests for which there is no rule so far.
    pub fn otherwise(self, program: ScriptedProgram) -> Self {
        self.on(|_| true, program)
    }

    /// Returns the requests whose programs were started, or would have been if there were a rule for
    /// them, in that order; one of them for each attempt.
    pub fn requests(&self) -> Vec<ExecutionRequest> {
        self.shared.lock().requests.clone()
    }

    fn add(self, rule: Rule) -> Self {
        self.shared.lock().rules.push(Arc::new(rule));
        self
    }

    /// Notes a request and returns its program.
    fn program(&self, request: &ExecutionRequest) -> Option<ScriptedProgram> {
        // The rules are code of the user, so they are asked without the lock.
        let rules = {
            let mut state = self.shared.lock();
            state.requests.push(request.clone());
            state.rules.clone()
        };
        let rule = rules.iter().find(|rule| rule.applies_to(request))?;
        Some(rule.program.clone())
    }
}

fn starts(request: &ExecutionRequest, name: &str) -> bool {
    let argv = request.command.argv_os();
    let program = argv.first().and_then(|program| Path::new(program).file_name());
    program.is_some_and(|program| program == name)
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").finish_non_exhaustive()
    }
}

/// Start of a scripted program, in place of that of a real one.
#[derive(Clone)]
pub(crate) struct ScriptedStart {
    script: Script,
    request: Arc<ExecutionRequest>,
}

impl ScriptedStart {
    pub(crate) fn new(script: Script, request: &ExecutionRequest) -> Self {
        Self { script, request: Arc::new(request.clone()) }
    }

    pub(crate) fn start(
        &self,
        launch: &Launch,
        level: Level,
    ) -> Result<(Spawned, Box<Player>), Ending> {
        let failed = |reason| Ending::SpawnFailed { reason, os_error: None };
        let Some(program) = self.script.program(&self.request) else {
            return Err(failed(format!(
                "there is no scripted program for `{}`; add one with Script::on or Script::otherwise",
                self.request.command
            )));
        };
        if let End::NotStarted(reason) = &program.end {
            return Err(failed(reason.clone()));
        }
        let (sender, signals) = mpsc::unbounded_channel();
        let on_signal = move |signal| {
            // It may have ended at this moment.
            let _unread = sender.send(signal);
        };
        let started = PlayedProgram::start(launch, level, on_signal);
        let (spawned, played) = started.map_err(|error| Ending::SpawnFailed {
            reason: error.to_string(),
            os_error: error.raw_os_error(),
        })?;
        Ok((spawned, Box::new(Player { program, played, signals })))
    }
}
