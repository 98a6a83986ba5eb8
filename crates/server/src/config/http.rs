//! How the service is reached over the network: `[http]` of the configuration file.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::error::{ErrorCode, ServiceError};

/// How the service is reached over the network, and how much callers may do at a time. By default it is reached on its
/// unix socket alone.
///
/// ```
/// use execution_engine_server::Config;
///
/// let open = Config::parse("[http]\nlisten = \"0.0.0.0:7171\"").unwrap();
/// let error = open.http.check().unwrap_err().to_string();
/// assert!(error.contains("--tls-cert"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Address and port to listen on, as `127.0.0.1:7171`; port 0 is a free one. Default: none.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// Names and addresses under which clients call it, beside `localhost` and the addresses that they connect to.
    pub hosts: Vec<String>,
    /// File with the certificate, and with those that it follows from: PEM.
    #[serde(deserialize_with = "absolute")]
    pub tls_cert: Option<PathBuf>,
    /// File with the key of the certificate: PEM.
    #[serde(deserialize_with = "absolute")]
    pub tls_key: Option<PathBuf>,
    /// Connections at a time; more wait to be accepted. Default: 200.
    pub max_connections: usize,
    /// Requests of a token that are open at a time, such as streams of events. Default: 100.
    pub max_open_requests: usize,
    /// Requests of a token in a second, as a mean and as many at once. Default: 100.
    pub max_requests_per_second: NonZeroU32,
}

/// Most connections, and most open requests of a token, that may be configured.
const MOST_AT_A_TIME: usize = 1_000_000;

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: None,
            hosts: Vec::new(),
            tls_cert: None,
            tls_key: None,
            max_connections: 200,
            max_open_requests: 100,
            max_requests_per_second: NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl HttpConfig {
    /// Refuses to send tokens over a network in the clear, half a certificate, and limits with which nothing would be
    /// served.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`].
    pub fn check(&self) -> Result<(), ServiceError> {
        let refused = |text: String, fix: &str| {
            Err(ServiceError::new(ErrorCode::InvalidConfig, text).fix(fix))
        };
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            let text = "TLS needs a certificate and its key, and there is one of the two";
            return refused(text.to_string(), "give both: --tls-cert FILE --tls-key FILE");
        }
        if self.max_connections == 0 || self.max_open_requests == 0 {
            let text = "max_connections or max_open_requests is 0, so nothing would be served";
            return refused(text.to_string(), "write 1 or more");
        }
        if self.max_connections.max(self.max_open_requests) > MOST_AT_A_TIME {
            let text = "max_connections or max_open_requests is more than a process can have";
            return refused(text.to_string(), "write 1000000 or less");
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            let text = format!("hosts has {host:?}, which is no name of a host");
            return refused(text, "write the name or the address alone, without https:// and port");
        }
        match self.listen {
            None if self.tls_cert.is_some() => refused(
                "there is a certificate, and no address to listen on".to_string(),
                "give one: --listen ADDRESS:PORT",
            ),
            Some(at) if !at.ip().to_canonical().is_loopback() && self.tls_cert.is_none() => {
                refused(
                    format!(
                        "clients would send their tokens to {at} over the network in the clear"
                    ),
                    "give a certificate and its key (--tls-cert FILE --tls-key FILE), or listen on 127.0.0.1 alone",
                )
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a text is a name or an address of a host, without a port or a scheme.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    text.parse::<IpAddr>().is_ok() || !text.is_empty() && text.chars().all(is_plain)
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(|_| {
        let text = format!(
            "{text:?} is no address to listen on; write an address and a port, as 127.0.0.1:7171"
        );
        serde::de::Error::custom(text)
    })
}

/// Reads a path that means the same wherever the service was started.
fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() {
        return Ok(Some(path));
    }
    let text = format!("{} is relative; write the whole path", path.display());
    Err(serde::de::Error::custom(text))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn check(text: &str) -> Result<(), String> {
        Config::parse(text)?.http.check().map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_sent_in_the_clear_and_nothing_is_half() {
        let tls = "tls_cert = \"/c\"\ntls_key = \"/k\"\n";
        for good in [
            "".to_string(),
            "listen = \"127.0.0.1:7171\"".to_string(),
            "listen = \"[::1]:0\"\nhosts = [\"a.example\", \"10.0.0.5\", \"fe80::1\"]".to_string(),
            format!("{tls}listen = \"0.0.0.0:7171\""),
        ] {
            assert_eq!(check(&format!("[http]\n{good}")), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("listen = \"0.0.0.0:7171\"", "--tls-cert"),
            ("listen = \"[::]:7171\"", "in the clear"),
            ("listen = \"10.0.0.5:7171\"", "in the clear"),
            ("listen = \"localhost:7171\"", "127.0.0.1:7171"),
            ("listen = \"7171\"", "127.0.0.1:7171"),
            ("listen = \"127.0.0.1:1\"\ntls_cert = \"/c\"", "give both"),
            (tls, "--listen"),
            ("tls_cert = \"host.pem\"", "write the whole path"),
            ("max_connections = 0", "1 or more"),
            ("max_open_requests = 9223372036854775807", "1000000 or less"),
            ("hosts = [\"build.example:7171\"]", "without https:// and port"),
            ("hosts = [\"https://build.example\"]", "without https:// and port"),
            ("max_requests_per_second = 0", "nonzero"),
            ("port = 1", "port"),
        ] {
            let error = check(&format!("[http]\n{bad}")).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
