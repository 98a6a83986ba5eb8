//! `export` and `import`.

use std::fs;

use serde_json::{Value, json};

use crate::groups::while_dying;
use crate::http::with_body;
use crate::support::{Host, when_written};

/// Writes bytes that are no text to both streams, a megabyte and more, piece by piece.
const BINARY: &str =
    "for n in $(seq 40); do head -c 30000 /dev/urandom; head -c 7000 /dev/urandom >&2; done";

/// Runs a line of a shell to its end, and returns its id.
pub(crate) fn ended(host: &Host, options: &[&str], line: &str) -> String {
    let args = [&["submit", "--wait", "--json"], options, &["--shell", line]].concat();
    let printed = String::from_utf8(host.exeng(&args).out).unwrap();
    let value: Value = serde_json::from_str(&printed).unwrap();
    value["id"].as_str().unwrap().to_string()
}

/// Returns the bytes of both streams, and those of each.
fn output(host: &Host, id: &str) -> [Vec<u8>; 3] {
    let logs = |args: &[&str]| {
        let done = host.exeng(&[&["logs", "--raw", id], args].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        done.out
    };
    [logs(&[]), logs(&["--stream", "stdout"]), logs(&["--stream", "stderr"])]
}

pub(crate) fn import(host: &Host, file: &str) -> Value {
    serde_json::from_str(&host.ok(&["import", "--json", file])).unwrap()
}

/// Returns what is in an archive, by path.
fn contents(file: &str) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_string(), bytes)
    });
    entries.collect()
}

/// Returns the event lines of an execution.
fn events(host: &Host, id: &str) -> String {
    host.ok(&["logs", "--json", id])
}

#[test]
fn what_is_exported_is_imported_byte_for_byte() {
    let [from, to] = [(); 2].map(|()| Host::new());
    let ids = [
        ended(
            &from,
            &["--tag", "nightly", "--label", "a=b=c", "--group", "gpu"],
            "echo out; echo err >&2; exit 3",
        ),
        ended(&from, &[], BINARY),
        ended(&from, &["--env", "TOKEN=7h1s-1s-s3cr3t"], "true"),
        ended(&from, &["--timeout", "10ms"], "sleep 1000"),
    ];
    let runs = from.submit(&format!("echo begun | tee {}; sleep 1000", from.file("begun")));
    when_written(&from.file("begun"));
    let never = from.ok(&["submit", "--after", &runs, "--", "true"]);
    from.ok(&["stop", &never]);
    from.ok(&["pin", &ids[0]]);

    let file = from.file("all.tar.zst");
    let done = from.exeng(&["export", "--output", &file]);
    assert!(done.out.is_empty() && done.err.contains("exported 6 executions"), "{done:?}");
    let plain = from.file("all.tar");
    assert_eq!(from.ok(&["export", "--json", "--output", &plain]), "{\"executions\":6}");
    let [packed, unpacked] = [&file, &plain].map(|file| fs::read(file).unwrap());
    assert!(packed.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) && packed.len() < unpacked.len());
    assert!(
        !unpacked.windows(16).any(|bytes| bytes == b"7h1s-1s-s3cr3t"),
        "a value of an environment"
    );

    let counts = import(&to, &file);
    let expected = json!({"imported": 5, "existing": 0, "unfinished": [runs], "refused": []});
    assert_eq!(counts, expected);
    for id in ids.iter().chain([&never]) {
        assert_eq!(output(&to, id), output(&from, id));
        assert_eq!(events(&to, id), events(&from, id));
        assert_eq!(to.show(id), from.show(id));
    }
    assert_eq!(to.exeng(&["wait", &ids[0]]).code, Some(3));
    assert_eq!(to.ok(&["ls", "--tag", "nightly", "--json"]).lines().count(), 1);
    assert_eq!(to.exeng(&["show", &runs]).code, Some(125), "it had not ended");
    assert!(to.keepers().is_empty() || to.ok(&["ls", "--status", "running"]).is_empty());

    // Again, and from the other archive: all is there.
    from.ok(&["stop", "--firm", &runs]);
    assert_eq!(import(&to, &plain)["existing"], 5);
    let again = to.exeng(&["import", &file]);
    assert!(again.err.contains("imported 0 executions; 5 were there already"), "{again:?}");
    assert!(again.err.contains(&format!("{runs} had not ended")), "{again:?}");
    check_copy(&to, &plain, &runs);
}

