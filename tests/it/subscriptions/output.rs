//! Records of output: whole lines, partial lines and long lines.

use super::*;

#[tokio::test]
async fn stream_output_false_publishes_chunks_only() {
    let engine = engine_with(|config| config.stream_output = false);
    let id = engine.execute(shell("seq 1 100")).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_in_order(&records);
    assert_eq!((records.len(), received(&records), missed(&records)), (4, 0, 0), "{records:?}");
    let chunks = all_chunks(engine.subscribe_chunks(id).await.unwrap()).await;
    let result = engine.wait_for_completion(id).await.unwrap();
    assert!(bytes_after(&chunks, 0)[0] == result.stdout_bytes());
}

#[tokio::test]
async fn partial_line_is_published_after_a_silence() {
    let options = ExecutionOptions::default()
        .stdin(StdinSource::Piped)
        .partial_lines_after(Duration::from_millis(20));
    let engine = engine();
    let line = "printf 'Name? '; read name; echo \"Hello $name\"";
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let prompt = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!((line_of(&prompt), prompt.partial), (Some((OutputStream::Stdout, "Name? ")), true));
    engine.write_stdin(id, "you\n").await.unwrap();
    let greeting = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!(
        (line_of(&greeting), greeting.partial),
        (Some((OutputStream::Stdout, "Hello you")), false)
    );
}

#[tokio::test]
async fn partial_line_splits_no_character() {
    let dir = tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let options = ExecutionOptions::default().partial_lines_after(Duration::from_millis(10));
    let engine = engine();
    let line = format!(
        r"printf 'caf\303'; {}; printf '\251\360\237'; {}; printf '\230\200'",
        wait_for(&one),
        wait_for(&two)
    );
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    for (expected, go) in [("caf", one), ("é", two)] {
        let piece = next_that(&mut records, |record| line_of(record).is_some()).await;
        assert_eq!(
            (line_of(&piece), piece.partial),
            (Some((OutputStream::Stdout, expected)), true)
        );
        fs::write(go, "").unwrap();
    }
    let last = next_that(&mut records, |record| line_of(record).is_some()).await;
    assert_eq!((line_of(&last), last.partial), (Some((OutputStream::Stdout, "😀")), true));
}

#[tokio::test]
async fn closed_stream_publishes_its_unfinished_line() {
    let engine = engine();
    for (stream, fd) in [(OutputStream::Stdout, 1), (OutputStream::Stderr, 2)] {
        // Repeated, because output and close may be seen one after the other.
        for _ in 0..20 {
            let line = format!("printf unfinished >&{fd}; exec {fd}>&-; exec sleep 300");
            let id = engine.execute(shell(line)).await.unwrap();
            let mut records = engine.subscribe(id).await.unwrap();
            let told = next_that(&mut records, |record| line_of(record).is_some()).await;
            assert_eq!((line_of(&told), told.partial), (Some((stream, "unfinished")), true));
            assert_eq!(engine.get_status(id).await.unwrap(), ExecutionStatus::Running);
            engine.cancel(id).await.unwrap();
        }
    }
}

#[tokio::test]
async fn partial_lines_are_off_by_default() {
    let engine = engine();
    let id = engine.execute(shell("printf 'one '; sleep 0.2; echo two")).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(lines(&records, OutputStream::Stdout), ["one two"]);
}

#[tokio::test]
async fn line_longer_than_the_handler_queue_is_delivered() {
    let recorder = Recorder::new();
    let engine = ExecutionEngine::builder()
        .max_line_bytes(2 * 1024 * 1024)
        .event_handler(recorder.clone())
        .build()
        .unwrap();
    let line = "head -c 900000 /dev/zero | tr '\\0' x; echo; echo next";
    let result = soon("the end", engine.run(shell(line))).await.unwrap();
    assert_eq!((result.ending, result.lines_missed), (Ending::Exited { code: 0 }, 0));
    let events = recorder.all_of(result.id).await;
    let lines = lines_of(&events, OutputStream::Stdout);
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [900_000, 4]);
}

#[tokio::test]
async fn line_without_end_is_split_at_max_line_bytes() {
    let engine = ExecutionEngine::builder().max_line_bytes(1000).build().unwrap();
    let line = "head -c 1000000 /dev/zero | tr '\\0' x";
    let id = engine.execute(shell(line)).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let pieces = lines(&records, OutputStream::Stdout);
    assert_eq!(pieces.len(), 1000);
    assert!(pieces.iter().all(|piece| piece.len() == 1000));
    assert!(records.iter().all(|record| record.partial == line_of(record).is_some()));

    let unlimited = ExecutionEngine::builder().max_line_bytes(usize::MAX).build().unwrap();
    let id = unlimited.execute(shell(line)).await.unwrap();
    let records = all(unlimited.subscribe(id).await.unwrap()).await;
    let pieces = lines(&records, OutputStream::Stdout);
    assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [1_000_000]);

    let refused = ExecutionEngine::builder().max_line_bytes(3).build().map(drop).unwrap_err();
    assert!(refused.to_string().contains("max_line_bytes"), "{refused}");
}

#[tokio::test]
async fn records_round_trip_as_json() {
    let engine = engine();
    let id = engine.execute(shell("echo one; printf two; exit 3")).await.unwrap();
    for record in all(engine.subscribe(id).await.unwrap()).await {
        let json = serde_json::to_string(&record).unwrap();
        let read: EventRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!((read.sequence, read.partial), (record.sequence, record.partial));
        assert_eq!((read.timestamp, line_of(&read)), (record.timestamp, line_of(&record)));
    }
}
