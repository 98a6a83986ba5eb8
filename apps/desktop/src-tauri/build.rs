//! Checks the rules, and embeds the page, the settings and the capabilities.

fn main() {
    tauri_plugin_execution_engine_rules::check_capabilities("capabilities");
    tauri_build::build();
}
