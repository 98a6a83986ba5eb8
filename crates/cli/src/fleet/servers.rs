//! Which servers: `--on` or EXENG_ON, the profiles of the configuration file, TLS and login.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use execution_engine_fleet_nats::{Login, ServerOptions};
use serde::Deserialize;

use crate::cli::GlobalOptions;
use crate::failure::Failure;
use crate::service::places;

/// How the servers are reached, and how this program shows who it is: options of verbs, and `[fleet.NAME]` of
/// the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Access {
    #[arg(skip)]
    servers: Vec<String>,
    #[arg(skip)]
    tenant: Option<String>,
    /// Certificates of the authorities that may have signed those of the servers (PEM); requires TLS [without:
    /// those of the system]
    #[arg(long, value_name = "FILE", help_heading = SERVERS)]
    ca: Option<PathBuf>,
    /// Certificate of this program (PEM)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = SERVERS)]
    cert: Option<PathBuf>,
    /// Key of this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = SERVERS)]
    key: Option<PathBuf>,
    /// File with the seed of an NKEY of a user (SU...)
    #[arg(long, value_name = "FILE", conflicts_with = "creds", help_heading = SERVERS)]
    nkey: Option<PathBuf>,
    /// File with a JWT and its seed, as the tools of NATS write it
    #[arg(long, value_name = "FILE", help_heading = SERVERS)]
    creds: Option<PathBuf>,
    /// What the subjects of answers begin with, which the servers allow this user [without: _INBOX]
    #[arg(long, value_name = "PREFIX", help_heading = SERVERS)]
    inbox: Option<String>,
}

const SERVERS: &str = "Servers (beside --on)";

/// What the configuration file has of fleets.
#[derive(Debug, Deserialize)]
struct Profiles {
    #[serde(default)]
    fleet: BTreeMap<String, Access>,
}

/// A fleet that the command line or the environment names.
pub(crate) struct Chosen {
    pub(crate) servers: ServerOptions,
    /// The tenant of clients.
    pub(crate) tenant: String,
}

/// Returns what names the fleet: the option, or the variable.
pub(crate) fn named(global: &GlobalOptions) -> Option<String> {
    let variable = || std::env::var("EXENG_ON").ok().filter(|on| !on.is_empty());
    global.on.clone().or_else(variable)
}

/// Returns the servers of a fleet.
///
/// # Errors
/// If none is named, the profile or a file cannot be used, or a stranger could be there: what says where commands
/// run is taken from servers on this machine, or from such that show who they are and ask who this is.
pub(crate) fn chosen(global: &GlobalOptions, access: &Access) -> Result<Chosen, Failure> {
    let on = named(global).ok_or_else(|| {
        Failure::new("no fleet is named; name its servers: --on nats://HOST:4222,.. (or EXENG_ON)")
    })?;
    if on.is_empty() {
        return Err(Failure::new("--on is empty; name servers (nats://HOST:4222,..) or a profile"));
    }
    let profile = match is_url(&on) {
        true => Access { servers: on.split(',').map(str::to_owned).collect(), ..Access::default() },
        false => profile(places(global)?.config(), &on)?,
    };
    let access = access.over(profile);
    let mut servers = ServerOptions::new(access.servers.clone());
    servers.name = "exeng".to_owned();
    let tenant = access.tenant.clone();
    access.apply(&mut servers)?;
    if let Some(url) = servers.malformed_url() {
        return Err(Failure::new(format!(
            "--on {on}: {url:?} is no address of a server; write nats://HOST:PORT or tls://HOST:PORT, and a comma between two"
        )));
    }
    check(&servers)?;
    let variable = std::env::var("EXENG_TENANT").ok().filter(|tenant| !tenant.is_empty());
    let tenant = variable.or(tenant).unwrap_or_else(|| "default".to_owned());
    Ok(Chosen { servers, tenant })
}

/// Returns `true` for addresses, and `false` for the name of a profile.
fn is_url(on: &str) -> bool {
    on.contains([':', ',', '.'])
}

fn profile(config: &Path, name: &str) -> Result<Access, Failure> {
    let failed = |why: String| Failure::new(format!("--on {name}: {}: {why}", config.display()));
    let text = match fs::read_to_string(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| failed(format!("it cannot be read: {error}")))?,
    };
    let Profiles { mut fleet } =
        toml::from_str(&text).map_err(|error| failed(error.to_string().trim_end().to_owned()))?;
    fleet.remove(name).ok_or_else(|| {
        failed(format!(
            "it has no [fleet.{name}]; add one with servers = [\"nats://HOST:4222\"], or write --on nats://HOST:4222"
        ))
    })
}

/// Refuses servers on which a stranger could have commands run.
fn check(servers: &ServerOptions) -> Result<(), Failure> {
    if servers.is_loopback() || servers.is_protected() {
        return Ok(());
    }
    let urls = servers.urls.join(", ");
    Err(Failure::new(format!(
        "the servers {urls} are not on this machine, and would be used without TLS or without a login, so that a \
         stranger could run commands; use tls:// addresses (or --ca FILE), and show who this is with --cert and --key, \
         --nkey or --creds"
    )))
}

impl Access {
    /// Returns these, and those of a profile where these say nothing.
    fn over(&self, profile: Self) -> Self {
        let own = self.clone();
        let has_login = own.nkey.is_some() || own.creds.is_some();
        Self {
            ca: own.ca.or(profile.ca),
            cert: own.cert.or(profile.cert),
            key: own.key.or(profile.key),
            nkey: own.nkey.or(profile.nkey.filter(|_| !has_login)),
            creds: own.creds.or(profile.creds.filter(|_| !has_login)),
            inbox: own.inbox.or(profile.inbox),
            ..profile
        }
    }

    fn apply(self, servers: &mut ServerOptions) -> Result<(), Failure> {
        servers.require_tls = self.ca.is_some();
        servers.ca = self.ca;
        servers.client_certificate = self.cert.zip(self.key);
        if let Some(file) = self.nkey {
            let seed = fs::read_to_string(&file).map_err(|error| {
                Failure::new(format!("--nkey: {} cannot be read: {error}", file.display()))
            })?;
            servers.login = Login::NkeySeed(seed.trim().to_owned());
        } else if let Some(file) = self.creds {
            servers.login = Login::CredentialsFile(file);
        }
        if let Some(inbox) = self.inbox {
            servers.inbox = inbox;
        }
        Ok(())
    }
}
