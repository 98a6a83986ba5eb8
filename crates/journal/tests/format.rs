//! What is written can be read, wherever the writer died and whatever happened to the bytes.

use execution_engine_journal::{
    HEADER_BYTES, JournalError, JournalEvent, JournalReader, JournalWriter, Kind, Record,
    encode_event,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Writes records to a file and returns its bytes and the ends of the records.
fn write(records: &[(Kind, u32, i64, Vec<u8>)]) -> (Vec<u8>, Vec<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut writer = JournalWriter::create(&path).unwrap();
    let append = |(kind, attempt, time, payload): &(Kind, u32, i64, Vec<u8>)| {
        writer.append(*kind, *attempt, *time, payload).unwrap()
    };
    let ends: Vec<u64> = records.iter().map(append).collect();
    assert_eq!(writer.end(), ends.last().copied().unwrap_or(0));
    (std::fs::read(&path).unwrap(), ends)
}

/// Reads all records before `end` in batches of about `max_bytes`.
fn read_all(bytes: &[u8], end: u64, max_bytes: usize) -> Result<Vec<Record>, JournalError> {
    let reader = JournalReader::new(bytes, "test");
    let (mut records, mut position) = (Vec::new(), 0);
    while position < end {
        let batch = reader.read(position, end, max_bytes)?;
        assert!(batch.next > position, "no progress at {position}");
        position = batch.next;
        records.extend(batch.records);
    }
    Ok(records)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Stdout), Just(Kind::Stderr), Just(Kind::Event)]
}