/// Checks that the archive which is made of a copy has the same outputs, but for that of one that ran.
fn check_copy(copy: &Host, original: &str, ran: &str) {
    let file = copy.file("copy.tar");
    copy.ok(&["export", "--output", &file]);
    let is_output = |(path, _): &(String, Vec<u8>)| {
        let is_output = ["/stdout", "/stderr", "/journal"].iter().any(|name| path.ends_with(name));
        is_output && !path.starts_with(ran)
    };
    let outputs = |file: &str| contents(file).into_iter().filter(is_output).collect::<Vec<_>>();
    let (before, after) = (outputs(original), outputs(&file));
    assert!(before == after && before.len() == 15, "{} {}", before.len(), after.len());
}

#[test]
fn archive_is_read_by_the_tools_that_are_there() {
    let host = Host::new();
    let id = ended(&host, &[], "echo out; echo err >&2");
    let runs = host.submit(&format!("echo begun | tee {}; sleep 1000", host.file("begun")));
    when_written(&host.file("begun"));
    let said = host.sh(&format!(
        "exeng export | tar -x && cat {id}/stdout {id}/stderr {runs}/stdout && \
         for dir in {id} {runs}; do (cd $dir && sha256sum -c --quiet SHA256SUMS); done && ls {runs} && cat manifest.json end.json"
    ));
    let text = said.ok();
    assert!(
        text.starts_with("out\nerr\nbegun\nSHA256SUMS\nrecord.json\nstderr\nstdout\n{"),
        "{text}"
    );
    assert!(text.contains("\"exeng-export\"") && text.contains("\"executions\": 2"), "{text}");
    let record: Value =
        serde_json::from_slice(&fs::read(host.file(&format!("{id}/record.json"))).unwrap())
            .unwrap();
    assert_eq!(record["execution"]["status"], "completed");
}

#[test]
fn lines_have_output_as_text_or_base64() {
    let host = Host::new();
    let text = ended(&host, &[], "printf 'a\\303\\244\\n\"\\001'; echo err >&2");
    let bytes = ended(&host, &[], "printf 'a\\377b'");
    let file = host.file("some.jsonl");
    host.ok(&["export", "--output", &file, &bytes, &text, &bytes[..8]]);
    let lines = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "each once, in the order in which they were named");
    assert_eq!(lines[0]["execution"], host.show(&bytes));
    assert_eq!(
        (&lines[0]["version"], &lines[0]["stdout"]),
        (&json!(1), &json!({"base64": "Yf9i"}))
    );
    assert_eq!(lines[1]["stdout"], json!({"text": "a\u{e4}\n\"\u{1}"}));
    assert_eq!(lines[1]["stderr"], json!({"text": "err\n"}));
    assert_eq!(
        host.ok(&["export", "--format", "jsonl", "--status", "completed"]).lines().count(),
        2
    );
    let refused = host.exeng(&["import", &file]).refused();
    assert!(refused.contains("--output FILE.tar"), "{refused}");
}

/// Returns where the bytes of each file of an archive begin, and how many they are.
fn places(file: &str) -> Vec<(String, u64, u64)> {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let place = |entry: std::io::Result<tar::Entry<'_, fs::File>>| {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_string();
        (path, entry.raw_file_position(), entry.size())
    };
    archive.entries().unwrap().map(place).collect()
}

#[test]
fn damage_is_told_with_the_entry_and_nothing_of_it_is_imported() {
    let [from, to] = [(); 2].map(|()| Host::new());
    let first = ended(&from, &[], "echo first");
    let second = ended(&from, &[], "seq 30000; seq 3000 >&2");
    let (file, broken) = (from.file("whole.tar"), from.file("broken.tar"));
    from.ok(&["export", "--output", &file]);
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&broken, bytes).unwrap();
        let done = to.exeng(&["import", &broken]);
        assert_eq!(done.code, Some(125), "{done:?}");
        assert_eq!(to.exeng(&["show", &second]).code, Some(125), "{done:?}");
        done.err
    };
    let mut damaged = 0;
    for (path, begin, length) in places(&file).into_iter().filter(|it| it.0.starts_with(&second)) {
        for at in [begin, begin + length / 2, begin + length - 1, begin - 400] {
            let mut bytes = whole.clone();
            bytes[at as usize] ^= 0x01;
            let said = refused(&bytes);
            let is_named =
                said.contains(&path) || path.ends_with("SHA256SUMS") && said.contains(&second);
            assert!(is_named || at < begin && said.contains("behind "), "{path} at {at}: {said}");
            damaged += 1;
        }
        // Cut off within the file, and before it.
        for end in [begin + length / 2, begin - 512] {
            let said = refused(&whole[..end as usize]);
            assert!(
                said.contains(&second) || said.contains("behind "),
                "{path} cut at {end}: {said}"
            );
        }
    }
    assert_eq!(damaged, 20);
    assert_eq!(to.exeng(&["show", &first]).code, Some(0), "what was whole before it stays");
    assert!(fs::read_dir(to.state().join("imports")).unwrap().next().is_none(), "nothing is left");
}

