//! Calls of systemctl, and what systemd needs of the host.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Serialize;

use super::{Instance, unit};
use crate::failure::Failure;

/// Directory that exists if systemd is process 1.
const BOOTED: &str = "/run/systemd/system";

/// State of the unit.
#[derive(Debug, Serialize)]
pub(super) struct UnitState {
    /// `active`, `inactive`, `failed`, ..
    pub(super) active: String,
    /// `enabled`, `disabled`, ..
    pub(super) enabled: String,
}

/// Something that the host lacks, and the command that fixes it.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    pub(super) what: String,
    pub(super) fix: String,
}

/// Calls systemctl, and shows what it says. Fails where it fails.
pub(super) fn call(instance: Instance, words: &[&str]) -> Result<(), Failure> {
    let output = output(instance, words)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = [&["systemctl", instance.option()], words].concat().join(" ");
    Err(Failure::new(format!(
        "{line} failed: {}; see journalctl {} -u {}",
        said.trim(),
        instance.option(),
        unit::NAME
    )))
}

#[expect(clippy::disallowed_methods, reason = "systemctl is no execution, but part of the host")]
fn output(instance: Instance, words: &[&str]) -> Result<Output, Failure> {
    let mut command = Command::new("systemctl");
    command.arg(instance.option()).args(words).stdin(Stdio::null());
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(
            "systemctl is not there, so this host has no systemd; without it the service starts with the first verb \
             that needs it, or in the foreground: exeng serve",
        ),
        _ => Failure::new(format!("systemctl cannot be run: {error}")),
    })
}

/// Returns the state of the unit.
pub(super) fn state(instance: Instance) -> Result<UnitState, Failure> {
    let word = |verb: &str| {
        // Its code says no more than its word.
        let output = output(instance, &[verb, unit::NAME])?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        Ok::<_, Failure>(if text.is_empty() { "unknown".to_string() } else { text })
    };
    Ok(UnitState { active: word("is-active")?, enabled: word("is-enabled")? })
}

/// Fails with the reason if there is no systemd that could run the unit.
pub(super) fn check_present(instance: Instance) -> Result<(), Failure> {
    if !Path::new(BOOTED).exists() && !is_reachable(instance)? {
        return Err(Failure::new(
            "systemd does not run on this host (it is not process 1); without it the service starts with the first \
             verb that needs it, or in the foreground: exeng serve",
        ));
    }
    Ok(())
}

/// Returns `true` if the manager answers.
fn is_reachable(instance: Instance) -> Result<bool, Failure> {
    Ok(output(instance, &["show-environment"])?.status.success())
}

/// Returns what the host lacks for a service that outlives a log-out, with limits of whole trees.
pub(super) fn missing(instance: Instance) -> Vec<Missing> {
    let mut missing = Vec::new();
    if instance == Instance::User {
        let user = user_name();
        if !Path::new("/var/lib/systemd/linger").join(&user).exists() {
            missing.push(Missing {
                what: "the service and its programs end when you log out".to_string(),
                fix: format!("loginctl enable-linger {user}"),
            });
        }
        missing.extend(missing_controllers());
    }
    missing
}

/// Returns the controllers that the manager of the user has not got.
fn missing_controllers() -> Option<Missing> {
    let uid = rustix::process::getuid().as_raw();
    let group =
        format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers");
    let controllers = fs::read_to_string(group).unwrap_or_default();
    let has = |name: &&str| !controllers.split_whitespace().any(|controller| controller == *name);
    let missing: Vec<&str> = ["memory", "pids"].into_iter().filter(has).collect();
    (!missing.is_empty()).then(|| Missing {
        what: format!(
            "limits of whole trees (--limit memory, processes) are refused: systemd delegates no {} to users",
            missing.join(" and no ")
        ),
        fix: "printf '[Service]\\nDelegate=cpu memory pids\\n' | sudo systemctl edit --stdin user@.service, then log in anew".to_string(),
    })
}

/// Returns the name of the user, or the number where it has none.
fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_string())
    });
    name.unwrap_or_else(|| std::env::var("USER").unwrap_or_else(|_| uid.to_string()))
}

/// Returns the directory of the units of an instance.
pub(super) fn unit_dir(instance: Instance) -> Result<PathBuf, Failure> {
    if instance == Instance::System {
        return Ok(PathBuf::from("/etc/systemd/system"));
    }
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = named("XDG_CONFIG_HOME").or_else(|| Some(named("HOME")?.join(".config")));
    let config = config.filter(|dir| dir.is_absolute()).ok_or_else(|| {
        Failure::new("the directory for the unit is not known: set HOME, or XDG_CONFIG_HOME to an absolute path")
    })?;
    Ok(config.join("systemd/user"))
}