fn records(longest: usize) -> impl Strategy<Value = Vec<(Kind, u32, i64, Vec<u8>)>> {
    vec((kind(), any::<u32>(), any::<i64>(), vec(any::<u8>(), 0..longest)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_read_as_they_were_written(written in records(300), max_bytes in 0usize..2000) {
        let (bytes, ends) = write(&written);
        let end = bytes.len() as u64;
        let read = read_all(&bytes, end, max_bytes).unwrap();
        prop_assert_eq!(read.iter().map(|record| record.end).collect::<Vec<_>>(), ends);
        for (record, (kind, attempt, time, payload)) in read.iter().zip(&written) {
            prop_assert_eq!(record.kind, *kind);
            prop_assert_eq!((record.attempt, record.time_us), (*attempt, *time));
            prop_assert_eq!(&record.payload[..], &payload[..]);
        }
        let recovered = JournalReader::new(bytes, "test").recover().unwrap();
        prop_assert_eq!((recovered.end, recovered.tail_bytes), (end, 0));
        prop_assert_eq!(recovered.last, read.last().cloned());
        let of = |wanted| written.iter().filter(|one| one.0 == wanted).map(|one| one.3.len() as u64).sum::<u64>();
        prop_assert_eq!(recovered.totals.stdout, of(Kind::Stdout));
        prop_assert_eq!(recovered.totals.stderr, of(Kind::Stderr));
    }

    #[test]
    fn torn_tail_is_ignored_at_every_byte(written in records(60)) {
        let (bytes, ends) = write(&written);
        for length in 0..=bytes.len() {
            let recovered = JournalReader::new(&bytes[..length], "test").recover().unwrap();
            let whole = ends.iter().copied().filter(|end| *end <= length as u64).max().unwrap_or(0);
            prop_assert_eq!(recovered.end, whole, "cut at {}", length);
            prop_assert_eq!(recovered.tail_bytes, length as u64 - whole);
        }
    }

    #[test]
    fn changed_byte_is_never_read_as_output(written in records(60), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let (mut bytes, ends) = write(&written);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let before = ends.iter().copied().filter(|end| *end <= at as u64).max().unwrap_or(0);
        let reader = JournalReader::new(bytes.as_slice(), "the-journal");
        if let Ok(recovered) = reader.recover() {
            prop_assert_eq!(recovered.end, before);
        }
        let error = read_all(&bytes, bytes.len() as u64, 1000).unwrap_err().to_string();
        prop_assert!(error.contains(&format!("position {before}")), "{}", error);
        let error = reader.read(before, bytes.len() as u64, 1000).unwrap_err().to_string();
        prop_assert!(error.contains("the-journal"), "{}", error);
    }

    #[test]
    fn foreign_tail_is_ignored(written in records(60), tail in vec(any::<u8>(), 0..200)) {
        let (mut bytes, _) = write(&written);
        let end = bytes.len() as u64;
        bytes.extend_from_slice(&tail);
        let recovered = JournalReader::new(bytes, "test").recover().unwrap();
        prop_assert_eq!((recovered.end, recovered.tail_bytes), (end, tail.len() as u64));
    }
}

#[test]
fn zeros_behind_a_loss_of_power_are_no_records() {
    let (mut bytes, _) = write(&[(Kind::Stdout, 1, 0, b"kept".to_vec())]);
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 4096, 0);
    let recovered = JournalReader::new(bytes, "test").recover().unwrap();
    assert_eq!((recovered.end, recovered.totals.stdout), (end, 4));
}

#[test]
fn largest_records_are_read_in_small_batches_and_recovered() {
    let big = vec![5; 1024 * 1024];
    let event = vec![b' '; 8 * 1024 * 1024];
    let all =
        [(Kind::Stdout, 1, 0, big), (Kind::Event, 1, 0, event), (Kind::Stderr, 1, 0, vec![1])];
    let (bytes, ends) = write(&all);
    assert_eq!(read_all(&bytes, bytes.len() as u64, 10).unwrap().len(), 3);
    let recovered = JournalReader::new(bytes, "test").recover().unwrap();
    assert_eq!(recovered.end, ends[2]);
    assert_eq!(recovered.totals.stdout, 1024 * 1024);
}

#[test]
fn record_of_a_later_version_is_no_torn_tail() {
    let (mut bytes, _) = write(&[(Kind::Stdout, 1, 0, b"new".to_vec())]);
    bytes[31] = 2;
    let reader = JournalReader::new(bytes.as_slice(), "test");
    assert!(matches!(reader.recover(), Err(JournalError::Newer { position: 0, .. })));
    let error = reader.read(0, bytes.len() as u64, 100).unwrap_err();
    assert!(matches!(error, JournalError::Newer { position: 0, .. }), "{error}");
}

#[test]
fn cursor_of_another_journal_is_refused() {
    let (bytes, ends) =
        write(&[(Kind::Stdout, 1, 0, b"one".to_vec()), (Kind::Stdout, 1, 0, b"two".to_vec())]);
    let reader = JournalReader::new(bytes.as_slice(), "test");
    let end = bytes.len() as u64;
    assert!(reader.read(end, end, 100).unwrap().records.is_empty());
    for wrong in [1, ends[0] - 1, ends[0] + 1, end + 1] {
        let error = reader.read(wrong, end, 100).unwrap_err();
        assert!(
            matches!(error, JournalError::NoRecord { .. } | JournalError::Damaged { .. }),
            "{wrong}: {error}"
        );
    }
    assert_eq!(reader.read(ends[0], end, 100).unwrap().records[0].payload, "two");
    // Nothing beyond the end that is asked for.
    assert_eq!(reader.read(0, ends[0], 1000).unwrap().records.len(), 1);
    assert_eq!(reader.totals(ends[0]).unwrap().stdout, 3);
    let error = reader.read(ends[0], end - 1, 1000).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
}

#[test]
fn events_are_read_as_they_were_written_and_unknown_ones_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut writer = JournalWriter::create(&path).unwrap();
    let events = [
        JournalEvent::Started { attempt: 1, pid: Some(12) },
        JournalEvent::Retrying { attempt: 2, delay_ms: 50 },
        JournalEvent::Missed { stdout_bytes: 1, stderr_bytes: 2, reason: "no space".into() },
        JournalEvent::Ended { result: serde_json::json!({"status": "completed"}) },
    ];
    for event in &events[..3] {
        writer.append_event(1, 0, event).unwrap();
    }
    writer.append(Kind::Event, 1, 0, br#"{"type": "of_tomorrow", "more": [1]}"#).unwrap();
    let reader = JournalReader::open(&path).unwrap();
    assert_eq!(reader.recover().unwrap().result(), None);
    let end = writer.append_event(1, 0, &events[3]).unwrap();

    let read: Vec<_> = reader
        .read(0, end, 10_000)
        .unwrap()
        .records
        .iter()
        .map(|record| record.event().unwrap())
        .collect();
    assert_eq!(read[..3], events[..3]);
    assert_eq!(read[3..], [JournalEvent::Unknown, events[3].clone()]);
    assert_eq!(
        reader.recover().unwrap().result(),
        Some(serde_json::json!({"status": "completed"}))
    );
}

#[test]
fn files_are_new_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let writer = JournalWriter::create(&path).unwrap();
    writer.sync_data().unwrap();
    let error = JournalWriter::create(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    let recovered = JournalReader::open(&path).unwrap().recover().unwrap();
    assert_eq!((recovered.end, recovered.last), (0, None), "an empty file is a valid journal");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
    let missing = JournalReader::open(&dir.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("none"), "{missing}");
    assert_eq!(HEADER_BYTES, 32);
}

#[test]
fn journal_of_a_dead_writer_is_continued_behind_its_last_whole_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut bytes = write(&[(Kind::Stdout, 1, 0, b"kept".to_vec())]).0;
    let end = bytes.len() as u64;
    bytes.extend_from_slice(&[1; 500]);
    std::fs::write(&path, &bytes).unwrap();
    let mut writer = JournalWriter::resume(&path, end).unwrap();
    let event = JournalEvent::Ended { result: serde_json::json!({"status": "lost"}) };
    let last = writer.append_event(1, 9, &event).unwrap();

    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, last);
    assert_eq!(bytes[end as usize..], encode_event(end, 1, 9, &event).unwrap());
    let recovered = JournalReader::open(&path).unwrap().recover().unwrap();
    assert_eq!((recovered.end, recovered.tail_bytes, recovered.totals.stdout), (last, 0, 4));
    assert!(recovered.result().is_some());

    let error = JournalWriter::resume(&path, last + 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
