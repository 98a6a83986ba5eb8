//! Executions that come from another service. Their journals come first, in pieces, into files of their own; then the
//! record says what such a file is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use execution_engine::ExecutionResult;
use execution_engine_journal::JournalReader;
use execution_engine_store::{Imported, OutputPlace};
use serde::Deserialize as _;
use uuid::Uuid;

use super::Service;
use super::ending::blocking;
use super::errors::{internal, not_ended};
use super::inner::Inner;
use super::journals::{INLINE_BYTES, failed};
use crate::error::{ErrorCode, ServiceError};
use crate::faults;
use crate::view::{ImportAnswer, Record};

/// Time after which a journal whose record did not come is removed: a client that goes on after the death of a
/// service does so within a minute.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

impl Service {
    /// Takes a piece of the journal of an execution that is to be imported, and returns where the next one begins. The
    /// same piece may come again. `upload` is a random name for this journal.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) if a piece is missing before,
    /// [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn upload(
        &self,
        upload: Uuid,
        offset: u64,
        piece: Bytes,
    ) -> Result<u64, ServiceError> {
        let path = self.inner().upload_path(upload);
        blocking(move || {
            write_piece(&path, offset, &piece)?;
            Ok(offset + piece.len() as u64)
        })
        .await
    }

    /// Stores an execution that has ended in another service, with the journal that was uploaded for it. When this
    /// returns, it is durable. It belongs to `owner`, and starts nothing.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) if the journal is damaged or is not that of this record,
    /// [`NotEnded`](crate::ErrorCode::NotEnded), [`IdReused`](crate::ErrorCode::IdReused) if another execution has
    /// the id, [`StoreFull`](crate::ErrorCode::StoreFull), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn import(
        &self,
        upload: Uuid,
        record: Record,
        owner: u32,
    ) -> Result<ImportAnswer, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.import(upload, record, owner).await }).await
    }

    /// Removes an uploaded journal that is not needed. One that is not there is as wanted.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorCode::Internal) if its file cannot be removed.
    pub async fn discard_upload(&self, upload: Uuid) -> Result<(), ServiceError> {
        self.inner().discard(self.inner().upload_path(upload)).await
    }
}

impl Inner {
    fn uploads(&self) -> PathBuf {
        self.options.state_dir.path().join("imports")
    }

    fn upload_path(&self, upload: Uuid) -> PathBuf {
        self.uploads().join(upload.to_string())
    }

    async fn import(
        &self,
        upload: Uuid,
        record: Record,
        owner: u32,
    ) -> Result<ImportAnswer, ServiceError> {
        let path = self.upload_path(upload);
        let id = record.execution.id;
        if !record.execution.is_ended() {
            return Err(not_ended(id));
        }
        let known = self.store.get(id).await?;
        let imported = match known {
            Some(known) if known.is_record_of(&record.execution) => Imported::Existing,
            Some(_) => Imported::OtherExists,
            None => {
                let (path, checked) = (path.clone(), record.clone());
                let output = blocking(move || output_of(&path, &checked)).await?;
                faults::at("import_before_commit");
                self.store.import(owner, record.execution, output).await?
            }
        };
        faults::at("import_after_commit");
        if imported == Imported::Created && record.journal_bytes > INLINE_BYTES {
            self.archive(id).await;
        }
        self.discard(path).await?;
        match imported {
            Imported::Created => Ok(ImportAnswer { created: true }),
            Imported::Existing => Ok(ImportAnswer { created: false }),
            Imported::OtherExists => {
                let text = format!("another execution has the id {id}");
                Err(ServiceError::new(ErrorCode::IdReused, text)
                    .field("id")
                    .fix("remove that one first, or import into another state directory"))
            }
        }
    }

    /// Removes a file that was uploaded, unless an execution has its output there.
    async fn discard(&self, path: PathBuf) -> Result<(), ServiceError> {
        let needed = self.store.unarchived().await?;
        if needed.iter().any(|(_, journal)| *journal == path) {
            return Ok(());
        }
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path, &error))
            }
            _ => Ok(()),
        })
        .await
    }

    /// Compresses journals that an earlier service has taken and not compressed, and removes those whose records did
    /// not come.
    pub(crate) async fn clean_uploads(&self) -> Result<(), ServiceError> {
        let dir = self.uploads();
        for (id, path) in self.store.unarchived().await? {
            if path.starts_with(&dir) && self.archive(id).await {
                self.discard(path).await?;
            }
        }
        for path in blocking(move || abandoned(&dir)).await? {
            self.discard(path).await?;
        }
        Ok(())
    }
}

/// Writes a piece of a journal. Blocks.
fn write_piece(path: &Path, offset: u64, piece: &[u8]) -> Result<(), ServiceError> {
    let of_file = |error: io::Error| failed("write", path, &error);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(of_file)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(of_file)?;
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(of_file)?;
    let length = file.metadata().map_err(of_file)?.len();
    if offset > length {
        let text = format!("the piece begins at {offset}, and there are {length} bytes before it");
        return Err(ServiceError::invalid("Upload-Offset", text)
            .fix("send the pieces in their order, and begin with 0"));
    }
    file.write_all_at(piece, offset).map_err(of_file)
}

/// Checks an uploaded journal, and returns where the output is. Blocks.
fn output_of(path: &Path, record: &Record) -> Result<OutputPlace, ServiceError> {
    if record.journal_bytes == 0 {
        return Ok(OutputPlace::None);
    }
    let of_file = |error: io::Error| failed("read", path, &error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = record.execution.id;
            return Err(refused(format!(
                "the journal of execution {id} did not come before its record"
            )));
        }
        file => file.map_err(of_file)?,
    };
    let journal = JournalReader::new(file, path.display().to_string());
    let recovered = journal.recover()?;
    let (id, totals) = (record.execution.id, recovered.totals);
    let result = recovered.result().and_then(|result| ExecutionResult::deserialize(result).ok());
    let written = (record.execution.stdout_bytes, record.execution.stderr_bytes);
    let is_whole = recovered.tail_bytes == 0 && recovered.end == record.journal_bytes;
    if !is_whole || (totals.stdout, totals.stderr) != written {
        return Err(refused(format!("the journal of execution {id} is damaged")));
    }
    if result.is_none_or(|result| Some(&result.ending) != record.execution.ending.as_ref()) {
        return Err(refused(format!("the journal is not that of execution {id}")));
    }
    if recovered.end > INLINE_BYTES {
        journal.source().sync_all().map_err(of_file)?;
        for dir in path.ancestors().skip(1).take(2) {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(of_file)?;
        }
        return Ok(OutputPlace::Journal { path: path.to_path_buf(), bytes: recovered.end });
    }
    // It is at most as long as that limit.
    let mut bytes = vec![0; recovered.end as usize];
    journal.source().read_exact_at(&mut bytes, 0).map_err(of_file)?;
    Ok(OutputPlace::Inline(bytes))
}

fn refused(text: String) -> ServiceError {
    ServiceError::invalid("journal", text).fix("export it again")
}

/// Returns the files to which nothing was added for long. Blocks.
fn abandoned(dir: &Path) -> Result<Vec<PathBuf>, ServiceError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(internal(format!("cannot read {}: {error}", dir.display()))),
    };
    let is_old = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED))
    };
    Ok(entries.flatten().filter(is_old).map(|entry| entry.path()).collect())
}
