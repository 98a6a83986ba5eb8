//! Builds the plugin: its engine, its rules, and what happens when a page or the app ends.

use std::sync::Arc;
use std::time::Duration;

use execution_engine::{EngineBuilder, ExecutionConfig, ExecutionEngine};
use tauri::plugin::TauriPlugin;
use tauri::webview::PageLoadEvent;
use tauri::{AppHandle, Manager, RunEvent, Runtime, WindowEvent};

use crate::commands;
use crate::scope::{CompiledRule, Rule, ScopeRules};
use crate::streaming::{FlowControl, Subscriptions};

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
    exit_grace: Duration,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

/// Engine to use, or to build when the app starts.
enum EngineSource {
    Build(Box<EngineBuilder>),
    Existing(Arc<ExecutionEngine>),
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
        let Self { engine, exit_grace, allow, deny } = self;
        tauri::plugin::Builder::new("execution-engine")
            .invoke_handler(commands::handler())
            .setup(move |app, _| {
                let engine = match engine {
                    EngineSource::Build(builder) => Arc::new(builder.build()?),
                    EngineSource::Existing(engine) => engine,
                };
                engine.start_cleanup_task();
                app.manage(PluginState {
                    engine,
                    base: ScopeRules { allow: compile(allow, app)?, deny: compile(deny, app)? },
                    subscriptions: Subscriptions::default(),
                    flow: FlowControl::default(),
                });
                Ok(())
            })
            .on_page_load(|webview, page| {
                // No script of the new page has run yet, so all subscriptions are of the old one.
                if page.event() == PageLoadEvent::Started {
                    webview.state::<PluginState>().subscriptions.page_left(webview.label());
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
    pub(crate) subscriptions: Subscriptions,
    pub(crate) flow: FlowControl,
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
    fn execution_engine(&self) -> Arc<ExecutionEngine>;
}

impl<R: Runtime, T: Manager<R>> ExecutionEngineExt<R> for T {
    fn execution_engine(&self) -> Arc<ExecutionEngine> {
        Arc::clone(&self.state::<PluginState>().engine)
    }
}
