//! Pages of output: every byte comes once, waits are bounded, and what is kept is there long after the
//! end.

use execution_engine::*;
use futures_lite::future::block_on;
use test_support::*;

async fn page(engine: &ExecutionEngine, id: Uuid, query: OutputQuery) -> OutputPage {
    soon("a page", engine.read_output(id, query)).await.unwrap()
}

fn patient(cursor: OutputCursor) -> OutputQuery {
    OutputQuery::after(cursor).wait(PATIENCE)
}

#[tokio::test]
async fn a_page_waits_for_what_comes_next() {
    let engine = engine();
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let request = ExecutionRequest::program("cat");
    let id = engine.execute_with(request, options).await.unwrap();
    let mut cursor = OutputCursor::default();
    for line in ["one\n", "two\n"] {
        let (next, _) = tokio::join!(page(&engine, id, patient(cursor)), async {
            engine.write_stdin(id, line).await.unwrap();
        });
        assert_eq!((next.text().as_str(), next.ended), (line, false));
        cursor = next.next;
    }
    assert_eq!(cursor, OutputCursor { stdout: 8, stderr: 0 });
    let nothing = page(&engine, id, OutputQuery::after(cursor)).await;
    assert_eq!((nothing.parts.len(), nothing.next, nothing.ended), (0, cursor, false));
    let short = OutputQuery::after(cursor).wait(Duration::from_millis(5));
    assert_eq!(page(&engine, id, short).await, nothing, "the wait is over");

    let (last, _) = tokio::join!(page(&engine, id, patient(cursor)), async {
        engine.close_stdin(id).await.unwrap();
    });
    assert_eq!((last.parts.len(), last.next, last.ended), (0, cursor, true));
    let all = page(&engine, id, OutputQuery::default()).await;
    assert_eq!((all.text().as_str(), all.ended), ("one\ntwo\n", true));
}

#[test]
fn a_page_waits_without_tokio() {
    let engine = engine();
    block_on(async {
        let id = engine.execute(shell("echo one; sleep 60")).await.unwrap();
        let first = engine.read_output(id, patient(OutputCursor::default())).await.unwrap();
        assert_eq!(first.text(), "one\n");
        let short = OutputQuery::after(first.next).wait(Duration::from_millis(5));
        assert!(engine.read_output(id, short).await.unwrap().parts.is_empty());
        engine.cancel(id).await.unwrap();
        let last = engine.read_output(id, patient(first.next)).await.unwrap();
        assert!(last.ended && last.parts.is_empty());
    });
}

#[tokio::test]
async fn pages_of_one_stream_and_of_both() {
    let engine = engine();
    let line = "echo one; echo two >&2; printf '\\377'; printf '\\376' >&2";
    let id = run(&engine, shell(line)).await.id;
    let both = page(&engine, id, OutputQuery::default()).await;
    assert_eq!(both.next, OutputCursor { stdout: 5, stderr: 5 });
    let of = |stream| OutputQuery::default().stream(stream);
    let out = page(&engine, id, of(OutputStream::Stdout)).await;
    assert_eq!((&out.bytes()[..], out.ended), (&b"one\n\xff"[..], true));
    assert_eq!(out.next, OutputCursor { stdout: 5, stderr: 0 });
    let err = page(&engine, id, of(OutputStream::Stderr).max_bytes(0)).await;
    assert_eq!((&err.bytes()[..], err.ended), (&b"two\n\xfe"[..], true));
    // The cursor of one stream is where the other is still unread.
    let rest = page(&engine, id, OutputQuery::after(out.next)).await;
    assert_eq!(rest.bytes(), err.bytes());
}

#[tokio::test]
async fn the_kept_tail_is_read_long_after_the_end() {
    let engine = engine_with(|config| {
        config.max_output_size_bytes = 1000;
        config.oversized_output_strategy = OversizedOutputStrategy::KeepHeadAndTail;
    });
    let result = run(&engine, shell("seq 1 5000")).await;
    let mut cursor = OutputCursor::default();
    let (mut told, mut missed) = (Vec::new(), 0);
    loop {
        let next = page(&engine, result.id, OutputQuery::after(cursor).max_bytes(100)).await;
        told.extend_from_slice(&next.bytes());
        missed += next.missed();
        cursor = next.next;
        if next.ended {
            break;
        }
    }
    assert!(told.ends_with(b"4999\n5000\n"));
    assert_eq!(told, &result.stdout_bytes()[..]);
    assert_eq!(told.len() as u64 + missed, result.stdout_stats.seen_bytes);
    assert_eq!(cursor.stdout, result.stdout_stats.seen_bytes);

    let tail = OutputQuery::default().max_bytes(10).window(OutputWindow::Tail);
    let tail = page(&engine, result.id, tail).await;
    assert!(tail.ended && tail.text().ends_with("bytes are missing here]\n4999\n5000\n"));
}

/// Writes noise to both streams, in pieces of any size.
const NOISE: &str = r"
import os, random
r = random.Random(7)
for _ in range(400):
    os.write(r.choice((1, 2)), bytes(r.randrange(256) for _ in range(r.randrange(1, 1500))))
