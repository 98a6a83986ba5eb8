//! Connections to the servers.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::options::{Login, ServerOptions};

/// Oldest server that is used: before it conditional writes and disks were not safe enough.
pub(crate) const OLDEST: (u64, u64) = (2, 12);
/// Longest time until a server that is there has taken the login.
const REACH: Duration = Duration::from_secs(3);
/// Most refusals that are remembered.
const MAX_DENIALS: usize = 64;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No server was reached.
    #[error(
        "no connection to the servers {urls}: {reason}; check their addresses, and that they run"
    )]
    Failed {
        /// The addresses.
        urls: String,
        /// What came of the last one.
        reason: String,
    },
    /// A server was reached, and one of the two does not trust the other.
    #[error(
        "the servers {urls} and this program do not trust each other: {reason}; check the login and the certificates"
    )]
    Denied {
        /// The addresses.
        urls: String,
        /// What is wrong.
        reason: String,
    },
    /// A file or a key could not be used.
    #[error("the login for the servers could not be used: {0}; check the file")]
    Login(String),
    /// The server is too old.
    #[error(
        "the server {name} has version {version}; install nats-server 2.12 or later on all servers"
    )]
    TooOld {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// The server keeps nothing.
    #[error("the server {name} has no JetStream; put `jetstream` into its configuration")]
    NoJetStream {
        /// Its name.
        name: String,
    },
}

/// What the servers told about a connection beside their answers.
#[derive(Debug)]
pub(crate) struct Told {
    /// Texts of refused publishes and subscriptions, the newest last.
    denials: Mutex<Vec<(Instant, String)>>,
    /// Whether there is a connection.
    pub(crate) connected: watch::Sender<bool>,
}

impl Told {
    /// Returns why a subject was refused since a moment, if it was. A user may get rights later.
    pub(crate) fn denial(&self, subject: &str, since: Instant) -> Option<String> {
        let quoted = format!("\"{subject}\"");
        let denials = self.denials.lock();
        let mut new = denials.iter().rev().take_while(|(at, _)| *at >= since);
        new.find(|(_, text)| text.contains(&quoted)).map(|(_, text)| text.clone())
    }

    /// Notes a change. The first connection is none: its caller knows of it.
    fn set_connected(&self, now: bool) {
        self.connected.send_if_modified(|is| std::mem::replace(is, now) != now);
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected => self.set_connected(true),
            Event::Disconnected | Event::Closed => self.set_connected(false),
            Event::ServerError(ServerError::Other(text))
                if text.to_lowercase().starts_with("permissions violation") =>
            {
                let mut denials = self.denials.lock();
                if denials.len() == MAX_DENIALS {
                    denials.remove(0);
                }
                denials.push((Instant::now(), text.clone()));
            }
            _ => (),
        }
    }
}

/// Connects and checks the server.
pub(crate) async fn connect(options: &ServerOptions) -> Result<(Client, Arc<Told>), ConnectError> {
    let told = Arc::new(Told { denials: Mutex::default(), connected: watch::Sender::new(true) });
    let urls = || options.urls.join(", ");
    let connect = settings(options, &told).await?.connect(&options.urls[..]);
    let client = tokio::time::timeout(options.patience, connect).await.map_err(|_| {
        let reason = format!("no answer within {:?}", options.patience);
        ConnectError::Failed { urls: urls(), reason }
    })?;
    let client = client.map_err(|error| match is_of_trust(&error) {
        true => ConnectError::Denied { urls: urls(), reason: error.to_string() },
        false => ConnectError::Failed { urls: urls(), reason: error.to_string() },
    })?;
    let server = client.server_info();
    let name = server.server_name.clone();
    if version(&server.version).is_none_or(|version| version < OLDEST) {
        return Err(ConnectError::TooOld { name, version: server.version });
    }
    if !server.jetstream {
        return Err(ConnectError::NoJetStream { name });
    }
    Ok((client, told))
}

/// Returns `true` if a server was reached, and it or this program refuses the other.
fn is_of_trust(error: &async_nats::ConnectError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match error.kind() {
        ConnectErrorKind::Authentication
        | ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Tls => true,
        // What TLS says of certificates comes as an error of this kind.
        ConnectErrorKind::Io => source.is_some_and(|it| it.kind() == io::ErrorKind::InvalidData),
        _ => false,
    }
}

async fn settings(
    options: &ServerOptions,
    told: &Arc<Told>,
) -> Result<ConnectOptions, ConnectError> {
    let told = told.clone();
    let mut settings = ConnectOptions::new()
        .name(&options.name)
        .custom_inbox_prefix(&options.inbox)
        .connection_timeout(REACH.min(options.patience))
        // A server that stands still is left after three of these.
        .ping_interval(Duration::from_secs(1))
        // Calls have deadlines of their own. A connection is tried for ever, so that a program goes
        // on when the servers are back.
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .ignore_discovered_servers()
        .require_tls(options.require_tls)
        .event_callback(move |event| {
            told.note(&event);
            async {}
        });
    if let Some(ca) = &options.ca {
        settings = settings.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &options.client_certificate {
        settings = settings.add_client_certificate(certificate.clone(), key.clone());
    }
    match &options.login {
        Login::None => Ok(settings),
        Login::NkeySeed(seed) => Ok(settings.nkey(seed.clone())),
        Login::CredentialsFile(path) => settings
            .credentials_file(path)
            .await
            .map_err(|error| ConnectError::Login(format!("{}: {error}", path.display()))),
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let exponent = u32::try_from(attempts.min(7)).unwrap_or(7);
    Duration::from_millis(10 << exponent)
}

/// Returns the first two numbers of a version.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let cases = [("2.9.20", true), ("2.11.9", true), ("2.12.0", false), ("2.15.1", false)];
        for (text, too_old) in cases {
            assert_eq!(version(text).unwrap() < OLDEST, too_old, "{text}");
        }
        assert!(version("3.0.0-beta").unwrap() > OLDEST);
        assert_eq!(version(""), None);
    }

    #[test]
    fn reconnects_come_at_least_each_two_seconds() {
        assert_eq!(reconnect_delay(0), Duration::from_millis(10));
        assert_eq!(reconnect_delay(1000), Duration::from_millis(1280));
    }
}
