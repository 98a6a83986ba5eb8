//! Builds the plugin: its engine, its rules, and what happens when a page or the app ends.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use execution_engine::{
    EngineBuilder, EnvVars, ExecutionConfig, ExecutionEngine, ExecutionPlan, History, HistoryEntry,
    LoginShell, Uuid,
};
use tauri::plugin::TauriPlugin;
use tauri::webview::PageLoadEvent;
use tauri::{AppHandle, Manager, RunEvent, Runtime, WindowEvent};
use tokio::sync::Semaphore;

use crate::commands;
use crate::history::{KeepInHistory, OpenHistory, OwnedHistory};
use crate::output::IndexCache;
use crate::owners::{Claim, Owners, PageId};
use crate::report::report_invalid_entries;
use crate::scope::{CompiledRule, RealFileSystem, Rule, RulePaths, ScopeRules};
use crate::streaming::{FlowControl, Subscriptions};

/// Number of searches at a time, of all windows. One may take a processor for seconds.
const MAX_SEARCHES: usize = 2;
/// Directory of the history, in the local data directory of the app.
const HISTORY_DIR: &str = "history";

/// Creates the plugin with the engine's defaults; rules come from capability files.
#[must_use]
pub fn init<R: Runtime>() -> TauriPlugin<R> {
    Builder::new().build()
}

