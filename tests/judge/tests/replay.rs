//! The replay judge passes a database that is safe, and finds the fault in one that is not.

#![cfg(target_os = "linux")]

use std::path::Path;

use service_judge::disk::{self, Disk, Files, Kept};
use service_judge::preload::command;
use service_judge::recording::Recorder;

const ROWS: i64 = 120;
const POINTS: usize = 80;

/// Records the writer and returns what the disk saw.
fn recorded(dir: &Path, synchronous: &str) -> Disk {
    let recorder = Recorder::new(dir);
    let mut writer = command(env!("CARGO_BIN_EXE_sqlite-writer"));
    writer.arg(recorder.root().join("rows.db")).arg(recorder.log());
    writer.args([synchronous, &ROWS.to_string()]);
    recorder.attach(&mut writer);
    assert!(writer.status().unwrap().success());

    let disk = Disk::new(recorder.entries()).unwrap();
    let all = disk.after(disk.points(), Kept::Everything);
    assert_eq!(disk::differences(&all, &disk::read(recorder.root())), [""; 0]);
    disk
}

/// Returns what is wrong with the database after a power failure.
fn fault(files: &Files, marked: i64, dir: &Path) -> Option<String> {
    let dir = tempfile::tempdir_in(dir).unwrap();
    disk::write(files, dir.path());
    let database = dir.path().join("rows.db");
    if !database.exists() {
        return (marked > 0).then(|| "there is no database".to_string());
    }
    if let Err(fault) = disk::integrity(&database) {
        return Some(fault);
    }
    let connection = rusqlite::Connection::open(&database).unwrap();
    let count = "SELECT count(*), coalesce(max(id), 0) FROM rows";
    let found =
        connection.query_row(count, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    match found {
        Err(_) if marked == 0 => None,
        Err(error) => Some(error.to_string()),
        Ok((rows, last)) if rows == last && last >= marked => None,
        Ok((rows, last)) => Some(format!("{marked} told, {rows} there, the last is {last}")),
    }
}

fn faults(synchronous: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let disk = recorded(dir.path(), synchronous);
    let mut faults = Vec::new();
    let points = disk::choose_points(&disk, POINTS, 1);
    assert!(points.len() == POINTS, "only {} changes were recorded", disk.points());
    for point in points {
        let marked = i64::try_from(disk.marks(point).count()).unwrap();
        let seed = u64::try_from(point).unwrap();
        for kept in [Kept::Nothing, Kept::Random(seed), Kept::Everything] {
            let files = disk.after(point, kept);
            let fault = fault(&files, marked, dir.path());
            faults.extend(fault.map(|fault| format!("point {point}, {kept:?}: {fault}")));
        }
    }
    faults
}

#[test]
fn a_database_that_synchronizes_each_commit_loses_nothing() {
    assert_eq!(faults("FULL"), [""; 0]);
}

#[test]
fn a_database_that_synchronizes_nothing_is_found() {
    let faults = faults("OFF");
    assert!(faults.len() > 20, "{faults:#?}");
}

#[test]
fn a_database_that_synchronizes_checkpoints_only_is_found() {
    // It stays whole, but what was told last can be missing.
    let faults = faults("NORMAL");
    let missing = faults.iter().filter(|fault| fault.contains("told"));
    assert!(missing.count() > 10, "{faults:#?}");
}
