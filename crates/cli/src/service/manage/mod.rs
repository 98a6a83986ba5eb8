//! `exeng service`: the service as a unit of systemd.
//!
//! Without a unit, `start`, `stop`, `restart` and `status` are about the service that verbs start by themselves.

mod systemd;
mod unit;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use execution_engine_server::{Config, NetworkListener, ServiceManager, StateDir};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use super::{connect, places, this_program};
use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::{data, message};
use systemd::{Missing, UnitState};

/// Longest time that a service has to end.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Options of `service`.
#[derive(Debug, Args)]
pub(crate) struct ServiceVerbOptions {
    #[command(subcommand)]
    verb: ServiceVerb,
}

#[derive(Debug, Subcommand)]
enum ServiceVerb {
    /// Write the unit, enable and start it; what is there of an earlier one is replaced, and programs go on
    Install(InstallOptions),
    /// Start the service
    Start(Which),
    /// Stop the service; programs go on, and the next verb that needs the service starts it again
    Stop(Which),
    /// Stop the service and start it again; programs go on
    Restart(Which),
    /// Show how the service runs, and what the host lacks for it
    Status(StatusOptions),
    /// Stop the service, disable and remove its unit; programs go on, and nothing stored is removed
    Uninstall(Which),
}

/// Which instance of systemd.
#[derive(Debug, Clone, Copy, Args)]
struct Which {
    /// The unit of the system, and not that of the user
    #[arg(long)]
    system: bool,
}

#[derive(Debug, Args)]
struct InstallOptions {
    #[command(flatten)]
    which: Which,
    /// User that the service of the system belongs to [without: root]
    #[arg(long, value_name = "NAME", requires = "system")]
    user: Option<String>,
    /// Print the unit, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct StatusOptions {
    #[command(flatten)]
    which: Which,
    /// Print one document of JSON
    #[arg(long)]
    json: bool,
}

/// An instance of systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Instance {
    User,
    System,
}

impl Instance {
    /// Returns the word for it in the unit.
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::System => "system",
        }
    }

    /// Returns the option of systemctl.
    fn option(self) -> &'static str {
        match self {
            Self::User => "--user",
            Self::System => "--system",
        }
    }
}

impl From<Instance> for ServiceManager {
    fn from(instance: Instance) -> Self {
        match instance {
            Instance::User => Self::User,
            Instance::System => Self::System,
        }
    }
}

impl Which {
    fn instance(self) -> Instance {
        if self.system { Instance::System } else { Instance::User }
    }

    fn unit(self) -> Result<Unit, Failure> {
        let instance = self.instance();
        Ok(Unit { instance, file: systemd::unit_dir(instance)?.join(unit::NAME) })
    }
}

/// The unit, whether it is there or not.
struct Unit {
    instance: Instance,
    file: PathBuf,
}

impl Unit {
    fn is_installed(&self) -> bool {
        self.file.exists()
    }

    fn call(&self, words: &[&str]) -> Result<(), Failure> {
        systemd::call(self.instance, words)
    }

    /// Writes it in one step.
    fn write(&self, text: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!(
                "the unit {} cannot be written: {error}{}",
                self.file.display(),
                self.hint(&error)
            ))
        };
        let new = self.file.with_extension("service.new");
        fs::create_dir_all(self.file.parent().unwrap_or(&self.file)).map_err(failed)?;
        fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file)).map_err(failed)
    }

    fn remove(&self) -> Result<(), Failure> {
        fs::remove_file(&self.file).map_err(|error| {
            Failure::new(format!(
                "the unit {} cannot be removed: {error}{}",
                self.file.display(),
                self.hint(&error)
            ))
        })
    }

    fn hint(&self, error: &io::Error) -> &'static str {
        match (error.kind(), self.instance) {
            (io::ErrorKind::PermissionDenied, Instance::System) => {
                "; the unit of the system is root's: use sudo"
            }
            _ => "",
        }
    }
}

/// Runs the verb, and returns the code to exit with.
pub(crate) async fn run(
    global: &GlobalOptions,
    options: &ServiceVerbOptions,
) -> Result<u8, Failure> {
    match &options.verb {
        ServiceVerb::Install(options) => install(global, options)?,
        ServiceVerb::Start(which) => start(global, *which).await?,
        ServiceVerb::Stop(which) => stop(global, *which)?,
        ServiceVerb::Restart(which) => {
            // Before the stop: with a mistake in it no service would start again.
            let config = Config::load(places(global)?.config())?;
            NetworkListener::check(&config.http)?;
            stop(global, *which)?;
            start(global, *which).await?;
        }
        ServiceVerb::Status(options) => return status(global, options),
        ServiceVerb::Uninstall(which) => uninstall(*which)?,
    }
    Ok(0)
}

