//! How servers are reached.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Who a program is, for the servers.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// Says nothing, or what its TLS certificate says.
    #[default]
    None,
    /// Seed of an NKEY of a user, `SU...`.
    NkeySeed(String),
    /// File with a JWT and its seed, as the tools of NATS write it.
    CredentialsFile(PathBuf),
}

/// Shows the kind and no secret.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::NkeySeed(_) => "NkeySeed",
            Self::CredentialsFile(_) => "CredentialsFile",
        })
    }
}

/// Where the servers are, and how a program shows who it is.
///
/// ```
/// use execution_engine_fleet_nats::ServerOptions;
///
/// let options = ServerOptions::new(["nats://127.0.0.1:4222"]);
/// assert!(options.is_loopback() && !options.is_protected());
/// ```
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Addresses of all servers, `nats://HOST:PORT` or `tls://HOST:PORT`. Only these are used: what
    /// servers tell of other servers is ignored.
    pub urls: Vec<String>,
    /// Name of the connection, for people who look at the servers.
    pub name: String,
    /// Requires TLS, whatever the addresses say.
    pub require_tls: bool,
    /// Certificates of the authorities that may have signed those of the servers (PEM). `None` takes
    /// those of the system.
    pub ca: Option<PathBuf>,
    /// Own certificate and its key (PEM).
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Who the program is.
    pub login: Login,
    /// What the subjects begin with on which answers come. A user who may subscribe to the inboxes of
    /// others reads their answers, so [`server_config`](crate::server_config) gives each user one.
    pub inbox: String,
    /// Longest time of one call, from 1 s on. It covers the time in which servers elect a leader.
    pub patience: Duration,
}

impl ServerOptions {
    /// Creates options for servers without TLS and without a login.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            urls: urls.into_iter().map(Into::into).collect(),
            name: "execution-engine".into(),
            require_tls: false,
            ca: None,
            client_certificate: None,
            login: Login::None,
            inbox: "_INBOX".into(),
            patience: Duration::from_secs(10),
        }
    }

    /// Returns the first address that is none of a server.
    pub fn malformed_url(&self) -> Option<&str> {
        let is_address = |url: &String| {
            url.parse::<async_nats::ServerAddr>().is_ok_and(|address| !address.host().is_empty())
        };
        self.urls.iter().find(|url| !is_address(url)).map(String::as_str)
    }

    /// Returns `true` if all servers are on this machine's loopback interface.
    pub fn is_loopback(&self) -> bool {
        !self.urls.is_empty() && self.urls.iter().all(|url| is_loopback(url))
    }

    /// Returns `true` if connections are encrypted and the program shows who it is. Refuse servers
    /// that are neither protected nor on loopback: a stranger there could run commands.
    pub fn is_protected(&self) -> bool {
        let shows_who = self.login != Login::None || self.client_certificate.is_some();
        self.is_encrypted() && shows_who
    }

    /// Returns `true` if no connection is made without TLS.
    fn is_encrypted(&self) -> bool {
        let all_tls = || self.urls.iter().all(|url| url.starts_with("tls://"));
        self.require_tls || (!self.urls.is_empty() && all_tls())
    }
}

fn is_loopback(url: &str) -> bool {
    let Ok(address) = url.parse::<async_nats::ServerAddr>() else { return false };
    let host = address.host().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_every_address_or_it_is_not() {
        let cases = [
            (vec!["nats://127.0.0.1:4222"], true),
            (vec!["nats://localhost:1", "nats://[::1]:2", "127.8.8.8:3"], true),
            (vec!["nats://127.0.0.1:4222", "nats://10.0.0.1:4222"], false),
            (vec!["nats://localhost.example:4222"], false),
            (vec!["nats://127.0.0.1@example.org:4222"], false),
            (vec![], false),
        ];
        for (urls, expected) in cases {
            assert_eq!(ServerOptions::new(urls.clone()).is_loopback(), expected, "{urls:?}");
        }
    }

    #[test]
    fn a_malformed_address_is_found() {
        for (url, is_address) in [
            ("nats://127.0.0.1:4222", true),
            ("tls://nats.example", true),
            ("10.0.0.1:4222", true),
            ("", false),
            ("nats://", false),
            ("nats://host:port", false),
            ("http://127.0.0.1:4222", false),
        ] {
            let options = ServerOptions::new(["nats://127.0.0.1:4222", url]);
            assert_eq!(options.malformed_url(), (!is_address).then_some(url), "{url}");
        }
    }

    #[test]
    fn protected_needs_both_tls_and_a_login() {
        let login = Login::NkeySeed("S".into());
        let cases = [
            ("tls://a:1", Login::None, false, false),
            ("tls://a:1", login.clone(), false, true),
            ("nats://a:1", login.clone(), false, false),
            ("nats://a:1", login, true, true),
        ];
        for (url, login, require_tls, expected) in cases {
            let options = ServerOptions { login, require_tls, ..ServerOptions::new([url]) };
            assert_eq!(options.is_protected(), expected, "{options:?}");
        }
        assert!(!format!("{:?}", Login::NkeySeed("SUA".into())).contains("SUA"));
    }
}