/// Builder of the plugin.
///
/// ```
/// use std::time::Duration;
/// use tauri_plugin_execution_engine::{Builder, Rule, execution_engine::ExecutionConfig};
///
/// let plugin = Builder::new()
///     .config(ExecutionConfig { max_concurrent_executions: 8, ..Default::default() })
///     .exit_grace(Duration::from_secs(1))
///     .allow(Rule {
///         name: "disk-space".into(),
///         program: Some("df".into()),
///         ..Rule::default()
///     });
/// # let _: tauri::plugin::TauriPlugin<tauri::test::MockRuntime> = plugin.build();
/// ```
#[must_use]
pub struct Builder {
    engine: EngineSource,
    login_shell: Option<LoginShell>,
    history: HistorySettings,
    exit_grace: Duration,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

/// Which history there is, and what comes into it.
#[derive(Default)]
struct HistorySettings {
    open: Option<OpenHistory>,
    keep: Option<KeepInHistory>,
}

impl HistorySettings {
    /// Opens the history in the data directory of the app, and gives it to the engine. Returns why it
    /// cannot be used: the app runs without it then.
    fn open<R: Runtime>(
        self,
        engine: EngineSource,
        owners: &Arc<Owners>,
        app: &AppHandle<R>,
    ) -> Result<(EngineSource, Option<String>), Box<dyn std::error::Error>> {
        let Some(open) = self.open else { return Ok((engine, None)) };
        let EngineSource::Build(builder) = engine else {
            return Err(
                "a history cannot be given to an existing engine; build that with EngineBuilder::history".into(),
            );
        };
        let dir = app.path().app_local_data_dir().map_err(io::Error::other);
        match dir.and_then(|dir| open(&dir.join(HISTORY_DIR))) {
            Ok(history) => {
                owners.set_history(Arc::clone(&history));
                let owned = OwnedHistory { history, owners: Arc::clone(owners), keep: self.keep };
                let builder = builder.history(Arc::new(owned));
                Ok((EngineSource::Build(Box::new(builder)), None))
            }
            Err(error) => {
                tracing::warn!(%error, "the history cannot be used; executions are not kept");
                Ok((EngineSource::Build(builder), Some(error.to_string())))
            }
        }
    }
}

/// Engine to use, or to build when the app starts.
enum EngineSource {
    Build(Box<EngineBuilder>),
    Existing(Arc<ExecutionEngine>),
}

impl EngineSource {
    fn open(
        self,
        login_shell: Option<LoginShell>,
    ) -> Result<(Arc<ExecutionEngine>, RealFileSystem), Box<dyn std::error::Error>> {
        let files = RealFileSystem::default();
        match (self, login_shell) {
            (Self::Build(builder), None) => Ok((Arc::new(builder.build()?), files)),
            (Self::Build(builder), Some(shell)) => {
                let env = login_environment(&shell);
                let login_path = env.as_ref().and_then(|env| env.get("PATH")).map(Into::into);
                let engine = env.into_iter().fold(*builder, EngineBuilder::base_env).build()?;
                Ok((Arc::new(engine), RealFileSystem { login_path }))
            }
            (Self::Existing(engine), None) => Ok((engine, files)),
            (Self::Existing(_), Some(_)) => Err(
                "the environment of a login shell cannot be given to an existing engine; build that with EngineBuilder::base_env".into(),
            ),
        }
    }
}

/// Returns the environment of the login shell, if the app does not have it anyway.
fn login_environment(shell: &LoginShell) -> Option<EnvVars> {
    if cfg!(windows) || io::stdin().is_terminal() {
        return None;
    }
    let asked = tauri::async_runtime::block_on(shell.environment());
    asked.inspect_err(|error| tracing::warn!(%error, "executions have the app's environment")).ok()
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Creates a builder with the defaults of the engine and no rules.
    pub fn new() -> Self {
        Self {
            engine: EngineSource::Build(Box::new(ExecutionEngine::builder())),
            login_shell: None,
            history: HistorySettings::default(),
            exit_grace: Duration::from_secs(2),
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }

    /// Sets the configuration of the engine.
    pub fn config(self, config: ExecutionConfig) -> Self {
        self.engine_builder(ExecutionEngine::builder().config(config))
    }

    /// Sets an engine builder, for settings beyond the configuration. The engine is built when the
    /// app starts; if the settings are invalid, the app does not start.
    pub fn engine_builder(mut self, engine: EngineBuilder) -> Self {
        self.engine = EngineSource::Build(Box::new(engine));
        self
    }

    /// Uses an existing engine, for an app that shares it with its own commands.
    pub fn engine(mut self, engine: Arc<ExecutionEngine>) -> Self {
        self.engine = EngineSource::Existing(engine);
        self
    }

    /// Gives all executions the environment of the user's login shell, so that an app that was
    /// started from a menu finds the programs that a terminal finds.
    ///
    /// The shell is asked when the app starts, before its windows appear: usually for 50 to 500 ms,
    /// for at most 5 s. If it does not answer, a warning is logged, and executions have the
    /// environment of the app. Nothing is asked on Windows, or if the app has a terminal, because
    /// there its environment is complete.
    pub fn login_environment(self) -> Self {
        self.login_shell(LoginShell::new())
    }

    /// Like [`login_environment`](Self::login_environment), with another shell or another timeout.
    pub fn login_shell(mut self, shell: LoginShell) -> Self {
        self.login_shell = Some(shell);
        self
    }

    /// Keeps executions for the next start of the app, in SQLite, within these limits: what was run, how
    /// it ended, and its output. No values of environment variables. The directory is `history` in the
    /// app's local data directory.
    ///
    /// Each window finds its executions again, by its label. One that runs when the app is killed is
    /// `lost` from the next start on, with its output until then. If the history cannot be opened, because its directory is
    /// read-only, a later version has written it, or another process of the app has it, the app runs without it:
    /// a warning is logged, and the pages are told why (`historyState`).
    ///
    /// ```
    /// use tauri_plugin_execution_engine::{Builder, StoreConfig};
    ///
    /// let plugin = Builder::new().history(StoreConfig::default());
    /// # let _: tauri::plugin::TauriPlugin<tauri::test::MockRuntime> = plugin.build();
    /// ```
    #[cfg(feature = "history")]
    pub fn history(self, limits: execution_engine_store::StoreConfig) -> Self {
        self.history_with(move |dir| {
            let history = execution_engine_store::StoreHistory::open_with(dir, limits)?;
            Ok(Arc::new(history))
        })
    }

    /// Like [`history`](#method.history), with a history of another kind. `open` gets the directory for it,
    /// which may not exist yet.
    pub fn history_with(
        mut self,
        open: impl FnOnce(&Path) -> io::Result<Arc<dyn History>> + Send + 'static,
    ) -> Self {
        self.history.open = Some(Box::new(open));
        self
    }

    /// Leaves out of the history what `keep` returns `false` for: nothing of it is written to the disk.
    /// It is asked when an execution is accepted and when it has ended, and must answer the same.
    pub fn keep_in_history(
        mut self,
        keep: impl Fn(&HistoryEntry) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.history.keep = Some(Box::new(keep));
        self
    }

    /// Sets the time between the first and the final signal to running executions when the app
    /// ends. Default: 2 s.
    pub fn exit_grace(mut self, grace: Duration) -> Self {
        self.exit_grace = grace;
        self
    }

    /// Adds a rule for all windows that may start something, in addition to those of the capability
    /// files.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allow.push(rule);
        self
    }

    /// Adds a rule for what no window may run, whatever other rules allow.
    pub fn deny(mut self, rule: Rule) -> Self {
        self.deny.push(rule);
        self
    }

    /// Builds the plugin, for [`tauri::Builder::plugin`].
    #[must_use]
    pub fn build<R: Runtime>(self) -> TauriPlugin<R> {
        let Self { engine, login_shell, history, exit_grace, allow, deny } = self;
        tauri::plugin::Builder::new("execution-engine")
            .invoke_handler(commands::handler())
            .setup(move |app, _| {
                app.manage(RulePaths::default());
                let owners = Arc::<Owners>::default();
                let (engine, history_refused) = history.open(engine, &owners, app)?;
                let (engine, files) = engine.open(login_shell)?;
                engine.start_cleanup_task();
                app.manage(PluginState {
                    engine,
                    base: ScopeRules {
                        allow: compile(allow, app)?,
                        deny: compile(deny, app)?,
                        ..ScopeRules::default()
                    },
                    files,
                    owners,
                    history_refused,
                    reported: Mutex::default(),
                    subscriptions: Subscriptions::default(),
                    indexes: IndexCache::default(),
                    searches: Semaphore::new(MAX_SEARCHES),
                    flow: FlowControl::default(),
                });
                Ok(())
            })
            .on_page_load(|webview, page| {
                // No script of the new page has run yet, so all subscriptions are of the old one.
                if page.event() == PageLoadEvent::Started {
                    let plugin = webview.state::<PluginState>();
                    plugin.subscriptions.page_left(webview.label());
                    report_invalid_entries(webview, &plugin.reported);
                }
            })
            .on_event(move |app, event| match event {
                RunEvent::WindowEvent { label, event: WindowEvent::Destroyed, .. } => {
                    app.state::<PluginState>().subscriptions.window_closed(label);
                }
                RunEvent::Exit => shut_down(app, exit_grace),
                _ => {}
            })
            .build()
    }
}

/// State of the plugin, managed by the app.
pub(crate) struct PluginState {
    pub(crate) engine: Arc<ExecutionEngine>,
    /// Rules of the builder, for all windows.
    pub(crate) base: ScopeRules,
    pub(crate) files: RealFileSystem,
    pub(crate) owners: Arc<Owners>,
    /// Why there is no history, if there was to be one.
    pub(crate) history_refused: Option<String>,
    /// Invalid entries of capability files that were reported.
    reported: Mutex<HashSet<String>>,
    pub(crate) subscriptions: Subscriptions,
    /// Where lines begin in the output of the executions that were read last.
    pub(crate) indexes: IndexCache,
    /// A permit for each search that may run.
    pub(crate) searches: Semaphore,
    pub(crate) flow: FlowControl,
}

impl PluginState {
    /// Keeps a claim to ids that the engine has accepted. What was remembered of the output of an
    /// earlier execution of the same id goes away before anybody can read.
    pub(crate) fn accept(&self, claim: Claim<'_>) {
        claim.ids().iter().for_each(|id| self.indexes.forget(*id));
        claim.accept();
    }
}

/// Stops all executions and waits for that. The process exits right after this event, and then only
/// the host guard would stop them, without a grace period.
fn shut_down<R: Runtime>(app: &AppHandle<R>, grace: Duration) {
    let engine = Arc::clone(&app.state::<PluginState>().engine);
    let report = tauri::async_runtime::block_on(async move { engine.shutdown(grace).await });
    for survivor in &report.survivors {
        tracing::warn!(pid = survivor.pid, name = survivor.name, "could not stop a process");
    }
}

fn compile<R: Runtime>(
    rules: Vec<Rule>,
    app: &AppHandle<R>,
) -> Result<Vec<Arc<CompiledRule>>, crate::InvalidRule> {
    rules.into_iter().map(|rule| CompiledRule::for_app(rule, app).map(Arc::new)).collect()
}

/// Access to the engine from an app, its handle, or a window.
///
/// ```no_run
/// use tauri_plugin_execution_engine::ExecutionEngineExt;
/// use tauri_plugin_execution_engine::execution_engine::{ExecutionRequest, ExecutionResult};
///
/// #[tauri::command]
/// async fn uptime(app: tauri::AppHandle) -> Result<String, String> {
///     let request = ExecutionRequest::exec("uptime", ["-p"]);
///     let result = app.execution_engine().run(request).await.map_err(|e| e.to_string())?;
///     Ok(result.stdout)
/// }
/// ```
pub trait ExecutionEngineExt<R: Runtime> {
    /// Returns the engine that the windows of this app use.
    ///
    /// What is started with it belongs to the app: windows see it only with
    /// `{ "executions": "all" }` in their scope.
    fn execution_engine(&self) -> Arc<ExecutionEngine>;

