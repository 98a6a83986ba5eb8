//! Commits rows to a database and marks each in the recording: the known good and bad service of the judge's own tests.
//!
//! `sqlite-writer DATABASE LOG SYNCHRONOUS ROWS`
#![forbid(unsafe_code)]

use std::path::PathBuf;

fn main() -> rusqlite::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [database, log, synchronous, rows] = &args[..] else {
        panic!("usage: sqlite-writer DATABASE LOG SYNCHRONOUS ROWS");
    };
    let connection = rusqlite::Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    // Checkpoints, too, are part of what is judged.
    connection.pragma_update(None, "wal_autocheckpoint", 20)?;
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)", [])?;
    let log = PathBuf::from(log);
    for id in 1..=rows.parse::<i64>().expect("a number") {
        let text = "x".repeat(usize::try_from(id % 7).expect("small") * 100);
        connection.execute("INSERT INTO rows VALUES (?1, ?2)", (id, text))?;
        service_judge::recording::mark(&log, &format!("row {id}"));
    }
    Ok(())
}
