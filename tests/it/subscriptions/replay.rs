//! Subscriptions of one execution: replay, live records, and resuming at a sequence number.

use super::*;

#[tokio::test]
async fn subscription_replays_then_follows_then_ends() {
    use ExecutionStatus::{Failed, Pending, Running};
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo one; echo err >&2; {}; echo two; exit 3", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut early = engine.subscribe(id).await.unwrap();
    next_that(&mut early, |record| line_of(record) == Some((OutputStream::Stderr, "err"))).await;

    let mut records = engine.subscribe(id).await.unwrap();
    let mut seen = vec![next_that(&mut records, |_| true).await];
    let ExecutionEvent::Started { execution_id, .. } = seen[0].event else { panic!("{seen:?}") };
    assert_eq!((execution_id, seen[0].execution_id), (id, id));
    while lines(&seen, OutputStream::Stderr).is_empty()
        || lines(&seen, OutputStream::Stdout).is_empty()
    {
        seen.push(next_that(&mut records, |_| true).await);
    }
    fs::write(go, "").unwrap();
    while let Some(record) = soon("the rest", records.next()).await {
        seen.push(record);
    }
    assert_eq!(soon("nothing more", records.next()).await, None);

    assert_in_order(&seen);
    assert_eq!(lines(&seen, OutputStream::Stdout), ["one", "two"]);
    assert_eq!(lines(&seen, OutputStream::Stderr), ["err"]);
    let begins = ExecutionEvent::StatusChanged { execution_id: id, from: Pending, to: Running };
    let ends = ExecutionEvent::StatusChanged { execution_id: id, from: Running, to: Failed };
    assert_eq!((&seen[1].event, &seen[seen.len() - 2].event), (&begins, &ends));
    let last = &seen.last().unwrap().event;
    assert!(matches!(last, ExecutionEvent::Completed { success: false, exit_code: 3, .. }));
}

#[tokio::test]
async fn subscription_after_the_end_gets_the_same_records() {
    let engine = engine();
    for line in ["seq 1 3000; seq 1 3000 >&2; printf last", "exit 3", "kill -9 $$"] {
        let id = engine.execute(shell(line)).await.unwrap();
        let live = all(engine.subscribe(id).await.unwrap()).await;
        assert_in_order(&live);
        assert!(all(engine.subscribe(id).await.unwrap()).await == live, "{line}");
    }
    let not_there = ExecutionRequest::program("/dev/null/not/there");
    let refused = engine.execute(not_there.clone()).await;
    assert!(refused.is_err(), "{refused:?}");
    let unknown = engine.subscribe(not_there.id).await.map(drop);
    assert_eq!(unknown, Err(ExecutionError::NotFound(not_there.id)));
    let unknown = engine.subscribe_chunks_from(not_there.id, 3).await.map(drop);
    assert_eq!(unknown, Err(ExecutionError::NotFound(not_there.id)));
}

#[tokio::test]
async fn failed_spawn_has_two_records() {
    let dir = tempdir().unwrap();
    let program = dir.path().join("program");
    fs::write(&program, [0_u8; 64]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&program, mode).unwrap();
    let engine = engine();
    let request = ExecutionRequest::program(program.to_str().unwrap());
    let id = engine.execute(request).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let [ExecutionEvent::StatusChanged { .. }, ExecutionEvent::Failed { .. }] =
        [&records[0].event, &records[1].event]
    else {
        panic!("{records:?}");
    };
    assert_in_order(&records);
    assert!(all(engine.subscribe(id).await.unwrap()).await == records);
}

#[tokio::test]
async fn late_subscription_counts_what_is_not_kept() {
    use OversizedOutputStrategy::{FailExecution, StreamToFile, TruncateWithWarning};
    let text = "aé€😀\n".repeat(40);
    for limit in (1..=13).chain([437, 438, 439]) {
        for strategy in [TruncateWithWarning, FailExecution, StreamToFile] {
            let engine = engine_with(|config| {
                config.max_output_size_bytes = limit;
                config.oversized_output_strategy = strategy;
            });
            // The other stream is kept whole, and has a line around the gap.
            let line = format!("printf b >&2; printf '{text}'; printf b >&2");
            let result = soon("the run", engine.run(shell(line))).await.unwrap();
            let kept = result.stdout_bytes();
            let records = all(engine.subscribe(result.id).await.unwrap()).await;
            assert_in_order(&records);
            let missed = missed(&records);
            let told: String = self::text(&records, OutputStream::Stdout);
            assert!(text.starts_with(&told), "{told:?} of {kept:?}");
            let [seen_out, seen_err] =
                [result.stdout_stats.seen_bytes, result.stderr_stats.seen_bytes];
            let err = self::text(&records, OutputStream::Stderr);
            assert_eq!(
                (told.len() + err.len()) as u64 + missed,
                seen_out + seen_err,
                "limit {limit}, {strategy:?}: {records:?}"
            );
            let whole_lines = kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            assert!(told.len() >= whole_lines, "limit {limit}, {strategy:?}: {records:?}");
            let chunks = all_chunks(engine.subscribe_chunks(result.id).await.unwrap()).await;
            assert!(bytes_after(&chunks, 0)[0] == kept, "limit {limit}, {strategy:?}");
        }
    }
}

