//! Generates a permission for each command, and the schema that editors check capability files
//! with.

#[path = "src/scope/rule.rs"]
#[expect(unreachable_pub, reason = "public in the plugin")]
mod rule;

/// The same list as in `src/commands/mod.rs`.
const COMMANDS: &[&str] = &[
    "execute",
    "run",
    "wait",
    "cancel",
    "status",
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
    "subscribe",
    "subscribe_all",
    "subscribe_plan",
    "ack",
    "unsubscribe",
    "subscriptions",
];

fn main() {
    tauri_plugin::Builder::new(COMMANDS)
        .global_scope_schema(schemars::schema_for!(rule::Rule))
        .build();
}
