//! The service over TCP: who is let in, for what, and how much.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;

use serde_json::Value;

use crate::http::problem;
use crate::support::{Done, Host, PATIENCE, Reply, Served, finish, until};

/// A service that is reached over TCP.
struct Network {
    host: Host,
    served: Served,
    /// Address and port.
    address: String,
}

impl Network {
    fn new(config: &str) -> Self {
        let host = Host::new();
        if !config.is_empty() {
            host.configure(config);
        }
        let args = ["serve", "--listen", "127.0.0.1:0"];
        let served = Served::new(host.command(&args).spawn().unwrap());
        let url = served.line.split_once("and http://").expect("its URL").1;
        let address = url.split(' ').next().unwrap().to_string();
        Self { host, served, address }
    }

    fn token(&self, name: &str, scope: &str) -> String {
        self.host.ok(&["token", "create", name, "--scope", scope])
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and returns the answer, which ends with the connection.
    fn send(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // Behind an answer to what was not read to its end, a connection is reset.
        let _end = stream.read_to_end(&mut answer);
        Reply::parse(&answer)
    }

    /// Makes a request with more headers, and a body of JSON if there is one.
    fn call(&self, token: &str, line: &str, headers: &str, body: &str) -> Reply {
        let body = if body.is_empty() {
            "\r\n".to_string()
        } else {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let authorization = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let host = &self.address;
        let head =
            format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}");
        self.send(format!("{head}{headers}{body}").as_bytes())
    }

    fn get(&self, token: &str, path: &str) -> Reply {
        self.call(token, &format!("GET {path}"), "", "")
    }

    /// Begins to follow an execution and waits for its first output.
    fn follow(&self, token: &str, id: &str) -> TcpStream {
        let mut stream = self.connect();
        let host = &self.address;
        let request = format!(
            "GET /v1/executions/{id}/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("event: output") {
            let mut some = [0; 1024];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&some[..count]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"));
        stream
    }
}

const WORK: &str =
    r#"{"request": {"command": ["true"], "working_dir": "/", "env": {"PATH": "/usr/bin:/bin"}}}"#;

/// Reads a stream to its end, and returns what came.
fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        // A connection may be reset instead of closed.
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is still open: {rest:?}");
    }
    String::from_utf8_lossy(&rest).into_owned()
}

#[test]
fn only_a_good_token_is_let_in() {
    let network = Network::new("");
    let token = network.token("phone", "read");
    let challenge = |reply: &Reply| {
        problem(reply, 401, "unauthorized");
        reply.header("www-authenticate").unwrap()
    };
    let missing = challenge(&network.get("", "/healthz"));
    assert_eq!(missing, "Bearer realm=\"exeng\"");
    let wrong = challenge(&network.get(&format!("{token}x"), "/healthz"));
    assert!(wrong.contains("error=\"invalid_token\""), "{wrong}");
    // The right one in a wrong way: twice, or of another kind.
    for headers in [
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
    ] {
        challenge(&network.call("", "GET /v1/service", &headers, ""));
    }
    // Nothing is told about routes without one.
    challenge(&network.get("", "/nowhere"));
    let service = network.get(&token, "/v1/service");
    assert_eq!((service.status, &service.json()["pid"]), (200, &network.served.pid().into()));
    let doctor: Value = serde_json::from_str(&network.host.ok(&["doctor", "--json"])).unwrap();
    assert_eq!(doctor["service"]["url"], format!("http://{}", network.address));

    let soon = network.host.ok(&["token", "create", "soon", "--scope", "read", "--expires", "1s"]);
    until("it has expired", || network.get(&soon, "/healthz").status == 401);
    let expired = problem(&network.get(&soon, "/healthz"), 401, "unauthorized");
    assert_eq!(expired["detail"], "the token has expired");
    network.host.ok(&["token", "revoke", "phone"]);
    let revoked = problem(&network.get(&token, "/healthz"), 401, "unauthorized");
    assert!(revoked["detail"].as_str().unwrap().contains("was revoked"), "{revoked}");
}

#[test]
fn each_scope_allows_what_it_says() {
    let network = Network::new("");
    let [read, run, admin, mcp] =
        ["read", "run", "admin", "mcp"].map(|scope| network.token(scope, scope));
    let missing = |token: &str, line: &str, body: &str, scope: &str| {
        let reply = network.call(token, line, "", body);
        let told = problem(&reply, 403, "missing_scope");
        assert!(told["detail"].as_str().unwrap().contains(&format!("needs the scope {scope}")));
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.contains(&format!("insufficient_scope\", scope=\"{scope}\"")));
    };
    missing(&read, "POST /v1/executions", WORK, "run");
    missing(&mcp, "GET /v1/executions", "", "read");
    missing(&run, "PUT /v1/groups/gpu", "{}", "admin");
    missing(&run, "POST /v1/tokens", r#"{"name": "x", "scope": "admin"}"#, "admin");
    missing(&run, "POST /v1/service/gc", "{}", "admin");
    let made = network.call(&run, "POST /v1/executions", "", WORK);
    let path = made.header("location").unwrap();
    missing(&read, &format!("POST {path}/cancel"), "{}", "run");
    missing(&read, &format!("DELETE {path}"), "", "run");
    let waited = network.get(&read, &format!("{path}/wait?timeout=60000"));
    assert_eq!(waited.json()["status"], "completed");
    assert_eq!(network.call(&run, &format!("DELETE {path}"), "", "").status, 204);
    // Over the network as on the socket: made, used, and revoked by itself.
    let new = r#"{"name": "x", "scope": "admin"}"#;
    let made = network.call(&admin, "POST /v1/tokens", "", new).json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(network.call(token, "DELETE /v1/tokens/x", "", "").status, 204);
    assert_eq!(network.get(token, "/healthz").status, 401);
    assert_eq!(network.call(&admin, "PUT /v1/groups/gpu", "", "{}").status, 200);
}