";

#[tokio::test]
async fn callers_of_any_pace_get_every_byte_of_a_busy_program() {
    let engine = engine();
    let request = ExecutionRequest::exec("python3", ["-c", NOISE]);
    let execution = engine.start(request).await.unwrap();
    let read = async |query: OutputQuery| {
        let mut told = [Vec::new(), Vec::new()];
        let mut query = query.wait(PATIENCE);
        loop {
            let page = soon("a page", execution.read_output(query)).await.unwrap();
            for part in &page.parts {
                let OutputPart::Output { stream, bytes } = part else { panic!("{part:?}") };
                let of = usize::from(*stream == OutputStream::Stderr);
                told[of].extend_from_slice(bytes);
            }
            assert!(page.ended || page.next != query.cursor, "an empty page: {page:?}");
            query.cursor = page.next;
            if page.ended {
                return told;
            }
        }
    };
    let all = OutputQuery::default();
    let (large, small, out, err) = tokio::join!(
        read(all),
        read(all.max_bytes(100)),
        read(all.stream(OutputStream::Stdout).max_bytes(3000)),
        read(all.stream(OutputStream::Stderr)),
    );
    let result = soon("its end", execution.wait()).await.unwrap();
    let [stdout, stderr] = [result.stdout_bytes(), result.stderr_bytes()];
    assert!(stdout.len() + stderr.len() > 100_000);
    for told in [&large, &small] {
        assert!(told[0] == stdout && told[1] == stderr);
    }
    assert!(out[0] == stdout && out[1].is_empty() && err[1] == stderr && err[0].is_empty());
}

#[tokio::test]
async fn a_handle_reads_what_retention_has_forgotten() {
    let engine = engine();
    let execution = engine.start(shell("echo hello")).await.unwrap();
    soon("its end", execution.wait()).await.unwrap();
    engine.remove_execution(execution.id()).await.unwrap();
    drop(engine);
    let query = OutputQuery::default().wait(PATIENCE);
    let page = soon("a page", execution.read_output(query)).await.unwrap();
    assert_eq!((page.text().as_str(), page.ended), ("hello\n", true));
    let nothing = OutputQuery::after(page.next).wait(PATIENCE);
    assert!(soon("a page", execution.read_output(nothing)).await.unwrap().ended);
}

#[tokio::test]
async fn attempts_are_one_output() {
    let engine = engine();
    let options = ExecutionOptions::default().retry(RetryPolicy::new(3));
    let id = run_with(&engine, shell("echo again; exit 1"), options).await.id;
    let all = page(&engine, id, OutputQuery::default()).await;
    // Earlier attempts are kept only as far as they are held while it runs.
    assert_eq!(all.bytes().len() as u64 + all.missed(), 18);
    assert!(all.ended && all.text().ends_with("again\n"));
}

#[tokio::test]
async fn a_queued_execution_has_no_page_yet() {
    let config = ExecutionConfig { max_concurrent_executions: 1, ..Default::default() };
    let admission = Admission::Queue { max_waiting: 1 };
    let engine = ExecutionEngine::builder().config(config).admission(admission).build().unwrap();
    let first = engine.execute(shell("sleep 60")).await.unwrap();
    let second = engine.execute(shell("echo hello")).await.unwrap();
    let nothing = page(&engine, second, OutputQuery::default()).await;
    assert_eq!(nothing, OutputPage::default());
    let (next, _) = tokio::join!(page(&engine, second, patient(nothing.next)), async {
        engine.cancel(first).await.unwrap();
    });
    assert_eq!(next.text(), "hello\n");
    let unknown = Uuid::new_v4();
    let none = engine.read_output(unknown, OutputQuery::default()).await;
    assert_eq!(none, Err(ExecutionError::NotFound(unknown)));
}

#[test]
fn pages_travel_as_json() {
    let json = r#"{"cursor":{"stdout":3},"stream":"stderr","window":"head_and_tail","wait_ms":5}"#;
    let query: OutputQuery = serde_json::from_str(json).unwrap();
    let expected = OutputQuery::after(OutputCursor { stdout: 3, stderr: 0 })
        .stream(OutputStream::Stderr)
        .window(OutputWindow::HeadAndTail)
        .wait(Duration::from_millis(5));
    assert_eq!(query, expected);
    assert_eq!(query.max_bytes, 64 * 1024);
    let back = serde_json::to_string(&query).unwrap();
    assert_eq!(serde_json::from_str::<OutputQuery>(&back).unwrap(), query);
    assert!(serde_json::from_str::<OutputQuery>(r#"{"courser":{}}"#).is_err());

    let page = r#"{"parts":[{"type":"missed","bytes":2},{"type":"output","stream":"stdout","data":"a"},{"type":"omitted","bytes":1},{"type":"output","stream":"stdout","data":[255]}],"next":{"stdout":5,"stderr":0},"ended":true}"#;
    let read: OutputPage = serde_json::from_str(page).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), page);
    assert_eq!((&read.bytes()[..], read.missed()), (&b"a\xff"[..], 2));
}
