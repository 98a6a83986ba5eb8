//! Puts the window's page and the app's settings into the program.

fn main() {
    tauri_build::build();
}
