//! Makes a permission for each command, and the schema that capability files are checked with.

#[path = "src/scope/rule.rs"]
#[expect(unreachable_pub, reason = "it is public in the plugin")]
mod rule;

/// The same list as in `src/commands.rs`.
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
    "write_stdin",
    "close_stdin",
    "signal",
    "pause",
    "resume",
    "subscribe",
    "subscribe_all",
    "confirm",
    "unsubscribe",
    "subscriptions",
];

fn main() {
    tauri_plugin::Builder::new(COMMANDS)
        .global_scope_schema(schemars::schema_for!(rule::Rule))
        .build();
}