#[test]
fn archive_without_its_end_and_other_files_are_refused() {
    let [from, to] = [(); 2].map(|()| Host::new());
    ended(&from, &[], "echo one");
    let (file, broken) = (from.file("whole.tar"), from.file("broken.tar"));
    from.ok(&["export", "--output", &file]);
    let refused = |bytes: &[u8], said: &str| {
        fs::write(&broken, bytes).unwrap();
        let done = to.exeng(&["import", &broken]);
        assert!(done.code == Some(125) && done.err.contains(said), "{said}: {done:?}");
    };
    for bytes in [&b""[..], b"x", b"no archive at all", &[0; 2048], &[b'x'; 2048]] {
        refused(bytes, "no whole archive");
    }
    let whole = fs::read(&file).unwrap();
    // It may lack executions.
    let end = places(&file).pop().unwrap();
    refused(&whole[..end.1 as usize - 512], "before its end");
    assert_eq!(import(&to, &file)["existing"], 1, "all but the end was whole");
    let mut newer = whole;
    let at = newer.windows(12).position(|bytes| bytes == b"\"version\": 1").unwrap();
    newer[at + 11] = b'2';
    refused(&newer, "import it with a newer one");
}

#[test]
fn another_execution_with_the_id_is_left_alone() {
    let [from, to] = [(); 2].map(|()| Host::new());
    let ids = [ended(&from, &[], "echo one"), ended(&from, &[], "echo two")];
    let file = from.file("all.tar");
    from.ok(&["export", "--output", &file]);
    let _served = to.serve();
    let body = r#"{"request": {"command": ["true"], "working_dir": "/", "env": {"PATH": "/bin:/usr/bin"}}}"#;
    let put = with_body(&format!("PUT /v1/executions/{}", ids[0]), "", body);
    assert_eq!(to.http(&put).status, 201);
    to.exeng(&["wait", &ids[0]]);
    let done = to.exeng(&["import", "--json", &file]);
    assert_eq!(done.code, Some(125), "{done:?}");
    assert!(done.err.contains(&format!("another execution has the id {}", ids[0])), "{done:?}");
    let counts: Value = serde_json::from_slice(&done.out).unwrap();
    assert_eq!(
        (&counts["imported"], &counts["refused"]),
        (&json!(1), &json!([ids[0]])),
        "{counts}"
    );
    assert_eq!(to.ok(&["logs", &ids[0]]), "", "it is the other one");
    assert_eq!(to.ok(&["logs", &ids[1]]), "two");
}