fn install(global: &GlobalOptions, options: &InstallOptions) -> Result<(), Failure> {
    let places = places(global)?;
    let unit = options.which.unit()?;
    let text = unit::text(&this_program()?, &places, unit.instance, options.user.as_deref())?;
    if options.dry_run {
        return data::bytes(text.as_bytes());
    }
    systemd::check_present(unit.instance)?;
    unit.write(&text)?;
    unit.call(&["daemon-reload"])?;
    unit.call(&["enable", unit::NAME])?;
    // One that a verb has started holds the state directory.
    end(&places)?;
    unit.call(&["restart", unit::NAME])?;
    message::note(format!(
        "the service runs as {}, and starts with the system",
        unit.file.display()
    ));
    for Missing { what, fix } in systemd::missing(unit.instance) {
        message::print(format!("{what}; fix it with: {fix}"));
    }
    Ok(())
}

async fn start(global: &GlobalOptions, which: Which) -> Result<(), Failure> {
    let unit = which.unit()?;
    if !unit.is_installed() {
        return connect(global).await.map(drop);
    }
    if systemd::state(unit.instance)?.active != "active" {
        end(&places(global)?)?;
    }
    unit.call(&["start", unit::NAME])
}

fn stop(global: &GlobalOptions, which: Which) -> Result<(), Failure> {
    let unit = which.unit()?;
    if unit.is_installed() {
        unit.call(&["stop", unit::NAME])?;
    }
    end(&places(global)?)
}

fn uninstall(which: Which) -> Result<(), Failure> {
    let unit = which.unit()?;
    if !unit.is_installed() {
        let file = unit.file.display();
        return Err(Failure::new(format!("there is no unit {file}; see exeng service install")));
    }
    unit.call(&["disable", "--now", unit::NAME])?;
    unit.remove()?;
    unit.call(&["daemon-reload"])
}

/// Ends the service that holds the state directory, if there is one, and waits for its end.
fn end(places: &StateDir) -> Result<(), Failure> {
    let Some(holder) = places.holder() else { return Ok(()) };
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("the service (process {}) cannot be ended: {error}", holder.pid))
    };
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| failed(&"it is in another pid namespace"))?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(()),
        process => process.map_err(|error| failed(&error))?,
    };
    // The descriptor stands for the process that holds the lock only if it still does.
    if places.holder().is_none_or(|now| now.pid != holder.pid) {
        return Ok(());
    }
    match pidfd_send_signal(&process, Signal::TERM) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(failed(&error)),
    }
    // Its locks are released by its end.
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    let limit = Timespec { tv_sec: END_LIMIT.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut ended, Some(&limit)) {
        Ok(0) => Err(failed(&format_args!("it has not ended after {} s", END_LIMIT.as_secs()))),
        Ok(_) => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// What `status` prints.
#[derive(Debug, Serialize)]
struct Status {
    /// Process of the service; null if none runs.
    pid: Option<u32>,
    /// File of the unit; null if it is not installed.
    unit: Option<PathBuf>,
    #[serde(flatten)]
    state: Option<UnitState>,
    socket: PathBuf,
    state_dir: PathBuf,
    missing: Vec<Missing>,
}

fn status(global: &GlobalOptions, options: &StatusOptions) -> Result<u8, Failure> {
    let (places, unit) = (places(global)?, options.which.unit()?);
    let is_installed = unit.is_installed();
    let status = Status {
        pid: places.holder().map(|holder| holder.pid),
        state: is_installed.then(|| systemd::state(unit.instance)).transpose()?,
        missing: if is_installed { systemd::missing(unit.instance) } else { Vec::new() },
        unit: is_installed.then_some(unit.file),
        socket: places.socket().to_path_buf(),
        state_dir: places.path().to_path_buf(),
    };
    if options.json {
        data::json(&status)?;
    } else {
        data::bytes(page(&status).as_bytes())?;
    }
    // As systemctl status does.
    Ok(if status.pid.is_some() { 0 } else { NOT_RUNNING })
}

/// Code of `status` if the service does not run.
const NOT_RUNNING: u8 = 3;

fn page(status: &Status) -> String {
    let shown = |path: &Path| path.display().to_string();
    let service = match status.pid {
        Some(pid) => format!("running (process {pid})"),
        None => "not running; the next verb that needs it starts it".to_string(),
    };
    let unit = match (&status.unit, &status.state) {
        (Some(file), Some(state)) => {
            format!("{} ({}, {})", shown(file), state.active, state.enabled)
        }
        _ => "none; exeng service install makes one".to_string(),
    };
    let mut page = format!(
        "service    {service}\nunit       {unit}\nsocket     {}\nstate      {}\n",
        shown(&status.socket),
        shown(&status.state_dir)
    );
    for Missing { what, fix } in &status.missing {
        page.push_str(&format!("missing    {what}\n           {fix}\n"));
    }
    page
}
