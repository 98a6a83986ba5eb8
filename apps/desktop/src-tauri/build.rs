//! Puts the page, the settings and the capabilities into the program.

fn main() {
    tauri_build::build();
}
