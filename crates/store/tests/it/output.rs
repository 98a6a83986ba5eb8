//! Output: in the database, in its journal, in an archive.

use std::path::{Path, PathBuf};

use execution_engine::{Ending, OutputStream};
use execution_engine_journal::{JournalReader, Kind, ReadAt as _};
use execution_engine_store::{OutputPlace, Store, StoredPlace};
use uuid::Uuid;

use crate::support::{accept_shell, ended, files, journal, open, stream_of};

/// Records of both streams whose bytes say where they are.
fn records(count: usize, size: usize) -> Vec<(Kind, Vec<u8>)> {
    let kinds = [Kind::Stdout, Kind::Stdout, Kind::Stderr];
    let record = |number: usize| {
        let length = 1 + (number * 7919) % size;
        let byte = |at: usize| ((number * 31 + at * at / 7) % 251) as u8;
        (kinds[number % 3], (0..length).map(byte).collect())
    };
    (0..count).map(record).collect()
}

async fn end_with_journal(
    store: &Store,
    path: &Path,
    records: Vec<(Kind, Vec<u8>)>,
) -> (Uuid, Vec<u8>) {
    let id = accept_shell(store, "true").await;
    let bytes = journal(path, records);
    let place = OutputPlace::Journal { path: path.to_path_buf(), bytes };
    store.ended(ended(id, Ending::Exited { code: 0 }, place)).await.unwrap();
    (id, std::fs::read(path).unwrap())
}

async fn whole(store: &Store, id: Uuid) -> Vec<u8> {
    let output = store.output(id).await.unwrap().unwrap();
    let mut bytes = vec![0; output.end() as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        let count = output.read_at(filled as u64, &mut bytes[filled..]).unwrap();
        assert!(count > 0);
        filled += count;
    }
    assert_eq!(output.read_at(output.end(), &mut [0; 10]).unwrap(), 0);
    bytes
}

fn archives(dir: &Path) -> Vec<PathBuf> {
    let all = files(&dir.join("outputs")).into_iter().map(|(name, _)| PathBuf::from(name));
    all.collect()
}

#[tokio::test]
async fn output_is_the_same_bytes_in_every_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let path = dir.path().join("journal");
    let (id, bytes) = end_with_journal(&store, &path, records(300, 20_000)).await;
    assert!(bytes.len() > 2_000_000, "{}", bytes.len());
    assert_eq!(whole(&store, id).await, bytes);
    assert_eq!(store.unarchived().await.unwrap(), [(id, path.clone())]);

    assert!(store.archive(id).await.unwrap());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(whole(&store, id).await, bytes);
    assert_eq!(store.get(id).await.unwrap().unwrap().output, StoredPlace::Archive);
    assert_eq!(store.unarchived().await.unwrap(), []);
    assert!(!store.archive(id).await.unwrap(), "there is nothing left to do");
    assert_eq!(archives(store_dir(&dir)).len(), 1);

    let small = accept_shell(&store, "true").await;
    let place = OutputPlace::Inline(bytes[..0].to_vec());
    store.ended(ended(small, Ending::Exited { code: 0 }, place)).await.unwrap();
    assert_eq!(whole(&store, small).await, b"");

    drop(store);
    let store = open(store_dir(&dir));
    assert_eq!(whole(&store, id).await, bytes);
    store.remove(id).await.unwrap();
    assert!(store.output(id).await.unwrap().is_none());
    store.close();
    assert_eq!(archives(store_dir(&dir)), Vec::<PathBuf>::new());
}

fn store_dir(dir: &tempfile::TempDir) -> &'static Path {
    Box::leak(dir.path().join("state").into_boxed_path())
}

