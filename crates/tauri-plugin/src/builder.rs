use std::sync::Arc;
use std::time::Duration;

use execution_engine::{EngineBuilder, ExecutionConfig, ExecutionEngine};
use tauri::plugin::TauriPlugin;
use tauri::webview::PageLoadEvent;
use tauri::{AppHandle, Manager, RunEvent, Runtime, WindowEvent};

use crate::commands;
use crate::delivery::{Pace, Subscriptions};
use crate::scope::{Compiled, Rule, Rules};

/// The plugin with the engine's defaults; rules come from capability files.
#[must_use]
pub fn init<R: Runtime>() -> TauriPlugin<R> {
    Builder::new().build()
}

/// Makes the plugin.
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
    engine: Source,
    exit_grace: Duration,
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

/// Where the engine comes from.
enum Source {
    New(Box<EngineBuilder>),
    Given(Arc<ExecutionEngine>),
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The defaults of the engine, and no rules.
    pub fn new() -> Self {
        Self {
            engine: Source::New(Box::new(ExecutionEngine::builder())),
            exit_grace: Duration::from_secs(2),
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }

    /// The configuration of the engine.
    pub fn config(self, config: ExecutionConfig) -> Self {
        self.engine_builder(ExecutionEngine::builder().config(config))
    }

    /// An engine with settings beyond its configuration. Made when the app starts, which fails if
    /// they make no sense.
    pub fn engine_builder(mut self, engine: EngineBuilder) -> Self {
        self.engine = Source::New(Box::new(engine));
        self
    }

    /// An engine that exists already, for an app that shares it.
    pub fn engine(mut self, engine: Arc<ExecutionEngine>) -> Self {
        self.engine = Source::Given(engine);
        self
    }

    /// How long executions have between the polite signal and the final one when the app ends.
    /// Default: 2 s.
    pub fn exit_grace(mut self, grace: Duration) -> Self {
        self.exit_grace = grace;
        self
    }

    /// Adds a rule for all windows that may execute, beside those of the capability files.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allow.push(rule);
        self
    }

    /// Adds a rule about what no window may run, whatever is allowed elsewhere.
    pub fn deny(mut self, rule: Rule) -> Self {
        self.deny.push(rule);
        self
    }

    /// The plugin, for [`tauri::Builder::plugin`].
    #[must_use]
    pub fn build<R: Runtime>(self) -> TauriPlugin<R> {
        let Self { engine, exit_grace, allow, deny } = self;
        tauri::plugin::Builder::new("execution-engine")
            .invoke_handler(commands::handler())
            .setup(move |app, _| {
                let engine = match engine {
                    Source::New(builder) => Arc::new(builder.build()?),
                    Source::Given(engine) => engine,
                };
                Arc::clone(&engine).start_cleanup_task();
                app.manage(Plugin {
                    engine,
                    base: Rules { allow: compile(allow, app)?, deny: compile(deny, app)? },
                    subscriptions: Subscriptions::default(),
                    pace: Pace::default(),
                });
                Ok(())
            })
            .on_page_load(|webview, page| {
                // What the last page had subscribed to goes with it. A new page has not run yet.
                if page.event() == PageLoadEvent::Started {
                    webview.state::<Plugin>().subscriptions.page_left(webview.label());
                }
            })
            .on_event(move |app, event| match event {
                RunEvent::WindowEvent { label, event: WindowEvent::Destroyed, .. } => {
                    app.state::<Plugin>().subscriptions.window_closed(label);
                }
                RunEvent::Exit => end_all(app, exit_grace),
                _ => {}
            })
            .build()
    }
}

/// What the plugin keeps in the app.
pub(crate) struct Plugin {
    pub(crate) engine: Arc<ExecutionEngine>,
    pub(crate) base: Rules,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) pace: Pace,
}

/// The process exits right after this event, and an engine in a process that is gone stops nothing.
fn end_all<R: Runtime>(app: &AppHandle<R>, grace: Duration) {
    let engine = Arc::clone(&app.state::<Plugin>().engine);
    let report = tauri::async_runtime::block_on(async move { engine.shutdown(grace).await });
    for survivor in &report.survivors {
        tracing::warn!(pid = survivor.pid, name = survivor.name, "a process could not be stopped");
    }
}

fn compile<R: Runtime>(
    rules: Vec<Rule>,
    app: &AppHandle<R>,
) -> Result<Vec<Arc<Compiled>>, crate::InvalidRule> {
    rules.into_iter().map(|rule| Compiled::for_app(rule, app).map(Arc::new)).collect()
}

/// The engine of an app, from its handle, a window or whatever else manages its state.
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
    /// The engine that this app's windows use.
    fn execution_engine(&self) -> Arc<ExecutionEngine>;
}

impl<R: Runtime, T: Manager<R>> ExecutionEngineExt<R> for T {
    fn execution_engine(&self) -> Arc<ExecutionEngine> {
        Arc::clone(&self.state::<Plugin>().engine)
    }
}
