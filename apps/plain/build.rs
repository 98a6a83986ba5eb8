//! Puts the sidecar where Tauri expects it, with the target in its name, checks the rules, and embeds
//! the page, the settings and the capabilities.

use std::fs;
use std::path::PathBuf;

const SIDECAR: &str = "sidecar/greet.sh";

fn main() -> std::io::Result<()> {
    let target = std::env::var("TARGET").expect("cargo sets it");
    let file = PathBuf::from(format!("binaries/greet-{target}"));
    println!("cargo:rerun-if-changed={SIDECAR}");
    // Not again and again: a file that changes would have this script run with each build.
    if fs::read(&file).ok() != Some(fs::read(SIDECAR)?) {
        fs::create_dir_all("binaries")?;
        fs::copy(SIDECAR, &file)?;
    }
    tauri_plugin_execution_engine_rules::check_capabilities("capabilities");
    tauri_build::build();
    Ok(())
}