/// Returns a text without the carriage returns that events drop.
fn without_returns(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let plain = |line: &str| {
        line.strip_suffix('\n').map(|line| format!("{}\n", line.trim_end_matches('\r')))
    };
    lines.map(|line| plain(line).unwrap_or_else(|| line.to_string())).collect()
}

#[tokio::test]
async fn subscription_resumes_at_any_sequence_number() {
    for (seed, longest) in [(1, 4), (2, 5), (3, 7), (4, 64)] {
        let engine = ExecutionEngine::builder().max_line_bytes(longest).build().unwrap();
        let options = || ExecutionOptions::default().partial_lines_after(Duration::from_millis(4));
        let id = engine.execute_with(pieces("text", seed, 300), options()).await.unwrap();
        let live = all(engine.subscribe(id).await.unwrap()).await;
        assert_in_order(&live);
        let result = engine.wait_for_completion(id).await.unwrap();
        for (stream, expected) in
            [(OutputStream::Stdout, &result.stdout), (OutputStream::Stderr, &result.stderr)]
        {
            let told = without_returns(&text(&live, stream));
            assert_eq!(told, without_returns(expected), "seed {seed}, longest {longest}");
            assert!(lines(&live, stream).iter().all(|line| line.len() <= longest));
        }

        // Bytes that are not text cannot be joined from lines, but a subscription can resume at any of them.
        let other = engine.execute_with(pieces("bytes", seed, 300), options()).await.unwrap();
        let other_live = all(engine.subscribe(other).await.unwrap()).await;
        assert_in_order(&other_live);
        for (id, live) in [(id, live), (other, other_live)] {
            let chunks = all_chunks(engine.subscribe_chunks(id).await.unwrap()).await;
            let result = engine.wait_for_completion(id).await.unwrap();
            assert!(bytes_after(&chunks, 0) == [result.stdout_bytes(), result.stderr_bytes()]);
            let places = live.iter().map(|record| record.sequence);
            for after in places.chain(chunks.iter().map(|chunk| chunk.sequence)) {
                let rest = all(engine.subscribe_from(id, after).await.unwrap()).await;
                let expected = live.iter().filter(|record| record.sequence > after);
                assert!(rest.iter().eq(expected), "after {after} of seed {seed}: {rest:#?}");
                let rest = engine.subscribe_chunks_from(id, after).await.unwrap();
                let rest = all_chunks(rest).await;
                assert!(bytes_after(&rest, 0) == bytes_after(&chunks, after), "after {after}");
                assert!(rest.iter().all(|chunk| chunk.sequence > after));
            }
        }
    }
}

#[tokio::test]
async fn the_sequence_orders_both_streams() {
    let engine = engine();
    let line = "while read line; do echo $line; read line; echo $line >&2; done";
    let options = ExecutionOptions::default().stdin(StdinSource::Piped);
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let mut last = 0;
    for number in 0..40 {
        engine.write_stdin(id, format!("{number}\n")).await.unwrap();
        let record = next_that(&mut records, |record| line_of(record).is_some()).await;
        let stream = if number % 2 == 0 { OutputStream::Stdout } else { OutputStream::Stderr };
        assert_eq!(line_of(&record), Some((stream, number.to_string().as_str())));
        assert!(record.sequence > last);
        last = record.sequence;
    }
    engine.close_stdin(id).await.unwrap();
    let again = all(engine.subscribe(id).await.unwrap()).await;
    let all_lines = again.iter().filter_map(line_of).map(|(_, line)| line.to_string());
    assert!(all_lines.eq((0..40).map(|number| number.to_string())));
}