    /// Makes a window the owner of an execution: it is one of the window's own from now on.
    /// `window` is the label of the window; in one with several webviews, that of the webview.
    ///
    /// Called before the start, the window sees the execution from its first event.
    ///
    /// ```no_run
    /// use tauri_plugin_execution_engine::ExecutionEngineExt;
    /// use tauri_plugin_execution_engine::execution_engine::{ExecutionError, ExecutionRequest};
    ///
    /// async fn build_in(app: tauri::AppHandle, window: &str) -> Result<(), ExecutionError> {
    ///     let request = ExecutionRequest::program("make");
    ///     app.give_execution(request.id, window);
    ///     app.execution_engine().execute(request).await?;
    ///     Ok(())
    /// }
    /// ```
    fn give_execution(&self, id: Uuid, window: &str);

    /// Gives a plan and all of its steps to a window, like [`give_execution`](Self::give_execution).
    ///
    /// ```no_run
    /// use tauri_plugin_execution_engine::ExecutionEngineExt;
    /// use tauri_plugin_execution_engine::execution_engine::{ExecutionError, ExecutionPlan};
    ///
    /// async fn run_in(app: tauri::AppHandle, plan: ExecutionPlan) -> Result<(), ExecutionError> {
    ///     app.give_plan(&plan, "main");
    ///     app.execution_engine().execute_plan(plan).await?;
    ///     Ok(())
    /// }
    /// ```
    fn give_plan(&self, plan: &ExecutionPlan, window: &str);
}

impl<R: Runtime, T: Manager<R>> ExecutionEngineExt<R> for T {
    fn execution_engine(&self) -> Arc<ExecutionEngine> {
        Arc::clone(&self.state::<PluginState>().engine)
    }

