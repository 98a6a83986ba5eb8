//! Which host a request names, and where the page that sends it comes from. A page of a stranger that has bound its own
//! name to this address (DNS rebinding) names a host that is not one of the service.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::problem::Problem;

/// Names under which the service may be called.
#[derive(Debug)]
pub(super) struct Hosts {
    configured: Vec<String>,
    scheme: &'static str,
}

impl Hosts {
    /// Creates them from those that are configured, which come beside those of loopback.
    pub(super) fn new(configured: &[String], scheme: &'static str) -> Self {
        Self { configured: configured.to_vec(), scheme }
    }

    /// Refuses a request that names another host, or comes from a page of another one. `local` is the address that the
    /// client has connected to.
    pub(super) fn check(&self, parts: &Parts, local: IpAddr) -> Result<(), Problem> {
        let mut hosts: Vec<_> =
            parts.uri.authority().map(Authority::to_string).into_iter().collect();
        for header in parts.headers.get_all(HOST) {
            hosts.push(header.to_str().unwrap_or_default().to_string());
        }
        if hosts.is_empty() {
            return Err(misdirected("the request names no host".to_string()));
        }
        for host in &hosts {
            if !self.is_own(host, local) {
                let text = format!("the host {host:?} is not one of this service");
                return Err(misdirected(text));
            }
        }
        for origin in parts.headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let is_own =
                |host: &String| origin.eq_ignore_ascii_case(&format!("{}://{host}", self.scheme));
            if !hosts.iter().any(is_own) {
                let detail = format!("the request comes from a page of {origin:?}");
                return Err(Problem::of_http(
                    403,
                    "foreign_origin",
                    "The page is of another origin",
                    detail,
                )
                .fix("call the service from a program, or from a page of its own"));
            }
        }
        Ok(())
    }

    fn is_own(&self, host: &str, local: IpAddr) -> bool {
        // What stands before an @ is no part of the name, but may look like one.
        let Some(authority) = host.parse::<Authority>().ok().filter(|_| !host.contains('@')) else {
            return false;
        };
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            let is_configured = |known: &String| {
                known.parse().is_ok_and(|known: IpAddr| known.to_canonical() == address)
            };
            return address.is_loopback()
                || address == local.to_canonical()
                || self.configured.iter().any(is_configured);
        }
        let known = self.configured.iter().map(String::as_str).chain(["localhost"]);
        known.into_iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn misdirected(detail: String) -> Problem {
    Problem::of_http(421, "misdirected_request", "The host is another one", detail)
        .fix("call it as localhost, or add the name to hosts under [http] of its configuration")
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn status(uri: &str, headers: &[(&str, &str)], local: &str) -> u16 {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let names = ["build.example", "203.0.113.5", "2001:db8::5"].map(str::to_string);
        let hosts = Hosts::new(&names, "https");
        hosts.check(&parts, local.parse().unwrap()).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn own_names_and_addresses_are_served_and_no_others() {
        let host = |host| status("/", &[("host", host)], "10.0.0.5");
        for own in [
            "localhost",
            "localhost:80",
            "LOCALHOST",
            "127.0.0.1:7171",
            "127.8.8.8",
            "[::1]:80",
            "[::1]",
            "build.example",
            "Build.Example:443",
            "10.0.0.5",
            "[::ffff:10.0.0.5]:1",
            "203.0.113.5:7171",
            "[2001:db8::5]:7171",
        ] {
            assert_eq!(host(own), 200, "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "localhost@evil.example",
            "evil.example@localhost",
            "10.0.0.6",
            "203.0.113.6",
            "build.example.",
            "127.0.0.1.evil.example",
            "localhost evil.example",
            "[::2]",
            "2130706433",
            "localhost,evil.example",
        ] {
            assert_eq!(host(foreign), 421, "{foreign}");
        }
        assert_eq!(status("/", &[], "127.0.0.1"), 421, "no host");
        let both = |uri, host| status(uri, &[("host", host)], "127.0.0.1");
        assert_eq!(both("https://localhost/", "localhost"), 200);
        assert_eq!(both("https://evil.example/", "localhost"), 421);
        assert_eq!(both("https://localhost/", "evil.example"), 421);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(status("/", &twice, "127.0.0.1"), 421);
    }

    #[test]
    fn pages_of_others_are_refused() {
        let from = |origin| {
            let headers = [("host", "localhost:7171"), ("origin", origin)];
            status("/", &headers, "127.0.0.1")
        };
        assert_eq!(from("https://localhost:7171"), 200);
        for foreign in [
            "null",
            "",
            "https://evil.example",
            "http://localhost:7171",
            "https://localhost",
            "https://localhost:7172",
            "https://localhost:7171.evil.example",
            "localhost:7171",
        ] {
            assert_eq!(from(foreign), 403, "{foreign}");
        }
    }
}
