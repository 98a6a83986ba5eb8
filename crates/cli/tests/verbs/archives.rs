//! `export` and `import` where something comes between: signals, removals, the death of the service, and what is too
//! large.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use execution_engine_server::client::{Client, ClientOptions};
use execution_engine_server::{PathOptions, StateDir};
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::export::{ended, import};
use crate::http::with_body;
use crate::support::{Host, Served, finish, send, until};

/// Most bytes of a record that a service takes.
const MOST: usize = 16 << 20;

/// Passes on what clients and the service say, until the service has said so many bytes; then nothing more.
fn relay(listen: &Path, service: &Path, most: usize) {
    let listener = UnixListener::bind(listen).unwrap();
    let (service, said) = (service.to_path_buf(), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, said) = (client.unwrap(), Arc::clone(&said));
            let mut service = UnixStream::connect(&service).unwrap();
            let (mut to, mut from) = (service.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while said.load(Ordering::Relaxed) < most {
                    let Ok(count @ 1..) = service.read(&mut piece) else { return };
                    said.fetch_add(count, Ordering::Relaxed);
                    if client.write_all(&piece[..count]).is_err() {
                        return;
                    }
                }
                // The connection stays, and is silent.
                let _end = std::io::copy(&mut client, &mut std::io::sink());
            });
        }
    });
}

/// Returns the names of files in the directory of a test that an export has begun.
fn begun(host: &Host) -> Vec<String> {
    let names = fs::read_dir(host.dir()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".exeng-export-")).collect()
}

#[test]
fn a_signal_leaves_no_part_of_a_file() {
    let host = Host::new();
    let _served = host.serve();
    let id = ended(&host, &[], "head -c 4M /dev/zero | tr '\\0' x");
    let file = host.file("all.tar");
    for (number, signal) in [Signal::INT, Signal::TERM].into_iter().enumerate() {
        // It does not come to its end before the signal.
        let socket = host.dir().join(format!("relay{number}"));
        relay(&socket, &host.socket(), 1 << 20);
        let socket = socket.to_str().unwrap();
        let args = ["export", "--no-start", "--socket", socket, "--output", &file, &id];
        let export = host.command(&args).spawn().unwrap();
        until("a part of the file", || !begun(&host).is_empty());
        send(export.id(), signal);
        let done = finish(export, "exeng export");
        assert_eq!(done.code, Some(130), "{done:?}");
        assert!(done.err.contains(&format!("{file} was not written")), "{done:?}");
        assert!(begun(&host).is_empty() && !Path::new(&file).exists(), "{:?}", begun(&host));
    }
    // Without a file the signal itself is the end, and nothing untrue is said.
    let socket = host.dir().join("relay");
    relay(&socket, &host.socket(), 1 << 20);
    let written = host.file("written");
    let line =
        format!("exec exeng export --no-start --socket '{}' > '{written}'", socket.display());
    let export = host.shell(&line).spawn().unwrap();
    until("a part of it", || fs::metadata(&written).is_ok_and(|written| written.len() > 0));
    // Tests that run in the background have SIGINT ignored, and so has this program then.
    send(export.id(), Signal::TERM);
    let done = finish(export, "exeng export");
    assert_eq!((done.code, &*done.err), (Some(-15), ""), "{done:?}");
}

#[test]
fn what_is_removed_meanwhile_leaves_a_whole_line() {
    let host = Host::new();
    let id = ended(&host, &[], "head -c 4M /dev/zero | tr '\\0' x; echo err >&2");
    // The first bytes of the line have been written, and the others wait for their reader.
    let done = host.sh(&format!(
        "exeng export --format jsonl {id} | {{ dd bs=1 count=10 status=none; exeng rm {id}; cat; }}"
    ));
    let line: Value = serde_json::from_slice(&done.out).unwrap_or_else(|_| panic!("{}", done.err));
    assert_eq!(line["stdout"]["text"].as_str().map(str::len), Some(4 << 20));
    assert_eq!(line["stderr"], json!({"text": "err\n"}));
    assert_eq!(host.exeng(&["show", &id]).code, Some(125), "it is removed");
}

#[test]
fn a_record_that_is_too_large_is_told_and_left_out() {
    let [from, to] = [(); 2].map(|()| Host::new());
    let _served = from.serve();
    // The record has the line twice, and no system starts it.
    let (large, line) = (Uuid::new_v4(), "x".repeat(MOST / 2));
    let request = json!({"command": {"type": "shell", "command": line}, "working_dir": "/"});
    let body = json!({"request": request}).to_string();
    let put = from.http(&with_body(&format!("PUT /v1/executions/{large}"), "", &body));
    assert_eq!(put.status, 201, "{}", put.text());
    let large = large.to_string();
    from.exeng(&["wait", &large]);
    let other = ended(&from, &[], "echo some");
    let file = from.file("all.tar.zst");
    let done = from.exeng(&["export", "--output", &file]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let said = done.err.lines().next().unwrap_or_default();
    assert!(said.contains(&large) && said.contains("import will leave it out"), "{done:?}");

    let done = to.exeng(&["import", "--json", &file]);
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains(&large) && done.err.contains("so it is not imported"), "{done:?}");
    let counts: Value = serde_json::from_slice(&done.out).unwrap();
    assert_eq!((&counts["imported"], &counts["refused"]), (&json!(1), &json!([large])));
    assert_eq!(to.ok(&["logs", &other]), "some");
}

/// The service dies when it has found that the execution is there, and the next one is asked again.
#[test]
fn a_repeated_call_imports_nothing_that_was_there_before() {
    let host = Host::new();
    let id = ended(&host, &[], "echo some");
    let file = host.file("all.tar");
    host.ok(&["export", "--output", &file]);
    host.kill_service();
    let mut dying = host.command(&["serve"]);
    let dying = dying.env("EXENG_FAULT", "service/import_after_commit:1").spawn().unwrap();
    let dying = Served::new(dying);
    let paths =
        PathOptions { state_dir: Some(host.state().to_path_buf()), ..PathOptions::default() };
    let state = StateDir::resolve(&paths, |_| None).unwrap();
    let created = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::connect(ClientOptions::new(state)).await.unwrap();
            let record = client.record(id.parse().unwrap()).await.unwrap();
            client.import().finish(&record).await.unwrap()
        })
    });
    until("the death", || host.service() != Some(dying.pid()));
    let _next = host.serve();
    assert!(!created.join().unwrap(), "it was there before");
    assert_eq!(import(&host, &file)["existing"], 1);
}
