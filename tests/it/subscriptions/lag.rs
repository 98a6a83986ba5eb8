//! Slow subscriptions: missed bytes are counted, and no program waits.

use super::*;

#[tokio::test]
async fn lagging_subscription_counts_missed_bytes_exactly() {
    for (limit, window) in [(1000, 64 * 1024), (100_000, 5000), (1, 0), (1, 100)] {
        let builder = ExecutionEngine::builder().config(limited(limit)).replay_window(window);
        let engine = builder.build().unwrap();
        let line = "seq 100001 300000 & seq 400001 600000 >&2; wait";
        let id = engine.execute(shell(line)).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let mut seen = vec![soon("the first", records.next()).await.unwrap()];
        let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
        seen.extend(all(records).await);
        let written = result.stdout_stats.seen_bytes + result.stderr_stats.seen_bytes;
        assert_eq!(written, 2 * 200_000 * 7);
        assert_eq!(received(&seen) + missed(&seen), written, "window {window}");
        assert!(missed(&seen) > 0);
        assert_in_order(&seen);
        assert_numbered(&seen, OutputStream::Stdout, 100_001..=300_000);
        assert_numbered(&seen, OutputStream::Stderr, 400_001..=600_000);
        if window >= 64 * 1024 {
            // At the end the window has the last line of one stream.
            let [out, err] =
                [OutputStream::Stdout, OutputStream::Stderr].map(|of| lines(&seen, of));
            assert!(out.ends_with(&["300000"]) || err.ends_with(&["600000"]), "window {window}");
        }
    }
}

#[tokio::test]
async fn line_with_a_missed_beginning_is_missed_whole() {
    let dir = tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let builder = ExecutionEngine::builder().config(limited(1)).replay_window(20);
    let engine = builder.build().unwrap();
    let line = format!(
        "printf %030d 7; {}; printf middle; printf 'err\n' >&2; {}; printf 'end\nwhole\n'",
        wait_for(&one),
        wait_for(&two)
    );
    let id = engine.execute(shell(line)).await.unwrap();
    let mut chunks = engine.subscribe_chunks(id).await.unwrap();
    let is_output = |chunk: &ChunkRecord| matches!(chunk.content, ChunkContent::Output { .. });
    soon("the beginning", chunks.find(is_output)).await.unwrap();
    fs::write(one, "").unwrap();
    let is_err = |chunk: &ChunkRecord| match &chunk.content {
        ChunkContent::Output { stream, .. } => *stream == OutputStream::Stderr,
        _ => false,
    };
    soon("the error", chunks.find(is_err)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    // The line whose beginning is gone is reported when it ends.
    let is_err = |record: &EventRecord| line_of(record) == Some((OutputStream::Stderr, "err"));
    let mut seen = vec![next_that(&mut records, is_err).await];
    fs::write(two, "").unwrap();
    seen.extend(all(records).await);
    assert_in_order(&seen);
    assert_eq!(lines(&seen, OutputStream::Stdout), ["whole"], "{seen:#?}");
    assert_eq!(received(&seen) + missed(&seen), 30 + 6 + 4 + 4 + 6, "{seen:#?}");
}

#[tokio::test]
async fn unread_subscription_delays_no_program() {
    let engine = engine_with(|config| config.max_output_size_bytes = 1000);
    let mut dashboard = engine.subscribe_all().await;
    let request = shell("head -c 50000000 /dev/zero");
    let id = engine.execute(request).await.unwrap();
    let [mut lines, mut chunks] =
        [engine.subscribe(id).await.unwrap(), engine.subscribe(id).await.unwrap()];
    // One has been polled once, and waits for its waker.
    soon("the first", lines.next()).await.unwrap();
    let result = soon("the end", engine.wait_for_completion(id)).await.unwrap();
    assert_eq!(result.ending, Ending::Exited { code: 0 });
    assert_eq!(result.stdout_stats.seen_bytes, 50_000_000);
    soon("the first", chunks.next()).await.unwrap();
    soon("something", dashboard.next()).await.unwrap();
}

#[tokio::test]
async fn every_subscription_gets_all_records() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; {}; seq 1 500", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut watching = Vec::new();
    for number in 0..200 {
        let records = engine.subscribe(id).await.unwrap();
        if number % 2 == 0 {
            watching.push(tokio::spawn(all(records)));
        }
        drop(engine.subscribe_chunks(id).await.unwrap());
        drop(engine.subscribe_all().await);
    }
    fs::write(go, "").unwrap();
    let expected = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(lines(&expected, OutputStream::Stdout).len(), 501);
    for watcher in watching {
        assert!(soon("a watcher", watcher).await.unwrap() == expected);
    }
}

#[test]
fn busy_subscription_yields_to_other_tasks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = engine_with(|config| config.max_output_size_bytes = 1000);
        let id = engine.execute(shell("yes")).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let mut chunks = engine.subscribe_chunks(id).await.unwrap();
        let endless = async { while records.next().await.is_some() {} };
        let too = async { while chunks.next().await.is_some() {} };
        let others = pause(Duration::from_millis(50));
        tokio::select! {
            () = endless => panic!("it has ended"),
            () = too => panic!("it has ended"),
            () = others => {}
        }
        engine.cancel(id).await.unwrap();
    });
}
