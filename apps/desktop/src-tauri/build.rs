//! Embeds the page, the settings and the capabilities.

fn main() {
    tauri_build::build();
}
