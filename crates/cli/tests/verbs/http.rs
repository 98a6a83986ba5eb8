//! The routes as any HTTP client sees them.

use serde_json::{Value, json};

use crate::support::{Host, Reply};

/// Returns a request with a body of JSON.
pub(crate) fn with_body(line: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn get(host: &Host, path: &str, headers: &str) -> Reply {
    host.http(&format!("GET {path} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n{headers}\r\n"))
}

/// Checks the form of an error and returns it.
pub(crate) fn problem(reply: &Reply, status: u16, code: &str) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type").as_deref(), Some("application/problem+json"));
    let problem = reply.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["type"], format!("urn:exeng:{code}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    problem
}

const WORK: &str = r#"{"request": {"command": ["sh", "-c", "seq 1 10; echo err >&2"], "working_dir": "/",
    "env": {"PATH": "/usr/local/bin:/usr/bin:/bin"}}}"#;

/// Submits work and waits for its end. Returns its path.
fn ended(host: &Host) -> String {
    let reply = host.http(&with_body("POST /v1/executions", "", WORK));
    assert_eq!(reply.status, 201, "{reply:?}");
    let path = reply.header("location").unwrap();
    assert_eq!(path, format!("/v1/executions/{}", reply.json()["id"].as_str().unwrap()));
    let waited = get(host, &format!("{path}/wait?timeout=60000"), "").json();
    assert_eq!(waited["status"], "completed", "{waited}");
    path
}

#[test]
fn same_work_is_accepted_once() {
    let host = Host::new();
    let _served = host.serve();
    let id = uuid::Uuid::new_v4();
    let put = |body: &str| host.http(&with_body(&format!("PUT /v1/executions/{id}"), "", body));
    assert_eq!(put(WORK).status, 201);
    let again = put(WORK);
    assert_eq!((again.status, &again.json()["id"]), (200, &id.to_string().into()));
    problem(&put(r#"{"request": {"command": ["true"], "working_dir": "/"}}"#), 422, "id_reused");

    let keyed =
        |body: &str| host.http(&with_body("POST /v1/executions", "Idempotency-Key: k\r\n", body));
    let (first, second) = (keyed(WORK), keyed(WORK));
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.json()["id"], second.json()["id"]);
    problem(&keyed(r#"{"request": {"command": ["true"], "working_dir": "/"}}"#), 422, "key_reused");
}

#[test]
fn mistakes_are_problems_that_name_the_field() {
    let host = Host::new();
    let _served = host.serve();
    let post = |body: &str| host.http(&with_body("POST /v1/executions", "", body));
    problem(&post("{"), 400, "invalid_request");
    let unknown =
        problem(&post(r#"{"request": {"command": ["true"]}, "aftr": []}"#), 400, "invalid_request");
    assert_eq!(unknown["field"], "aftr");
    let relative = problem(
        &post(r#"{"request": {"command": ["true"], "working_dir": "a"}}"#),
        400,
        "invalid_request",
    );
    assert_eq!(relative["field"], "request.working_dir");
    let after = json!({
        "request": {"command": ["true"], "working_dir": "/"}, "after": [uuid::Uuid::new_v4()]
    });
    problem(&post(&after.to_string()), 422, "unknown_after");

    let path = ended(&host);
    problem(&get(&host, "/v2", ""), 404, "no_such_route");
    problem(
        &host.http("DELETE /v1/service HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        405,
        "method_not_allowed",
    );
    problem(
        &get(&host, "/v1/executions/ffffffff-ffff-4fff-8fff-ffffffffffff", ""),
        404,
        "unknown_execution",
    );
    let parameter = problem(&get(&host, "/v1/executions?tagg=a", ""), 400, "invalid_request");
    assert_eq!(parameter["field"], "tagg");
    problem(&get(&host, "/v1/executions?since=today", ""), 400, "invalid_request");
    problem(&get(&host, "/v1/executions?cursor=nonsense", ""), 400, "invalid_request");
    problem(&get(&host, &format!("{path}/events?after=x"), ""), 400, "invalid_request");
    let bare = "POST /v1/executions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    problem(&host.http(bare), 415, "unsupported_media_type");
    let cancel = host.http(&with_body(&format!("POST {path}/cancel"), "", ""));
    problem(&cancel, 409, "already_ended");
}

#[test]
fn large_bodies_are_refused() {
    let host = Host::new();
    let _served = host.serve();
    let most = 16 << 20;
    let text = format!(
        r#"{{"request": {{"command": ["true"], "metadata": {{"description": "{}"}}}}}}"#,
        "x".repeat(most)
    );
    problem(&host.http(&with_body("POST /v1/executions", "", &text)), 413, "body_too_large");
    assert_eq!(get(&host, "/healthz", "").json(), json!({"status": "ok"}));
}

#[test]
fn output_is_read_by_range() {
    let host = Host::new();
    let _served = host.serve();
    let path = ended(&host);
    let output = |query: &str, headers: &str| get(&host, &format!("{path}/output{query}"), headers);
    let all = output("?stream=stdout", "");
    let text = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";
    assert_eq!((all.status, all.text().as_str()), (200, text));
    assert_eq!(all.header("content-length").as_deref(), Some("21"));
    assert_eq!(all.header("accept-ranges").as_deref(), Some("bytes"));
    let part = output("?stream=stdout", "Range: bytes=2-5\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "2\n3\n"));
    assert_eq!(part.header("content-range").as_deref(), Some("bytes 2-5/21"));
    let last = output("?stream=stdout", "Range: bytes=-3\r\n");
    assert_eq!((last.status, last.text().as_str()), (206, "10\n"));
    let behind = output("?stream=stdout", "Range: bytes=21-\r\n");
    problem(&behind, 416, "range_not_satisfiable");
    assert_eq!(behind.header("content-range").as_deref(), Some("bytes */21"));
    let tag = all.header("etag").unwrap();
    let same = output("?stream=stdout", &format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n"));
    assert_eq!(same.status, 206);
    let other = output("?stream=stdout", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n");
    assert_eq!((other.status, other.body.len()), (200, 21));
    assert_eq!(output("?stream=stdout&tail=2", "").text(), "9\n10\n");
    assert_eq!(output("?stream=stderr", "").text(), "err\n");
    assert_eq!(output("", "").body.len(), 25);
    problem(&output("?stream=both", ""), 400, "invalid_request");
}

#[test]
fn events_end_and_go_on_behind_a_cursor() {
    let host = Host::new();
    let _served = host.serve();
    let path = ended(&host);
    let all = get(&host, &format!("{path}/events"), "");
    assert_eq!(all.header("content-type").as_deref(), Some("text/event-stream"));
    let text = all.text();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.first(), Some(&"started"), "{text}");
    assert_eq!(names.last(), Some(&"ended"), "{text}");
    // Behind each event there is exactly what followed it, by either name for the cursor.
    let first = ids[0];
    let rest = text.split_once("\n\n").unwrap().1;
    assert_eq!(get(&host, &format!("{path}/events?after={first}"), "").text(), rest);
    let header = format!("Last-Event-ID: {first}\r\n");
    assert_eq!(get(&host, &format!("{path}/events?after=0"), &header).text(), rest);
    let last = ids.last().unwrap();
    let nothing = get(&host, &format!("{path}/events?after={last}"), "");
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
}

#[test]
fn service_tells_how_it_is() {
    let host = Host::new();
    let served = host.serve();
    let status = get(&host, "/v1/service", "").json();
    assert_eq!(status["pid"], served.pid());
    assert_eq!(status["store"]["writable"], true);
    assert_eq!(get(&host, "/readyz", "").json(), json!({"status": "ok"}));
}