    fn give_execution(&self, id: Uuid, window: &str) {
        self.state::<PluginState>().owners.give_execution(id, PageId::of_window(window));
    }

    fn give_plan(&self, plan: &ExecutionPlan, window: &str) {
        self.state::<PluginState>().owners.give_plan(plan, PageId::of_window(window));
    }
}

#[cfg(test)]
mod tests {
    use tauri::test::{mock_builder, mock_context, noop_assets};

    use super::*;

    #[test]
    fn an_id_that_is_used_again_has_no_lines_of_the_earlier_output() {
        let app = mock_builder().plugin(init()).build(mock_context(noop_assets())).unwrap();
        let plugin = app.state::<PluginState>();
        let (refused, accepted) = (Uuid::new_v4(), Uuid::new_v4());
        let before = [refused, accepted].map(|id| plugin.indexes.of(id));
        let claim = |id| {
            let page = PageId::of_window("main");
            let claim = plugin.owners.claim_execution(&plugin.engine, page, id);
            tauri::async_runtime::block_on(claim).unwrap()
        };
        drop(claim(refused));
        plugin.accept(claim(accepted));
        let is_kept = |at: usize, id| Arc::ptr_eq(&before[at], &plugin.indexes.of(id));
        assert!(is_kept(0, refused), "it may be another one's, which goes on");
        assert!(!is_kept(1, accepted));
    }
}