#[tokio::test]
async fn merged_streams_are_one_in_exact_order() {
    let line = "i=0; while [ $i -lt 300 ]; do printf a; printf b >&2; echo c; i=$((i+1)); done";
    let options = ExecutionOptions::default().output(OutputMode::Merged);
    let engine = engine();
    let id = engine.execute_with(shell(line), options).await.unwrap();
    let records = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(text(&records, OutputStream::Stdout), "abc\n".repeat(300));
    let result = engine.wait_for_completion(id).await.unwrap();
    assert_eq!((result.stdout, result.stderr), ("abc\n".repeat(300), String::new()));
}

#[tokio::test]
async fn subscription_resumes_while_the_program_runs() {
    let engine = ExecutionEngine::builder().max_line_bytes(6).build().unwrap();
    for (kind, seed) in [("text", 11), ("bytes", 12)] {
        let options = ExecutionOptions::default().partial_lines_after(Duration::from_millis(4));
        let id = engine.execute_with(pieces(kind, seed, 400), options).await.unwrap();
        let mut records = engine.subscribe(id).await.unwrap();
        let (mut live, mut resumed) = (Vec::new(), Vec::new());
        while let Some(record) = soon("a record", records.next()).await {
            if live.len() % 5 == 0 {
                let rest = engine.subscribe_from(id, record.sequence).await.unwrap();
                resumed.push((record.sequence, tokio::spawn(all(rest))));
            }
            live.push(record);
        }
        assert_in_order(&live);
        for (after, rest) in resumed {
            let rest = soon("the rest", rest).await.unwrap();
            let expected = live.iter().filter(|record| record.sequence > after);
            assert!(rest.iter().eq(expected), "after {after} of {kind}: {rest:#?}");
        }
    }
}

#[tokio::test]
async fn resume_in_an_unfinished_line_accounts_for_all_of_it() {
    let engine = engine_with(|config| config.max_output_size_bytes = 1);
    let line = "printf abcdefgh; sleep 0.1; echo err >&2; sleep 0.1";
    let id = engine.execute(shell(line)).await.unwrap();
    let live = all(engine.subscribe(id).await.unwrap()).await;
    assert_eq!(text(&live, OutputStream::Stdout), "abcdefgh");
    for record in &live {
        let later = live.iter().filter(|other| other.sequence > record.sequence);
        let expected: usize = later.filter_map(|later| Some(line_of(later)?.1.len())).sum();
        let rest = all(engine.subscribe_from(id, record.sequence).await.unwrap()).await;
        // All but the first byte of each stream is gone by now, and so every line. The newline of
        // the other stream is a byte, too.
        let newline = u64::from(missed(&rest) > 8);
        assert_eq!(missed(&rest), expected as u64 + newline, "behind {record:?}: {rest:#?}");
        assert_eq!(received(&rest), 0, "{rest:#?}");
    }
}

#[tokio::test]
async fn resume_beyond_the_end_starts_at_the_present() {
    let dir = tempdir().unwrap();
    let go = dir.path().join("go");
    let engine = engine();
    let line = format!("echo early; {}; echo late; printf later", wait_for(&go));
    let id = engine.execute(shell(line)).await.unwrap();
    let mut records = engine.subscribe(id).await.unwrap();
    let early = next_that(&mut records, |record| line_of(record).is_some()).await;

    let mut watching = Vec::new();
    for place in [early.sequence + 3, u64::MAX] {
        let rest = engine.subscribe_from(id, place).await.unwrap();
        let chunks = engine.subscribe_chunks_from(id, place).await.unwrap();
        watching.push((rest, chunks));
    }
    fs::write(&go, "").unwrap();
    for (rest, chunks) in watching {
        let rest = soon("the rest", all(rest)).await;
        assert_eq!(lines(&rest, OutputStream::Stdout), ["late", "later"]);
        let chunks = soon("the chunks", all_chunks(chunks)).await;
        assert_eq!(bytes_after(&chunks, 0)[0], b"late\nlater");
    }
    for place in [early.sequence + 100, u64::MAX] {
        let nothing = all(engine.subscribe_from(id, place).await.unwrap()).await;
        assert!(nothing.is_empty(), "{nothing:#?}");
    }
}

#[tokio::test]
async fn unfinished_line_takes_one_more_number() {
    let engine = engine();
    let id = engine.run(shell("echo one; printf two")).await.unwrap().id;
    let records = all(engine.subscribe(id).await.unwrap()).await;
    let numbers: Vec<u64> = records.iter().map(|record| record.sequence).collect();
    assert_eq!(numbers, [1, 2, 6, 10, 11, 12], "{records:#?}");
}
