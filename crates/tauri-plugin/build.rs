//! Generates a permission for each command, and the schema that editors check capability files
//! with.

use tauri_plugin_execution_engine_rules::ScopeEntry;

/// The same list as in `src/commands/mod.rs`.
const COMMANDS: &[&str] = &[
    "execute",
    "run",
    "wait",
    "cancel",
    "status",
    "summary",
    "result",
    "list",
    "logs",
    "log_path",
    "remove",
    "signal",
    "pause",
    "resume",
    "execute_plan",
    "wait_for_plan",
    "plan_status",
    "plan_result",
    "cancel_plan",
    "list_plans",
    "remove_plan",
    "write_stdin",
    "close_stdin",
    "read_output",
    "read_lines",
    "search_output",
    "list_history",
    "history_state",
    "subscribe",
    "subscribe_all",
    "subscribe_plan",
    "ack",
    "unsubscribe",
    "subscriptions",
];

fn main() {
    tauri_plugin::Builder::new(COMMANDS)
        .global_api_script_path("api-iife.js")
        .global_scope_schema(schemars::schema_for!(ScopeEntry))
        .build();
}
