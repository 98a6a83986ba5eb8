//! App for tests of what windows with different capabilities can do to each other and to the app.
//! Its pages run what a test sends to them.

use std::sync::{Mutex, PoisonError};

use tauri::{AppHandle, WebviewUrl, WebviewWindowBuilder};
use tauri_plugin_execution_engine::ExecutionEngineExt;
use tauri_plugin_execution_engine::execution_engine::{
    ExecutionOptions, ExecutionPlan, ExecutionRequest, ExecutionStrategy, StdinSource, Uuid,
};

/// Lines that were logged, for the test to ask for.
struct Logged(Mutex<Vec<String>>);

static LOGGED: Logged = Logged(Mutex::new(Vec::new()));

impl log::Log for Logged {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() == log::Level::Error
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = record.args().to_string();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn flush(&self) {}
}

fn main() {
    log::set_logger(&LOGGED).expect("no logger is set yet");
    log::set_max_level(log::LevelFilter::Error);
    tauri::Builder::default()
        .plugin(tauri_plugin_execution_engine::init())
        .invoke_handler(tauri::generate_handler![open, start, give, start_plan_for, logged])
        .run(tauri::generate_context!())
        .expect("error while running the app");
}

/// Opens a window.
#[tauri::command]
async fn open(app: AppHandle, label: String) -> Result<(), String> {
    let window = WebviewWindowBuilder::new(&app, label, WebviewUrl::default()).build();
    window.map(|_| ()).map_err(|error| error.to_string())
}

/// Returns the lines that were logged.
#[tauri::command]
fn logged() -> Vec<String> {
    LOGGED.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Starts a program as the app's own code does.
#[tauri::command]
async fn start(app: AppHandle) -> Result<Uuid, String> {
    let request = ExecutionRequest::program("cat").description("of the app");
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    app.execution_engine().execute_with(request, options).await.map_err(|error| error.to_string())
}

/// Gives an execution of the app to a window.
#[tauri::command]
fn give(app: AppHandle, id: Uuid, window: String) {
    app.give_execution(id, &window);
}

/// Starts a plan of two steps for a window, and returns its id and theirs.
#[tauri::command]
async fn start_plan_for(app: AppHandle, window: String) -> Result<[Uuid; 3], String> {
    let commands = ["a", "b"].map(|word| ExecutionRequest::exec("echo", [word]));
    let plan = ExecutionPlan {
        id: Uuid::new_v4(),
        description: None,
        strategy: ExecutionStrategy::Serial { stop_on_error: true },
        commands: commands.to_vec(),
        metadata: Default::default(),
    };
    let ids = [plan.id, plan.commands[0].id, plan.commands[1].id];
    app.give_plan(&plan, &window);
    app.execution_engine().execute_plan(plan).await.map_err(|error| error.to_string())?;
    Ok(ids)
}