#[test]
fn pages_of_strangers_are_refused_whatever_they_know() {
    let network = Network::new("[http]\nhosts = [\"build.example\"]\n");
    let token = network.token("ci", "admin");
    let to = |host: &str| {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        network.send(request.as_bytes())
    };
    problem(&to("rebound.example"), 421, "misdirected_request");
    problem(&to("127.0.0.1.rebound.example"), 421, "misdirected_request");
    assert_eq!((to("build.example:1").status, to("localhost").status), (200, 200));
    let from = |origin: &str| {
        network.call(&token, "POST /v1/executions", &format!("Origin: {origin}\r\n"), WORK)
    };
    for foreign in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let reply = from(foreign);
        problem(&reply, 403, "foreign_origin");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    let preflight =
        network.call(&token, "OPTIONS /v1/executions", "Origin: http://evil.example\r\n", "");
    problem(&preflight, 403, "foreign_origin");
    assert_eq!(from(&format!("http://{}", network.address)).status, 201);
    // What a form can send without being asked.
    let length = WORK.len();
    let plain = format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{WORK}");
    let plain = network.call(&token, "POST /v1/executions", plain.trim_end(), "");
    problem(&plain, 415, "unsupported_media_type");
}

#[test]
fn paths_lead_nowhere_else() {
    let network = Network::new("");
    let token = network.token("ci", "admin");
    for path in [
        "/v1/executions/..%2f..%2fkey",
        "/v1/executions/%2e%2e/output",
        "/v1/executions/..%2fkey/output",
        "/v1/plans/..%2f..%2fkey",
    ] {
        let reply = network.get(&token, path);
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
    }
    let upload = "PUT /v1/imports/..%2f..%2fkey";
    let reply = network.call(&token, upload, "Content-Type: application/octet-stream\r\n", "");
    problem(&reply, 400, "invalid_request");
    problem(&network.get(&token, "/v1/../v1/service"), 404, "no_such_route");
}

#[test]
fn what_is_open_ends_with_its_token() {
    let network = Network::new("");
    let token = network.token("ci", "read");
    let (other, id) =
        (network.token("other", "read"), network.host.submit("echo here; sleep 1000"));
    let (follows, stays) = (network.follow(&token, &id), network.follow(&other, &id));
    network.host.ok(&["token", "revoke", "ci"]);
    let is_broken = |stream| {
        let rest_of_it = rest(stream);
        assert!(!rest_of_it.ends_with("0\r\n\r\n"), "it looks whole: {rest_of_it}");
    };
    is_broken(follows);
    let soon = network.host.ok(&["token", "create", "soon", "--scope", "read", "--expires", "30s"]);
    is_broken(network.follow(&soon, &id));
    // The other one has its stream until the program has ended.
    network.host.ok(&["stop", "--firm", &id]);
    let rest_of_it = rest(stays);
    assert!(rest_of_it.contains("event: ended"), "{rest_of_it}");
}

#[test]
fn connection_does_not_outlive_its_token() {
    let network = Network::new("");
    let token = network.token("ci", "read");
    let mut stream = network.connect();
    let host = &network.address;
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut ask = || {
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).ok().filter(|count| *count > 0)?;
        Some(String::from_utf8_lossy(&answer[..count]).into_owned())
    };
    assert!(ask().unwrap().starts_with("HTTP/1.1 200 "));
    network.host.ok(&["token", "revoke", "ci"]);
    // Each answer is a 401, until there is none.
    until("the connection is closed", || match ask() {
        Some(answer) => {
            assert!(answer.contains("401"), "{answer}");
            false
        }
        None => true,
    });
}

#[test]
fn service_ends_with_open_streams() {
    let network = Network::new("");
    let token = network.token("ci", "read");
    let id = network.host.submit("echo here; sleep 1000");
    let follows = network.follow(&token, &id);
    let idle = network.connect();
    let Network { host, served, .. } = network;
    let done = served.end(rustix::process::Signal::TERM);
    assert_eq!(done.code, Some(0), "{done:?}");
    let rest_of_it = rest(follows);
    assert!(rest_of_it.ends_with("0\r\n\r\n"), "the stream is whole: {rest_of_it}");
    assert_eq!(rest(idle), "");
    host.ok(&["stop", "--firm", &id]);
}