#[tokio::test]
async fn ranges_and_tails_of_a_stream_read_only_the_frames_they_need() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let (id, bytes) =
        end_with_journal(&store, &dir.path().join("journal"), records(600, 20_000)).await;
    let inline = accept_shell(&store, "true").await;
    let place = OutputPlace::Inline(bytes.clone());
    store.ended(ended(inline, Ending::Exited { code: 0 }, place)).await.unwrap();

    for is_archived in [false, true] {
        if is_archived {
            assert!(store.archive(id).await.unwrap());
        }
        for (stream, kind) in
            [(OutputStream::Stdout, Kind::Stdout), (OutputStream::Stderr, Kind::Stderr)]
        {
            let expected = stream_of(&bytes, kind);
            let total = expected.len();
            for (offset, max) in
                [(0, 10), (total / 2, 50_000), (total - 10, 100), (total, 5), (7, total)]
            {
                for id in [id, inline] {
                    let output = store.output(id).await.unwrap().unwrap();
                    let read = output.read_stream(Some(stream), offset as u64, max).unwrap();
                    let end = total.min(offset + max);
                    assert!(read == expected[offset..end], "{stream} {offset} {max}");
                    let limit = if max == total { u64::MAX } else { 3 };
                    assert!(output.frames_read() <= limit, "{} frames", output.frames_read());
                    assert_eq!(
                        output.frames_read() > 0,
                        is_archived && id != inline && offset < total
                    );
                }
            }
        }
    }
    // Both streams, as they were written.
    let output = store.output(id).await.unwrap().unwrap();
    let both = output.read_stream(None, 0, usize::MAX).unwrap();
    let reader = JournalReader::new(&*bytes, "test");
    let records = reader.read(0, bytes.len() as u64, usize::MAX).unwrap().records;
    let written = records.into_iter().filter(|record| record.kind != Kind::Event);
    assert!(both == written.flat_map(|record| record.payload.to_vec()).collect::<Vec<_>>());
}

#[tokio::test]
async fn events_from_a_cursor_read_only_the_frames_they_need() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let (id, bytes) =
        end_with_journal(&store, &dir.path().join("journal"), records(600, 20_000)).await;
    let reader = JournalReader::new(&*bytes, "test");
    let records = reader.read(0, bytes.len() as u64, usize::MAX).unwrap().records;
    assert!(store.archive(id).await.unwrap());
    for from in [0, 1, 300, 500, records.len() - 1] {
        let output = store.output(id).await.unwrap().unwrap();
        let archived = JournalReader::new(&output, "archive");
        let batch = archived.read(records[from].position, output.end(), 10_000).unwrap();
        assert_eq!(batch.records[..], records[from..from + batch.records.len()]);
        assert!(!batch.records.is_empty());
        assert!(output.frames_read() <= 2, "{} frames", output.frames_read());
    }
}

#[tokio::test]
async fn archive_is_what_zstd_prints() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let (id, bytes) =
        end_with_journal(&store, &dir.path().join("journal"), records(100, 20_000)).await;
    assert!(store.archive(id).await.unwrap());
    let archive = std::fs::File::open(&archives(store_dir(&dir))[0]).unwrap();
    assert!(zstd::stream::decode_all(archive).unwrap() == bytes);
}

#[tokio::test]
async fn damaged_journal_is_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let path = dir.path().join("journal");
    let (id, mut bytes) = end_with_journal(&store, &path, records(50, 1000)).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = store.archive(id).await.unwrap_err();
    assert_eq!(error.code(), "journal");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(store.get(id).await.unwrap().unwrap().output, StoredPlace::Journal);
    assert!(path.exists());
    store.close();
    assert_eq!(archives(store_dir(&dir)), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn damaged_archive_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let (id, bytes) =
        end_with_journal(&store, &dir.path().join("journal"), records(100, 20_000)).await;
    assert!(store.archive(id).await.unwrap());
    let file = archives(store_dir(&dir)).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let mut broken = whole.clone();
    broken[100] ^= 1;
    std::fs::write(&file, &broken).unwrap();
    let output = store.output(id).await.unwrap().unwrap();
    assert!(output.read_stream(None, 0, 10).unwrap_err().to_string().contains("damaged"));
    // What is in other frames can still be read.
    let tail = output.read_stream(Some(OutputStream::Stdout), 600_000, 10).unwrap();
    assert!(tail == stream_of(&bytes, Kind::Stdout)[600_000..600_010]);

    std::fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    let error = store.output(id).await.unwrap_err();
    assert_eq!(error.code(), "store_damaged");
    assert!(error.to_string().contains(".zst"), "{error}");
}

#[tokio::test]
async fn journal_of_a_removed_execution_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let path = dir.path().join("journal");
    let (id, _) = end_with_journal(&store, &path, records(10, 100)).await;
    store.remove(id).await.unwrap();
    assert!(!store.archive(id).await.unwrap());
    store.close();
    assert!(!path.exists());
}

#[tokio::test]
async fn state_directory_can_be_moved() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("state"));
    let path = dir.path().join("state/keeper-journal");
    let (id, bytes) = end_with_journal(&store, &path, records(10, 100)).await;
    let (other, other_bytes) =
        end_with_journal(&store, &dir.path().join("b"), records(20, 100)).await;
    assert!(store.archive(other).await.unwrap());
    drop(store);
    std::fs::rename(dir.path().join("state"), dir.path().join("moved")).unwrap();
    let store = open(&dir.path().join("moved"));
    assert_eq!(whole(&store, id).await, bytes);
    assert_eq!(whole(&store, other).await, other_bytes);
}
