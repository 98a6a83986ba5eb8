//! A fleet under faults keeps what it promises, and the checks find it when it does not.
//!
//! `EXENG_FLEET_STORM_SECONDS`, `EXENG_FLEET_STORM_EXECUTIONS`, `EXENG_FLEET_STORM_SEED`,
//! `EXENG_FLEET_STORM_MEBIBYTES` and `EXENG_FLEET_STORM_QUEUED` make it longer.
//! `EXENG_FLEET_STORM_OTHER` names another build of `exeng`, which is every second worker; `EXENG_LOG=debug`
//! prints what workers log.

mod clocks;
mod disks;
mod figures;
mod planted;
mod queued;
mod submissions;
mod weather;

use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use fleet_storm::{Programs, enter_namespaces};
use tokio::runtime::Runtime;

/// Names the program of the workers; else it is built.
const EXENG: &str = "EXENG_FLEET_STORM_EXENG";

/// Runs a test in namespaces of its own, or here if there are none.
fn run(test: &str, body: impl AsyncFnOnce(Programs)) {
    let programs = programs();
    if !enter_namespaces(test, (EXENG, &programs.exeng)) {
        Runtime::new().unwrap().block_on(body(programs));
    }
}

fn programs() -> Programs {
    Programs {
        exeng: exeng(),
        other: std::env::var_os("EXENG_FLEET_STORM_OTHER").map(PathBuf::from),
        program: env!("CARGO_BIN_EXE_storm-program").into(),
    }
}

/// Returns the path of `exeng`, and builds it if none is named.
#[expect(clippy::disallowed_methods, reason = "a tool of a test is not the engine's to run")]
fn exeng() -> PathBuf {
    if let Some(path) = std::env::var_os(EXENG) {
        return path.into();
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "exeng"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "exeng was not built: {status}");
    // .../debug/deps/storm-1234
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("exeng")
}

/// Returns the number in a variable, or another one.
fn setting<T: FromStr>(name: &str, or: T) -> T
where
    T::Err: std::fmt::Debug,
{
    std::env::var(name).map_or(or, |text| text.parse().expect(name))
}
