//! Embeds the page and the settings of the app.

fn main() {
    tauri_build::build();
}
