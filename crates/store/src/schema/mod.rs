//! The database file: how it is created, recognised, migrated and opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Result, StoreError};
use crate::key::{open_private, sync_parent};

/// Name of the database in its directory.
pub(crate) const FILE: &str = "exeng.db";

/// What is at the place of the application id in the header of the file: "exng".
const APPLICATION_ID: i32 = 0x6578_6e67;

/// Migrations: the first creates schema 1, each further one makes schema n + 1 of schema n.
///
/// A migration that was released is never changed. `tests/released/` has a database of each released schema.
const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
];

/// How long a connection waits for another process, for instance one that makes a copy.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Opens the database in a directory for writing; creates or migrates it.
pub(crate) fn open(dir: &Path) -> Result<Connection> {
    let path = dir.join(FILE);
    if !path.exists() {
        create(&path)?;
    }
    check_header(&path)?;
    let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A schema that turns out to be newer has to stay as it is, also when the connection is closed.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = version(&connection)?;
    if found > known() {
        return Err(StoreError::NewerSchema { path, found, known: known() });
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    prepare(&connection)?;
    migrate(&mut connection, found, MIGRATIONS)?;
    Ok(connection)
}

/// Opens the database in a directory for reading, next to the connection that writes.
pub(crate) fn open_reader(dir: &Path) -> Result<Connection> {
    let connection = connect(&dir.join(FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Before anything else, so that nothing fails because another process looks at the file.
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Settings of a connection that writes.
fn prepare(connection: &Connection) -> Result<()> {
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let reason = format!(
            "its file system cannot share memory between processes, so SQLite fell back to the journal mode {mode}"
        );
        return Err(StoreError::ReadOnly { reason });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Creates the database. It has its name only when it is whole and on the disk, so a file of that name is
/// either a database of ours or a foreign one, and never half of one.
fn create(path: &Path) -> Result<()> {
    let new = path.with_extension("db-new");
    for rest in [new.clone(), path.with_extension("db-new-journal")] {
        match fs::remove_file(&rest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("cannot remove", &rest)(error));
            }
            _ => {}
        }
    }
    open_private(&new, OpenOptions::new().write(true).create_new(true))
        .map_err(StoreError::io("cannot create", &new))?;
    let mut connection = connect(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Only before there is a table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(&mut connection, 0, MIGRATIONS)?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("cannot sync", &new))?;
    fs::rename(&new, path).map_err(StoreError::io("cannot create", path))?;
    sync_parent(path)
}

/// Looks at the header without SQLite, which would create files next to a database that is not ours.
pub(crate) fn check_header(path: &Path) -> Result<()> {
    let foreign = |what: &str| {
        Err(StoreError::ForeignDatabase { path: path.to_path_buf(), what: what.to_string() })
    };
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(StoreError::io("cannot open", path))?;
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return foreign("it is too short for a database");
        }
        result => result.map_err(StoreError::io("cannot read", path))?,
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return foreign("it is no SQLite database");
    }
    let number = |at: usize| i32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    if number(68) != APPLICATION_ID {
        return foreign("it belongs to another program");
    }
    let found = i64::from(number(60));
    if found > known() {
        return Err(StoreError::NewerSchema { path: path.to_path_buf(), found, known: known() });
    }
    Ok(())
}

fn known() -> i64 {
    MIGRATIONS.len() as i64
}

fn version(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Applies the migrations that a database of schema `found` lacks, each in a transaction of its own.
fn migrate(connection: &mut Connection, found: i64, migrations: &[&str]) -> Result<()> {
    let done = usize::try_from(found).unwrap_or(0);
    for (at, migration) in migrations.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", at as i64 + 1)?;
        transaction.commit()?;
    }
    if done < migrations.len() {
        // The header of the file says the new schema from now on.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

/// Returns the files of a database.
pub(crate) fn files(dir: &Path) -> [PathBuf; 2] {
    [dir.join(FILE), dir.join(format!("{FILE}-wal"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn database_is_created_private_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let connection = open(dir.path()).unwrap();
        assert_eq!(version(&connection).unwrap(), known());
        let pragma = |name: &str| {
            connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(
            (pragma("synchronous"), pragma("secure_delete"), pragma("auto_vacuum")),
            (2, 1, 2)
        );
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
        #[cfg(unix)]
        for (name, _) in bytes_of(dir.path()) {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(dir.path().join(&name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}");
        }
    }

    #[test]
    fn half_created_database_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("exeng.db-new"), b"half").unwrap();
        drop(open(dir.path()).unwrap());
        assert_eq!(bytes_of(dir.path()).len(), 1, "nothing is left beside the database");
    }

    #[test]
    fn newer_schema_and_foreign_files_are_refused_and_left_untouched() {
        type Make = fn(&Path);
        let foreign: [(&str, Make); 4] = [
            ("newer_schema", |path| {
                let dir = path.parent().unwrap();
                drop(open(dir).unwrap());
                let connection = Connection::open(path).unwrap();
                connection.pragma_update(None, "user_version", known() + 1).unwrap();
            }),
            ("foreign_database", |path| {
                let connection = Connection::open(path).unwrap();
                connection
                    .execute_batch("CREATE TABLE other (a); PRAGMA journal_mode = WAL")
                    .unwrap();
            }),
            ("foreign_database", |path| fs::write(path, [b'x'; 5000]).unwrap()),
            ("foreign_database", |path| fs::write(path, b"").unwrap()),
        ];
        for (code, make) in foreign {
            let dir = tempfile::tempdir().unwrap();
            make(&dir.path().join(FILE));
            let before = bytes_of(dir.path());
            let error = open(dir.path()).err().unwrap();
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(bytes_of(dir.path()), before);
        }
    }

    #[test]
    fn newer_schema_in_the_write_ahead_log_alone_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let path = dir.path().join(FILE);
        // What a crash of a newer version right after its migration leaves.
        let newer = Connection::open(&path).unwrap();
        newer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        newer.pragma_update(None, "user_version", known() + 1).unwrap();
        drop(newer);
        let files = || files(dir.path()).map(|file| fs::read(file).unwrap());
        let before = files();
        assert_eq!(open(dir.path()).err().unwrap().code(), "newer_schema");
        assert_eq!(files(), before);
    }

    #[test]
    fn migration_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path()).unwrap();
        let and = |next| [MIGRATIONS, &[next]].concat();
        let next = "CREATE TABLE later (a); CREATE TABLE executions (a);";
        assert!(migrate(&mut connection, known(), &and(next)).is_err());
        assert_eq!(version(&connection).unwrap(), known());
        assert!(connection.prepare("SELECT * FROM later").is_err());

        let next = "CREATE TABLE later (a);";
        migrate(&mut connection, known(), &and(next)).unwrap();
        assert_eq!(version(&connection).unwrap(), known() + 1);
    }
}