#[test]
fn slow_and_large_requests_are_cut_off() {
    let network = Network::new("");
    let token = network.token("ci", "run");
    let mut slow = network.connect();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    let silent = network.connect();
    let large = format!("X-Large: {}\r\n", "x".repeat(64 << 10));
    let reply = network.call(&token, "GET /healthz", &large, "");
    assert_eq!(reply.status, 431, "{reply:?}");
    let body = format!("{{\"request\": \"{}\"}}", "x".repeat(16 << 20));
    let reply = network.call(&token, "POST /v1/executions", "", &body);
    problem(&reply, 413, "body_too_large");
    assert_eq!((rest(slow), rest(silent)), (String::new(), String::new()));
}

#[test]
fn token_has_so_many_requests_and_no_more() {
    let network = Network::new("[http]\nmax_requests_per_second = 1\nmax_open_requests = 1\n");
    let [token, other] = ["ci", "other"].map(|name| network.token(name, "read"));
    let mut replies = (0..1_000).map(|_| network.get(&token, "/healthz"));
    let refused = replies.find(|it| it.status != 200).unwrap();
    let told = problem(&refused, 429, "too_many_requests");
    assert!(told["detail"].as_str().unwrap().contains("1 requests per second"), "{told}");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    // Those of another token are not counted with them.
    let id = network.host.submit("echo here; sleep 1000");
    let follows = network.follow(&other, &id);
    until("the stream is told to be the one that may be open", || {
        let told = problem(&network.get(&other, "/healthz"), 429, "too_many_requests");
        told["detail"].as_str().unwrap().contains("has 1 requests open")
    });
    end(&network, &id, follows);
}

/// Ends an execution that a stream follows.
fn end(network: &Network, id: &str, follows: TcpStream) {
    network.host.ok(&["stop", "--firm", id]);
    drop(follows);
}

#[test]
fn connections_beyond_the_limit_wait() {
    let network = Network::new("[http]\nmax_connections = 1\n");
    let token = network.token("ci", "read");
    let id = network.host.submit("echo here; sleep 1000");
    let follows = network.follow(&token, &id);
    let mut waits = network.connect();
    let address = &network.address;
    let request = format!(
        "GET /v1/executions/{id} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    waits.write_all(request.as_bytes()).unwrap();
    end(&network, &id, follows);
    // It is answered now, and not before.
    let answer = Reply::parse(rest(waits).as_bytes()).json();
    assert_eq!(answer["status"], "cancelled");
}

fn refused(host: &Host, args: &[&str]) -> Done {
    let child: Child = host.command(&[&["serve"], args].concat()).spawn().unwrap();
    finish(child, &format!("exeng serve {args:?}"))
}

#[test]
fn nothing_is_served_in_the_clear_beyond_this_machine() {
    let host = Host::new();
    let file = host.file("no.pem");
    fs::write(&file, "nothing").unwrap();
    for (args, said) in [
        (&["--listen", "0.0.0.0:0"][..], "--tls-cert FILE --tls-key FILE"),
        (&["--listen", "[::]:0"], "in the clear"),
        (&["--listen", "7171"], "invalid socket address"),
        (&["--listen", "127.0.0.1:0", "--tls-cert", &file], "give both"),
        (&["--tls-cert", &file, "--tls-key", &file], "--listen ADDRESS:PORT"),
        (
            &["--listen", "0.0.0.0:0", "--tls-cert", &file, "--tls-key", &file],
            "no.pem cannot be used",
        ),
    ] {
        let done = refused(&host, args);
        assert!(done.code == Some(125) && done.err.contains(said), "{args:?}: {done:?}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = refused(&host, &["--listen", &address]);
    assert!(done.refused().contains("choose another address or port"));
    // It has left nothing that keeps the next one from starting.
    let _served = host.serve();
}

/// With the curl of the system, which checks the certificate.
#[test]
fn tls_carries_both_versions_of_http() {
    let host = Host::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let (cert, key) = (host.file("cert.pem"), host.file("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let args = ["serve", "--listen", "0.0.0.0:0", "--tls-cert", &cert, "--tls-key", &key];
    let served = Served::new(host.command(&args).spawn().unwrap());
    // It listens on all addresses, so what it tells is a name that it answers to.
    let port = served.line.split_once("and https://localhost:").expect("its URL").1;
    let url = format!("https://localhost:{}/healthz", port.split(' ').next().unwrap());
    let token = host.ok(&["token", "create", "ci", "--scope", "read"]);
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let line = format!(
            "curl --silent --show-error --cacert {cert} {option} -H 'Authorization: Bearer {token}' -w '%{{http_version}}' {url}"
        );
        let said = host.sh(&line).ok();
        assert_eq!(said, format!("{{\"status\":\"ok\"}}{version}"));
    }
    let clear = host.sh(&format!("curl --silent --http0.9 {}", url.replace("https", "http")));
    assert!(!clear.text().contains("status"), "{clear:?}");
    let unknown = host.sh(&format!("curl --silent {url}"));
    assert_ne!(unknown.code, Some(0), "a certificate that nobody vouches for: {unknown:?}");
}
