//! Checks the rules, and embeds the pages, the settings and the capabilities.

fn main() {
    // `capabilities/broken.json` is invalid on purpose: a test asks what becomes of it at run time.
    tauri_plugin_execution_engine_rules::check_capabilities("capabilities/checked");
    tauri_build::build();
}
