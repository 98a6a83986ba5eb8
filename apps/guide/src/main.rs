//! The app of the guide: it manages an `Arc<ExecutionEngine>` and has its own Tauri commands,
//! without the plugin.

use execution_engine::*;

#[tokio::main]
async fn main() {
    let config = ExecutionConfig::default();
    let engine = Arc::new(ExecutionEngine::new(config).unwrap());

    // Start cleanup task
    engine.clone().start_cleanup_task();

    tauri::Builder::default()
        .manage(engine) // Share engine across all Tauri commands
        .invoke_handler(tauri::generate_handler![execute_python_script, get_execution_status])
        .run(tauri::generate_context!())
        .expect("error while running tauri application");
}

#[tauri::command]
async fn execute_python_script(
    script_path: String,
    engine: tauri::State<'_, Arc<ExecutionEngine>>,
) -> Result<String, String> {
    let request = ExecutionRequest {
        id: Uuid::new_v4(),
        command: Command::Script {
            path: PathBuf::from(script_path),
            interpreter: Some("python3".to_string()),
        },
        env: HashMap::new(),
        working_dir: None,
        timeout_ms: Some(60000),
        output_log_path: None,
        metadata: ExecutionMetadata::default(),
    };

    engine.execute(request).await.map(|id| id.to_string()).map_err(|e| e.to_string())
}

#[tauri::command]
async fn get_execution_status(
    execution_id: Uuid,
    engine: tauri::State<'_, Arc<ExecutionEngine>>,
) -> Result<ExecutionStatus, String> {
    engine.get_status(execution_id).await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tauri::Manager;
    use tauri::ipc::{CallbackFn, InvokeBody};
    use tauri::test::{
        INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder, mock_context, noop_assets,
    };
    use tauri::webview::InvokeRequest;

    use super::*;

    fn app() -> tauri::App<MockRuntime> {
        let engine = Arc::new(ExecutionEngine::new(ExecutionConfig::default()).unwrap());
        mock_builder()
            .manage(engine)
            .invoke_handler(tauri::generate_handler![execute_python_script, get_execution_status])
            .build(mock_context(noop_assets()))
            .unwrap()
    }

    /// Calls a command like a window: by name, with JSON.
    fn call(app: &tauri::App<MockRuntime>, command: &str, args: Value) -> Result<Value, Value> {
        let label = "main";
        let window = app.get_webview_window(label).unwrap_or_else(|| {
            tauri::WebviewWindowBuilder::new(app, label, tauri::WebviewUrl::default())
                .build()
                .unwrap()
        });
        let request = InvokeRequest {
            cmd: command.to_string(),
            callback: CallbackFn(0),
            error: CallbackFn(1),
            url: "tauri://localhost".parse().unwrap(),
            body: InvokeBody::Json(args),
            headers: Default::default(),
            invoke_key: INVOKE_KEY.to_string(),
        };
        get_ipc_response(&window, request).map(|body| body.deserialize().unwrap())
    }

    #[test]
    fn a_window_can_run_a_script_and_query_its_status() {
        let app = app();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test-scripts/demo.py");
        let id = call(&app, "execute_python_script", json!({ "scriptPath": script })).unwrap();
        let engine = app.state::<Arc<ExecutionEngine>>();
        let uuid: Uuid = id.as_str().unwrap().parse().unwrap();
        let result = tauri::async_runtime::block_on(engine.wait_for_completion(uuid)).unwrap();
        assert!(result.success, "{result:?}");
        let status = call(&app, "get_execution_status", json!({ "executionId": id })).unwrap();
        assert_eq!(status, json!("completed"));
    }

    #[test]
    fn a_missing_script_is_reported_with_its_path() {
        let app = app();
        let args = json!({ "scriptPath": "/nowhere/missing.py" });
        let error = call(&app, "execute_python_script", args).unwrap_err();
        assert!(error.as_str().unwrap().contains("/nowhere/missing.py"), "{error}");
    }
}