#[test]
fn a_file_has_its_name_when_it_is_whole_and_replaces_none() {
    let host = Host::new();
    let id = ended(&host, &[], "echo some");
    let file = host.file("there.tar");
    fs::write(&file, "mine").unwrap();
    let refused = host.exeng(&["export", "--output", &file]).refused();
    assert!(refused.contains("is there already") && refused.contains("--force"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let unknown = host.exeng(&["export", "--force", "--output", &file, "ffffffff"]).refused();
    assert!(unknown.contains("there is no execution"), "{unknown}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    host.ok(&["export", "--force", "--output", &file]);
    assert_eq!(contents(&file)[1].0, format!("{id}/record.json"));
    for (args, said) in [
        (&["--output", "/dev/null"][..], "no regular file"),
        (&["--output", "/nonexistent/x.tar"], "/nonexistent/x.tar cannot be written"),
        (&["--output", "x.tar", "--tag", "a", &id], "leave the ids or the conditions"),
        (&["--json"], "give --output FILE"),
        (&["--output", "y.tar", "--no-start", "--state-dir", "/nonexistent/state"], "exeng"),
    ] {
        let done = host.exeng(&[&["export"], args].concat());
        assert!(done.code == Some(125) && done.err.contains(said), "{args:?}: {done:?}");
    }
    let done = host
        .sh("{ exeng export; echo $? >&2; } | true; exeng export >/dev/full; echo $? >&2; \
                        exeng import /nonexistent; exeng import - </dev/null");
    assert!(
        done.err.contains("No space left") && done.err.contains("/nonexistent cannot be read"),
        "{done:?}"
    );
    assert!(done.err.contains("- is no whole archive"), "{done:?}");
    let left: Vec<_> =
        fs::read_dir(host.dir()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the state directory and the archive: {left:?}");
}

#[test]
fn death_of_the_service_imports_nothing_twice_and_loses_nothing() {
    let from = Host::new();
    let ids = [ended(&from, &[], "echo small"), ended(&from, &[], BINARY)];
    let outputs = ids.each_ref().map(|id| output(&from, id));
    let file = from.file("all.tar");
    from.ok(&["export", "--output", &file]);
    for point in [
        "import_before_commit:2",
        "import_applied:2",
        "import_committed:1",
        "import_committed:2",
        "import_after_commit:2",
        "archive_renamed_done:1",
        "archive_committed:1",
        "after_archive:1",
    ] {
        let to = Host::new();
        let (done, _next) = while_dying(&to, point, &["import", "--json", &file]);
        let counts: Value = serde_json::from_slice(&done.out).unwrap_or_default();
        assert_eq!((done.code, &counts["imported"]), (Some(0), &json!(2)), "{point}: {done:?}");
        for (id, output_before) in ids.iter().zip(&outputs) {
            assert!(output(&to, id) == *output_before, "{point}");
        }
        assert_eq!(import(&to, &file)["existing"], 2, "{point}");
        let left = || fs::read_dir(to.state().join("imports")).unwrap().count();
        crate::support::until(&format!("nothing is left of {point}"), || left() == 0);
    }
}

#[test]
fn routes_refuse_what_is_no_import() {
    let host = Host::new();
    let _served = host.serve();
    let id = ended(&host, &[], "echo some");
    let runs = host.submit("sleep 1000");
    let get = |path: &str| {
        host.http(&format!(
            "GET /v1/executions/{path} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\n\r\n"
        ))
    };
    let record = get(&format!("{id}/record")).json();
    let journal = get(&format!("{id}/journal")).body;
    assert_eq!(record["journal_bytes"], journal.len());
    assert_eq!(get(&format!("{id}/journal?offset=10")).body, journal[10..]);
    assert!(get(&format!("{id}/journal?offset=99999999999999")).body.is_empty());
    assert_eq!(get(&format!("{id}/journal?from=10")).json()["field"], "from");
    assert_eq!(get(&format!("{runs}/journal")).json()["code"], "not_ended");
    assert_eq!(get(&format!("{}/record", "0".repeat(32))).json()["code"], "unknown_execution");

    let upload = "/v1/imports/11111111-2222-4333-8444-555555555555";
    let post =
        |record: &Value| host.http(&with_body(&format!("POST {upload}"), "", &record.to_string()));
    assert_eq!(post(&record).json(), json!({"created": false}));
    let mut other = record.clone();
    other["execution"]["id"] = json!("11111111-2222-4333-8444-666666666666");
    let missing = post(&other).json();
    assert_eq!(
        (&missing["code"], &missing["field"]),
        (&json!("invalid_request"), &json!("journal"))
    );
    let running = post(&get(&format!("{runs}/record")).json()).json();
    assert_eq!(running["code"], "not_ended");
    let piece = host.http(&format!(
        "PUT {upload} HTTP/1.1\r\nHost: exeng\r\nConnection: close\r\nUpload-Offset: 5\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx"
    ));
    assert_eq!((piece.status, &piece.json()["field"]), (400, &json!("Upload-Offset")));
    assert_eq!(host.http(&with_body("POST /v1/imports/last", "", "{}")).json()["field"], "id");
}

/// With all of the output in memory neither of them would have room.
#[test]
fn output_is_never_in_memory_as_a_whole() {
    let [from, to] = [(); 2].map(|()| Host::new());
    let _served = [from.serve(), to.serve()];
    let id = ended(&from, &[], "head -c 64M /dev/zero | tr '\\0' x");
    let (file, lines) = (from.file("large.tar.zst"), from.file("large.jsonl"));
    let bounded = |host: &Host, verb: &str| {
        // Half of the output. The address space would count the code of the program, which grows.
        host.sh(&format!("ulimit -d 32768; exec exeng {verb} --no-start")).ok();
    };
    bounded(&from, &format!("export --output {file}"));
    bounded(&from, &format!("export --output {lines}"));
    bounded(&to, &format!("import {file}"));
    assert_eq!(to.show(&id)["bytes"]["stdout"], 64 << 20);
    assert!(fs::metadata(lines).unwrap().len() > 64 << 20);
}
